"""The indexes that Outrider is compared with, each behind the same six calls, each with the settings that its sweep may choose from.

    build(base)          makes the index, two threads          save(path) / load(path)      to and from disk
    threads(count)       for the calls that follow             set(setting)                 one of `settings`
    search(queries, k)   a batch: row numbers [nq, k]          one(query, k)                one query [1, d], with as little Python as the library allows

To be fair to a peer: its wheel's best instruction set (hnswlib has no wheel and is compiled for this CPU), inner product on unit vectors where
that is quicker than cosine, the refinement stage where it pays, and the lowest-level call that its Python binding has.
"""

import itertools
import os

import numpy as np

EF = (10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768)
PROBES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384)


def grid(**axes):
    """Every combination, the last axis running fastest: [{name: value}]."""
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def list_count(n):
    """Coarse cells of an inverted file: about 4 to 16 sqrt(n), powers of two."""
    return 4096 if n > 400_000 else 1024 if n > 20_000 else 256 if n > 8_000 else 32


class Peer:
    settings = [{}]
    forks = True  # a loaded index may be searched from a forked process

    def __init__(self, metric, n, dimension):
        self.metric, self.n, self.d = metric, n, dimension
        self.thread_count = 1

    def threads(self, count):
        self.thread_count = count

    def one(self, query, k):
        return self.search(query, k)


class Faiss(Peer):
    package = "faiss-cpu"

    def __init__(self, metric, n, dimension, factory, settings, ef_construction=200):
        super().__init__(metric, n, dimension)
        self.factory = factory.format(d=dimension, half=dimension // 2, quarter=dimension // 4, nlist=list_count(n))
        self.settings, self.ef_construction = settings, ef_construction
        self.parameters = {"factory": self.factory, **({"efConstruction": ef_construction} if "HNSW" in factory else {})}

    def layers(self):
        """The index and what it wraps, outermost first, each as its own class."""
        import faiss

        result = [faiss.downcast_index(self.index)]
        while True:
            inner = getattr(result[-1], "base_index", None) or (
                result[-1].index if isinstance(result[-1], faiss.IndexPreTransform) else None
            )
            if inner is None:
                return result
            result.append(faiss.downcast_index(inner))

    def build(self, base):
        import faiss

        faiss.omp_set_num_threads(2)
        self.index = faiss.index_factory(self.d, self.factory, faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT)
        core = self.layers()[-1]
        if hasattr(core, "hnsw"):
            core.hnsw.efConstruction = self.ef_construction
        if not self.index.is_trained:
            self.index.train(base[np.sort(np.random.default_rng(1).permutation(len(base))[: 256 * list_count(self.n)])])
        self.index.add(base)

    def save(self, path):
        import faiss

        faiss.write_index(self.index, path)

    def load(self, path):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(path)
        self.buffers = {}

    def threads(self, count):
        import faiss

        super().threads(count)
        faiss.omp_set_num_threads(count)

    def set(self, setting):
        import faiss

        layers = self.layers()
        core = layers[-1]
        if "efSearch" in setting:
            parameters = faiss.SearchParametersHNSW(efSearch=setting["efSearch"])
        elif "RaBitQ" in type(core).__name__:
            parameters = faiss.IVFRaBitQSearchParameters()
            parameters.nprobe = setting["nprobe"]
            parameters.qb = 8
        elif "nprobe" in setting:
            parameters = faiss.SearchParametersIVF(nprobe=setting["nprobe"])
        else:
            parameters = None
        self.held = [parameters]  # the outer objects do not own the inner ones
        for layer in reversed(layers[:-1]):
            if isinstance(layer, faiss.IndexPreTransform):
                parameters = faiss.SearchParametersPreTransform(index_params=parameters)
            elif isinstance(layer, faiss.IndexRefine):
                parameters = faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=parameters)
            self.held.append(parameters)
        self.search_parameters = parameters

    def search(self, queries, k):
        return self.index.search(queries, k, params=self.search_parameters)[1]

    def one(self, query, k):
        """`Index.search` in Python checks and allocates for some 10 microseconds; the C++ method under it does not."""
        import faiss
        import threading

        key = (threading.get_ident(), k)
        if key not in self.buffers:
            distances, rows = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
            self.buffers[key] = (distances, rows, faiss.swig_ptr(distances), faiss.swig_ptr(rows))
        _, rows, to_distances, to_rows = self.buffers[key]
        self.index.search_c(1, faiss.swig_ptr(query), k, to_distances, to_rows, self.search_parameters)
        return rows


class Hnswlib(Peer):
    package = "hnswlib"

    def __init__(self, metric, n, dimension, connectivity):
        super().__init__(metric, n, dimension)
        self.connectivity = connectivity
        self.settings = grid(ef=EF)
        self.parameters = {"M": connectivity, "efConstruction": 200}

    def empty(self):
        import hnswlib

        return hnswlib.Index(space="l2" if self.metric == "l2" else "ip", dim=self.d)

    def build(self, base):
        self.index = self.empty()
        self.index.init_index(max_elements=len(base), M=self.connectivity, ef_construction=200)
        self.index.set_num_threads(2)
        self.index.add_items(base)

    def save(self, path):
        self.index.save_index(path)

    def load(self, path):
        self.index = self.empty()
        self.index.load_index(path)

    def set(self, setting):
        self.index.set_ef(setting["ef"])

    def search(self, queries, k):
        return self.index.knn_query(queries, k=k, num_threads=self.thread_count)[0]


