#!/usr/bin/env python3
"""Taking documents in, beside another build of Outrider: CPU seconds, speed and memory of the whole process, interleaved.

    run.py --outrider .build/release/outrider --peer /path/to/older/outrider --out report.md

    documents   a folder of real documents (--documents, default ../shared/data/documents/files) and 300 generated ones, with vectors and by words alone
    large       one CSV and one text file of --large megabytes each, by words alone: parsing and chunking
    http        5,000 texts of about 90 tokens posted to `serve` in five requests (http-words: by words alone, no vectors): until the last 202, and until all can be found

The generated files come from a seed: sentences of words drawn by Zipf's law, as text, Markdown, HTML and CSV. Every run has a data folder of its own, which is removed after it.
CPU seconds are those of the process and its parsers, user and system, which other work on the machine disturbs least; wall time is what a person waits.
"""

import argparse
import datetime
import http.client
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import Report, interleave, medians  # noqa: E402


class Words:
    """Sentences from a seed: invented words, the common ones short, drawn by Zipf's law."""

    def __init__(self, seed, count=8000):
        self.random = random.Random(seed)
        consonants, vowels = "bcdfghklmnprstvw", "aeiou"
        self.words = []
        for rank in range(count):
            syllables = 1 + min(3, rank.bit_length() // 4)
            self.words.append("".join(self.random.choice(consonants) + self.random.choice(vowels) for _ in range(syllables)))
        weights = [1 / (rank + 3) for rank in range(count)]
        total = 0
        self.cumulative = [total := total + weight for weight in weights]

    def sentence(self):
        words = self.random.choices(self.words, cum_weights=self.cumulative, k=self.random.randint(6, 22))
        if self.random.random() < 0.2:
            words.insert(self.random.randrange(len(words)), str(self.random.randint(1, 9999)))
        return " ".join(words).capitalize() + "."

    def paragraph(self):
        return " ".join(self.sentence() for _ in range(self.random.randint(3, 7)))


def make_documents(folder, seed, count, size):
    """`count` files of about `size` bytes: a third each of text, Markdown and HTML."""
    words = Words(seed)
    for index in range(count):
        parts, length = [], 0
        while length < size:
            if length == 0 or words.random.random() < 0.2:
                parts.append(("head", words.sentence()[:60]))
            parts.append(("text", words.paragraph()))
            length += len(parts[-1][1])
        kind = ("txt", "md", "html")[index % 3]
        if kind == "txt":
            body = "\n\n".join(text for _, text in parts)
        elif kind == "md":
            body = "\n\n".join(("## " if what == "head" else "") + text for what, text in parts)
        else:
            body = "<!DOCTYPE html><html><body>" + "\n".join(f"<{'h2' if w == 'head' else 'p'}>{t}</{'h2' if w == 'head' else 'p'}>" for w, t in parts)
            body += "</body></html>"
        (folder / f"file-{index:03d}.{kind}").write_text(body, encoding="utf-8")


def make_large(folder, seed, size):
    """One CSV of rows with eight columns, one text of paragraphs, `size` bytes each."""
    words = Words(seed)
    with open(folder / "large.csv", "w", encoding="utf-8") as out:
        out.write("number,name,city,quantity,price,remark,colour,note\n")
        row, written = 0, 0
        while written < size:
            row += 1
            cells = [str(row), *(words.sentence()[:20].strip(".") for _ in range(2)), str(row % 97), f"{row % 1000 / 8:.2f}", words.sentence(), "red", ""]
            line = ",".join(f'"{c}"' if "," in c else c for c in cells) + "\n"
            written += out.write(line)
    with open(folder / "large.txt", "w", encoding="utf-8") as out:
        written = 0
        while written < size:
            written += out.write(words.paragraph() + "\n\n")


def run(command, limit):
    """A process to its end: wall and CPU seconds of it and its children, the peak of its memory, and its status (None: ran past the limit)."""
    started = time.perf_counter()
    with open(os.devnull, "r+b") as nothing, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=errors)
        status, usage = None, None
        while usage is None:
            pid, code, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                status, usage = os.waitstatus_to_exitcode(code), used
            elif time.perf_counter() - started > limit:
                child.kill()
                _, _, usage = os.wait4(child.pid, 0)
            else:
                time.sleep(0.01)
        child.returncode = status if status is not None else -9
        errors.seek(0)
        words = errors.read().decode("utf-8", "replace").strip().splitlines()
    return {
        "wall_s": time.perf_counter() - started, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_MB": usage.ru_maxrss / 1024,
        "status": status, "last_words": words[-1] if words and status else "",
    }


