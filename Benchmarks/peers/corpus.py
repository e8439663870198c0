#!/usr/bin/env python3
"""The data of the served comparison: real passages, real questions, and what the service in Python searches.

    corpus.py DATA FOLDER [--passages 10000]

DATA is a folder of open text sets (BEIR's `corpus.jsonl`, questions in `qa.jsonl` or `queries.jsonl`, `.gz` or not). FOLDER receives

    passages.jsonl      {"id", "title", "text", "metadata": {"half": "yes" or "no"}}, one passage each short enough to be one chunk
    questions.jsonl     {"text"}, in a shuffled order
    vectors.npy         float32 [passages, width], unit length, by ONNX Runtime
    faiss.index         HNSW32 over them
    bm25s/              the words
    meta.json           counts, and what all was made with; a folder whose meta.json is as asked for is left alone

The vectors are ONNX Runtime's. Those that Outrider makes of the same texts have a mean cosine of 0.999996 to them, so both sides search the same.
"""

import argparse
import gzip
import importlib.util
import json
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import cache_folder, package_versions  # noqa: E402

# The first sets are taken whole, the last one fills what is missing. MS MARCO's passages are the shortest, like those of most chunked collections.
PASSAGE_SETS = ("wiki-distractors", "clapnq", "hotpotqa-100", "xquad", "msmarco-dl19-5k")
QUESTION_SETS = ("clapnq", "hotpotqa-100", "xquad", "scifact", "msmarco-dl19-5k", "rgb-en-counterfactual")
# Outrider cuts chunks of 220 tokens: what is shorter is one chunk on both sides.
TOKENS_MAX = 200
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "faiss-cpu", "bm25s", "pystemmer")


def load(name, path):
    """A module by its file: there are two `peers` among the benchmarks."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


encoder = load("embed_peers", HERE.parent / "embed" / "peers.py") if importlib.util.find_spec("numpy") else None


def model_source():
    return cache_folder() / "models" / "src" / "all-MiniLM-L6-v2"


def graph_folder():
    return cache_folder() / "bench" / "onnx"


def lines(path):
    """The records of a JSON lines file, compressed or not; none when it is missing. Lines end by `\\n` only."""
    if path.exists():
        text = path.read_bytes()
    elif path.with_name(path.name + ".gz").exists():
        text = gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    else:
        return []
    return [json.loads(line) for line in text.decode().split("\n") if line.strip()]


def is_english(record):
    """The model is for English; of parallel sets only that part is taken."""
    return record.get("lang", "en") == "en" and (not record["_id"].startswith("xquad-") or record["_id"].startswith("xquad-en-"))


def passage_text(title, text):
    """What both sides embed and index: the title on a line of its own, as Outrider's embedder reads it."""
    return title[:160] + "\n" + text if title else text


def passages_of(data, count, seed, token_count):
    """`count` passages, or as many as there are. Those that might be cut in two are left out, and so are texts that stand twice."""
    generator = random.Random(seed)
    chosen, seen = [], set()
    for name in PASSAGE_SETS:
        records = [r for r in lines(pathlib.Path(data) / name / "corpus.jsonl") if is_english(r) and r["text"].strip()]
        if name == PASSAGE_SETS[-1]:
            generator.shuffle(records)
        lengths = token_count([passage_text(r.get("title") or "", r["text"]) for r in records])
        for record, length in zip(records, lengths):
            if len(chosen) == count:
                break
            if length > TOKENS_MAX or record["text"] in seen:
                continue
            seen.add(record["text"])
            chosen.append((record, length))
    generator.shuffle(chosen)
    # Which half a passage is in has nothing to do with where it comes from.
    return [
        {"id": r["_id"], "title": r.get("title") or "", "text": r["text"], "metadata": {"half": ("yes", "no")[n % 2]}}
        for n, (r, _) in enumerate(chosen)
    ], sum(length for _, length in chosen)


def questions_of(data, seed):
    """All different questions and claims of the sets, shuffled."""
    texts = {}
    for name in QUESTION_SETS:
        for record in lines(pathlib.Path(data) / name / "qa.jsonl") + lines(pathlib.Path(data) / name / "queries.jsonl"):
            if record.get("lang", "en") == "en":
                texts[record.get("question") or record["text"]] = None
    texts = list(texts)
    random.Random(seed).shuffle(texts)
    return texts


