#!/usr/bin/env python3
"""The service that a user would write in Python instead: FastAPI over ONNX Runtime, faiss and bm25s, in its best form on this kind of machine.

    service.py FOLDER --port 8090 [--workers 2] [--cache 1024]

FOLDER is one that `corpus.py` made. Calls: POST /search {"query", "k", "mode": "text", "vector" or "hybrid", "filter": {"half": "yes"}},
POST /answer {"question", "k"}, GET /health.

What was tried, and what is the default because it won (two cores, 10,000 passages; the figures are in the README of the benchmarks):

- Processes: two workers with one ONNX thread each, not one worker with two threads.
- Inference on the event loop's own thread (`--inference loop`), not in a pool of threads: with a worker a core there is nothing to run beside it.
- One question a call of ONNX Runtime: 16 together, sorted by length, cost as much for each (12.8 and 12.3 ms), so questions that wait are not collected.
- BM25 by numba (`--scorer numba`), not numpy's.
- The body read by orjson and the answer written by orjson; a model of pydantic and FastAPI's own response cost more than the search by words.
- uvloop and httptools, no access log.
"""

import argparse
import collections
import functools
import os
import pathlib
import re
import sys

import numpy as np
import orjson

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import corpus  # noqa: E402

CANDIDATES = 100  # of each kind, for fusion
VECTOR_WEIGHT = 0.75  # as in Outrider
EF_SEARCH = 64
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
WORD = re.compile(r"(?u)\b\w\w+\b")
ANSWER_SENTENCES = 3
REFUSE_BELOW = 0.35


class VectorCache:
    """The vectors of the questions asked last: least recently used first out."""

    def __init__(self, size):
        self.size, self.entries = size, collections.OrderedDict()

    def get(self, text):
        if text not in self.entries:
            return None
        self.entries.move_to_end(text)
        return self.entries[text]

    def put(self, text, vector):
        if self.size:
            self.entries[text] = vector
            if len(self.entries) > self.size:
                self.entries.popitem(last=False)


class Words:
    """BM25 over the passages. `numba` or `numpy` does the sums and finds the best.

    Tried at 10,000 passages, microseconds of processor time for a question's 10 best: numba's sums and bm25s' heap 60; bm25s' `retrieve` with its
    numba backend 100, and twice as long to compile at the start; numpy's sums and `argpartition` of all scores 600, of those above 0 150.
    """

    def __init__(self, folder, scorer):
        import bm25s
        import bm25s.stopwords
        import Stemmer

        self.index = bm25s.BM25.load(str(folder / "bm25s"), mmap=False, load_corpus=False)
        self.best = self.best_by_numpy
        if scorer == "numba":
            from bm25s.numba.selection import topk

            self.index.activate_numba_scorer()
            self.best = topk
        self.stemmer = Stemmer.Stemmer("english")
        self.stop_words = frozenset(bm25s.stopwords.STOPWORDS_EN)
        self.vocabulary = self.index.vocab_dict

    @staticmethod
    def best_by_numpy(scores, k):
        rows = np.flatnonzero(scores)
        found = scores[rows]
        if len(rows) > k:
            places = np.argpartition(found, -k)[-k:]
            rows, found = rows[places], found[places]
        order = np.argsort(-found)
        return found[order], rows[order]

    def search(self, query, k, mask=None):
        """Rows and scores, best first; only passages that have a word of the question."""
        # What bm25s.tokenize does for many texts, for one.
        stems = self.stemmer.stemWords([word for word in WORD.findall(query.lower()) if word not in self.stop_words])
        ids = [self.vocabulary[stem] for stem in stems if stem in self.vocabulary]
        if not ids:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = self.index.get_scores_from_ids(ids, weight_mask=mask)
        found, rows = self.best(scores, min(k, len(scores)))
        count = int(np.count_nonzero(found > 0))
        return rows[:count], found[:count]


