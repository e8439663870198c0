#!/usr/bin/env python3
"""Outrider's vector index and its peers on the same data, interleaved, one process each: run.py DATA...

    run.py mnist-784 minilm-100k             everything, three repetitions, a report for each data set
    run.py toy --quick                       seconds, for tests: few methods, one repetition
    run.py minilm-100k --only outrider,faiss-hnsw32 --repetitions 5
    run.py minilm-100k --extra filter,churn,quantisation

DATA is a folder as data.py makes it, or the name of one (made first when it is missing). For each data set:

1. Indexes that are missing are built, two threads, each in its own process, and kept in DATA/idx (--rebuild: built again). Outrider's is built again
   whenever its program changed.
2. Each method's sweep: recall and one-by-one speed of every setting on 500 queries; the settings on the frontier again on all queries. For each
   recall@10 target the fastest setting that holds on ALL queries is the method's best. Kept in DATA/idx too; a changed index is swept again.
3. Repetitions, interleaved over the methods, each in a fresh process that loads the index from disk: one query a call on one thread (mean, p50,
   p99, CPU time), on two threads, all queries in one call on one and on two threads. Medians are reported.
4. A report: Benchmarks/results/DATE-ann-NAME.md, .jsonl (all rows) and .svg (curves). A row that failed says so and is left out of the others.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))
import peers  # noqa: E402  (numpy only; the peers themselves are imported in their own processes)
from harness import Report, bench_binary, bench_command, curves, interleave, json_lines, medians, number  # noqa: E402

OUTRIDER = "outrider"
AS_SET = "outrider (recall target)"
BUILD_KEYS = ("nlist", "sample_factor", "iterations", "kernels")
SVG_WIDTH = 1000


def say(text):
    print(f"==> {text}", flush=True)


def note(text):
    print(f"    {text}", flush=True)


class Data:
    def __init__(self, name, options):
        folder = pathlib.Path(name)
        if not (folder / "meta.json").exists():
            folder = options.cache / name
            if not (folder / "meta.json").exists():
                say(f"{name} is missing: making it")
                command = [sys.executable, str(HERE / "data.py"), name, "--cache", str(options.cache)]
                if subprocess.run(command + (["--model", options.model] if options.model else [])).returncode:
                    raise SystemExit(f"could not make {name}")
        self.folder = folder.resolve()
        self.meta = json.loads((folder / "meta.json").read_text())
        self.name = self.meta["name"]
        self.indexes = self.folder / "idx"
        self.indexes.mkdir(exist_ok=True)


class Bench:
    """Builds, sweeps and measures the methods on one data set. Every step is one child process."""

    def __init__(self, data, options):
        self.data, self.options = data, options
        self.failures = []
        self.builds, self.chosen, self.curve, self.rows = {}, {}, [], []
        self.environment = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "2", "TF_CPP_MIN_LOG_LEVEL": "3"}

    def child(self, step, method, *arguments, timeout=None):
        if method == OUTRIDER:
            verb = "build" if step == "build" else "search"
            command = bench_command(
                self.options.binary, "ann", verb, "--data", str(self.data.folder), "--index", str(self.data.indexes / OUTRIDER), *arguments
            )
        else:
            command = [
                sys.executable,
                str(HERE / "worker.py"),
                step,
                method,
                str(self.data.folder),
                str(self.data.indexes / method),
                *arguments,
            ]
        result = json_lines(command, environment=self.environment, timeout=timeout or self.options.timeout)
        if not result.ok:
            lines = result.error.splitlines()
            reason = (lines[-1] if lines else f"status {result.status}")[-300:]
            self.failures.append({"method": method, "step": step, "error": reason.replace(str(self.data.folder), self.data.name)})
            note(f"{method}: {step} failed: {reason}")
        return result

    # Building ------------------------------------------------------------------------------------------------------------

    def stamp(self, method):
        """What an index on disk was made from: another data set or other parameters make another stamp."""
        meta = self.data.meta
        parts = [meta["name"], meta["metric"], meta["n"], meta["d"], (self.data.folder / "base.npy").stat().st_mtime_ns]
        if method == OUTRIDER:
            parts.append(pathlib.Path(self.options.binary).stat().st_mtime_ns)  # another program may write another index
        else:
            parts.append(sorted(peers.make(method, meta["metric"], meta["n"], meta["d"]).parameters.items()))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def build(self, method):
        target, record = self.data.indexes / method, self.data.indexes / f"{method}.json"
        if not self.options.rebuild and target.exists() and record.exists():
            known = json.loads(record.read_text())
            if known.get("stamp") == self.stamp(method):
                self.builds[method] = known
                return True
        for old in (target, record, self.data.indexes / f"{method}.sweep.json"):
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
        result = self.child("build", method, *(["--threads", "2", *self.options.build_arguments.split()] if method == OUTRIDER else []))
        if not result.ok or not result.rows:
            return False
        row = {
            **result.rows[-1],
            "stamp": self.stamp(method),
            "process_wall_s": result.wall_s,
            "process_cpu_s": result.cpu_s,
            "process_peak_bytes": result.peak_bytes,
        }
        record.write_text(json.dumps(row) + "\n")
        self.builds[method] = row
        note(
            f"{method}: built in {number(row.get('build_s'))} s ({number(row.get('build_cpu_s'))} s of CPU), {number(row.get('file_B_per_vec'))} bytes a vector"
        )
        return True

    # Choosing ------------------------------------------------------------------------------------------------------------

    def sweep(self, method):
        """Fills `chosen[method]`: target to setting. Outrider sweeps by the same rule, in its own command."""
        record = self.data.indexes / f"{method}.sweep.json"
        rows = None
        if method != OUTRIDER and record.exists() and not self.options.resweep:
            known = json.loads(record.read_text())
            if known["stamp"] == self.stamp(method) and known["targets"] == self.options.targets:
                rows = known["rows"]
        if rows is None:
            targets = ",".join(map(str, self.options.targets))
            result = self.child("sweep", method, *(["--targets", targets, "--curve"] if method == OUTRIDER else [targets]))
            if not result.ok:
                return False
            rows = result.rows
            if method != OUTRIDER:
                record.write_text(json.dumps({"stamp": self.stamp(method), "targets": self.options.targets, "rows": rows}) + "\n")
        for row in rows:
            row["not_reached"] = bool(row.get("not_reached") or row.get("error"))
        self.curve += [{**r, "method": method} for r in rows if r.get("curve")]
        self.chosen[method] = {str(r["target"]): r["setting"] for r in rows if "target" in r and not r["not_reached"]}
        for row in rows:
            if row["not_reached"]:
                self.rows.append({"recall": max((r["recall"] for r in rows if "recall" in r), default=0.0), **row, "method": method})
        note(
            f"{method}: " + ", ".join(f"{t}: {number(s)}" for t, s in self.chosen[method].items())
            if self.chosen[method]
            else f"{method}: reaches none of the targets"
        )
        return bool(self.chosen[method]) or method == OUTRIDER

    # Measuring -----------------------------------------------------------------------------------------------------------

    def measure(self, method):
        if method != OUTRIDER:
            result = self.child("measure", method, json.dumps(self.chosen[method]))
            return [{**r, "method": method} for r in result.rows if "target" in r] if result.ok else []
        rows = []
        for target, setting in self.chosen[method].items():
            # The setting that the sweep chose, and beside it what a user sets: only the recall wanted.
            for name, arguments in (
                (OUTRIDER, ["--explicit", ",".join(str(v) for v in setting.values())]),
                (AS_SET, ["--recall-target", target]),
            ):
                result = self.child("measure", method, *arguments)
                if result.ok and result.rows:
                    rows.append(
                        {
                            "setting": setting if name == OUTRIDER else {"recallTarget": float(target)},
                            **result.rows[-1],
                            "method": name,
                            "target": float(target),
                        }
                    )
        return rows

    def run(self, methods):
        say(f"{self.data.name}: building what is missing ({self.data.meta['n']:,} x {self.data.meta['d']}, {self.data.meta['metric']})")
        methods = [m for m in methods if self.build(m)]
        say(f"{self.data.name}: choosing the settings")
        methods = [m for m in methods if self.sweep(m)]
        say(f"{self.data.name}: measuring, {self.options.repetitions} repetitions of {len(methods)} methods, interleaved")

        def after(method, repetition, rows):
            speeds = ", ".join(f"{r['target']}: {number(r.get('one1_qps'))}" for r in rows if r["method"] == method)
            note(f"{repetition + 1}/{self.options.repetitions} {method}: {speeds or 'failed'} queries a second")

        for _, repetition, rows in interleave({m: (lambda r, m=m: self.measure(m)) for m in methods}, self.options.repetitions, after):
            self.rows += [{**r, "repetition": repetition} for r in rows]
        return methods


# ---- The report -------------------------------------------------------------------------------------------------------------


def index_table(bench, merged):
    headers = [
        "method",
        "build s",
        "build CPU s",
        "file B/vector",
        "memory B/vector",
        "of it anonymous",
        "of it file",
        "load s",
        "call µs",
        "parameters",
    ]
    rows = []
    for method, build in bench.builds.items():
        memory = next((r for r in merged if r["method"] == method and "rss_B_per_vec" in r), {})
        rows.append(
            [
                method,
                build.get("build_s"),
                build.get("build_cpu_s"),
                build.get("file_B_per_vec"),
                memory.get("rss_B_per_vec"),
                memory.get("rss_anon_B_per_vec"),
                memory.get("rss_file_B_per_vec"),
                memory.get("load_s", memory.get("open_s")),
                memory.get("call_us"),
                build.get("parameters") or {k: build[k] for k in BUILD_KEYS if k in build},
            ]
        )
    return headers, sorted(rows, key=lambda r: (r[0] != OUTRIDER, r[0]))


def target_table(merged, target):
    headers = [
        "method",
        "recall",
        "1 thread QPS",
        "p50 µs",
        "p99 µs",
        "CPU µs",
        "2 threads QPS",
        "batch QPS",
        "batch 2 threads QPS",
        "spread",
        "setting",
    ]
    rows = []
    for row in merged:
        if row.get("target") == target and "one1_qps" in row:
            rows.append(
                [
                    row["method"],
                    f"{row['recall']:.4f}",
                    row["one1_qps"],
                    row.get("p50_us"),
                    row.get("p99_us"),
                    row.get("one1_cpu_us"),
                    row.get("one2_qps"),
                    row.get("batch1_qps"),
                    row.get("batch2_qps"),
                    f"{row.get('spread', 0):.0%}",
                    row.get("setting"),
                ]
            )
    return headers, sorted(rows, key=lambda r: -r[2])


def comparison(merged, builds, targets):
    """Outrider over the best peer, figure by figure: [(what, target, ratio, peer)]. Above 1 Outrider is ahead."""
    rows = []
    for target in targets:
        here = [
            r
            for r in merged
            if r.get("target") == target and "one1_qps" in r and r["method"] not in ("faiss-flat", AS_SET) and r["recall"] >= target
        ]
        ours = next((r for r in here if r["method"] == OUTRIDER), None)
        theirs = [r for r in here if r["method"] != OUTRIDER]
        if not ours or not theirs:
            continue
        for key, what in (
            ("one1_qps", "1 thread, one by one"),
            ("one2_qps", "2 threads, one by one"),
            ("batch1_qps", "1 thread, batch"),
            ("batch2_qps", "2 threads, batch"),
        ):
            best = max((r for r in theirs if key in r), key=lambda r: r[key], default=None)
            if best and ours.get(key):
                rows.append([what, target, f"{ours[key] / best[key]:.2f} x", best["method"]])
        best = min((r for r in theirs if "p99_us" in r), key=lambda r: r["p99_us"], default=None)
        if best and ours.get("p99_us"):
            rows.append(["p99, one by one", target, f"{best['p99_us'] / ours['p99_us']:.2f} x", best["method"]])
    # Build and memory are set against HNSW in float32: the index that people use.
    graphs = [m for m in builds if m in ("faiss-hnsw32", "faiss-hnsw16", "hnswlib-16", "hnswlib-32", "usearch-f32")]
    if OUTRIDER in builds and graphs:
        for key, what in (("build_s", "build time"), ("build_cpu_s", "build CPU time")):
            best = min((m for m in graphs if builds[m].get(key)), key=lambda m: builds[m][key], default=None)
            if best and builds[OUTRIDER].get(key):
                rows.append([f"{what}, fastest HNSW float32 over ours", "-", f"{builds[best][key] / builds[OUTRIDER][key]:.2f} x", best])
        memory = {r["method"]: r["rss_B_per_vec"] for r in merged if r.get("rss_B_per_vec")}
        best = min((m for m in graphs if m in memory), key=lambda m: memory[m], default=None)
        if best and OUTRIDER in memory:
            rows.append(["memory, smallest HNSW float32 over ours", "-", f"{memory[best] / memory[OUTRIDER]:.2f} x", best])
    return rows


def write_report(bench, options, command):
    data, meta = bench.data, bench.data.meta
    merged = medians(bench.rows, ["method", "target"], spread_of="one1_qps")
    date = datetime.date.today().isoformat()
    path = options.results / f"{date}-ann-{data.name}{'-quick' if options.quick else ''}.md"
    report = Report(
        f"Nearest neighbours: {data.name}, {date}",
        peers.PACKAGES,
        command,
        data_set=data.name,
        vectors=meta["n"],
        dimension=meta["d"],
        queries=meta["nq"],
        metric=meta["metric"],
        k=10,
        repetitions=options.repetitions,
        seed=20261121,
    )
    if "model" in meta:
        report.text(f"Vectors: {meta['model']}.")
    report.text(
        "Each figure is the median of repetitions that interleave all methods; every repetition is a fresh process that loads its "
        "index from disk. For each recall@10 target a method runs with the fastest setting of its sweep that holds on all queries; the "
        "sweep compares settings by CPU time. CPU µs is the processor time of one query, which other work on the machine disturbs "
        "least; spread is (largest - smallest) / median of the one-by-one speed. Peers are called from Python: two threads one by one "
        "are two Python threads or two forked processes, whichever is faster; call µs is what such a call costs on an index of one "
        "vector. `outrider (recall target)` is told the recall wanted and nothing else, as a user would tell it; `outrider` runs with "
        "the best setting of its sweep, as the peers do."
    )
    compared = comparison(merged, bench.builds, options.targets)
    if compared:
        report.section("Outrider against the best peer")
        report.table(["figure", "recall@10", "Outrider", "best peer"], compared)
    for target in options.targets:
        headers, rows = target_table(merged, target)
        report.section(f"recall@10 >= {target}")
        if rows:
            report.table(headers, rows)
        missed = [f"{r['method']} ({r['recall']:.3f})" for r in merged if r.get("target") == target and r.get("not_reached")]
        if missed:
            report.text(f"Not reached by: {', '.join(missed)}.")
        short = [
            f"{r['method']} ({r['recall']:.4f})" for r in merged if r.get("target") == target and "one1_qps" in r and r["recall"] < target
        ]
        if short:
            report.text(f"Measured, but below the target: {', '.join(short)}.")
    report.section("Indexes")
    headers, rows = index_table(bench, merged)
    report.table(headers, rows)
    if bench.curve:
        series = {}
        for point in bench.curve:
            series.setdefault(point["method"], []).append((point["recall"], point["one1_qps"]))
        svg = path.with_suffix(".svg")
        svg.parent.mkdir(parents=True, exist_ok=True)
        svg.write_text(
            curves(
                series,
                f"{data.name}: {meta['n']:,} vectors, {meta['d']} dimensions",
                f"one query at a time on one thread, k = 10; {report.environment['cpu']}, {date}",
                highlight=OUTRIDER,
                width=SVG_WIDTH,
            ),
            encoding="utf-8",
        )
        report.section("Curves")
        report.text(f"![queries per second over recall]({svg.name})")
    for name, lines in options.extra_rows.get(data.name, {}).items():
        report.section(name.capitalize())
        keys = list(dict.fromkeys(k for line in lines for k in line if k not in ("method", "report")))
        report.table(keys, lines)
        report.raw([{**line, "report": name} for line in lines])
    if bench.failures:
        report.section("What failed")
        report.table(["method", "step", "error"], bench.failures)
    report.raw([{**b, "kind": "build"} for b in bench.builds.values()])
    report.raw([{**r, "kind": "curve"} for r in bench.curve])
    report.raw([{**r, "kind": "measurement"} for r in bench.rows])
    report.write(path)
    for line in compared:
        note(f"{line[0]}, {line[1]}: {line[2]} ({line[3]})")
    say(f"written: {os.path.relpath(path, ROOT)}")
    return path


def extra(bench, options):
    """The reports that only Outrider gives: filtered search, churn, quantisation. Whatever keys come are tabulated."""
    found = {}
    for name in options.extra:
        # Churn makes an index of its own and changes it.
        index = bench.data.indexes / (OUTRIDER if name != "churn" else f"{OUTRIDER}-churn")
        command = bench_command(options.binary, "ann", name, "--data", str(bench.data.folder), "--index", str(index))
        say(f"{bench.data.name}: {name}")
        result = json_lines(command, timeout=options.timeout)
        if name == "churn":
            shutil.rmtree(index, ignore_errors=True)
        if result.ok and result.rows:
            found[name] = result.rows
        else:
            bench.failures.append({"method": OUTRIDER, "step": name, "error": (result.error.splitlines() or ["no output"])[-1][-300:]})
            note(f"{name} failed: {bench.failures[-1]['error']}")
    return found


def cache_folder():
    base = os.environ.get("OUTRIDER_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "outrider")
    return pathlib.Path(base) / "bench"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="DATA")
    parser.add_argument("--only", help="methods to run, with commas")
    parser.add_argument("--skip", default="", help="methods to leave out, with commas")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--targets", default="0.9,0.95,0.99")
    parser.add_argument("--extra", default="", help="further reports of Outrider's: filter,churn,quantisation")
    parser.add_argument("--binary", default=bench_binary())
    parser.add_argument("--build-arguments", default="", help="more for `outrider-bench ann build`, such as '--nlist 2000'")
    parser.add_argument("--model", help="for a data set that a model makes")
    parser.add_argument("--rebuild", action="store_true", help="build every index again")
    parser.add_argument("--resweep", action="store_true", help="choose the peers' settings again")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds a step may take")
    parser.add_argument("--cache", type=pathlib.Path, default=cache_folder())
    parser.add_argument("--results", type=pathlib.Path, default=HERE.parent / "results")
    parser.add_argument("--quick", action="store_true", help="one repetition of a few methods, for tests")
    options = parser.parse_args(arguments)
    options.targets = [float(t) for t in options.targets.split(",")]
    options.extra = [e for e in options.extra.split(",") if e]
    options.cache = options.cache.resolve()
    options.extra_rows = {}
    if options.quick:
        options.repetitions = 1
        options.only = options.only or "outrider,faiss-flat,faiss-hnsw16,faiss-ivf-pq4fs-half-refine,hnswlib-16"
    known = [OUTRIDER, *peers.METHODS]
    methods = options.only.split(",") if options.only else known
    unknown = [m for m in [*methods, *filter(None, options.skip.split(","))] if m not in known]
    if unknown:
        raise SystemExit(f"unknown method {', '.join(unknown)}: the methods are {', '.join(known)}")
    methods = [m for m in methods if m not in options.skip.split(",")]
    if OUTRIDER in methods and not os.access(options.binary, os.X_OK):
        note(f"{os.path.relpath(options.binary, ROOT)} is not there (make build): Outrider's rows are left out")
        methods.remove(OUTRIDER)
    absent = [m for m in methods if m != OUTRIDER and not peers.available(m)]
    if absent:
        note(f"not installed here (scripts/bench-setup.sh), left out: {', '.join(absent)}")
    methods = [m for m in methods if m not in absent]
    command = [str(HERE.relative_to(ROOT) / "run.py"), *(arguments if arguments is not None else sys.argv[1:])]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # json_lines then ends its child
    failed = False
    for name in options.data:
        bench = Bench(Data(name, options), options)
        if options.build_only:
            for method in methods:
                bench.build(method)
            continue
        measured = bench.run(methods)
        if OUTRIDER in measured:
            options.extra_rows[bench.data.name] = extra(bench, options)
        write_report(bench, options, command)
        failed = failed or bool(bench.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
