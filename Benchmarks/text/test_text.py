"""Checks of the text benchmark at toy size: python3 -m unittest discover Benchmarks/text"""

import importlib.util
import json
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import peers  # noqa: E402
import run  # noqa: E402

PASSAGES = ["The comet passed the sun", "A comet and a comet again", "Planets circle the sun", "Nothing of the kind"]


class Helpers(unittest.TestCase):
    def test_stop_words_are_dropped_unless_nothing_is_left(self):
        self.assertEqual(peers.words('What is "the" comet?', True), ["What", "comet"])
        self.assertEqual(peers.words("what is the comet", False), ["what", "is", "the", "comet"])
        self.assertEqual(peers.words("to be or not to be", True), ["to", "be", "or", "not", "to", "be"])

    def test_questions_are_chosen_by_their_length(self):
        with tempfile.TemporaryDirectory() as folder:
            source, target = pathlib.Path(folder, "all"), pathlib.Path(folder, "chosen")
            source.write_text("".join(json.dumps({"id": n, "text": " ".join(["word"] * n)}) + "\n" for n in range(1, 20)))
            self.assertEqual(run.pick_questions(str(source), str(target), (8, 13), 100), (6, 10.5))
            self.assertEqual(run.pick_questions(str(source), str(target), (8, 13), 2), (2, 8.5))
            self.assertEqual([len(json.loads(line)["text"].split()) for line in target.read_text().splitlines()], [8, 9])

    def test_overlap_is_the_share_of_common_ids(self):
        with tempfile.TemporaryDirectory() as folder:
            left, right = pathlib.Path(folder, "a"), pathlib.Path(folder, "b")
            left.write_text("[1,2]\n[3]\n[]\n")
            right.write_text("[2,1]\n[4]\n[5]\n")
            self.assertEqual(run.overlap(left, right), 0.5)


class Engines(unittest.TestCase):
    def check(self, kind):
        with tempfile.TemporaryDirectory() as folder:
            engine = kind(folder + "/index")
            engine.drops_stop_words = True
            engine.build(list(enumerate(PASSAGES, 1)))
            engine.open()
            self.assertEqual(engine.ids(engine.search("the comets", 10)), [2, 1])
            self.assertEqual(set(engine.ids(engine.search('what "sun" OR comet?', 10))), {1, 2, 3})
            self.assertEqual(len(engine.search("sun comet", 1)), 1)
            added, removed = engine.freshness(10)
            self.assertEqual((len(added), len(removed)), (11, 11))

    def test_fts5_finds_ranks_and_changes(self):
        self.check(peers.FTS5)

    @unittest.skipUnless(importlib.util.find_spec("tantivy"), "tantivy is not installed; scripts/bench-setup.sh installs it")
    def test_tantivy_finds_ranks_and_changes(self):
        self.check(peers.Tantivy)


if __name__ == "__main__":
    unittest.main()
