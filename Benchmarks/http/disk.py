#!/usr/bin/env python3
"""What a chunk takes on the disk, by file.

    disk.py BINARY [BINARY ...] [--texts 10000] [--corpus corpus.jsonl[.gz] ...] [--documents 0] [--compact] [-- serve options]

Each binary fills a folder of its own, one after the other: `--texts` passages over HTTP, a document each (from the corpora, then made up from a fixed seed), and
`--documents` long made-up files of about 200 chunks each, through `ingest`. The server is then ended, as at the end of a day, and the files are measured; with `--compact` again
after `outrider compact`. Told are bytes a chunk: those of the database, of the text index, and of the vector index. `verify` must find nothing.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from bulk import call


def vocabulary(generator):
    # Few words are frequent, as in real text.
    known = ["".join(generator.choice("bcdfghklmnprstvw") + generator.choice("aeiou") for _ in range(generator.randint(1, 4))) for _ in range(20_000)]
    return lambda: known[int(20_000 * generator.random() ** 3)]


def made_up(generator, word, count):
    sentences, left = [], count
    while left > 0:
        size = min(left, generator.randint(5, 14))
        sentences.append(" ".join(word() for _ in range(size)).capitalize() + ".")
        left -= size
    return " ".join(sentences)


def passages(count, corpora):
    """From the corpora as long as they last, each cut to what is one chunk."""
    number = 0
    for path in corpora:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if number == count:
                    return
                record = json.loads(line)
                text = record["text"]
                if len(text) > 600:
                    text = text[: text.rfind(". ", 0, 600) + 1 or 600]
                yield {"source": f"passage-{number}", "title": record.get("title", ""), "text": text}
                number += 1
    generator = random.Random(1)
    word = vocabulary(generator)
    while number < count:
        yield {"source": f"passage-{number}", "title": f"Passage {number}", "text": made_up(generator, word, 45)}
        number += 1


def write_documents(folder, count):
    generator = random.Random(2)
    word = vocabulary(generator)
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text("\n\n".join(made_up(generator, word, generator.randint(60, 180)) for _ in range(200)), encoding="utf-8")


def sizes(data):
    """Bytes that the files take, by what they are."""
    found = {"database": 0, "text index": 0, "vector index": 0, "other": 0}
    for path in data.rglob("*"):
        if not path.is_file():
            continue
        parts = path.relative_to(data).parts
        kind = "database" if parts[0].startswith("outrider.sqlite") else "other"
        if parts[0] == "index" and len(parts) > 2:
            kind = "text index" if parts[2] == "text" else "vector index"
        found[kind] += path.stat().st_blocks * 512
    return found


def run(binary, *words):
    return subprocess.run([binary, *words], check=True, capture_output=True, text=True).stdout


def measure(binary, options, serve_options, scratch):
    data, port_file = scratch / "data", scratch / "port"
    start = time.monotonic()
    with open(scratch / "log", "w") as log:
        server = subprocess.Popen([binary, "serve", "--data", str(data), "--port", "0", "--port-file", str(port_file), *serve_options], stdout=log, stderr=log)
    try:
        while not port_file.exists():
            if server.poll() is not None:
                sys.exit(f"{binary} ended: {(scratch / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        base = f"http://127.0.0.1:{port_file.read_text().strip()}"
        waiting = list(passages(options.texts, options.corpus))
        for position in range(0, len(waiting), 1000):
            answer = call(base, "POST", "/v1/documents", {"documents": waiting[position : position + 1000]})
            for job in answer.get("job_ids") or [answer["job_id"]]:
                while call(base, "GET", f"/v1/jobs/{job}")["state"] in ("queued", "running"):
                    time.sleep(0.1)
        server.terminate()
        server.wait(300)
    finally:
        if server.poll() is None:
            server.kill()
    if options.documents:
        write_documents(scratch / "files", options.documents)
        run(binary, "ingest", "--data", str(data), *serve_options, str(scratch / "files"))
    seconds = time.monotonic() - start
    found = [("as it was filled", sizes(data))]
    if options.compact:
        run(binary, "compact", "--data", str(data))
        found.append(("after compact", sizes(data)))
    flaws = subprocess.run([binary, "verify", "--data", str(data)], capture_output=True, text=True)
    if flaws.returncode != 0:
        sys.exit(f"verify: {flaws.stdout[-2000:]}{flaws.stderr[-2000:]}")
    import sqlite3

    with sqlite3.connect(f"file:{data}/outrider.sqlite?mode=ro", uri=True) as database:
        chunks, text, documents = database.execute("SELECT count(*), sum(length(CAST(text AS BLOB))), count(DISTINCT document) FROM chunks").fetchone()
    return [
        {"binary": binary, "when": when, "documents": documents, "chunks": chunks, "text": text / chunks, **{k: v / chunks for k, v in one.items()},
         "total": sum(one.values()) / chunks, "seconds": round(seconds, 1)}
        for when, one in found
    ]


def main():
    words = sys.argv[1:]
    serve_options = words[words.index("--") + 1 :] if "--" in words else []
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--corpus", nargs="*", default=[])
    parser.add_argument("--documents", type=int, default=0)
    parser.add_argument("--compact", action="store_true")
    parser.add_argument("--keep", help="a folder that keeps what was filled")
    options = parser.parse_args(words[: words.index("--")] if "--" in words else words)
    columns = ["text", "database", "text index", "vector index", "other", "total"]
    print("| binary | when | documents | chunks | " + " | ".join(columns) + " | seconds |")
    print("| --- " * (5 + len(columns)) + "|")
    for number, binary in enumerate(options.binaries):
        with tempfile.TemporaryDirectory(prefix="outrider-disk-") as scratch:
            folder = pathlib.Path(options.keep) / str(number) if options.keep else pathlib.Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            for row in measure(binary, options, serve_options, folder):
                figures = " | ".join(f"{row[c]:,.0f}" for c in columns)
                print(f"| {os.path.basename(os.path.dirname(binary))} | {row['when']} | {row['documents']} | {row['chunks']} | {figures} | {row['seconds']} |", flush=True)


if __name__ == "__main__":
    main()
