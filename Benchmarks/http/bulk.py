#!/usr/bin/env python3
"""Loads short texts over HTTP: how long until 202, and how long until all of them are found.

    bulk.py BINARY [BINARY ...] [--texts 5000] [--per-request 5000] [--metadata] [--alone outrider-bench MODEL] [-- serve options]

Each binary serves an empty folder of its own, one after the other, on the same machine. The words are drawn from a fixed seed. A binary whose
limit of texts a request is lower gets as many requests as it needs. With `--alone` the model embeds the same texts by itself, before and after, and its processor time stands beside.
"""
import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request


def texts(count, words=70):
    generator = random.Random(1)
    vocabulary = ["".join(generator.choice("bcdfghklmnprstvw") + generator.choice("aeiou") for _ in range(generator.randint(1, 4))) for _ in range(4000)]
    for number in range(count):
        sentences, left = [], words
        while left > 0:
            size = min(left, generator.randint(5, 14))
            sentences.append(" ".join(generator.choice(vocabulary) for _ in range(size)).capitalize() + ".")
            left -= size
        yield {"source": f"ticket-{number}", "title": f"Ticket {number}", "text": " ".join(sentences)}


def call(base, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)


def jobs_of(accepted):
    return accepted.get("job_ids") or [accepted["job_id"]]


def measure(binary, arguments, options):
    folder = tempfile.mkdtemp(prefix="outrider-bulk-")
    port_file = os.path.join(folder, "port")
    with open(os.path.join(folder, "log"), "w") as log:
        server = subprocess.Popen([binary, "serve", "--data", os.path.join(folder, "data"), "--port", "0", "--port-file", port_file] + options, stdout=log, stderr=log)
    try:
        while not os.path.exists(port_file):
            if server.poll() is not None:
                sys.exit(f"{binary} ended: {open(os.path.join(folder, 'log')).read()[-2000:]}")
            time.sleep(0.05)
        base = f"http://127.0.0.1:{open(port_file).read().strip()}"
        documents = list(texts(arguments.texts))
        if arguments.metadata:
            for number, document in enumerate(documents):
                document["metadata"] = {"team": f"team {number % 30}"}
        size = arguments.per_request
        start = time.monotonic()
        jobs, accepted, position = [], [], 0
        while position < len(documents):
            begin = time.monotonic()
            try:
                answer = call(base, "POST", "/v1/documents", {"documents": documents[position : position + size]})
            except urllib.error.HTTPError as error:
                if error.code == 400 and size > 1000:
                    size = 1000
                    continue
                raise
            accepted.append(time.monotonic() - begin)
            jobs += jobs_of(answer)
            position += size
        posted = time.monotonic() - start
        for job in jobs:
            while call(base, "GET", f"/v1/jobs/{job}")["state"] in ("queued", "running"):
                time.sleep(0.1)
        seconds = time.monotonic() - start
        total = call(base, "GET", "/v1/documents?limit=1")["total"]
        server.terminate()
        server.wait(60)
        return {
            "binary": binary, "texts": arguments.texts, "per_request": size, "metadata": arguments.metadata, "indexed": total,
            "accepted_s_max": round(max(accepted), 3), "posted_s": round(posted, 3), "indexed_s": round(seconds, 2),
            "documents_per_s": round(total / seconds, 1), "load": os.getloadavg()[0], "options": options,
        }
    finally:
        if server.poll() is None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def alone(bench, model, count):
    """Processor seconds for the vectors of the same texts, with their titles as ingest gives them, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="outrider-bulk-") as folder:
        with open(os.path.join(folder, "in.jsonl"), "w") as file:
            for text in texts(count):
                file.write(json.dumps({"text": f"{text['title']}\n{text['text']}"}) + "\n")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [bench, "embed-corpus", "--model", model, "--in", os.path.join(folder, "in.jsonl"), "--out", os.path.join(folder, "out.npy")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    words = sys.argv[1:]
    options = words[words.index("--") + 1 :] if "--" in words else []
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+")
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--per-request", type=int, default=5000)
    parser.add_argument("--metadata", action="store_true", help="thirty different sets of metadata")
    parser.add_argument("--alone", nargs=2, metavar=("BENCH", "MODEL"))
    arguments = parser.parse_args(words[: words.index("--")] if "--" in words else words)
    embedding = [alone(*arguments.alone, arguments.texts)] if arguments.alone else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for binary in arguments.binaries:
        result = measure(binary, arguments, options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result["cpu_s"] = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)
        if embedding:
            embedding.append(alone(*arguments.alone, arguments.texts))
            result["embedding_alone_cpu_s"] = [round(seconds, 1) for seconds in embedding[-2:]]
            result["cpu_ratio"] = round(result["cpu_s"] / (sum(embedding[-2:]) / 2), 3)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
