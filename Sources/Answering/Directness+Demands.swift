// What an answer cannot do without, whatever its words: the thing that was named, a value of the kind that was asked for, and a cell that is not
// empty. The fitted models cannot tell these, for a text that lacks them may have every other word of the question.

import Retrieval

extension Directness {
    // MARK: - The value

    /// The highest confidence that the units allow when none has a value of the form that is asked for; nil when one has, or no form is asked for.
    ///
    /// "Quay D has no crane." is all about quay D and does not say how long it is.
    func limitByForm(_ units: [ScoredUnit]) -> Float? {
        let isFormal = [.phone, .email, .web].contains(analysis.asked)
        let isMeasure = [.duration, .length, .weight].contains(analysis.asked) || analysis.asked == nil && analysis.expected == .number
        guard isFormal || isMeasure && (analysis.specifics.hasHard || smallness > 0.5) else { return nil }
        let about = analysis.specifics.hasHard ? units.filter(\.isSpecific) : units
        guard !about.isEmpty else { return nil }
        let isHeld = about.contains { unit in
            let source = sources[unit.source]
            let this = source.units[unit.unit]
            var text = source.text(this)
            // A column's name may give the measure of its cells.
            if analysis.asked != nil, this.kind == .row, let header = this.context {
                text = TableTelling.tell(row: text, header: source.text(header), question: nil)
            }
            guard analysis.holdsAsked(text) == true || !isFormal && Self.saysNone(text, analysis) else { return false }
            return isFormal || concerns(unit)
        }
        return isHeld ? nil : 0.2
    }

    /// "How many cranes are there?" may be answered by "none".
    private static func saysNone(_ text: String, _ analysis: QuestionAnalysis) -> Bool {
        let none: Set<String> = ["no", "none", "single", "kein", "keine", "keinen"]
        let asks = Words.split(analysis.question).contains { ["many", "viele"].contains($0.lower) }
        return asks && Words.split(text).contains { none.contains($0.lower) }
    }

    // MARK: - The cell

    /// The question's terms that a text has, by themselves or by a word of the same meaning.
    private func hits(_ text: String) -> Set<String> {
        let terms = terms(of: text)
        let classes = Equivalents.classes(Words.split(text))
        return Set(questionTerms.filter { terms.contains($0.term) || !$0.classes.isDisjoint(with: classes) }.map(\.term))
    }

    /// Whether a unit is where the answer would stand, and nothing stands there: an empty cell, a label or a key without a value.
    func lacksValue(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        let this = source.units[unit.unit]
        guard unit.isSpecific else { return false }
        guard this.kind == .row, let header = this.context else {
            let text = source.text(this)
            guard this.kind == .item, let colon = text.firstIndex(of: ":"), Self.isBlank(text[colon...].dropFirst()) else { return false }
            return !hits(String(text[..<colon])).isEmpty
        }
        let names = TableTelling.cells(source.text(header))
        let cells = TableTelling.cells(source.text(this.range))
        guard cells.count < names.count || cells.contains(where: Self.isBlank) else { return false }
        let inRow = cells.map(hits).reduce(into: Set<String>()) { $0.formUnion($1) }
        guard !inRow.isEmpty else { return false }
        let counts = names.map { hits($0).subtracting(inRow).count }
        guard let most = counts.dropFirst().max(), most > 0 else { return false }
        let asked = counts.indices.dropFirst().filter { counts[$0] == most }
        return asked.allSatisfy { $0 >= cells.count || Self.isBlank(cells[$0]) }
    }

    /// Whether an entry of JSON has no word of the question but the name of the object that it is in, which all of the object's entries have.
    func isNameAlone(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        let this = source.units[unit.unit]
        guard !this.names.isEmpty else { return false }
        let named = hits(this.names.joined(separator: " "))
        return named.count < questionTerms.count && hits(source.text(this)).isSubset(of: named)
    }

    private static func isBlank(_ cell: some StringProtocol) -> Bool {
        let rest = cell.lowercased().filter { !$0.isWhitespace }
        return ["", "-", "–", "—", "n/a", "null", "?", "k.a."].contains(rest)
    }

    // MARK: - The thing

