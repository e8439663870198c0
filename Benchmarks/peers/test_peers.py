"""The served comparison at toy size: python3 -m unittest test_peers, with the Python of the benchmarks' environment. The load generator needs no package."""

import gzip
import http.server
import importlib.util
import json
import pathlib
import stat
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import corpus  # noqa: E402
import load  # noqa: E402

MODULES = ("numpy", "onnx", "onnxruntime", "tokenizers", "faiss", "bm25s", "Stemmer", "fastapi", "uvicorn", "uvloop", "httptools", "orjson", "numba")
INSTALLED = all(importlib.util.find_spec(name) for name in MODULES)
MODEL = (corpus.model_source() / "model.safetensors").exists()

# A stand-in for the binary: it keeps what it is given and finds passages by common words.
FAKE = '''#!{python}
import http.server, json, sys
documents = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def send(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.send({{"state": "finished", "chunks": len(documents)}})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/documents":
            documents.extend(body["documents"])
            return self.send({{"job_id": "one"}})
        if self.path == "/v1/answer":
            return self.send({{"answer": body["question"], "refused": False}})
        words = set(body["query"].lower().split())
        best = sorted(documents, key=lambda d: -len(words & set(d["text"].lower().split())))[: body["k"]]
        self.send({{"results": [{{"source": d["source"], "text": d["text"]}} for d in best]}})
port = int(sys.argv[sys.argv.index("--port") + 1])
data = sys.argv[sys.argv.index("--data") + 1]
import os
os.makedirs(data, exist_ok=True)
open(os.path.join(data, "file"), "w").write("x" * 5000)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers after `delay` seconds; every tenth question with 503 when `refuses`; chunked when `chunks`."""

    protocol_version = "HTTP/1.1"
    delay, refuses, chunks = 0.0, False, False
    asked = []

    def log_message(self, *_):
        pass

    def send(self, status, body):
        self.send_response(status)
        if self.chunks:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def do_GET(self):
        self.send(200, json.dumps({"worker": self.client_address[1] % 2, "workers": 2}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.delay)
        type(self).asked.append(body)
        self.send(503 if self.refuses and len(self.asked) % 10 == 0 else 200, b"x" * 1000)


class Generator(unittest.TestCase):
    def run_on(self, bodies=('{"a": 1}', '{"a": 2}', '{"a": 3}'), members=None, **arguments):
        handler = type("Handler", (Answering,), {"asked": [], **(members or {})})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.handle_error = lambda *_: None  # connections that the generator closed
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            return load.run(f"http://127.0.0.1:{server.server_address[1]}/x", bodies, **arguments), handler.asked
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def test_a_count_is_asked_exactly_and_in_turn(self):
        row, asked = self.run_on(count=5)
        self.assertEqual((row["requests"], row["errors"], len(asked)), (5, 0, 5))
        self.assertEqual([json.loads(body)["a"] for body in asked], [1, 2, 3, 1, 2])
        self.assertTrue(row["came_round"])
        self.assertGreater(row["answer_bytes"], 1000)

    def test_a_closed_loop_keeps_every_connection_busy(self):
        row, _ = self.run_on(members={"delay": 0.02}, connections=4, seconds=0.6, warm_up=0.1)
        self.assertGreaterEqual(row["p50_ms"], 20)
        # Little's law: the four are always under way.
        self.assertAlmostEqual(row["requests_per_s"] * row["p50_ms"] / 1000, 4, delta=1.2)
        self.assertLessEqual(row["p50_ms"], row["p90_ms"])
        self.assertLessEqual(row["p99_ms"], row["max_ms"])

    def test_refusals_are_counted_by_status(self):
        row, _ = self.run_on(members={"refuses": True}, count=40)
        self.assertEqual((row["requests"], row["errors"], row["errors_by_status"]), (40, 4, {"503": 4}))

    def test_chunked_answers_are_read(self):
        row, _ = self.run_on(members={"chunks": True}, count=7, connections=2)
        self.assertEqual((row["requests"], row["errors"]), (7, 0))

    def test_an_open_loop_counts_latency_from_when_a_question_was_due(self):
        # One connection takes 10 of these a second; at 30 a second questions pile up, and their waiting is told.
        row, _ = self.run_on(members={"delay": 0.1}, connections=1, rate=30, seconds=0.6, warm_up=0)
        self.assertGreater(row["max_ms"], 300)
        calm, _ = self.run_on(members={"delay": 0.01}, connections=8, rate=30, seconds=0.6, warm_up=0)
        self.assertLess(calm["p50_ms"], 100)
        self.assertGreater(calm["requests"], 5)

    def test_connections_are_spread_over_the_workers(self):
        row, _ = self.run_on(count=4, connections=4, spread="/health")
        self.assertEqual(row["requests"], 4)

    def test_the_processor_time_of_children_counts(self):
        import subprocess

        loop = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(60)"
        parent = subprocess.Popen([sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {loop!r}])"])
        try:
            end = time.monotonic() + 30
            while load.cpu_seconds(parent.pid) < 0.3 and time.monotonic() < end:
                time.sleep(0.05)
            self.assertGreaterEqual(load.cpu_seconds(parent.pid), 0.3)
            self.assertEqual(len(load.tree(parent.pid)), 2)
            self.assertGreater(load.resident_bytes(parent.pid), 1_000_000)
        finally:
            for one in load.tree(parent.pid):
                import os

                os.kill(one, 9)
            parent.wait()

    def test_percentiles_are_measured_values(self):
        values = list(range(1, 101))
        self.assertEqual([load.percentile(values, share) for share in (50, 90, 99, 100)], [50, 90, 99, 100])
        self.assertEqual(load.percentile([7], 99), 7)
        self.assertIsNone(load.percentile([], 50))

    def test_the_ceiling_is_measured(self):
        row = load.ceiling(2, 0.2, 500)
        self.assertGreater(row["requests_per_s"], 100)
        self.assertGreater(row["generator_us_a_request"], 0)


def toy_data(folder):
    """Text sets of a few passages: one text twice, one too long, one in another language."""
    things = ("comet", "river", "violin", "glacier", "harbour", "printing press")
    for name in corpus.PASSAGE_SETS:
        place = pathlib.Path(folder) / name
        place.mkdir(parents=True)
        records = [
            {"_id": f"xquad-en-{n}" if name == "xquad" else f"{name}-{n}", "title": thing.title(), "text": f"The {thing} number {n} of {name} is seen by people. It was {n} years old then."}
            for n, thing in enumerate(things * 3)
        ]
        if name == "clapnq":
            records.append({**records[0], "_id": "twice"})
            records.append({"_id": "long", "title": "", "text": "word " * 500})
        if name == "xquad":
            records.append({"_id": "xquad-de-0", "title": "Komet", "text": "Der Komet wird gesehen."})
        text = "".join(json.dumps(record) + "\n" for record in records).encode()
        if name == "wiki-distractors":
            (place / "corpus.jsonl.gz").write_bytes(gzip.compress(text))
        else:
            (place / "corpus.jsonl").write_bytes(text)
        if name in corpus.QUESTION_SETS:
            questions = [{"question": f"How old was the {thing} that people saw in {name}?"} for thing in things]
            questions.append({"question": "Wie alt war der Komet?", "lang": "de"})
            (place / "qa.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))


class Data(unittest.TestCase):
    def test_passages_are_single_chunks_of_english_and_come_once(self):
        with tempfile.TemporaryDirectory() as folder:
            toy_data(folder)
            count = lambda texts: [len(text.split()) for text in texts]
            passages, tokens = corpus.passages_of(folder, 1000, 7, count)
            self.assertEqual(len(passages), 18 * 5)
            self.assertEqual(len({p["text"] for p in passages}), len(passages))
            self.assertFalse({"long", "twice", "xquad-de-0"} & {p["id"] for p in passages})
            self.assertEqual(sum(p["metadata"]["half"] == "yes" for p in passages), 45)
            self.assertEqual(corpus.passages_of(folder, 1000, 7, count), (passages, tokens))
            self.assertEqual(len(corpus.passages_of(folder, 50, 7, count)[0]), 50)
            questions = corpus.questions_of(folder, 7)
            self.assertEqual(len(questions), len(set(questions)))
            self.assertFalse([q for q in questions if q.startswith("Wie")])

    def test_no_question_ever_comes_twice(self):
        endless = corpus.Endless(["Who was first?", "What became second?", "Where is another third?"])
        count = len(endless.words)
        asked = endless.part(0, 3 * (1 + count + count * count))
        self.assertEqual(asked[:3], ["Who was first?", "What became second?", "Where is another third?"])
        self.assertEqual(len(set(asked)), len(asked))
        self.assertTrue(asked[3].startswith("Who was first? "))
        self.assertEqual(len(asked[-1].split()), len(asked[2].split()) + 2)


@unittest.skipUnless(INSTALLED, "packages are missing: run scripts/bench-setup.sh and use .deps/bench-venv/bin/python")
class Service(unittest.TestCase):
    def test_fusion_stretches_both_lists_and_keeps_the_best(self):
        import numpy as np
        import service

        words = (np.array([5, 1]), np.array([8.0, 2.0], np.float32))
        vectors = (np.array([1, 2, 3]), np.array([0.9, 0.5, 0.1], np.float32))
        rows, scores = service.fused(words, vectors, 3)
        self.assertEqual(rows[0], 1)
        self.assertAlmostEqual(scores[0], 0.75)
        self.assertEqual(set(rows[1:]), {2, 5})
        self.assertEqual(service.fused((np.empty(0), np.empty(0)), (np.empty(0), np.empty(0)), 3), ([], []))
        self.assertEqual(service.fused(words, (np.array([7]), np.array([0.3], np.float32)), 1)[0], [7])

    def test_the_cache_forgets_what_was_used_longest_ago(self):
        import service

        cache = service.VectorCache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        self.assertEqual(cache.get("a"), 1)
        cache.put("c", 3)
        self.assertEqual([cache.get(key) for key in "abc"], [1, None, 3])
        none = service.VectorCache(0)
        none.put("a", 1)
        self.assertIsNone(none.get("a"))

    @unittest.skipUnless(MODEL, "the model is missing: run scripts/setup.sh model")
    def test_everything_runs_at_toy_size_and_is_told(self):
        import run
        import service

        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            toy_data(folder / "sets")
            fake = folder / "outrider"
            fake.write_text(FAKE.format(python=sys.executable))
            fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
            arguments = ["--outrider", str(fake), "--older", str(fake), "--data", str(folder / "sets"), "--folder", str(folder / "made"), "--quick",
                         "--connections", "2", "--busy", "2", "--workers", "1", "--scorer", "numpy", "--out", str(folder / "report.md")]
            options = run.parse(arguments)
            with tempfile.TemporaryDirectory() as scratch:
                run.measure(options, scratch)
            text = (folder / "report.md").read_text()
            for scenario in ("new", "repeated", "answers", "filter", "open", "start and memory", "ingest", "disk", "the same results"):
                self.assertIn(f"## {scenario}\n", text)
            rows = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()][1:]
            self.assertEqual({row["scenario"] for row in rows} - {"memory", "saturation"}, {*run.SCENARIOS, "overlap"})
            self.assertEqual(sum(row.get("errors", 0) for row in rows), 0)
            self.assertTrue(all(row["requests"] > 0 for row in rows if "requests" in row))

            # What the service itself answers.
            for scorer in ("numba", "numpy"):
                engine = service.Engine(folder / "made", options.source, options.graphs, cache=4, scorer=scorer)
                for mode in run.MODES:
                    found = json.loads(engine.search("How old was the glacier?", 5, mode, None))["results"]
                    self.assertEqual(found[0]["title"], "Glacier", (scorer, mode))
                    self.assertEqual([one["score"] for one in found], sorted((one["score"] for one in found), reverse=True))
                    kept = json.loads(engine.search("How old was the glacier?", 10, mode, {"half": "yes"}))["results"]
                    self.assertTrue(kept and all(one["metadata"] == {"half": "yes"} for one in kept), (scorer, mode))
                self.assertEqual(json.loads(engine.search("zzzz qqqq", 5, "text", None)), {"results": []})
            answer = json.loads(engine.answer("How old was the glacier that people saw?", 8))
            self.assertFalse(answer["refused"])
            self.assertIn(answer["citations"][0]["quote"], answer["answer"])


if __name__ == "__main__":
    unittest.main()
