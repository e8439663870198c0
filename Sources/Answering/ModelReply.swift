// What a model was asked for in a step of a plan, and what its reply is worth.
//
// A reply is never trusted: it may be an answer, a remark, a list with numbers and quotes, words of a chat template, nonsense, or what a passage told the
// model to say. It is cleaned of its dress, bounded, and compared with what it should be about. What is left is searched for, within the
// collection that the question may see, and is no part of an answer.

import Retrieval

enum ModelReply {
    /// Of a reply no more is looked at.
    static let sizeMax = 8 << 10
    /// Bytes of a query at most.
    static let querySizeMax = 600
    /// Bytes of a passage at most.
    static let passageSizeMax = 2000

    /// The lines of a reply without list marks, labels, emphasis, quotation marks and lead-ins, each once.
    static func lines(_ reply: String) -> [String] {
        var lines: [String] = []
        var seen: Set<String> = []
        for line in Self.list(in: bounded(reply, to: sizeMax)) {
            let text = undressed(line)
            guard text.utf8.count >= 3, !text.hasSuffix(":"), !text.hasSuffix("："), hasWord(text), seen.insert(text.lowercased()).inserted
            else {
                continue
            }
            lines.append(text)
        }
        return lines
    }

    /// The first lines that are queries about the matter, at most so many; empty when none is.
    ///
    /// - Parameter about: Stemmed terms of the question, and of passages where a query may name what they name.
    static func queries(
        _ reply: String, countMax: Int, about: Set<String>, collection: String, statistics: any TermStatistics
    ) -> [String] {
        let good = lines(reply).lazy.filter { line in
            line.utf8.count <= querySizeMax && isAbout(about, line, collection, statistics)
        }
        return Array(good.prefix(countMax))
    }

    /// A reply as one passage; nil when it is none, or about something else.
    static func passage(_ reply: String, about: Set<String>, collection: String, statistics: any TermStatistics) -> String? {
        let text = bounded(lines(reply).joined(separator: " "), to: passageSizeMax)
        let terms = Set(statistics.terms(of: text, in: collection))
        // A passage brings words of its own; that is what it is for.
        return text.isEmpty || terms.isEmpty || !about.isEmpty && about.isDisjoint(with: terms) ? nil : text
    }

    /// Whether a reply says that nothing is missing.
    static func saysEnough(_ reply: String) -> Bool {
        let words = Words.split(lines(reply).first ?? bounded(reply, to: 80)).map(\.lower)
        return words.first == "enough" || words.count <= 3 && ["none", "nothing", "sufficient"].contains(words.first ?? "")
    }

    /// The terms of a query, for telling whether it was searched already.
    static func key(_ query: String, collection: String, statistics: any TermStatistics) -> Set<String> {
        let terms = Set(statistics.terms(of: query, in: collection))
        return terms.isEmpty ? Set(Words.split(query).map(\.lower)) : terms
    }

    /// A third of a query's terms must be known: what is asked for next may have a name of its own, but it is about something.
    private static func isAbout(_ known: Set<String>, _ text: String, _ collection: String, _ statistics: any TermStatistics) -> Bool {
        let content = Words.split(text).filter { !QuestionAnalysis.isQuestionWord($0.lower) }.map(\.text).joined(separator: " ")
        let terms = Set(statistics.terms(of: content, in: collection))
        return !terms.isEmpty && (known.isEmpty || terms.count(where: known.contains) * 3 >= terms.count)
    }

    private static func hasWord(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0.properties.isAlphabetic || $0.properties.numericType != nil }
    }

    /// The lines, or the strings of a list that was written as JSON.
    private static func list(in reply: String) -> [String] {
        let text = reply.replacing(/```\w*/, with: "")
        let begins = text.first { !$0.isWhitespace }
        if begins == "[" || begins == "{" {
            // What a colon follows is a key.
            let strings = text.matches(of: /"((?:[^"\\]|\\.)*)"(\s*:)?/).filter { $0.2 == nil }.map {
                String($0.1).replacing("\\\"", with: "\"").replacing("\\n", with: " ")
            }
            if !strings.isEmpty { return strings }
        }
        return text.split(whereSeparator: \.isNewline).map(String.init)
    }

    /// A line without its dress.
    private static func undressed(_ line: String) -> String {
        let template = #/<\|[^|>]{0,40}\|>|</?s>|<(?:start|end)_of_turn>/#
        var text = Prompt.neutralized(line.replacing(template, with: " ")).replacing("**", with: "").replacing("__", with: "").replacing(
            "`", with: "")
        text = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let marks = #/^(?:#+ |[-*+•–>] |\(?[0-9]{1,2}[.):] |\(?[a-z][.)] )+/#
        let label =
            #/(?i)^(?:sub-?questions?|follow-?up(?: question| query)?|search(?: query| question)?|rewritten question|last question|question|query|passage|q|frage|teilfrage|pregunta)(?: ?[0-9]{1,2})? ?[:：] ?/#
        // Marks and labels come in either order: "1. Question: ...", "Question 1: ...".
        for _ in 0..<3 {
            text.trimPrefix(marks)
            text.trimPrefix(label)
        }
        // Words in double quotes must stand together in what a search finds; that is for people to ask.
        text.removeAll { "\"“”„«»「」".contains($0) }
        text = String(text.drop { " '‘’".contains($0) })
        while let last = text.last, " '‘’,".contains(last) { text.removeLast() }
        return text
    }

    /// The beginning of a text, cut between characters and, where there is one, at a space.
    static func bounded(_ text: String, to size: Int) -> String {
        guard text.utf8.count > size else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: size)
        while end > text.startIndex, end.samePosition(in: text) == nil { end = text.utf8.index(before: end) }
        let cut = text[..<end]
        guard let space = cut.lastIndex(of: " "), cut.utf8.distance(from: cut.startIndex, to: space) * 2 > size else { return String(cut) }
        return String(cut[..<space])
    }
}