class Usearch(Peer):
    package = "usearch"

    def __init__(self, metric, n, dimension, kind):
        super().__init__(metric, n, dimension)
        self.kind = kind
        self.settings = grid(expansion_search=EF)
        self.parameters = {"dtype": kind, "connectivity": 16, "expansion_add": 128}

    def empty(self):
        from usearch.index import Index

        # i8 quantises what it assumes to lie within the unit ball; raw pixels do not.
        metric = "l2sq" if self.metric == "l2" else "cos" if self.kind == "i8" else "ip"
        return Index(ndim=self.d, metric=metric, dtype=self.kind, connectivity=16, expansion_add=128)

    def build(self, base):
        self.index = self.empty()
        self.index.add(np.arange(len(base), dtype=np.uint64), base, threads=2)

    def save(self, path):
        self.index.save(path)

    def load(self, path):
        self.index = self.empty()
        self.index.load(path)

    def set(self, setting):
        self.index.expansion_search = setting["expansion_search"]

    def search(self, queries, k):
        keys = self.index.search(queries, k, threads=self.thread_count).keys
        return np.asarray(keys).reshape(len(queries), -1).astype(np.int64)

    def one(self, query, k):
        return self.index.search(query[0], k, threads=1).keys[None]


class Scann(Peer):
    package = "scann"
    forks = False  # TensorFlow's thread pools do not survive a fork

    def __init__(self, metric, n, dimension):
        super().__init__(metric, n, dimension)
        self.leaves = list_count(n)
        self.settings = grid(reorder=(20, 40, 80, 160, 320), leaves=PROBES)
        self.parameters = {"leaves": self.leaves, "dimensions_per_block": 2, "anisotropic": 0.2 if metric != "l2" else "-"}

    def build(self, base):
        import scann

        builder = scann.scann_ops_pybind.builder(base, 10, "squared_l2" if self.metric == "l2" else "dot_product")
        builder = builder.tree(self.leaves, 10, training_sample_size=min(len(base), 250_000), spherical=self.metric != "l2")
        builder = builder.score_ah(2) if self.metric == "l2" else builder.score_ah(2, anisotropic_quantization_threshold=0.2)
        builder.set_n_training_threads(2)
        self.index = builder.reorder(100).build()

    def save(self, path):
        os.makedirs(path, exist_ok=True)
        self.index.serialize(path)

    def load(self, path):
        import scann

        self.index = scann.scann_ops_pybind.load_searcher(path)

    def threads(self, count):
        super().threads(count)
        if hasattr(self.index, "set_num_threads"):
            self.index.set_num_threads(count)

    def set(self, setting):
        self.now = {"leaves_to_search": setting["leaves"], "pre_reorder_num_neighbors": setting["reorder"]}

    def search(self, queries, k):
        search = self.index.search_batched_parallel if self.thread_count > 1 else self.index.search_batched
        return search(queries, final_num_neighbors=k, **self.now)[0]

    def one(self, query, k):
        return self.index.search(query[0], final_num_neighbors=k, **self.now)[0][None]


class Exact(Faiss):
    """faiss' exhaustive scan: what every index must beat, and a check of the ground truth."""


METHODS = {
    "faiss-flat": lambda *a: Exact(*a, "Flat", [{}]),
    "faiss-hnsw32": lambda *a: Faiss(*a, "HNSW32,Flat", grid(efSearch=EF)),
    "faiss-hnsw16": lambda *a: Faiss(*a, "HNSW16,Flat", grid(efSearch=EF)),
    "faiss-ivf-pq4fs-half-refine": lambda *a: Faiss(*a, "IVF{nlist},PQ{half}x4fs,RFlat", grid(k_factor=(2, 4, 8, 16), nprobe=PROBES)),
    "faiss-ivf-pq4fs-quarter-refine": lambda *a: Faiss(
        *a, "IVF{nlist},PQ{quarter}x4fs,RFlat", grid(k_factor=(2, 4, 8, 16, 32), nprobe=PROBES)
    ),
    "faiss-ivf-rabitq1fs-refine": lambda *a: Faiss(*a, "HR{d},IVF{nlist},RaBitQfs1,RFlat", grid(k_factor=(2, 4, 8, 16, 32), nprobe=PROBES)),
    "faiss-ivf-rabitq5fs": lambda *a: Faiss(*a, "HR{d},IVF{nlist},RaBitQfs5", grid(nprobe=PROBES)),
    "hnswlib-16": lambda *a: Hnswlib(*a, 16),
    "hnswlib-32": lambda *a: Hnswlib(*a, 32),
    "usearch-f32": lambda *a: Usearch(*a, "f32"),
    "usearch-f16": lambda *a: Usearch(*a, "f16"),
    "usearch-i8": lambda *a: Usearch(*a, "i8"),
    "scann": lambda *a: Scann(*a),
}
PACKAGES = ("numpy", "faiss-cpu", "hnswlib", "usearch", "scann")


def make(name, metric, n, dimension):
    return METHODS[name](metric, n, dimension)


def available(name):
    """Whether the package of a method is installed here."""
    import importlib.util

    module = {"faiss": "faiss", "hnswlib": "hnswlib", "usearch": "usearch", "scann": "scann"}[name.split("-")[0]]
    return importlib.util.find_spec(module) is not None
