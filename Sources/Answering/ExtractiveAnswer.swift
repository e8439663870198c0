import Retrieval

/// The answer that needs no language model: the units that answer best, quoted word for word.
///
/// One to three units are picked by maximal marginal relevance (Carbonell and Goldstein, 1998: relevance minus similarity to what is picked
/// already), then put in reading order. A unit that begins with a pronoun brings the sentence before it, so that the reader knows who "he" is.
struct ExtractiveAnswer: Sendable {
    /// A quoted stretch: one unit, or neighbours of one source.
    struct Quote: Sendable {
        var source: Int
        var range: Range<Int>
        /// Rows, items and code stand on lines of their own.
        var isBlock: Bool
        /// What the quote is about, where a comparison needs it and the quote does not say it.
        var label: String?
    }

    var quotes: [Quote]

    struct Limits: Sendable {
        var unitCount = 3
        var size = 900
        /// A further unit needs this share of the best one's score.
        var scoreShare: Float = 0.35
        /// Cosine from which two units say the same.
        var similarityMax: Float = 0.9
    }

    /// Empty when there is nothing to quote.
    init(_ evidence: Evidence, limits: Limits = Limits()) {
        guard let best = evidence.units.first else {
            quotes = []
            return
        }
        // A comparison is a sentence of each side.
        var picked = evidence.sides.isEmpty ? [best] : evidence.sides
        var size = picked.reduce(0) { $0 + Self.size($1, evidence) }
        let bestUnit = evidence.sources[best.source].units[best.unit]
        for candidate in evidence.units.dropFirst().prefix(24) where evidence.sides.isEmpty {
            guard picked.count < limits.unitCount, candidate.rank >= best.rank * limits.scoreShare else { break }
            let unit = evidence.sources[candidate.source].units[candidate.unit]
            // Beside a sentence that is about just what is asked, others that are not are noise; so is what a newer text has overtaken.
            if !evidence.analysis.specifics.isEmpty, best.isSpecific, !candidate.isSpecific || best.isNamed && !candidate.isNamed {
                continue
            }
            if unit.isQuoted, !bestUnit.isQuoted { continue }
            // Of one table, the row that is asked for.
            if unit.kind == .row, bestUnit.kind == .row, candidate.source == best.source, unit.block == bestUnit.block,
                best.directness >= 0.5, candidate.directness < best.directness
            {
                continue
            }
            // What another document says beside a plain answer must be as plain.
            if best.directness >= 0.5, candidate.source != best.source, candidate.directness < best.directness { continue }
            // Beside a plain answer, only others as plain.
            if best.directness >= 0.6, candidate.directness < 0.2 { continue }
            if best.directness >= 0.5, candidate.directness < best.directness - 0.1, candidate.score < best.score * 0.8 { continue }
            let candidateSize = Self.size(candidate, evidence)
            guard size + candidateSize <= limits.size, !picked.contains(where: { Self.saysTheSame($0, candidate, limits.similarityMax) })
            else { continue }
            picked.append(candidate)
            size += candidateSize
        }
        var chosen: Set<Position> = []
        for unit in picked {
            chosen.insert(Position(source: unit.source, unit: unit.unit))
            let source = evidence.sources[unit.source]
            let before = unit.unit - 1
            if before >= 0, chosen.count <= limits.unitCount, source.units[unit.unit].kind == .sentence,
                source.units[before].kind == .sentence,
                source.units[before].block == source.units[unit.unit].block,
                Self.opensWithPronoun(source.text(source.units[unit.unit].range)),
                size + source.units[before].range.count <= limits.size
            {
                chosen.insert(Position(source: unit.source, unit: before))
                size += source.units[before].range.count
            }
            // A list is told with the line that opens it. A row brings its header by itself, in words.
            if let context = source.units[unit.unit].context, source.units[unit.unit].kind == .item,
                let index = source.units.firstIndex(where: { $0.range == context }), !source.text(context).hasSuffix("?")
            {
                chosen.insert(Position(source: unit.source, unit: index))
                // "Who attended?": where the opening line is what was asked about, all of the list is the answer.
                let opening = Set(evidence.analysis.terms.map(\.text)).intersection(Words.split(source.text(context)).map(\.lower))
                let items = source.units.indices.filter { source.units[$0].context == context }
                let length = items.reduce(0) { $0 + source.units[$1].range.count }
                if !opening.isEmpty || !Equivalents.classes(Words.split(source.text(context))).isDisjoint(with: evidence.analysis.classes),
                    items.count <= 20, length <= limits.size
                {
                    for item in items { chosen.insert(Position(source: unit.source, unit: item)) }
                }
            }
        }

        // The best unit's source first, then as the units were picked; inside a source as in the text.
        var order: [Int] = []
        for unit in picked where !order.contains(unit.source) { order.append(unit.source) }
        var quotes: [Quote] = []
        for index in order {
            let source = evidence.sources[index]
            let units = chosen.filter { $0.source == index }.map(\.unit).sorted()
            var previous: Int?
            for unit in units {
                let this = source.units[unit]
                let isBlock = this.kind != .sentence
                if let before = previous, before == unit - 1, source.units[before].block == this.block,
                    source.units[before].kind == this.kind
                {
                    quotes[quotes.count - 1].range = quotes[quotes.count - 1].range.lowerBound..<this.range.upperBound
                } else {
                    quotes.append(Quote(source: index, range: this.range, isBlock: isBlock))
                }
                previous = unit
            }
        }
        // "Brightwater Shipping: Rate: 410": each side of a comparison is called by its name.
        for (side, unit) in zip(evidence.analysis.alternatives, evidence.sides) {
            guard
                let index = quotes.firstIndex(where: {
                    $0.source == unit.source && $0.range.overlaps(evidence.sources[unit.source].units[unit.unit].range)
                })
            else { continue }
            let said = Set(Words.split(evidence.sources[unit.source].text(quotes[index].range)).map(\.lower))
            if !side.isSubset(of: said) { quotes[index].label = Comparison.name(of: side, in: evidence.analysis.question) }
        }
        self.quotes = quotes
    }

