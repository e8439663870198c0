#!/usr/bin/env python3
"""One step of one peer in a process of its own; prints JSON lines. Started by run.py, useful by hand:

worker.py build METHOD DATA INDEX
worker.py sweep METHOD DATA INDEX TARGETS            the curve, and for each target the fastest setting that holds on all queries
worker.py measure METHOD DATA INDEX '{"0.95": SETTING}'   one repetition: every figure at each target's setting
"""

import ctypes
import gc
import json
import os
import pathlib
import resource
import sys
import threading
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import peers  # noqa: E402

K = 10
SWEEP_QUERIES = 500  # of the sweep's first pass; its second pass asks all of them
ONE_BY_ONE = 2000  # queries of a one-by-one measurement, at most


def emit(**row):
    print(json.dumps(row), flush=True)


def read_data(folder, base=False):
    folder = pathlib.Path(folder)
    meta = json.loads((folder / "meta.json").read_text())
    if base:
        return meta, np.load(folder / "base.npy")
    return meta, np.load(folder / "query.npy"), np.load(folder / "gt.npy")


def memory():
    """Resident bytes of this process: all, anonymous, of files. Freed memory is given back to the system first."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except OSError:
        pass
    found = {}
    for line in open("/proc/self/status"):
        key, _, value = line.partition(":")
        if key in ("VmRSS", "RssAnon", "RssFile"):
            found[key] = int(value.split()[0]) * 1024
    return found


def size_of(path):
    path = pathlib.Path(path)
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def recall(rows, truth, k=K):
    """The share of the true k nearest that was found, the mean over the queries."""
    found = (rows[:, :k, None] == truth[: len(rows), None, :k]).any(axis=1)
    return float(found.sum() / (len(rows) * k))


def row_of(found, k=K):
    """One query's rows as [1, k]; what a library did not find is -1."""
    found = np.asarray(found)[:, :k]
    return np.pad(found.astype(np.int64), ((0, 0), (0, k - found.shape[1])), constant_values=-1)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def build(method, data, index):
    meta, base = read_data(data, base=True)
    peer = peers.make(method, meta["metric"], meta["n"], meta["d"])
    peer.empty() if hasattr(peer, "empty") else __import__(peer.package.replace("-cpu", ""))  # imports are not part of building
    used, started = cpu(), time.perf_counter()
    peer.build(base)
    row = {"build_s": time.perf_counter() - started, "build_cpu_s": cpu() - used}
    peer.save(index)
    emit(
        method=method,
        **row,
        file_B_per_vec=size_of(index) / meta["n"],
        build_peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        parameters=peer.parameters,
    )


def loaded(method, data, index):
    meta, queries, truth = read_data(data)
    queries = np.ascontiguousarray(queries, np.float32)
    peer = peers.make(method, meta["metric"], meta["n"], meta["d"])
    __import__("usearch.index" if method.startswith("usearch") else peer.package.replace("-cpu", ""))
    before = memory()
    started = time.perf_counter()
    peer.load(index)
    load_s = time.perf_counter() - started
    peer.threads(1)
    peer.set(peer.settings[-1])
    peer.search(queries[:50], K)
    after = memory()
    grown = {
        f"{label}_B_per_vec": max(0, after[key] - before[key]) / meta["n"]
        for label, key in (("rss", "VmRSS"), ("rss_anon", "RssAnon"), ("rss_file", "RssFile"))
    }
    return meta, queries, truth, peer, {"load_s": load_s, **grown}


def one_by_one(peer, queries):
    """Seconds of each query, and the CPU seconds of all."""
    rows = [queries[i : i + 1] for i in range(len(queries))]
    times = np.empty(len(rows))
    used = time.process_time()
    clock = time.perf_counter
    for i, row in enumerate(rows):
        start = clock()
        peer.one(row, K)
        times[i] = clock() - start
    return times, time.process_time() - used


def sweep(method, data, index, targets):
    meta, queries, truth, peer, _ = loaded(method, data, index)
    some = queries[:SWEEP_QUERIES]
    points = []
    # The last axis of a grid runs fastest: within a run of it, recall only rises. A run ends where more work found nothing more.
    axis = list(peer.settings[0])[-1] if peer.settings[0] else None
    run, run_best = None, 0.0
    skip = False
    for setting in peer.settings:
        outer = {k: v for k, v in setting.items() if k != axis}
        if outer != run:
            run, run_best, skip, flat = outer, 0.0, False, 0
        if skip:
            continue
        if (
            axis
            and "nprobe" in setting
            and setting["nprobe"] > peers.list_count(meta["n"])
            or setting.get("leaves", 0) > peers.list_count(meta["n"])
        ):
            continue
        peer.set(setting)
        peer.one(some[:1], K)
        found = recall(np.vstack([row_of(peer.one(some[i : i + 1], K)) for i in range(len(some))]), truth)
        # Twice, and the better one: a moment of other work on the machine must not decide between two settings.
        passes = [one_by_one(peer, some) for _ in range(2)]
        points.append(
            {
                "setting": setting,
                "recall": found,
                "one1_qps": max(1 / times.mean() for times, _ in passes),
                "cpu_us": min(used for _, used in passes) / len(some) * 1e6,
            }
        )
        flat = flat + 1 if found < run_best + 0.0005 else 0
        run_best = max(run_best, found)
        skip = found >= 0.9995 or flat >= 2
    # The frontier's recall is measured again on all queries: 500 would flatter some.
    best, frontier = 0.0, []
    for point in sorted(points, key=lambda p: (-p["recall"], p["cpu_us"])):
        if 1 / point["cpu_us"] > best:
            best = 1 / point["cpu_us"]
            frontier.append(point)
    full = {}

    def recall_on_all(setting):
        key = json.dumps(setting)
        if key not in full:
            peer.set(setting)
            peer.threads(2)
            full[key] = recall(peer.search(queries, K), truth)
            peer.threads(1)
        return full[key]

    for point in reversed(frontier):
        emit(
            curve=True,
            method=method,
            setting=point["setting"],
            recall=recall_on_all(point["setting"]),
            one1_qps=point["one1_qps"],
            cpu_us=point["cpu_us"],
        )
    for target in targets:
        chosen = None
        for point in sorted((p for p in points if p["recall"] >= target - 0.01), key=lambda p: p["cpu_us"]):
            if recall_on_all(point["setting"]) >= target:
                chosen = point
                break
        if chosen:
            emit(method=method, target=target, setting=chosen["setting"], recall=recall_on_all(chosen["setting"]))
        else:
            emit(method=method, target=target, not_reached=True, recall=max((p["recall"] for p in points), default=0.0))


