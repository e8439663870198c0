import Glibc
import Retrieval

/// How plainly a unit answers a question: it has the question's words, or words for the same, it adds something, and that has the form of an answer.
///
/// The fitted models weigh words by their rarity and compare passages with each other. In a collection of a few documents no word is rare and
/// nothing can be compared, yet "The warranty lasts 31 months." plainly answers "How long is the warranty?". This measure counts words alike. The
/// larger the collection, the more the models know, and the less this counts; but for lines with labels and rows, of which the models have seen few.
struct Directness {
    let analysis: QuestionAnalysis
    let sources: [Source]
    private let collection: String
    private let statistics: any TermStatistics
    /// By source: terms and classes of its title and headings.
    private let contexts: [(terms: Set<String>, classes: Set<Int>)]
    /// 1 in a collection of a few passages, 0 in one of some hundreds: how little rarity tells.
    let smallness: Float
    let questionTerms: [(term: String, classes: Set<Int>)]
    /// "Code" of "zip code": the term with that of the word before it.
    private let vagueTerms: [String: String]
    /// The term of what is asked for by its role.
    let askedHead: String?
    /// The question's terms that ask for the end of a range.
    private let superlatives: Set<String>

    init(_ analysis: QuestionAnalysis, sources: [Source], collection: String, statistics: any TermStatistics) {
        self.analysis = analysis
        self.sources = sources
        self.collection = collection
        self.statistics = statistics
        contexts = sources.map { source in
            let name = String(source.passage.source.split(separator: "/").last ?? "")
            let text =
                (source.passage.title ?? "") + "\n" + source.passage.heading + "\n"
                + name.replacing("_", with: " ").replacing("-", with: " ")
            return (Set(statistics.terms(of: text, in: collection)), Equivalents.classes(Words.split(text)))
        }
        // What no text has is as rare as can be, which tells how many passages there are.
        let passageCount = (exp(statistics.inverseDocumentFrequency(of: "\u{1}", in: collection)) - 1) * 0.5
        smallness = min(1, max(0, (300 - passageCount) / 150))
        let questionTerms: [(term: String, classes: Set<Int>)] = Self.terms(analysis, collection, statistics)
        self.questionTerms = questionTerms
        var vagueTerms: [String: String] = [:]
        let words = Words.split(analysis.question)
        for (word, head) in zip(words, words.dropFirst()) where Self.vagueHeads.contains(head.lower) {
            guard let of = statistics.terms(of: word.text, in: collection).first,
                let term = statistics.terms(of: head.text, in: collection).first, questionTerms.contains(where: { $0.term == of })
            else { continue }
            vagueTerms[term] = of
        }
        self.vagueTerms = vagueTerms
        superlatives = Set(
            words.filter { QuestionAnalysis.isSuperlative($0.lower) }.flatMap { statistics.terms(of: $0.text, in: collection) })
        askedHead = Self.askedHead(analysis.question) { statistics.terms(of: $0, in: collection) }
    }

    func terms(of text: String) -> [String] { statistics.terms(of: text, in: collection) }

    /// Whether a unit has a word of the question, by itself or by what stands before and above it.
    func concerns(_ unit: ScoredUnit) -> Bool { cover(unit).wide > 0 }

    /// What a label or a column leaves out: "Zip" for "zip code", "Phone" for "phone number".
    private static let vagueHeads: Set<String> = [
        "code", "number", "no", "id", "date", "name", "address", "amount", "time", "value", "figure", "nummer", "datum",
    ]

    /// The question's terms with the classes of the words that they come from.
    private static func terms(_ analysis: QuestionAnalysis, _ collection: String, _ statistics: any TermStatistics) -> [(String, Set<Int>)]
    {
        var classes: [String: Set<Int>] = [:]
        for word in Words.split(analysis.question) {
            for term in statistics.terms(of: word.text, in: collection) {
                classes[term, default: []].formUnion(Equivalents.classes(of: word.lower))
            }
        }
        // A text that has the form of a telephone number or an address need not call itself so.
        let formal: [String] =
            switch analysis.asked {
            case .phone?: ["phone", "telephone", "number", "telefonnummer", "telefon", "rufnummer"]
            case .email?: ["email", "e-mail", "mail", "e", "address", "adresse"]
            case .web?: ["website", "homepage", "url", "address"]
            case .clock?: ["time", "uhrzeit"]
            default: []
            }
        let idle = Set(
            (formal + Self.idleWords).flatMap {
                statistics.terms(of: $0, in: collection)
            })
        let terms = analysis.terms.filter { !idle.contains($0.text) }
        // A question of such words alone is about them.
        return (terms.isEmpty && formal.isEmpty ? analysis.terms : terms).map { ($0.text, classes[$0.text] ?? []) }
    }

