// The life of a search:
//
//     request -> validate -> filter to rows -> { BM25 -> phrases | embed -> vectors } in parallel -> fuse, threshold -> rerank -> read passages, group
//
// Text and vector search run side by side; the slower decides. A deadline or a failing embedder takes the vector side away, one of the reranker
// leaves the fused order, and the answer says so; the text side needs no model and always answers.

package import Documents
package import Execution
package import Indexing
package import Inference
package import Logging
import Metrics
import Storage
import Synchronization
import TextSearch
import VectorSearch

/// What a retriever does when a request does not say otherwise, and its bounds.
package struct RetrieverOptions: Sendable {
    /// Fused candidates that the reranker reads.
    package var rerankDepth = 50
    /// Rows with all terms of a quoted phrase whose texts are read to find those with the phrase.
    package var phraseCandidatesMax = 16_384
    package var limits = RequestLimits()
    /// Calls of a model that may hang at once before it is not asked any more.
    package var abandonedCountMax = 16
    /// Bytes for the vectors of questions that were asked lately; 0 keeps none.
    package var questionVectorSizeMax = 16 << 20

    package init() {}
}

/// Hybrid search over one data folder.
package final class Retriever: Searching, TermStatistics {
    let catalog: IndexCatalog
    let embedders: EmbedderShelf
    let reranker: (any Reranker)?
    let options: RetrieverOptions
    let logger: Logger
    let time: any TimeSource
    let embedLimit: TimeLimit
    let rerankLimit: TimeLimit
    /// By the space that serves: another model knows other languages.
    let fitness = Mutex<[SpaceID: LanguageFitness]>([:])
    /// Of questions that were asked lately: people and programs ask the same again, and a model's work is most of a search.
    let questions: VectorCache<QuestionKey>

    /// - Parameters:
    ///   - embedders: A collection's questions are embedded by the model of its vectors. Without it hybrid searches degrade to text.
    ///   - reranker: Nil leaves results in the order of fusion.
    ///   - time: By what deadlines are kept.
    package init(
        catalog: IndexCatalog, embedders: EmbedderShelf, reranker: (any Reranker)? = nil, options: RetrieverOptions = .init(),
        time: any TimeSource = .machine, logger: Logger
    ) {
        self.catalog = catalog
        self.embedders = embedders
        self.reranker = reranker
        self.options = options
        self.time = time
        self.logger = logger
        embedLimit = TimeLimit(abandonedCountMax: options.abandonedCountMax, time: time)
        rerankLimit = TimeLimit(abandonedCountMax: options.abandonedCountMax, time: time)
        questions = VectorCache(sizeMax: options.questionVectorSizeMax)
    }

    package func search(_ request: SearchRequest, scope: RequestScope) async throws -> SearchResponse {
        let clock = StageClock(time)
        try request.check(options.limits)
        guard scope.includes(collection: request.collection), let indexes = try open(request.collection) else {
            throw RetrievalError.unknownCollection(request.collection)
        }
        let settings = indexes.settings
        var ladder = Ladder()

        let filter = try await filterRows(request, indexes, clock)
        let depth = candidateDepth(request)
        if let filter, filter.isEmpty {
            return SearchResponse(results: [], timings: clock.finish(), mode: request.mode, collection: request.collection, degradation: [])
        }

        let reranks = request.rerank ?? (reranker != nil)
        // What computes runs together on one thread: each change of threads costs as much as a small search.
        if request.mode == .text, !reranks {
            let (text, results) = try await offload {
                // Most questions get their passages out of the first few rows, and a short list is found in a fraction of the time.
                var depths = [depth]
                if request.maxPerDocument == nil, 2 * request.k < depth { depths.insert(max(2 * request.k, Self.spelledWindow), at: 0) }
                while true {
                    let depth = depths.removeFirst()
                    let text = try self.textSide(request, indexes, depth, filter, clock)
                    var ranked = text.hits.map { FusedHit(row: $0.row, score: $0.score, text: $0.score, vector: nil) }
                    Self.cut(&ranked, request)
                    // A deeper search would find no more than this, or nothing above the threshold.
                    let isAll = text.hits.count < depth || ranked.count < text.hits.count
                    let results = try self.results(ranked, text.question, request, indexes, clock)
                    if results.count == request.k || isAll || depths.isEmpty { return (text, results) }
                }
            }
            note(text, &ladder)
            return response(results, request, ladder, clock, nil)
        }

        async let textSide: TextSide =
            request.mode == .vector ? TextSide() : offload { try self.textSide(request, indexes, depth, filter, clock) }
        let reach = vectorReach(request, settings, depth, reranks: reranks)
        var vectorSide: VectorSide? =
            request.mode == .text ? nil : try await vectorSearch(request, indexes, reach, filter, clock, scope, &ladder)
        let foundByText = try await textSide
        note(foundByText, &ladder)
        if foundByText.hasPhrases {
            // A quoted phrase is a condition: what only the vectors found does not meet it, or was found by its words too.
            let rows = Set(foundByText.hits.lazy.map(\.row))
            vectorSide?.hits.removeAll { !rows.contains($0.row) }
        }

        let vectorHits = vectorSide
        let (fused, early) = try await offload {
            let start = clock.now
            var fused = try self.fuse(request, settings, foundByText, vectorHits, indexes)
            Self.cut(&fused.ranked, request)
            clock.record(.fuse, since: start)
            return (fused, reranks ? nil : try self.results(fused.ranked, foundByText.question, request, indexes, clock))
        }
        if let reason = fused.flaw {
            logger.warning("vectors of passages that words found cannot be read", metadata: ["reason": "\(reason)"])
            ladder.take(.vectorPartial, "vectors of passages that only words found cannot be read")
        }
        if let early {
            let isShort = early.count < request.k && fused.ranked.count >= reach.depth && reach.depth < depth
            guard request.mode == .vector, isShort else { return response(early, request, ladder, clock, vectorSide) }
            // Many passages of one text: once more, for what stands behind them.
            let deeper = try await vectorSearch(request, indexes, VectorReach(depth: depth), filter, clock, scope, &ladder)
            let results = try await offload {
                var ranked = try self.fuse(request, settings, foundByText, deeper, indexes).ranked
                Self.cut(&ranked, request)
                return try self.results(ranked, foundByText.question, request, indexes, clock)
            }
            return response(results, request, ladder, clock, deeper)
        }
        let reranked = try await rerank(fused.ranked, request, indexes, clock, &ladder)
        let results = try await offload { try self.results(reranked, foundByText.question, request, indexes, clock) }
        return response(results, request, ladder, clock, vectorSide)
    }

    private func note(_ text: TextSide, _ ladder: inout Ladder) {
        if text.isRelaxed { ladder.take(.phraseRelaxed, "no passage has the words in quotes in this order") }
    }

    private static func cut(_ ranked: inout [FusedHit], _ request: SearchRequest) {
        if let threshold = request.scoreThreshold { ranked = Array(ranked.prefix { $0.score >= threshold }) }
    }

    /// The passages of an order that is settled but for how words are spelled.
    private func results(
        _ ranked: [FusedHit], _ question: PreparedQuestion?, _ request: SearchRequest, _ indexes: CollectionIndexes, _ clock: StageClock
    ) throws -> [SearchResult] {
        let start = clock.now
        defer { clock.record(.fetch, since: start) }
        // A reranker has read how words are spelled.
        let isSpelled = request.mode != .vector && ranked.first?.rerank == nil
        return try readPassages(isSpelled ? spelledAlikeFirst(ranked, request) : ranked, question, request, indexes)
    }

    private func response(
        _ results: [SearchResult], _ request: SearchRequest, _ ladder: Ladder, _ clock: StageClock, _ vectorSide: VectorSide?
    ) -> SearchResponse {
        let timings = clock.finish()
        Timer(label: "outrider_search_latency_ms", dimensions: [("mode", request.mode.rawValue)]).record(duration: timings[.total] ?? .zero)
        return SearchResponse(
            results: results, timings: timings, mode: request.mode, collection: request.collection, degradation: ladder.steps,
            queryVector: vectorSide.flatMap { $0.query.isEmpty ? nil : $0.query }, embeddingModel: vectorSide?.served?.space.model)
    }

    // MARK: Stages

    private func open(_ collection: String) throws -> CollectionIndexes? {
        do throws(IndexingError) { return try catalog.indexes(named: collection) } catch {
            if case .store(.unusableCollection) = error { throw RetrievalError.unusableCollection(error.description) }
            throw RetrievalError.store(error.description)
        }
    }

    /// More candidates than results, since fusion and grouping reorder and drop.
    private func candidateDepth(_ request: SearchRequest) -> Int {
        min(max(request.k * (request.maxPerDocument == nil ? 2 : 4), 200), 4 * options.limits.resultCountMax)
    }

    /// How far the vector side looks.
    private struct VectorReach {
        var depth: Int
        /// Nil is the index's own.
        var recall: Float?
    }

    /// Beside words, vectors need not look as deep: fusion asks for the exact closeness of what words found, and a near passage that the lists miss is mostly among it.
    /// Alone, nothing else finds what is missed (Documentation/Design/0012-when-a-search-ends.md has the figures). Ranks, unlike closeness, are worth what stands between them, and
    /// passages of few documents may be dropped.
    private func vectorReach(_ request: SearchRequest, _ settings: CollectionSettings, _ depth: Int, reranks: Bool) -> VectorReach {
        let method = request.fusion ?? FusionMethod(rawValue: settings.fusion) ?? .minmax
        guard request.maxPerDocument == nil, request.mode == .vector || method == .minmax else { return VectorReach(depth: depth) }
        let read = reranks ? request.rerankDepth ?? options.rerankDepth : 0
        return VectorReach(
            depth: min(depth, max(2 * request.k, Self.vectorDepthMin, read)), recall: request.mode == .hybrid ? Self.hybridRecall : nil)
    }

    private static let vectorDepthMin = 50
    /// Against the index's own 0.99 this costs nDCG@10 at most 0.003.
    private static let hybridRecall: Float = 0.95

    private func filterRows(_ request: SearchRequest, _ indexes: CollectionIndexes, _ clock: StageClock) async throws -> RowSet? {
        guard let filter = request.filter else { return nil }
        let start = clock.now
        defer { clock.record(.filter, since: start) }
        do {
            return try await offload { try indexes.selection(matching: filter).rows }
        } catch IndexingError.store(.invalidFilter(let reason)) {
            throw RetrievalError.invalidFilter(reason)
        } catch let error as IndexingError {
            throw RetrievalError.store(error.description)
        }
    }

    struct VectorSide: Sendable {
        var query: [Float]
        var hits: [RowHit]
        /// What was searched, to the end of the request: the collection's model may change meanwhile.
        var served: ServedVectors?
        var tokenizer: (any Tokenizer)?
    }

    /// Nil when the vector side is not to be had and the text side answers alone.
    private func vectorSearch(
        _ request: SearchRequest, _ indexes: CollectionIndexes, _ reach: VectorReach, _ filter: RowSet?, _ clock: StageClock,
        _ scope: RequestScope, _ ladder: inout Ladder
    ) async throws -> VectorSide? {
        func giveUp(_ rung: Rung, _ reason: String, _ error: RetrievalError) throws -> VectorSide? {
            if request.mode == .vector { throw error }
            ladder.take(rung, reason)
            return nil
        }
        guard let served = indexes.served else {
            return embedders.standard == nil
                ? try giveUp(.vectorUnavailable, "no embedding model", .noEmbedder(Self.noModel)) : VectorSide(query: [], hits: [])
        }
        let embedder: any Embedder
        do {
            guard let found = try await embedders.embedder(named: served.space.model) else {
                guard let standard = embedders.standard else {
                    return try giveUp(.vectorUnavailable, "no embedding model", .noEmbedder(Self.noModel))
                }
                let reason =
                    "collection '\(indexes.name)' was embedded by '\(served.space.model)', which is not in the model folder; the configured model is '\(standard.model.name)'"
                return try giveUp(.vectorUnavailable, "other embedding model", .noEmbedder(reason))
            }
            embedder = found
        } catch {
            return try giveUp(.vectorUnavailable, "embedding model cannot be read", .noEmbedder("\(error)"))
        }
        let embedStart = clock.now
        let query: [Float]?
        let question = QuestionKey(request.query, model: embedder.model.name, scope: scope)
        do {
            if let known = questions[question] {
                query = known
            } else if let deadline = deadline(request, clock, share: 0.9) {
                query = try await embedLimit.run(until: deadline) { try await embedder.embed([question.text], for: .query) }
            } else {
                query = try await embedder.embed([question.text], for: .query)
            }
            clock.record(.embed, since: embedStart)
            if let query { questions.insert(query, for: question, size: question.size) }
        } catch let error as CancellationError {
            throw error
        } catch is TimeLimit.Expired {
            query = nil
        } catch is TimeLimit.Stuck {
            return try giveUp(
                .vectorUnavailable, "embedder hangs", .overloaded("\(options.abandonedCountMax) calls of the embedding model hang"))
        } catch {
            return try giveUp(.vectorUnavailable, "embedding failed", .overloaded("the question could not be embedded: \(error)"))
        }
        guard let query else {
            return try giveUp(.vectorSkipped, "deadline", .deadlineExceeded(milliseconds: request.deadlineMilliseconds ?? 0))
        }
        let start = clock.now
        do {
            let hits: [RowHit]
            if let filter {
                hits = try await offload {
                    try Fusion.withTies(reach.depth) { try served.index.search(query, k: $0, filter: filter, recall: reach.recall) }
                }
            } else {
                hits = try await Fusion.withTies(reach.depth) { try await served.groups.search(query, k: $0, recall: reach.recall) }
            }
            clock.record(.vector, since: start)
            return VectorSide(query: query, hits: hits, served: served, tokenizer: embedder.tokenizer)
        } catch let error as VectorIndexError {
            return try giveUp(.vectorUnavailable, "index", .store(error.description))
        }
    }

    private static let noModel = "none is configured; give --embedding-model"

    /// The instant at which a share of the request's time is over; nil when it has all the time of the world.
    func deadline(_ request: SearchRequest, _ clock: StageClock, share: Double) -> ContinuousClock.Instant? {
        request.deadlineMilliseconds.map { clock.instant(atMilliseconds: $0 * share) }
    }

    /// One order of what both sides found. It reads vectors and texts, so it is no work for a cooperative thread.
    ///
    /// - Returns: `flaw` says why rows that only the text side found have no score of the other.
    private func fuse(
        _ request: SearchRequest, _ settings: CollectionSettings, _ textSide: TextSide, _ vector: VectorSide?, _ indexes: CollectionIndexes
    ) throws -> (ranked: [FusedHit], flaw: String?) {
        let text = textSide.hits
        guard request.mode == .hybrid, let vector, !vector.query.isEmpty else {
            if request.mode == .vector {
                return ((vector?.hits ?? []).map { FusedHit(row: $0.row, score: $0.score, text: nil, vector: $0.score) }, nil)
            }
            return (text.map { FusedHit(row: $0.row, score: $0.score, text: $0.score, vector: nil) }, nil)
        }
        let weight = request.vectorWeight ?? settings.vectorWeight
        let method = request.fusion ?? FusionMethod(rawValue: settings.fusion) ?? .minmax
        // Rows that only BM25 found get their exact cosine too: a missing score would otherwise read as "unlike the question".
        let known = Set(vector.hits.lazy.map(\.row))
        let missing = text.lazy.map(\.row).filter { !known.contains($0) }
        var extra: [RowHit] = []
        var flaw: String?
        do throws(VectorIndexError) { extra = try vector.served?.index.scores(of: Array(missing), for: vector.query) ?? [] } catch {
            flaw = error.description
        }
        // Who names a weight gets it.
        let weights =
            request.vectorWeight == nil
            ? try vectorWeights(weight, request.query, rows: known.union(missing), vector, indexes) : [:]
        let fused =
            switch method {
            case .minmax: Fusion.minMax(text: text, vector: vector.hits + extra, vectorWeight: weight, weights: weights)
            case .rrf:
                Fusion.reciprocalRank(
                    text: text, vector: vector.hits, vectorWeight: weight, rankConstant: request.rankConstant ?? 60, weights: weights)
            }
        guard let question = textSide.question, !text.isEmpty else { return (fused, flaw) }
        return (Fusion.lift(indexes.text.rowsWithRareWords(of: question, among: text.lazy.map(\.row)), in: fused), flaw)
    }

    /// Reads passages in rank order until `k` are found; rows that are gone from the database drop out here.
    ///
    /// Of equal scores the source decides, then the place in the document: row ids follow the order in which documents came in, and the same folder taken in twice
    /// shall answer the same. Of passages with the very same text the first stands for all.
    private func readPassages(
        _ ranked: [FusedHit], _ question: PreparedQuestion?, _ request: SearchRequest, _ indexes: CollectionIndexes
    ) throws -> [SearchResult] {
        guard !ranked.isEmpty else { return [] }
        let highlighter = request.highlight ? indexes.text.highlighter(of: question ?? indexes.text.prepare(request.query)) : nil
        var results: [SearchResult] = []
        var perDocument: [DocumentID: Int] = [:]
        var start = 0
        let batch = request.maxPerDocument == nil && !request.collapseDuplicates ? request.k : request.k * 2
        while results.count < request.k, start < ranked.count {
            var end = min(start + batch, ranked.count)
            while end < ranked.count, ranked[end].ties(with: ranked[end - 1]) { end += 1 }
            let slice = ranked[start..<end]
            start = end
            let passages = try passages(of: slice.lazy.map(\.row))
            for hit in Self.ordered(slice, passages) {
                guard let passage = passages[ChunkID(rawValue: hit.row.rawValue)] else { continue }
                if request.collapseDuplicates, let place = results.firstIndex(where: { Self.isSame($0.text, passage.chunk.text) }) {
                    results[place].alsoIn =
                        (results[place].alsoIn ?? []) + [
                            DuplicatePassage(
                                documentID: passage.document.id, chunkID: passage.chunk.id, source: passage.document.source,
                                title: passage.document.title, page: passage.chunk.page)
                        ]
                    continue
                }
                guard results.count < request.k else { continue }
                if let limit = request.maxPerDocument {
                    if perDocument[passage.document.id, default: 0] >= limit { continue }
                    perDocument[passage.document.id, default: 0] += 1
                }
                results.append(result(hit, passage, highlighter))
            }
        }
        return results
    }

    /// Hits in their order, those of equal scores by source and place.
    private static func ordered(_ hits: ArraySlice<FusedHit>, _ passages: Passages) -> [FusedHit] {
        var ordered: [FusedHit] = []
        var start = hits.startIndex
        while start < hits.endIndex {
            var end = start + 1
            while end < hits.endIndex, hits[end].ties(with: hits[start]) { end += 1 }
            if end - start == 1 {
                ordered.append(hits[start])
            } else {
                let places = hits[start..<end].map { hit in
                    let passage = passages[ChunkID(rawValue: hit.row.rawValue)]
                    return (hit: hit, source: passage?.document.source ?? "", ordinal: passage?.chunk.ordinal ?? 0)
                }
                ordered += places.sorted { ($0.source, $0.ordinal, $0.hit.row) < ($1.source, $1.ordinal, $1.hit.row) }.map(\.hit)
            }
            start = end
        }
        return ordered
    }

    typealias Passages = [ChunkID: Passage]

    /// The texts of rows; a row that is gone is missing.
    func passages(of rows: some Sequence<RowID>) throws(RetrievalError) -> Passages {
        do { return try catalog.store.passages(rows.map { ChunkID(rawValue: $0.rawValue) }) } catch { throw .store(error.description) }
    }

    /// Whether two texts are the same; mostly their lengths tell.
    private static func isSame(_ left: String, _ right: String) -> Bool { left.utf8.count == right.utf8.count && left == right }

    /// Where words of the question stand in a passage. One that comes again has its words noted, so that it is not analyzed each time.
    private static func highlights(_ passage: Passage, _ highlighter: Highlighter) -> [TextSpan] {
        let words = passage.derived { known in highlighter.words(of: passage.chunk.text, known: known as? TextWords) }
        return (words.flatMap(highlighter.ranges) ?? highlighter.ranges(in: passage.chunk.text)).map(TextSpan.init)
    }

    private func result(_ hit: FusedHit, _ passage: Passage, _ highlighter: Highlighter?) -> SearchResult {
        let (chunk, document) = (passage.chunk, passage.document)
        return SearchResult(
            documentID: document.id, chunkID: chunk.id, source: document.source, title: document.title, page: chunk.page,
            lastPage: chunk.lastPage, heading: chunk.heading, span: chunk.span, text: chunk.text, score: hit.score,
            scores: PassageScores(bm25: hit.text, vector: hit.vector, rerank: hit.rerank),
            highlights: highlighter.map { Self.highlights(passage, $0) } ?? [],
            metadata: document.metadata, version: document.version, contentHash: document.contentHash)
    }

    // MARK: TermStatistics

    package func terms(of text: String, in collection: String) -> [String] {
        (try? catalog.indexes(named: collection))?.text.terms(of: text) ?? []
    }

    package func inverseDocumentFrequency(of term: String, in collection: String) -> Float {
        (try? catalog.indexes(named: collection))?.text.inverseDocumentFrequency(of: term) ?? 0
    }
}
