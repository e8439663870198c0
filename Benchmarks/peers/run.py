#!/usr/bin/env python3
"""The served product beside the service that a user would write in Python, and beside an older build: the same passages, over HTTP, interleaved.

    run.py --outrider .build/release/outrider --data ../shared/data
    run.py --outrider .build/release/outrider --older ../older/.build/release/outrider --data ../shared/data --only new,repeated

    start      from the start of the process to the first answer, memory at rest and under load
    new        questions that were never asked before: text, vector and hybrid, at 1, 4, 16 and 64 connections
    repeated   64 questions again and again: vector and hybrid, 16 connections; the Python service keeps vectors of questions (LRU)
    answers    extractive answers to 24 questions, one after another
    filter     a filter that keeps half of the passages beside none
    open       open loop, hybrid, at 50 % and 80 % of what each one reached at 16 connections, and at 80 % of what the slowest did
    ingest     passages a second with embedding, over HTTP, beside ONNX Runtime alone on the same texts
    disk       bytes a passage

Only one server is loaded at a time, the others idle. A repetition runs everything once, the next one in reverse order. Told are medians over the repetitions.
CPU is the processor time of the server's process with its children, for each request. `others` is what else ran on the machine meanwhile, in cores.
"""

import argparse
import collections
import datetime
import fcntl
import functools
import hashlib
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
from harness import Report, cache_folder, interleave, json_lines, medians  # noqa: E402

import corpus  # noqa: E402
import load  # noqa: E402
import program  # noqa: E402

SCENARIOS = ("start", "new", "repeated", "answers", "filter", "open", "ingest", "disk")
MODES = ("text", "vector", "hybrid")
PACKAGES = (
    "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "orjson", "onnxruntime", "tokenizers", "faiss-cpu", "bm25s", "pystemmer", "numba", "numpy")
PYTHON, LRU, PLAIN = "Python", "Python, LRU", "Python, words by numpy"
REPEATED, ANSWERS, OPEN_CONNECTIONS = 64, 24, 64
# The most that any of them may reach in a second: so many questions are made ready for a run.
FASTEST = {"text": 8000, "vector": 1500, "hybrid": 1500}


def allocated_bytes(path):
    """What the files take on the disk."""
    path = pathlib.Path(path)
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_blocks * 512 for one in files)


