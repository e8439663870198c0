import Inference
import Retrieval

/// Makes a follow-up question stand by itself, so that it can be searched: "when was it built?" after talk of the Eiffel Tower.
enum QuestionRewriting {
    /// Bytes of a rewritten question at most; longer replies are no question.
    private static let sizeMax = 600

    /// What a language model is asked.
    static func request(_ question: String, turns: [ChatMessage], tokensMax: Int = 96) -> GenerationRequest {
        var talk = ""
        for turn in turns.suffix(8) {
            talk += (turn.role == .assistant ? "Assistant: " : "User: ") + Prompt.neutralized(String(turn.content.prefix(1200))) + "\n"
        }
        return GenerationRequest(
            messages: [
                ChatMessage(
                    role: .system,
                    content: """
                        Rewrite the last question so that it can be understood without the conversation: replace pronouns and omissions by what they stand for.
                        Do not answer it. Do not add facts. Keep its language. If it can already be understood alone, repeat it. Reply with the question only.
                        """),
                ChatMessage(
                    role: .user,
                    content: "<<<conversation>>>\n\(talk)<<<end of conversation>>>\n\nLast question: \(Prompt.neutralized(question))"),
            ], maxTokens: tokensMax)
    }

    /// The model's reply as a question; nil when it does not look like one.
    static func accept(
        _ reply: String, question: String, turns: [ChatMessage], collection: String, statistics: any TermStatistics
    ) -> String? {
        var text = reply.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        for label in ["Last question:", "Question:", "Rewritten question:"] where text.lowercased().hasPrefix(label.lowercased()) {
            text.removeFirst(label.count)
        }
        text = String(text.drop { $0.isWhitespace || $0 == "\"" }.reversed().drop { $0.isWhitespace || $0 == "\"" }.reversed())
        guard !text.isEmpty, text.utf8.count <= sizeMax, text.utf8.count >= 3 else { return nil }
        // Every content word must come from the conversation, most of them at least: a model that answers or invents is not followed.
        let known = Set(statistics.terms(of: question + "\n" + turns.map(\.content).joined(separator: "\n"), in: collection))
        let terms = statistics.terms(of: text, in: collection)
        guard !terms.isEmpty, terms.count(where: known.contains) * 4 >= terms.count * 3 else { return nil }
        // The question itself must still be there.
        let asked = Set(QuestionAnalysis(question, collection: collection, statistics: statistics).terms.map(\.text))
        guard asked.isEmpty || asked.intersection(terms).count * 2 >= asked.count else { return nil }
        return text
    }

    /// Without a model: a question that leans on what was said before gets the most telling words of the user's earlier questions.
    static func heuristic(_ question: String, turns: [ChatMessage], collection: String, statistics: any TermStatistics) -> String {
        guard leansOnContext(question, collection: collection, statistics: statistics) else { return question }
        let present = Set(statistics.terms(of: question, in: collection))
        var weights: [(word: String, term: String, weight: Float, order: Int)] = []
        var seen = present
        for (age, turn) in turns.filter({ $0.role == .user }).suffix(3).reversed().enumerated() {
            for word in Words.split(turn.content) {
                guard let term = statistics.terms(of: word.text, in: collection).first, !QuestionAnalysis.isQuestionWord(word.lower),
                    seen.insert(term).inserted
                else { continue }
                let rarity = statistics.inverseDocumentFrequency(of: term, in: collection)
                // Names carry a topic; older turns count less.
                weights.append(
                    (word.text, term, rarity * (word.isCapitalized ? 1.5 : 1) * (age == 0 ? 1 : 0.6 / Float(age)), weights.count))
            }
        }
        let best = weights.sorted { ($0.weight, -$0.order) > ($1.weight, -$1.order) }.prefix(6).sorted { $0.order < $1.order }
        guard !best.isEmpty else { return question }
        return question + " " + best.map(\.word).joined(separator: " ")
    }

    /// Pronouns, openings such as "and", or too few words of its own.
    static func leansOnContext(_ question: String, collection: String, statistics: any TermStatistics) -> Bool {
        let words = Words.split(question).map(\.lower)
        if let first = words.first, ["and", "but", "so", "then", "und", "aber", "y", "pero", "what about"].contains(first) { return true }
        if question.lowercased().contains("what about") || question.lowercased().contains("how about") { return true }
        let pronouns: Set<String> = [
            "it", "its", "he", "she", "him", "her", "his", "they", "them", "their", "this", "that", "these", "those", "there", "one",
            "ones", "er", "sie", "es", "ihn",
            "ihm", "ihr", "sein", "seine", "dort", "él", "ella", "ellos", "ellas", "su", "sus", "eso", "esto", "allí",
        ]
        if words.contains(where: pronouns.contains) { return true }
        return QuestionAnalysis(question, collection: collection, statistics: statistics).terms.count < 2
    }
}
