import Foundation
import TestSupport
import Testing

@testable import Evaluation

extension TemporaryFolder {
    fileprivate func compress(_ name: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", path + "/" + name]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}

private let shared = SharedData.folder ?? ""

@Suite struct `BEIR data sets` {
    private func folder(corpus: String, queries: String, qrels: String) throws -> TemporaryFolder {
        let folder = TemporaryFolder()
        try folder.write("corpus.jsonl", corpus)
        try folder.write("queries.jsonl", queries)
        try folder.write("qrels/test.tsv", qrels)
        return folder
    }

    private let queries = "{\"_id\": \"q1\", \"text\": \"one?\"}\r\n{\"_id\": \"q2\", \"text\": \"two?\"}"
    private let qrels = "query-id\tcorpus-id\tscore\r\nq1\ta\t2\r\nq1\tb\t0"

    @Test(arguments: [false, true])
    func `lines end at newline only, with or without one at the end`(compressed: Bool) throws {
        let corpus =
            "\u{FEFF}{\"_id\":\"a\",\"title\":\"T\",\"text\":\"next\u{85}line\u{2028}end\"}\r\n\n"
            + "{ \"metadata\": {\"x\": [1, {\"y\": null}], \"text\": \"not this\"}, \"text\" : \"q\\\"uote \\u00e9 \\ud83d\\ude00 \\ud83d \\n\\\\\", \"_id\": 7 }"
        let folder = try folder(corpus: corpus, queries: queries, qrels: qrels)
        if compressed {
            try folder.compress("corpus.jsonl")
            try folder.compress("queries.jsonl")
        }
        let dataset = try BEIRDataset(folder: folder.path)
        #expect(
            try dataset.documents() == [
                CorpusDocument(id: "a", title: "T", text: "next\u{85}line\u{2028}end"),
                CorpusDocument(id: "7", title: "", text: "q\"uote é 😀 \u{FFFD} \n\\"),
            ])
        #expect(dataset.queries == [.init(id: "q1", text: "one?")])
        #expect(dataset.judgments == ["q1": ["a": 2, "b": 0]])
    }

    @Test func `lines longer than a block arrive whole`() throws {
        let long = String(repeating: "0123456789", count: 100_000)
        let corpus = (0..<5).map { "{\"_id\":\"d\($0)\",\"text\":\"\($0)\(long)\"}\n" }.joined()
        let folder = try folder(corpus: corpus, queries: queries, qrels: qrels)
        let documents = try BEIRDataset(folder: folder.path).documents()
        #expect(documents.map(\.text) == (0..<5).map { "\($0)\(long)" })
    }

    @Test(arguments: [
        ("{\"_id\":\"a\",\"text\":\"x\"", "the line ends inside a value"), ("{\"_id\":\"a\"}", "'text' is missing"),
        ("{\"text\":\"a\"}", "'_id' is missing"),
        ("{\"_id\":\"a\",\"text\":[\"x\"]}", "'text' is not a string"),
        ("{\"_id\":\"a\",\"text\":\"x\"} y", "there is more after the object"),
        ("{\"_id\":\"a\",\"text\":\"\\x\"}", "an unknown escape in a string"),
        ("{\"_id\":\"a\",\"text\":\"\\u12\"}", "\\u needs four hexadecimal digits"),
        ("{\"_id\":\"a\",\"n\":tru,\"text\":\"\"}", "a value expected"), ("[1]", "'{' expected"),
        ("{\"_id\":\"a\",\"text\":\"x", "the line ends inside a string"),
        ("{\"_id\":\"a\",\"n\":\(String(repeating: "[", count: 100)),\"text\":\"\"}", "values are nested more than 64 deep"),
    ])
    func `a malformed line is reported with file and line`(line: String, reason: String) throws {
        let folder = try folder(corpus: "{\"_id\":\"ok\",\"text\":\"\"}\n\n\(line)\n", queries: queries, qrels: qrels)
        let error = try #require(throws: EvaluationError.self) { try BEIRDataset(folder: folder.path).documents() }
        guard case .malformedLine(let path, 3, let got) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(path.hasSuffix("/corpus.jsonl") && got.hasPrefix(reason), "\(error)")
    }

    @Test func `missing files, splits and foreign judgments are named`() throws {
        let folder = try folder(corpus: "", queries: queries, qrels: qrels)
        #expect(throws: EvaluationError.unknownSplit(folder: folder.path, split: "dev", available: ["test"])) {
            try BEIRDataset(folder: folder.path, split: "dev")
        }
        try folder.write("qrels/test.tsv", "q9\ta\t1\n")
        #expect(throws: EvaluationError.noJudgedQueries(folder: folder.path, split: "test")) { try BEIRDataset(folder: folder.path) }
        try folder.write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\ta\n")
        #expect(throws: EvaluationError.self) { try BEIRDataset(folder: folder.path) }
        try FileManager.default.removeItem(atPath: folder.path + "/corpus.jsonl")
        #expect(throws: EvaluationError.missingFile(folder: folder.path, expected: ["corpus.jsonl", "corpus.jsonl.gz"])) {
            try BEIRDataset(folder: folder.path)
        }
        let error = try #require(throws: EvaluationError.self) { try BEIRDataset(folder: "/nowhere") }
        #expect(error.description.contains("/nowhere"))
    }

