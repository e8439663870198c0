"""SIGKILL at random moments over all operations, and whether everything that was acknowledged is there afterwards, once, and nothing that was deleted.

Each round starts one operation on the same data folder and kills the process at a moment drawn from the time that the operation takes. An operation that
ended before its moment does not count. The next round finds the folder as the kill left it. Every server that starts compares the documents that it lists with
the ledger; every so many kills the folder is looked at in full: queue drained, every document compared, its text read back, found in each mode, deleted texts
looked for, `verify` clean, spool empty, no file given up.
"""

import collections
import os
import pathlib
import random
import shutil
import sqlite3
import tempfile
import threading
import time
import urllib.parse

from .ledger import Ledger, Texts, digest, tokens_in
from .program import Fault, Program, Unanswered, is_crash, multipart, read_until_killed

COLLECTIONS = ("default", "other")
WRITERS = 3
KEYS = 24  # documents of each writer
MODES = ("text", "vector", "hybrid")


class Site:
    """One data folder under attack, with what must be in it."""

    def __init__(self, program, folder, seed):
        self.program = program
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.files = self.folder / "files"
        self.files.mkdir(parents=True)
        self.random = random.Random(seed)
        self.texts = Texts(seed)
        self.ledger = Ledger()
        self.modes = ("text",) if program.model == "none" else MODES
        self.killed = collections.Counter()
        self.ended = collections.Counter()
        self.duration = collections.defaultdict(lambda: 0.5)
        self.counts = collections.Counter()
        self.faults = []
        self.kept = None
        self.told = set()
        self.stopping = False
        self.what = "the beginning"
        self.lock = threading.Lock()

    def fault(self, text):
        """Notes what must never happen, and keeps the folder as it is at the first of them."""
        with self.lock:
            self.faults.append({"model": self.program.model, "kill": sum(self.killed.values()), "after": self.what, "fault": text})
        if len(self.faults) <= 60:
            print(f"FAULT ({self.program.model}, {self.what}): {text}", flush=True)
        if self.kept is None and self.data.exists():
            self.kept = self.folder.parent / f"{self.folder.name}-fault"
            shutil.copytree(self.data, self.kept, dirs_exist_ok=True)

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    # MARK: Looking

    def listing(self, server, collection):
        """{source: content hash}, and the ids into the ledger."""
        found, after = {}, None
        while True:
            query = {"collection": collection, "limit": 500, **({"after": after} if after else {})}
            status, page = server.call("GET", "/v1/documents?" + urllib.parse.urlencode(query))
            if status == 404:  # nobody has put anything into it yet, or it was deleted
                return found
            if status != 200:
                raise Fault(f"listing '{collection}' was answered {status}: {page}")
            for document in page["documents"]:
                if document["source"] in found:
                    self.fault(f"'{document['source']}' of '{collection}' is listed twice")
                found[document["source"]] = document["content_hash"]
                self.ledger[(collection, document["source"])].id = document["id"]
            after = page.get("next")
            if not after:
                return found

    def glance(self, server):
        """Compares what is listed, without waiting for anything."""
        for collection in COLLECTIONS + ("scratch",):
            for problem in self.ledger.compare(collection, self.listing(server, collection), settle=False):
                self.fault(problem)
        self.count("listings compared")

    def drain(self, server, limit=120):
        end = time.monotonic() + limit
        while True:
            status, body = server.call("GET", "/v1/jobs?limit=200")
            open_jobs = [job for job in body["jobs"] if job["state"] in ("queued", "running")]
            if not open_jobs:
                return
            if time.monotonic() > end:
                raise Fault(f"{len(open_jobs)} jobs are still open after {limit} s: {open_jobs[-1]}")
            time.sleep(0.02)

    def search(self, server, mode, query, collection, k=10):
        status, body = server.call("POST", "/v1/search", {"query": query, "mode": mode, "k": k, "collection": collection})
        if status == 404:
            return []
        if status != 200:
            raise Fault(f"a search in mode {mode} was answered {status}: {body}")
        return body["results"]

    def look(self):
        """All of it. The folder's server is started and ended for that."""
        server = self.program.serve(self.data)
        try:
            self.drain(server)
            self.ledger.drained()
            for collection in COLLECTIONS + ("scratch", "bulk"):
                for problem in self.ledger.compare(collection, self.listing(server, collection), settle=True):
                    self.fault(problem)
            present = [key for key in self.ledger.keys() if self.ledger[key].settled and self.ledger[key].text is not None]
            for key in self.random.sample(present, min(12, len(present))):
                self.look_at(server, key)
            for text in self.ledger.recently_gone(12, self.random):
                self.look_for_gone(server, text)
            status, report = server.call("POST", "/v1/verify", timeout=300)
            if status != 200 or not report["clean"]:
                self.fault(f"verify of the server: {report}")
            status = server.stop()
            if status != 0:
                self.fault(f"serve ended with {status} after SIGTERM: {server.tail()}")
        except Unanswered as error:
            self.fault(f"a server that nobody killed gave no answer: {error}; {server.tail()}")
        except Fault as fault:
            self.fault(str(fault))
        finally:
            server.__exit__()
        for problem in self.program.verify(self.data):
            self.fault(f"verify: {problem}")
        self.look_at_queue()
        self.count("full looks")

    def look_at(self, server, key):
        """A document that is there: its text, and that each mode finds it, once."""
        collection, source = key
        text = self.ledger[key].text
        status, body = server.call("GET", f"/v1/documents/{self.ledger[key].id}/text")
        if status != 200 or body["text"].strip() != text.strip():
            self.fault(f"the text of '{source}' of '{collection}' is {body}")
        word = tokens_in(text)[0]
        for mode in self.modes:
            results = self.search(server, mode, word if mode == "text" else text, collection)
            hits = [result for result in results if word in result["text"]]
            if len({hit["chunk_id"] for hit in hits}) != len(hits) or len({hit["document_id"] for hit in hits}) > 1:
                self.fault(f"'{source}' of '{collection}' is found more than once in mode {mode}")
            if not hits:
                self.fault(f"'{source}' of '{collection}' is not found in mode {mode}: {word}")
            for hit in hits:
                if hit["content_hash"] != digest(text):
                    self.fault(f"'{source}' of '{collection}' is found with another version's hash in mode {mode}")
            self.count("present texts searched")

    def look_for_gone(self, server, text):
        word = tokens_in(text)[0]
        for mode in self.modes:
            for collection in COLLECTIONS:
                for result in self.search(server, mode, word if mode == "text" else text, collection):
                    if word in result["text"]:
                        self.fault(f"a text that is gone, {word}, is found in '{collection}' in mode {mode} as '{result['source']}'")
                self.count("gone texts searched")

    def look_at_queue(self):
        """The spool and the queue of a folder that nobody has open."""
        left = os.listdir(self.data / "spool")
        if left:
            self.fault(f"the spool holds {len(left)} files after everything has ended: {left[:3]}")
        database = sqlite3.connect(f"file:{self.data / 'outrider.sqlite'}?mode=ro", uri=True)
        try:
            rows = database.execute("SELECT source, stage, reason, deaths FROM job_files WHERE stage IN ('failed', 'refused')").fetchall()
            for source, stage, reason, deaths in rows:
                vanished = stage == "refused" and source.startswith("/") and "does not exist" in (reason or "")
                if not vanished and ("stage", source, reason) not in self.told:
                    self.told.add(("stage", source, reason))
                    self.fault(f"'{source}' was {stage}: {reason}")
            worst = database.execute("SELECT coalesce(max(deaths), 0) FROM job_files").fetchone()[0]
            self.counts["most deaths of one file"] = max(self.counts["most deaths of one file"], worst)
            texts = database.execute("SELECT count(*) FROM job_texts").fetchone()[0]
            if texts:
                self.fault(f"{texts} texts are left in the queue that is empty")
        finally:
            database.close()

    # MARK: Writing over HTTP

    def write(self, server, number, stop):
        """One writer until the server is gone. It owns its documents."""
        generator = random.Random(self.random.random())
        collection = COLLECTIONS[number % len(COLLECTIONS)]
        while not stop.is_set():
            try:
                self.write_one(server, number, collection, generator)
            except Unanswered:
                return
            except Exception as error:  # of the attack itself, too: a writer that ended unseen would attack nothing
                self.fault(f"{type(error).__name__}: {error}")
                return

    def write_one(self, server, number, collection, generator):
        ledger = self.ledger

        def key():
            return (collection, f"w{number}-{generator.randrange(KEYS)}")

        chosen = key()
        kind = generator.choices(
            ["put", "queue", "batch", "upload", "delete", "delete sources", "patch", "cancel", "search"],
            weights=[24, 14, 14, 12, 12, 8, 4, 4, 8])[0]
        if kind in ("delete", "delete sources") and (not ledger[chosen].settled or ledger[chosen].text is None or ledger[chosen].id is None):
            kind = "put"
        if kind in ("put", "queue", "batch", "cancel"):
            count = generator.randint(3, 40) if kind in ("batch", "cancel") else 1
            keys = {chosen} | {key() for _ in range(count - 1)}
            self.put(server, collection, {k: self.texts.make() for k in keys}, waits=kind == "put", cancels=kind == "cancel")
        elif kind == "upload":
            keys = {chosen} | {key() for _ in range(generator.randint(0, 3))}
            self.upload(server, collection, {k: self.texts.make(generator.choice([18, 400])) for k in keys}, waits=generator.random() < 0.5)
        elif kind == "delete":
            ledger.begin(chosen, None)
            status, body = server.call("DELETE", f"/v1/documents/{ledger[chosen].id}")
            self.expect(status, body, kind, [200])
            if status == 200:
                if ledger[chosen].id not in body["documents"]:
                    self.fault(f"the receipt of deleting '{chosen[1]}' is {body}")
                ledger.deleted(chosen)
                self.count("acknowledged deletes")
        elif kind == "delete sources":
            keys = [k for k in {chosen, key(), key()} if ledger[k].settled and ledger[k].text is not None]
            for k in keys:
                ledger.begin(k, None)
            status, body = server.call("POST", "/v1/documents/delete", {"collection": collection, "sources": [k[1] for k in keys]})
            self.expect(status, body, kind, [200])
            if status == 200:
                if len(body["documents"]) != len(keys):
                    self.fault(f"{len(keys)} documents were to be deleted, the receipt has {len(body['documents'])}")
                for k in keys:
                    ledger.deleted(k)
                self.count("acknowledged deletes", len(keys))
        elif kind == "patch" and ledger[chosen].id and ledger[chosen].settled and ledger[chosen].text:
            status, body = server.call("PATCH", f"/v1/documents/{ledger[chosen].id}", {"metadata": {"year": generator.randint(1990, 2030)}})
            self.expect(status, body, kind, [200])
        else:
            text = self.texts.make()
            mode = generator.choice(self.modes)
            self.search(server, mode, text, collection)
            self.count("searches beside")

    def expect(self, status, body, kind, allowed):
        """A server that was told to stop may say 503; anything else that is not allowed is a fault."""
        if status in allowed or (status == 503 and self.stopping):
            return
        self.fault(f"'{kind}' was answered {status}: {str(body)[:300]}")

    def put(self, server, collection, texts, waits, cancels=False):
        before = {key: self.ledger.snapshot(key) for key in texts}
        for key, text in texts.items():
            self.ledger.begin(key, text)
        documents = [{"source": key[1], "text": text, "metadata": {"writer": key[1].split("-")[0]}} for key, text in texts.items()]
        status, body = server.call("POST", "/v1/documents" + ("?wait=true" if waits else ""), {"collection": collection, "documents": documents})
        self.taken(server, status, body, texts, before, cancels)

    def upload(self, server, collection, texts, waits):
        before = {key: self.ledger.snapshot(key) for key in texts}
        for key, text in texts.items():
            self.ledger.begin(key, text)
        kind, data = multipart([(key[1], text.encode()) for key, text in texts.items()], [("collection", collection)])
        status, body = server.call("POST", "/v1/documents" + ("?wait=true" if waits else ""), data, content_type=kind)
        self.taken(server, status, body, texts, before)

    def taken(self, server, status, body, texts, before, cancels=False):
        self.expect(status, body, "put", [200, 202])
        if status == 200:
            outcomes = {outcome["path"]: outcome for outcome in body["files"]}
            for key, text in texts.items():
                outcome = outcomes.get(key[1], {"outcome": "missing"})
                if outcome["outcome"] not in ("indexed", "unchanged"):
                    self.fault(f"'{key[1]}' ended as {outcome}")
                self.ledger.stored(key, text)
                self.ledger[key].id = outcome.get("document_id")
            self.count("acknowledged as stored", len(texts))
        elif status == 202:
            if cancels:
                status, body = server.call("POST", f"/v1/jobs/{body['job_id']}/cancel")
                self.expect(status, body, "cancel", [200])
                return
            for key, text in texts.items():
                self.ledger.queued(key, text)
            self.count("acknowledged as queued", len(texts))
        else:
            for key, text in texts.items():
                self.ledger.refused(key, text, before[key])

    # MARK: What happens beside the writers

    def beside(self, server, kind, stop):
        try:
            while not stop.is_set():
                if kind == "compact":
                    status, body = server.call("POST", "/v1/compact", timeout=120)
                    self.expect(status, body, kind, [200])
                elif kind == "verify":
                    status, body = server.call("POST", "/v1/verify", timeout=120)
                    self.expect(status, body, kind, [200])
                    if status == 200 and not body["clean"]:
                        self.fault(f"verify beside writers: {body['problems'][:3]}")
                elif kind == "collections":
                    self.change_collections(server)
                elif kind == "bulk":
                    self.load_bulk(server)
                elif kind == "backup":
                    self.back_up(None)
                else:
                    return
        except Unanswered:
            return
        except Exception as error:
            self.fault(f"{type(error).__name__}: {error}")

    def change_collections(self, server):
        """A collection is made with other settings, filled, and deleted."""
        settings = random.Random(self.texts.count).choice(
            [{}, {"stemmer": "german"}, {"chunk_tokens": 64, "chunk_overlap_tokens": 16}, {"k1": 1.6, "b": 0.4}])
        status, body = server.call("POST", "/v1/collections", {"name": "scratch", "settings": settings})
        self.expect(status, body, "create collection", [201, 409])
        keys = [("scratch", f"s-{number}") for number in range(12)]
        self.put(server, "scratch", {key: self.texts.make() for key in keys}, waits=True)
        self.upload(server, "scratch", {keys[0]: self.texts.make(300)}, waits=False)
        for key in keys:
            self.ledger.begin(key, None)
        status, body = server.call("DELETE", "/v1/collections/scratch")
        self.expect(status, body, "delete collection", [200])
        if status == 200:
            for key in keys:
                self.ledger.deleted(key)
            self.count("acknowledged deletes", len(body["documents"]))

    def load_bulk(self, server):
        """Enough rows for the indexes to be sealed in the background."""
        if len(self.ledger.keys("bulk")) >= 24_000:
            for key in self.ledger.keys("bulk"):
                self.ledger.begin(key, None)
            status, body = server.call("DELETE", "/v1/collections/bulk")
            self.expect(status, body, "delete collection", [200, 404])
            if status in (200, 404):
                for key in self.ledger.keys("bulk"):
                    self.ledger.deleted(key)
                with self.ledger.lock:
                    for key in self.ledger.keys("bulk"):
                        del self.ledger.entries[key]
        start = len(self.ledger.keys("bulk"))
        self.put(server, "bulk", {("bulk", f"b-{start + number}"): self.texts.make(6) for number in range(1500)}, waits=True)

    def back_up(self, seconds):
        """A backup, killed after so many seconds; what lies at its place must be a whole database or none."""
        target = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-backup-", dir=self.folder)) / "copy"
        child = self.program.start("backup", target, data=self.data)
        killed, status, out, error = read_until_killed(child, 600 if seconds is None else seconds)
        try:
            if not killed and status != 0:
                self.fault(f"backup ended with {status}: {(out + error)[-300:]}")
            if (target / "outrider.sqlite").exists():
                for problem in self.program.verify(target):
                    self.fault(f"verify of a backup{' that was killed' if killed else ''}: {problem}")
                self.count("backups verified")
        finally:
            shutil.rmtree(target.parent, ignore_errors=True)
        return killed

    # MARK: Rounds

    def serve_round(self, kind):
        """A server with writers, killed. True when it lived until then."""
        self.stopping = False
        server = self.program.serve(self.data, wait=0)
        try:
            if kind == "starting":
                time.sleep(self.random.uniform(0, 1.2 * self.duration["starting"]))
                server.kill()
                return True
            try:
                server.wait_ready()
            except Fault as fault:
                self.fault(str(fault))
                return False
            self.duration["starting"] += 0.2 * (time.monotonic() - server.started - self.duration["starting"])
            self.glance(server)
            stop = threading.Event()
            threads = [threading.Thread(target=self.write, args=(server, number, stop)) for number in range(WRITERS)]
            threads.append(threading.Thread(target=self.beside, args=(server, kind, stop)))
            for thread in threads:
                thread.start()
            time.sleep(self.random.uniform(0.05, 1.0 if kind != "bulk" else 2.5))
            if kind == "stopping":
                self.stopping = True
                server.terminate()
                time.sleep(self.random.uniform(0, 1.2 * self.duration["stopping"]))
                ended = server.process.poll()
                if ended is not None and ended != 0:
                    self.fault(f"serve ended with {ended} after SIGTERM: {server.tail()}")
                if ended is not None:
                    self.duration["stopping"] *= 0.9
            else:
                ended = server.process.poll()
                if ended is not None:
                    self.fault(f"serve ended by itself with {ended}: {server.tail()}")
            if ended is None:
                server.kill()
            stop.set()
            for thread in threads:
                thread.join(120)
            return ended is None
        except Unanswered as error:
            self.fault(f"a server that nobody killed gave no answer: {error}; {server.tail()}")
            return False
        finally:
            server.__exit__()

    def command_round(self, kind):
        """A command, killed at a moment within the time that it takes. True when it had not ended before."""
        seconds = self.random.uniform(0, 1.1 * self.duration[kind])
        began = time.monotonic()
        if kind == "backup":
            killed = self.back_up(seconds)
        else:
            arguments, done = [], lambda: None
            if kind == "ingest folder":
                arguments, done = [self.files, "--prune"], self.change_files()
            elif kind == "delete":
                keys = [k for k in self.ledger.keys("default") if self.ledger[k].settled and self.ledger[k].text and k[1].startswith("w")]
                if not keys:
                    return False
                keys = self.random.sample(keys, min(3, len(keys)))
                for key in keys:
                    self.ledger.begin(key, None)
                    arguments += ["--source", key[1]]

                def done():
                    for key in keys:
                        self.ledger.deleted(key)
                    self.count("acknowledged deletes", len(keys))
            command = {"ingest folder": "ingest", "ingest resumed": "ingest", "rebuild": "index rebuild"}.get(kind, kind)
            child = self.program.start(command, *arguments, data=self.data)
            killed, status, out, error = read_until_killed(child, seconds)
            if not killed:
                if status != 0:
                    self.fault(f"'outrider {command}' ended with {status}{' (crashed)' if is_crash(status) else ''}: {(out + error)[-400:]}")
                else:
                    done()
        if not killed:
            self.duration[kind] += 0.3 * (time.monotonic() - began - self.duration[kind])
        else:
            self.duration[kind] *= 1.01  # a moment beyond the end costs little, one that never comes near it would miss the end
        return killed

    def change_files(self):
        """Changes the folder: new, other and removed files. Returns what is certain once `ingest --prune` has ended well."""
        for _ in range(self.random.randint(3, 20)):
            path = self.files / f"f-{self.random.randrange(40)}.{self.random.choice(['txt', 'md'])}"
            key = ("default", str(path))
            if path.exists() and self.random.random() < 0.3:
                path.unlink()
                self.ledger.begin(key, None)
            else:
                text = self.texts.make(self.random.choice([18, 300]))
                path.write_text(text)
        # All of them, also those that an earlier round wrote and whose ingest was killed before it had queued them.
        for path in self.files.iterdir():
            self.ledger.begin(("default", str(path)), path.read_text())

        def done():
            there = {str(path) for path in self.files.iterdir()}
            for key in self.ledger.keys("default"):
                if key[1].startswith("/"):
                    if key[1] in there:
                        self.ledger.stored(key, pathlib.Path(key[1]).read_text())
                    else:
                        self.ledger.deleted(key)
            self.count("files acknowledged by ingest", len(there))

        return done

    SERVE = {"writes": 22, "starting": 8, "stopping": 10, "compact": 8, "verify": 6, "collections": 8, "backup": 4, "bulk": 6}
    COMMANDS = {"ingest folder": 12, "ingest resumed": 4, "compact": 6, "rebuild": 6, "verify": 4, "delete": 6, "backup": 5}

    def round(self):
        """One kill, or none when the operation was quicker."""
        kinds = [("serve", kind, weight) for kind, weight in self.SERVE.items() if kind != "bulk" or self.program.model != "default"]
        kinds += [("command", kind, weight) for kind, weight in self.COMMANDS.items()]
        group, kind, _ = self.random.choices(kinds, weights=[weight for _, _, weight in kinds])[0]
        name = f"serve: {kind}" if group == "serve" else kind
        self.what = name
        killed = self.serve_round(kind) if group == "serve" else self.command_round(kind)
        (self.killed if killed else self.ended)[name] += 1
        return killed