    /// Words of a question that a text that answers it need not have.
    private static let idleWords = [
        "per", "pro", "je", "each", "type", "kind", "name", "please", "bitte", "period", "amount", "value", "other", "one", "ones", "else",
        "another",
        "exactly", "currently", "according", "document", "text", "say", "says", "state", "states", "dauer", "höhe", "genau", "laut",
        "lautet", "gibt",
        "may", "configured", "set", "listed", "used", "uses", "verwendet", "eingestellt", "heißt", "heisst", "steht", "beträgt", "durée",
        "duración", "durata", "duração", "montant",
    ]

    /// Whether a unit has nothing that the question does not have: a title, a label without its value.
    static func isRepetition(_ unit: ScoredUnit, _ source: Source, _ analysis: QuestionAnalysis) -> Bool {
        if isEmpty(source.text(source.units[unit.unit])) { return true }
        if analysis.isYesNo { return false }
        let asked = Set(analysis.terms.map(\.text))
        let question = Set(Words.split(analysis.question).map(\.lower))
        var text = source.text(source.units[unit.unit])
        var isCut = false
        // "Name: Zoe Holm" says nothing new to who asks about Zoe Holm.
        if source.units[unit.unit].kind == .item, let value = text.split(separator: ":", maxSplits: 1).dropFirst().first, value.count > 1 {
            let label = Words.split(text).first?.lower ?? ""
            isCut = !question.contains(label)
            if isCut { text = String(value) }
        }
        guard isCut || unit.terms.isSubset(of: asked) else { return false }
        return Words.split(text).allSatisfy { question.contains($0.lower) || small.contains($0.lower) } && !text.contains("@")
    }

    /// A label without a value, or a question: neither answers one.
    private static func isEmpty(_ text: String) -> Bool {
        guard let last = text.unicodeScalars.last(where: { !"\"'”’»)]_*".unicodeScalars.contains($0) && !$0.properties.isWhitespace })
        else { return true }
        return ":：?？؟".unicodeScalars.contains(last)
    }

    private static let small: Set<String> = [
        "the", "a", "an", "of", "in", "on", "at", "to", "for", "is", "are", "was", "were", "and", "or", "it", "this", "that", "der", "die",
        "das", "ein",
        "eine", "ist", "sind", "und", "le", "la", "les", "est", "el", "los", "es",
    ]

    private struct Cover {
        var own: Float
        var wide: Float
        var anchorsHeld: Bool
    }

