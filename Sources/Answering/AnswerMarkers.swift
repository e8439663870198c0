/// Finds the citation markers of an answer, in the forms that models write: `[1]`, `[1, 2]`, `[source 2]`, `[^1]`, `[[1]]`, `【1】`, `【1†source】`,
/// `(1)`, `(source 1)`.
enum AnswerMarkers {
    /// - Returns: The text without markers, where each stood in it, and whether every one was a plain `[1]` of a known source.
    static func extract(_ answer: String, sourceCount: Int) -> (text: [UInt8], marks: [(offset: Int, marker: Int)], isPlain: Bool) {
        let scalars = Array(answer.unicodeScalars)
        var plain = ""
        var marks: [(offset: Int, marker: Int)] = []
        var isPlain = true
        var index = 0
        while index < scalars.count {
            guard let found = marker(scalars, index, sourceCount) else {
                plain.unicodeScalars.append(scalars[index])
                index += 1
                continue
            }
            for number in found.numbers { marks.append((plain.utf8.count, number)) }
            if !found.isPlain || !found.numbers.allSatisfy((1...max(1, sourceCount)).contains) { isPlain = false }
            // The space before a marker goes with it.
            if found.end >= scalars.count || ".,;:!?。！？ \n".unicodeScalars.contains(scalars[found.end]) {
                while plain.unicodeScalars.last == " ", found.end < scalars.count { plain.unicodeScalars.removeLast() }
            }
            index = found.end
        }
        return (Array(plain.utf8), marks, isPlain)
    }

    private static func marker(_ scalars: [Unicode.Scalar], _ start: Int, _ sourceCount: Int) -> (numbers: [Int], end: Int, isPlain: Bool)?
    {
        let close: Unicode.Scalar
        switch scalars[start] {
        case "[": close = "]"
        case "【": close = "】"
        case "［": close = "］"
        case "(": close = ")"
        case "（": close = "）"
        default: return nil
        }
        // [[1]]
        if scalars[start] == "[", start + 1 < scalars.count, scalars[start + 1] == "[", let inner = marker(scalars, start + 1, sourceCount),
            inner.end < scalars.count, scalars[inner.end] == "]"
        {
            return (inner.numbers, inner.end + 1, false)
        }
        guard let end = scalars[start...].prefix(40).firstIndex(of: close), end > start + 1 else { return nil }
        var inside = String(String.UnicodeScalarView(scalars[(start + 1)..<end])).lowercased()
        var hasWord = false
        // 【1†source】 and 【1†L3-L5】
        if let dagger = inside.firstIndex(of: "†") { inside = String(inside[..<dagger]) }
        while let first = inside.first, first == "^" || first == "#" || first == " " { inside.removeFirst() }
        for word in [
            "sources", "source", "src", "documents", "document", "doc", "passage", "reference", "ref", "quellen", "quelle", "fuente",
            "fonte", "bron",
        ]
        where inside.hasPrefix(word) {
            inside.removeFirst(word.count)
            hasWord = true
            break
        }
        var numbers: [Int] = []
        for part in inside.split(whereSeparator: { ",;: #^&-–".contains($0) }) {
            if part == "and" || part == "und" || hasWord && (part == "source" || part == "quelle") { continue }
            guard part.count <= 3, let number = Int(part), number >= 0 else { return nil }
            numbers.append(number)
        }
        guard !numbers.isEmpty else { return nil }
        let isRound = close == ")" || close == "）"
        if isRound, !hasWord {
            // A number in round brackets is a marker at a sentence's end only: "two (2) copies" and "(1) first" are text.
            guard numbers.allSatisfy((1...max(1, sourceCount)).contains),
                end + 1 == scalars.count || ".,;!?\n[(（【。".unicodeScalars.contains(scalars[end + 1])
                    || start > 0 && endsSentence(scalars, start)
            else { return nil }
            var before = start
            while before > 0, scalars[before - 1] == " " { before -= 1 }
            guard before > 0, scalars[before - 1] != "\n" else { return nil }
            var word = before
            while word > 0, scalars[word - 1].properties.isAlphabetic || scalars[word - 1] == "-" { word -= 1 }
            let last = String(String.UnicodeScalarView(scalars[word..<before]))
            // "thirty (30)"
            if Numbers.normalized(last) != last || last.lowercased() == "one" { return nil }
        }
        return (
            numbers, end + 1,
            !isRound && close == "]" && !hasWord && String(String.UnicodeScalarView(scalars[(start + 1)..<end])) == "\(numbers[0])"
        )
    }

    private static func endsSentence(_ scalars: [Unicode.Scalar], _ index: Int) -> Bool {
        var before = index
        while before > 0, scalars[before - 1] == " " { before -= 1 }
        return before > 0 && ".!?。！？".unicodeScalars.contains(scalars[before - 1])
    }
}
