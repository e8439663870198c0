#!/usr/bin/env python3
"""Fits the two logistic models behind extractive answers: which sentence is evidence, and whether there is an answer at all.

    python3 -m venv /some/venv && /some/venv/bin/pip install numpy tokenizers safetensors snowballstemmer
    fit=scripts/fit-confidence.py; work=/some/folder; data=../shared/data; model=FOLDER-OF-all-MiniLM-L6-v2
    python $fit cases --data $data --model $model --work $work      # retrieval: questions with their passages, answerable and not
    OUTRIDER_FIT=$work swift test --filter 'Fitting'                # pass 1: which sentences are to be embedded
    python $fit embed --model $model --work $work
    OUTRIDER_FIT=$work swift test --filter 'Fitting'                # pass 2: features
    python $fit fit --work $work                                    # weights to paste into Sources/Answering, and the curve

The features are computed by the product's own code (Tests/AnsweringTests/FittingTests.swift). Everything is cached in the work folder and
repeatable: the same data give the same weights.

Unanswerable questions come from four kinds: ClapNQ's own (with a passage that nearly answers), questions whose evidence was taken out of the
corpus, questions asked of another data set's corpus, and both again over a pool of all corpora.
"""

import argparse
import gzip
import json
import math
import os
import random
import re
import sys
from collections import Counter, defaultdict

import numpy as np

K = 8


def lines(path):
    path = path if os.path.exists(path) else path + ".gz"
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        for line in file.read().split(b"\n"):
            if line.strip():
                yield json.loads(line)


# ---- Embedding: BERT in a few lines -----------------------------------------------------------------------------------------


