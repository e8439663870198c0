package import Documents

/// Which retrievers answer a search.
package enum SearchMode: String, Sendable, CaseIterable { case text, vector, hybrid }

/// How two ranked lists become one.
package enum FusionMethod: String, Sendable, CaseIterable {
    /// Scores of each retriever mapped to 0...1 by its own minimum and maximum, then a weighted sum.
    case minmax
    /// Reciprocal rank fusion: the sum of 1 / (rankConstant + rank).
    case rrf
}

/// A search.
package struct SearchRequest: Sendable {
    package var query: String
    package var collection: String
    package var mode: SearchMode
    /// Number of results, 1...1000.
    package var k: Int
    package var filter: Filter?
    /// Results whose final score is lower are left out.
    package var scoreThreshold: Float?
    /// At most this many results of one document; nil = no limit.
    package var maxPerDocument: Int?
    package var highlight: Bool
    package var fusion: FusionMethod?
    /// Share of the vector score, 0...1; nil = the collection's.
    package var vectorWeight: Float?
    package var rankConstant: Float?
    /// Milliseconds from now after which the search degrades rather than continues: vector search is left out when the embedding would come too
    /// late, and passages that the reranker does not reach keep their place after those it does.
    package var deadlineMilliseconds: Double?
    /// Whether a reranker reads the best candidates again; nil = when one is configured.
    package var rerank: Bool?
    /// Number of candidates that the reranker reads, 1...1000; nil = the server's.
    package var rerankDepth: Int?
    /// Whether passages with the very same text come once, with the others in `alsoIn`.
    package var collapseDuplicates: Bool

    package init(
        query: String, collection: String = "default", mode: SearchMode = .hybrid, k: Int = 10, filter: Filter? = nil,
        scoreThreshold: Float? = nil,
        maxPerDocument: Int? = nil, highlight: Bool = true, fusion: FusionMethod? = nil, vectorWeight: Float? = nil,
        rankConstant: Float? = nil,
        deadlineMilliseconds: Double? = nil, rerank: Bool? = nil, rerankDepth: Int? = nil, collapseDuplicates: Bool = true
    ) {
        self.query = query
        self.collection = collection
        self.mode = mode
        self.k = k
        self.filter = filter
        self.scoreThreshold = scoreThreshold
        self.maxPerDocument = maxPerDocument
        self.highlight = highlight
        self.fusion = fusion
        self.vectorWeight = vectorWeight
        self.rankConstant = rankConstant
        self.deadlineMilliseconds = deadlineMilliseconds
        self.rerank = rerank
        self.rerankDepth = rerankDepth
        self.collapseDuplicates = collapseDuplicates
    }
}

/// Another place where the very text of a passage stands.
package struct DuplicatePassage: Sendable, Equatable {
    package var documentID: DocumentID
    package var chunkID: ChunkID
    package var source: String
    package var title: String?
    package var page: Int?

    package init(documentID: DocumentID, chunkID: ChunkID, source: String, title: String?, page: Int?) {
        self.documentID = documentID
        self.chunkID = chunkID
        self.source = source
        self.title = title
        self.page = page
    }
}

/// What each judge says of a passage; nil of one that did not see it.
package struct PassageScores: Sendable, Equatable {
    package var bm25: Float?
    /// The cosine of question and passage.
    package var vector: Float?
    /// Comparable within one response only.
    package var rerank: Float?

    package init(bm25: Float? = nil, vector: Float? = nil, rerank: Float? = nil) {
        self.bm25 = bm25
        self.vector = vector
        self.rerank = rerank
    }
}

