"""The peers of `outrider-bench embed`: ONNX Runtime and OpenVINO, each in its best form, on the same texts.

The graphs are built here from the model's safetensors, so that nothing depends on an exporter:

    fused   ONNX Runtime's own transformer operators: EmbedLayerNormalization, Attention, SkipLayerNormalization, BiasGelu
    plain   standard operators (opset 17), which OpenVINO's compiler fuses itself

Both end in mean pooling and normalisation. `measure` prints one JSON line for each way of batching.
"""

import argparse
import json
import os
import resource
import sys
import threading
import time

import numpy as np

ENGINES = ("onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32")


def read_safetensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = entry["data_offsets"]
        tensors[name.removeprefix("bert.")] = np.frombuffer(data[start:end], np.float32).reshape(entry["shape"])
    return tensors


class Graph:
    """Collects nodes and initializers; every method returns the name of what it makes."""

    def __init__(self):
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes, self.initializers, self.count = [], [], 0

    def constant(self, array, name=None):
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(self.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind, *inputs, outputs=1, domain="", **attributes):
        self.count += 1
        names = [f"{kind}_{self.count}_{index}" for index in range(outputs)]
        self.nodes.append(self.helper.make_node(kind, list(inputs), names, name=f"{kind}_{self.count}", domain=domain, **attributes))
        return names[0]

    def save(self, inputs, output, path):
        import onnx

        helper = self.helper
        values = [helper.make_tensor_value_info(name, kind, ["batch", "length"]) for name, kind in inputs]
        result = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["batch", None])
        graph = helper.make_graph(self.nodes, "encoder", values, [result], self.initializers)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        onnx.save(model, path)