class Vectors:
    def __init__(self, folder):
        import faiss

        faiss.omp_set_num_threads(1)
        self.faiss, self.index = faiss, faiss.read_index(str(folder / "faiss.index"))
        self.plain = faiss.SearchParametersHNSW(efSearch=EF_SEARCH)

    def selector(self, mask):
        """For the passages whose bit is set. The caller keeps it: faiss holds only a pointer to the bits."""
        bits = np.packbits(mask > 0, bitorder="little")
        inner = self.faiss.IDSelectorBitmap(bits)
        parameters = self.faiss.SearchParametersHNSW(efSearch=EF_SEARCH, sel=inner)
        return parameters, inner, bits

    def search(self, vector, k, selector=None):
        scores, rows = self.index.search(vector, k, params=selector[0] if selector else self.plain)
        rows, scores = rows[0], scores[0]
        return (rows, scores) if rows[-1] >= 0 else (rows[rows >= 0], scores[rows >= 0])


def fused(words, vectors, k):
    """Min-max fusion: each list's scores are stretched to 0...1, and what a list does not have counts as 0 there. (A dictionary takes twice as long.)"""
    rows, shares = [], []
    for (found, scores), weight in ((vectors, VECTOR_WEIGHT), (words, 1 - VECTOR_WEIGHT)):
        if len(found):
            low, high = scores[-1], scores[0]
            rows.append(found)
            shares.append((scores - low) * (weight / (high - low)) if high > low else np.full(len(found), weight, np.float32))
    if not rows:
        return [], []
    rows, places = np.unique(np.concatenate(rows), return_inverse=True)
    total = np.bincount(places, np.concatenate(shares))
    best = np.argsort(-total, kind="stable")[:k]
    return rows[best].tolist(), total[best].tolist()


class Engine:
    """All that one worker holds, and its searches, each on the thread that calls."""

    def __init__(self, folder, source, graphs, threads=1, cache=0, scorer="numba"):
        folder = pathlib.Path(folder)
        self.passages = corpus.lines(folder / "passages.jsonl")
        self.words, self.vectors = Words(folder, scorer), Vectors(folder)
        # One session; with more threads they share each question, as a service in one process would have it.
        self.embedder = corpus.Embedder(source, graphs, 1)
        if threads > 1:
            self.embedder.engine = corpus.encoder.OnnxRuntime(str(pathlib.Path(graphs) / "fused.onnx"), threads, "shared")
        self.session = self.embedder.engine.sessions[0]
        self.tokenizer = self.embedder.tokenizer
        self.cache = VectorCache(cache)
        # The rows of each value are found once, as any service would that filters often.
        values = collections.defaultdict(lambda: np.zeros(len(self.passages), np.float32))
        for row, passage in enumerate(self.passages):
            for key, value in passage["metadata"].items():
                values[key, value][row] = 1
        self.masks = {key: (mask, self.vectors.selector(mask)) for key, mask in values.items()}
        self.embed_one("What is compiled or allocated once must not cost the first question.")
        self.words.search(self.passages[0]["text"], 1)

    def embed_one(self, text):
        ids = np.array([self.tokenizer.encode(text).ids], np.int32)
        return self.session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0]

    def question_vector(self, text):
        found = self.cache.get(text)
        if found is None:
            found = self.embed_one(text)
            self.cache.put(text, found)
        return found

    def narrowed(self, condition):
        """(mask of the words' search, parameters of the vectors' search) for {"key": "value"}, all of which must hold."""
        if not condition:
            return None, None
        found = [self.masks.get(item) for item in condition.items()]
        if None in found:
            mask = np.zeros(len(self.passages), np.float32)
        elif len(found) == 1:
            return found[0]
        else:
            mask = functools.reduce(np.multiply, [mask for mask, _ in found])
        return mask, self.vectors.selector(mask)

    def rank(self, query, k, mode, condition):
        mask, selector = self.narrowed(condition)
        if mode == "text":
            rows, scores = self.words.search(query, k, mask)
            return rows.tolist(), scores.tolist()
        vector = self.question_vector(query)
        if mode == "vector":
            rows, scores = self.vectors.search(vector, k, selector)
            return rows.tolist(), scores.tolist()
        return fused(self.words.search(query, CANDIDATES, mask), self.vectors.search(vector, CANDIDATES, selector), k)

    def search(self, query, k, mode, condition):
        """The answer's bytes."""
        rows, scores = self.rank(query, k, mode, condition)
        return orjson.dumps({"results": [{**self.passages[row], "score": score} for row, score in zip(rows, scores)]})

    def answer(self, question, k):
        """The best sentences of the best passages, judged by their vectors. Its threshold is crude."""
        vector = self.question_vector(question)
        rows, _ = fused(self.words.search(question, CANDIDATES), self.vectors.search(vector, CANDIDATES), k)
        sentences = [(row, text) for row in rows for text in SENTENCE.split(self.passages[row]["text"]) if len(text) > 20]
        if not sentences:
            return orjson.dumps({"answer": None, "refused": True, "confidence": 0.0, "citations": []})
        # Sorted by length in batches of 8: about 30 sentences of very different lengths waste much padding in one batch.
        scores = self.embedder([text for _, text in sentences], 8) @ vector[0]
        best = [int(place) for place in np.argsort(-scores)[:ANSWER_SENTENCES] if scores[place] >= REFUSE_BELOW]
        cited = [{"id": self.passages[sentences[p][0]]["id"], "title": self.passages[sentences[p][0]]["title"], "quote": sentences[p][1],
                  "score": float(scores[p])} for p in best]
        return orjson.dumps({
            "answer": " ".join(c["quote"] for c in cited) or None, "refused": not cited, "confidence": float(scores.max()), "citations": cited})


