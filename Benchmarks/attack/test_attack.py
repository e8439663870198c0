"""The attack's own tests: the ledger tells a loss from what nobody can know, and every trial runs at toy size where a binary was built.

    cd Benchmarks && python3 -m unittest discover -s attack -t .
"""

import os
import pathlib
import tempfile
import unittest

from attack import flips, run
from attack.consistency import Life
from attack.ledger import Ledger, Texts, digest, token, tokens_in
from attack.program import multipart
from attack.resident import slope

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = ("default", "a")


def found(text):
    return {} if text is None else {"a": digest(text)}


class LedgerTests(unittest.TestCase):
    def problems(self, ledger, text, settle=False):
        return ledger.compare("default", found(text), settle)

    def test_what_was_under_way_may_be_there_or_not(self):
        ledger = Ledger()
        ledger.begin(KEY, "one")
        self.assertEqual(self.problems(ledger, None), [])
        self.assertEqual(self.problems(ledger, "one"), [])
        self.assertEqual(len(self.problems(ledger, "another")), 1)

    def test_what_is_found_settles_it(self):
        ledger = Ledger()
        ledger.begin(KEY, "one")
        self.problems(ledger, None, settle=True)
        self.assertEqual(len(self.problems(ledger, "one")), 1)

    def test_what_was_stored_must_be_there_and_nothing_else(self):
        ledger = Ledger()
        ledger.begin(KEY, "one")
        ledger.stored(KEY, "one")
        self.assertEqual(self.problems(ledger, "one"), [])
        self.assertEqual(len(self.problems(ledger, None)), 1)
        ledger.begin(KEY, "two")
        self.assertEqual(self.problems(ledger, "one") + self.problems(ledger, "two"), [])
        self.assertEqual(len(self.problems(ledger, None)), 1)

    def test_what_was_queued_may_be_late_until_the_queue_is_empty(self):
        ledger = Ledger()
        ledger.stored(KEY, "one")
        ledger.begin(KEY, "two")
        ledger.queued(KEY, "two")
        self.assertEqual(self.problems(ledger, "one") + self.problems(ledger, "two"), [])
        ledger.drained()
        self.assertEqual(self.problems(ledger, "two"), [])
        self.assertEqual(len(self.problems(ledger, "one")), 1)

    def test_what_was_deleted_is_gone_and_remembered_as_such(self):
        ledger = Ledger()
        ledger.stored(KEY, "one")
        ledger.begin(KEY, None)
        self.assertEqual(self.problems(ledger, "one") + self.problems(ledger, None), [])
        ledger.deleted(KEY)
        self.assertEqual(self.problems(ledger, None), [])
        self.assertEqual(len(self.problems(ledger, "one")), 1)
        self.assertEqual(ledger.gone, ["one"])

    def test_what_was_refused_changes_nothing(self):
        ledger = Ledger()
        ledger.stored(KEY, "one")
        before = ledger.snapshot(KEY)
        ledger.begin(KEY, "two")
        ledger.refused(KEY, "two", before)
        self.assertEqual(len(self.problems(ledger, "two")), 1)

    def test_a_document_that_nobody_put_is_a_fault(self):
        ledger = Ledger()
        self.assertEqual(len(ledger.compare("default", {"b": "1"}, False)), 1)


class TextTests(unittest.TestCase):
    def test_each_text_has_a_word_of_its_own(self):
        texts = Texts(1)
        made = [texts.make(size) for size in (6, 18, 400) for _ in range(100)]
        words = [tokens_in(text)[0] for text in made]
        self.assertEqual(len(set(words)), len(words))
        self.assertTrue(all(set(tokens_in(text)) == {word} for text, word in zip(made, words)))
        self.assertTrue(all(word.isalpha() for word in words))
        self.assertNotEqual(token(1), token(2))

    def test_the_same_seed_makes_the_same_texts(self):
        self.assertEqual(Texts(7).make(), Texts(7).make())

    def test_a_multipart_body_ends_as_it_should(self):
        kind, body = multipart([("a.txt", b"text")], [("collection", "other")])
        boundary = kind.split("boundary=")[1]
        self.assertTrue(body.endswith(f"--{boundary}--\r\n".encode()))
        self.assertEqual(body.count(f"--{boundary}".encode()), 3)