def ingest(binary, paths, arguments, limit):
    folder = tempfile.mkdtemp(prefix="outrider-bench-")
    try:
        row = run([binary, "ingest", *map(str, paths), "--data", folder, *arguments], limit)
        listed = subprocess.run([binary, "collections", "--data", folder, "--json"], capture_output=True, text=True)
        lines = [json.loads(line) for line in listed.stdout.splitlines() if line.startswith("{")]
        row["documents"] = sum(line["documents"] for line in lines)
        row["chunks"] = sum(line["chunks"] for line in lines)
        return row
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, method, path, body=None, timeout=300):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def post_texts(binary, posts, arguments, limit):
    """Seconds until the last 202 and until every document is there, and the server's CPU seconds."""
    folder, port = tempfile.mkdtemp(prefix="outrider-bench-"), free_port()
    server = subprocess.Popen(
        [binary, "serve", "--data", folder, "--port", str(port), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                if call(port, "GET", "/health/ready", timeout=2)[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        wanted = sum(len(json.loads(post)["documents"]) for post in posts)
        started = time.perf_counter()
        slowest = 0
        for post in posts:
            begun = time.perf_counter()
            status, answer = call(port, "POST", "/v1/documents", post)
            slowest = max(slowest, time.perf_counter() - begun)
            if status not in (200, 202):
                sys.exit(f"{binary}: a post was answered {status}: {answer[:200]!r}")
        posted = time.perf_counter() - started
        found = 0
        while found < wanted and time.perf_counter() - started < limit:
            time.sleep(0.1)
            listing = json.loads(call(port, "GET", "/v1/collections")[1])
            rows = listing.get("collections") or listing.get("data") or []
            found = sum(row.get("documents", row.get("document_count", 0)) for row in rows)
        done = time.perf_counter() - started
        clock = os.sysconf("SC_CLK_TCK")
        fields = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu = (int(fields[11]) + int(fields[12])) / clock
        return {"slowest_post_s": slowest, "posted_s": posted, "done_s": done, "documents": found, "per_s": found / done, "cpu_s": cpu}
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outrider", required=True)
    parser.add_argument("--peer", required=True, help="the binary to compare with")
    parser.add_argument("--peer-name", default="before", help="how the report calls it")
    parser.add_argument("--documents", default=str(HERE.parents[1] / ".." / "shared" / "data" / "documents" / "files"))
    parser.add_argument("--generated", type=int, default=300)
    parser.add_argument("--generated-size", type=int, default=8000)
    parser.add_argument("--large", type=float, default=50, help="megabytes of the large CSV and text")
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--limit", type=float, default=1200, help="seconds after which a run is ended and counted as not done")
    parser.add_argument("--only", default="documents,words,large,http")
    parser.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-ingest.md"))
    options = parser.parse_args()
    wanted = set(options.only.split(","))
    binaries = {"Outrider": options.outrider, options.peer_name: options.peer}
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryDirectory(prefix="outrider-bench-files-") as temporary:
        files = pathlib.Path(temporary)
        generated, large = files / "generated", files / "large"
        generated.mkdir(), large.mkdir()
        make_documents(generated, options.seed, options.generated, options.generated_size)
        if "large" in wanted:
            make_large(large, options.seed + 1, int(options.large * 1e6))
        words = Words(options.seed + 2)
        documents = [
            {"source": f"text-{index}", "text": " ".join(words.sentence() for _ in range(5)), "metadata": {"year": 2000 + index % 10, "team": f"t{index % 7}"}}
            for index in range(options.texts)
        ]
        posts = [json.dumps({"documents": documents[start:start + 1000]}) for start in range(0, len(documents), 1000)]
        folders = [generated] + ([pathlib.Path(options.documents)] if os.path.isdir(options.documents) else [])
        nothing = ["--embedding-model", "none"]
        tasks = {}
        for name, binary in binaries.items():
            if "documents" in wanted:
                tasks[("documents, with vectors", name)] = lambda _, b=binary: ingest(b, folders, [], options.limit)
            if "words" in wanted:
                tasks[("documents, words alone", name)] = lambda _, b=binary: ingest(b, folders, nothing, options.limit)
            if "large" in wanted:
                tasks[("large CSV", name)] = lambda _, b=binary: ingest(b, [large / "large.csv"], nothing, options.limit)
                tasks[("large text", name)] = lambda _, b=binary: ingest(b, [large / "large.txt"], nothing, options.limit)
            if wanted & {"http", "http-words"}:
                tasks[("texts over HTTP, words alone", name)] = lambda _, b=binary: post_texts(b, posts, nothing, options.limit)
            if "http" in wanted:
                tasks[("texts over HTTP, with vectors", name)] = lambda _, b=binary: post_texts(b, posts, [], options.limit)

        def told(key, repetition, row):
            print(f"{repetition + 1}: {key[0]}, {key[1]}: {json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()})}",
                  file=sys.stderr)

        runs = interleave(tasks, options.repetitions, after=told)
        rows = [{"what": key[0], "build": key[1], **row} for key, _, row in runs]
        report = Report(
            "Taking documents in", repetitions=options.repetitions, seed=options.seed, generated_files=options.generated,
            generated_size=options.generated_size, large_MB=options.large, texts=options.texts)
        report.text(f"'{options.peer_name}' is {pathlib.Path(options.peer).name}; real documents: {'yes' if len(folders) > 1 else 'not there, left out'}. "
                    "Medians; a status other than 0 is a refusal of some file, '-' a run that was ended at the limit.")
        table = {}
        for row in medians([{k: v for k, v in row.items() if k not in ("last_words",)} for row in rows], ["what", "build"], spread_of="cpu_s"):
            table[(row["what"], row["build"])] = row
        for title, chosen, headers in [
            ("Files", lambda what: not what.startswith("texts"), ["what", "build", "wall_s", "cpu_s", "peak_MB", "documents", "chunks"]),
            ("Texts over HTTP", lambda what: what.startswith("texts"),
             ["what", "build", "slowest_post_s", "posted_s", "done_s", "per_s", "cpu_s", "documents"]),
        ]:
            part = [row for key, row in table.items() if chosen(key[0])]
            if part:
                report.section(title)
                report.table(headers, part)
        lines = []
        for what in dict.fromkeys(key[0] for key in table):
            mine, other = table[(what, "Outrider")], table[(what, options.peer_name)]
            ratio = f"CPU {mine['cpu_s'] / other['cpu_s']:.2f}x of {options.peer_name}"
            if "per_s" in mine:
                ratio += f", {mine['per_s'] / other['per_s']:.2f}x its rate"
            if what.startswith("large"):
                ratio += f"; {options.large / mine['wall_s']:.1f} MB/s"
            lines.append(f"- {what}: {ratio}.")
        report.text("\n".join(lines))
        report.raw(rows)
        print(report.write(options.out))


if __name__ == "__main__":
    main()
