#!/usr/bin/env python3
"""The gate: what each of ten representative calls allocates and costs, compared with what is recorded.

    run.py --outrider .build/release/outrider                 measures and compares with expected.json; ends with 1 when something is dearer
    run.py --outrider .build/release/outrider --record        measures and records
    run.py --outrider .build/debug/outrider --toy             a few calls of each, as the tests run it

A server is started on a folder of its own with documents that are made from a fixed seed, and each call is made again and again on one connection. Counted are the calls of
malloc and its kin (by `count.c`, which is compiled here and loaded before the C library) and the processor time of all the server's threads, in nanoseconds.

Allocations hardly depend on the machine: they may be `--allocations` (default 1.1) times what is recorded. Processor time does, so it is compared only on the processor
where it was recorded, and may be `--cpu` (default 1.5) times that. A build is compared with records of its own kind, debug or release.
"""

import argparse
import http.client
import json
import mmap
import os
import pathlib
import platform
import random
import statistics
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))

import program  # noqa: E402

EXPECTED = HERE / "expected.json"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def passages(count, seed):
    """Made-up sentences of words whose frequencies fall as in text."""
    generator = random.Random(seed)
    words = ["".join(generator.choice("bcdfghklmnprstvw") + generator.choice("aeiou") for _ in range(generator.randint(2, 4))) for _ in range(4000)]

    def text(size):
        return " ".join(words[int(4000 * generator.random() ** 3)] for _ in range(size))

    made = [
        {"id": f"s{number}", "title": text(3).title(), "text": ". ".join(text(12).capitalize() for _ in range(5)) + ".",
         "metadata": {"half": "yes" if number % 2 else "no", "year": 2000 + number % 20}}
        for number in range(count)
    ]
    return made, [text(7) for _ in range(4000)]


class Counted(program.Outrider):
    """A server whose allocations are counted."""

    def __init__(self, binary, folder, model):
        library, self.file = folder / "count.so", folder / "counts"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "count.c"), "-ldl"], check=True)
        self.file.write_bytes(bytes(16))
        with open(self.file, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 16)
        self.port = program.free_port()
        command = [str(binary), "serve", "--data", str(folder / "data"), "--port", str(self.port), "--log-level", "warning"]
        self.start([*command, *(["--embedding-model", str(model)] if model else [])],
                   {"LD_PRELOAD": str(library), "OUTRIDER_GATE_COUNTS": str(self.file)})

    def counts(self):
        return struct.unpack("QQ", self.shared[:])

    def cpu_nanoseconds(self):
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            try:
                total += int(pathlib.Path(f"/proc/{self.pid}/task/{task}/schedstat").read_text().split()[0])
            except (OSError, ValueError):
                pass
        return total


def calls(questions, documents):
    """The ten calls: name, and what makes the n-th request of it."""
    def search(**more):
        return lambda n: ("POST", "/v1/search", {"query": questions[n % len(questions)], "k": 10, **more})

    def same(**more):
        return lambda n: ("POST", "/v1/search", {"query": questions[n % 4], "k": 10, **more})

    return {
        "health": lambda n: ("GET", "/health/live", None),
        "info": lambda n: ("GET", "/v1/info", None),
        "text search": search(mode="text"),
        "text search, no highlights": search(mode="text", highlight=False),
        "text search, filtered": search(mode="text", filter={"half": "yes"}),
        "vector search, known questions": same(mode="vector"),
        "hybrid search, new questions": search(mode="hybrid"),
        "hybrid search, known questions": same(mode="hybrid"),
        "document": lambda n: ("GET", f"/v1/documents/{documents[n % len(documents)]}", None),
        "answer": lambda n: ("POST", "/v1/answer", {"question": "What is " + questions[n % 4] + "?", "generator": "extractive"}),
    }


def measure(server, made, count, repetitions):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    number = 0

    def ask(times):
        nonlocal number
        for _ in range(times):
            method, path, body = made(number)
            number += 1
            connection.request(method, path, body=None if body is None else json.dumps(body), headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise program.Failed(f"{method} {path}: {answer.status} {text[:200]!r}")

    ask(max(4, count // 4))
    rows = []
    for _ in range(repetitions):
        (calls_before, bytes_before), cpu_before = server.counts(), server.cpu_nanoseconds()
        ask(count)
        (calls_after, bytes_after), cpu_after = server.counts(), server.cpu_nanoseconds()
        rows.append(((calls_after - calls_before) / count, (bytes_after - bytes_before) / count / 1000, (cpu_after - cpu_before) / count / 1e6))
    connection.close()
    allocations, kilobytes, cpu = (statistics.median(column) for column in zip(*rows))
    return {"allocations": round(allocations, 1), "kilobytes": round(kilobytes, 1), "cpu_ms": round(cpu, 4)}


def compare(found, expected, options):
    """What is dearer than it may be, in words."""
    faults = []
    for name, row in found.items():
        known = expected.get("calls", {}).get(name)
        if known is None:
            faults.append(f"{name}: nothing is recorded; run with --record")
            continue
        # A few more allocations are no matter where there are hardly any.
        if row["allocations"] > known["allocations"] * options.allocations + 5:
            faults.append(f"{name}: {row['allocations']} allocations, {known['allocations']} are recorded")
        if expected.get("processor") == processor() and not options.toy and row["cpu_ms"] > known["cpu_ms"] * options.cpu + 0.02:
            faults.append(f"{name}: {row['cpu_ms']} ms of processor time, {known['cpu_ms']} are recorded")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outrider", required=True)
    parser.add_argument("--model", help="the embedding model; the default one when absent")
    parser.add_argument("--expected", default=str(EXPECTED))
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--toy", action="store_true", help="few calls, and allocations alone")
    parser.add_argument("--only", help="calls by name, with commas that belong to them written as ;")
    parser.add_argument("--count", type=int, help="requests of each call (200; toy 12)")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--allocations", type=float, default=1.1)
    parser.add_argument("--cpu", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    binary = pathlib.Path(options.outrider).resolve()
    count = options.count or (12 if options.toy else 200)
    repetitions = 1 if options.toy else options.repetitions
    kind = ("debug" if "debug" in str(binary) else "release") + (" toy" if options.toy else "")
    with tempfile.TemporaryDirectory(prefix="outrider-gate-") as folder:
        folder = pathlib.Path(folder)
        made, questions = passages(100 if options.toy else options.passages, options.seed)
        server = Counted(binary, folder, options.model)
        try:
            server.fill(made)
            server.rest()
            documents = [one["id"] for one in program.call(server.port, "GET", "/v1/documents?limit=50")[1]["documents"]]
            found = {}
            for name, call in calls(questions, documents).items():
                if options.only and name not in options.only.replace(";", ",").split("|"):
                    continue
                found[name] = measure(server, call, count, repetitions)
                print(f"{name:34} {found[name]['allocations']:9.1f} allocations {found[name]['kilobytes']:9.1f} kB {found[name]['cpu_ms']:8.3f} ms", flush=True)
        finally:
            server.stop()
    path = pathlib.Path(options.expected)
    expected = json.loads(path.read_text()) if path.exists() else {}
    if options.record:
        record = expected.setdefault(kind, {})
        record["processor"] = processor()
        record.setdefault("calls", {}).update(found)
        path.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
        print(f"recorded for {kind} builds in {path}")
        return 0
    faults = compare(found, expected.get(kind, {}), options)
    for fault in faults:
        print(f"DEARER  {fault}")
    if not faults:
        print(f"nothing is dearer than recorded ({kind}; seed {options.seed}, {count} requests of each call, {repetitions} times)")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except program.Failed as error:
        sys.exit(f"gate: {error}")