class Embedder:
    def __init__(self, folder):
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)
        weights = load_file(os.path.join(folder, "model.safetensors"))
        self.w = {name.removeprefix("bert."): value.astype(np.float32) for name, value in weights.items()}
        self.layers = 1 + max(int(name.split(".")[2]) for name in self.w if name.startswith("encoder.layer."))
        self.heads = 12
        self.phi = np.array([0.5 * (1 + math.erf((i - 2047.5) / 256 / math.sqrt(2))) for i in range(4096)], np.float32)

    def normalize(self, x, name):
        mean = x.mean(-1, keepdims=True)
        x = x - mean
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def batch(self, ids):
        """ids: sequences of one length. Shape [count, dimension], unit length."""
        x = self.w["embeddings.word_embeddings.weight"][ids]
        n, length, d = x.shape
        x = x + self.w["embeddings.position_embeddings.weight"][:length] + self.w["embeddings.token_type_embeddings.weight"][0]
        x = self.normalize(x, "embeddings.LayerNorm")
        size = d // self.heads
        for layer in range(self.layers):
            p = f"encoder.layer.{layer}."
            q, k, v = (
                self.linear(x, p + f"attention.self.{part}").reshape(n, length, self.heads, size).transpose(0, 2, 1, 3)
                for part in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(size)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            mixed = (scores @ v).transpose(0, 2, 1, 3).reshape(n, length, d)
            x = self.normalize(x + self.linear(mixed, p + "attention.output.dense"), p + "attention.output.LayerNorm")
            h = self.linear(x, p + "intermediate.dense")
            place = np.clip(h * 256 + 2048, 0, 4095).astype(np.int32)  # GELU: Φ(h) from a table over -8...8.
            h *= self.phi[place]
            x = self.normalize(x + self.linear(h, p + "output.dense"), p + "output.LayerNorm")
        x = x.mean(1)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def embed(self, texts, note=""):
        encoded = [e.ids for e in self.tokenizer.encode_batch(texts)]
        result = np.zeros((len(texts), self.w["embeddings.LayerNorm.weight"].shape[0]), np.float32)
        by_length = defaultdict(list)
        for index, ids in enumerate(encoded):
            by_length[len(ids)].append(index)
        done = 0
        for length, indexes in sorted(by_length.items()):
            step = max(1, 640 // length)  # Small enough for the cache.
            for start in range(0, len(indexes), step):
                part = indexes[start : start + step]
                result[part] = self.batch(np.array([encoded[i] for i in part]))
                done += len(part)
                if done % 500 < len(part):
                    print(f"\r{note} {done}/{len(texts)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return result


class VectorFile:
    """Texts and vectors, side by side, growing."""

    def __init__(self, work):
        self.texts_path = os.path.join(work, "texts.jsonl")
        self.vectors_path = os.path.join(work, "vectors.f32")
        self.index = {}
        if os.path.exists(self.texts_path):
            for i, text in enumerate(lines(self.texts_path)):
                self.index[text] = i
        count = len(self.index)
        self.vectors = np.fromfile(self.vectors_path, np.float32).reshape(count, -1) if count else np.zeros((0, 384), np.float32)

    def add(self, texts, embedder, note):
        missing = [text for text in dict.fromkeys(texts) if text not in self.index]
        for start in range(0, len(missing), 4000):
            part = missing[start : start + 4000]
            vectors = embedder.embed(part, f"{note} {start}+")
            with open(self.vectors_path, "ab") as file:
                file.write(vectors.tobytes())
            with open(self.texts_path, "a") as file:
                for text in part:
                    file.write(json.dumps(text) + "\n")
            for text in part:
                self.index[text] = len(self.index)
            self.vectors = np.concatenate([self.vectors, vectors])

    def of(self, texts):
        return self.vectors[[self.index[text] for text in texts]]


# ---- Retrieval: BM25 and vectors, min-max fusion ------------------------------------------------------------------------------

STOP = set("a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with".split())


def analyzer():
    import snowballstemmer

    stemmer = snowballstemmer.stemmer("porter")
    cache = {}

    def terms(text):
        result = []
        for word in re.findall(r"\w+", text.lower()):
            if any("\u3040" <= c <= "\u9fff" for c in word):
                result += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
            elif word not in STOP:
                if word not in cache:
                    cache[word] = stemmer.stemWord(word)
                result.append(cache[word])
        return result

    return terms


class Pool:
    def __init__(self, passages, vectors, terms):
        self.ids = [p["_id"] for p in passages]
        self.vectors = vectors
        self.postings = defaultdict(list)
        lengths = []
        for row, p in enumerate(passages):
            counts = Counter(terms(p["title"] + "\n" + p["text"]))
            lengths.append(sum(counts.values()))
            for term, count in counts.items():
                self.postings[term].append((row, count))
        mean = sum(lengths) / len(lengths)
        self.norm = np.array([0.9 * (1 - 0.4 + 0.4 * length / mean) for length in lengths], np.float32)

    def idf(self, term):
        df = len(self.postings.get(term, ()))
        return math.log(1 + (len(self.ids) - df + 0.5) / (df + 0.5))

    def search(self, question_terms, vector, excluded, k=K):
        text = np.zeros(len(self.ids), np.float32)
        for term in set(question_terms):
            idf = self.idf(term)
            for row, count in self.postings.get(term, ()):
                text[row] += idf * count / (count + self.norm[row])
        cosine = self.vectors @ vector
        dead = [i for i, id in enumerate(self.ids) if id in excluded] if excluded else []
        text[dead] = 0
        cosine[dead] = -1
        union = set(np.argsort(-text)[:200][text[np.argsort(-text)[:200]] > 0].tolist()) | set(np.argsort(-cosine)[:200].tolist())
        rows = np.array(sorted(union - set(dead)))
        if not len(rows):
            return []

        def minmax(x):
            low, high = x.min(), x.max()
            return (x - low) / (high - low) if high > low else np.zeros_like(x)

        fused = 0.3 * minmax(text[rows]) + 0.7 * minmax(cosine[rows])  # The default of new collections.
        order = np.argsort(-fused, kind="stable")[:k]
        return [(self.ids[rows[i]], float(fused[i]), float(text[rows[i]]), float(cosine[rows[i]])) for i in order]


def make_cases(options):
    random.seed(7)
    terms = analyzer()
    sets, passages = {}, {}
    for name in ("clapnq", "hotpotqa-100", "rgb-en-counterfactual", "xquad"):
        folder = os.path.join(options.data, name)
        questions = list(lines(os.path.join(folder, "qa.jsonl")))
        corpus = list(lines(os.path.join(folder, "corpus.jsonl")))
        short = name.split("-")[0]
        sets[short] = (questions, [p["_id"] for p in corpus])
        for p in corpus:
            passages[p["_id"]] = p
    wiki = list(lines(os.path.join(options.data, "wiki-distractors", "corpus.jsonl")))
    random.shuffle(wiki)
    wiki = wiki[:300]
    for p in wiki:
        passages[p["_id"]] = p
    for p in passages.values():
        p["title"] = p.get("title") or ""

    # XQuAD: the same questions in several languages; some of each.
    questions, ids = sets["xquad"]
    by_language = defaultdict(list)
    for q in questions:
        by_language[q["lang"]].append(q)
    for q in by_language.values():
        random.shuffle(q)
    sets["xquad-en"] = (by_language["en"][:100], [i for i in ids if i.startswith("xquad-en-")])
    ids = [i for i in ids if i[6:8] in ("en", "de", "es", "zh")]
    sets["xquad-xx"] = (sum((by_language[x][:20] for x in ("de", "es", "zh")), []), ids)
    del sets["xquad"]
    passages = {i: p for i, p in passages.items() if not re.match("xquad-(ar|hi)", i)}

    vectors = VectorFile(options.work)
    embedder = Embedder(options.model)
    text_of = lambda p: (p["title"] + "\n" if p["title"] else "") + p["text"]
    vectors.add([q["question"] for questions, _ in sets.values() for q in questions], embedder, "questions")
    vectors.add([text_of(p) for p in passages.values()], embedder, "passages")

    def pool(ids):
        chosen = [passages[i] for i in ids]
        return Pool(chosen, vectors.of([text_of(p) for p in chosen]), terms)

    # Counterfactual documents hold false answers: they stay out.
    false = {d for q in sets["rgb"][0] for d in q.get("counterfactual_docs", [])}
    pools = {name: pool([i for i in ids if i not in false]) for name, (_, ids) in sets.items()}
    pools["all"] = pool([i for i in passages if i not in false])
    foreign = {"clapnq": "xquad-en", "hotpotqa": "clapnq", "rgb": "hotpotqa", "xquad-en": "rgb", "xquad-xx": "hotpotqa"}

    def plain(text):
        return " " + " ".join(re.findall(r"\w+", text.lower())) + " "

    with open(os.path.join(options.work, "corpus.jsonl"), "w") as file:
        for p in passages.values():
            file.write(json.dumps({"id": p["_id"], "title": p["title"], "text": p["text"]}) + "\n")
    count = Counter()
    with open(os.path.join(options.work, "cases.jsonl"), "w") as file:
        for name, (questions, _) in sets.items():
            for q in questions:
                vector = vectors.of([q["question"]])[0]
                question_terms = terms(q["question"])
                gold = q["evidence"] if q["answerable"] else []
                twins = {re.sub(r"^xquad-\w\w-", f"xquad-{x}-", g) for g in gold for x in ("en", "de", "es", "zh") if g.startswith("xquad")}
                tries = [("own", name, set()), ("pool", "all", set())]
                if q["answerable"]:
                    tries += [("removed", name, set(gold) | twins), ("removed-pool", "all", set(gold) | twins)]
                tries += [("foreign", foreign[name], set())]
                for kind, where, excluded in tries:
                    found = pools[where].search(question_terms, vector, excluded)
                    answerable = q["answerable"] and kind in ("own", "pool")
                    in_reach = any(i in gold or i in twins for i, *_ in found)
                    # Where another passage happens to hold the answer, taking the evidence away takes nothing away.
                    texts = [plain(passages[i]["text"]) for i, *_ in found]
                    if kind.startswith("removed") and any(plain(a) in t for a in q["answers"] if a.lower() not in ("yes", "no") for t in texts):
                        count[name, "answered by another passage"] += 1
                        continue
                    if answerable and not in_reach:
                        count[name, "not retrieved"] += 1
                    sentences = q.get("evidence_sentences") or []
                    if q.get("evidence_sentence_index"):
                        sentences = [passages[p]["sentences"][s] for p, s in q["evidence_sentence_index"] if s < len(passages[p]["sentences"])]
                    file.write(
                        json.dumps(
                            {
                                "id": q["id"], "set": name, "kind": kind, "pool": where, "question": q["question"], "answerable": answerable, "in_reach": in_reach,
                                "gold": gold, "answers": q["answers"] if name != "clapnq" else [], "evidence_sentences": sentences,
                                "results": [{"id": i, "fused": f, "bm25": b, "vector": v} for i, f, b, v in found],
                            }
                        )
                        + "\n"
                    )
                    count[name, kind, answerable] += 1
    for key, value in sorted(count.items(), key=str):
        print(*key, value)


def embed_missing(options):
    vectors = VectorFile(options.work)
    texts = list(lines(os.path.join(options.work, "missing.jsonl")))
    vectors.add(texts, Embedder(options.model), "sentences")
    print(f"{len(vectors.index)} vectors")


# ---- Fitting ------------------------------------------------------------------------------------------------------------------


def fit_logistic(x, y, weight, penalty, free=None, signs=None):
    """Newton's method with a ridge penalty; features outside of `free` keep weight 0, weights against `signs` are clamped to 0 one by one."""
    active = [i for i in range(x.shape[1]) if free is None or i in free]
    while True:
        a = np.concatenate([np.ones((len(x), 1)), x[:, active]], 1)
        w = np.zeros(a.shape[1])
        ridge = penalty * np.ones(a.shape[1])
        ridge[0] = 0
        for _ in range(60):
            p = 1 / (1 + np.exp(-(a @ w)))
            gradient = a.T @ (weight * (p - y)) + ridge * w
            hessian = (a * (weight * p * (1 - p))[:, None]).T @ a + np.diag(ridge + 1e-9)
            step = np.linalg.solve(hessian, gradient)
            w -= step
            if np.abs(step).max() < 1e-8:
                break
        wrong = [(abs(w[1 + j]), i) for j, i in enumerate(active) if signs is not None and signs[i] * w[1 + j] < 0]
        if not wrong:
            break
        active.remove(max(wrong)[1])
    full = np.zeros(x.shape[1] + 1)
    full[0] = w[0]
    full[[1 + i for i in active]] = w[1:]
    return full


def predict(w, x):
    return 1 / (1 + np.exp(-(w[0] + x @ w[1:])))


def area(p, y):
    order = np.argsort(p, kind="stable")
    ranks = np.empty(len(p))
    ranks[order] = np.arange(1, len(p) + 1)
    for value in np.unique(p):
        same = p == value
        ranks[same] = ranks[same].mean()
    positive = y.sum()
    return (ranks[y == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(y) - positive))


def swift(name, w):
    print(f"    static let {name} = LogisticModel(intercept: {w[0]:.3f}, weights: [{', '.join(f'{v:.3f}' for v in w[1:])}])")


def fit(options):
    rows = list(lines(os.path.join(options.work, "features.jsonl")))
    names = rows[0]
    rows = rows[1:]

    if options.units:
        print("== units")
        x, y, sets, group, weight = [], [], [], [], []
        for number, row in enumerate(rows):
            if row["answerable"] and row["in_reach"] and any(u["label"] for u in row["units"]):
                for u in row["units"]:
                    x.append(u["features"]), y.append(u["label"]), sets.append(row["set"]), group.append(number)
                    weight.append(1 / len(row["units"]))
        x, y, sets, group, weight = np.array(x), np.array(y, float), np.array(sets), np.array(group), np.array(weight)
        for name in sorted(set(sets)):
            weight[sets == name] *= 300 / weight[sets == name].sum()
        positive = weight[y == 1].sum() / weight.sum()
        print(f"{len(y)} units, {int(y.sum())} evidence; share {positive:.3f}")
        signs = [{"is_short": -1, "is_long": 0, "lacks_expected": -1}.get(n, 1) for n in names["unit_names"]]
        cosine = [i for i, n in enumerate(names["unit_names"]) if "cosine" in n]
        for label, free in (("full", set(range(x.shape[1]))), ("lexical", set(range(x.shape[1])) - set(cosine))):
            keep = np.ones(len(y), bool)
            if label == "full":
                keep = np.array([v[0] != 0 for v in x])
            def hit(p, where):
                found = total = 0
                for g in set(group[where].tolist()):
                    m = np.flatnonzero(where & (group == g))
                    total += 1
                    found += y[m[np.argmax(p[m])]]
                return found / max(1, total)
            for left_out in sorted(set(sets)):
                train, test = (sets != left_out) & keep, (sets == left_out) & keep
                w = fit_logistic(x[train], y[train], weight[train], 2, free, signs)
                print(f"{label:8} without {left_out:9}: the first unit is evidence {hit(predict(w, x), test):.3f}, area {area(predict(w, x[test]), y[test]):.3f}")
            w = fit_logistic(x[keep], y[keep], weight[keep], 2, free, signs)
            swift(label, w)
        return

    print("== confidence")
    rows = [r for r in rows if not (r["answerable"] and not r["in_reach"])]
    x = np.array([r["features"] for r in rows])
    y = np.array([r["answerable"] for r in rows], float)
    sets = np.array([r["set"] for r in rows])
    kinds = np.array([r["kind"] for r in rows])
    weight = np.ones(len(y))
    for name in set(sets):
        for value, share in ((1, 0.5), (0, 0.5)):
            m = (sets == name) & (y == value)
            # Near misses are what matters; foreign questions are easy and many.
            part = np.where(kinds == "foreign", 0.5, 1.0)
            weight[m] = part[m] * share * 300 / part[m].sum()
    signs = [{"anchors_missing": -1, "score_second": -1, "question_length": 0, "other_language": 0}.get(n, 1) for n in names["names"]]
    vector = [i for i, n in enumerate(names["names"]) if "cosine" in n]
    # These sets hold each fact about once; real collections repeat themselves. So every case also counts as if a second passage were as good.
    second, margin = names["names"].index("score_second"), names["names"].index("cosine_margin")
    noise = np.random.default_rng(3).random(len(y))

    def repeated(xs):
        xs = xs.copy()
        xs[:, second] = 1 - 0.15 * noise
        xs[:, margin] *= 0.5
        return xs

    for label, free in (("full", set(range(x.shape[1]))), ("lexical", set(range(x.shape[1])) - set(vector))):
        xs = x if label == "full" else np.array([r["lexical_features"] for r in rows])
        ys, ws, ss = np.concatenate([y, y]), np.concatenate([weight, 0.7 * weight]), np.concatenate([sets, sets])
        xx = np.concatenate([xs, repeated(xs)])
        print(f"-- {label}")
        held = np.zeros(len(y))
        for left_out in sorted(set(sets)):
            test = sets == left_out
            w = fit_logistic(xx[ss != left_out], ys[ss != left_out], ws[ss != left_out], 2, free, signs)
            held[test] = predict(w, xs[test])
            p = held[test]
            hard = np.isin(kinds[test], ["own", "pool"]) if left_out == "clapnq" else kinds[test] != "foreign"
            print(f"without {left_out:9}: area {area(p, y[test]):.3f}, near misses {area(p[hard], y[test][hard]):.3f}")
        w = fit_logistic(xx, ys, ws, 2, free, signs)
        for n, v in zip(names["names"], w[1:]):
            print(f"    {n:24} {v:+.3f}")
        swift(label, w)
        print("threshold: answered of answerable by set | refused: clapnq near misses, removed, foreign   (each set judged by a model that has not seen it)")
        for t in np.arange(0.05, 0.96, 0.05):
            cells = [f"{name} {(held[(sets == name) & (y == 1)] >= t).mean():.2f}" for name in sorted(set(sets))]
            near = (sets == "clapnq") & (y == 0) & np.isin(kinds, ["own", "pool"])
            removed = np.isin(kinds, ["removed", "removed-pool"])
            foreign = kinds == "foreign"
            cells += ["|"] + [f"{(held[m] < t).mean():.3f}" for m in (near, removed, foreign)]
            print(f"{t:.2f}: " + " ".join(cells))
        own = predict(w, xs)
        print("the same with the weights above, which have seen every set; last, answerable questions of a collection that repeats itself")
        for t in np.arange(0.3, 0.61, 0.05):
            cells = [f"{name} {(own[(sets == name) & (y == 1)] >= t).mean():.2f}" for name in sorted(set(sets))]
            cells += ["|"] + [f"{(own[m] < t).mean():.3f}" for m in (near, removed, foreign)]
            cells += ["|", f"{(predict(w, repeated(xs))[y == 1] >= t).mean():.2f}"]
            print(f"{t:.2f}: " + " ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("cases", make_cases), ("embed", embed_missing), ("fit", fit)):
        command = commands.add_parser(name)
        command.set_defaults(function=function)
        command.add_argument("--work", required=True)
        if name == "cases":
            command.add_argument("--data", required=True)
        if name != "fit":
            command.add_argument("--model", required=True)
        else:
            command.add_argument("--units", action="store_true", help="fit the model of single sentences; run pass 2 again before the other fit")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    options.function(options)


if __name__ == "__main__":
    main()
