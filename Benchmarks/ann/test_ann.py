"""The data sets and the peers at toy size: python3 -m unittest Benchmarks/ann/test_ann.py, with the Python of the benchmarks' environment."""

import contextlib
import importlib.util
import io
import json
import math
import pathlib
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

try:
    import numpy as np
except ImportError:
    raise unittest.SkipTest("numpy is not installed: run scripts/bench-setup.sh and use .deps/bench-venv/bin/python")

import corpus  # noqa: E402
import data  # noqa: E402
import embedder  # noqa: E402
import peers  # noqa: E402
import run  # noqa: E402
import worker  # noqa: E402

FAKE = """#!{python}
import json, pathlib, sys
arguments = dict(zip(sys.argv[4::2], sys.argv[5::2]))
verb = sys.argv[3]
figures = {{"method": "outrider", "one1_qps": 1e6, "p50_us": 1.0, "p99_us": 2.0, "one2_qps": 2e6, "batch1_qps": 3e6, "batch2_qps": 4e6, "rss_B_per_vec": 50.0}}
if verb == "build":
    pathlib.Path(arguments["--index"]).mkdir()
    print(json.dumps({{"method": "outrider", "build_s": 0.5, "build_cpu_s": 0.9, "file_B_per_vec": 100.0, "nlist": 17}}))
elif verb == "search" and "--curve" in sys.argv:
    print(json.dumps({{"curve": True, "setting": {{"allowance": 0.5, "margin": 2}}, "recall": 0.93, "one1_qps": 900000.0}}))
    for target in arguments["--targets"].split(","):
        if target == "0.99":
            print(json.dumps({{"method": "outrider", "target": 0.99, "error": "no setting of the sweep reaches it"}}))
        else:
            print(json.dumps({{**figures, "target": float(target), "setting": {{"allowance": float(target), "margin": 2}}, "recall": float(target) + 0.001}}))
elif verb == "search" and "--explicit" in arguments:
    print(json.dumps({{**figures, "recall": float(arguments["--explicit"].split(",")[0]) + 0.001}}))
elif verb == "search":
    print(json.dumps({{**figures, "one1_qps": 8e5, "recall": float(arguments["--recall-target"]) + 0.002, "as_set": True}}))
elif verb == "filter":
    print(json.dumps({{"selectivity": 0.01, "recall": 0.97, "qps": 1234}}))
elif verb == "churn":
    here = pathlib.Path(arguments["--index"])
    here.mkdir()
    assert here.name != "outrider", "churn must not touch the index that is measured"
    print(json.dumps({{"operations": 4321}}))
else:
    sys.exit("outrider: no such report: " + verb)
"""


class Sentences(unittest.TestCase):
    def test_abbreviations_and_initials_do_not_end_a_sentence(self):
        text = "See e.g. Smith, J. Smith or Fig. 3 for more. The rest follows! Does it?"
        self.assertEqual(corpus.sentences(text), ["See e.g. Smith, J. Smith or Fig. 3 for more.", "The rest follows!", "Does it?"])

    def test_prose_is_kept_and_code_tables_and_menus_are_not(self):
        self.assertTrue(corpus.is_prose("The daemon reads its configuration from a file when it is started."))
        for text in (
            "int main(void) { return foo->bar; }",
            "Home Next Previous Up Contents Index Search Page",
            "0x00 0x01 0x02 | 17 | 23 | 99 | 100.",
            "Too short to be it.",
            "the quick no end of this sentence is in sight and it goes on",
        ):
            self.assertFalse(corpus.is_prose(text), text)

    def test_html_gives_paragraphs_without_code(self):
        text = "<head><title>x</title></head><p>One\n <b>bold</b> &amp; two.</p><pre>code here</pre><ul><li>Item.</li></ul><script>var a = '<p>no</p>';</script>"
        found = [corpus.SPACE.sub(" ", p).strip() for p in corpus.html_paragraphs(text)]
        self.assertEqual([p for p in found if p], ["One bold & two.", "Item."])

    def test_a_manual_page_gives_paragraphs_without_macros(self):
        text = '.TH X 1\n.SH NAME\nx \\- does\n.PP\nUse\n.B "the thing"\nwith \\fIcare\\fP.\n.nf\ncode here\n.fi\nMore \\(aqtext\\(aq.\n'
        found = [p for p in corpus.man_paragraphs(text) if p]
        self.assertEqual(found, ["x - does", "Use the thing with care.", "More 'text'."])

    def test_packing_keeps_every_sentence_in_order_and_the_sizes(self):
        run = [f"This is the sentence number {i} of a long run of sentences that go on." for i in range(40)]
        parts = list(corpus.packed(run, 30, 120, lambda i: 60))
        self.assertEqual(" ".join(parts), " ".join(run))
        for part in parts:
            self.assertTrue(30 <= corpus.token_estimate(part) <= 120)

    def test_a_source_cannot_dominate_and_the_choice_does_not_depend_on_the_input_order(self):
        rows = [(corpus.fraction("o", i), "big" if i % 10 else "small", f"text {i}") for i in range(1000)]
        chosen = corpus.choose(list(rows), 150, 60)
        self.assertEqual(len(chosen), 150)
        self.assertGreaterEqual(sum(s == "small" for s, _ in chosen), 50)
        self.assertEqual(chosen, corpus.choose(list(reversed(rows)), 150, 60))


