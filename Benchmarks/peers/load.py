#!/usr/bin/env python3
"""A load generator for an HTTP service on this machine: closed loop or open loop, one thread, raw sockets, the standard library only.

    load.py http://127.0.0.1:8080/v1/search --bodies bodies.jsonl --connections 16 --seconds 5 --pid 1234
    load.py http://127.0.0.1:8080/v1/search --bodies bodies.jsonl --rate 120 --seconds 10 --pid 1234
    load.py --ceiling

Closed loop: every connection asks its next question as soon as its answer is there. Open loop: questions come at random moments (Poisson, `--rate`
a second), whether or not the service keeps up, and latency counts from the moment at which a question was due. So a stall is paid for by all
questions that fell into it, as it is by users. A question that finds no idle connection waits in the generator, and its clock runs.

Every line of the bodies is one request; they are asked in turn. One JSON line is printed: requests a second, latencies, errors by status, and the
processor time of the service's process with all its children for each request. `--ceiling` measures the generator itself against a server
that does nothing: what it adds to each request of every service, and how far it reaches.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import select
import signal
import socket
import sys
import time
import urllib.parse

GRACE_S = 20  # for what is still under way when a run ends
TICK = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """A process and all that descend from it."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                left += map(int, pathlib.Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue  # it ended meanwhile
        found.append(one)
    return found


def cpu_seconds(pid):
    """User and system time of a process and its children, the ended ones included."""
    total = 0
    for one in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # utime and stime; and those of children that were waited for.
        total += sum(map(int, fields[11:15]))
    return total / TICK


def busy_seconds():
    """What all processors of the machine have worked."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / TICK


def resident_bytes(pid):
    """The tree's proportional set size: pages that several processes share are counted once."""
    total = 0
    for one in tree(pid):
        try:
            for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


def request_bytes(host, path, body):
    data = body if isinstance(body, bytes) else body.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def answer_size(data):
    """How many bytes the answer at the head of `data` has in all; None while that cannot be told."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end]).lower()
    place = head.find(b"\r\ncontent-length:")
    if place >= 0:
        stop = head.find(b"\r\n", place + 2)
        return end + 4 + int(head[place + 17 : stop if stop >= 0 else end])
    if b"transfer-encoding: chunked" in head:
        last = data.find(b"\r\n0\r\n\r\n", end)
        return None if last < 0 else last + 7
    raise ValueError("an answer has neither a length nor chunks")


class Connection:
    __slots__ = ("socket", "data", "due", "busy")

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.due, self.busy = b"", 0.0, False

    def ask(self, request, due):
        self.due, self.busy = due, True
        self.socket.sendall(request)

    def get(self, host, path):
        """One request for itself, before a run."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        data = b""
        while (size := answer_size(data)) is None or len(data) < size:
            part = self.socket.recv(65536)
            if not part:
                raise OSError("closed")
            data += part
        return json.loads(data[data.find(b"\r\n\r\n") + 4 :])


