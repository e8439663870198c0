#!/usr/bin/env python3
"""What a filter costs a search: the same questions over HTTP with and without a filter that keeps half of the passages.

    filter.py .build/release/outrider [older/outrider ...] --chunks 320000 --out report.md

Each binary fills a folder of its own through `ingest`: documents of made-up sentences from a fixed seed, half of them with `half = yes`, cut into passages of about a
sentence, words alone. Then rounds of questions without and with the filter take turns. Told are the medians over the rounds of the latency that a client sees, of the
`filter` stage, and the server's processor time for each question.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import Report  # noqa: E402


def words(seed):
    generator = random.Random(seed)
    known = ["".join(generator.choice("bcdfghklmnprstvw") + generator.choice("aeiou") for _ in range(generator.randint(2, 4))) for _ in range(20_000)]
    # Few words are frequent, as in real text.
    return generator, [known[int(20_000 * generator.random() ** 3)] for _ in range(200_000)]


def sentence(generator, stock):
    start = generator.randrange(len(stock) - 20)
    return " ".join(stock[start : start + generator.randint(11, 14)]).capitalize() + "."


def fill(binary, folder, chunks, seed):
    """Writes the documents, takes them in, and returns how many passages there are."""
    generator, stock = words(seed)
    documents = 200
    for half in ("yes", "no"):
        (folder / half).mkdir()
        for number in range(documents):
            lines = [sentence(generator, stock) for _ in range(chunks // (2 * documents))]
            (folder / half / f"{number}.txt").write_text("\n\n".join(lines), encoding="utf-8")
    server = Server(binary, folder)
    server.call("POST", "/v1/collections", {"name": "f", "settings": {"chunk_tokens": 24, "chunk_overlap_tokens": 0}})
    server.stop()
    for half in ("yes", "no"):
        command = [binary, "ingest", "--data", str(folder / "data"), "--collection", "f", "--embedding-model", "none", "--metadata", f"half={half}"]
        subprocess.run([*command, str(folder / half)], check=True, stdout=subprocess.DEVNULL)


class Server:
    def __init__(self, binary, folder):
        port = folder / "port"
        port.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [binary, "serve", "--data", str(folder / "data"), "--port", "0", "--port-file", str(port), "--embedding-model", "none"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.time() + 120
        while not (port.exists() and port.read_text().strip()):
            if time.time() > deadline or self.process.poll() is not None:
                sys.exit(f"{binary} did not start")
            time.sleep(0.05)
        self.base = f"http://127.0.0.1:{port.read_text().strip()}"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as response:
            return json.load(response)

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def round_of(server, questions, filtered):
    before, latencies, stages = server.cpu_seconds(), [], []
    for question in questions:
        body = {"query": question, "mode": "text", "collection": "f", "k": 10}
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
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    generator, stock = words(options.seed + 1)
    questions = [" ".join(generator.sample(stock, 5)) for _ in range(options.questions)]
    servers, rows = [], []
    with tempfile.TemporaryDirectory() as temporary:
        try:
            for number, binary in enumerate(options.binaries):
                folder = pathlib.Path(temporary) / str(number)
                folder.mkdir()
                fill(binary, folder, options.chunks, options.seed)
                servers.append(Server(binary, folder))
            found = {(number, filtered): [] for number in range(len(servers)) for filtered in (False, True)}
            for _ in range(options.rounds + 1):
                for key in found:
                    found[key].append(round_of(servers[key[0]], questions, key[1]))
            for (number, filtered), rounds in found.items():
                # The first round reads what no later one has to.
                first, rest = rounds[0], rounds[1:]
                plain = statistics.median(line["cpu"] for line in found[number, False][1:])
                row = {name: statistics.median(line[name] for line in rest) for name in ("p50", "filter", "cpu")}
                chunks = servers[number].call("GET", "/v1/collections/f")["chunks"]
                rows.append([
                    pathlib.Path(options.binaries[number]).parent.name + "/" + pathlib.Path(options.binaries[number]).name, chunks,
                    "half" if filtered else "none", row["p50"], row["filter"], row["cpu"], row["cpu"] / plain, first["p50"],
                ])
        finally:
            for server in servers:
                server.stop()
    report = Report("What a filter costs", chunks=options.chunks, questions=options.questions, rounds=options.rounds, seed=options.seed)
    report.text("Medians over interleaved rounds, after one that is told apart. BM25 alone, k = 10, one question at a time.")
    report.table(["binary", "passages", "filter", "p50 ms", "of it filter ms", "CPU ms", "CPU ratio to none", "first round p50 ms"], rows)
    report.write(options.out)


if __name__ == "__main__":
    main()
