"""The disk full in each stage, on a small tmpfs, at several amounts of space that are left; then the space comes back.

For each stage and each amount: what was acknowledged is there afterwards, nothing that was refused is, the service goes on by itself, `verify` is clean, and
each message says that it is the disk. Root is needed to mount the tmpfs; without it, or where mounting is not allowed, the trial says so and ends.
"""

import collections
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from .kills import Site
from .program import Fault, Program, Unanswered

LEVELS = (0, 16 << 10, 128 << 10, 512 << 10, 2 << 20)
DISK_WORDS = ("disk", "space")


class Disk:
    """A tmpfs of a fixed size with a ballast that leaves only so much of it."""

    def __init__(self, folder, megabytes):
        self.path = pathlib.Path(folder)
        self.path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(self.path)], check=True, capture_output=True)
        self.ballast = self.path / "ballast"

    def free(self):
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def leave(self, size):
        """Fills the disk so that about so many bytes are free, whatever others have written meanwhile."""
        with open(self.ballast, "ab") as file:
            while self.free() > size:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), self.free() - size)
                    file.seek(0, 2)
                except OSError:
                    break

    def release(self):
        self.ballast.unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True)
        self.path.rmdir()


class FullSite(Site):
    """A site whose requests may be refused for want of space, if they say so."""

    answers = None

    def expect(self, status, body, kind, allowed):
        name = str(status)
        if status in (503, 507):
            message = str(body).lower()
            if not any(word in message for word in DISK_WORDS):
                self.fault(f"'{kind}' was refused with {status} without a word of the disk: {str(body)[:300]}")
            name += " " + (body.get("error", {}).get("code") or "" if isinstance(body, dict) else "")
        elif status not in allowed:
            self.fault(f"'{kind}' was answered {status}: {str(body)[:300]}")
        self.answers[f"{kind}: {name}"] += 1