class ConsistencyTests(unittest.TestCase):
    def test_a_text_is_stale_only_when_its_end_was_acknowledged_before_the_question(self):
        life = Life("a", "text")
        life.acknowledged = 1.0
        self.assertFalse(life.is_stale(9))
        life.ending, life.gone = 2.0, 3.0
        self.assertFalse(life.is_stale(2.5))
        self.assertTrue(life.is_stale(3.5))
        self.assertTrue(life.must_be_seen(1.2, 1.8))
        self.assertFalse(life.must_be_seen(1.2, 2.2))
        self.assertFalse(life.must_be_seen(0.8, 1.8))


class FlipTests(unittest.TestCase):
    def test_files_of_one_kind_have_one_name(self):
        self.assertEqual(flips.kind_of("index/3/text/text-12.seg"), flips.kind_of("index/1/text/text-7.seg"))
        self.assertNotEqual(flips.kind_of("index/3/text/text-12.seg"), flips.kind_of("index/3/vectors/text-12.seg"))
        self.assertEqual(flips.kind_of("spool/upload-Ab3"), flips.kind_of("spool/upload-9zq"))
        self.assertEqual(flips.kind_of("spool/upload-Ab3"), flips.kind_of("spool/upload-9zq." + "0af9" * 16))

    def judged(self, kind="index/N/text/text-N.seg", **changes):
        same = {"announced": [], "refused": None, "errors": [], "listing": {"a": 1}, "texts": {}, "answers": {"q": 1}, "problems": [],
                "crash": None, "content": {"documents": "1"}}
        folder = flips.Folder("f", None, [], None, None)
        folder.reference = same
        folder.rebuilt = {"q": 3}
        folder.moments = [frozenset(), frozenset("a"), frozenset("ab"), frozenset("abc")]
        return folder.judge(kind, {**same, **changes})[0]

    def test_what_came_of_a_flip(self):
        self.assertEqual(self.judged(), "harmless")
        self.assertEqual(self.judged(announced=["index unusable"]), "rebuilt")
        self.assertEqual(self.judged(answers={"q": 2}), "silent")
        self.assertEqual(self.judged(answers={"q": 3}), "silent")
        self.assertEqual(self.judged(answers={"q": 3}, announced=["index unusable"]), "rebuilt")
        self.assertEqual(self.judged(answers={"q": 2}, announced=["index unusable"]), "silent")
        self.assertEqual(self.judged(answers={"q": 2}, problems=["a text differs"]), "named")
        self.assertEqual(self.judged(content={"documents": "2"}), "silent")
        self.assertEqual(self.judged(content={"documents": "1", "audit": "3"}), "history")
        log = {"kind": "outrider.sqlite-wal"}
        self.assertEqual(self.judged(**log, listing={"default/a": 1, "default/b": 1}), "cut log")
        self.assertEqual(self.judged(**log, listing={"default/a": 1}), "silent")
        self.assertEqual(self.judged(**log, listing={"default/a": 1}, problems=["the log was damaged"]), "named")
        self.assertEqual(self.judged(refused="it says why"), "refused")
        self.assertEqual(self.judged(crash="signal 4", refused="serve ended with -4"), "crash")


class SlopeTests(unittest.TestCase):
    def test_least_squares(self):
        self.assertAlmostEqual(slope([(0, 1), (1, 3), (2, 5)]), 2)
        self.assertEqual(slope([(1, 1)]), 0)


BINARY = next((path for path in (ROOT / ".build/debug/outrider", ROOT / ".build/release/outrider") if path.exists()), None)


@unittest.skipUnless(BINARY and os.environ.get("OUTRIDER_ATTACK"), "minutes of a whole server; OUTRIDER_ATTACK=1 runs them")
class ToyTests(unittest.TestCase):
    def attack(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "report.md"
            status = run.main([*words, "--outrider", str(BINARY), "--folder", folder, "--out", str(out), "--seed", "11"])
            self.assertEqual(status, 0, out.read_text() if out.exists() else "no report")
            self.assertIn("None.", out.read_text())

    def test_kills(self):
        self.attack("kills", "--count", "6", "--models", "none", "--look-every", "3")

    def test_flips(self):
        self.attack("flips", "--each", "1", "--model", "none", "--lists", "0")

    def test_consistency(self):
        self.attack("consistency", "--seconds", "3", "--documents", "5")

    def test_resident(self):
        self.attack("resident", "--seconds", "4", "--every", "1", "--documents", "20", "--flat", "1e9")

    @unittest.skipUnless(os.geteuid() == 0, "root is needed to mount a tmpfs")
    def test_full(self):
        self.attack("full", "--only", "command_verify", "--model", "none")


if __name__ == "__main__":
    unittest.main()
