import Foundation

/// One document of a corpus.
package struct CorpusDocument: Sendable, Equatable {
    package var id: String
    /// Empty when the set has no titles.
    package var title: String
    package var text: String
    package init(id: String, title: String, text: String) {
        self.id = id
        self.title = title
        self.text = text
    }
}

/// A retrieval data set in BEIR's layout (Thakur et al., 2021): `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`; the JSON files may end in `.gz`.
///
/// Queries and judgments are held; the corpus is streamed, because it can be larger than memory.
package struct BEIRDataset: Sendable {
    package struct Query: Sendable, Equatable {
        package var id: String
        package var text: String
        package init(id: String, text: String) {
            self.id = id
            self.text = text
        }
    }

    /// The folder's last path component.
    package let name: String
    package let folder: String
    package let split: String
    /// The queries that have a judgment in this split, in the order of the file.
    package let queries: [Query]
    /// Relevance by query and document, zero and negative judgments included.
    package let judgments: [String: [String: Int]]
    private let corpusPath: String

    /// Opens a folder: finds the files and reads queries and judgments.
    ///
    /// - Parameter split: Name of the judgments' file without `.tsv`.
    /// - Throws: `EvaluationError` naming the file and the line.
    package init(folder: String, split: String = "test") throws {
        self.folder = folder
        self.split = split
        name = URL(fileURLWithPath: folder).lastPathComponent
        corpusPath = try Self.find(["corpus.jsonl", "corpus.jsonl.gz"], in: folder)
        let queriesPath = try Self.find(["queries.jsonl", "queries.jsonl.gz"], in: folder)
        let judgmentsPath = folder + "/qrels/\(split).tsv"
        guard access(judgmentsPath, F_OK) == 0 else {
            let files = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/qrels")) ?? []
            let available = files.filter { $0.hasSuffix(".tsv") }.map { String($0.dropLast(4)) }.sorted()
            throw EvaluationError.unknownSplit(folder: folder, split: split, available: available)
        }

        var judgments: [String: [String: Int]] = [:]
        try LineReader.forEachLine(in: judgmentsPath) { number, line in
            let fields = line.split(separator: 0x09, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count == 3 else {
                throw EvaluationError.malformedLine(
                    path: judgmentsPath, line: number, reason: "\(fields.count) fields, expected query-id TAB corpus-id TAB score")
            }
            guard let score = Int(fields[2]) else {
                if number == 1 { return }  // The header.
                throw EvaluationError.malformedLine(path: judgmentsPath, line: number, reason: "score '\(fields[2])' is not a whole number")
            }
            judgments[fields[0], default: [:]][fields[1]] = score
        }

        var queries: [Query] = []
        var seen: Set<String> = []
        try LineReader.forEachLine(in: queriesPath) { number, line in
            let values = try Self.members(["_id", "text"], of: line, queriesPath, number)
            guard let id = values[0] else {
                throw EvaluationError.malformedLine(path: queriesPath, line: number, reason: "'_id' is missing")
            }
            guard let text = values[1] else {
                throw EvaluationError.malformedLine(path: queriesPath, line: number, reason: "'text' is missing")
            }
            guard judgments[id] != nil else { return }
            guard seen.insert(id).inserted else {
                throw EvaluationError.malformedLine(path: queriesPath, line: number, reason: "query '\(id)' occurs twice")
            }
            queries.append(Query(id: id, text: text))
        }
        guard !queries.isEmpty else { throw EvaluationError.noJudgedQueries(folder: folder, split: split) }
        self.queries = queries
        self.judgments = judgments
    }

    /// Calls `body` with each document, in the order of the file.
    package func forEachDocument(_ body: (CorpusDocument) throws -> Void) throws {
        try Self.forEachDocument(in: corpusPath, body)
    }

    /// The corpus as one array; for sets that fit into memory.
    package func documents() throws -> [CorpusDocument] {
        var documents: [CorpusDocument] = []
        try forEachDocument { documents.append($0) }
        return documents
    }

    // MARK: - Shared with QADataset

    static func forEachDocument(in path: String, _ body: (CorpusDocument) throws -> Void) throws {
        try LineReader.forEachLine(in: path) { number, line in
            let values = try members(["_id", "title", "text"], of: line, path, number)
            guard let id = values[0] else { throw EvaluationError.malformedLine(path: path, line: number, reason: "'_id' is missing") }
            guard let text = values[2] else { throw EvaluationError.malformedLine(path: path, line: number, reason: "'text' is missing") }
            try body(CorpusDocument(id: id, title: values[1] ?? "", text: text))
        }
    }

    static func find(_ names: [String], in folder: String) throws -> String {
        for name in names where access(folder + "/" + name, F_OK) == 0 { return folder + "/" + name }
        throw EvaluationError.missingFile(folder: folder, expected: names)
    }

    private static func members(_ names: [StaticString], of line: UnsafeRawBufferPointer, _ path: String, _ number: Int) throws -> [String?]
    {
        do throws(JSONScanner.Flaw) {
            return try JSONScanner.strings(names, in: line)
        } catch {
            throw EvaluationError.malformedLine(path: path, line: number, reason: "\(error.reason), at byte \(error.offset)")
        }
    }
}
