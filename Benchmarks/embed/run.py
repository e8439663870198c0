"""Embedding side by side: Outrider's encoder, ONNX Runtime and OpenVINO on the same mixed-length passages, interleaved.

    run.py --outrider .build/release/outrider-bench --source ~/.cache/outrider/models/src/all-MiniLM-L6-v2 --out report.md

For each number of threads, a first round tries every way of batching of every peer (1 to 64 texts, sorted by length; one session with all
threads, or one for each thread) and keeps the fastest by CPU time on one thread, by the clock on more. Then the repetitions, interleaved; medians.
Every engine reads the texts, tokenises them and gives unit-length vectors; texts are cut at 256 tokens. `CPU ms` is processor time per
text of the whole process, which other work on the machine changes least. `of 16` is a question of 14 tokens among sixteen in one call. The reference of the cosines is ONNX Runtime fp32.
"""

import argparse
import datetime
import gzip
import json
import pathlib
import random
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness import Report, bench_command, cache_folder, interleave, json_lines, medians  # noqa: E402

PEERS = {"onnxruntime-fp32": "ONNX Runtime fp32", "openvino-fp32": "OpenVINO fp32", "onnxruntime-int8": "ONNX Runtime int8 (dynamic)"}
OURS = {"float32": "Outrider float32", "int16": "Outrider int16", "int8": "Outrider int8", "llama": "llama.cpp f16 (in Outrider)"}
CORPORA = ("scifact/corpus.jsonl.gz", "wiki-distractors/corpus.jsonl.gz", "clapnq/corpus.jsonl")


