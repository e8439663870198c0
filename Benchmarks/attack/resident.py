"""What grows in a server that works on and on: memory, descriptors, threads, files, under steady light load with a constant number of documents.

Each second a few documents are replaced, one is deleted and put back, all three modes are searched, a question is answered, and a document's text is read
back by its citation. Once a minute the process is measured; the slope of each figure over the second half says what grows, and the mappings at the beginning of
that half and at the end say where.
"""

import os
import pathlib
import random
import shutil
import tempfile
import time

from .ledger import Texts
from .program import Fault, Program, Unanswered, cpu_seconds, folder_size, mappings, memory

MODES = ("text", "vector", "hybrid")


def slope(points):
    """Least squares: units of y for each unit of x; 0 for fewer than two points."""
    count = len(points)
    if count < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


class Load:
    """The steady load on one server."""

    def __init__(self, server, seed, documents):
        self.server = server
        self.random = random.Random(seed)
        self.texts = Texts(seed)
        self.count = documents
        self.current = {}
        self.requests = 0
        self.errors = {}

    def call(self, method, path, body=None):
        self.requests += 1
        status, answer = self.server.call(method, path, body)
        if status not in (200, 201, 202):
            self.errors[status] = self.errors.get(status, 0) + 1
        return answer if status in (200, 201, 202) else None

    def put(self, names):
        for name in names:
            self.current[name] = self.texts.make(self.random.choice([18, 40, 120]))
        self.call("POST", "/v1/documents?wait=true", {"documents": [{"source": name, "text": self.current[name]} for name in names]})

    def fill(self):
        names = [f"document-{number}" for number in range(self.count)]
        for start in range(0, len(names), 20):
            self.put(names[start:start + 20])

    def second(self):
        names = self.random.sample(sorted(self.current), 3)
        self.put(names[:2])
        self.call("POST", "/v1/documents/delete", {"sources": [names[2]]})
        self.put([names[2]])
        for mode in MODES:
            self.call("POST", "/v1/search", {"query": " ".join(self.current[self.random.choice(names)].split()[:8]), "mode": mode, "k": 8})
        answer = self.call("POST", "/v1/answer", {"question": "What is said of " + " ".join(self.current[names[0]].split()[:4]) + "?"})
        for citation in (answer or {}).get("citations", [])[:1]:
            span = citation["span"]
            self.requests += 1
            self.server.call("GET", f"/v1/documents/{citation['document_id']}/text?start={span['start']}&end={span['end']}&version={citation['version']}")
        self.call("GET", "/v1/documents?limit=20")
        self.call("GET", "/v1/jobs?limit=20")


def sample(server, data, began, load):
    row = {"minute": round((time.monotonic() - began) / 60, 2), **memory(server.pid)}
    row["database"] = os.path.getsize(data / "outrider.sqlite")
    row["write_ahead_log"] = os.path.getsize(data / "outrider.sqlite-wal") if (data / "outrider.sqlite-wal").exists() else 0
    row["index"] = folder_size(data / "index")
    row["spool"] = folder_size(data / "spool")
    row["log"] = os.path.getsize(server.log_path)
    row["cpu_s"] = cpu_seconds(server.pid)
    row["requests"] = load.requests
    return row


FIGURES = ["rss", "pss", "anonymous", "file", "descriptors", "threads", "database", "write_ahead_log", "index", "log"]
BYTES = {"rss", "pss", "anonymous", "file", "database", "write_ahead_log", "index", "log"}