def settings():
    return orjson.loads(os.environ["PEERS_SERVICE"])


def create():
    """The application of one worker."""
    from fastapi import FastAPI, Request, Response
    from starlette.concurrency import run_in_threadpool

    chosen = settings()
    engine = Engine(chosen["folder"], chosen["source"], chosen["graphs"], chosen["threads"], chosen["cache"], chosen["scorer"])
    app = FastAPI(openapi_url=None)

    def answered(data):
        return Response(data, media_type="application/json")

    @app.post("/search")
    async def search(request: Request):
        body = orjson.loads(await request.body())
        arguments = (body["query"], body.get("k", 10), body.get("mode", "hybrid"), body.get("filter"))
        if chosen["inference"] == "pool":
            return answered(await run_in_threadpool(engine.search, *arguments))
        return answered(engine.search(*arguments))

    @app.post("/answer")
    async def answer(request: Request):
        body = orjson.loads(await request.body())
        arguments = (body["question"], body.get("k", 8))
        if chosen["inference"] == "pool":
            return answered(await run_in_threadpool(engine.answer, *arguments))
        return answered(engine.answer(*arguments))

    @app.get("/health")
    async def health():
        return {"worker": os.getpid(), "workers": chosen["workers"], "passages": len(engine.passages)}

    return app


def main():
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of ONNX Runtime, in each worker")
    parser.add_argument("--cache", type=int, default=0, help="vectors of questions that are kept, in each worker")
    parser.add_argument("--inference", choices=("loop", "pool"), default="loop")
    parser.add_argument("--scorer", choices=("numba", "numpy"), default="numba")
    parser.add_argument("--source", default=str(corpus.model_source()))
    parser.add_argument("--graphs", default=str(corpus.graph_folder()), help="where corpus.py left fused.onnx")
    options = parser.parse_args()
    options.folder = str(pathlib.Path(options.folder).resolve())
    os.environ["PEERS_SERVICE"] = orjson.dumps(vars(options)).decode()
    os.environ["OMP_NUM_THREADS"] = "1"
    uvicorn.run(
        "service:create", factory=True, app_dir=str(HERE), host="127.0.0.1", port=options.port, workers=options.workers,
        loop="uvloop", http="httptools", ws="none", lifespan="off", access_log=False, log_level="warning", backlog=2048)


if __name__ == "__main__":
    main()
