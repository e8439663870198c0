"""The servers that are measured, from outside: Outrider's binary and the service in Python, each started on a free port, filled, and stopped."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import load

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    pass


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def call(port, method, path, body=None, timeout=600):
    """(status, JSON or text) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, body=data, headers={"Content-Type": "application/json"} if data else {})
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode("utf-8", "replace")
    finally:
        connection.close()


class Server:
    """A process that serves. `ready_s` is the time from its start to its first answer to a health check."""

    spread = None  # a path that names the worker of a connection, where there are several
    search_path = answer_path = health_path = ""

    def start(self, command, environment=None):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="peers-", suffix=".log", delete=False)
        begin = time.perf_counter()
        # A session of its own: what a terminal interrupts is the benchmark, which then stops its servers in order.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={**os.environ, **(environment or {})}, start_new_session=True)
        while True:
            try:
                if call(self.port, "GET", self.health_path, timeout=5)[0] == 200:
                    break
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None or time.perf_counter() - begin > 300:
                words = self.tail()
                self.stop()
                raise Failed(f"{command[0]} did not start: {words}")
            time.sleep(0.005)
        self.ready_s = time.perf_counter() - begin

    @property
    def pid(self):
        return self.process.pid

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def tail(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")[-1500:]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                for one in load.tree(self.process.pid):
                    os.kill(one, signal.SIGKILL)
                self.process.wait()
        pathlib.Path(self.log.name).unlink(missing_ok=True)

    def rest(self, limit=60):
        """Until it does nothing more, such as tidying after it was filled."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            before = load.cpu_seconds(self.pid)
            time.sleep(1)
            if load.cpu_seconds(self.pid) - before < 0.02:
                return


class Outrider(Server):
    search_path, answer_path, health_path = "/v1/search", "/v1/answer", "/health/ready"

    def __init__(self, binary, data, model=None, more=()):
        self.port = free_port()
        command = [str(binary), "serve", "--data", str(data), "--port", str(self.port)]
        self.start([*command, *(["--embedding-model", str(model)] if model else []), *more])

    @staticmethod
    def ids(answer):
        return [one["source"] for one in answer["results"]]

    def fill(self, passages, size=1000):
        """Takes in the passages, each a document; returns how many chunks came of them. All of one request have the same metadata: older versions
        made a job of each set."""
        groups = {}
        for one in passages:
            groups.setdefault(json.dumps(one["metadata"], sort_keys=True), []).append(one)
        for group in groups.values():
            jobs = []
            for start in range(0, len(group), size):
                documents = [{"source": p["id"], "title": p["title"], "text": p["text"], "metadata": p["metadata"]} for p in group[start : start + size]]
                status, answer = call(self.port, "POST", "/v1/documents", {"documents": documents})
                if status not in (200, 202):
                    raise Failed(f"documents were refused with {status}: {answer}")
                jobs += answer.get("job_ids") or [answer["job_id"]]
            for job in jobs:
                while (state := call(self.port, "GET", f"/v1/jobs/{job}")[1]["state"]) in ("queued", "running"):
                    time.sleep(0.1)
                if state != "finished":
                    raise Failed(f"a job ended as {state}")
        return call(self.port, "GET", "/v1/collections/default")[1]["chunks"]


class Python(Server):
    search_path, answer_path, health_path, spread = "/search", "/answer", "/health", "/health"

    def __init__(self, folder, workers=2, cache=0, more=(), python=sys.executable):
        self.port = free_port()
        self.start([
            python, str(HERE / "service.py"), str(folder), "--port", str(self.port), "--workers", str(workers), "--cache", str(cache), *more])
        # The first answer is one worker's; wait for all.
        begin, seen = time.perf_counter(), set()
        while len(seen) < workers:
            seen.add(call(self.port, "GET", "/health")[1]["worker"])
            if time.perf_counter() - begin > 120:
                raise Failed(f"only {len(seen)} of {workers} workers answer")
        self.ready_s += time.perf_counter() - begin

    @staticmethod
    def ids(answer):
        return [one["id"] for one in answer["results"]]
