"""One flipped bit in each kind of file of a data folder, and what comes of it.

The kinds are found, not listed: every file of the prepared folders, with numbers left out of its name. A trial copies the folder, flips one bit of one
file of the kind, serves it, asks the same questions as of the undisturbed copy, verifies it, and compares listing, texts, answers and the content of the database with
the undisturbed ones. What may come of it:

    rebuilt     the damage was announced, the index built anew, and every answer is right
    named       `verify` names it, or the request that meets it is refused; nothing else is wrong
    refused     the program says why it does not open the folder
    cut log     the bit is in the last transaction of the write-ahead log: it is lost as if a kill had come before it, and nothing else is
    history     an entry of the history (jobs, audit) differs, and nothing that is searched or shown as a document
    harmless    nothing differs
    silent      something differs, nothing says so: a fault
    crash       the program ended by a signal: a fault
"""

import collections
import hashlib
import os
import pathlib
import random
import re
import shutil
import sqlite3
import tempfile
import time

from .ledger import Texts, digest, tokens_in
from .program import Fault, Program, Unanswered, is_crash, multipart

MODES = ("text", "vector", "hybrid")
HISTORY = {"jobs", "job_files", "job_stages", "job_texts", "audit", "sqlite_sequence", "sqlite_stat1"}
# Random words, and what is tidied up at times of its own.
IGNORED = {"seals", "deletions"}
GOOD = ("rebuilt", "named", "refused", "cut log", "history", "harmless")


def kind_of(path):
    """The kind of a file by its place and name: numbers and random words do not matter."""
    name = re.sub(r"/\d+/", "/N/", str(path))
    name = re.sub(r"(upload|partial|text)-[0-9A-Za-z_-]+(\.[0-9a-f]{64})?$", r"\1-N", name)  # an upload's name ends with its SHA-256
    return re.sub(r"\d+", "N", name)