class Stages:
    """Each stage: brings a server or a command to where it needs space, and returns once the space is gone."""

    def __init__(self, site, disk):
        self.site = site
        self.disk = disk
        self.server = None
        self.log_before = 0

    def keys(self, prefix, count, collection="default"):
        return [(collection, f"{prefix}-{number}") for number in range(count)]

    def put(self, keys, words, waits=False):
        self.site.put(self.server, keys[0][0], {key: self.site.texts.make(words) for key in keys}, waits=waits)

    def command(self, name, *arguments, kind=None, data=None):
        """A command that may fail for want of space, and says so then."""
        status, out, error = self.site.program.run(name, *arguments, data=data or self.site.data, limit=120)
        said = out + error
        self.site.answers[f"{kind or name}: exit {status}"] += 1
        if status < 0:
            self.site.fault(f"'{name}' crashed on a full disk: {said[-300:]}")
        elif status != 0 and not any(word in said.lower() for word in DISK_WORDS):
            self.site.fault(f"'{name}' ended with {status} on a full disk without a word of it: {said[-300:]}")
        return status, said

    # Stages with a server

    def spooling(self, level):
        """An upload that is larger than what is left arrives."""
        texts = {key: " ".join(self.site.texts.make(200) for _ in range(700)) for key in self.keys("upload", 3)}
        self.disk.leave(level)
        self.site.upload(self.server, "default", texts, waits=False)

    def queueing(self, level):
        """Texts come in until there is no room for them, and some beyond."""
        self.disk.leave(level)
        for number in range(12):
            self.put(self.keys(f"queue-{number % 6}", 20), 300)

    def storing(self, level):
        """Texts wait in the queue when the space goes: embedding and commit meet it."""
        self.put(self.keys("store", 300), 60)
        self.disk.leave(level)
        time.sleep(2)
        self.look_at_waiting()

    def look_at_waiting(self):
        """A service that waits for the disk says so in its health and its jobs."""
        status, body = self.server.call("GET", "/v1/jobs?limit=20")
        waiting = [job["waiting"] for job in body["jobs"] if job.get("waiting")] if status == 200 else []
        status, body = self.server.call("GET", "/health/ready")
        self.site.answers[f"ready: {status}" + (", job waits" if waiting else "")] += 1
        if status == 503 and not any(word in str(body).lower() for word in DISK_WORDS):
            self.site.fault(f"not ready, and not a word of the disk: {body}")
        if bool(waiting) != (status == 503):
            self.site.answers["readiness and jobs disagree for a moment"] += 1

    def sealing(self, level):
        """As many rows as are sealed in the background, and the space goes while they come in."""
        self.put(self.keys("seal", 4400, "bulk"), 3)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            status, body = self.server.call("GET", "/v1/jobs?limit=1")
            if body["jobs"][0]["finished_count"] >= 3800 or body["jobs"][0]["state"] == "finished":
                break
            time.sleep(0.01)
        self.disk.leave(level)
        time.sleep(2)
        self.look_at_waiting()

    def deleting(self, level):
        self.disk.leave(level)
        keys = [key for key in self.site.ledger.keys("default") if self.site.ledger[key].settled and self.site.ledger[key].text][:20]
        before = {key: self.site.ledger.snapshot(key) for key in keys}
        for key in keys:
            self.site.ledger.begin(key, None)
        status, body = self.server.call("POST", "/v1/documents/delete", {"collection": "default", "sources": [key[1] for key in keys]})
        self.site.expect(status, body, "delete", [200])
        for key in keys:
            if status == 200:
                self.site.ledger.deleted(key)
            else:
                self.site.ledger.refused(key, None, before[key])

    def collections(self, level):
        self.disk.leave(level)
        status, body = self.server.call("POST", "/v1/collections", {"name": f"new-{level}"})
        self.site.expect(status, body, "create collection", [201])
        status, body = self.server.call("DELETE", f"/v1/collections/new-{level}")
        self.site.expect(status, body, "delete collection", [200, 404])

    def compacting(self, level):
        self.put(self.keys("compact", 60), 60, waits=True)
        self.disk.leave(level)
        status, body = self.server.call("POST", "/v1/compact", timeout=120)
        self.site.expect(status, body, "compact", [200])

    def verifying(self, level):
        self.put(self.keys("verify", 30), 60, waits=True)
        self.disk.leave(level)
        status, body = self.server.call("POST", "/v1/verify", timeout=120)
        self.site.expect(status, body, "verify", [200])
        if status == 200 and not body["clean"]:
            self.site.fault(f"verify on a full disk: {body['problems'][:3]}")

    def backing_up(self, level):
        self.put(self.keys("backup", 30), 60, waits=True)
        self.disk.leave(level)
        target = self.disk.path / "copy"
        status, _ = self.command("backup", target)
        if status != 0 and (target / "outrider.sqlite").exists():
            self.site.fault("a backup that failed left a database")
        shutil.rmtree(target, ignore_errors=True)
        self.disk.release()
        status, said = self.command("backup", target, kind="backup, space back")
        if status != 0:
            self.site.fault(f"backup with space ended with {status}: {said[-300:]}")
        else:
            for problem in self.site.program.verify(target):
                self.site.fault(f"verify of a backup: {problem}")
        shutil.rmtree(target, ignore_errors=True)

    def closing(self, level):
        """The server ends while there is no room for its files."""
        self.put(self.keys("close", 60), 60, waits=True)
        self.disk.leave(level)
        status = self.server.stop()
        self.site.answers[f"SIGTERM: exit {status}"] += 1
        if status != 0:
            self.site.fault(f"serve ended with {status} after SIGTERM on a full disk: {self.server.tail()}")

    def starting(self, level):
        """A server that was killed starts on the full disk, with work in its queue."""
        self.put(self.keys("start", 200), 60)
        self.server.kill()
        self.disk.leave(level)
        try:
            self.server = self.site.program.serve(self.site.data, wait=20)
            self.site.answers["start: serves"] += 1
            status, body = self.server.call("POST", "/v1/search", {"query": "river mountain", "mode": "text"})
            self.site.expect(status, body, "search", [200])
            time.sleep(0.5)
            self.look_at_waiting()
        except Fault as fault:
            self.site.answers["start: refused"] += 1
            if not any(word in str(fault).split("ready:", 1)[-1].lower() for word in DISK_WORDS):
                self.site.fault(f"a start on a full disk was refused without a word of it: {fault}")

    # Stages without a server

    def command_ingest(self, level):
        """A folder is taken in; the space goes meanwhile and comes back."""
        files = self.site.folder / f"files-{level}"
        files.mkdir()
        texts = {}
        for number in range(150):
            path = files / f"file-{number}.txt"
            texts[("default", str(path))] = text = self.site.texts.make(400)
            path.write_text(text)
        for key, text in texts.items():
            self.site.ledger.begin(key, text)
        child = self.site.program.start("ingest", files, data=self.site.data)
        time.sleep(0.6)
        self.disk.leave(level)
        time.sleep(3)
        waited = child.poll() is None
        self.disk.release()
        try:
            out, error = child.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            child.kill()
            out, error = child.communicate()
            self.site.fault(f"ingest did not go on after space came back: {(out + error)[-300:]}")
        self.site.answers[f"ingest: exit {child.returncode}{', waited' if waited else ''}"] += 1
        if child.returncode == 0:
            for key, text in texts.items():
                self.site.ledger.stored(key, text)
        elif not any(word in (out + error).lower() for word in DISK_WORDS):
            self.site.fault(f"ingest ended with {child.returncode} without a word of the disk: {(out + error)[-300:]}")

    def command_compact(self, level):
        self.disk.leave(level)
        self.command("compact")

    def command_rebuild(self, level):
        self.disk.leave(level)
        self.command("index rebuild", kind="rebuild")

    def command_verify(self, level):
        self.disk.leave(level)
        status, said = self.command("verify")
        if status != 0:
            self.site.fault(f"verify on a full disk ended with {status}: {said[-300:]}")

    def command_delete(self, level):
        keys = [key for key in self.site.ledger.keys("default") if self.site.ledger[key].settled and self.site.ledger[key].text][:3]
        for key in keys:
            self.site.ledger.begin(key, None)
        self.disk.leave(level)
        self.command("delete", *[word for key in keys for word in ("--source", key[1])])

    SERVED = ["spooling", "queueing", "storing", "sealing", "deleting", "collections", "compacting", "verifying", "backing_up", "closing", "starting"]
    COMMANDS = ["command_ingest", "command_compact", "command_rebuild", "command_verify", "command_delete"]


