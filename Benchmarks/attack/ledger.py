"""What must be there: the plain model that an attacked data folder is compared with.

Each document is a register that one writer at a time owns. What was acknowledged is certain; what was under way at a kill may have happened or not,
and the ledger holds both, until the folder is looked at and tells which.

    begin(key, text)     it may be seen from now on, beside what was there before
    queued(key, text)    202: it will be there when the queue is empty; the kill must not lose it
    stored(key, text)    200 with ?wait=true: it is there now
    deleted(key)         the receipt came: it is gone now

Every text holds a word of its own, so that a text which must be gone can be looked for, and any text that is found tells which one it is.
"""

import hashlib
import random
import threading

# Plain words, so that models of embeddings have something to hold on to.
WORDS = """
account achieve address advice afternoon airport animal answer apple arrange article autumn balance banana basket battery beach bicycle bottle bridge
brother budget butter camera candle carpet castle chapter cheese church circle climate coffee college colour contract copper corner cotton council
country couple credit culture customer danger daughter december defence degree desert design detail dinner distance doctor dollar dragon drawer driver
eagle economy education electric elephant emergency engine entrance evening evidence factory failure family farmer fashion february festival finger
fisher flower forest fortune freedom friend furniture garden garlic general glacier government grammar grandmother guitar hammer harbour harvest health
history holiday hospital hotel husband illness industry insect insurance island january jewel journey judge kitchen knowledge labour lake language
lawyer leather lemon letter library lighthouse machine magazine mailbox manager market marriage medicine memory mercury metal minister mirror mission
monday monument morning mountain museum music neighbour network notebook november ocean office olive opinion orange orchestra oxygen package painting
palace paper parliament passenger pepper picture pilot planet plastic poetry police potato prison profit program promise protein quality quarter rabbit
railway rainbow recipe record refugee rescue restaurant river rocket saddle salary sandwich satellite saturday scholar school science season secret
senator september service shadow shelter shoulder silver sister society soldier spring station storage strategy student summer sunday surface surgeon
teacher telephone temple theatre thunder ticket tobacco tomato tourist traffic treasure triangle tunnel turkey umbrella uncle uniform valley vehicle
village violin virus visitor volcano voyage wagon warning water weather wedding whale whisper window winter witness woman wonder writer yellow
""".split()

TOKEN = "qzx"


def token(number):
    """A word that no text has but one: letters only, so that no analyzer cuts or folds it."""
    letters = ""
    number += 26**4
    while number:
        number, digit = divmod(number, 26)
        letters = "abcdefghijklmnopqrstuvwxyz"[digit] + letters
    return TOKEN + letters + TOKEN


def tokens_in(text):
    """The words of that kind in a text."""
    return [word.strip(".,:;!?\"'()[]*") for word in text.split() if word.strip(".,:;!?\"'()[]*").startswith(TOKEN)]


class Texts:
    """Texts from a seed, each with a token of its own."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.count = 0
        self.lock = threading.Lock()

    def make(self, words=18):
        """A text of about so many words. Its token stands in its first sentence and again in its last."""
        with self.lock:
            self.count += 1
            number = self.count
            chosen = [self.random.choice(WORDS) for _ in range(words)]
        word = token(number)
        sentences = [chosen[start:start + 9] for start in range(0, len(chosen), 9)]
        lines = [" ".join(sentence).capitalize() for sentence in sentences]
        lines[0] += f" with {word}"
        if len(lines) > 1:
            lines[-1] += f" and {word}"
        return ". ".join(lines) + "."


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Entry:
    """One document: `now` are the texts of which one may be seen, `end` those of which one is there when the queue is empty. None: it is not there."""

    __slots__ = ("now", "end", "id")

    def __init__(self):
        self.now = {None}
        self.end = {None}
        self.id = None

    @property
    def settled(self):
        return len(self.now) == 1 and self.now == self.end

    @property
    def text(self):
        """The text of a settled entry."""
        (text,) = self.now
        return text


class Ledger:
    """All documents of one data folder, by (collection, source). Thread-safe; a key is changed by one thread at a time."""

    def __init__(self):
        self.entries = {}
        self.gone = []  # texts that must not be seen any more, latest last
        self.lock = threading.RLock()

    def __getitem__(self, key):
        with self.lock:
            return self.entries.setdefault(key, Entry())

    def begin(self, key, text):
        """A request leaves that makes it so."""
        with self.lock:
            entry = self[key]
            entry.now = entry.now | {text}
            entry.end = entry.end | {text}
            if text in self.gone:  # a file that lay there all the time is taken in after all
                self.gone.remove(text)

    def queued(self, key, text):
        with self.lock:
            entry = self[key]
            entry.now = entry.now | {text}
            entry.end = {text}

    def stored(self, key, text):
        with self.lock:
            entry = self[key]
            self._forget(entry.now - {text})
            entry.now, entry.end = {text}, {text}

    def refused(self, key, text, before):
        """The server said no: it is as it was."""
        with self.lock:
            entry = self[key]
            entry.now, entry.end = set(before[0]), set(before[1])

    def deleted(self, key):
        self.stored(key, None)

    def snapshot(self, key):
        with self.lock:
            entry = self[key]
            return set(entry.now), set(entry.end)

    def _forget(self, texts):
        self.gone.extend(text for text in texts if text is not None)
        del self.gone[:-4000]

    def drained(self):
        """The queue is empty: what was queued is there."""
        with self.lock:
            for entry in self.entries.values():
                entry.now = set(entry.end)

    def keys(self, collection=None):
        with self.lock:
            return [key for key in self.entries if collection is None or key[0] == collection]

    def compare(self, collection, found, settle):
        """Compares what a collection lists, {source: content hash}, with what it must hold. Returns sentences about what is wrong.

        With `settle`, what was uncertain becomes what was found.
        """
        problems = []
        with self.lock:
            for key in self.keys(collection):
                entry = self.entries[key]
                by_hash = {None if text is None else digest(text): text for text in entry.now}
                seen = found.get(key[1])
                if seen not in by_hash:
                    what = "is not there" if seen is None else "is there with another text"
                    expected = "gone" if entry.now == {None} else "one of " + ", ".join(
                        "nothing" if text is None else (tokens_in(text) or ["?"])[0] for text in entry.now)
                    problems.append(f"'{key[1]}' of '{collection}' {what}; it must be {expected}")
                    continue
                if settle:
                    text = by_hash[seen]
                    self._forget(entry.now - {text})
                    entry.now, entry.end = {text}, {text}
            known = {source for name, source in self.entries if name == collection}
            for source in found:
                if source not in known:
                    problems.append(f"'{source}' of '{collection}' is there and nobody put it there")
        return problems

    def recently_gone(self, count, generator):
        with self.lock:
            if not self.gone:
                return []
            latest = self.gone[-200:]
            return [generator.choice(latest) for _ in range(min(count, len(latest)))]
