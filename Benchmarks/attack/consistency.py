"""Readers and writers at once, in all three modes, for minutes: no 5xx, and no text that is seen after its end was acknowledged.

Each writer owns its documents: it puts, replaces and deletes them, each time with a text that holds a word of its own, and notes when the text began
and when the answer came that it is gone. Whatever a search or a citation shows names itself by that word. It is stale when the text's end had been acknowledged before the
request was sent; it is missing when a text that was acknowledged before the request, and not changed since, is not found by its own word.
"""

import collections
import pathlib
import random
import shutil
import tempfile
import threading
import time

from .ledger import WORDS, Texts, digest, tokens_in
from .program import Fault, Program, Unanswered, cpu_seconds, memory, multipart

MODES = ("text", "vector", "hybrid")


class Life:
    """One text: where it was put, and from when to when it may be seen (seconds of the monotonic clock; an open end is None)."""

    __slots__ = ("source", "text", "acknowledged", "ending", "gone")

    def __init__(self, source, text):
        self.source = source
        self.text = text
        self.acknowledged = None  # the answer came: from then on it is found
        self.ending = None  # the request that ends it was sent
        self.gone = None  # the answer came: from then on it is never seen

    def is_stale(self, asked):
        return self.gone is not None and self.gone < asked

    def must_be_seen(self, asked, answered):
        return self.acknowledged is not None and self.acknowledged < asked and (self.ending is None or self.ending > answered)


