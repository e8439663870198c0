#!/usr/bin/env python3
"""What an extractive answer costs, of one build or of two beside each other: processor time, and whether both say the same.

    run.py --new .build/release/outrider --old ../older/.build/release/outrider --model FILE --data ../shared/data --count 60

One collection holds the passages of ClapNQ, HotpotQA, SciFact and Wikipedia (the last two cut to --cut), taken in once by the first binary. Then each repetition starts
every server anew, with an empty memory of sentences, asks each one --count questions of ClapNQ and as many claims of SciFact over HTTP, one after another and in turn,
and tells the processor time of the server's process for each answer and for the search alone. No question is asked twice of a process but by its search, which comes
after its answer with another ending, so that its vector is not remembered. `the same` is the share of questions with the same text, byte for byte, and the same decision.
"""

import argparse
import gzip
import json
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "peers")]

import program  # noqa: E402
from harness import Report  # noqa: E402

WARM_UP = 8


def lines(path):
    path = path if path.exists() else path.with_name(path.name + ".gz")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        return [json.loads(line) for line in file.read().split(b"\n") if line.strip()]


def passages(data, cut):
    for name in ("clapnq", "hotpotqa-100", "scifact", "wiki-distractors"):
        found = lines(data / name / "corpus.jsonl")
        if name in ("scifact", "wiki-distractors"):
            found = random.Random(1).sample(found, min(cut, len(found)))
        yield from ({"id": f"{name}/{p['_id']}", "title": p.get("title") or None, "text": p["text"], "metadata": {}} for p in found)


def questions(data, count, seed):
    r = random.Random(seed)
    asked = r.sample([q["question"] for q in lines(data / "clapnq" / "qa.jsonl")], count + WARM_UP)
    claims = r.sample([q["text"] for q in lines(data / "scifact" / "queries.jsonl")], count)
    rest = [("clapnq", q) for q in asked[WARM_UP:]] + [("scifact", c) for c in claims]
    r.shuffle(rest)
    return asked[:WARM_UP], rest


class Side:
    def __init__(self, binary, folder, model):
        self.server = program.Outrider(binary, folder, model)
        # The process's clock, of all its threads, ended ones too (clock_getcpuclockid).
        self.clock = (~self.server.pid << 3) | 2

    def ask(self, path, body):
        before, begin = time.clock_gettime(self.clock), time.perf_counter()
        status, answer = program.call(self.server.port, "POST", path, body)
        if status != 200:
            raise program.Failed(f"{path} answers {status}: {answer}")
        took = time.perf_counter() - begin
        time.sleep(0.003)  # what the process does behind its answer belongs to it
        return answer, 1000 * (time.clock_gettime(self.clock) - before), 1000 * took

    def answer(self, question):
        return self.ask("/v1/answer", {"question": question, "generator": "extractive"})

    def search(self, question):
        return self.ask("/v1/search", {"query": question + " ?", "k": 8})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--new", required=True)
    parser.add_argument("--old")
    parser.add_argument("--new-name", default="after", help="how the report calls them, such as a commit")
    parser.add_argument("--old-name", default="before")
    parser.add_argument("--model", help="the embedding model's file")
    parser.add_argument("--data", required=True)
    parser.add_argument("--folder", help="keeps the filled data folder for the next run")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--cut", type=int, default=1500)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--out")
    options = parser.parse_args()
    data = pathlib.Path(options.data)
    binaries = {options.old_name: options.old, options.new_name: options.new} if options.old else {options.new_name: options.new}
    report = Report("What an extractive answer costs", questions=2 * options.count, cut=options.cut, repetitions=options.repetitions, sides=", ".join(binaries))
    rows, texts = [], {name: {} for name in binaries}
    with tempfile.TemporaryDirectory() as scratch:
        filled = pathlib.Path(options.folder or scratch) / "filled"
        if not filled.exists():
            making = filled.with_name("filling")
            shutil.rmtree(making, ignore_errors=True)
            server = program.Outrider(next(iter(binaries.values())), making, options.model)
            try:
                server.fill(list(passages(data, options.cut)))
                server.rest()
            finally:
                server.stop()
            making.rename(filled)
        for repetition in range(options.repetitions):
            warm, asked = questions(data, options.count, 1)
            sides = {}
            try:
                for name, binary in binaries.items():
                    folder = pathlib.Path(scratch) / f"{name.replace('/', '_')}-{repetition}"
                    shutil.copytree(filled, folder)
                    sides[name] = Side(binary, folder, options.model)
                    for question in warm:
                        sides[name].answer(question)
                    sides[name].server.rest()
                for number, (kind, question) in enumerate(asked):
                    order = list(sides) if (number + repetition) % 2 == 0 else list(reversed(sides))
                    for name in order:
                        answer, cpu, wall = sides[name].answer(question)
                        _, search, _ = sides[name].search(question)
                        texts[name][question] = (answer["refused"], answer["answer"])
                        rows.append(
                            {"side": name, "set": kind, "cpu_ms": cpu, "wall_ms": wall, "search_cpu_ms": search, "score_ms": answer.get("timings_ms", {}).get("score"),
                             "refused": answer["refused"], "confidence": answer["confidence"], "question": question})
            finally:
                for side in sides.values():
                    side.server.stop()
    table = []
    for name in binaries:
        for kind in ("clapnq", "scifact", "all"):
            mine = [row for row in rows if row["side"] == name and kind in (row["set"], "all")]
            cpu = [row["cpu_ms"] for row in mine]
            search = [row["search_cpu_ms"] for row in mine]
            table.append(
                [name, kind, statistics.median(cpu), statistics.mean(cpu), sorted(cpu)[int(0.9 * len(cpu))], statistics.median(row["wall_ms"] for row in mine),
                 statistics.median(search), statistics.mean(search), sum(row["refused"] for row in mine) / len(mine)])
    report.table(["side", "questions", "CPU ms, median", "mean", "p90", "wall ms, median", "search: CPU ms, median", "mean", "refused"], table)
    if options.old:
        old, new = texts[options.old_name], texts[options.new_name]
        decided = sum(old[q][0] == new[q][0] for q in old) / len(old)
        both = [q for q in old if not old[q][0] and not new[q][0]]
        same = sum(old[q] == new[q] for q in old) / len(old)
        share = sum(old[q] == new[q] for q in both) / max(1, len(both))
        report.text(f"The same decision: {decided:.1%} of the questions; the same text: {same:.1%}; of the {len(both)} that both answer: {share:.1%}.")
    report.raw(rows)
    print("\n\n".join(report.parts[-2:]))
    if options.out:
        report.write(options.out)


if __name__ == "__main__":
    main()
