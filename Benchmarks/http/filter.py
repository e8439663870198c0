#!/usr/bin/env python3
"""What a filter costs a search: the same questions over HTTP with and without a filter that keeps half of the passages.

    filter.py .build/release/outrider [older/outrider ...] --chunks 320000 --out report.md
    filter.py .build/release/outrider --modes text,vector,hybrid --embedding-model table.static --corpus a.jsonl.gz b.jsonl.gz --questions-file queries.jsonl --out report.md

Each binary fills a folder of its own through `ingest`: documents of sentences in an order from a fixed seed, half of them with `half = yes`, cut into passages of about a
sentence. The sentences are made up, or those of the `--corpus` files (JSON lines with a `text`), two drawn at random for each passage. Then rounds of questions without and
with the filter take turns in each mode. Told are the medians over the rounds of the latency that a client sees, of the `filter` stage, and the server's processor time for
each question; and what the folder and the process take then.
"""

import argparse
import gzip
import http.client
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import disk  # noqa: E402
from harness import Report  # noqa: E402


def words(seed):
    generator = random.Random(seed)
    known = ["".join(generator.choice("bcdfghklmnprstvw") + generator.choice("aeiou") for _ in range(generator.randint(2, 4))) for _ in range(20_000)]
    # Few words are frequent, as in real text.
    return generator, [known[int(20_000 * generator.random() ** 3)] for _ in range(200_000)]


def sentence(generator, stock):
    start = generator.randrange(len(stock) - 20)
    return " ".join(stock[start : start + generator.randint(11, 14)]).capitalize() + "."


def lines(path):
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def sentences(paths):
    """The sentences of 40 to 220 characters of some files, each once."""
    found = {}
    for path in paths:
        for line in lines(path):
            for part in re.split(r"(?<=[.!?])\s+", line["text"]):
                if 40 <= len(part) <= 220:
                    found[" ".join(part.split())] = None
    return list(found)


def fill(binary, folder, chunks, options):
    """Writes the documents and takes them in."""
    generator, stock = words(options.seed)
    real = sentences(options.corpus)
    documents = 200
    for half in ("yes", "no"):
        (folder / half).mkdir()
        for number in range(documents):
            texts = [
                " ".join(generator.sample(real, 2)) if real else sentence(generator, stock) for _ in range(chunks // (2 * documents))
            ]
            (folder / half / f"{number}.txt").write_text("\n\n".join(texts), encoding="utf-8")
    server = Server(binary, folder, options.embedding_model)
    server.call("POST", "/v1/collections", {"name": "f", "settings": {"chunk_tokens": 64 if real else 24, "chunk_overlap_tokens": 0}})
    server.stop()
    for half in ("yes", "no"):
        command = [binary, "ingest", "--data", str(folder / "data"), "--collection", "f", "--embedding-model", options.embedding_model, "--metadata", f"half={half}"]
        subprocess.run([*command, str(folder / half)], check=True, stdout=subprocess.DEVNULL)


class Server:
    def __init__(self, binary, folder, model):
        port = folder / "port"
        port.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [binary, "serve", "--data", str(folder / "data"), "--port", "0", "--port-file", str(port), "--embedding-model", model],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.time() + 120
        while not (port.exists() and port.read_text().strip()):
            if time.time() > deadline or self.process.poll() is not None:
                sys.exit(f"{binary} did not start")
            time.sleep(0.05)
        # One connection that stays: what opening one costs is no part of a search.
        self.connection = http.client.HTTPConnection("127.0.0.1", int(port.read_text()), timeout=600)

    def call(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def cpu_seconds(self):
        """In nanoseconds where the kernel counts them; threads that have ended are left out."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                total += int(pathlib.Path(f"/proc/{self.process.pid}/task/{task}/schedstat").read_text().split()[0])
            except OSError:
                pass
        return total / 1e9

    def megabytes(self, name):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1000

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def round_of(server, questions, mode, filtered):
    before, latencies, stages = server.cpu_seconds(), [], []
    for question in questions:
        body = {"query": question, "mode": mode, "collection": "f", "k": 10}
        if filtered:
            body["filter"] = {"type": "eq", "key": "half", "value": "yes"}
        start = time.perf_counter()
        answer = server.call("POST", "/v1/search", body)
        latencies.append((time.perf_counter() - start) * 1000)
        stages.append(answer["timings_ms"].get("filter", 0))
    return {
        "p50": statistics.median(latencies), "filter": statistics.median(stages), "cpu": (server.cpu_seconds() - before) * 1000 / len(questions),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+")
    parser.add_argument("--chunks", type=int, default=320_000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--modes", default="text")
    parser.add_argument("--embedding-model", default="none")
    parser.add_argument("--corpus", nargs="*", default=[])
    parser.add_argument("--questions-file", help="JSON lines with a 'text'")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    generator, stock = words(options.seed + 1)
    if options.questions_file:
        questions = generator.sample([line["text"] for line in lines(options.questions_file)], options.questions)
    else:
        questions = [" ".join(generator.sample(stock, 5)) for _ in range(options.questions)]
    servers, rows, sizes = [], [], []
    modes = options.modes.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        folders = [pathlib.Path(temporary) / str(number) for number in range(len(options.binaries))]
        try:
            for folder, binary in zip(folders, options.binaries):
                folder.mkdir()
                fill(binary, folder, options.chunks, options)
                servers.append(Server(binary, folder, options.embedding_model))
            found = {(number, mode, filtered): [] for mode in modes for number in range(len(servers)) for filtered in (False, True)}
            for _ in range(options.rounds + 1):
                for number, mode, filtered in found:
                    found[number, mode, filtered].append(round_of(servers[number], questions, mode, filtered))
            counts = [server.call("GET", "/v1/collections/f")["chunks"] for server in servers]
            names = ["/".join(pathlib.Path(binary).parts[-2:]) for binary in options.binaries]
            for (number, mode, filtered), rounds in found.items():
                # The first round reads what no later one has to.
                first, rest = rounds[0], rounds[1:]
                plain = statistics.median(line["cpu"] for line in found[number, mode, False][1:])
                row = {name: statistics.median(line[name] for line in rest) for name in ("p50", "filter", "cpu")}
                rows.append([
                    names[number], counts[number], mode, "half" if filtered else "none", row["p50"], row["filter"], row["cpu"], row["cpu"] / plain, first["p50"],
                ])
            for number, server in enumerate(servers):
                parts = disk.sizes(folders[number] / "data")
                sizes.append([
                    names[number], counts[number], *(size / counts[number] for size in parts.values()), sum(parts.values()) / counts[number],
                    server.megabytes("VmRSS"), server.megabytes("RssAnon"), server.megabytes("VmHWM"),
                ])
        finally:
            for server in servers:
                server.stop()
    report = Report(
        "What a filter costs", chunks=options.chunks, questions=options.questions, rounds=options.rounds, seed=options.seed, modes=options.modes,
        embedding_model=pathlib.Path(options.embedding_model).name, sentences="real" if options.corpus else "made up")
    report.text("Medians over interleaved rounds, after one that is told apart. k = 10, one question at a time; the rounds ask the same questions, so a question's vector is in the cache.")
    report.table(["binary", "passages", "mode", "filter", "p50 ms", "of it filter ms", "CPU ms", "CPU ratio to none", "first round p50 ms"], rows)
    report.text("What is on disk, in bytes for each passage, and the memory of the server after the rounds (resident, of it anonymous, and the largest).")
    report.table(["binary", "passages", "database", "text index", "vector index", "other", "all", "resident MB", "anonymous MB", "peak MB"], sizes)
    report.write(options.out)


if __name__ == "__main__":
    main()
