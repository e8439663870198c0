"""Texts to vectors, for data sets: one function, `embed`, and the embedders it knows by name.

    embed(texts, "minilm")            all-MiniLM-L6-v2, float32, mean pooling, unit length; ONNX Runtime over a graph that is built here
    embed(texts, "outrider:MODEL")    whatever model Outrider loads: `outrider-bench embed-corpus --model MODEL --in IN --out OUT`

Both return float32 of shape [texts, dimension]; texts are cut at 128 tokens.
"""

import concurrent.futures
import json
import mmap
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import bench_binary, bench_command, cache_folder  # noqa: E402

MAX_TOKENS = 128


def read_safetensors(path):
    """Name to float32 array, viewed in place."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    header = int.from_bytes(data[:8], "little")
    result = {}
    for name, entry in json.loads(data[8 : 8 + header]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            result[name] = np.frombuffer(data, np.float32, (end - start) // 4, 8 + header + start).reshape(entry["shape"])
    return result


def bert_graph(weights, heads, layers, epsilon):
    """The encoder as an ONNX model of ONNX Runtime's fused transformer operators: input_ids, mask [batch, tokens] int32 -> embedding [batch, width]."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], {}

    def constant(name, array):
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(kind, inputs, outputs, domain="com.microsoft", **attributes):
        nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def weight(name):
        return constant(name, weights[name])

    def norm(prefix):
        return [weight(f"{prefix}.weight"), weight(f"{prefix}.bias")]

    tables = [weight(f"embeddings.{kind}_embeddings.weight") for kind in ("word", "position", "token_type")]
    node("EmbedLayerNormalization", ["input_ids", "", *tables, *norm("embeddings.LayerNorm"), "mask"], ["x0", "unused"], epsilon=epsilon)
    x = "x0"
    for i in range(layers):
        p = f"encoder.layer.{i}."
        parts = [p + f"attention.self.{part}" for part in ("query", "key", "value")]
        qkv = constant(f"qkv{i}", np.concatenate([weights[n + ".weight"].T for n in parts], axis=1))
        qkv_bias = constant(f"qkvb{i}", np.concatenate([weights[n + ".bias"] for n in parts]))
        attended = node("Attention", [x, qkv, qkv_bias, "mask"], [f"att{i}"], num_heads=heads)
        projected = node("MatMul", [attended, constant(f"o{i}", weights[p + "attention.output.dense.weight"].T)], [f"proj{i}"], domain="")
        middle = node(
            "SkipLayerNormalization",
            [projected, x, *norm(p + "attention.output.LayerNorm"), weight(p + "attention.output.dense.bias")],
            [f"mid{i}"],
            epsilon=epsilon,
        )
        wide = node("MatMul", [middle, constant(f"w{i}", weights[p + "intermediate.dense.weight"].T)], [f"wide{i}"], domain="")
        active = node("BiasGelu", [wide, weight(p + "intermediate.dense.bias")], [f"act{i}"])
        narrow = node("MatMul", [active, constant(f"n{i}", weights[p + "output.dense.weight"].T)], [f"nar{i}"], domain="")
        x = node(
            "SkipLayerNormalization",
            [narrow, middle, *norm(p + "output.LayerNorm"), weight(p + "output.dense.bias")],
            [f"x{i + 1}"],
            epsilon=epsilon,
        )
    node("Cast", ["mask"], ["maskf"], domain="", to=TensorProto.FLOAT)
    node("Unsqueeze", ["maskf", constant("axis2", np.array([1], np.int64))], ["row"], domain="")  # [batch, 1, tokens]
    node("MatMul", ["row", x], ["sum3"], domain="")  # the sum over real tokens; the mean's divisor falls away in the normalisation
    node("Squeeze", ["sum3", "axis2"], ["sum"], domain="")
    node("LpNormalization", ["sum"], ["embedding"], domain="", axis=-1, p=2)
    width = weights["embeddings.word_embeddings.weight"].shape[1]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT32, ["batch", "tokens"]) for n in ("input_ids", "mask")]
    graph = helper.make_graph(
        nodes, "bert", inputs, [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])], list(constants.values())
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=9)


class MiniLM:
    """all-MiniLM-L6-v2 through ONNX Runtime; about 8 k tokens a second on two cores with AVX-512."""

    def __init__(self, threads=2, model=None):
        import onnxruntime
        import tokenizers

        model = pathlib.Path(model or cache_folder() / "models" / "src" / "all-MiniLM-L6-v2")
        if not (model / "model.safetensors").exists():
            raise SystemExit(f"{model} is missing: run scripts/setup.sh model")
        config = json.loads((model / "config.json").read_text())
        built = bert_graph(
            read_safetensors(model / "model.safetensors"),
            config["num_attention_heads"],
            config["num_hidden_layers"],
            config["layer_norm_eps"],
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a batch a thread: threads that share a batch wait for each other at every operator
        self.session = onnxruntime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()
        self.dimension = config["hidden_size"]
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.tokens = 0

    def embed(self, texts, batch_tokens=1024):
        """Sorted by length, so that a batch holds little padding; a batch is about `batch_tokens` tokens."""
        encoded = [e.ids for e in self.tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        result = np.empty((len(encoded), self.dimension), np.float32)
        batches, start = [], 0
        while start < len(order):
            end, longest = start, 0
            while end < len(order) and (end == start or max(longest, len(encoded[order[end]])) * (end - start + 1) <= batch_tokens):
                longest = max(longest, len(encoded[order[end]]))
                end += 1
            batches.append((order[start:end], longest))
            start = end

        def run(batch):
            rows, longest = batch
            ids, mask = np.zeros((2, len(rows), longest), np.int32)
            for row, index in enumerate(rows):
                ids[row, : len(encoded[index])] = encoded[index]
                mask[row, : len(encoded[index])] = 1
            result[rows] = self.session.run(None, {"input_ids": ids, "mask": mask})[0]

        list(self.pool.map(run, reversed(batches)))  # the longest first: the last to finish are short
        self.tokens += sum(map(len, encoded))
        return result


class OutriderModel:
    """A model that Outrider embeds with itself, through its command line (OUTRIDER names the binary)."""

    def __init__(self, model, binary=None):
        self.model = model
        self.binary = binary or bench_binary()

    def embed_file(self, source):
        """The vectors of a file of JSON lines with a member `text`."""
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "out.npy")
            command = bench_command(self.binary, "embed-corpus", "--model", str(self.model), "--in", str(source), "--out", target)
            if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
                raise SystemExit(f"'{' '.join(command[:3])}' failed on {source}")
            return np.load(target).astype(np.float32, copy=False)

    def embed(self, texts):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as source:
            for number, text in enumerate(texts):
                source.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
            source.flush()
            result = self.embed_file(source.name)
        if len(result) != len(texts):
            raise SystemExit(f"embed-corpus gave {len(result)} vectors for {len(texts)} texts")
        return result


_loaded = {}


def load(name, threads=2):
    if name not in _loaded:
        if name == "minilm":
            _loaded[name] = MiniLM(threads)
        elif name.startswith("outrider:"):
            _loaded[name] = OutriderModel(name.removeprefix("outrider:"))
        else:
            raise SystemExit(f"unknown embedder '{name}': use minilm or outrider:MODEL")
    return _loaded[name]


def embed(texts, embedder="minilm"):
    return load(embedder).embed(texts)
