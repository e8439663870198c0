"""Outrider from outside: a server that may be killed at any moment, commands, and HTTP calls that tell "refused" from "nobody knows"."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


class Unanswered(Exception):
    """The connection ended before an answer came: whether the request was carried out, nobody knows."""


class Fault(Exception):
    """Something that must never happen did."""


def call(port, method, path, body=None, content_type="application/json", timeout=180):
    """One request on a connection of its own: (status, decoded JSON or text). `body` is bytes, or a value that becomes JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": content_type} if body is not None else {})
        answer = connection.getresponse()
        data = answer.read()
        if not answer.getheader("Content-Type", "").startswith("application/json"):
            return answer.status, data.decode("utf-8", "replace")
        return answer.status, json.loads(data)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unanswered(f"{method} {path}: {type(error).__name__} {error}") from error
    finally:
        connection.close()


def multipart(files, fields=()):
    """A multipart/form-data body of (name, bytes) files and (name, text) fields: its content type and its bytes."""
    boundary = "attack-boundary-7f3a1c"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields]
    for name, data in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()


class Server:
    """`outrider serve` on a free port. Its log is kept in a file; `ended_by_itself` tells an end that nobody asked for."""

    def __init__(self, program, data, *arguments, wait=300, log=None, environment=None):
        self.folder = tempfile.mkdtemp(prefix="outrider-attack-serve-")
        self.log_path = log or os.path.join(self.folder, "log")
        self.port = None
        self.port_file = os.path.join(self.folder, "port")
        self.killed = False
        with open(self.log_path, "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [program.binary, "serve", "--data", str(data), "--port", "0", "--port-file", self.port_file, *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**program.environment, **(environment or {})},
                preexec_fn=program.lower)
        self.started = time.monotonic()
        if wait:
            self.wait_ready(wait)

    @property
    def pid(self):
        return self.process.pid

    def wait_ready(self, limit=300):
        """Until connections are accepted. Raises Fault when the process ends before."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                text = pathlib.Path(self.port_file).read_text().strip()
                if text:
                    self.port = int(text)
                    return self
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None:
                raise Fault(f"serve ended with {self.process.returncode} before it was ready: {self.tail()}")
            time.sleep(0.01)
        raise Fault(f"serve was not ready in {limit} s: {self.tail()}")

    def call(self, method, path, body=None, **options):
        return call(self.port, method, path, body, **options)

    def ended_by_itself(self):
        return not self.killed and self.process.poll() is not None

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()
        self.clean()

    def terminate(self):
        self.killed = True
        self.process.terminate()

    def stop(self, limit=120):
        """A clean end: the exit status."""
        self.terminate()
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Fault(f"serve did not end in {limit} s after SIGTERM: {self.tail()}") from None
        return status

    def log(self):
        return pathlib.Path(self.log_path).read_text(encoding="utf-8", errors="replace")

    def lines(self):
        """The log's objects."""
        found = []
        for line in self.log().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"level": "text", "message": line})
        return found

    def tail(self, size=1500):
        return self.log()[-size:]

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.clean()


class Program:
    """The binary with what all its runs share: a niceness, an environment without anybody's own settings, and a model of embeddings."""

    def __init__(self, binary, model="default", nice=5):
        self.binary = str(pathlib.Path(binary).resolve())
        self.nice = nice
        self.model = model
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("OUTRIDER_") or k == "OUTRIDER_CACHE"}

    def lower(self):
        os.setpriority(os.PRIO_PROCESS, 0, max(self.nice, os.getpriority(os.PRIO_PROCESS, 0)))

    @property
    def model_arguments(self):
        return [] if self.model == "default" else ["--embedding-model", self.model]

    def serve(self, data, *arguments, **options):
        return Server(self, data, *self.model_arguments, *arguments, **options)

    def start(self, command, *arguments, data):
        """A command as a process whose output is read at its end."""
        embeds = command in ("ingest", "search", "ask")
        words = [self.binary, *command.split(), *map(str, arguments), "--data", str(data), *(self.model_arguments if embeds else [])]
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            env=self.environment, preexec_fn=self.lower)

    def run(self, command, *arguments, data, limit=300):
        """A command to its end: (status, standard output, standard error)."""
        child = self.start(command, *arguments, data=data)
        try:
            out, error = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            out, error = child.communicate()
            raise Fault(f"'outrider {command}' ran past {limit} s: {(out + error)[-500:]}") from None
        return child.returncode, out, error

    def verify(self, data):
        """The problems that `verify` names; a status that does not fit is one of them."""
        status, out, error = self.run("verify", "--json", data=data)
        try:
            report = json.loads(out)
        except ValueError:
            return [f"verify ended with {status}: {(out + error)[-300:]}"]
        problems = list(report["problems"])
        if (status == 0) != report["clean"] or report["clean"] != (not problems):
            problems.append(f"verify says clean={report['clean']} with {len(problems)} problems and status {status}")
        return problems

    def version(self):
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True)
        return done.stdout.strip() or done.stderr.strip()


def read_until_killed(child, seconds):
    """Lets a command run so long and kills it then: (whether it was killed before its end, status, output, errors)."""
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    out, error = child.communicate()
    timer.cancel()
    return child.returncode == -signal.SIGKILL, child.returncode, out, error


def is_crash(status):
    """Whether a process that nobody killed ended by a signal."""
    return status is not None and status < 0


def memory(pid):
    """Bytes by kind from /proc: rss, pss, anonymous, file-backed; and descriptors and threads."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        fields[name.rstrip(":")] = int(value) * 1024
    return {
        "rss": fields["Rss"], "pss": fields["Pss"], "anonymous": fields["Anonymous"], "file": fields["Rss"] - fields["Anonymous"],
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": len(os.listdir(f"/proc/{pid}/task")),
    }


def mappings(pid):
    """Resident bytes of each mapping, added up by name; '[anonymous]' for those without one."""
    sums, name = {}, None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            words = line.split(None, 5)
            name = words[5] if len(words) > 5 else "[anonymous]"
        elif line.startswith("Rss:"):
            sums[name] = sums.get(name, 0) + int(line.split()[1]) * 1024
    return sums


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folder_size(folder):
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(base, name)).st_size
            except OSError:
                pass
    return total


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