class Endless:
    """Question after question, none of which ever comes twice.

    A server that keeps the vectors of questions would otherwise answer "new" ones from memory as soon as a run is longer than the list. After
    all real questions have been asked, each comes again with one more word, taken from another question: about as long and as costly as before.
    """

    def __init__(self, questions):
        self.questions = questions
        words = sorted({word.strip("?.,()\"'") for question in questions for word in question.split() if len(word) > 4})
        self.words = [word for word in words if word]
        random.Random(1).shuffle(self.words)

    def __getitem__(self, number):
        turn, place = divmod(number, len(self.questions))
        question = self.questions[place]
        added = []
        # Bijective numeration: one word from every turn to the last, then all pairs, and so on.
        while turn:
            turn, word = divmod(turn - 1, len(self.words))
            added.append(self.words[(place + word) % len(self.words)])
        return " ".join([question, *added])

    def part(self, start, count):
        return [self[number] for number in range(start, start + count)]


class Embedder:
    """all-MiniLM-L6-v2 by ONNX Runtime with its fused operators: `threads` sessions of one thread each."""

    def __init__(self, source, graphs, threads=1, limit=256):
        self.width = json.loads((pathlib.Path(source) / "config.json").read_text())["hidden_size"]
        self.tokenizer = encoder.make_tokenizer(str(source), limit)
        self.engine = encoder.OnnxRuntime(str(pathlib.Path(graphs) / "fused.onnx"), threads, "split")

    def __call__(self, texts, batch=32):
        return encoder.embed(self.engine, self.tokenizer, texts, batch, self.width)[0]


def index_vectors(vectors, path):
    import faiss

    # Unit vectors: inner product is the cosine, and quicker to compute. efConstruction 200 as in the vector benchmark.
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(vectors)
    faiss.write_index(index, str(path))


def index_words(texts, path):
    import bm25s
    import Stemmer

    tokens = bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    index.save(str(path))


def prepare(data, folder, count=10_000, seed=7, source=None, graphs=None, say=print):
    """Makes the folder unless it is there; returns its meta.json."""
    import numpy

    folder, source, graphs = pathlib.Path(folder), source or model_source(), graphs or graph_folder()
    encoder.build(str(source), str(graphs))
    asked = {"asked": count, "seed": seed, "sets": PASSAGE_SETS, "tokens_max": TOKENS_MAX, "versions": package_versions(PACKAGES)}
    asked = json.loads(json.dumps(asked))
    meta = folder / "meta.json"
    if meta.exists():
        found = json.loads(meta.read_text())
        if all(found.get(key) == value for key, value in asked.items()):
            return found
        meta.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    embedder = Embedder(source, graphs, threads=2)
    passages, tokens = passages_of(data, count, seed, lambda texts: [len(e.ids) for e in embedder.tokenizer.encode_batch(texts)])
    questions = questions_of(data, seed)
    if not passages or not questions:
        sys.exit(f"{data} has none of the sets {', '.join(PASSAGE_SETS)}")
    (folder / "passages.jsonl").write_text("".join(json.dumps(p, ensure_ascii=False) + "\n" for p in passages), encoding="utf-8")
    (folder / "questions.jsonl").write_text("".join(json.dumps({"text": q}, ensure_ascii=False) + "\n" for q in questions), encoding="utf-8")
    say(f"{len(passages)} passages, {len(questions)} questions; embedding the passages")
    texts = [passage_text(p["title"], p["text"]) for p in passages]
    vectors = embedder(texts)
    numpy.save(folder / "vectors.npy", vectors)
    index_vectors(vectors, folder / "faiss.index")
    index_words(texts, folder / "bm25s")
    found = {**asked, "passages": len(passages), "questions": len(questions), "tokens": tokens, "dimension": int(vectors.shape[1])}
    meta.write_text(json.dumps(found, indent=1) + "\n")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("folder")
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    print(json.dumps(prepare(options.data, options.folder, options.passages, options.seed)))


if __name__ == "__main__":
    main()