def sample(data, count, seed, target):
    """Writes a mix of real passages, the same for the same seed."""
    generator = random.Random(seed)
    texts = []
    for name in CORPORA:
        path = pathlib.Path(data) / name
        opened = gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else open(path, encoding="utf-8")
        with opened as file:
            records = [json.loads(line) for line in file]
        chosen = generator.sample(records, min(len(records), -(-count // len(CORPORA))))
        texts += [" ".join(filter(None, (record.get("title"), record["text"]))) for record in chosen]
    generator.shuffle(texts)
    with open(target, "w", encoding="utf-8") as out:
        for text in texts[:count]:
            out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return len(texts[:count])


def cosines(reference, path, width):
    import numpy

    left, right = (numpy.fromfile(name, numpy.float32).reshape(-1, width) for name in (reference, path))
    values = (left * right).sum(1)
    return float(values.min()), float(values.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outrider", required=True, help="the program that measures, outrider-bench")
    source = cache_folder() / "models" / "src" / "all-MiniLM-L6-v2"
    parser.add_argument("--source", default=str(source), help="the model's folder with model.safetensors and tokenizer.json")
    parser.add_argument("--model", help="the GGUF file; the product's embedding model when absent")
    parser.add_argument("--data", default=str(HERE.parents[1].parent / "shared" / "data"), help="the folder of the text sets")
    parser.add_argument("--texts", help="JSON lines to embed instead of a sample of the sets")
    parser.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-embed.md"), help="the Markdown report")
    parser.add_argument("--python", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--folder", help="where the peers' graphs are kept; a temporary folder when absent")
    parser.add_argument("--count", type=int, default=384)
    parser.add_argument("--sweep-count", type=int, default=96, help="texts of the round that chooses the batching")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 32, 64])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--kernels", help="instruction set of our kernels, to measure a lesser one")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--skip", nargs="*", default=[], help="engines to leave out, such as 'llama'")
    parser.add_argument("--quality", nargs="*", default=[], help="BEIR folders: nDCG@10 of float32 and int8")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        texts, small = options.texts, str(pathlib.Path(temporary) / "sweep.jsonl")
        if not texts:
            texts = str(pathlib.Path(temporary) / "texts.jsonl")
            sample(options.data, options.count, options.seed, texts)
        lines = pathlib.Path(texts).read_text(encoding="utf-8").splitlines()
        pathlib.Path(small).write_text("\n".join(lines[: options.sweep_count]) + "\n", encoding="utf-8")
        width = json.loads((pathlib.Path(options.source) / "config.json").read_text())["hidden_size"]

        def run(command):
            result = json_lines(command, timeout=3600)
            if not result.ok or not result.rows:
                sys.exit(f"{' '.join(command)} failed: {result.error}")
            return result.rows

        def peer(engine, file, threads, mode, batches, *extra):
            return run([
                options.python, str(HERE / "peers.py"), "--engine", engine, "--source", options.source, "--models", str(folder / "graphs"),
                "--texts", file, "--threads", str(threads), "--mode", mode, "--batches", *map(str, batches), *extra,
            ])

        def ours(runtime, threads, *extra):
            command = bench_command(
                options.outrider, "embed", "--texts", texts, "--runtime", runtime, "--threads", str(threads), "--repetitions", "1")
            if options.model:
                command += ["--model", options.model]
            if options.kernels:
                command += ["--kernels", options.kernels]
            return run([*command, *extra])

        raw, rows = [], []
        for threads in options.threads:
            tasks = {}
            for engine in (name for name in PEERS if name not in options.skip):
                tried = [row for mode in (("split",) if threads == 1 else ("shared", "split"))
                         for row in peer(engine, small, threads, mode, options.batches)]
                raw += [{"phase": "sweep", **row} for row in tried]
                best = min(tried, key=lambda row: row["cpu_ms_per_text"] if threads == 1 else -row["texts_per_s"])
                print(f"{engine}, {threads} threads: batches of {best['batch']}, {best['mode']}", file=sys.stderr)
                tasks[PEERS[engine]] = lambda repetition, e=engine, b=best: peer(
                    e, texts, threads, b["mode"], [b["batch"]], "--latency", "--vectors", f"{temporary}/{e}")[-1]
            for runtime in (name for name in OURS if name not in options.skip):
                tasks[OURS[runtime]] = lambda repetition, r=runtime: ours(r, threads, "--vectors", f"{temporary}/{r}")[-1]

            def told(name, repetition, row):
                raw.append({"phase": "measure", "name": name, "repetition": repetition, **row})
                print(f"{threads} threads, {repetition + 1}: {name}: {row['texts_per_s']:.1f} texts/s, {row['cpu_ms_per_text']:.1f} CPU ms",
                      file=sys.stderr)

            measured = interleave(tasks, options.repetitions, after=told)
            rows += [{"name": name, **row} for name, _, row in measured]

        merged = medians(rows, ["name", "threads"], spread_of="cpu_ms_per_text")
        report = Report(
            "Embedding: all-MiniLM-L6-v2", packages=["onnxruntime", "openvino", "tokenizers", "numpy"], texts=len(lines),
            tokens_a_text=round(merged[0]["tokens"] / max(1, len(lines))), repetitions=options.repetitions, seed=options.seed)
        report.text(__doc__.strip().split("\n\n", 2)[2])
        reference = f"{temporary}/onnxruntime-fp32"
        files = {**{title: name for name, title in PEERS.items()}, **{title: name for name, title in OURS.items()}}
        for threads in options.threads:
            report.section(f"{threads} thread" + ("s" if threads > 1 else ""))
            part = [row for row in merged if row["threads"] == threads]
            base = [row for row in part if row["name"] in (PEERS["onnxruntime-fp32"], PEERS["openvino-fp32"])]
            fastest = max((row["texts_per_s"] for row in base), default=None)
            cheapest = min((row["cpu_ms_per_text"] for row in base), default=None)
            table = []
            for row in part:
                path = f"{temporary}/{files[row['name']]}"
                least, mean = cosines(reference, path, width) if pathlib.Path(reference).exists() else (None, None)
                table.append([
                    row["name"], f"{row['batch']:.0f}, {row['mode']}" if "batch" in row else "ragged", row["texts_per_s"],
                    row["texts_per_s"] / fastest if fastest else None, row["cpu_ms_per_text"],
                    cheapest / row["cpu_ms_per_text"] if cheapest else None, row["question_ms_p50"], row["question_cpu_ms"], row["batch_question_cpu_ms"],
                    f"{least:.5f}" if least is not None else None, f"{mean:.5f}" if mean is not None else None, row["start_s"],
                    row["peak_rss_bytes"] / 1e6, row.get("spread"),
                ])
            report.table(
                ["engine", "batch", "texts/s", "x best fp32 peer", "CPU ms", "x best fp32 peer, CPU", "question ms", "question CPU ms", "of 16, CPU ms",
                 "cosine min", "cosine mean", "start s", "peak RSS MB", "CPU spread"], table)
        if options.quality:
            command = bench_command(
                options.outrider, "embed", "--threads", str(max(options.threads)), "--runtime", "float32", "--runtime", "int8")
            if options.model:
                command += ["--model", options.model]
            found = run([*command, "--quality", *options.quality])
            raw += found
            report.section("Quality: nDCG@10 of exact search")
            scores = {(row["dataset"], row["runtime"]): row["ndcg_at_10"] for row in found}
            names = list(dict.fromkeys(row["dataset"] for row in found))
            report.table(
                ["set", "float32", "int8", "difference"],
                [[name, f"{scores[name, 'float32']:.4f}", f"{scores[name, 'int8']:.4f}",
                  f"{scores[name, 'int8'] - scores[name, 'float32']:+.4f}"] for name in names])
        report.raw(raw)
        print(report.write(options.out))


if __name__ == "__main__":
    main()