/// One passage found.
package struct SearchResult: Sendable {
    package var documentID: DocumentID
    package var chunkID: ChunkID
    package var source: String
    package var title: String?
    /// The page on which the passage begins, and the one on which it ends.
    package var page: Int?
    package var lastPage: Int?
    package var heading: String
    /// Where the passage lies in the document's extracted text, UTF-8 bytes.
    package var span: TextSpan
    package var text: String
    /// The fused score, larger is better: 0...1 for min-max fusion. Results come in its order, but for those that a reranker has read: they come
    /// first, in the order of `scores.rerank`.
    package var score: Float
    package var scores: PassageScores
    /// Byte ranges within `text` that match terms of the query.
    package var highlights: [TextSpan]
    package var metadata: Metadata
    /// Which version of the document this is: it counts up with each replacement. Spans hold for this version only.
    package var version: Int
    /// SHA-256 of the original bytes, hex.
    package var contentHash: String
    /// The same text elsewhere, by source; nil when it was not met again among the candidates.
    package var alsoIn: [DuplicatePassage]?

    package init(
        documentID: DocumentID, chunkID: ChunkID, source: String, title: String?, page: Int?, lastPage: Int? = nil, heading: String,
        span: TextSpan, text: String, score: Float, scores: PassageScores, highlights: [TextSpan], metadata: Metadata, version: Int = 1,
        contentHash: String = "", alsoIn: [DuplicatePassage]? = nil
    ) {
        self.documentID = documentID
        self.chunkID = chunkID
        self.source = source
        self.title = title
        self.page = page
        self.lastPage = lastPage
        self.heading = heading
        self.span = span
        self.text = text
        self.score = score
        self.scores = scores
        self.highlights = highlights
        self.metadata = metadata
        self.version = version
        self.contentHash = contentHash
        self.alsoIn = alsoIn
    }
}

package struct SearchResponse: Sendable {
    package var results: [SearchResult]
    /// The stages of a search that were gone through, and the total.
    package var timings: Timings
    package var mode: SearchMode
    package var collection: String
    /// Steps down that were taken; empty = none.
    package var degradation: [Degradation]
    /// The question's vector, where one was made: whoever needs it again need not ask the model.
    package var queryVector: [Float]?
    /// The model of the vectors that were searched; nil where none were.
    package var embeddingModel: String?

    package init(
        results: [SearchResult], timings: Timings, mode: SearchMode, collection: String, degradation: [Degradation],
        queryVector: [Float]? = nil, embeddingModel: String? = nil
    ) {
        self.queryVector = queryVector
        self.embeddingModel = embeddingModel
        self.results = results
        self.timings = timings
        self.mode = mode
        self.collection = collection
        self.degradation = degradation
    }
}

package enum RetrievalError: Error, Sendable, CustomStringConvertible {
    case unknownCollection(String)
    /// A collection that is stored but cannot be opened; the message says why.
    case unusableCollection(String)
    /// A request's member has a value that cannot be served.
    case invalidRequest(parameter: String, value: String, remedy: String)
    /// Its size is in bytes.
    case questionTooLong(parameter: String, size: Int, limit: Int)
    case invalidFilter(String)
    case noEmbedder(String)
    case overloaded(String)
    case deadlineExceeded(milliseconds: Double)
    case store(String)

    package var description: String {
        switch self {
        case .unknownCollection(let name): "collection '\(name)' does not exist; create it, or ingest documents into it first"
        case .unusableCollection(let reason): reason
        case .invalidRequest(let parameter, let value, let remedy): "'\(parameter)' is \(value); \(remedy)"
        case .questionTooLong(let parameter, let size, let limit): "'\(parameter)' has \(size) bytes; the limit is \(limit)"
        case .invalidFilter(let reason): "invalid filter: \(reason)"
        case .noEmbedder(let reason): "vector search needs an embedding model: \(reason)"
        case .overloaded(let what): "\(what); try again later"
        case .deadlineExceeded(let milliseconds): "no result within deadline_ms = \(milliseconds); raise it"
        case .store(let reason): reason
        }
    }
}

/// What frontends and the answer pipeline ask for passages.
package protocol Searching: Sendable {
    /// - Throws: `RetrievalError`; a collection outside of the scope is unknown.
    func search(_ request: SearchRequest, scope: RequestScope) async throws -> SearchResponse
    /// The languages of a collection and whether the embedding model knows them; nil when that is not known.
    func languages(of collection: String, scope: RequestScope) async -> LanguageReport?
}

extension Searching {
    package func languages(of collection: String, scope: RequestScope) async -> LanguageReport? { nil }
}

/// Lexical statistics of a collection, for answer making: how rare a term is decides how much it says.
package protocol TermStatistics: Sendable {
    /// Stemmed terms without stop words, in order.
    func terms(of text: String, in collection: String) -> [String]
    func inverseDocumentFrequency(of term: String, in collection: String) -> Float
}
