/// Tells rows of tables in words: `Munich | 145` under `City | Limit (EUR)` is "City: Munich; Limit (EUR): 145".
enum TableTelling {
    /// The cells of a row, in Markdown's form or parted by tabs.
    static func cells(_ row: String) -> [String] {
        let isTabbed = row.contains("\t") && !row.contains("|")
        var text = Substring(row)
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        // Bars at both ends are Markdown's frame; a bar at the beginning alone comes after an empty cell.
        if !isTabbed, text.last == "|" {
            text.removeLast()
            if text.first == "|" { text.removeFirst() }
        }
        return text.split(separator: isTabbed ? "\t" : "|", omittingEmptySubsequences: false).map { cell in
            cell.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }
    }

    /// One row, with the names of its columns where the header has them.
    ///
    /// - Parameter question: Where it names some of the columns, only those are told, beside the first.
    static func tell(row: String, header: String?, question: QuestionAnalysis?) -> String {
        let cells = cells(row)
        guard let header else { return plain(cells) }
        let names = Self.cells(header)
        // A row lacks its last cells where they are empty.
        guard names.count >= cells.count, names != cells else { return plain(cells) }
        var columns = Array(cells.indices)
        if let question {
            let words = Set(Words.split(question.question).map(\.lower)).subtracting(small)
            var said: [Int: Set<String>] = [:]
            for index in cells.indices.dropFirst() {
                let name = Words.split(names[index])
                let own = words.intersection(name.map(\.lower))
                let classes = Equivalents.classes(name).intersection(question.classes)
                if !own.isEmpty || !classes.isEmpty { said[index] = own.union(classes.map(String.init)) }
            }
            // "Summer first" rather than "Summer last", where both are named by a part.
            let asked = said.keys.filter { index in !said.values.contains { $0.isStrictSuperset(of: said[index]!) } }.sorted()
            // A name that every column has tells none of them apart.
            // "When is it due, and how much is it?" asks for more than it names.
            let wantsMore =
                Words.split(question.question).count {
                    Self.askers.contains($0.lower) && ($0.lower != "was" || question.language == .german)
                } > 1
            if !asked.isEmpty, asked.count < cells.count - 1, !wantsMore {
                // The cells by which the row was meant: "South | Anchor".
                let keys = cells.indices.dropFirst().filter { index in
                    Words.split(cells[index]).contains { words.contains($0.lower) || words.contains($0.lower + "s") }
                }
                columns = Set([0] + keys + asked).sorted()
            }
        }
        return columns.filter { !cells[$0].isEmpty }.map { names[$0].isEmpty ? cells[$0] : "\(names[$0]): \(cells[$0])" }.joined(
            separator: "; ")
    }

    private static func plain(_ cells: [String]) -> String {
        let full = cells.filter { !$0.isEmpty }
        guard full.count > 1 else { return full.first ?? "" }
        return full[0] + (full[0].hasSuffix(":") ? " " : ": ") + full.dropFirst().joined(separator: ", ")
    }

    private static let askers: Set<String> = [
        "what", "when", "who", "where", "which", "how", "was", "wann", "wer", "wo", "welche", "welcher", "welches", "wie",
    ]
    private static let small: Set<String> = [
        "the", "a", "of", "in", "on", "per", "for", "is", "and", "der", "die", "das", "pro", "von", "in", "what", "how",
    ]
}

extension Source {
    /// A quoted range as an answer shows it: text as it stands, rows of a table and entries of JSON in words.
    func told(_ range: Range<Int>, question: QuestionAnalysis?) -> String {
        let inside = units.filter { $0.range.lowerBound >= range.lowerBound && $0.range.upperBound <= range.upperBound }
        let entries = inside.compactMap { unit in unit.path.map { JSONUnits.tell($0, entry: text(unit.range)) } }
        if !entries.isEmpty { return entries.joined(separator: "\n") }
        let rows = inside.filter { $0.kind == .row }
        guard !rows.isEmpty else { return text(range) }
        return rows.map { TableTelling.tell(row: text($0.range), header: $0.context.map(text), question: question) }.joined(separator: "\n")
    }
}