def run(options, report):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-resident-", dir=options.folder))
    data = folder / "data"
    program = Program(options.outrider, options.model)
    server = program.serve(data, "--keep-jobs", str(options.keep_jobs), "--keep-audit", str(options.keep_jobs), log=str(folder / "log"))
    load = Load(server, options.seed, options.documents)
    rows, middle, good = [], None, True
    problems = []
    try:
        load.fill()
        began = time.monotonic()
        rows.append(sample(server, data, began, load))
        next_second, next_sample = began, began + options.every
        while time.monotonic() - began < options.seconds:
            try:
                load.second()
            except Unanswered as error:
                problems.append(f"no answer: {error}")
                if server.process.poll() is not None:
                    problems.append(f"the server ended with {server.process.returncode}: {server.tail()}")
                    break
            if time.monotonic() >= next_sample:
                next_sample += options.every
                rows.append(sample(server, data, began, load))
                print(" ".join(f"{k}={v / 1e6:.1f}M" if k in BYTES else f"{k}={v}" for k, v in rows[-1].items()), flush=True)
                if middle is None and time.monotonic() - began >= options.seconds / 2:
                    middle = mappings(server.pid)
            next_second = max(next_second + 1, time.monotonic() - 5)
            time.sleep(max(0, next_second - time.monotonic()))
        if server.process.poll() is None:
            last = mappings(server.pid)
            status, listing = server.call("GET", "/v1/documents?limit=1")
            if listing["total"] != options.documents:
                problems.append(f"{options.documents} documents should be there, {listing['total']} are")
            status = server.stop()
            if status != 0:
                problems.append(f"serve ended with {status} after SIGTERM")
            problems += program.verify(data)
        else:
            last = {}
    except Fault as fault:
        problems.append(str(fault))
        last = {}
    finally:
        server.__exit__()

    half = [row for row in rows if row["minute"] * 60 >= options.seconds / 2]
    report.text(
        f"{load.requests:,} requests in {rows[-1]['minute']:.0f} minutes, {options.documents} documents all the time; "
        f"answers other than 2xx: {load.errors or 'none'}. Embedding model: {options.model}. "
        f"Finished jobs and audit entries kept: {options.keep_jobs}, so that the history has reached its bound when the second half begins. "
        f"CPU of the server: {rows[-1]['cpu_s'] - rows[0]['cpu_s']:.0f} s.")
    report.section("Slopes over the second half")
    table = []
    for name in FIGURES:
        values = [row[name] for row in half]
        unit = 1e6 if name in BYTES else 1
        hour = slope([(row["minute"] / 60, row[name]) for row in half]) / unit
        first, end = rows[0][name] / unit, rows[-1][name] / unit
        half_way = [values[0] / unit, end, min(values) / unit, max(values) / unit] if values else [None, end, None, None]
        table.append([name + (" MB" if name in BYTES else ""), first, *half_way, round(hour, 2)])
    report.table(["figure", "at the start", "half-way", "at the end", "least", "most", "growth per hour"], table)
    growth = {row[0]: row for row in table}
    flat = abs(growth["rss MB"][6]) <= options.flat
    verdict = "flat" if flat else "not flat"
    grows = [f"{row[0]} ({row[6]:+.2f} per hour)" for row in table if row[6] > 0.02 * max(1, row[3] or 0)]
    report.text(f"**RSS is {verdict}** ({growth['rss MB'][6]:+.2f} MB per hour over the second half; the bound is {options.flat} MB). "
                f"What grows by more than 2 % an hour: {', '.join(grows) or 'nothing'}.")
    if middle and last:
        report.section("Mappings that grew since half-time")
        changed = sorted(((last.get(name, 0) - middle.get(name, 0), name) for name in set(middle) | set(last)), key=lambda c: -abs(c[0]))[:8]
        report.table(
            ["mapping", "change MB", "MB at the end"],
            [[pathlib.Path(name).name if name.startswith("/") else name, round(size / 1e6, 3), last.get(name, 0) / 1e6] for size, name in changed])
    report.section("Each minute")
    report.table(
        ["minute"] + [name + (" MB" if name in BYTES else "") for name in FIGURES] + ["requests", "cpu_s"],
        [[row["minute"], *(row[name] / (1e6 if name in BYTES else 1) for name in FIGURES), row["requests"], round(row["cpu_s"], 1)] for row in rows])
    report.section("Faults")
    report.text("\n".join(f"- {problem}" for problem in problems) or "None.")
    report.raw(rows)
    shutil.rmtree(folder, ignore_errors=True)
    return not problems and not any(status >= 500 for status in load.errors) and flat
