import Storage

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
    /// Of a longer question only the rarest terms are looked for.
    private static let questionTermsMax = 512
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
        guard k > 0, filter.map({ !$0.isEmpty }) ?? true else { return [] }
        let views = snapshot().views
        let terms = questionTerms(of: query, in: views)
        guard !terms.isEmpty else { return [] }
        let scratch = scratches.withLock { $0.popLast() } ?? SearchScratch()
        defer {
            scratches.withLock { if $0.count < Self.idleScratchesMax { $0.append(scratch) } }
        }
        let parameters = parameters ?? BM25Parameters(k1: configuration.k1, b: configuration.b)
        if terms.contains(where: \.isRequired) {
            let hits = rank(terms, in: views, k: k, filter: filter, requiresQuoted: true, parameters, scratch)
            if !hits.isEmpty || quotes == .required { return hits }
        }
        return rank(terms, in: views, k: k, filter: filter, requiresQuoted: false, parameters, scratch)
    }

    /// One distinct term of a question, looked up in every segment.
    private struct QuestionTerm {
        var bytes: [UInt8]
        var occurrenceCount = 0
        var isRequired = false
        var documentFrequency = 0
        /// For each view, in order.
        var postings: [TermPostings?] = []
    }

    private func questionTerms(of query: String, in views: [TextSegmentView]) -> [QuestionTerm] {
        var terms: [QuestionTerm] = []
        var indices: [[UInt8]: Int] = [:]
        analyzer.withWorker { worker in
            worker.analyze(query) { analyzed in
                let quoted = Quotes.ranges(in: query)
                for token in analyzed.tokens {
                    let bytes = Array(analyzed.bytes(of: token))
                    let index = indices[bytes] ?? terms.count
                    if index == terms.count {
                        indices[bytes] = index
                        terms.append(QuestionTerm(bytes: bytes))
                    }
                    terms[index].occurrenceCount += 1
                    // Of a compound its parts decide: they are in every row that has the whole.
                    if token.role != .whole, quoted.contains(where: { $0.contains(Int(token.sourceStart)) }) {
                        terms[index].isRequired = true
                    }
                }
            }
        }
        for index in terms.indices {
            terms[index].bytes.withUnsafeBufferPointer { bytes in
                terms[index].postings = views.map { $0.segment.postings(of: bytes) }
            }
            terms[index].documentFrequency = terms[index].postings.reduce(0) { $0 + ($1?.count ?? 0) }
        }
        // A quoted term that is nowhere must stay: it is why no row has them all.
        terms.removeAll { $0.documentFrequency == 0 && !$0.isRequired }
        if terms.count > Self.questionTermsMax {
            terms.sort { ($0.documentFrequency, $0.bytes.count) < ($1.documentFrequency, $1.bytes.count) }
            terms.removeLast(terms.count - Self.questionTermsMax)
        }
        return terms
    }

    private func rank(
        _ terms: [QuestionTerm], in views: [TextSegmentView], k: Int, filter: RowSet?, requiresQuoted: Bool, _ parameters: BM25Parameters,
        _ scratch: SearchScratch
    ) -> [RowHit] {
        let rowCount = views.reduce(0) { $0 + $1.segment.rowCount }
        let totalLength = views.reduce(UInt64(0)) { $0 + $1.segment.totalLength }
        let weights = terms.map { term in
            term.documentFrequency == 0
                ? 0
                : Double(term.occurrenceCount)
                    * BM25.inverseDocumentFrequency(rowCount: rowCount, documentFrequency: term.documentFrequency)
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
            var required: [TermPostings] = []
            var isPossible = true
            for (number, term) in terms.enumerated() {
                if let postings = term.postings[index] {
                    known.append((postings, scaled[number]))
                    knownTables.append(tables[number])
                    if term.isRequired && requiresQuoted { required.append(postings) }
                } else if term.isRequired && requiresQuoted {
                    isPossible = false
                }
            }
            guard isPossible, !known.isEmpty else { continue }
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