    /// The specific of which the sources say nothing, though the question names it: a code, a number behind a word, a name. Nil when there is none.
    ///
    /// - Parameters:
    ///   - best: The unit that an answer would quote.
    ///   - isTold: Whether a unit is about the specific of an index.
    ///   - isSiblingTold: Whether a unit tells of another one of its kind.
    func missingSpecific(_ best: ScoredUnit?, isTold: (Int) -> Bool, isSiblingTold: (Int) -> Bool) -> Int? {
        // In a large collection "song 3" and "ww2" have siblings somewhere, and rarity tells what is missing.
        func isSiblingInPlace(_ index: Int) -> Bool { smallness > 0.5 && isSiblingTold(index) }
        return analysis.specifics.list.indices.first { index in
            let specific = analysis.specifics.list[index]
            switch specific.kind {
            case .code, .numbered, .lettered: return isSiblingInPlace(index) && !isTold(index)
            case .name: return !isTold(index) && (isSiblingInPlace(index) || isUnknown(specific, best))
            case .qualifier where specific.preposition == "of": return isSiblingInPlace(index) && !isTold(index)
            // "May it be taken with X?" is answered by nothing that does not speak of X.
            case .qualifier:
                return analysis.isYesNo && Specifics.companions.contains(specific.preposition ?? "") && !isTold(index)
                    && isUnknown(specific, best)
            case .year, .member, .modifier, .ordinal: return false
            }
        }
    }

    /// Whether no source has a form of a name or noun. Says nothing where another language may have another word for it, or where it is an abbreviation.
    private func isUnknown(_ specific: Specific, _ best: ScoredUnit?) -> Bool {
        // German writes all nouns like names; a short one is more often part of a compound.
        let countMin = analysis.language == .german && specific.kind != .qualifier ? 6 : 4
        guard analysis.language == .english || analysis.language == .german, specific.values.contains(where: { $0.count >= countMin }),
            !analysis.question.contains(specific.values.map { $0.uppercased() }.joined(separator: " "))
        else { return false }
        let stems = specific.values.filter { $0.count > 3 && !Specifics.isLinkOrTitle($0) }.flatMap { Spelling.forms(of: $0) }
            .map { String($0.prefix(max(4, $0.count - 2))) }
        guard !stems.isEmpty, let best,
            QuestionLanguage(of: String(sources[best.source].passage.text.prefix(600))) == analysis.language
        else { return false }
        return sources.allSatisfy { source in
            let passage = source.passage
            let text = Spelling.canonical(
                (passage.text + "\n" + passage.heading + "\n" + (passage.title ?? "") + "\n" + passage.source).lowercased())
            return !stems.contains { text.contains($0) || text.contains(Spelling.canonical($0)) }
        }
    }

    // MARK: - The role

    /// What "Who is the supplier of the load cells?" asks for: the term of "supplier". Nil for questions of another form, and when it is all that is
    /// asked.
    static func askedHead(_ question: String, _ terms: (String) -> [String]) -> String? {
        let words = Words.split(question)
        guard words.count > 4, askers.contains(words[0].lower), copulas.contains(words[1].lower),
            let link = words.indices.dropFirst(3).first(where: { links.contains(words[$0].lower) }), link <= 7, link + 1 < words.count
        else { return nil }
        return terms(words[link - 1].text).first
    }

    /// Whether the source of a unit has no word for the role that is asked for, and the unit is not about just what is asked either.
    func lacksHead(_ unit: ScoredUnit) -> Bool {
        guard let head = askedHead, !unit.isSpecific, let asked = questionTerms.first(where: { $0.term == head }) else { return false }
        let text = sources[unit.source].passage.text
        return !terms(of: text).contains(head) && Equivalents.classes(Words.split(text)).isDisjoint(with: asked.classes)
    }

    private static let askers: Set<String> = ["who", "what", "wer", "was"]
    private static let copulas: Set<String> = ["is", "are", "was", "were", "ist", "sind", "war", "waren"]
    private static let links: Set<String> = ["of", "for", "von", "des", "der", "für"]

    /// Whether a text says what a head is: "The supplier is Nordby", "Supplier: Nordby".
    static func defines(_ head: String, _ text: String, _ terms: (String) -> [String]) -> Bool {
        let words = Words.split(text)
        guard let place = words.prefix(8).firstIndex(where: { terms($0.text).contains(head) }), place + 1 < words.count else {
            return false
        }
        return copulas.contains(words[place + 1].lower) || place <= 1 && text.drop { $0 != ":" }.count > 1
    }
}
