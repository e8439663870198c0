#!/usr/bin/env python3
"""Measures two versions of Outrider's vector index beside each other: is a change slower, and does it find as much?

    beside.py --new .build/release/outrider-bench --old /path/to/older/outrider ~/.cache/outrider/bench/mnist-784 --out report.md

Each version builds an index of its own. Then, for each recall target, one run of each and of the new one over the old one's index take turns. What is compared is
told by the same search: recall@10, lists visited, rows scanned and refined, CPU time of one query at a time (medians over the repetitions, and the least, which
other work on the machine disturbs least).
"""

import argparse
import functools
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import Report, bench_command, interleave, json_lines  # noqa: E402

FIGURES = [
    ("recall", "recall@10"), ("lists", "lists"), ("scanned", "scanned"), ("refined", "refined"), ("one1_cpu_us", "CPU us"),
    ("p50_us", "p50 us"), ("p99_us", "p99 us"), ("batch1_qps", "batch 1 thread q/s"), ("batch2_qps", "batch 2 threads q/s"),
]


def run(command):
    result = json_lines(command, timeout=1800)
    if not result.ok or not result.rows:
        sys.exit(f"{' '.join(map(str, command))} failed: {result.error}")
    return result.rows[-1]


def compare(options, folder, data):
    """Rows of the table for one data set, and what was measured."""
    indexes = {}
    for name, binary in (("old", options.old), ("new", options.new)):
        indexes[name] = folder / f"{data.name}-{name}"
        run(bench_command(binary, "ann", "build", "--data", str(data), "--index", str(indexes[name]), "--threads", "2"))
    arms = {"old": (options.old, "old"), "new over the old index": (options.new, "old"), "new": (options.new, "new")}
    rows, raw = [], []
    for target in options.targets:
        found = {arm: [] for arm in arms}

        def task(arm, _):
            binary, index = arms[arm]
            line = run(
                bench_command(binary, "ann", "search", "--data", str(data), "--index", str(indexes[index]), "--recall-target", str(target))
            )
            found[arm].append(line)
            raw.append({"arm": arm, "target": target, **line})

        interleave({arm: functools.partial(task, arm) for arm in arms}, options.repetitions)
        base = statistics.median(line["one1_cpu_us"] for line in found["old"])
        least = min(line["one1_cpu_us"] for line in found["old"])
        for arm, lines in found.items():
            cells = [data.name, target, arm, *(statistics.median(line[name] for line in lines) for name, _ in FIGURES)]
            own = [line["one1_cpu_us"] for line in lines]
            rows.append([*cells, f"{statistics.median(own) / base:.3f}", f"{min(own) / least:.3f}"])
    return rows, raw


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=pathlib.Path, help="folders of base.npy, query.npy, gt.npy and meta.json, as data.py makes them")
    parser.add_argument("--new", required=True, help="the program that measures: outrider-bench")
    parser.add_argument("--old", required=True, help="the same of the other version: outrider-bench, or outrider of a version before it")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.95, 0.99])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", required=True, help="the Markdown report")
    options = parser.parse_args()
    rows, raw = [], []
    with tempfile.TemporaryDirectory() as folder:
        for data in options.data:
            more, lines = compare(options, pathlib.Path(folder), data.resolve())
            rows += more
            raw += lines
    report = Report(
        "Vector index: two versions beside each other", targets=options.targets, repetitions=options.repetitions, k=10,
        data=[str(folder.name) for folder in options.data],
    )
    report.text(
        "Medians of interleaved runs; one query at a time on one thread. `CPU ratio` is against the old version on its own index: of the medians, and of the "
        "least of each."
    )
    report.table(["data", "target", "arm", *(title for _, title in FIGURES), "CPU ratio", "least"], rows, digits=4)
    report.raw(raw)
    report.write(options.out)


if __name__ == "__main__":
    main()
