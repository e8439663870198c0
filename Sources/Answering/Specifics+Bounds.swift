// Two ways in which a text tells of siblings without putting one in the place of the other: years that bound a time, and lists of alternatives.

extension Specifics {
    // MARK: - Years that bound

    /// What "until 31 March 2023" or "from 2026 on" says about a year; nil when no bound decides.
    ///
    /// "1,850 EUR a month, from 2026 on 1,960" tells of 2025 what stands before the bound.
    static func bound(_ year: Int, _ words: [Identifier]) -> Specific.Status? {
        var told: Specific.Status?
        for (index, word) in words.enumerated() where isYear(word) {
            guard let bound = Int(word.folded), let opener = boundOpener(words, index) else { continue }
            if untilWords.contains(words[opener].lower) {
                if year <= bound { return .supported }
            } else if year >= bound {
                return .supported
            } else if fromWords.contains(words[opener].lower), words[..<opener].contains(where: { $0.kind == .number && !isYear($0) }) {
                // A value stands before the bound: it is the earlier one.
                told = .supported
            }
        }
        return told
    }

    /// The word that makes a bound of a year, with a day and a month between them at most.
    private static func boundOpener(_ words: [Identifier], _ index: Int) -> Int? {
        for place in words[..<index].indices.reversed().prefix(4) {
            let word = words[place]
            if untilWords.contains(word.lower) || sinceWords.contains(word.lower) || fromWords.contains(word.lower) { return place }
            let isDate = word.kind == .number || isMonth(word.lower) || ["the", "of", "dem", "zum", "end", "ende"].contains(word.lower)
            // The full stop of "1. Januar" begins nothing.
            if words[place + 1].isFirst && word.kind != .number || !isDate { return nil }
        }
        return nil
    }

    private static let untilWords: Set<String> = ["until", "till", "bis", "hasta", "jusqu'en"]
    private static let sinceWords: Set<String> = ["since", "seit", "depuis", "desde"]
    private static let fromWords: Set<String> = ["from", "ab"]

    // MARK: - Alternatives

    /// Words by which a noun hangs on what is asked. A text may use another one: "for a bicycle", "by car".
    private static let prepositions: Set<String> = ["for", "by", "in", "with", "at", "on", "für", "mit", "bei", "im", "per"]
    /// Name what goes together with what is asked about.
    static let companions: Set<String> = ["with", "mit"]
    private static let articles: Set<String> = [
        "a", "an", "the", "ein", "eine", "einen", "einem", "einer", "der", "die", "das", "dem", "den",
    ]

    static func preposition(_ words: [Identifier], before index: Int) -> String? {
        var place = index - 1
        while place > 0, articles.contains(words[place].lower) { place -= 1 }
        return place > 0 && prepositions.contains(words[place].lower) ? words[place].lower : nil
    }

    /// A noun that ends a question, as far as one can see.
    static func isQualifier(_ word: Identifier, _ language: QuestionLanguage) -> Bool {
        (language == .german ? word.isCapitalized : language == .english) && word.lower.count >= 3 && !smallWords.contains(word.lower)
            && !QuestionAnalysis.isQuestionWord(word.lower) && !QuestionAnalysis.isMeasure(word.lower)
    }

    /// "Head of logistics" for "head of payroll".
    static func names(otherRoleThan values: [String], _ words: [Identifier]) -> Bool {
        words.indices.dropLast(2).contains { index in
            isSame(words[index].lower, values[1]) && words[index + 1].lower == "of" && !smallWords.contains(words[index + 2].lower)
                && !words[index + 2].isFirst
        }
    }

    /// Whether a text tells of several others in the place of a specific, each with a number: "140 EUR in Germany, 165 EUR in Denmark" for
    /// "in Sweden". One alone may be said in passing; several are a list, and what it lacks it does not tell of.
    ///
    /// - Parameter isNoun: Nouns have capitals in the question's language.
    static func lists(alternativesTo specific: Specific, _ text: SpecificText, isNoun: Bool) -> Bool {
        guard specific.preposition != nil else { return false }
        let words = text.words
        let isCapitalized = if case .name = specific.kind { true } else { isNoun }
        var found: [String: Set<String>] = [:]
        for (index, word) in words.enumerated() where prepositions.contains(word.lower) {
            var next = index + 1
            while next < words.count, articles.contains(words[next].lower) { next += 1 }
            guard next < words.count, words[next].kind == .word, !words[next].isFirst, !smallWords.contains(words[next].lower) else {
                continue
            }
            // Who writes "in the usa" may mean "in the United States".
            guard words[next].isCapitalized == isCapitalized,
                words[max(0, index - 4)..<index].contains(where: { $0.kind == .number })
                    || words[next...].dropFirst().prefix(4).contains(where: { $0.kind == .number })
            else { continue }
            found[word.lower, default: []].insert(words[next].lower)
        }
        return found.values.contains { $0.count > 1 }
    }
}