class Folder:
    """A prepared data folder, the questions asked of it, and the undisturbed answers."""

    def __init__(self, name, data, questions, program, root):
        self.name = name
        self.data = data
        self.questions = questions
        self.program = program
        self.root = root
        self.reference = None
        self.rebuilt = None  # the answers of indexes that were built anew, whose statistics do not count deleted rows any more
        self.moments = []  # what the listing was, moment by moment, while the log was written

    def prepare(self, trash):
        """Looks at the undisturbed folder, and at it once more with indexes built anew."""
        for built in (False, True):
            data = trash / "data"
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(self.data, data)
            move_spool(data, self.data)
            if built:
                status, out, error = self.program.run("index rebuild", data=data)
                if status != 0:
                    raise Fault(f"rebuilding '{self.name}' ended with {status}: {out + error}")
            seen = self.look(data)
            if seen["problems"] or seen["errors"] or seen["refused"] or seen["crash"]:
                raise Fault(f"the undisturbed folder '{self.name}' is not right: {seen}"[:1000])
            if built:
                self.rebuilt = seen["answers"]
            else:
                self.reference = seen

    def kinds(self):
        found = collections.defaultdict(list)
        for base, _, names in os.walk(self.data):
            for name in names:
                path = pathlib.Path(base, name).relative_to(self.data)
                if (self.data / path).stat().st_size:
                    found[kind_of(path)].append(path)
        return found

    def look(self, data):
        """Serves a folder, asks, verifies and ends it: everything that can be seen of it."""
        seen = {"announced": [], "refused": None, "errors": [], "listing": {}, "texts": {}, "answers": {}, "problems": [], "crash": None}
        try:
            server = self.program.serve(data, wait=30)
        except Fault as fault:
            seen["refused"] = str(fault)
            match = re.search(r"ended with (-\d+)", str(fault))
            if match or "CRASH" in str(fault) or "Fatal error" in str(fault):
                seen["crash"] = str(fault)
            return seen
        try:
            self.ask(server, seen)
        except Unanswered as error:
            seen["errors"].append(str(error))
        if server.process.poll() is not None:
            seen["crash"] = f"serve ended with {server.process.returncode}: {server.tail(600)}"
        else:
            try:
                status = server.stop()
            except Fault as fault:
                status = None
                seen["crash"] = str(fault)
            if is_crash(status):
                seen["crash"] = f"serve ended with {status}: {server.tail(600)}"
            elif status:
                seen["errors"].append(f"ended with {status}: {server.tail(300)}")
        for line in server.lines():
            if line.get("level") in ("warning", "error", "critical", "text"):
                seen["announced"].append(" ".join(str(line.get(key, "")) for key in ("message", "reason", "path")).strip())
        server.__exit__()
        seen["content"] = content(data)
        return seen

    def ask(self, server, seen):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status, body = server.call("GET", "/v1/jobs?limit=500")
            if status != 200 or not any(job["state"] in ("queued", "running") for job in body["jobs"]):
                break
            time.sleep(0.02)
        for job in body["jobs"] if status == 200 else []:
            if job["stages"].get("refused") or job["stages"].get("failed"):
                status, job = server.call("GET", f"/v1/jobs/{job['id']}")
                for file in job["files"] if status == 200 else []:
                    if file["outcome"] in ("refused", "failed"):
                        seen["errors"].append(f"'{file['path']}' {file['outcome']}: {file['reason']}")
        status, body = server.call("GET", "/v1/collections")
        names = [collection["name"] for collection in body["collections"]] if status == 200 else []
        if status != 200:
            seen["errors"].append(f"collections: {status} {body}")
        for name in names:
            status, page = server.call("GET", f"/v1/documents?collection={name}&limit=500")
            if status != 200:
                seen["errors"].append(f"listing: {status} {page}")
                continue
            for document in page["documents"]:
                seen["listing"][f"{name}/{document['source']}"] = (document["content_hash"], document["title"], document["metadata"])
            for document in page["documents"][:12]:
                status, text = server.call("GET", f"/v1/documents/{document['id']}/text")
                if status == 200:
                    seen["texts"][f"{name}/{document['source']}"] = digest(text["text"])
                else:
                    seen["errors"].append(f"text: {status} {text}")
        for collection, query in self.questions:
            for mode in MODES if self.program.model != "none" else ("text",):
                status, body = server.call("POST", "/v1/search", {"query": query, "mode": mode, "k": 5, "collection": collection})
                if status == 200:
                    seen["answers"][f"{collection} {mode} {query[:40]}"] = [
                        (result["source"], digest(result["text"]), round(result["score"], 4)) for result in body["results"]]
                else:
                    seen["errors"].append(f"search: {status} {body}")
        status, body = server.call("POST", "/v1/verify", timeout=300)
        if status == 200:
            seen["problems"] = body["problems"]
        else:
            seen["errors"].append(f"verify: {status} {body}")

    def trial(self, kind, paths, generator, trash):
        """One flip: its row."""
        data = trash / "data"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(self.data, data)
        move_spool(data, self.data)
        path = generator.choice(paths)
        size = (data / path).stat().st_size
        offset, bit = generator.randrange(size), generator.randrange(8)
        with open(data / path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ (1 << bit)]))
        seen = self.look(data)
        outcome, why = self.judge(kind, seen)
        return {"folder": self.name, "kind": kind, "file": str(path), "offset": offset, "bit": bit, "outcome": outcome, "why": why}

    def judge(self, kind, seen):
        """What came of it, and the words for it."""
        if seen["crash"]:
            return "crash", seen["crash"][-300:]
        if seen["refused"]:
            return "refused", seen["refused"][-300:]
        reference = self.reference
        announced = [line for line in seen["announced"] if line not in reference["announced"]]
        differs = [what for what in ("listing", "texts") if seen[what] != reference[what]]
        right = [reference["answers"]] + ([self.rebuilt] if announced else [])
        # What is taken in only now gets other ids, and other neighbours in the index, each time.
        is_spool = kind.startswith("spool")
        if not is_spool and any(seen["answers"].get(key) not in [answers[key] for answers in right] for key in reference["answers"]):
            differs.append("answers")
        tables = set() if is_spool else differing(seen["content"], reference["content"])
        loud = seen["problems"] or seen["errors"]
        if loud:
            return "named", (seen["problems"] or seen["errors"])[0][:200]
        if differs or tables - HISTORY:
            found = frozenset(key.split("/", 1)[1] for key in seen["listing"] if key.startswith("default/"))
            if kind.endswith("-wal") and found in self.moments[-2:]:
                return "cut log", ""
            if kind.endswith("-wal") and found in self.moments:
                return "silent", f"the last {len(self.moments) - 1 - self.moments.index(found)} changes are lost{', announced' if announced else ''}"
            if announced and not tables - HISTORY:
                return "silent", f"announced ({announced[0][:100]}) but {', '.join(differs)} differ"
            what = [f"{name}: {first_difference(seen[name], reference[name])}" for name in differs]
            return "silent", f"{'; '.join(what)} {'tables ' + ', '.join(sorted(tables - HISTORY)) if tables - HISTORY else ''}"[:300]
        if announced:
            return "rebuilt", announced[0][:160]
        if tables:
            return "history", ", ".join(sorted(tables))
        return "harmless", ""


