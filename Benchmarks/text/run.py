"""Text search side by side: Outrider, tantivy and SQLite FTS5 over the same passages and the same questions, interleaved.

    run.py --outrider .build/release/outrider-bench --passages passages.jsonl --queries queries.jsonl --out report.md

The questions are those of the file that have about ten words (8 to 13), so that a question is one a person would type. Every engine builds its index
once; then each repetition runs every engine in a process of its own that opens its index from disk and searches with one thread. Medians over the
repetitions. `cpu` is processor time of the searching thread, which a busy machine does not change; the plain columns are what a clock says.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import Report, bench_command, cache_folder, interleave, json_lines, medians  # noqa: E402

PEERS = str(HERE / "peers.py")


def pick_questions(path, target, words, count):
    """Writes the questions of a length in words; returns how many, and their mean length."""
    lengths = []
    with open(path, encoding="utf-8") as source, open(target, "w", encoding="utf-8") as out:
        for line in source:
            record = json.loads(line)
            length = len(re.findall(r"\w+", record["text"]))
            if words[0] <= length <= words[1] and len(lengths) < count:
                lengths.append(length)
                out.write(json.dumps({"id": str(record.get("id", len(lengths))), "text": record["text"]}, ensure_ascii=False) + "\n")
    return len(lengths), sum(lengths) / max(1, len(lengths))


def flat(name, report):
    """One engine's report as a row of numbers."""
    searches = report.get("compact_searches") or report["searches"]
    latency = searches["latency_ms"]
    build = report.get("build") or {}
    fresh = report.get("freshness") or {}
    return {
        "engine": name, "queries": searches["queries"], "segments": searches.get("segments"), "hits": searches["hits"],
        "p50": latency["p50"], "p99": latency["p99"], "mean": latency["mean"],
        "cpu_p50": latency["cpu_p50"], "cpu_p99": latency["cpu_p99"], "cpu_mean": latency["cpu_mean"],
        "build_s": build.get("seconds"), "build_cpu_s": build.get("cpu_seconds"), "bytes_per_passage": report["bytes_per_passage"],
        "rss_MB": report["rss_bytes"] / 1e6, "found_ms": fresh.get("found_after_add_ms"), "gone_ms": fresh.get("gone_after_remove_ms"),
        "checksum": searches.get("checksum"), "passages": report["passages"],
    }