class Comparison:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, pathlib.Path(scratch)
        self.meta = corpus.prepare(options.data, options.folder, options.passages, options.seed, options.source, options.graphs, say)
        self.passages = corpus.lines(options.folder / "passages.jsonl")
        questions = [line["text"] for line in corpus.lines(options.folder / "questions.jsonl")]
        # Answers are asked for with real questions that nothing else asks.
        kept = min(ANSWERS * options.repetitions, len(questions) // 4)
        self.for_answers, self.endless = questions[:kept], corpus.Endless(questions[kept:])
        self.place, self.slices = 0, {}
        self.binaries = {"Outrider": options.outrider}
        if options.older:
            self.binaries[f"Outrider {options.older_name}"] = options.older
        self.servers, self.rows, self.chunks, self.filling = {}, [], {}, {}

    # The servers

    def folder_of(self, name):
        """The data folder that a binary filled. It is kept for the next run of the same binary over the same passages."""
        binary = pathlib.Path(self.binaries[name])
        with open(binary, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(json.dumps([self.meta, str(self.options.model)]).encode())
        return self.options.folder / f"outrider-{digest.hexdigest()[:16]}"

    def fill(self, name):
        folder = self.folder_of(name)
        stamp = folder / "filled.json"
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            say(f"{name}: taking in {len(self.passages)} passages")
            server = self.outrider(name)
            try:
                begin = time.perf_counter()
                chunks = server.fill(self.passages)
                found = {"chunks": chunks, "wall_s": time.perf_counter() - begin, "cpu_s": load.cpu_seconds(server.pid)}
                server.rest()
            finally:
                server.stop()
            stamp.write_text(json.dumps(found))
        self.filling[name] = json.loads(stamp.read_text())
        self.chunks[name] = self.filling[name]["chunks"]

    def outrider(self, name, folder=None):
        return program.Outrider(self.binaries[name], (folder or self.folder_of(name)) / "data", self.options.model, self.options.serve)

    def python(self, cache=0, scorer=None):
        more = ["--source", str(self.options.source), "--graphs", str(self.options.graphs), "--scorer", scorer or self.options.scorer]
        return program.Python(self.options.folder, self.options.workers, cache, more, self.options.python)

    def starters(self):
        """How each side is started."""
        ours = {name: functools.partial(self.outrider, name) for name in self.binaries}
        return {**ours, PYTHON: self.python, LRU: functools.partial(self.python, cache=4096), PLAIN: functools.partial(self.python, scorer="numpy")}

    def server(self, name):
        if name not in self.servers:
            say(f"starting {name}")
            self.servers[name] = self.starters()[name]()
        return self.servers[name]

    def stop(self):
        for server in self.servers.values():
            server.stop()
        self.servers.clear()

    # The questions

    def questions(self, key, count):
        """The same for all sides in one repetition of one scenario, and never asked before."""
        if key not in self.slices:
            self.slices[key] = (self.place, count)
            self.place += count
        return self.endless.part(*self.slices[key])

    def bodies(self, server, questions, mode=None, condition=None):
        path = self.scratch / "bodies.jsonl"
        more = {"filter": condition} if condition else {}
        if isinstance(server, program.Outrider):
            more |= self.options.body
        with open(path, "w", encoding="utf-8") as out:
            for question in questions:
                body = {"query": question, "k": self.options.k, "mode": mode, **more} if mode else {"question": question}
                out.write(json.dumps(body, ensure_ascii=False) + "\n")
        return path

    def load(self, name, path, bodies, **arguments):
        """One run of the generator, in a process of its own."""
        server = self.server(name)
        command = [sys.executable, str(HERE / "load.py"), server.url(path), "--bodies", str(bodies), "--pid", str(server.pid)]
        if server.spread:
            command += ["--spread", server.spread]
        for key, value in arguments.items():
            if value is not None:
                command += [f"--{key.replace('_', '-')}", str(value)]
        result = json_lines(command, timeout=600)
        if not result.ok or not result.rows:
            sys.exit(f"the load generator failed on {name}: {result.error}\n{server.tail()}")
        return result.rows[-1]

    def search(self, name, scenario, mode, connections, repetition, questions=None, condition=None, rate=None, seconds=None, **more):
        options = self.options
        seconds = seconds or options.seconds
        if questions is None:
            questions = self.questions((scenario, mode, connections, repetition, *more.values()), int(FASTEST[mode] * (seconds + options.warm_up)))
        server = self.server(name)
        row = self.load(
            name, server.search_path, self.bodies(server, questions, mode, condition), connections=connections, seconds=seconds,
            warm_up=options.warm_up, rate=rate, seed=repetition + 1)
        return {"scenario": scenario, "side": name, "mode": mode, "connections": connections, **more, **row}

    # The scenarios: each gives {key: function of the repetition number}

    def sides(self, *more):
        return [*self.binaries, *(more or (PYTHON,))]

    def new(self):
        return {
            (mode, connections, name): lambda r, m=mode, c=connections, n=name: self.search(n, "new", m, c, r)
            for mode in self.options.modes for connections in self.options.connections for name in self.sides()
        }

    def repeated(self):
        def task(name, mode, repetition):
            chosen = self.questions(("repeated",), REPEATED)
            return self.search(name, "repeated", mode, self.options.busy, repetition, chosen)

        modes = [mode for mode in self.options.modes if mode != "text"]
        return {(mode, name): functools.partial(task, name, mode) for mode in modes for name in self.sides(LRU)}

    def answers(self):
        def task(name, repetition):
            count = min(ANSWERS, len(self.for_answers))
            start = repetition * count % max(1, len(self.for_answers) - count + 1)
            server = self.server(name)
            bodies = self.bodies(server, self.for_answers[start : start + count])
            row = self.load(name, server.answer_path, bodies, connections=1, count=count)
            refused = [call_json(server, server.answer_path, json.loads(line))["refused"] for line in bodies.read_text().splitlines()]
            return {"scenario": "answers", "side": name, "refused": sum(refused), **row}

        return {name: functools.partial(task, name) for name in self.sides()}

    def filter(self):
        half = {"half": "yes"}
        return {
            (mode, kept, name): lambda r, m=mode, f=kept, n=name: self.search(
                n, "filter", m, self.options.busy, r, condition=half if f == "half" else None, filter=f)
            for mode in self.options.modes for name in self.sides() for kept in ("none", "half")
        }

    def open(self):
        reached = {}
        mode = "hybrid" if "hybrid" in self.options.modes else self.options.modes[0]
        for name in self.sides():
            found = [
                row["requests_per_s"] for row in self.rows
                if (row["scenario"], row["side"], row.get("mode"), row.get("connections")) == ("new", name, mode, self.options.busy)
            ]
            if not found:
                found = [self.search(name, "saturation", mode, self.options.busy, 0)["requests_per_s"]]
            reached[name] = sorted(found)[len(found) // 2]
        rates = [("50 % of its own", {name: rate * 0.5 for name, rate in reached.items()}), ("80 % of its own", {name: rate * 0.8 for name, rate in reached.items()})]
        rates.append(("80 % of the slowest", dict.fromkeys(reached, 0.8 * min(reached.values()))))
        return {
            (what, name): lambda r, w=what, n=name, rate=chosen[name]: self.search(
                n, "open", mode, OPEN_CONNECTIONS, r, rate=rate, seconds=self.options.seconds * 2, load=w)
            for what, chosen in rates for name in self.sides()
        }

    def start(self):
        def task(name, repetition):
            server = self.starters()[name]()
            try:
                self.servers[name] = server
                mode = self.options.modes[-1]
                self.load(name, server.search_path, self.bodies(server, self.questions(("start", repetition), 20), mode), connections=1, count=20)
                time.sleep(1)
                row = {"scenario": "start", "side": name, "ready_s": server.ready_s, "rest_MB": load.resident_bytes(server.pid) / 1e6}
                peaks, over = [], threading.Event()

                def watch():
                    while not over.wait(0.2):
                        peaks.append(load.resident_bytes(server.pid) / 1e6)

                watcher = threading.Thread(target=watch)
                watcher.start()
                try:
                    self.search(name, "memory", mode, self.options.busy, repetition)
                finally:
                    over.set()
                    watcher.join()
                return {**row, "load_MB": max(peaks, default=row["rest_MB"])}
            finally:
                self.servers.pop(name).stop()

        return {name: functools.partial(task, name) for name in self.sides(PYTHON, PLAIN)}

    def ingest(self):
        chosen = self.passages[: self.options.ingest_passages]
        texts = self.scratch / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": corpus.passage_text(p["title"], p["text"])}) + "\n" for p in chosen), encoding="utf-8")

        def ours(name, _):
            with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
                server = self.outrider(name, pathlib.Path(folder))
                try:
                    before, begin = load.cpu_seconds(server.pid), time.perf_counter()
                    chunks = server.fill(chosen)
                    wall, cpu = time.perf_counter() - begin, load.cpu_seconds(server.pid) - before
                finally:
                    server.stop()
            return {"scenario": "ingest", "side": name, "chunks": chunks, "chunks_per_s": chunks / wall, "cpu_ms": 1e3 * cpu / chunks}

        def theirs(_):
            command = [
                self.options.python, str(HERE.parent / "embed" / "peers.py"), "--engine", "onnxruntime-fp32", "--source", str(self.options.source),
                "--models", str(self.options.graphs), "--texts", str(texts), "--threads", "2", "--mode", "split", "--batches", "32"]
            result = json_lines(command, timeout=3600)
            if not result.ok or not result.rows:
                sys.exit(f"ONNX Runtime failed: {result.error}")
            row = result.rows[-1]
            return {
                "scenario": "ingest", "side": "ONNX Runtime alone", "chunks": row["texts"], "chunks_per_s": row["texts_per_s"], "cpu_ms": row["cpu_ms_per_text"]}

        return {**{name: functools.partial(ours, name) for name in self.binaries}, "ONNX Runtime alone": theirs}

    def disk(self):
        def ours(name, _):
            size = allocated_bytes(self.folder_of(name) / "data")
            return {"scenario": "disk", "side": name, "MB": size / 1e6, "bytes_a_chunk": size / self.chunks[name]}

        def theirs(_):
            size = sum(allocated_bytes(self.options.folder / name) for name in ("passages.jsonl", "faiss.index", "bm25s"))
            return {"scenario": "disk", "side": PYTHON, "MB": size / 1e6, "bytes_a_chunk": size / len(self.passages)}

        return {**{name: functools.partial(ours, name) for name in self.binaries}, PYTHON: theirs}

    # What makes a comparison one

    def overlap(self, count=50):
        """Mean share of the k best that each side has in common with the Python service, by mode."""
        questions, result = self.questions(("overlap",), count), []
        for name in self.binaries:
            for mode in self.options.modes:
                shares = []
                for question in questions:
                    found = []
                    for side in (name, PYTHON):
                        server = self.server(side)
                        more = self.options.body if side != PYTHON else {}
                        found.append(set(server.ids(call_json(server, server.search_path, {"query": question, "k": self.options.k, "mode": mode, **more}))))
                    if all(found):
                        shares.append(len(found[0] & found[1]) / max(map(len, found)))
                result.append({"scenario": "overlap", "side": name, "mode": mode, "share": sum(shares) / max(1, len(shares)), "questions": len(shares)})
        return result

    def run(self):
        for name in self.binaries:
            self.fill(name)
        for scenario in self.options.only:
            # What starts servers of its own needs the data folders for itself.
            if scenario in ("start", "ingest", "disk"):
                self.stop()
            tasks = getattr(self, scenario)()
            found = interleave(tasks, 1 if scenario == "disk" else self.options.repetitions, after=lambda key, repetition, row: tell(repetition, row))
            self.rows += [{**row, "repetition": repetition} for _, repetition, row in found]
        if set(self.options.only) & {"new", "repeated", "filter", "open", "answers"}:
            self.rows += self.overlap()
        self.stop()


def say(text):
    print(text, file=sys.stderr, flush=True)


def tell(repetition, row):
    shown = {k: v for k, v in row.items() if k in ("mode", "connections", "filter", "load")}
    figures = {k: round(row[k], 2) for k in ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms", "errors", "other_cores", "chunks_per_s", "ready_s", "rest_MB", "load_MB", "bytes_a_chunk") if row.get(k) is not None}
    say(f"{repetition + 1}: {row['scenario']} {' '.join(map(str, shown.values()))}, {row['side']}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))


def call_json(server, path, body):
    status, answer = program.call(server.port, "POST", path, body)
    if status != 200:
        raise program.Failed(f"{path} answers {status}: {answer}")
    return answer


FIGURES = ["side", "req/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "CPU ms", "kB", "errors", "others", "spread"]
SENTENCES = {
    "new": "Closed loop; no question was ever asked before.",
    "repeated": f"{REPEATED} questions again and again, closed loop. The Python service keeps the vectors of the questions asked last.",
    "answers": f"Extractive, {ANSWERS} questions one after another. Of a refusal no correctness is told: many of the sets' other questions have no answer here.",
    "filter": "The same questions without a filter and with one that half of the passages meet.",
    "open": f"Poisson arrivals on up to {OPEN_CONNECTIONS} connections; latency counts from the moment a question was due.",
}


def write(comparison, rows, options):
    meta = comparison.meta
    report = Report(
        "The served product beside a service in Python", PACKAGES, passages=meta["passages"], tokens_a_passage=round(meta["tokens"] / meta["passages"]),
        questions=len(comparison.endless.questions), k=options.k, repetitions=options.repetitions, seconds=options.seconds, warm_up_s=options.warm_up,
        workers=options.workers, seed=options.seed, chunks=" ".join(f"{name} {count:,}" for name, count in comparison.chunks.items()),
        body=json.dumps(options.body) if options.body else "-", serve=" ".join(options.serve) or "-")
    report.text(
        f"Python: FastAPI on uvicorn (uvloop, httptools, orjson), {options.workers} worker processes of one ONNX Runtime thread each with the fused float32 graph of the same "
        f"weights, faiss HNSW32 (efSearch 64), bm25s with Snowball's stemmer and {options.scorer}, min-max fusion of 100 and 100 candidates. Its vectors are ONNX Runtime's own, those of Outrider "
        "have a cosine of 0.999996 to them. After all real questions were asked, each comes again with one more word of another. Medians; ratios above 1 are in the row's favour: "
        f"`req/s ratio` is the row's to {PYTHON}'s, `CPU ratio` {PYTHON}'s to the row's; `to older` the same to the older build. `kB` is the size of an answer, `others` what else ran on the machine, in cores.")
    ceiling = load.ceiling(seconds=1.0)
    report.text(
        f"The load generator alone, against a server that does nothing: {ceiling['requests_per_s']:,.0f} requests a second, {ceiling['generator_us_a_request']:.0f} µs of a processor for each.")
    keys = ["scenario", "side", "mode", "connections", "filter", "load"]
    found = collections.defaultdict(list)
    for row in medians(rows, keys, spread_of="requests_per_s"):
        found[row["scenario"]].append(row)

    older = f"Outrider {options.older_name}" if options.older else None

    def ratio(upper, lower):
        return f"{upper / lower:.2f}" if upper and lower else "-"

    for scenario, labels in (("new", ["mode", "connections"]), ("repeated", ["mode"]), ("answers", []), ("filter", ["mode", "filter"]), ("open", ["load", "rate"])):
        if not found[scenario]:
            continue
        report.section(scenario)
        report.text(SENTENCES[scenario])
        extra = ["refused"] if scenario == "answers" else []
        table = []
        for row in found[scenario]:
            same = [one for one in found[scenario] if all(one.get(key) == row.get(key) for key in labels if key != "rate")]
            python = next((one for one in same if one["side"] in (PYTHON, LRU)), {})
            before = next((one for one in same if one["side"] == older), {}) if row["side"] == "Outrider" else {}
            table.append([
                *[row.get(label) for label in labels], row["side"], row["requests_per_s"], row["p50_ms"], row["p90_ms"], row["p99_ms"], row["max_ms"], row.get("cpu_ms"),
                (row["answer_bytes"] or 0) / 1e3, row["errors"], row.get("other_cores"), row.get("spread"), *[row.get(name) for name in extra],
                ratio(row["requests_per_s"], python.get("requests_per_s")), ratio(python.get("cpu_ms"), row.get("cpu_ms")),
                *([ratio(row["requests_per_s"], before.get("requests_per_s")), ratio(before.get("cpu_ms"), row.get("cpu_ms"))] if older else [])])
        report.table([*labels, *FIGURES, *extra, "req/s ratio", "CPU ratio", *(["req/s to older", "CPU to older"] if older else [])], table)
    if found["filter"]:
        plain = {(row["side"], row["mode"]): row["cpu_ms"] for row in found["filter"] if row["filter"] == "none"}
        report.text("What the filter costs, CPU with it to CPU without: " + ", ".join(
            f"{row['side']} {row['mode']} {row['cpu_ms'] / plain[row['side'], row['mode']]:.2f}" for row in found["filter"] if row["filter"] == "half") + ".")
    if found["start"]:
        report.section("start and memory")
        report.text("Proportional set size of the process with its children: after 20 questions, and the most while 16 connections ask. numba compiles at each start.")
        report.table(["side", "ready s", "at rest MB", "under load MB"], [[r["side"], r["ready_s"], r["rest_MB"], r["load_MB"]] for r in found["start"]])
    if found["ingest"]:
        report.section("ingest")
        report.text(
            f"{options.ingest_passages:,} passages into an empty folder over HTTP: embedding, both indexes, stored safely. ONNX Runtime only embeds: batches of 32 sorted by length, two sessions of one thread.")
        report.table(["side", "chunks", "chunks/s", "CPU ms a chunk"], [[r["side"], r["chunks"], r["chunks_per_s"], r["cpu_ms"]] for r in found["ingest"]])
    if found["disk"]:
        report.section("disk")
        report.text("As the server left it after it was filled. Python: passages, faiss' index with its vectors, bm25s' index.")
        report.table(["side", "MB", "bytes a chunk"], [[r["side"], r["MB"], r["bytes_a_chunk"]] for r in found["disk"]])
    if found["overlap"]:
        report.section("the same results")
        report.text(f"Share of the {options.k} best in common with the Python service. Word search differs most: other tokens, stop words and length coding; and what fusion takes from it.")
        report.table(["side", "mode", "share", "questions"], [[r["side"], r["mode"], r["share"], r["questions"]] for r in found["overlap"]])
    if any(row.get("came_round") for row in rows if row["scenario"] in ("new", "filter", "open")):
        report.text("**Some run asked more questions than were made ready for it, so some came twice (`came_round` in the rows).**")
    report.raw(rows)
    say(str(report.write(options.out)))


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outrider", required=True)
    parser.add_argument("--older", help="another binary of Outrider, measured beside")
    parser.add_argument("--older-name", default="before", help="how the report calls it, such as a commit")
    parser.add_argument("--data", default=str(HERE.parents[1].parent / "shared" / "data"), help="the folder of the text sets")
    parser.add_argument("--folder", type=pathlib.Path, help="where the prepared data are kept (default: in the cache)")
    parser.add_argument("--model", help="Outrider's embedding model; its default when absent")
    parser.add_argument("--source", type=pathlib.Path, default=corpus.model_source(), help="the same model for ONNX Runtime: its safetensors and tokenizer")
    parser.add_argument("--graphs", type=pathlib.Path, default=corpus.graph_folder(), help="where the graphs for ONNX Runtime are kept")
    parser.add_argument("--python", default=sys.executable, help="a Python that has the packages")
    parser.add_argument("--only", default=",".join(SCENARIOS), help=f"some of {','.join(SCENARIOS)}")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--connections", default="1,4,16,64")
    parser.add_argument("--busy", type=int, default=16, help="connections of the scenarios that have one number of them")
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--ingest-passages", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2, help="processes of the Python service")
    parser.add_argument("--scorer", choices=("numba", "numpy"), default="numba", help="its word search; numba is quicker, and compiles at each start")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--body", type=json.loads, default={}, help='members for Outrider\'s searches, such as {"highlight": false}')
    parser.add_argument("--serve", default="", help="options for outrider serve, in one word")
    parser.add_argument("--quick", action="store_true", help="toy size: does it run?")
    parser.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-peers.md"))
    options = parser.parse_args(arguments)
    options.serve = options.serve.split()
    options.only = [name for name in SCENARIOS if name in options.only.split(",")]
    options.modes = [mode for mode in MODES if mode in options.modes.split(",")]
    options.connections = [int(count) for count in options.connections.split(",")]
    if not options.only or not options.modes:
        parser.error("nothing is left to run")
    if options.quick:
        options.passages, options.ingest_passages, options.seconds, options.warm_up = min(options.passages, 300), 50, 0.5, 0.2
        options.repetitions, options.connections = 1, options.connections[:2]
    for name in ("outrider", "older"):
        if getattr(options, name):
            setattr(options, name, str(pathlib.Path(getattr(options, name)).resolve()))
    options.folder = options.folder or cache_folder() / "bench" / f"peers-{options.passages}"
    return options


def measure(options, scratch):
    comparison = Comparison(options, scratch)
    try:
        comparison.run()
    finally:
        comparison.stop()
    write(comparison, comparison.rows, options)


def main():
    options = parse()
    # Ended from outside, its servers are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="outrider-peers-") as scratch, open(options.folder / ".lock", "w") as lock:
        # Two runs at once would fill one folder twice, and measure each other.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {lock.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        measure(options, scratch)


if __name__ == "__main__":
    main()
