import Documents
import Evaluation
import Foundation
import Indexing
import Inference
import Ingestion
import Retrieval
import Storage
import TextSearch
import VectorSearch

/// One data set with everything that ranking it again under other parameters needs, so that it is embedded once.
struct TuningSet: Sendable {
    struct Query: Sendable {
        var id: String
        var text: String
        var judgments: [String: Int]
        /// The best rows by cosine, as many as a search looks at.
        var vectorHits: [RowHit]
        /// The question's embedding, for the cosines of rows that only the words found.
        var embedding: [Float]
    }

    let name: String
    var queries: [Query]
    /// The document of each row.
    let sources: [RowID: String]
    let rows: [TextRow]
    let indexes: CollectionIndexes

    /// Candidates of each retriever: what a search for 100 documents takes.
    static let depth = 400

    /// Opens or makes the index of a BEIR or question-answering folder, and embeds its questions.
    static func load(
        folder: String, split: String, engine: Engine, settings: CollectionSettings, progress: (String) -> Void
    ) async throws -> TuningSet {
        guard let embedder = engine.embedders.standard else {
            throw RetrievalError.noEmbedder("tuning compares both retrievers; give --embedding-model")
        }
        let (name, documents, questions) = try judged(folder, split)
        let indexes = try engine.catalog.indexes(creating: "default", settings: settings)
        if try engine.store.counts(of: indexes.id).documents == 0 {
            let texts = try documents().map { BulkLoader.Text(source: $0.id, title: $0.title, text: $0.text) }
            let loader = BulkLoader(into: "default", through: engine.ingestion)
            _ = try await loader.load(texts) { progress("\(name): indexed \($0.documents) of \(texts.count) documents") }
            try engine.catalog.sealAll()
        }
        progress("\(name): reading")
        var rows: [TextRow] = []
        var sources: [RowID: String] = [:]
        var after = ChunkID(rawValue: 0)
        while true {
            let batch = try engine.store.rows(in: indexes.id, space: nil, after: after, limit: 2000)
            guard let last = batch.last else { break }
            rows += batch.map { TextRow(row: RowID($0.id.rawValue), title: $0.context, body: $0.text) }
            for (id, passage) in try engine.store.passages(batch.map(\.id)) { sources[RowID(id.rawValue)] = passage.document.source }
            after = last.id
        }
        var queries: [Query] = []
        for (number, question) in questions.enumerated() {
            if number % 50 == 0 { progress("\(name): \(number) of \(questions.count) questions") }
            let embedding = try await embedder.embed([question.text], for: .query)
            let hits = try indexes.vectors?.search(embedding, k: depth, filter: nil) ?? []
            queries.append(
                Query(id: question.id, text: question.text, judgments: question.judgments, vectorHits: hits, embedding: embedding))
        }
        return TuningSet(name: name, queries: queries, sources: sources, rows: rows, indexes: indexes)
    }

    private struct Question {
        var id: String
        var text: String
        var judgments: [String: Int]
    }

    private static func judged(
        _ folder: String, _ split: String
    ) throws -> (name: String, documents: () throws -> [CorpusDocument], questions: [Question]) {
        if ["qa.jsonl", "qa.jsonl.gz"].contains(where: { FileManager.default.fileExists(atPath: folder + "/" + $0) }) {
            let set = try QADataset(folder: folder)
            let questions = set.questions.filter { $0.answerable && !$0.evidence.isEmpty }.map {
                Question(
                    id: $0.id, text: $0.question,
                    judgments: Dictionary($0.evidence.map { ($0, 1) }, uniquingKeysWith: { first, _ in first }))
            }
            return (set.name, { try set.documents() }, questions)
        }
        let set = try BEIRDataset(folder: folder, split: split)
        let questions = set.queries.compactMap { query in
            set.judgments[query.id].flatMap { judgments in
                judgments.values.contains { $0 > 0 } ? Question(id: query.id, text: query.text, judgments: judgments) : nil
            }
        }
        return (set.name, { try set.documents() }, questions)
    }

    /// An index over the rows in memory where a word of the title counts so much.
    func textIndex(titleWeight: Float) throws -> TextIndex {
        var configuration = TextIndexConfiguration()
        configuration.stemmer = indexes.settings.stemmer
        configuration.stopWords = indexes.settings.stopWords
        configuration.titleWeight = titleWeight
        let folder = FileManager.default.temporaryDirectory.path + "/outrider-tune-\(UUID().uuidString)"
        let index = try TextIndex(directory: folder, configuration: configuration)
        index.add(rows)
        return index
    }

    /// nDCG@10 of a ranking of rows, best first: a document stands where its best row stands.
    func nDCG(_ query: Query, _ ranking: some Sequence<RowID>) -> Double {
        var documents: [String] = []
        documents.reserveCapacity(10)
        for row in ranking {
            // BEIR's rule: a document that is the query itself is no answer to it.
            guard let source = sources[row], source != query.id, !documents.contains(source) else { continue }
            documents.append(source)
            if documents.count == 10 { break }
        }
        return RankingMetrics.nDCG(at: 10, ranking: documents, judgments: query.judgments) ?? 0
    }
}