    @Test func `a damaged gzip file is an error, not a short corpus`() throws {
        let folder = try folder(
            corpus: (0..<2000).map { "{\"_id\":\"\($0)\",\"text\":\"\($0 * 7919)\"}\n" }.joined(), queries: queries, qrels: qrels)
        try folder.compress("corpus.jsonl")
        let url = URL(fileURLWithPath: folder.path + "/corpus.jsonl.gz")
        let whole = try Data(contentsOf: url)
        try whole.prefix(whole.count / 2).write(to: url)
        #expect(throws: EvaluationError.self) { try BEIRDataset(folder: folder.path).documents() }
    }

    @Test(.enabled(if: access(shared + "/scifact/corpus.jsonl.gz", R_OK) == 0, "the shared data folder is not there"))
    func `SciFact has its published counts`() throws {
        let dataset = try BEIRDataset(folder: shared + "/scifact")
        #expect(dataset.queries.count == 300)
        #expect(dataset.judgments.values.reduce(0) { $0 + $1.count } == 339)
        #expect(try dataset.documents().count == 5183)
        #expect(try BEIRDataset(folder: shared + "/scifact", split: "train").queries.count == 809)
    }
}

@Suite struct `QA data sets` {
    @Test func `members that a set lacks are empty`() throws {
        let folder = TemporaryFolder()
        try folder.write(
            "qa.jsonl",
            """
            {"id": "1", "question": "who?", "answers": ["me"], "answerable": true, "evidence": ["a"], "lang": "en", "extra": {"a": 1}}
            {"id": "2", "question": "why?", "answerable": false, "near_miss": ["b"], "negatives": ["c"], "evidence_sentences": ["s"], "counterfactual_docs": ["d"]}

            """)
        let dataset = try QADataset(folder: folder.path)
        #expect(
            dataset.questions == [
                .init(id: "1", question: "who?", answers: ["me"], evidence: ["a"], language: "en"),
                .init(
                    id: "2", question: "why?", answerable: false, evidenceSentences: ["s"], nearMiss: ["b"], negatives: ["c"],
                    counterfactualDocuments: ["d"]),
            ])
        #expect(throws: EvaluationError.self) { try dataset.documents() }
    }

    @Test(arguments: [
        ("{\"question\": \"a\"}", "'id' is missing"), ("{\"id\": 1, \"question\": \"a\"}", "'id' has the wrong type"),
        ("{", "the line is not valid JSON"),
    ])
    func `a malformed question is reported with file and line`(line: String, reason: String) throws {
        let folder = TemporaryFolder()
        try folder.write("qa.jsonl", "{\"id\":\"1\",\"question\":\"a\"}\n\(line)\n")
        #expect(throws: EvaluationError.malformedLine(path: folder.path + "/qa.jsonl", line: 2, reason: reason)) {
            try QADataset(folder: folder.path)
        }
    }

    @Test(.enabled(if: access(shared + "/clapnq/qa.jsonl", R_OK) == 0, "the shared data folder is not there"))
    func `every evidence id of the open sets is in its corpus`() throws {
        for name in ["clapnq", "hotpotqa-100", "rgb-en-counterfactual", "xquad"] {
            let dataset = try QADataset(folder: shared + "/" + name)
            let ids = Set(try dataset.documents().map(\.id))
            #expect(
                dataset.questions.allSatisfy { ids.isSuperset(of: $0.evidence + $0.nearMiss + $0.negatives + $0.counterfactualDocuments) },
                "\(name)")
        }
        let clapnq = try QADataset(folder: shared + "/clapnq")
        #expect(clapnq.questions.count { $0.answerable } == 161 && clapnq.questions.count == 311)
    }
}
