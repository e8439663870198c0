/// What one search or one question may hold at most. The composition root makes it once; whoever needs a bound reads it here, and each is checked in
/// one place: a search's in `Retriever`, a question's in `AnswerEngine`.
package struct RequestLimits: Sendable, Equatable {
    /// Bytes of a question, or of a search's query.
    package var questionSizeMax = 16 << 10
    /// Results of a search, and candidates that a reranker reads.
    package var resultCountMax = 1000
    /// Passages that an answer is made of.
    package var passageCountMax = 100
    /// Earlier turns of a conversation.
    package var turnCountMax = 64
    /// Bytes of one turn.
    package var turnSizeMax = 64 << 10
    /// Bytes of all turns together.
    package var turnsSizeMax = 256 << 10
    /// Tokens of a generated answer.
    package var tokenCountMax = 8192
    package var temperatureMax: Float = 2

    package init() {}
}

extension SearchRequest {
    /// - Throws: `.invalidRequest` or `.questionTooLong`.
    package func check(_ limits: RequestLimits) throws(RetrievalError) {
        func fail(_ parameter: String, _ value: String, _ remedy: String) -> RetrievalError {
            .invalidRequest(parameter: parameter, value: value, remedy: remedy)
        }
        try Self.check(question: query, as: "query", limits)
        let counts = 1...limits.resultCountMax
        if !counts.contains(k) { throw fail("k", "\(k)", "give a number from 1 to \(counts.upperBound)") }
        if let threshold = scoreThreshold, !threshold.isFinite {
            throw fail("score_threshold", "\(threshold)", "give a number, such as 0.5")
        }
        if let weight = vectorWeight, !(0...1).contains(weight) { throw fail("vector_weight", "\(weight)", "give a number from 0 to 1") }
        if let constant = rankConstant, !(constant > 0 && constant.isFinite) {
            throw fail("rank_constant", "\(constant)", "give a positive number, such as 60")
        }
        if let count = maxPerDocument, count < 1 { throw fail("max_per_document", "\(count)", "give 1 or more, or leave it out") }
        if let depth = rerankDepth, !counts.contains(depth) {
            throw fail("rerank_depth", "\(depth)", "give a number from 1 to \(counts.upperBound)")
        }
        if let deadline = deadlineMilliseconds, !(deadline > 0 && deadline.isFinite) {
            throw fail("deadline_ms", "\(deadline)", "give a positive number of milliseconds")
        }
    }

    /// - Throws: `.invalidRequest` for a question without a character, `.questionTooLong`.
    package static func check(question: String, as parameter: String, _ limits: RequestLimits) throws(RetrievalError) {
        if question.allSatisfy(\.isWhitespace) {
            throw .invalidRequest(parameter: parameter, value: "empty", remedy: "write what you are looking for")
        }
        let size = question.utf8.count
        if size > limits.questionSizeMax { throw .questionTooLong(parameter: parameter, size: size, limit: limits.questionSizeMax) }
    }
}