def run(options, report):
    """Kills until there were enough; fills the report. Returns whether nothing was wrong."""
    seed = options.seed
    root = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-kills-", dir=options.folder))
    models = options.models.split(",")
    sites = [Site(Program(options.outrider, model), root / f"site-{index}", seed + index) for index, model in enumerate(models)]
    for site in sites:
        site.program.run("ingest", site.files, data=site.data)
    began = time.monotonic()
    done, last = 0, 0
    try:
        for index, site in enumerate(sites):
            goal = options.count * (index + 1) // len(sites)
            since = 0
            while done < goal and len(site.faults) < 40 and time.monotonic() - began < options.limit:
                if site.round():
                    done += 1
                    since += 1
                if since >= options.look_every:
                    since = 0
                    site.look()
                if done - last >= 20:
                    last = done
                    print(f"{done} kills in {time.monotonic() - began:.0f} s, {sum(len(s.faults) for s in sites)} faults", flush=True)
            site.what = "the end"
            site.look()
    finally:
        seconds = time.monotonic() - began
        faults = [fault for site in sites for fault in site.faults]
        report.text(
            f"**{done} kills in {seconds / 60:.1f} minutes, {len(faults)} faults.** "
            f"The embedding models of the data folders, one after another: {', '.join(models)}.")
        report.section("Kills by operation")
        names = sorted({name for site in sites for name in list(site.killed) + list(site.ended)})
        report.table(
            ["operation", "kills", "ended before its moment"],
            [[name, sum(s.killed[name] for s in sites), sum(s.ended[name] for s in sites)] for name in names])
        report.section("What was compared")
        counts = sum((site.counts for site in sites), collections.Counter())
        counts["most deaths of one file"] = max(site.counts["most deaths of one file"] for site in sites)
        report.table(["what", "number"], sorted(counts.items()))
        report.section("Faults")
        report.text("\n".join(f"- kill {f['kill']} of {f['model']}, after {f['after']}: {f['fault']}" for f in faults[:60]) or "None.")
        report.raw(faults)
        if not faults:
            shutil.rmtree(root, ignore_errors=True)
        else:
            print(f"the folders are kept in {root}", flush=True)
    return not faults and done >= options.count
