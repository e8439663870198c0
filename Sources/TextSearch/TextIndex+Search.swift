package import Storage
import Synchronization

/// What double quotes in a question mean.
package enum QuoteRule: Sendable {
    /// Quoted terms must all be in a row; when no row has them all, the quotes are disregarded.
    case preferred
    /// Quoted terms must all be in a row; when no row has them all, nothing is found.
    case required
}

/// k1 and b of BM25 for one search, in place of the index's own.
package struct BM25Parameters: Sendable, Hashable {
    package var k1: Float
    package var b: Float

    /// - Precondition: `k1` is 0...1000, `b` is 0...1.
    package init(k1: Float, b: Float) {
        precondition((0...1000).contains(k1) && (0...1).contains(b), "k1 \(k1), b \(b)")
        self.k1 = k1
        self.b = b
    }
}

extension TextIndex {
    private static let idleScratchesMax = 8

    /// The best rows for a natural-language question (OR of its terms), at most `k`, by descending BM25, ties by row id.
    ///
    /// That quoted terms stand next to each other cannot be known here, where there is no text: see `QuotedPhrases`.
    ///
    /// - Parameters:
    ///   - filter: When given, only its members are scored (a pre-filter: `k` results come back when so many match).
    ///   - quotes: Whether quoted terms must be in a row.
    ///   - parameters: k1 and b, when not those of the configuration; files serve any.
    package func search(
        _ query: String, k: Int, filter: RowSet? = nil, quotes: QuoteRule = .preferred, parameters: BM25Parameters? = nil
    ) -> [RowHit] {
        search(prepare(query), k: k, filter: filter, quotes: quotes, parameters: parameters)
    }

    /// As above, for a question that is analyzed already.
    package func search(
        _ prepared: PreparedQuestion, k: Int, filter: RowSet? = nil, quotes: QuoteRule = .preferred, parameters: BM25Parameters? = nil
    ) -> [RowHit] {
        guard k > 0, filter.map({ !$0.isEmpty }) ?? true else { return [] }
        let views = snapshot().views
        let question = question(prepared, in: views)
        guard !question.groups.isEmpty else { return [] }
        let scratch = scratches.withLock { $0.popLast() } ?? QueryScratch()
        defer {
            scratches.withLock { if $0.count < Self.idleScratchesMax { $0.append(scratch) } }
        }
        let parameters = parameters ?? BM25Parameters(k1: configuration.k1, b: configuration.b)
        if question.groups.contains(where: \.isRequired) {
            let hits = rank(question, in: views, k: k, filter: filter, requiresQuoted: true, parameters, scratch)
            if !hits.isEmpty || quotes == .required { return hits }
        }
        return rank(question, in: views, k: k, filter: filter, requiresQuoted: false, parameters, scratch)
    }

    private func rank(
        _ question: Question, in views: [TextSegmentView], k: Int, filter: RowSet?, requiresQuoted: Bool, _ parameters: BM25Parameters,
        _ scratch: QueryScratch
    ) -> [RowHit] {
        let terms = question.terms
        let rowCount = views.reduce(0) { $0 + $1.segment.rowCount }
        let totalLength = views.reduce(UInt64(0)) { $0 + $1.segment.totalLength }
        let weights = terms.map { term in
            let group = question.groups[term.group]
            // All forms of a word are as rare as they are together.
            return Double(term.share) * Double(group.occurrenceCount)
                * BM25.inverseDocumentFrequency(rowCount: rowCount, documentFrequency: min(rowCount, group.documentFrequency))
        }
        let model = BM25(
            k1: parameters.k1, b: parameters.b, unit: unit, averageLength: Double(totalLength) / Double(max(1, rowCount)),
            weightSum: weights.reduce(0, +), termCount: terms.count)
        let scaled = weights.map { model.scaled($0) }
        let tables = ScoreTables(zip(scaled, terms).map { ($0, $1.documentFrequency) }, model: model)
        var top = TopRows(k: min(k, rowCount))
        // Large segments first: they raise the threshold for the others.
        let order = views.indices.sorted { views[$0].segment.rowCount > views[$1].segment.rowCount }
        for index in order where views[index].liveCount > 0 {
            var known: [(postings: TermPostings, weight: Float)] = []
            var knownTables: [UnsafePointer<UInt32>?] = []
            var required = question.groups.map { _ in [TermPostings]() }
            for (number, term) in terms.enumerated() {
                guard let postings = term.postings[index] else { continue }
                known.append((postings, scaled[number]))
                knownTables.append(tables[number])
                if term.share >= Question.fullShare { required[term.group].append(postings) }
            }
            required = requiresQuoted ? zip(required, question.groups).filter { $1.isRequired }.map(\.0) : []
            guard !known.isEmpty, required.allSatisfy({ !$0.isEmpty }) else { continue }
            var search = RankedSearch(
                views[index], terms: known, tables: knownTables, required: required, filter: filter, model: model, scratch: scratch)
            search.run(into: &top)
            scratch.reset()
        }
        extendLifetime(tables)
        // Two sums that differ in a bit below a Float's are a tie to the caller.
        return top.sorted().map { RowHit(row: RowID($0.row), score: model.unscaled($0.score)) }
            .sorted { ($1.score, $0.row) < ($0.score, $1.row) }
    }
}