def build(source, folder):
    """Writes fused.onnx, plain.onnx and int8.onnx unless they are there."""
    from onnx import TensorProto

    names = [os.path.join(folder, name) for name in ("fused.onnx", "plain.onnx", "int8.onnx")]
    if all(os.path.exists(name) for name in names):
        return
    os.makedirs(folder, exist_ok=True)
    config = json.load(open(os.path.join(source, "config.json")))
    tensors = read_safetensors(os.path.join(source, "model.safetensors"))
    width, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    epsilon = config.get("layer_norm_eps", 1e-12)

    def weight(name):
        return tensors[name + ".weight"].T

    def pooled(graph, hidden, mask):
        # mask: float [batch, length]
        axis = graph.constant(np.array([2], np.int64))
        wide = graph.node("Unsqueeze", mask, axis)
        first = graph.constant(np.array([1], np.int64))
        total = graph.node("ReduceSum", graph.node("Mul", hidden, wide), first, keepdims=0)
        count = graph.node("ReduceSum", wide, first, keepdims=0)
        return graph.node("LpNormalization", graph.node("Div", total, count), axis=1, p=2)

    # ONNX Runtime's operators.
    graph = Graph()
    embeddings = [graph.constant(tensors[f"embeddings.{name}_embeddings.weight"]) for name in ("word", "position", "token_type")]
    norm = [graph.constant(tensors[f"embeddings.LayerNorm.{name}"]) for name in ("weight", "bias")]
    hidden = graph.node("EmbedLayerNormalization", "ids", "", *embeddings, *norm, outputs=2, domain="com.microsoft", epsilon=epsilon)
    # Without segment ids the operator leaves their embedding out: add the first row to the positions.
    positions = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    graph.initializers[1] = graph.numpy_helper.from_array(np.ascontiguousarray(positions), embeddings[1])
    graph.nodes[-1].input[4] = ""
    for layer in range(layers):
        stem = f"encoder.layer.{layer}."
        parts = [stem + "attention.self." + name for name in ("query", "key", "value")]
        qkv = graph.constant(np.concatenate([weight(part) for part in parts], axis=1), f"qkv_{layer}")
        bias = graph.constant(np.concatenate([tensors[part + ".bias"] for part in parts]))
        attended = graph.node("Attention", hidden, qkv, bias, "mask", domain="com.microsoft", num_heads=heads)

        def skip(value, residual, name, norm_name):
            scale, shift = (graph.constant(tensors[f"{stem}{norm_name}.LayerNorm.{part}"]) for part in ("weight", "bias"))
            product = graph.node("MatMul", value, graph.constant(weight(stem + name)))
            offset = graph.constant(tensors[stem + name + ".bias"])
            return graph.node(
                "SkipLayerNormalization", product, residual, scale, shift, offset, domain="com.microsoft", epsilon=epsilon)

        hidden = skip(attended, hidden, "attention.output.dense", "attention.output")
        inner = graph.node("MatMul", hidden, graph.constant(weight(stem + "intermediate.dense")))
        inner = graph.node("BiasGelu", inner, graph.constant(tensors[stem + "intermediate.dense.bias"]), domain="com.microsoft")
        hidden = skip(inner, hidden, "output.dense", "output")
    output = pooled(graph, hidden, graph.node("Cast", "mask", to=TensorProto.FLOAT))
    graph.save([("ids", TensorProto.INT32), ("mask", TensorProto.INT32)], output, names[0])

    # Standard operators.
    graph = Graph()
    words = graph.node("Gather", graph.constant(tensors["embeddings.word_embeddings.weight"]), "ids")
    length = graph.node("Gather", graph.node("Shape", "ids"), graph.constant(np.array(1, np.int64)))
    zero, one = graph.constant(np.array(0, np.int64)), graph.constant(np.array(1, np.int64))
    places = graph.node("Gather", graph.constant(positions), graph.node("Range", zero, length, one))

    def normalized(value, name):
        scale, shift = (graph.constant(tensors[f"{name}.LayerNorm.{part}"]) for part in ("weight", "bias"))
        return graph.node("LayerNormalization", value, scale, shift, axis=-1, epsilon=epsilon)

    def linear(value, name):
        product = graph.node("MatMul", value, graph.constant(weight(name)))
        return graph.node("Add", product, graph.constant(tensors[name + ".bias"]))

    hidden = normalized(graph.node("Add", words, places), "embeddings")
    floats = graph.node("Cast", "mask", to=TensorProto.FLOAT)
    far = graph.node("Mul", graph.node("Sub", graph.constant(np.array(1, np.float32)), floats), graph.constant(np.array(-1e9, np.float32)))
    far = graph.node("Unsqueeze", far, graph.constant(np.array([1, 2], np.int64)))
    split = graph.constant(np.array([0, 0, heads, width // heads], np.int64))
    join = graph.constant(np.array([0, 0, width], np.int64))
    divisor = graph.constant(np.array(1 / np.sqrt(width // heads), np.float32))
    for layer in range(layers):
        stem = f"encoder.layer.{layer}."

        def head(name, order):
            return graph.node("Transpose", graph.node("Reshape", linear(hidden, stem + "attention.self." + name), split), perm=order)

        scores = graph.node("MatMul", head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]))
        shares = graph.node("Softmax", graph.node("Add", graph.node("Mul", scores, divisor), far), axis=-1)
        mixed = graph.node("Transpose", graph.node("MatMul", shares, head("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        attended = linear(graph.node("Reshape", mixed, join), stem + "attention.output.dense")
        hidden = normalized(graph.node("Add", attended, hidden), stem + "attention.output")
        inner = linear(hidden, stem + "intermediate.dense")
        half = graph.node("Mul", inner, graph.constant(np.array(0.5, np.float32)))
        error = graph.node("Erf", graph.node("Div", inner, graph.constant(np.array(np.sqrt(2), np.float32))))
        inner = graph.node("Mul", half, graph.node("Add", error, graph.constant(np.array(1, np.float32))))
        hidden = normalized(graph.node("Add", linear(inner, stem + "output.dense"), hidden), stem + "output")
    graph.save([("ids", TensorProto.INT32), ("mask", TensorProto.INT32)], pooled(graph, hidden, floats), names[1])

    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        names[0], names[2], per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Attention"],
        extra_options={"DefaultTensorType": TensorProto.FLOAT})


class OnnxRuntime:
    """`mode` shared: one session with all threads; split: one single-threaded session for each thread."""

    modes = ("shared", "split")

    def __init__(self, path, threads, mode):
        import onnxruntime

        count = threads if mode == "split" else 1
        self.sessions = []
        for _ in range(count):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1 if mode == "split" else threads
            options.inter_op_num_threads = 1
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            options.log_severity_level = 3
            self.sessions.append(onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))

    def run(self, batches):
        results = [None] * len(batches)
        places = iter(range(len(batches)))
        lock = threading.Lock()

        def work(session):
            while True:
                with lock:
                    index = next(places, None)
                if index is None:
                    return
                ids, mask = batches[index]
                results[index] = session.run(None, {"ids": ids, "mask": mask})[0]

        if len(self.sessions) == 1:
            work(self.sessions[0])
        else:
            threads = [threading.Thread(target=work, args=(session,)) for session in self.sessions]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return results


class OpenVINO:
    """`mode` shared: one stream with all threads (latency); split: one stream for each thread (throughput)."""

    modes = ("shared", "split")

    def __init__(self, path, threads, mode):
        import openvino

        core = openvino.Core()
        streams = threads if mode == "split" else 1
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT" if mode == "split" else "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self.model = core.compile_model(path, "CPU", settings)
        self.queue = openvino.AsyncInferQueue(self.model, streams)

    def run(self, batches):
        results = [None] * len(batches)

        def done(request, index):
            results[index] = request.get_output_tensor(0).data.copy()

        self.queue.set_callback(done)
        for index, (ids, mask) in enumerate(batches):
            self.queue.start_async({"ids": ids, "mask": mask}, index)
        self.queue.wait_all()
        return results


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def make_tokenizer(source, limit):
    from tokenizers import Tokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(os.path.join(source, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return tokenizer


def embed(engine, tokenizer, texts, batch, width):
    """All texts: tokenised, sorted by length, in batches that are padded to their longest."""
    tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
    batches, groups = [], []
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        length = max(len(tokens[index]) for index in group)
        ids = np.zeros((len(group), length), np.int32)
        mask = np.zeros((len(group), length), np.int32)
        for row, index in enumerate(group):
            ids[row, : len(tokens[index])] = tokens[index]
            mask[row, : len(tokens[index])] = 1
        batches.append((ids, mask))
        groups.append(group)
    rows = np.zeros((len(texts), width), np.float32)
    for group, result in zip(groups, engine.run(batches)):
        rows[group] = result
    return rows, sum(map(len, tokens))


def measure(arguments):
    build(arguments.source, arguments.models)
    texts = [json.loads(line)["text"] for line in open(arguments.texts, encoding="utf-8")]
    width = json.load(open(os.path.join(arguments.source, "config.json")))["hidden_size"]
    tokenizer = make_tokenizer(arguments.source, arguments.max_tokens)
    file = {"onnxruntime-fp32": "fused.onnx", "onnxruntime-int8": "int8.onnx", "openvino-fp32": "plain.onnx"}[arguments.engine]
    kind = OpenVINO if arguments.engine.startswith("openvino") else OnnxRuntime
    before = time.perf_counter()
    engine = kind(os.path.join(arguments.models, file), arguments.threads, arguments.mode)
    embed(engine, tokenizer, [arguments.question], 1, width)
    start = time.perf_counter() - before
    for batch in arguments.batches:
        walls, processor_times = [], []
        for _ in range(arguments.repetitions):
            cpu, wall = processor_seconds(), time.perf_counter()
            rows, tokens = embed(engine, tokenizer, texts, batch, width)
            walls.append(time.perf_counter() - wall)
            processor_times.append(processor_seconds() - cpu)
        latencies = []
        cpu = processor_seconds()
        for _ in range(100 if arguments.latency else 0):
            wall = time.perf_counter()
            embed(engine, tokenizer, [arguments.question], 1, width)
            latencies.append((time.perf_counter() - wall) * 1000)
        question_cpu = (processor_seconds() - cpu) * 10
        # Sixteen questions in one batch; and what each costs.
        cpu = processor_seconds()
        for _ in range(25 if arguments.latency else 0):
            embed(engine, tokenizer, [arguments.question] * 16, 16, width)
        batch_question_cpu = (processor_seconds() - cpu) * 1000 / (25 * 16)
        if arguments.vectors:
            rows.tofile(arguments.vectors)
        report = {
            "measurement": "speed", "engine": arguments.engine, "runtime": arguments.engine, "mode": arguments.mode,
            "threads": arguments.threads, "batch": batch, "texts": len(texts), "tokens": tokens,
            "texts_per_s": len(texts) / float(np.median(walls)), "cpu_ms_per_text": float(np.median(processor_times)) * 1000 / len(texts),
            "wall_s": walls, "cpu_s": processor_times, "start_s": start,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        if latencies:
            report["question_ms_p50"] = float(np.percentile(latencies, 50))
            report["question_ms_p99"] = float(np.percentile(latencies, 99))
            report["question_cpu_ms"] = question_cpu
            report["batch_question_cpu_ms"] = batch_question_cpu
        print(json.dumps(report), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--source", required=True, help="the model's folder: config.json, model.safetensors, tokenizer.json")
    parser.add_argument("--models", required=True, help="a folder for the graphs that are built once")
    parser.add_argument("--texts", required=True, help="JSON lines with a member 'text'")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=("shared", "split"), default="split")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 32, 64])
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--question", default="what is the boiling point of water at high altitude?")
    parser.add_argument("--latency", action="store_true", help="also measure a short question, one by one")
    parser.add_argument("--vectors", help="write the vectors: 32-bit floats, row after row")
    measure(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