def overlap(left, right):
    """Mean share of common ids in two files of result lists, over the questions where both have results."""
    shares = []
    with open(left) as a, open(right) as b:
        for one, two in zip(a, b):
            one, two = set(json.loads(one)), set(json.loads(two))
            if one and two:
                shares.append(len(one & two) / max(len(one), len(two)))
    return sum(shares) / max(1, len(shares))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outrider", required=True, help="the program that measures, outrider-bench")
    parser.add_argument("--subcommand", default="text", help=argparse.SUPPRESS)
    corpus = cache_folder() / "bench" / "corpus"
    parser.add_argument("--passages", default=str(corpus / "passages-1m.jsonl"), help="made by Benchmarks/ann/corpus.py when it is missing")
    parser.add_argument("--queries", default=str(corpus / "queries.jsonl"))
    parser.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-text.md"), help="the Markdown report")
    parser.add_argument("--python", default=sys.executable, help="a Python that has tantivy")
    parser.add_argument("--folder", help="where the indexes are kept; a temporary folder when absent")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--query-count", type=int, default=1000)
    parser.add_argument("--fts5-query-count", type=int, default=150, help="FTS5 is slow: the first so many questions")
    parser.add_argument("--words", type=int, nargs=2, default=[8, 13])
    parser.add_argument("--k", type=int, default=100)
    options = parser.parse_args()
    if options.passages == str(corpus / "passages-1m.jsonl") and not os.path.exists(options.passages):
        subprocess.run([sys.executable, str(HERE.parent / "ann" / "corpus.py"), "--cache", str(corpus.parent)], check=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        questions = str(folder / "questions.jsonl")
        count, mean_words = pick_questions(options.queries, questions, options.words, options.query_count)
        if not count:
            sys.exit(f"{options.queries} has no question of {options.words[0]} to {options.words[1]} words")
        files = [options.passages, questions, "--k", str(options.k)]
        ours = bench_command(options.outrider, *options.subcommand.split(), *files)
        peer = [options.python, PEERS]
        kept, untidy = str(folder / "outrider"), str(folder / "outrider-untidy")
        commands = {
            "Outrider": [*ours, "--keep", kept, "--no-compact"],
            "Outrider, while passages come": [*ours, "--keep", untidy, "--no-compact", "--untidy"],
            "tantivy": [*peer, "tantivy", *files, "--keep", str(folder / "tantivy")],
            "tantivy, stop words kept": [*peer, "tantivy", *files, "--keep", str(folder / "tantivy"), "--stop-words", "keep"],
            "FTS5": [*peer, "fts5", *files, "--keep", str(folder / "fts5"), "--query-count", str(options.fts5_query_count)],
            "Outrider, FTS5's questions": [*ours, "--keep", kept, "--no-compact", "--query-count", str(options.fts5_query_count)],
        }
        builds, raw = {}, []

        def measure(name, extra=()):
            result = json_lines([*commands[name], *extra], timeout=3600)
            if not result.ok or not result.rows:
                sys.exit(f"{name} failed: {result.error}")
            return result.rows[-1]

        # First the builds, with the checks that are done once.
        for name, extra in [
            ("Outrider", ["--results", str(folder / "outrider.ids")]), ("Outrider, while passages come", []),
            ("tantivy", ["--results", str(folder / "tantivy.ids"), "--freshness"]), ("FTS5", ["--freshness"]),
        ]:
            print(f"building: {name}", file=sys.stderr)
            builds[name] = measure(name, extra)
            raw.append({"phase": "build", "name": name, **builds[name]})

        def task(name):
            return lambda repetition: flat(name, measure(name))

        def told(name, repetition, row):
            raw.append({"phase": "search", "repetition": repetition, **row})
            print(f"{repetition + 1}: {name}: p50 {row['p50']:.2f} ms, p99 {row['p99']:.2f} ms", file=sys.stderr)

        rows = [row for _, _, row in interleave({name: task(name) for name in commands}, options.repetitions, after=told)]
        table = {row["engine"]: row for row in medians(rows, ["engine"], spread_of="cpu_p50")}

        checksums = {row["checksum"] for row in rows if row["engine"] in ("Outrider", "Outrider, while passages come")}
        # Sqlite's engine is always the same; the version is what the interpreter was linked with.
        report = Report(
            "Text search: BM25 over passages", packages=["tantivy"], passages=builds["Outrider"]["passages"], questions=count,
            words_a_question=round(mean_words, 1), k=options.k, repetitions=options.repetitions, threads=1)
        report.text(f"SQLite {builds['FTS5']['version']}. Passages from `{pathlib.Path(options.passages).name}`, questions from "
                    f"`{pathlib.Path(options.queries).name}`; milliseconds.")
        report.section("Searching")
        headers = ["engine", "questions", "p50", "p99", "mean", "cpu p50", "cpu p99", "cpu mean", "segments", "RSS MB"]
        report.table(headers, [[r["engine"], r["queries"], r["p50"], r["p99"], r["mean"], r["cpu_p50"], r["cpu_p99"], r["cpu_mean"],
                                r["segments"], r["rss_MB"]] for r in table.values()])
        tantivy, fts5 = table["tantivy"], table["FTS5"]
        mine, coming, small = table["Outrider"], table["Outrider, while passages come"], table["Outrider, FTS5's questions"]
        report.text("\n".join([
            f"- tantivy's time over Outrider's: p50 {tantivy['cpu_p50'] / mine['cpu_p50']:.2f}x, p99 {tantivy['cpu_p99'] / mine['cpu_p99']:.2f}x"
            " (processor time; stop words taken out of tantivy's questions, its index in one segment; Outrider's as a server leaves it when no more passages come)."
            f" While they come: p50 {tantivy['cpu_p50'] / coming['cpu_p50']:.2f}x, p99 {tantivy['cpu_p99'] / coming['cpu_p99']:.2f}x.",
            f"- FTS5's time over Outrider's, same questions: p50 {fts5['cpu_p50'] / small['cpu_p50']:.0f}x, "
            f"p99 {fts5['cpu_p99'] / small['cpu_p99']:.0f}x.",
            f"- Outrider's results are the same in {coming['segments']:.0f} segments and in {mine['segments']:.0f}, in every repetition: {len(checksums) == 1}.",
            f"- Of the {options.k} best passages, tantivy and Outrider have {overlap(folder / 'outrider.ids', folder / 'tantivy.ids') * 100:.0f} % in "
            "common (k1, b, length coding and tokenizers differ).",
        ]))
        report.section("Building and changing")
        rows = []
        for name, built in builds.items():
            row = flat(name, built)
            rows.append([name, row["build_s"], row["build_cpu_s"], built.get("compact_bytes_per_passage") or row["bytes_per_passage"],
                         row["found_ms"], row["gone_ms"]])
        report.table(["engine", "build s", "build cpu s", "bytes/passage", "found after add, ms", "gone after remove, ms"], rows)
        build = builds["Outrider"]["build"]
        report.text(
            f"Outrider adds {build['passages_per_cpu_second']:,.0f} passages a second of processor time, {build['seal_count']} seals of "
            f"{build['seal_ms_p50']:.0f} ms (median; {build['seal_ms_max']:.0f} ms at most, with merging); an add takes {build['add_ms_p50']:.2f} ms "
            f"(median), {build['add_ms_max']:.0f} ms at most. Tidying at the end, part of the time: {build['tidy_seconds']:.1f} s. "
            "Opening reads and checks every byte: "
            f"{builds['Outrider']['open_ms']:.0f} ms. tantivy and FTS5 show a change after a commit.")
        report.raw(raw)
        print(report.write(options.out))


if __name__ == "__main__":
    main()
