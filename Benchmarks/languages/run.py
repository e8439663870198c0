#!/usr/bin/env python3
"""Search and answers in several languages: does a question find its passage, by words, by vectors and by both?

    run.py --outrider .build/release/outrider [--peer OLDER] [--models default multilingual-e5-small] [--answers]

DATA is a folder with `corpus.jsonl` and `qa.jsonl[.gz]` whose ids name the language, as those of XQuAD do (xquad-<lang>-<article>-<paragraph>): the passages and the questions are
translations of each other. Measured for each binary and model:

    alone      questions of a language over the passages of that language
    together   the same over all passages of all languages in one collection
    across     questions of one language over the passages of another (--across en-de,zh-en), hit@5
    answers    (--answers) share of the questions whose answer holds the reference, of all that were asked

One index is made for each binary, model and set of passages and used for every mode.
"""

import argparse
import datetime
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import Report  # noqa: E402


def lines(folder, name):
    path = folder / name
    with gzip.open(f"{path}.gz", "rt", encoding="utf-8") if not path.exists() else open(path, encoding="utf-8") as source:
        return [json.loads(line) for line in source]


def language(identifier):
    return identifier.split("-")[1].split(":")[0]


def moved(question, target):
    """The same question with the passages of another language as evidence; its answers are in that language and unknown here."""
    evidence = [identifier.replace(f"-{language(identifier)}-", f"-{target}-", 1) for identifier in question["evidence"]]
    return {**question, "evidence": evidence, "answers": []}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=str(HERE.parents[1] / ".." / "shared" / "data" / "xquad"))
    parser.add_argument("--outrider", required=True)
    parser.add_argument("--peer", help="an older binary, measured in the same run")
    parser.add_argument("--peer-name", default="before")
    parser.add_argument("--models", nargs="+", default=["default"], help="'default', or what --embedding-model takes")
    parser.add_argument("--languages", help="comma-separated; all when absent")
    parser.add_argument("--across", default="", help="pairs QUESTION-PASSAGE, comma-separated, or 'all'")
    parser.add_argument("--questions", type=int, default=10**9, help="the first so many of each language")
    parser.add_argument("--modes", default="text,vector,hybrid")
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--answers", action="store_true")
    parser.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-languages.md"))
    options = parser.parse_args()
    data = pathlib.Path(options.data)
    corpus, questions = lines(data, "corpus.jsonl"), lines(data, "qa.jsonl")
    languages = options.languages.split(",") if options.languages else sorted({language(d["_id"]) for d in corpus})
    asked = {l: [q for q in questions if language(q["id"]) == l][: options.questions] for l in languages}
    passages = {l: [d for d in corpus if language(d["_id"]) == l] for l in languages}
    pairs = [(a, b) for a in languages for b in languages if a != b] if options.across == "all" else [
        tuple(pair.split("-")) for pair in options.across.split(",") if pair]
    modes = options.modes.split(",")
    binaries = {"Outrider": options.outrider, **({options.peer_name: options.peer} if options.peer else {})}
    rows = []

    with tempfile.TemporaryDirectory(prefix="outrider-languages-") as temporary:
        base = pathlib.Path(temporary)

        def judge(binary, model, index, documents, some, mode, extra=()):
            """Runs `eval` over these passages; the index of that name is made once."""
            folder = base / "set"
            folder.mkdir(exist_ok=True)
            (folder / "corpus.jsonl").write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents), encoding="utf-8")
            (folder / "qa.jsonl").write_text("".join(json.dumps(q, ensure_ascii=False) + "\n" for q in some), encoding="utf-8")
            kept = base / f"{binary}-{model}-{index}".replace("/", "_")
            command = [binaries[binary], "eval", str(folder), "--mode", mode, "--json", "--keep", str(kept), *extra]
            if model != "default":
                command += ["--embedding-model", model]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{' '.join(command)}: {done.stderr[-500:]}")
            report = json.loads(done.stdout[done.stdout.index("{"):])
            return report

        # An index with vectors first: a text-only run would make one without.
        modes = sorted(modes, key=lambda m: m == "text")
        for binary in binaries:
            for model in options.models:
                if binary != "Outrider" and model != options.models[0]:
                    continue
                for l in languages:
                    for mode in modes:
                        row = judge(binary, model, l, passages[l], asked[l], mode)
                        rows.append({"set": "alone", "build": binary, "model": model, "passages": l, "questions": l, "mode": mode,
                                     "hit@1": row["hit_at_1"], "hit@5": row["recall_at_5"]})
                        print(rows[-1], file=sys.stderr)
                    if options.answers:
                        row = judge(binary, model, l, passages[l], asked[l], "hybrid", ["--answers"])
                        answers = row["answers"]
                        rows.append({"set": "answers", "build": binary, "model": model, "passages": l, "questions": l,
                                     "answered": answers["answerable_answered"], "contained": answers["answer_contained"],
                                     "right": answers["answerable_answered"] * answers["answer_contained"]})
                        print(rows[-1], file=sys.stderr)
                if options.together:
                    everything = [d for l in languages for d in passages[l]]
                    for l in languages:
                        for mode in modes:
                            row = judge(binary, model, "all", everything, asked[l], mode)
                            rows.append({"set": "together", "build": binary, "model": model, "passages": "all", "questions": l, "mode": mode,
                                         "hit@1": row["hit_at_1"], "hit@5": row["recall_at_5"]})
                            print(rows[-1], file=sys.stderr)
                for a, b in pairs:
                    row = judge(binary, model, b, passages[b], [moved(q, b) for q in asked[a]], "hybrid")
                    rows.append({"set": "across", "build": binary, "model": model, "passages": b, "questions": a, "mode": "hybrid",
                                 "hit@1": row["hit_at_1"], "hit@5": row["recall_at_5"]})
                    print(rows[-1], file=sys.stderr)

    report = Report("Languages", data=data.name, languages=" ".join(languages), questions_a_language=max(len(q) for q in asked.values()),
                    passages_a_language=max(len(p) for p in passages.values()))
    for name, title in [("alone", "Questions and passages of one language, hit@1"), ("together", "All passages in one collection, hit@1")]:
        part = [r for r in rows if r["set"] == name]
        if not part:
            continue
        report.section(title)
        table = {}
        for row in part:
            table.setdefault((row["build"], row["model"], row["questions"]), {})[row["mode"]] = row["hit@1"]
        report.table(["build", "model", "language", *modes], [[*key, *(f"{cells[m]:.3f}" for m in modes)] for key, cells in table.items()])
        for build, model in dict.fromkeys((key[0], key[1]) for key in table):
            if "text" in modes and "hybrid" in modes:
                gaps = {key[2]: cells["hybrid"] - cells["text"] for key, cells in table.items() if key[:2] == (build, model)}
                report.text(f"- {build}, {model}: hybrid above text by {sum(gaps.values()) / len(gaps):+.3f} on average; least "
                            f"{min(gaps.values()):+.3f} ({min(gaps, key=gaps.get)}).")
    part = [r for r in rows if r["set"] == "across"]
    if part:
        report.section("Across languages, hybrid")
        report.table(["build", "model", "question", "passages", "hit@1", "hit@5"],
                     [[r["build"], r["model"], r["questions"], r["passages"], f"{r['hit@1']:.3f}", f"{r['hit@5']:.3f}"] for r in part])
        for build, model in dict.fromkeys((r["build"], r["model"]) for r in part):
            values = [r["hit@5"] for r in part if (r["build"], r["model"]) == (build, model)]
            report.text(f"- {build}, {model}: hit@5 {sum(values) / len(values):.3f} on average, {min(values):.3f} at least.")
    part = [r for r in rows if r["set"] == "answers"]
    if part:
        report.section("Answers, extractive, default threshold")
        report.table(["build", "model", "language", "answered", "of these right", "right of all"],
                     [[r["build"], r["model"], r["questions"], f"{r['answered']:.3f}", f"{r['contained']:.3f}", f"{r['right']:.3f}"] for r in part])
    report.raw(rows)
    print(report.write(options.out))


if __name__ == "__main__":
    main()
