#!/usr/bin/env python3
"""Makes the data folders of the vector benchmarks, outside git: CACHE/bench/NAME with

base.npy    float32 [n, d]          query.npy   float32 [nq, d]
gt.npy      int32 [nq, 100]         the exact nearest base rows under the metric, nearest first, ties by row number
meta.json   {"name", "metric": "l2" | "cosine", "n", "d", "nq", ...}; vectors of a cosine set have unit length

data.py NAME...     makes each NAME that is missing

mnist-784           60,000 images of ../shared/data/mnist-784, L2;  mnist-784-cosine: the same, scaled to unit length
minilm-30k/-100k    passages-100k.jsonl of corpus.py by all-MiniLM-L6-v2, embedded here (half an hour on two cores); any -NNk
static-1m           passages-1m.jsonl by a static embedding model of Outrider's (--model PATH, else the one in CACHE/models)
outrider-NAME       passages-100k.jsonl by any model that Outrider loads (--model PATH)
complete:NAME       gt.npy and meta.json for a folder that something else gave base.npy and query.npy (cosine)
toy                 2,000 passages, hashed words, 64 dimensions; for tests, in seconds
"""

import argparse
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import embedder  # noqa: E402

NEIGHBOURS = 100
SEED = 20261121
ROOT = pathlib.Path(__file__).resolve().parents[2]
started = time.monotonic()


def say(text):
    print(f"==> [{time.monotonic() - started:5.0f} s] {text}", flush=True)


def unit(array):
    """Rows scaled to length one; rows of zeros stay zeros."""
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return (array / np.where(norms > 0, norms, 1)).astype(np.float32)


