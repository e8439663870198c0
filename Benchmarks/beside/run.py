#!/usr/bin/env python3
"""Two builds of Outrider beside each other: answers on question-answering sets, rankings on BEIR folders, and word search, interleaved.

    run.py --new .build/release/outrider --old /path/to/older/outrider --questions ../shared/data/clapnq --beir ../shared/data/scifact --out report.md

    questions   `eval DIR --json`: share answered and refused, area under the curve, latency of an answer; CPU seconds of the whole process
    beir        `eval DIR --mode hybrid --json`: nDCG@10, recall@100, latency of a search
    text        `bench text PASSAGES QUERIES`: CPU time of a word search (--passages and --queries, JSON lines)

Each run has a data folder of its own. CPU seconds are those of the process, user and system; medians over the repetitions, and the ratio of the medians.
"""

import argparse
import datetime
import functools
import pathlib
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from harness import Report, bench_command, interleave, json_lines  # noqa: E402


def flat(value, prefix=""):
    """A report's numbers under names with dots; curves and texts are left out."""
    if isinstance(value, dict):
        return {name: number for key, part in value.items() for name, number in flat(part, f"{prefix}{key}.").items()}
    return {prefix[:-1]: value} if isinstance(value, (int, float)) and not isinstance(value, bool) else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--new", required=True)
    parser.add_argument("--old", required=True)
    parser.add_argument("--old-name", default="before", help="how the report calls them, such as a commit")
    parser.add_argument("--new-name", default="after")
    parser.add_argument("--new-bench", help="outrider-bench of the new build, for text")
    parser.add_argument("--old-bench", help="outrider-bench of the old build; the product itself where the measurements were still in it")
    parser.add_argument("--questions", nargs="*", default=[])
    parser.add_argument("--beir", nargs="*", default=[])
    parser.add_argument("--passages")
    parser.add_argument("--queries")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-beside.md"))
    options = parser.parse_args()
    # Runs begin in a folder of their own.
    for name in ("new", "old", "new_bench", "old_bench", "passages", "queries"):
        if getattr(options, name):
            setattr(options, name, str(pathlib.Path(getattr(options, name)).resolve()))
    options.questions = [str(pathlib.Path(folder).resolve()) for folder in options.questions]
    options.beir = [str(pathlib.Path(folder).resolve()) for folder in options.beir]

    tasks = {}
    for folder in options.questions:
        tasks[f"questions {pathlib.Path(folder).name}"] = lambda binary, folder=folder: [binary, "eval", folder, "--answers", "--json"]
    for folder in options.beir:
        tasks[f"beir {pathlib.Path(folder).name}"] = lambda binary, folder=folder: [binary, "eval", folder, "--mode", "hybrid", "--json"]
    if options.passages:
        benches = {options.new: options.new_bench or options.new, options.old: options.old_bench or options.old}
        tasks["text"] = lambda binary: bench_command(benches[binary], "text", options.passages, options.queries, "--k", "100")

    report = Report("Two builds beside each other", repetitions=options.repetitions, old=options.old_name, new=options.new_name)
    report.text("Medians of interleaved runs. `ratio` is new to old; for CPU and latency less is better.")
    raw = []
    for name, command in tasks.items():
        found = {"old": [], "new": []}

        def run(arm, _, found=found, command=command, name=name):
            with tempfile.TemporaryDirectory() as folder:
                result = json_lines([str(part) for part in command(getattr(options, arm))], timeout=3600, cwd=folder)
            if not result.ok or not result.rows:
                sys.exit(f"{name}, {arm} failed: {result.error}")
            row = {**flat(result.rows[-1]), "process CPU s": result.cpu_s}
            found[arm].append(row)
            raw.append({"task": name, "arm": arm, **row})
            print(f"{name}, {arm}: {result.cpu_s:.2f} CPU s", file=sys.stderr)

        interleave({arm: functools.partial(run, arm) for arm in found}, options.repetitions)
        rows = []
        for key in found["new"][0]:
            values = {arm: [row[key] for row in lines if key in row] for arm, lines in found.items()}
            if not all(values.values()):
                continue
            old, new = (statistics.median(values[arm]) for arm in ("old", "new"))
            rows.append([key, old, new, f"{new / old:.3f}" if old else ""])
        report.text(f"## {name}")
        report.table(["figure", "old", "new", "ratio"], rows, digits=4)
    report.raw(raw)
    report.write(options.out)


if __name__ == "__main__":
    main()