class Trial:
    def __init__(self, options):
        self.options = options
        self.texts = Texts(options.seed)
        self.lives = {}
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.statuses = collections.Counter()
        self.faults = []
        self.stop = threading.Event()
        self.ids = {}
        self.recent = collections.deque(maxlen=300)  # texts that just ended
        self.server = None

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def fault(self, text):
        with self.lock:
            self.faults.append(text)
        print(f"FAULT: {text}", flush=True)

    def call(self, method, path, body=None, **options):
        asked = time.monotonic()
        status, answer = self.server.call(method, path, body, **options)
        with self.lock:
            self.statuses[status] += 1
        if status >= 500:
            self.fault(f"{method} {path} was answered {status}: {str(answer)[:300]}")
        return status, answer, asked, time.monotonic()

    def repeat(self, generator, step):
        """Takes one step after another, with pauses, until the trial ends or a step fails."""
        while not self.stop.is_set():
            try:
                step()
            except Unanswered as error:
                if not self.stop.is_set():
                    self.fault(f"no answer: {error}")
                return
            except Exception as error:  # of the attack itself, too: a thread that ended unseen would attack nothing
                self.fault(f"{type(error).__name__}: {error}")
                return
            time.sleep(generator.uniform(0, 2 * self.options.pause))

    # MARK: Writers

    def write(self, number):
        generator = random.Random(self.options.seed * 100 + number)
        mine = {}
        self.repeat(generator, lambda: self.write_one(number, generator, mine))

    def write_one(self, number, generator, mine):
        source = f"w{number}-{generator.randrange(self.options.documents)}"
        kind = generator.choices(["put", "batch", "upload", "delete", "upkeep"], weights=[40, 8, 10, 30, 1])[0]
        if kind == "delete" and source in mine:
            life = mine[source]
            life.ending = time.monotonic()
            if generator.random() < 0.5:
                status, body, _, end = self.call("DELETE", f"/v1/documents/{self.ids[source]}")
            else:
                status, body, _, end = self.call("POST", "/v1/documents/delete", {"sources": [source]})
            if status != 200 or len(body["documents"]) != 1:
                self.fault(f"deleting '{source}' was answered {status}: {body}")
                return
            life.gone = end
            del mine[source]
            self.recent.append(life)
            self.count("deletes acknowledged")
            self.check_gone(life, generator)
            return
        if kind == "upkeep":
            status, body, _, _ = self.call("POST", generator.choice(["/v1/compact", "/v1/verify"]), timeout=300)
            if status == 200 and body.get("clean") is False:
                self.fault(f"verify beside writers: {body['problems'][:3]}")
            return
        sources = {source}
        if kind == "batch":
            sources |= {f"w{number}-{generator.randrange(self.options.documents)}" for _ in range(generator.randint(2, 20))}
        new = {name: Life(name, self.texts.make(generator.choice([18, 40, 200]))) for name in sources}
        now = time.monotonic()
        with self.lock:
            for name, life in new.items():
                self.lives[tokens_in(life.text)[0]] = life
        for name in sources:
            if name in mine:
                mine[name].ending = now
        if kind == "upload":
            content, data = multipart([(name, life.text.encode()) for name, life in new.items()])
            status, body, _, end = self.call("POST", "/v1/documents?wait=true", data, content_type=content)
        else:
            documents = [{"source": name, "text": life.text} for name, life in new.items()]
            status, body, _, end = self.call("POST", "/v1/documents?wait=true", {"documents": documents})
        if status != 200 or {outcome["outcome"] for outcome in body["files"]} != {"indexed"}:
            self.fault(f"a put was answered {status}: {str(body)[:300]}")
            return
        for outcome in body["files"]:
            self.ids[outcome["path"]] = outcome["document_id"]
        for name, life in new.items():
            life.acknowledged = end
            if name in mine:
                mine[name].gone = end
                self.recent.append(mine[name])
                self.count("replacements acknowledged")
            else:
                self.count("new documents acknowledged")
            mine[name] = life
        life = new[source]
        self.check_found(life, generator)

    def check_found(self, life, generator):
        """What was just acknowledged is found, by its word and by its meaning."""
        mode = generator.choice(MODES)
        word = tokens_in(life.text)[0]
        status, body, asked, answered = self.call("POST", "/v1/search", {"query": word if mode == "text" else life.text, "mode": mode, "k": 10})
        if status != 200:
            return
        self.look_at(body["results"], mode, asked)
        if not any(word in result["text"] for result in body["results"]):
            self.fault(f"'{life.source}' was acknowledged and is not found in mode {mode}")
        self.count(f"acknowledged texts looked for, {mode}")

    def check_gone(self, life, generator):
        mode = generator.choice(MODES)
        word = tokens_in(life.text)[0]
        status, body, asked, _ = self.call("POST", "/v1/search", {"query": word if mode == "text" else life.text, "mode": mode, "k": 10})
        if status == 200:
            self.look_at(body["results"], mode, asked)
            self.count(f"gone texts looked for, {mode}")

    # MARK: Readers

    def look_at(self, results, mode, asked):
        """Each result names the text that it shows: none may be one that was gone before it was asked for."""
        for result in results:
            words = tokens_in(result["text"])
            for word in words[:1]:
                life = self.lives.get(word)
                if life is None:
                    self.fault(f"a result in mode {mode} shows '{word}', which nobody put")
                elif life.is_stale(asked):
                    self.fault(f"stale: '{life.source}' {word} was gone {asked - life.gone:.3f} s before it was asked for, and is found in mode {mode}")
                elif result["content_hash"] != digest(life.text) or result["source"] != life.source:
                    self.fault(f"a result in mode {mode} shows the text of {word} with the hash or the source of another")
        self.count(f"results looked at, {mode}", len(results))

    def read(self, number):
        generator = random.Random(self.options.seed * 100 + 50 + number)
        self.repeat(generator, lambda: self.read_one(generator))

    def read_one(self, generator):
        kind = generator.choices(["gone", "live", "words", "answer", "list"], weights=[30, 20, 20, 25, 5])[0]
        mode = generator.choice(MODES)
        if kind == "gone" and self.recent:
            life = generator.choice(list(self.recent)[-40:])
            word = tokens_in(life.text)[0]
            status, body, asked, _ = self.call("POST", "/v1/search", {"query": word if mode == "text" else life.text, "mode": mode, "k": 10})
            if status == 200:
                self.look_at(body["results"], mode, asked)
                self.count(f"gone texts looked for, {mode}")
        elif kind == "live":
            with self.lock:
                lives = [life for life in list(self.lives.values())[-300:] if life.acknowledged and life.ending is None]
            if not lives:
                return
            life = generator.choice(lives)
            word = tokens_in(life.text)[0]
            status, body, asked, answered = self.call("POST", "/v1/search", {"query": word if mode == "text" else life.text, "mode": mode, "k": 10})
            if status == 200:
                self.look_at(body["results"], mode, asked)
                self.count(f"acknowledged texts looked for, {mode}")
                if life.must_be_seen(asked, answered) and not any(word in result["text"] for result in body["results"]):
                    self.fault(f"'{life.source}' {word} is there and is not found in mode {mode}")
        elif kind == "answer":
            self.ask(generator, mode)
        elif kind == "list":
            self.call("GET", "/v1/documents?limit=100")
        else:
            words = " ".join(generator.sample(WORDS, 3))
            status, body, asked, _ = self.call("POST", "/v1/search", {"query": words, "mode": mode, "k": 8})
            if status == 200:
                self.look_at(body["results"], mode, asked)

    def ask(self, generator, mode):
        """A question, and its citations: each quotes the version that it names, and no text that was gone."""
        with self.lock:
            lives = [life for life in list(self.lives.values())[-200:] if life.gone is None]
        if not lives:
            return
        life = generator.choice(lives)
        question = "What is said of " + " ".join(life.text.split()[:7]) + "?"
        status, body, asked, _ = self.call("POST", "/v1/answer", {"question": question, "mode": mode, "k": 6})
        if status != 200:
            return
        self.count("answers")
        for citation in body["citations"]:
            self.count("citations")
            for word in tokens_in(citation["quote"])[:1]:
                known = self.lives.get(word)
                if known is None:
                    self.fault(f"a citation quotes '{word}', which nobody put")
                elif known.is_stale(asked):
                    self.fault(f"stale: a citation quotes {word}, gone {asked - known.gone:.3f} s before it was asked for")
                elif known.source != citation["source"]:
                    self.fault(f"a citation quotes {word} of '{known.source}' as '{citation['source']}'")
            span = citation["span"]
            path = f"/v1/documents/{citation['document_id']}/text?start={span['start']}&end={span['end']}&version={citation['version']}"
            status, text, _, _ = self.call("GET", path)
            if status == 200:
                if text["text"] != citation["quote"]:
                    self.fault(f"a citation's span of version {citation['version']} holds other bytes: {text['text'][:80]!r} for {citation['quote'][:80]!r}")
                self.count("citations read back")
            elif status == 409:
                self.count("citations of a version that was replaced since (409)")
            elif status == 404:
                self.count("citations of a document that was deleted since (404)")
            else:
                self.fault(f"a citation's text was answered {status}: {text}")


