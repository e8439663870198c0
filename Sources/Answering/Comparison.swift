/// Reads what a question compares: "Who pays more, Borne Ltd or Arlen Ltd?", "the difference between X-200 and X-300".
enum Comparison {
    private static let between: Set<String> = ["between", "zwischen", "entre", "tra", "tussen", "mellan", "mellem"]
    private static let or: Set<String> = ["or", "oder", "ou", "o", "of", "eller", "vs", "versus", "gegenüber"]
    private static let and: Set<String> = ["and", "und", "et", "y", "e", "en", "och", "og"]
    private static let than: Set<String> = ["than", "als", "que"]
    private static let comparatives: Set<String> = [
        "more", "less", "fewer", "higher", "lower", "longer", "shorter", "larger", "smaller", "bigger", "cheaper", "older", "newer",
        "younger",
        "earlier", "later", "faster", "slower", "heavier", "lighter", "better", "worse", "difference", "differ", "compare", "compared",
        "both", "same",
        "mehr", "weniger", "höher", "höhere", "höheren", "niedriger", "niedrigere", "länger", "kürzer", "größer", "kleiner", "teurer",
        "billiger",
        "günstiger", "älter", "jünger", "früher", "später", "schneller", "langsamer", "schwerer", "leichter", "besser", "unterschied",
        "vergleiche",
        "beide", "más", "menos", "mayor", "menor", "plus", "moins", "différence", "diferencia",
    ]
    static let superlatives: Set<String> = [
        "highest", "lowest", "longest", "shortest", "largest", "smallest", "biggest", "cheapest", "oldest", "newest", "youngest",
        "earliest", "latest",
        "fastest", "slowest", "heaviest", "lightest", "most", "least", "best", "worst", "maximum", "minimum", "höchste", "höchsten",
        "höchster",
        "niedrigste", "niedrigsten", "längste", "längsten", "kürzeste", "größte", "größten", "kleinste", "kleinsten", "teuerste",
        "billigste",
        "älteste", "jüngste", "meisten", "wenigsten", "größter",
    ]

    /// Words that ask for a comparison; a sentence about one side has none of them.
    static let words: [String] = Array(comparatives) + Array(superlatives)

    /// The lower-case words of each side, two of them at least; empty when the question names no two things.
    static func sides(_ question: String) -> [Set<String>] {
        let words = Identifiers.all(question)
        let lower = words.map(\.lower)
        let compares = lower.contains { comparatives.contains($0) || superlatives.contains($0) } || lower.contains(where: between.contains)
        for (index, word) in lower.enumerated() where index > 0 && index + 1 < words.count {
            let isOr = or.contains(word) && word != "of" && word != "o" && word != "en"
            let joins = isOr || compares && (and.contains(word) || than.contains(word))
            guard joins else { continue }
            let left = name(words, endingAt: index - 1)
            var right = name(words, startingAt: index + 1)
            // "than of Arlen Ltd", "or the X-300".
            if right.isEmpty, index + 2 < words.count { right = name(words, startingAt: index + 2) }
            if !left.isEmpty, !right.isEmpty, left != right { return [left, right] }
            // "Does Borne Ltd pay more than Arlen Ltd?"
            if than.contains(word), !right.isEmpty, let other = firstName(words, before: index), other != right { return [other, right] }
        }
        return []
    }

    /// A side as the question writes it.
    static func name(of side: Set<String>, in question: String) -> String {
        var seen: Set<String> = []
        return Identifiers.all(question).filter { side.contains($0.lower) && seen.insert($0.lower).inserted }.map(\.text).joined(
            separator: " ")
    }

    private static func isName(_ word: Identifier) -> Bool { word.kind != .word || word.isCapitalized }

    private static func name(_ words: [Identifier], endingAt end: Int) -> Set<String> {
        var start = end + 1
        // The first word of a question is written with a capital anyway.
        while start > 0, isName(words[start - 1]), start - 1 > 0 || start == end + 1 { start -= 1 }
        return Set(words[start..<max(start, end + 1)].filter { !QuestionAnalysis.isQuestionWord($0.lower) }.map(\.lower))
    }

    private static func name(_ words: [Identifier], startingAt start: Int) -> Set<String> {
        var end = start
        while end < words.count, isName(words[end]) { end += 1 }
        return Set(words[start..<end].map(\.lower))
    }

    private static func firstName(_ words: [Identifier], before limit: Int) -> Set<String>? {
        guard let end = words[..<limit].indices.dropFirst().last(where: { isName(words[$0]) }) else { return nil }
        let side = name(words, endingAt: end)
        return side.isEmpty ? nil : side
    }
}