    /// - Parameter ignored: Terms that need not be there: the other side of a comparison.
    private func cover(_ unit: ScoredUnit, ignoring ignored: Set<String> = []) -> Cover {
        let source = sources[unit.source]
        let this = source.units[unit.unit]
        var text = source.text(this)
        if let context = this.context { text += "\n" + source.text(context) }
        let ownTerms = unit.terms.union(statistics.terms(of: text, in: collection))
        var ownClasses = Equivalents.classes(Words.split(text))
        // A list of places has a winner.
        let winner = Equivalents.classes(of: "winner")
        if !winner.isDisjoint(with: analysis.classes), text.contains(#/\b1\.\s[^\n]*\b2\.\s/#) { ownClasses.formUnion(winner) }
        var wideTerms = ownTerms.union(contexts[unit.source].terms)
        var wideClasses = ownClasses.union(contexts[unit.source].classes)
        // The sentence before and the heading above.
        var foundNear = false
        for before in source.units[..<unit.unit].indices.reversed().prefix(12) {
            let other = source.units[before]
            // Above a table or a list it is the line that leads to it.
            // Lines with labels are one record.
            let isRecord = this.kind == .item && this.context == nil && other.block == this.block
            let isNear =
                isRecord
                || !foundNear && (this.kind == .sentence || other.block != this.block)
                    && (before == unit.unit - 1 || this.kind != .sentence) && other.kind != .row
            if isNear, !isRecord { foundNear = true }
            guard isNear || other.kind == .heading else { continue }
            let near = source.text(other)
            wideTerms.formUnion(statistics.terms(of: near, in: collection))
            wideClasses.formUnion(Equivalents.classes(Words.split(near)))
            if other.kind == .heading { break }
        }
        // "−20 °C to +45 °C" has a lowest and a highest value.
        let isRange = analysis.isSuperlative && text.contains(#/\d[^.;\n\d]{0,8}(?:to|bis|[-–—])[^.;\n\d]{0,4}\d/#)
        let terms = questionTerms.filter { !ignored.contains($0.term) && !(isRange && superlatives.contains($0.term)) }
        // German writes every noun with a capital, and another language has another word for it.
        let anchors = analysis.language == .german ? [] : analysis.anchors.subtracting(ignored)
        // Whom a text is about is often said once, before or above; a sentence has to say the rest.
        let isAbout = unit.isSpecific && analysis.specifics.list.contains { !$0.isSoft }
        let anchorsHeld = isAbout || anchors.isSubset(of: wideTerms)
        let rest = anchorsHeld ? terms.filter { !anchors.contains($0.term) } : terms
        func share(_ terms: [(term: String, classes: Set<Int>)], _ present: Set<String>, _ classes: Set<Int>) -> Float {
            func has(_ term: (term: String, classes: Set<Int>)) -> Bool {
                present.contains(term.term) || !term.classes.isDisjoint(with: classes)
            }
            return terms.isEmpty
                ? 1
                : Float(
                    terms.count { term in
                        has(term)
                            || this.kind != .sentence
                                && vagueTerms[term.term].map { of in questionTerms.contains { $0.term == of && has($0) } } == true
                    }) / Float(terms.count)
        }
        return Cover(
            own: rest.isEmpty ? share(terms, ownTerms, ownClasses) : share(rest, ownTerms, ownClasses),
            wide: isAbout ? share(rest, wideTerms, wideClasses) : share(terms, wideTerms, wideClasses), anchorsHeld: anchorsHeld)
    }

    /// Whether what is asked stands neither in the unit nor in its source.
    func lacksMatter(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        let isAbout = unit.isSpecific && analysis.specifics.list.contains { !$0.isSoft }
        // "Her deputy is Cy Muster" names him and says nothing of where he lives.
        let kind = source.units[unit.unit].kind
        if isAbout {
            let cover = cover(unit)
            // A line or row is read under its heading.
            if cover.own == 0, kind == .sentence || cover.wide == 0 { return true }
        }
        // Where words are pairs of characters, many of a question's pairs are chance.
        if analysis.language.isUnsegmented { return false }
        // Stemmers and lists know other languages less well.
        let missing = missingShare(unit.source)
        let limit: Float = analysis.language == .english ? 0.32 : analysis.language == .german ? 0.5 : 0.51
        return missing >= limit && !(isAbout && analysis.holdsAsked(source.text(source.units[unit.unit])) == true)
    }

    /// Share of the question's terms that a whole source has no word for; words that name a kind of thing do not count.
    private func missingShare(_ source: Int) -> Float {
        let words = Words.split(sources[source].passage.text)
        let present = contexts[source].terms.union(statistics.terms(of: sources[source].passage.text, in: collection))
        let classes = contexts[source].classes.union(Equivalents.classes(words))
        let lower = Set(words.map(\.lower))
        let terms = questionTerms.filter { !Self.kinds.contains($0.term) }
        guard !terms.isEmpty else { return 0 }
        let missing = terms.count { term in
            !present.contains(term.term) && term.classes.isDisjoint(with: classes)
                // Other forms, and compounds.
                && !(term.term.count >= 4
                    && lower.contains {
                        $0.hasPrefix(term.term.dropLast(term.term.count > 5 ? 1 : 0)) || term.term.count >= 5 && $0.contains(term.term)
                    })
        }
        return Float(missing) / Float(terms.count)
    }

    /// Stems and words of what a question says without a text having to.
    private static let kinds: Set<String> = [
        "period", "number", "name", "kind", "type", "amount", "date", "time", "day", "year", "person", "people", "peopl", "place", "thing",
        "way", "used", "use", "us",
        "exact", "current", "total", "long", "much", "go", "get", "have", "belong", "take", "happen", "call", "mean", "work", "many",
        "list", "detail", "nummer",
        "art", "zeit", "datum", "ort", "höhe", "dauer", "anzahl", "hoch", "lang", "per", "pro", "most", "main", "price", "pric", "cost",
        "word", "term", "reason",
    ]

    func value(_ unit: ScoredUnit) -> Float {
        let kind = sources[unit.source].units[unit.unit].kind
        let isAlwaysPlain = kind == .row || kind == .item || analysis.asked == .email || analysis.asked == .phone
        // In a large collection most units need not be read for this.
        guard isAlwaysPlain || smallness > 0 else { return 0 }
        var value = value(unit, cover(unit))
        if value < 0.5, isCellAsked(unit) { value = 0.5 }
        if value < 0.5, definesAsked(unit) { value = 0.5 }
        // Every row has its header's words: which row is meant, something of its own must tell.
        if value > 0.3, !isChosen(unit) { value = 0.3 }
        // Every row of a table has its header's words; the one that is asked for has some of its own.
        if value > 0, kind == .row {
            let row = Set(statistics.terms(of: sources[unit.source].text(sources[unit.source].units[unit.unit].range), in: collection))
            if questionTerms.contains(where: { row.contains($0.term) }) { value += 0.05 }
        }
        return isAlwaysPlain ? value : value * smallness
    }

    /// Whether a line's label, or a key, is among the question's words.
    private func isLabelAsked(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        guard source.units[unit.unit].kind == .item else { return false }
        let parts = source.text(source.units[unit.unit]).split(separator: ":", maxSplits: 1)
        let label = Set(terms(of: String(parts[0])))
        return parts.count == 2 && !label.isEmpty && label.isSubset(of: questionTerms.map(\.term))
    }

    /// Whether a row has a word of the question, or is the only one of its table.
    private func isChosen(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        let this = source.units[unit.unit]
        guard this.kind == .row, this.context != nil, !analysis.isSuperlative,
            source.units.count(where: { $0.block == this.block && $0.kind == .row && $0.context != nil }) > 1
        else { return true }
        let text = source.text(this.range)
        let own = Set(terms(of: text))
        let classes = Equivalents.classes(Words.split(text))
        return questionTerms.contains { own.contains($0.term) || !$0.classes.isDisjoint(with: classes) }
    }

    /// Whether a unit says who or what has the role that is asked for, in a source that speaks of what it is the role of.
    private func definesAsked(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        let text = source.text(source.units[unit.unit])
        guard let head = askedHead, unit.isSpecific, analysis.holdsAsked(text) != false,
            Self.defines(head, text, { statistics.terms(of: $0, in: collection) })
        else { return false }
        return missingShare(unit.source) == 0
    }

    /// Whether a question names a row and a column of a table, so that a cell is what it asks for: "What did Port-150 catch in 2023?".
    ///
    /// A word of it may be one that nobody writes into a table, such as the verb; never what it asks for first, such as the salary of "What is the
    /// salary of Vera in the legal department?".
    private func isCellAsked(_ unit: ScoredUnit) -> Bool {
        let source = sources[unit.source]
        let this = source.units[unit.unit]
        guard this.kind == .row, let header = this.context, unit.isSpecific, !analysis.isSuperlative, let first = analysis.terms.first
        else {
            return false
        }
        let names = TableTelling.cells(source.text(header))
        let cells = TableTelling.cells(source.text(this.range))
        func hits(_ text: String) -> Set<String> {
            let terms = Set(statistics.terms(of: text, in: collection))
            let classes = Equivalents.classes(Words.split(text))
            return Set(questionTerms.filter { terms.contains($0.term) || !$0.classes.isDisjoint(with: classes) }.map(\.term))
        }
        let rowHits = cells.map(hits)
        // The asked cell adds something: "Department" over "Legal" only says again what "legal department" says.
        let columnHits = zip(names, cells.indices).dropFirst().filter { rowHits[$0.1].isEmpty && !cells[$0.1].isEmpty }.map { hits($0.0) }
        let inRow = rowHits.reduce(into: Set<String>()) { $0.formUnion($1) }
        let inColumns = columnHits.reduce(into: Set<String>()) { $0.formUnion($1) }.subtracting(inRow)
        guard !inRow.isEmpty, !inColumns.isEmpty else { return false }
        let around = contexts[unit.source]
        let missing = questionTerms.filter {
            !inRow.contains($0.term) && !inColumns.contains($0.term) && !around.terms.contains($0.term)
                && $0.classes.isDisjoint(with: around.classes) && vagueTerms[$0.term] == nil && !Self.counted.contains($0.term)
        }
        return missing.count <= 1 && missing.allSatisfy { $0.term != first.text && !analysis.anchors.contains($0.term) }
    }

    /// Stems of what a table counts without saying so.
    private static let counted: Set<String> = ["people", "peopl", "person", "number", "total", "anzahl", "leut", "personen"]

    private func value(_ unit: ScoredUnit, _ cover: Cover) -> Float {
        guard cover.anchorsHeld, unit.isSpecific || analysis.specifics.list.count > 1 && !analysis.specifics.hasCompanion
        else { return 0 }
        let source = sources[unit.source]
        var text = source.text(source.units[unit.unit])
        if source.units[unit.unit].kind == .row, let header = source.units[unit.unit].context { text += "\n" + source.text(header) }
        var form = analysis.holdsAsked(text)
        // "Office: 5.01" is an office, whatever offices are called.
        if form == false, analysis.asked == nil, isLabelAsked(unit) { form = nil }
        // "040 555 0142" is a telephone number without the word.
        let isFormal = form == true && [.phone, .email, .web, .clock].contains(analysis.asked)
        guard form != false, cover.own > 0 || isFormal else { return 0 }
        let cosine = unit.vector.isEmpty ? 0 : unit.features[UnitModel.cosineIndex]
        let hasForm = form == true
        if cover.wide >= 0.99 {
            if cover.own >= 0.99 { return hasForm ? 0.7 : 0.6 }
            if cover.own >= 0.4 || isFormal { return hasForm ? 0.65 : 0.5 }
            return hasForm ? 0.5 : 0.3
        }
        if cover.wide >= 0.74 { return hasForm ? 0.5 : cosine >= 0.6 ? 0.45 : 0.3 }
        if cover.wide >= 0.6 { return hasForm && cosine >= 0.4 ? 0.45 : 0.2 }
        if cover.wide >= 0.45, hasForm, cosine >= 0.7 { return 0.44 }
        return 0
    }

    /// The best unit that is about one side of a comparison; nil when none is.
    func best(side: Set<String>, others: [Set<String>], _ units: [ScoredUnit]) -> ScoredUnit? {
        let ignored = Set(
            statistics.terms(
                of: others.filter { $0 != side }.flatMap(\.self).filter { !side.contains($0) }.joined(separator: " "), in: collection)
        ).union(statistics.terms(of: Comparison.words.joined(separator: " "), in: collection))
        let sideTerms = Set(statistics.terms(of: side.joined(separator: " "), in: collection))
        var best: ScoredUnit?
        for var unit in units {
            let source = sources[unit.source]
            let text = source.text(source.units[unit.unit])
            // What the unit itself names goes before what its document is called.
            let named = unit.terms.union(statistics.terms(of: text, in: collection)).union(contexts[unit.source].terms)
            guard sideTerms.isSubset(of: named) else { continue }
            let cover = cover(unit, ignoring: ignored)
            guard cover.own > 0, cover.anchorsHeld else { continue }
            let hasNumber = !Numbers.all(text).isEmpty
            unit.directness = cover.wide >= 0.99 ? hasNumber ? 0.65 : 0.5 : cover.wide >= 0.6 ? hasNumber ? 0.5 : 0.3 : 0
            if unit.directness + 0.1 * unit.score > (best.map { $0.directness + 0.1 * $0.score } ?? 0.29) { best = unit }
        }
        return best
    }
}