def first_difference(one, other):
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            return f"{key} is {str(one.get(key))[:80]} and was {str(other.get(key))[:80]}"
    return ""


def move_spool(data, base):
    """Jobs name their spool files by absolute paths: those of the copy. Without such files the database is not touched, nor its log."""
    if not os.listdir(data / "spool"):
        return
    database = sqlite3.connect(data / "outrider.sqlite")
    try:
        database.execute("UPDATE job_files SET path = replace(path, ?, ?) WHERE is_spooled = 1", (str(base), str(data)))
        database.commit()
    finally:
        database.close()


def content(data):
    """{table: digest of its rows} of a database, or the reason why it cannot be read."""
    found = {}
    try:
        database = sqlite3.connect(f"file:{data / 'outrider.sqlite'}?mode=ro", uri=True)
        database.text_factory = bytes
        try:
            names = [name.decode() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            for name in names:
                # The times of this look and of the one before differ.
                columns = [row[1].decode() for row in database.execute(f"PRAGMA table_info({name})")]
                columns = [column for column in columns if column not in ("updated_at", "trimmed_deletion")]
                rows = sorted(repr(row) for row in database.execute(f"SELECT {', '.join(columns)} FROM {name}"))
                found[name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        finally:
            database.close()
    except sqlite3.Error as error:
        found["unreadable"] = str(error)
    return found


def differing(one, other):
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} - IGNORED


# MARK: The folders


def prepare_small(program, folder, seed):
    """Two collections with segments, tombstones and a clean end."""
    data = folder / "small"
    texts = Texts(seed)
    questions = []
    with program.serve(data) as server:
        for collection in ("default", "other"):
            written = {}
            for part in range(4):
                documents = [{"source": f"d-{part}-{n}", "text": texts.make(60), "metadata": {"part": part}} for n in range(60)]
                written.update({document["source"]: document["text"] for document in documents})
                server.call("POST", "/v1/documents?wait=true", {"collection": collection, "documents": documents})
            for source in ("d-0-3", "d-1-5", "d-2-7", "d-3-11"):
                questions += [(collection, tokens_in(written[source])[0]), (collection, written[source][:80])]
        server.stop()
    # Changes after the seal, sealed again: the files get tombstones.
    with program.serve(data) as server:
        for collection in ("default", "other"):
            server.call("POST", "/v1/documents/delete", {"collection": collection, "sources": [f"d-0-{n}" for n in range(20, 40)]})
            documents = [{"source": f"d-1-{n}", "text": texts.make(60)} for n in range(20, 40)]
            server.call("POST", "/v1/documents?wait=true", {"collection": collection, "documents": documents})
        server.stop()
    return data, questions


def prepare_log(program, folder, small, questions, seed):
    """The same, killed after some more puts and deletes: the write-ahead log and its index lie beside the database."""
    data = folder / "log"
    shutil.copytree(small, data)
    texts = Texts(seed + 1)
    with program.serve(data) as server:
        page = server.call("GET", "/v1/documents?limit=500")[1]
        moments = [frozenset(document["source"] for document in page["documents"])]
        for number in range(40):
            documents = [{"source": f"late-{number}", "text": texts.make(40)}]
            server.call("POST", "/v1/documents?wait=true", {"documents": documents})
            moments.append(moments[-1] | {f"late-{number}"})
            if number % 8 == 7:
                server.call("POST", "/v1/documents/delete", {"sources": [f"d-2-{number}"]})
                moments.append(moments[-1] - {f"d-2-{number}"})
        server.kill()
    return data, questions, moments


def prepare_spool(program, folder, small, questions, seed):
    """Uploads that were acknowledged and not taken in when the server was killed."""
    texts = Texts(seed + 2)
    for attempt in range(20):
        data = folder / f"spool-{attempt}"
        shutil.copytree(small, data)
        with program.serve(data) as server:
            files = [(f"upload-{number}.txt", " ".join(texts.make(200) for _ in range(20)).encode()) for number in range(40)]
            kind, body = multipart(files)
            server.call("POST", "/v1/documents", body, content_type=kind)
            server.kill()
        if len(os.listdir(data / "spool")) >= 20:
            return data, questions
        shutil.rmtree(data)
    raise Fault("no kill left uploads in the spool")


def prepare_lists(program, folder, seed, count):
    """So many rows that the vectors get inverted lists."""
    data = folder / "lists"
    texts = Texts(seed + 3)
    questions = []
    with program.serve(data) as server:
        for start in range(0, count, 2000):
            documents = [{"source": f"row-{start + n}", "text": texts.make(6)} for n in range(2000)]
            questions += [("default", documents[5]["text"])] if len(questions) < 6 else []
            server.call("POST", "/v1/documents?wait=true", {"documents": documents}, timeout=300)
            end = time.monotonic() + 300
            while time.monotonic() < end and any(j["state"] in ("queued", "running") for j in server.call("GET", "/v1/jobs?limit=5")[1]["jobs"]):
                time.sleep(0.2)
        status, body = server.call("POST", "/v1/compact", timeout=300)
        if status != 200:
            raise Fault(f"compact was answered {status}: {body}")
        server.stop()
    return data, questions


def run(options, report):
    root = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-flips-", dir=options.folder))
    shared = pathlib.Path("/dev/shm")
    trash = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-flips-", dir=shared if shared.is_dir() and os.access(shared, os.W_OK) else root))
    program = Program(options.outrider, options.model)
    generator = random.Random(options.seed)
    rows = []
    try:
        small, questions = prepare_small(program, root, options.seed)
        prepared = [("clean end", small, questions, [])]
        prepared.append(("killed, log left", *prepare_log(program, root, small, questions, options.seed)))
        prepared.append(("killed, uploads left", *prepare_spool(program, root, small, questions, options.seed), []))
        if options.lists and options.model != "none":
            prepared.append(("many rows", *prepare_lists(program, root, options.seed, options.lists), []))
        done = set()
        listed = []
        for name, data, asked, moments in prepared:
            folder = Folder(name, data, asked, program, root)
            folder.moments = moments
            kinds = {kind: paths for kind, paths in folder.kinds().items() if kind not in done}
            if name == "clean end":
                kinds.pop("outrider.sqlite-wal", None), kinds.pop("outrider.sqlite-shm", None)
            if name == "killed, uploads left":  # the log's turn is over, and the copy's database is not the base's
                kinds = {kind: paths for kind, paths in kinds.items() if kind.startswith("spool")}
            if not kinds:
                continue
            done |= set(kinds)
            folder.prepare(trash)
            for kind in sorted(kinds):
                if options.only and options.only not in kind:
                    continue
                listed.append([kind, len(kinds[kind]), sum((data / path).stat().st_size for path in kinds[kind]), name])
                counts = collections.Counter()
                for _ in range(options.each):
                    row = folder.trial(kind, kinds[kind], generator, trash)
                    rows.append(row)
                    counts[row["outcome"]] += 1
                    if row["outcome"] not in GOOD:
                        print(f"FAULT: {row}", flush=True)
                print(f"{kind}: {dict(counts)}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(trash, ignore_errors=True)
    bad = [row for row in rows if row["outcome"] not in GOOD]
    crashes, silent = (sum(row["outcome"] == outcome for row in rows) for outcome in ("crash", "silent"))
    report.text(f"**{len(rows)} flipped bits in {len(listed)} kinds of file: {crashes} crashes, {silent} silently wrong.**")
    report.section("Kinds of file")
    report.table(["kind", "files", "bytes", "folder"], listed)
    report.section("Outcomes")
    outcomes = list(GOOD) + ["silent", "crash"]
    by_kind = collections.defaultdict(collections.Counter)
    for row in rows:
        by_kind[row["kind"]][row["outcome"]] += 1
    report.table(["kind", "flips"] + outcomes, [[kind, sum(by_kind[kind].values())] + [by_kind[kind][outcome] for outcome in outcomes] for kind, *_ in listed])
    report.text("rebuilt: announced, and every answer right. named: `verify` or the request that meets it says so. cut log: the last "
                "change in the write-ahead log is lost, as if a kill had come before it. history: only jobs or audit differ. harmless: nothing differs.")
    report.section("Faults")
    report.text("\n".join(f"- {row['kind']}, {row['file']} byte {row['offset']} bit {row['bit']}: {row['outcome']}: {row['why']}" for row in bad) or "None.")
    report.raw(rows)
    return not bad