def run(options, report):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-consistency-", dir=options.folder))
    data = folder / "data"
    program = Program(options.outrider, options.model)
    trial = Trial(options)
    server = trial.server = program.serve(data)
    first, last, cpu = memory(server.pid), None, 0
    try:
        began = time.monotonic()
        threads = [threading.Thread(target=trial.write, args=(n,)) for n in range(options.writers)]
        threads += [threading.Thread(target=trial.read, args=(n,)) for n in range(options.readers)]
        for thread in threads:
            thread.start()
        told = began
        while time.monotonic() - began < options.seconds and server.process.poll() is None:
            time.sleep(0.5)
            if time.monotonic() - told >= 60:
                told = time.monotonic()
                print(
                    f"{told - began:.0f} s: {sum(trial.statuses.values())} requests, {dict(trial.statuses)}, {len(trial.faults)} faults, "
                    f"RSS {memory(server.pid)['rss'] / 1e6:.0f} MB", flush=True)
        if server.process.poll() is not None:
            trial.fault(f"the server ended with {server.process.returncode}: {server.tail()}")
        trial.stop.set()
        for thread in threads:
            thread.join(120)
        seconds = time.monotonic() - began
        if server.process.poll() is None:
            last, cpu = memory(server.pid), cpu_seconds(server.pid)
            found, after = {}, None
            while True:
                status, page = server.call("GET", "/v1/documents?limit=500" + (f"&after={after}" if after else ""))
                found.update({document["source"]: document["content_hash"] for document in page["documents"]})
                after = page.get("next")
                if not after:
                    break
            expected = {life.source: digest(life.text) for life in trial.lives.values() if life.acknowledged and life.gone is None}
            for source in expected.keys() | found.keys():
                if expected.get(source) != found.get(source):
                    trial.fault(f"at the end '{source}' is {found.get(source)}, it must be {expected.get(source)}")
            trial.counts["documents at the end, all compared"] = len(expected)
            levels = collections.Counter(line.get("level") for line in server.lines())
            trial.counts["log lines of level error"] = levels.get("error", 0)
            status = server.stop()
            if status != 0:
                trial.fault(f"serve ended with {status} after SIGTERM")
        for problem in program.verify(data):
            trial.fault(f"verify: {problem}")
    except (Fault, Unanswered) as fault:
        trial.fault(str(fault))
        seconds = time.monotonic() - began
    finally:
        trial.stop.set()
        server.__exit__()
        shutil.rmtree(folder, ignore_errors=True)
    stale = sum(fault.startswith("stale") for fault in trial.faults)
    errors = sum(number for status, number in trial.statuses.items() if status >= 500)
    report.text(
        f"**{sum(trial.statuses.values()):,} requests in {seconds:.0f} s by {options.writers} writers and {options.readers} readers: {errors} 5xx, "
        f"{stale} stale, {len(trial.faults)} faults in all.** Modes: text, vector, hybrid, drawn with equal chance. Embedding model: {options.model}.")
    report.section("Answers by status")
    report.table(["status", "number"], [[str(status), number] for status, number in sorted(trial.statuses.items())])
    report.section("What was compared")
    report.table(["what", "number"], sorted(trial.counts.items()))
    if last:
        report.text(
            f"The server: RSS {first['rss'] / 1e6:.0f} MB at the start, {last['rss'] / 1e6:.0f} MB at the end; {cpu:.0f} s of CPU; "
            f"{last['descriptors']} descriptors, {last['threads']} threads.")
    report.section("Faults")
    report.text("\n".join(f"- {fault}" for fault in trial.faults[:60]) or "None.")
    report.raw([{"fault": fault} for fault in trial.faults])
    return not trial.faults