def connect(address, host, count, spread=None):
    """Connections, opened one by one. `spread` is a path whose answer names the worker that has the connection: then each worker gets as many.

    Workers that listen on one socket take connections as it happens; of four they may get four and none. A balancer in front would not do that.
    """
    if not spread:
        return [Connection(address) for _ in range(count)]
    taken, spare, share = [], [], collections.Counter()
    for _ in range(50 * count):
        one = Connection(address)
        answer = one.get(host, spread)
        if share[answer["worker"]] < -(-count // answer["workers"]):
            share[answer["worker"]] += 1
            taken.append(one)
            if len(taken) == count:
                break
        else:
            spare.append(one)  # kept open: the worker that took it is less eager for the next
    for one in spare:
        one.socket.close()
    taken += [Connection(address) for _ in range(count - len(taken))]
    return taken


def percentile(values, share):
    """The nearest rank: a latency that was measured, none in between."""
    return values[max(0, -(-len(values) * share // 100) - 1)] if values else None


def run(url, bodies, connections=1, seconds=5.0, warm_up=1.0, count=None, rate=None, pid=None, spread=None, seed=1):
    """One run; returns its figures. With `count` exactly so many requests are made, without warming up, and `seconds` is not looked at."""
    parts = urllib.parse.urlsplit(url)
    address, host = (parts.hostname, parts.port), parts.netloc
    requests = [request_bytes(host, parts.path, body) for body in bodies]
    pool = connect(address, host, connections, spread)
    epoll, by_descriptor = select.epoll(), {}
    for one in pool:
        by_descriptor[one.socket.fileno()] = one
        epoll.register(one.socket.fileno(), select.EPOLLIN)
    idle, waiting = collections.deque(pool), collections.deque()
    generator = random.Random(seed)
    latencies, lateness, errors = [], [], collections.Counter()
    clock, poll, wait = time.perf_counter, epoll.poll, [epoll.fileno()]
    total = len(requests)
    asked = finished = received = 0
    begin = clock()
    open_at, close_at = (begin, None) if count else (begin + warm_up, begin + warm_up + seconds)
    due = begin + (generator.expovariate(rate) if rate else 0)
    opened = None  # processor times when the window opened
    cpu_end = own_end = busy_end = end = None

    def times():
        return (cpu_seconds(pid) if pid else 0.0), time.process_time(), busy_seconds()

    def told(one, now, status):
        # A run by the clock counts what ended in its window; an open loop counts what was due in it, however late it came.
        moment = one.due if rate else now
        if moment < open_at or (close_at and moment >= close_at):
            return 0
        latencies.append(now - one.due)
        if status != b"200":
            errors[status.decode("latin-1")] += 1
        return 1

    if count:
        opened = times()
    while True:
        now = clock()
        if opened is None and now >= open_at:
            opened = times()
        if cpu_end is None and close_at and now >= close_at:
            cpu_end, own_end, busy_end = times()
            end = now
        over = cpu_end is not None or (count and asked >= count)
        # What is under way is waited for: the next run, of another server perhaps, finds an idle machine.
        if over and not waiting and len(idle) == len(pool):
            break
        if over and close_at and now > close_at + GRACE_S:
            errors["unfinished"] += len(waiting) + sum(one.busy for one in pool)
            break
        if rate:
            while due <= now and not over:
                waiting.append(due)
                due += generator.expovariate(rate)
            while waiting and idle:
                moment = waiting.popleft()
                lateness.append(now - moment)
                idle.popleft().ask(requests[asked % total], moment)
                asked += 1
        elif not over:
            while idle and not (count and asked >= count):
                idle.popleft().ask(requests[asked % total], clock())
                asked += 1
        # epoll itself waits in whole milliseconds; select, on epoll's descriptor, in microseconds.
        edges = [moment for moment in (due if rate and not over else None, open_at if opened is None else None, close_at if cpu_end is None else None) if moment]
        timeout = max(0.0, min(edges) - clock()) if edges else 1.0
        if rate:
            select.select(wait, (), (), timeout)
            events = poll(0)
        else:
            events = poll(timeout)
        for descriptor, _ in events:
            one = by_descriptor[descriptor]
            try:
                part = one.socket.recv(65536)  # more would be a mapping of its own for each call
            except ConnectionError:
                part = b""
            now = clock()
            if not part:
                if one.busy:
                    errors["closed"] += 1
                epoll.unregister(descriptor)
                del by_descriptor[descriptor]
                one.socket.close()
                fresh = Connection(address)
                pool[pool.index(one)] = fresh
                by_descriptor[fresh.socket.fileno()] = fresh
                epoll.register(fresh.socket.fileno(), select.EPOLLIN)
                if one.busy:
                    idle.append(fresh)
                elif one in idle:
                    idle[idle.index(one)] = fresh
                continue
            data = one.data + part if one.data else part
            size = answer_size(data)
            if size is None or len(data) < size:
                one.data = data
                continue
            one.data, one.busy = b"", False
            counted = told(one, now, data[9:12])
            finished += counted
            received += counted * size
            if rate or (count and asked >= count) or cpu_end is not None:
                idle.append(one)
            else:
                # The next question goes out at once, before other answers are looked at.
                one.ask(requests[asked % total], now)
                asked += 1
    if cpu_end is None:
        cpu_end, own_end, busy_end = times()
        end = clock()
    for one in pool:
        one.socket.close()
    epoll.close()
    latencies.sort()
    lateness.sort()
    wall = end - (open_at if opened else begin)
    spent, own = cpu_end - opened[0], own_end - opened[1]
    row = {
        "loop": "open" if rate else "closed", "connections": connections, "requests": finished, "wall_s": wall, "requests_per_s": finished / wall,
        "p50_ms": 1e3 * percentile(latencies, 50) if latencies else None, "p90_ms": 1e3 * percentile(latencies, 90) if latencies else None,
        "p99_ms": 1e3 * percentile(latencies, 99) if latencies else None, "max_ms": 1e3 * latencies[-1] if latencies else None,
        "errors": sum(errors.values()), "errors_by_status": dict(errors), "answer_bytes": received / finished if finished else None,
        "generator_cores": own / wall, "asked": asked, "came_round": asked > total,
    }
    if rate:
        row |= {"rate": rate, "sent_late_ms_p99": 1e3 * percentile(lateness, 99) if lateness else None}
    if pid:
        row |= {"cpu_s": spent, "cpu_ms": 1e3 * spent / finished if finished else None, "cores": spent / wall}
        # What else ran on the machine: how far a row can be trusted.
        row["other_cores"] = max(0.0, (busy_end - opened[2] - spent - own) / wall)
    return row


def nothing(listener, size):
    """A server that reads a request and answers with so many bytes."""
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nContent-Type: application/json\r\n\r\n".encode() + b" " * size
    epoll, sockets = select.epoll(), {}
    epoll.register(listener.fileno(), select.EPOLLIN)
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == listener.fileno():
                one, _ = listener.accept()
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[one.fileno()] = one
                epoll.register(one.fileno(), select.EPOLLIN)
                continue
            try:
                if sockets[descriptor].recv(65536):
                    sockets[descriptor].sendall(answer)
                    continue
            except ConnectionError:
                pass
            epoll.unregister(descriptor)
            sockets.pop(descriptor).close()


def ceiling(connections=16, seconds=3.0, size=8000):
    """How fast the generator can be: against a server that does nothing, in a process of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        nothing(listener, size)
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        row = run(url, ['{"query": "%d", "k": 10}' % number for number in range(1000)], connections, seconds, 0.2, pid=child)
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        listener.close()
    row["generator_us_a_request"] = 1e6 * row["generator_cores"] / row["requests_per_s"]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--bodies", help="a file: every line is the body of a request")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warm-up", type=float, default=1, help="seconds before those that count")
    parser.add_argument("--count", type=int, help="exactly so many requests instead of a time")
    parser.add_argument("--rate", type=float, help="open loop: so many requests a second")
    parser.add_argument("--pid", type=int, help="the service, whose processor time is read")
    parser.add_argument("--spread", help="a path whose answer names its `worker` and how many `workers` there are: connections are spread evenly")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ceiling", action="store_true")
    options = parser.parse_args()
    if options.ceiling:
        print(json.dumps(ceiling()))
        return
    if not options.url or not options.bodies:
        parser.error("a URL and --bodies are needed")
    bodies = [line for line in pathlib.Path(options.bodies).read_bytes().split(b"\n") if line]
    print(json.dumps(run(
        options.url, bodies, options.connections, options.seconds, options.warm_up, options.count, options.rate, options.pid, options.spread, options.seed)))


if __name__ == "__main__":
    sys.exit(main())