    private struct Position: Hashable {
        var source: Int
        var unit: Int
    }

    /// The answer in pieces, one for each quote, with its marker.
    ///
    /// - Parameter question: Which columns of a table it asks for.
    func pieces(_ sources: [Source], question: QuestionAnalysis? = nil) -> [String] {
        quotes.enumerated().map { index, quote in
            let told = sources[quote.source].told(quote.range, question: question)
            let text = quote.label.map { "\($0): \(told)" } ?? told
            let separator = index == 0 ? "" : quote.isBlock || quotes[index - 1].isBlock ? "\n" : " "
            // A marker inside of a code block would be part of the code.
            let end = text.hasSuffix("```") || text.hasSuffix("~~~") ? "\n" : " "
            return separator + text + end + "[\(sources[quote.source].marker)]"
        }
    }

    private static func size(_ unit: ScoredUnit, _ evidence: Evidence) -> Int { evidence.sources[unit.source].units[unit.unit].range.count }

    private static func saysTheSame(_ left: ScoredUnit, _ right: ScoredUnit, _ similarityMax: Float) -> Bool {
        if !left.vector.isEmpty, !right.vector.isEmpty, left.source != right.source, Evidence.dot(left.vector, right.vector) > similarityMax
        {
            return true
        }
        let shared = left.terms.intersection(right.terms).count
        return Float(shared) >= 0.7 * Float(left.terms.union(right.terms).count)
    }

    static func opensWithPronoun(_ text: String) -> Bool {
        guard let first = Words.split(String(text.prefix(40))).first?.lower else { return false }
        return [
            "he", "she", "it", "they", "this", "these", "those", "his", "her", "its", "their", "such", "er", "sie", "es", "dies", "diese",
            "dieser", "él", "ella", "ellos", "esto",
        ]
        .contains(first)
    }
}
