"""Running things side by side: child processes that print JSON lines, repetitions that interleave, medians."""

import dataclasses
import json
import os
import statistics
import subprocess
import threading
import time


@dataclasses.dataclass
class Result:
    """What one child process gave. `rows` are its JSON lines (of standard output; other lines are ignored)."""

    rows: list
    status: int
    error: str  # the end of standard error, where it failed
    wall_s: float
    cpu_s: float  # user and system, of the child and its children
    peak_bytes: int

    @property
    def ok(self):
        return self.status == 0


def json_lines(command, environment=None, timeout=None, cwd=None, echo=None):
    """Runs a command to its end and parses the lines that begin with `{`; a command that cannot be started is a failed Result, not an exception."""
    started = time.perf_counter()
    try:
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            text=True,
            errors="replace",
        )
    except OSError as error:
        return Result([], 127, f"{command[0]}: {error.strerror}", 0.0, 0.0, 0)
    tail = []

    def drain():
        for line in child.stderr:
            tail.append(line)
            del tail[:-40]

    reader = threading.Thread(target=drain)
    reader.start()
    expired = threading.Event()

    def stop():
        expired.set()
        child.kill()

    watch = threading.Timer(timeout, stop) if timeout else None
    if watch:
        watch.start()
    rows = []
    try:
        for line in child.stdout:
            if line.startswith("{"):
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    continue
                if echo:
                    echo(rows[-1])
        child.stdout.close()
        # wait4 tells what this child used; getrusage(RUSAGE_CHILDREN) would mix in the others.
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:  # Ctrl-C, or a SIGTERM that the program turned into SystemExit: nothing is left running
        child.kill()
        child.wait()
        if watch:
            watch.cancel()
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    if watch:
        watch.cancel()
    reader.join()
    child.stderr.close()
    error = "".join(tail).strip()[-800:] if child.returncode else ""
    if expired.is_set():
        error = f"ran past {timeout} s"
    return Result(rows, child.returncode, error, time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def interleave(tasks, repetitions, after=None):
    """Calls every task once, then every task again, `repetitions` times: A B C A B C, so that a slow minute of the machine hits all.

    `tasks` maps a name to a function of the repetition number; odd rounds run in reverse order, so no task always follows the same one.
    Returns [(name, repetition, value)]. `after(name, repetition, value)` is told of each.
    """
    results = []
    names = list(tasks)
    for repetition in range(repetitions):
        for name in names if repetition % 2 == 0 else reversed(names):
            value = tasks[name](repetition)
            results.append((name, repetition, value))
            if after:
                after(name, repetition, value)
    return results


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def spread(values):
    """(largest - smallest) / median; 0 for fewer than two values."""
    middle = statistics.median(values) if values else 0
    return (max(values) - min(values)) / middle if len(values) > 1 and middle else 0.0


def medians(rows, by, spread_of=None):
    """One row for each value of the keys `by`, in the order first seen: medians of the numbers, the first of everything else.

    `repetitions` counts the rows; `spread` is that of the number named `spread_of`.
    """
    groups = {}
    for row in rows:
        groups.setdefault(tuple(json.dumps(row.get(k), sort_keys=True) for k in by), []).append(row)
    result = []
    for group in groups.values():
        merged = {}
        for row in group:
            for key, value in row.items():
                if key in merged:
                    continue
                values = [r[key] for r in group if _is_number(r.get(key))]
                merged[key] = statistics.median(values) if _is_number(value) and key not in by else value
        merged["repetitions"] = len(group)
        if spread_of:
            values = [r[spread_of] for r in group if _is_number(r.get(spread_of))]
            if values:
                merged["spread"] = spread(values)
        result.append(merged)
    return result
