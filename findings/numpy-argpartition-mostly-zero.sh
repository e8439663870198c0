#!/usr/bin/env bash
# numpy 2.4.6 (PyPI), top-k of scores that are mostly zero, as BM25 gives them: argpartition(scores, n - k) is many times slower than on scores that all differ.
#
# One would expect a selection to be quickest where most elements are equal. With 10,000 float32 scores of which one in twenty is above zero, argpartition(scores, n - 100) takes
# some 15 times as long as with random ones, longer than a full argsort, with AVX-512 and with AVX2 alike. The same array negated and selected from the
# other end, argpartition(-scores, k - 1), and the scores above zero picked first, flatnonzero, are as quick as random ones, and give the same scores. Met when the word search of
# a benchmark's peer took most of its time in the selection of its results.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import time

import numpy as np

generator = np.random.default_rng(1)
n, k = 10_000, 100
dense = generator.random(n, dtype=np.float32)
sparse = np.zeros(n, np.float32)
sparse[generator.choice(n, n // 20, replace=False)] = generator.random(n // 20, dtype=np.float32)


def picked(scores):
    above = np.flatnonzero(scores)
    return above[np.argpartition(scores[above], len(above) - k)[-k:]]


ways = {
    "argpartition, random": (lambda: np.argpartition(dense, n - k)[-k:], dense),
    "argpartition, mostly zero": (lambda: np.argpartition(sparse, n - k)[-k:], sparse),
    "argpartition of the negated, mostly zero": (lambda: np.argpartition(-sparse, k - 1)[:k], sparse),
    "flatnonzero first, mostly zero": (lambda: picked(sparse), sparse),
    "argsort, mostly zero": (lambda: np.argsort(sparse)[-k:], sparse),
}
times = {}
for name, (way, scores) in ways.items():
    runs = []
    for _ in range(101):
        start = time.perf_counter()
        found = way()
        runs.append(time.perf_counter() - start)
    times[name] = sorted(runs)[50] * 1e6
    assert sorted(scores[found]) == sorted(np.sort(scores)[-k:]), name
print("numpy", np.__version__, {name: f"{value:.0f} us" for name, value in times.items()})
slow = times["argpartition, mostly zero"]
assert slow > 5 * times["argpartition, random"], times
assert slow > 5 * times["flatnonzero first, mostly zero"], times
PYTHON
