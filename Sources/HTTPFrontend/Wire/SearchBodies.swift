import Documents
package import Retrieval

/// A search as clients write it; all but `query` may be absent.
struct SearchBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable {
        case query, collection, mode, k, filter, highlight, fusion, rerank
        case scoreThreshold = "score_threshold"
        case maxPerDocument = "max_per_document"
        case vectorWeight = "vector_weight"
        case rankConstant = "rank_constant"
        case deadlineMilliseconds = "deadline_ms"
        case rerankDepth = "rerank_depth"
        case collapseDuplicates = "collapse_duplicates"
    }

    var request: SearchRequest

    init(_ members: Members<Member>) throws {
        request = SearchRequest(query: try members.required(String.self, .query))
        request.collection = try members.optional(String.self, .collection) ?? request.collection
        request.mode = try members.choice(SearchMode.self, .mode) ?? request.mode
        request.k = try members.whole(.k) ?? request.k
        request.filter = try members.optional(Filter.self, .filter)
        request.scoreThreshold = try members.float(.scoreThreshold)
        request.maxPerDocument = try members.whole(.maxPerDocument)
        request.highlight = try members.optional(Bool.self, .highlight) ?? request.highlight
        request.fusion = try members.choice(FusionMethod.self, .fusion)
        request.vectorWeight = try members.float(.vectorWeight)
        request.rankConstant = try members.float(.rankConstant)
        request.deadlineMilliseconds = try members.number(.deadlineMilliseconds)
        request.rerank = try members.optional(Bool.self, .rerank)
        request.rerankDepth = try members.whole(.rerankDepth)
        request.collapseDuplicates = try members.optional(Bool.self, .collapseDuplicates) ?? request.collapseDuplicates
    }
}

/// One passage found.
package struct PassageBody: Encodable, Sendable {
    struct Scores: Encodable, Sendable {
        var bm25, vector, rerank: Float?
    }
    struct Duplicate: Encodable, Sendable {
        var documentID: DocumentID
        var chunkID: ChunkID
        var source: String
        var title: String?
        var page: Int?
        enum CodingKeys: String, CodingKey {
            case documentID = "document_id"
            case chunkID = "chunk_id"
            case source, title, page
        }
    }
    var documentID: DocumentID
    var chunkID: ChunkID
    var source: String
    var title: String?
    var page: Int?
    var lastPage: Int?
    var heading: String
    var span: TextSpan
    var text: String
    var score: Float
    var scores: Scores
    var highlights: [TextSpan]
    var metadata: Metadata
    var version: Int
    var contentHash: String
    var alsoIn: [Duplicate]?

    enum CodingKeys: String, CodingKey {
        case documentID = "document_id"
        case chunkID = "chunk_id"
        case lastPage = "last_page"
        case source, title, page, heading, span, text, score, scores, highlights, metadata, version
        case contentHash = "content_hash"
        case alsoIn = "also_in"
    }

    package init(_ result: SearchResult) {
        documentID = result.documentID
        chunkID = result.chunkID
        source = result.source
        title = result.title
        page = result.page
        lastPage = result.lastPage
        heading = result.heading
        span = result.span
        text = result.text
        score = result.score
        scores = Scores(bm25: result.scores.bm25, vector: result.scores.vector, rerank: result.scores.rerank)
        highlights = result.highlights
        metadata = result.metadata
        version = result.version
        contentHash = result.contentHash
        alsoIn = result.alsoIn?.map {
            Duplicate(documentID: $0.documentID, chunkID: $0.chunkID, source: $0.source, title: $0.title, page: $0.page)
        }
    }
}

/// What a search found.
package struct SearchResponseBody: Encodable, Sendable {
    var results: [PassageBody]
    var timings: [String: Double]
    var mode: String
    var collection: String
    /// `rung: reason`, each.
    var degradation: [String]

    enum CodingKeys: String, CodingKey {
        case results
        case timings = "timings_ms"
        case mode, collection, degradation
    }

    package init(_ response: SearchResponse) {
        results = response.results.map(PassageBody.init)
        timings = response.timings.milliseconds
        mode = response.mode.rawValue
        collection = response.collection
        degradation = response.degradation.map(\.description)
    }
}

extension PassageBody: JSONWritable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            if let alsoIn {
                json.member("also_in")
                json.list(alsoIn) { $0.write(to: &$1) }
            }
            json.member("chunk_id", chunkID.description)
            json.member("content_hash", contentHash)
            json.member("document_id", documentID.rawValue)
            json.member("heading", heading)
            json.member("highlights")
            json.list(highlights) { $1.span($0) }
            json.member("last_page", ifPresent: lastPage)
            json.member("metadata")
            json.metadata(metadata)
            json.member("page", ifPresent: page)
            json.member("score", score)
            json.member("scores")
            json.object { json in
                if let bm25 = scores.bm25 { json.member("bm25", bm25) }
                if let rerank = scores.rerank { json.member("rerank", rerank) }
                if let vector = scores.vector { json.member("vector", vector) }
            }
            json.member("source", source)
            json.member("span")
            json.span(span)
            json.member("text", text)
            json.member("title", ifPresent: title)
            json.member("version", version)
        }
    }
}

extension PassageBody.Duplicate: JSONWritable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("chunk_id", chunkID.description)
            json.member("document_id", documentID.rawValue)
            json.member("page", ifPresent: page)
            json.member("source", source)
            json.member("title", ifPresent: title)
        }
    }
}

extension SearchResponseBody: JSONWritable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("collection", collection)
            json.member("degradation")
            json.list(degradation) { $1.string($0) }
            json.member("mode", mode)
            json.member("results")
            json.list(results) { $0.write(to: &$1) }
            json.member("timings_ms")
            json.object { json in
                for (stage, milliseconds) in timings.sorted(by: { $0.key < $1.key }) {
                    json.member(named: stage)
                    json.number(milliseconds)
                }
            }
        }
    }
}
