"""The benchmark's own parts, at toy size and without the peers: python -m unittest test_embed"""

import json
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    import numpy as np

    import peers
except ImportError:
    np = None
import run


class Toy(unittest.TestCase):
    def test_the_same_seed_gives_the_same_texts(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in run.CORPORA:
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                lines = "".join(json.dumps({"_id": str(i), "title": "T", "text": f"{name} {i}"}) + "\n" for i in range(20))
                if name.endswith(".gz"):
                    import gzip

                    path.write_bytes(gzip.compress(lines.encode()))
                else:
                    path.write_text(lines)
            files = [pathlib.Path(folder) / name for name in ("a", "b", "c")]
            self.assertEqual(run.sample(folder, 9, 1, files[0]), 9)
            run.sample(folder, 9, 1, files[1])
            run.sample(folder, 9, 2, files[2])
            self.assertEqual(files[0].read_text(), files[1].read_text())
            self.assertNotEqual(files[0].read_text(), files[2].read_text())
            self.assertTrue(json.loads(files[0].read_text().splitlines()[0])["text"].startswith("T "))

    @unittest.skipIf(np is None, "numpy is not installed")
    def test_rows_come_in_the_order_of_the_texts_whatever_the_batching(self):
        class Engine:
            def run(self, batches):
                # The vector of a text is the number of its tokens, seen through the mask.
                return [np.stack([mask.sum(1), ids.max(1)], axis=1).astype(np.float32) for ids, mask in batches]

        class Tokenizer:
            def encode_batch(self, texts):
                return [types.SimpleNamespace(ids=[int(word) for word in text.split()]) for text in texts]

        texts = ["1 2 3", "9", "4 4 4 4 7", "5 6"]
        for batch in (1, 2, 3, 8):
            rows, tokens = peers.embed(Engine(), Tokenizer(), texts, batch, 2)
            self.assertEqual(rows.tolist(), [[3, 3], [1, 9], [5, 7], [2, 6]])
            self.assertEqual(tokens, 11)

    @unittest.skipIf(np is None, "numpy is not installed")
    def test_tensors_are_read_with_their_shapes(self):
        values = np.arange(6, dtype=np.float32).reshape(2, 3)
        header = json.dumps({"bert.a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {}}).encode()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.safetensors"
            path.write_bytes(len(header).to_bytes(8, "little") + header + values.tobytes())
            self.assertTrue((peers.read_safetensors(path)["a"] == values).all())


if __name__ == "__main__":
    unittest.main()