def exact(base, query, metric, k=NEIGHBOURS, block=None):
    """Row numbers [nq, k] of the nearest base rows, nearest first, ties by row number.

    Candidates come from float32 blocks (k + 28 of each); their distances are computed again in float64, so rounding decides no place among them.
    """
    n, nq, keep = len(base), len(query), k + 28
    block = block or max(4096, 2**26 // nq)  # a quarter of a gigabyte of scores at a time
    best = np.full((nq, 0), 0, np.float32)
    rows = np.full((nq, 0), 0, np.int64)
    for start in range(0, n, block):
        part = np.asarray(base[start : start + block], np.float32)
        scores = query @ part.T
        if metric == "l2":
            scores *= 2
            scores -= np.einsum("ij,ij->i", part, part)[None, :]
        count = min(keep, len(part))
        index = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        best = np.concatenate([best, np.take_along_axis(scores, index, 1)], axis=1)
        rows = np.concatenate([rows, index + start], axis=1)
        if best.shape[1] > keep:
            index = np.argpartition(-best, keep - 1, axis=1)[:, :keep]
            best, rows = np.take_along_axis(best, index, 1), np.take_along_axis(rows, index, 1)
    result = np.empty((nq, k), np.int32)
    for i in range(nq):
        candidates = np.asarray(base[np.sort(rows[i])], np.float64)
        names = np.sort(rows[i])
        if metric == "l2":
            distance = ((candidates - query[i].astype(np.float64)) ** 2).sum(1)
        else:
            distance = -(candidates @ query[i].astype(np.float64))
        result[i] = names[np.lexsort((names, distance))[:k]]
    return result


def publish(folder, name, metric, base, query, truth=None, **more):
    """Writes a data folder under a temporary name and moves it into place: a folder that exists is whole."""
    part = folder / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    base, query = np.ascontiguousarray(base, np.float32), np.ascontiguousarray(query, np.float32)
    if metric == "cosine" and (
        np.abs(np.linalg.norm(base, axis=1) - 1).max() > 1e-3 or np.abs(np.linalg.norm(query, axis=1) - 1).max() > 1e-3
    ):
        raise SystemExit(f"{name}: a row of a cosine set is not of unit length")
    np.save(part / "base.npy", base)
    np.save(part / "query.npy", query)
    np.save(part / "gt.npy", exact(base, query, metric) if truth is None else truth.astype(np.int32))
    meta = {"name": name, "metric": metric, "n": len(base), "d": base.shape[1], "nq": len(query), **more}
    (part / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    shutil.rmtree(folder / name, ignore_errors=True)
    part.rename(folder / name)
    say(f"{folder / name}: n {len(base):,}, d {base.shape[1]}, nq {len(query):,}, {metric}")


def texts(path, count=None):
    result = []
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            result.append(json.loads(line)["text"])
            if len(result) == count:
                break
    return result


def corpus(folder, name="corpus"):
    place = folder / name
    if not (place / "manifest.json").exists():
        say("the corpus is missing: running corpus.py")
        command = [sys.executable, str(ROOT / "Benchmarks" / "ann" / "corpus.py"), "--cache", str(folder)] + (
            ["--quick"] if name == "corpus-quick" else []
        )
        subprocess.run(command, check=True)
    return place


# ---- The sets ---------------------------------------------------------------------------------------------------------------


def mnist(folder, shared):
    source = shared / "mnist-784"

    def idx(name):
        data = gzip.decompress((source / name).read_bytes())
        rows, columns = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        return np.frombuffer(data, np.uint8, rows * columns, 12).reshape(rows, columns).astype(np.float32)

    base, query = idx("base.u8.idx2.gz"), idx("queries.u8.idx2.gz")
    for name, metric, file in (("mnist-784", "l2", "l2"), ("mnist-784-cosine", "cosine", "cosine")):
        given = np.frombuffer(gzip.decompress((source / f"groundtruth_{file}_top100.ivecs.gz").read_bytes()), "<i4").reshape(
            -1, NEIGHBOURS + 1
        )[:, 1:]
        b, q = (base, query) if metric == "l2" else (unit(base), unit(query))
        ours = exact(b, q, metric)
        agreement = float((ours == given).mean())
        say(f"{name}: our exact search agrees with the set's own ground truth in {agreement:.5f} of the places")
        if agreement < 0.99:
            raise SystemExit(f"{name}: the ground truths differ")
        publish(folder, name, metric, b, q, given, ground_truth="as published with the set")


def minilm(folder, size, threads):
    """Embeds in the corpus's (random) order and keeps what is done, so that an interruption costs little; publishes the smaller sets on the way."""
    place = corpus(folder)
    everything = texts(place / "passages-100k.jsonl")
    key = hashlib.sha256("\n".join(everything).encode()).hexdigest()[:12]
    work = folder / f"minilm-work-{key}"
    work.mkdir(exist_ok=True)
    model = embedder.load("minilm", threads)
    if not (work / "query.npy").exists():
        np.save(work / "query.part.npy", model.embed(texts(place / "queries.jsonl")))
        os.rename(work / "query.part.npy", work / "query.npy")
        say("queries embedded")
    chunk = 2000
    if size % chunk or not 0 < size <= len(everything):
        raise SystemExit(f"minilm-{size // 1000}k: the size must be an even number of thousands, at most {len(everything) // 1000}")
    names = {s: f"minilm-{s // 1000}k" for s in (10_000, 30_000, size)}
    for start in range(0, min(size, len(everything)), chunk):
        file = work / f"base-{start:07d}.npy"
        if not file.exists():
            begun = time.monotonic()
            vectors = model.embed(everything[start : start + chunk])
            np.save(work / "part.npy", vectors)
            os.rename(work / "part.npy", file)
            say(f"{start + len(vectors):,} of {size:,} embedded, {len(vectors) / (time.monotonic() - begun):.0f} a second")
        done = min(start + chunk, len(everything))
        if done in names and not (folder / names[done] / "meta.json").exists():
            base = np.concatenate([np.load(f) for f in sorted(work.glob("base-*.npy"))])[:done]
            publish(
                folder, names[done], "cosine", base, np.load(work / "query.npy"), model="all-MiniLM-L6-v2 float32, 128 tokens", corpus=key
            )


def outrider(folder, name, model, passages):
    """A set embedded by Outrider itself."""
    place = corpus(folder)
    by = embedder.load(f"outrider:{model}")
    base, query = by.embed_file(place / passages), by.embed_file(place / "queries.jsonl")
    alive = np.linalg.norm(base, axis=1) > 1e-6
    asked = np.linalg.norm(query, axis=1) > 1e-6
    publish(
        folder,
        name,
        "cosine",
        unit(base[alive]),
        unit(query[asked]),
        model=f"{pathlib.Path(model).name}, sha256 {hashlib.sha256(pathlib.Path(model).read_bytes()).hexdigest()[:12]}",
    )


def complete(folder, name):
    """The exact neighbours and the description of a folder that holds base.npy and query.npy of texts; rows without a direction are left out."""
    base, query = np.load(folder / name / "base.npy", mmap_mode="r"), np.load(folder / name / "query.npy")
    alive, asked = np.linalg.norm(base, axis=1) > 1e-6, np.linalg.norm(query, axis=1) > 1e-6
    publish(folder, name, "cosine", unit(base[alive]), unit(query[asked]), left_out=int((~alive).sum()))


def toy(folder, dimension=64):
    """Hashed words of the sentences of this repository's own documentation and comments: clusters like text, made in a second, needs nothing."""
    rng = np.random.default_rng(SEED)
    files = (
        sorted(ROOT.glob("*.md"))
        + sorted(ROOT.glob("Documentation/**/*.md"))
        + sorted(ROOT.glob("Sources/**/*.swift"))
        + sorted(ROOT.glob("Benchmarks/**/*.py"))
    )
    found = []
    for file in files:
        text = file.read_text("utf-8")
        if file.suffix == ".swift":
            text = "\n".join(line.strip()[3:] if line.strip().startswith("///") else "" for line in text.split("\n"))
        for paragraph in re.split(r"\n\s*\n", text):
            found += [s.strip() for s in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())) if len(s) > 30]
    found = sorted(dict.fromkeys(found))
    found = [found[i] for i in rng.permutation(len(found))[:2100]]
    questions, rows = found[:100], found[100:]
    codes = {}

    def vector(text):
        total = np.zeros(dimension)
        for token in re.findall(r"[a-z]+", text.lower()):
            if token not in codes:
                codes[token] = np.random.default_rng(
                    int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")
                ).standard_normal(dimension)
            total += codes[token]
        return total

    base, query = unit(np.array([vector(t) for t in rows])), unit(np.array([vector(t) for t in questions]))
    publish(folder, "toy", "cosine", base, query, model="hashed words")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--cache", type=pathlib.Path, default=embedder.cache_folder() / "bench")
    parser.add_argument(
        "--shared", type=pathlib.Path, default=pathlib.Path(os.environ.get("OUTRIDER_SHARED") or ROOT / ".." / "shared") / "data"
    )
    parser.add_argument("--model", help="a model file for static-1m and outrider-NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="make it again although it is there")
    options = parser.parse_args()
    folder = options.cache.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        if (folder / name / "meta.json").exists() and not options.again:
            say(f"{folder / name}: present")
        elif name.startswith("mnist-784"):
            mnist(folder, options.shared)
        elif re.fullmatch(r"minilm-\d+k", name):
            minilm(folder, int(name[7:-1]) * 1000, options.threads)
        elif (
            not (folder / name / "meta.json").exists() and (folder / name / "base.npy").exists() and (folder / name / "query.npy").exists()
        ):
            complete(folder, name)
        elif name.startswith("complete:"):
            complete(folder, name.removeprefix("complete:"))
        elif name == "toy":
            toy(folder)
        elif name == "static-1m" or name.startswith("outrider-"):
            found = sorted(f for f in (folder.parent / "models").glob("*static*") if f.is_file()) if name == "static-1m" else []
            model = options.model or (str(found[0]) if found else None)
            if not model:
                raise SystemExit(
                    f"{name} needs a model: --model PATH, or for static-1m a *static* file in {folder.parent / 'models'} (outrider models distill)"
                )
            outrider(folder, name, model, "passages-1m.jsonl" if name == "static-1m" else "passages-100k.jsonl")
        else:
            raise SystemExit(f"unknown data set '{name}': see --help")


if __name__ == "__main__":
    sys.exit(main())