def can_mount():
    if os.geteuid() != 0:
        return "root is needed to mount a tmpfs"
    with tempfile.TemporaryDirectory() as folder:
        try:
            Disk(pathlib.Path(folder) / "disk", 1).close()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"a tmpfs cannot be mounted here: {error}"
    return None


def one(stages, name, level):
    """One stage at one amount of space: afterwards the space is back, and everything is as it must be."""
    site, disk = stages.site, stages.disk
    site.what = f"{name} with {level >> 10} KiB left"
    site.answers = collections.Counter()
    faults = len(site.faults)
    served = name in Stages.SERVED
    try:
        if served:
            stages.server = site.program.serve(site.data)
        getattr(stages, name)(level)
    except (Fault, Unanswered) as fault:
        site.fault(str(fault))
    disk.release()
    resumed = None
    server = stages.server
    if served and server is not None and server.process.poll() is None:
        began = time.monotonic()
        try:
            site.drain(server, 90)
            while server.call("GET", "/health/ready")[0] != 200:
                if time.monotonic() - began > 90:
                    raise Fault(f"not ready 90 s after the space came back: {server.call('GET', '/health/ready')}")
                time.sleep(0.1)
            resumed = time.monotonic() - began
            # It takes in again, at once.
            stages.put(stages.keys("after", 5), 20, waits=True)
            status = server.stop()
            if status != 0:
                site.fault(f"serve ended with {status} after the space came back: {server.tail()}")
        except (Fault, Unanswered) as fault:
            site.fault(str(fault))
    elif served and server is not None and not server.killed:
        if "refused" not in " ".join(site.answers):
            site.fault(f"the server ended by itself with {server.process.returncode}: {server.tail()}")
    if server is not None:
        server.__exit__()
        stages.server = None
    site.look()
    return {"stage": name, "left_KiB": level >> 10, "answers": dict(site.answers), "resumed_s": resumed, "faults": len(site.faults) - faults}


def run(options, report):
    obstacle = can_mount()
    if obstacle:
        print(f"skipped: {obstacle}")
        report.text(f"Skipped: {obstacle}.")
        return True
    root = pathlib.Path(tempfile.mkdtemp(prefix="outrider-attack-full-", dir=options.folder))
    disk = Disk(root / "disk", options.size)
    program = Program(options.outrider, options.model)
    rows, faults, counts = [], [], collections.Counter()
    try:
        for name in Stages.SERVED + Stages.COMMANDS:
            if options.only and options.only not in name:
                continue
            for level in LEVELS:
                folder = root / f"{name}-{level}"
                site = FullSite(program, folder, options.seed)
                site.answers = collections.Counter()
                site.data = disk.path / "data"
                stages = Stages(site, disk)
                with program.serve(site.data) as stages.server:
                    stages.put(stages.keys("base", 200), 60, waits=True)
                    stages.server.stop()
                stages.server = None
                rows.append(one(stages, name, level))
                counts.update(site.counts)
                faults += site.faults
                print(f"{name}, {level >> 10} KiB left: {rows[-1]}", flush=True)
                shutil.rmtree(site.data, ignore_errors=True)
                shutil.rmtree(folder, ignore_errors=True)
                if site.kept:
                    shutil.rmtree(site.kept, ignore_errors=True)
    finally:
        disk.release()
        disk.close()
        shutil.rmtree(root, ignore_errors=True)
    stages = len({row["stage"] for row in rows})
    report.text(f"**{len(rows)} trials in {stages} stages, {len(faults)} faults.** A tmpfs of {options.size} MB, embedding model {options.model}. "
                "After each trial: the space back, the queue drained, every document compared, texts that are gone looked for, `verify` clean, spool empty.")
    report.section("Stages")
    report.table(["stage", "KiB left", "answers", "goes on after s", "faults"],
                 [[row["stage"], row["left_KiB"], "; ".join(f"{k} ({v})" for k, v in row["answers"].items()), row["resumed_s"], row["faults"]] for row in rows])
    report.section("What was compared")
    report.table(["what", "number"], sorted(counts.items()))
    report.section("Faults")
    report.text("\n".join(f"- after {fault['after']}: {fault['fault']}" for fault in faults[:60]) or "None.")
    report.raw(rows)
    return not faults