def two_threads(peer, queries):
    """Two Python threads, one query a call."""
    halves = np.array_split(np.arange(len(queries)), 2)
    rows = [queries[i : i + 1] for i in range(len(queries))]

    def ask(part):
        for i in part:
            peer.one(rows[i], K)

    workers = [threading.Thread(target=ask, args=(half,)) for half in halves]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(queries) / (time.perf_counter() - started)


def two_processes(peer, queries):
    """This process and a fork of it, which shares the loaded index: two threads without Python's lock."""
    halves = np.array_split(np.arange(len(queries)), 2)
    rows = [queries[i : i + 1] for i in range(len(queries))]
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b".")
        os.read(go[0], 1)
        for i in halves[1]:
            peer.one(rows[i], K)
        os._exit(0)
    os.read(ready[0], 1)
    started = time.perf_counter()
    os.write(go[1], b".")
    for i in halves[0]:
        peer.one(rows[i], K)
    os.waitpid(child, 0)
    elapsed = time.perf_counter() - started
    for end in (*ready, *go):
        os.close(end)
    return len(queries) / elapsed


def call_overhead(peer):
    """Microseconds of CPU of a call that has nothing to do: the same call on an index of one vector; None where a library cannot make one."""
    vector = np.zeros((1, peer.d), np.float32)
    vector[0, 0] = 1
    try:
        if isinstance(peer, peers.Faiss):
            tiny = peers.Faiss(peer.metric, 1, peer.d, "Flat", [{}])
            tiny.buffers = {}
        elif isinstance(peer, peers.Hnswlib):
            tiny = peers.Hnswlib(peer.metric, 1, peer.d, 4)
        elif isinstance(peer, peers.Usearch):
            tiny = peers.Usearch(peer.metric, 1, peer.d, peer.kind)
        else:
            return None
        tiny.build(vector)
        tiny.set({"ef": 1, "expansion_search": 1})
        for _ in range(200):
            tiny.one(vector, 1)
        started = time.process_time()
        for _ in range(1000):
            tiny.one(vector, 1)
        return (time.process_time() - started) / 1000 * 1e6
    except RuntimeError:
        return None
    finally:
        peer.threads(1)


def measure(method, data, index, settings):
    meta, queries, truth, peer, grown = loaded(method, data, index)
    grown["call_us"] = call_overhead(peer)
    some = queries[: 200 if method == "faiss-flat" else ONE_BY_ONE]
    batch = some if method == "faiss-flat" else queries
    results = {}
    # Everything with one thread comes first: a fork after a thread pool was started would hang.
    for target, setting in settings.items():
        peer.set(setting)
        peer.search(queries[:20], K)
        times, used = one_by_one(peer, some)
        rows, started, used_batch = None, time.perf_counter(), time.process_time()
        rows = peer.search(batch, K)
        elapsed, used_batch = time.perf_counter() - started, time.process_time() - used_batch
        results[target] = {
            "recall": recall(rows, truth),
            "one1_qps": 1 / times.mean(),
            "p50_us": float(np.percentile(times, 50)) * 1e6,
            "p99_us": float(np.percentile(times, 99)) * 1e6,
            "one1_cpu_us": used / len(some) * 1e6,
            "batch1_qps": len(batch) / elapsed,
            "batch1_cpu_us": used_batch / len(batch) * 1e6,
        }
        if peer.forks:
            results[target]["one2_qps"] = two_processes(peer, some)
    for target, setting in settings.items():
        peer.set(setting)
        results[target]["one2_qps"] = max(results[target].get("one2_qps", 0.0), two_threads(peer, some))
        peer.threads(2)
        peer.search(batch[:64], K)
        started = time.perf_counter()
        peer.search(batch, K)
        results[target]["batch2_qps"] = len(batch) / (time.perf_counter() - started)
        peer.threads(1)
    for target, row in results.items():
        emit(method=method, target=float(target), setting=settings[target], **row, **grown)


if __name__ == "__main__":
    step, method, data, index, *rest = sys.argv[1:]
    if step == "build":
        build(method, data, index)
    elif step == "sweep":
        sweep(method, data, index, [float(t) for t in rest[0].split(",")])
    elif step == "measure":
        measure(method, data, index, json.loads(rest[0]))
    else:
        raise SystemExit(f"unknown step '{step}'")
