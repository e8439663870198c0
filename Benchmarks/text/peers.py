"""Measures one text engine that a user could pick instead, over the same passages and questions as `outrider-bench text`.

One run is one engine in one process: it builds the index in a folder when it is not there, opens it, searches every question with one thread,
and prints one JSON object with the members of `outrider-bench text`.

  tantivy   BM25, `en_stem` tokenizer, text not stored, one segment, OR of the question's terms, top k
  fts5      SQLite FTS5, `porter unicode61` tokenizer, contentless, optimized, OR of the question's terms, `order by rank` (bm25), top k

Neither drops stop words by itself, which costs them most of their time. `--stop-words drop` takes the 33 English ones out of the question before
the engine sees it, as Outrider's analyzer does, and is the fair setting; `keep` is what these tokenizers do when nothing is said.

Each engine gets its own analysis of the question; what is measured is what a caller waits for: question in, ids and scores out.
"""

import argparse
import json
import os
import re
import shutil
import sqlite3
import sys
import time


STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with".split())
WORD = re.compile(r"\w+")


def passages(path, count):
    """Yields (number, text) for each line; numbers begin at one."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if number > count:
                return
            record = json.loads(line)
            title = record.get("title") or ""
            yield number, (title + "\n" + record["text"] if title else record["text"])


def questions(path, count):
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file if line.strip()]
    return texts[:count]


def words(text, drops_stop_words):
    """The question's words; signs of the engines' query languages (quotes, colons, ...) are left out."""
    found = WORD.findall(text)
    kept = [word for word in found if word.lower() not in STOP_WORDS] if drops_stop_words else found
    return kept or found


def folder_size(folder):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def memory():
    """Resident, anonymous resident and peak memory of this process in bytes."""
    wanted = {"VmRSS:": "rss_bytes", "RssAnon:": "rss_anonymous_bytes", "VmHWM:": "peak_rss_bytes"}
    result = {}
    with open("/proc/self/status") as status:
        for line in status:
            fields = line.split()
            if fields and fields[0] in wanted:
                result[wanted[fields[0]]] = int(fields[1]) * 1024
    return result


class Tantivy:
    name = "tantivy"

    def __init__(self, folder):
        import tantivy

        self.tantivy = tantivy
        self.folder = folder
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("id", stored=True, indexed=True, fast=True)
        builder.add_text_field("body", stored=False, tokenizer_name="en_stem")
        self.schema = builder.build()

    def version(self):
        return self.tantivy.__version__

    def build(self, rows):
        os.makedirs(self.folder)
        index = self.tantivy.Index(self.schema, path=self.folder)
        # One thread and a heap that holds everything: one segment, on which tantivy searches fastest. (Its Python API has no merge.)
        writer = index.writer(heap_size=4000 << 20, num_threads=1)
        for number, text in rows:
            document = self.tantivy.Document()
            document.add_unsigned("id", number)
            document.add_text("body", text)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    def open(self):
        self.index = self.tantivy.Index.open(self.folder)
        self.index.reload()
        self.searcher = self.index.searcher()

    def segments(self):
        return self.searcher.num_segments

    def search(self, text, k):
        # Lower case: AND, OR and NOT are operators to the parser. Words without one between them are an OR.
        query = self.index.parse_query(" ".join(words(text, self.drops_stop_words)).lower(), ["body"])
        return self.searcher.search(query, k, count=False).hits

    def ids(self, hits):
        return [self.searcher.doc(address)["id"][0] for _, address in hits]

    def freshness(self, k):
        """An added document is seen after a commit and a reload of the reader. Works on a copy: it leaves small segments behind."""
        copy = self.folder + "-fresh"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder, copy)
        self.index = self.tantivy.Index.open(copy)
        try:
            return self.change(k)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def change(self, k):
        writer = self.index.writer(heap_size=64 << 20, num_threads=1)
        found, gone = [], []
        for number in range(11):
            word = f"freshpassage{number}"
            start = time.perf_counter()
            document = self.tantivy.Document()
            document.add_unsigned("id", 1 << 40 | number)
            document.add_text("body", f"A passage about {word} that was not there a moment ago.")
            writer.add_document(document)
            writer.commit()
            self.index.reload()
            self.searcher = self.index.searcher()
            assert len(self.search(word, k)) == 1
            found.append(time.perf_counter() - start)
            start = time.perf_counter()
            writer.delete_documents_by_query(self.index.parse_query(word, ["body"]))
            writer.commit()
            self.index.reload()
            self.searcher = self.index.searcher()
            assert len(self.search(word, k)) == 0
            gone.append(time.perf_counter() - start)
        return found, gone


class FTS5:
    name = "fts5"

    def __init__(self, folder):
        self.folder = folder
        self.path = os.path.join(folder, "index.sqlite")

    def version(self):
        return sqlite3.sqlite_version

    def build(self, rows):
        os.makedirs(self.folder)
        database = sqlite3.connect(self.path)
        database.execute("pragma journal_mode = wal")
        database.execute("create virtual table passages using fts5(body, content='', contentless_delete=1, tokenize='porter unicode61')"
                         if sqlite3.sqlite_version_info >= (3, 43) else
                         "create virtual table passages using fts5(body, content='', tokenize='porter unicode61')")
        with database:
            database.executemany("insert into passages(rowid, body) values (?, ?)", rows)
        with database:
            database.execute("insert into passages(passages) values ('optimize')")
        database.execute("pragma wal_checkpoint(truncate)")
        database.close()

    def open(self):
        self.database = sqlite3.connect(self.path, isolation_level=None)
        self.database.execute("pragma cache_size = -1000000")
        self.database.execute("pragma mmap_size = 8000000000")

    def segments(self):
        return None

    def search(self, text, k):
        query = " OR ".join('"' + word + '"' for word in words(text, self.drops_stop_words))
        return self.database.execute("select rowid, rank from passages where passages match ? order by rank limit ?", (query, k)).fetchall()

    def ids(self, hits):
        return [row for row, _ in hits]

    def freshness(self, k):
        found, gone = [], []
        for number in range(11):
            word, row = f"freshpassage{number}", 1 << 40 | number
            text = f"A passage about {word} that was not there a moment ago."
            start = time.perf_counter()
            self.database.execute("insert into passages(rowid, body) values (?, ?)", (row, text))
            assert len(self.search(word, k)) == 1
            found.append(time.perf_counter() - start)
            start = time.perf_counter()
            # Before 3.43 a row of a contentless table is removed by telling its text again.
            if sqlite3.sqlite_version_info >= (3, 43):
                self.database.execute("delete from passages where rowid = ?", (row,))
            else:
                self.database.execute("insert into passages(passages, rowid, body) values ('delete', ?, ?)", (row, text))
            assert len(self.search(word, k)) == 0
            gone.append(time.perf_counter() - start)
        return found, gone


def quantile(ascending, share):
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["tantivy", "fts5"])
    parser.add_argument("passages")
    parser.add_argument("queries")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--query-count", type=int, default=sys.maxsize)
    parser.add_argument("--keep", required=True, help="the index's folder; used again when it is there")
    parser.add_argument("--stop-words", choices=["drop", "keep"], default="drop")
    parser.add_argument("--freshness", action="store_true", help="also measure how soon a change is seen")
    parser.add_argument("--results", help="write the ids found for each question, JSON lines")
    options = parser.parse_args()

    engine = {"tantivy": Tantivy, "fts5": FTS5}[options.engine](options.keep)
    engine.drops_stop_words = options.stop_words == "drop"
    report = {"engine": engine.name, "version": engine.version(), "stop_words": options.stop_words, "build": None}
    if not os.path.exists(options.keep):
        rows = list(passages(options.passages, options.count))
        start, cpu = time.perf_counter(), time.process_time()
        engine.build(rows)
        report["build"] = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        report["passages"] = len(rows)
        with open(options.keep + ".count", "w") as file:
            file.write(str(len(rows)))
        del rows
    with open(options.keep + ".count") as file:
        report["passages"] = int(file.read())
    report["bytes_per_passage"] = folder_size(options.keep) / max(1, report["passages"])
    engine.open()
    texts = questions(options.queries, options.query_count)
    for text in texts[:min(200, len(texts) // 4)]:
        engine.search(text, options.k)
    wall, cpu, hit_count, found = [], [], 0, []
    for text in texts:
        cpu_start, start = time.thread_time(), time.perf_counter()
        hits = engine.search(text, options.k)
        wall.append((time.perf_counter() - start) * 1000)
        cpu.append((time.thread_time() - cpu_start) * 1000)
        hit_count += len(hits)
        if options.results:
            found.append(engine.ids(hits))
    if options.results:
        with open(options.results, "w") as file:
            for ids in found:
                file.write(json.dumps(ids, separators=(",", ":")) + "\n")
    wall.sort()
    cpu.sort()
    report["searches"] = {
        "segments": engine.segments(), "queries": len(texts), "hits": hit_count,
        "latency_ms": {
            "mean": sum(wall) / max(1, len(wall)), "p50": quantile(wall, 0.5), "p90": quantile(wall, 0.9), "p99": quantile(wall, 0.99),
            "max": quantile(wall, 1), "cpu_mean": sum(cpu) / max(1, len(cpu)), "cpu_p50": quantile(cpu, 0.5),
            "cpu_p99": quantile(cpu, 0.99),
        },
    }
    report.update(memory())
    if options.freshness:
        added, removed = engine.freshness(options.k)
        report["freshness"] = {"found_after_add_ms": sorted(added)[len(added) // 2] * 1000,
                               "gone_after_remove_ms": sorted(removed)[len(removed) // 2] * 1000}
    print(json.dumps(report, sort_keys=True))


if __name__ == "__main__":
    main()
