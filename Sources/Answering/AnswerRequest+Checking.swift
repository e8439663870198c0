import Inference
package import Retrieval

extension AnswerRequest {
    /// - Throws: `.invalidRequest`, `.tooLarge`, `.unknownGenerator`, or `.retrieval` with what is wrong with the question.
    package func check(_ limits: RequestLimits, generators: [String]) throws(AnsweringError) {
        func fail(_ parameter: String, _ value: String, _ remedy: String) -> AnsweringError {
            .invalidRequest(parameter: parameter, value: value, remedy: remedy)
        }
        do { try SearchRequest.check(question: question, as: "question", limits) } catch { throw .retrieval(error) }
        if !question.unicodeScalars.contains(where: { $0.properties.isAlphabetic || $0.properties.numericType != nil }) {
            throw fail("question", "without a word", "ask something in words")
        }
        try checkTurns(limits)
        if !(1...limits.passageCountMax).contains(k) { throw fail("k", "\(k)", "give a number from 1 to \(limits.passageCountMax)") }
        if !(1...limits.tokenCountMax).contains(maxTokens) {
            throw fail("max_tokens", "\(maxTokens)", "give a number from 1 to \(limits.tokenCountMax)")
        }
        if !(temperature >= 0 && temperature <= limits.temperatureMax) {
            throw fail("temperature", "\(temperature)", "give a number from 0 to \(Int(limits.temperatureMax))")
        }
        if let contextTokens, contextTokens < 1 {
            throw fail("context_tokens", "\(contextTokens)", "give a positive number, or leave it out")
        }
        if let refuseBelow, !(refuseBelow >= 0 && refuseBelow <= 1) {
            throw fail("refuse_below", "\(refuseBelow)", "give a number from 0 to 1")
        }
        if let deadline = deadlineMilliseconds, !(deadline > 0 && deadline.isFinite) {
            throw fail("deadline_ms", "\(deadline)", "give a positive number of milliseconds")
        }
        if let generator, !generators.contains(generator) { throw .unknownGenerator(generator, available: generators) }
    }

    private func checkTurns(_ limits: RequestLimits) throws(AnsweringError) {
        for (index, turn) in turns.enumerated() where turn.content.utf8.count > limits.turnSizeMax {
            throw .tooLarge(
                parameter: "turns[\(index)].content", has: "\(turn.content.utf8.count) bytes", remedy: "the limit is \(limits.turnSizeMax)")
        }
        if turns.count > limits.turnCountMax {
            throw .tooLarge(parameter: "turns", has: "\(turns.count) members", remedy: "send the last \(limits.turnCountMax) at most")
        }
        let size = turns.reduce(0) { $0 + $1.content.utf8.count }
        if size > limits.turnsSizeMax {
            throw .invalidRequest(
                parameter: "turns", value: "\(size) bytes long", remedy: "the limit is \(limits.turnsSizeMax) bytes; leave out the oldest")
        }
        if turns.contains(where: { $0.role == .system }) {
            throw .invalidRequest(parameter: "turns", value: "with a 'system' turn", remedy: "give turns of 'user' and 'assistant' only")
        }
    }
}