def plain_bert(weights, ids, heads, layers, epsilon):
    """The encoder for one text, written down as the paper has it (Devlin et al. 2019), in float64."""
    w = {k: v.astype(np.float64) for k, v in weights.items()}

    def norm(x, name):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * w[name + ".weight"] + w[name + ".bias"]

    def dense(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    x = (
        w["embeddings.word_embeddings.weight"][ids]
        + w["embeddings.position_embeddings.weight"][: len(ids)]
        + w["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(x, "embeddings.LayerNorm")
    for i in range(layers):
        p = f"encoder.layer.{i}."
        q, k, v = (dense(x, p + f"attention.self.{n}").reshape(len(ids), heads, -1).transpose(1, 0, 2) for n in ("query", "key", "value"))
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        attended = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(dense(attended, p + "attention.output.dense") + x, p + "attention.output.LayerNorm")
        wide = dense(x, p + "intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        x = norm(dense(wide, p + "output.dense") + x, p + "output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@unittest.skipUnless(
    importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"), "onnxruntime is not installed: scripts/bench-setup.sh"
)
class Encoder(unittest.TestCase):
    def test_the_graph_computes_the_encoder_also_for_padded_texts(self):
        import onnxruntime

        rng = np.random.default_rng(11)
        width, wide, heads, layers = 24, 40, 3, 2
        shapes = {
            "embeddings.word_embeddings.weight": (30, width),
            "embeddings.position_embeddings.weight": (16, width),
            "embeddings.token_type_embeddings.weight": (2, width),
        }
        names = ["embeddings.LayerNorm"] + [
            f"encoder.layer.{i}.{n}.LayerNorm" for i in range(layers) for n in ("attention.output", "output")
        ]
        shapes |= {f"{n}.{part}": (width,) for n in names for part in ("weight", "bias")}
        for i in range(layers):
            for name, (rows, columns) in {
                "attention.self.query": (width, width),
                "attention.self.key": (width, width),
                "attention.self.value": (width, width),
                "attention.output.dense": (width, width),
                "intermediate.dense": (wide, width),
                "output.dense": (width, wide),
            }.items():
                shapes |= {f"encoder.layer.{i}.{name}.weight": (rows, columns), f"encoder.layer.{i}.{name}.bias": (rows,)}
        weights = {n: rng.standard_normal(s).astype(np.float32) * 0.5 for n, s in shapes.items()}
        session = onnxruntime.InferenceSession(
            embedder.bert_graph(weights, heads, layers, 1e-12).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        texts = [rng.integers(0, 30, n) for n in (1, 4, 9)]
        ids, mask = np.zeros((2, 3, 9), np.int32)
        for row, text in enumerate(texts):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        found = session.run(None, {"input_ids": ids, "mask": mask})[0]
        for row, text in enumerate(texts):
            np.testing.assert_allclose(found[row], plain_bert(weights, text, heads, layers, 1e-12), atol=2e-5)


class Hook(unittest.TestCase):
    def test_a_model_of_outriders_embeds_through_its_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = pathlib.Path(folder) / "outrider"
            binary.write_text(
                f"#!{sys.executable}\n"
                "import json, sys\nimport numpy as np\na = dict(zip(sys.argv[3::2], sys.argv[4::2]))\n"
                "assert sys.argv[1:3] == ['bench', 'embed-corpus'] and a['--model'] == 'm.static'\n"
                "rows = [[len(json.loads(l)['text']), i] for i, l in enumerate(open(a['--in'], encoding='utf-8'))]\n"
                "np.save(a['--out'], np.array(rows, np.float32))\n"
            )
            binary.chmod(0o755)
            found = embedder.OutriderModel("m.static", str(binary)).embed(["é", "two", ""])
            np.testing.assert_array_equal(found, [[1, 0], [3, 1], [0, 2]])
            binary.write_text(f"#!{sys.executable}\nimport sys; sys.exit(3)\n")
            with self.assertRaises(SystemExit):
                embedder.OutriderModel("m.static", str(binary)).embed(["x"])


class Truth(unittest.TestCase):
    def test_exact_neighbours_equal_a_full_sort_in_blocks_of_any_size(self):
        rng = np.random.default_rng(3)
        base, query = rng.standard_normal((700, 24)).astype(np.float32), rng.standard_normal((9, 24)).astype(np.float32)
        base[300] = base[5]  # a tie goes to the smaller row number
        distance = ((base[None].astype(np.float64) - query[:, None].astype(np.float64)) ** 2).sum(2)
        wanted = np.lexsort((np.broadcast_to(np.arange(700), distance.shape), distance), axis=1)[:, :20]
        for block in (64, 333, 700, 5000):
            np.testing.assert_array_equal(data.exact(base, query, "l2", 20, block), wanted)
        unit = data.unit(base)
        cosine = data.exact(unit, data.unit(query), "cosine", 20, 100)
        wanted = np.lexsort(
            (np.broadcast_to(np.arange(700), distance.shape), -(data.unit(query).astype(np.float64) @ unit.T.astype(np.float64))), axis=1
        )[:, :20]
        np.testing.assert_array_equal(cosine, wanted)

    def test_a_cosine_set_of_other_lengths_is_refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(SystemExit):
            data.publish(pathlib.Path(folder), "x", "cosine", np.ones((200, 4)), np.ones((2, 4)))

    def test_recall_counts_each_true_neighbour_once(self):
        truth = np.arange(20).reshape(2, 10)
        rows = truth.copy()
        rows[0, 0] = rows[0, 1]  # found twice, counted once: and one is missing
        rows[1, 5:] = -1
        self.assertAlmostEqual(worker.recall(rows, truth), 14 / 20)


class Comparison(unittest.TestCase):
    def test_above_one_is_ahead_in_every_figure_and_only_real_rivals_count(self):
        def row(method, qps, p99, memory, recall=0.951):
            return {
                "method": method,
                "target": 0.95,
                "recall": recall,
                "one1_qps": qps,
                "one2_qps": qps,
                "batch1_qps": qps,
                "batch2_qps": qps,
                "p99_us": p99,
                "rss_B_per_vec": memory,
            }

        merged = [
            row("outrider", 3000, 100, 500),
            row(run.AS_SET, 9000, 1, 500),
            row("faiss-flat", 8000, 2, 1500),
            row("scann", 7000, 3, 300, recall=0.94),
            row("faiss-hnsw32", 1000, 400, 2000),
            row("hnswlib-16", 2000, 300, 1800),
        ]
        builds = {
            "outrider": {"build_s": 2, "build_cpu_s": 4},
            "faiss-hnsw32": {"build_s": 20, "build_cpu_s": 30},
            "hnswlib-16": {"build_s": 16, "build_cpu_s": 32},
            "scann": {"build_s": 1, "build_cpu_s": 1},
        }
        found = {what: (ratio, peer) for what, _, ratio, peer in run.comparison(merged, builds, [0.95])}
        self.assertEqual(found["1 thread, one by one"], ("1.50 x", "hnswlib-16"))
        self.assertEqual(found["p99, one by one"], ("3.00 x", "hnswlib-16"))
        self.assertEqual(found["build time, fastest HNSW float32 over ours"], ("8.00 x", "hnswlib-16"))
        self.assertEqual(found["build CPU time, fastest HNSW float32 over ours"], ("7.50 x", "faiss-hnsw32"))
        self.assertEqual(found["memory, smallest HNSW float32 over ours"], ("3.60 x", "hnswlib-16"))


class Toy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.cache = pathlib.Path(cls.folder.name)
        with contextlib.redirect_stdout(io.StringIO()):
            data.toy(cls.cache)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_quietly(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = run.main(["toy", "--quick", "--cache", str(self.cache), "--results", str(self.cache / "results"), *arguments])
        return status, out.getvalue()

    def rows(self):
        path = next((self.cache / "results").glob("*.jsonl"))
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_every_peer_that_is_installed_finds_what_the_exact_scan_finds(self):
        meta, queries, truth = worker.read_data(self.cache / "toy")
        _, base = worker.read_data(self.cache / "toy", base=True)
        for name in peers.METHODS:
            if not peers.available(name):
                continue
            with self.subTest(name):
                peer = peers.make(name, meta["metric"], meta["n"], meta["d"])
                peer.build(base)
                path = str(self.cache / f"index-{name}")
                peer.save(path)
                peer = peers.make(name, meta["metric"], meta["n"], meta["d"])
                peer.load(path)
                peer.threads(1)
                allowed = [s for s in peer.settings if max(s.get("nprobe", 0), s.get("leaves", 0)) <= peers.list_count(meta["n"])]
                peer.set(allowed[-1])
                batch = np.asarray(peer.search(queries, worker.K))
                single = np.vstack([worker.row_of(peer.one(queries[i : i + 1], worker.K)) for i in range(len(queries))])
                # Coarse codes without a second stage (rabitq5fs, i8) lose some at 64 dimensions.
                floor = 0.85 if name in ("faiss-ivf-rabitq5fs", "usearch-i8") else 0.95
                self.assertGreaterEqual(worker.recall(single, truth), floor)
                self.assertGreaterEqual(worker.recall(batch, truth), floor)
                if name == "faiss-flat":
                    self.assertEqual(worker.recall(single, truth), 1.0)

    @unittest.skipUnless(peers.available("faiss-flat") and peers.available("hnswlib-16"), "peers are not installed: scripts/bench-setup.sh")
    def test_a_quick_run_measures_outrider_beside_the_peers_and_reports_both(self):
        binary = self.cache / "outrider"
        binary.write_text(FAKE.format(python=sys.executable))
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        status, said = self.run_quietly("--binary", str(binary), "--only", "outrider,faiss-flat,hnswlib-16", "--extra", "filter,churn")
        self.assertEqual(status, 0, said)
        report = next((self.cache / "results").glob("*.md")).read_text()
        for part in (
            "Outrider against the best peer",
            "recall@10 >= 0.95",
            "hnswlib-16",
            "nlist=17",
            "## Filter",
            "1,234",
            "4,321",
            "-quick.svg",
            "outrider (recall target)",
            "800,000",
            "Not reached by: outrider (0.951)",
        ):
            self.assertIn(part, report)
        self.assertNotIn(str(self.cache), report)
        measured = {(r["method"], r["target"]) for r in self.rows() if r.get("kind") == "measurement"}
        self.assertLessEqual({("hnswlib-16", t) for t in (0.9, 0.95, 0.99)} | {("outrider", 0.9), ("outrider", 0.95)}, measured)
        self.assertTrue((self.cache / "toy" / "idx" / "outrider").is_dir())
        self.assertFalse((self.cache / "toy" / "idx" / "outrider-churn").exists())
        for row in self.rows():
            if row.get("kind") == "measurement" and row["method"] == "hnswlib-16":
                self.assertGreaterEqual(row["recall"], row["target"])
                self.assertGreater(row["p99_us"], row["p50_us"] * 0.99)

    @unittest.skipUnless(peers.available("faiss-flat"), "peers are not installed: scripts/bench-setup.sh")
    def test_a_command_that_fails_is_named_in_the_report_and_by_the_status(self):
        binary = self.cache / "broken"
        binary.write_text(f"#!{sys.executable}\nimport sys; sys.exit('outrider: the index is of version 9')\n")
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        status, said = self.run_quietly("--binary", str(binary), "--only", "outrider,faiss-flat")
        self.assertEqual(status, 1)
        self.assertIn("the index is of version 9", next((self.cache / "results").glob("*.md")).read_text())

    def test_an_unknown_method_is_refused_with_the_names_there_are(self):
        with self.assertRaises(SystemExit) as refused:
            self.run_quietly("--only", "annoy")
        self.assertIn("hnswlib-16", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
