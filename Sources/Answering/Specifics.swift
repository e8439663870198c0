// Which one of its kind does a question ask about?
//
// "How much does model X-300 weigh?" is no question about X-200, though a text on X-200 has all of its other words. What tells siblings apart is
// small: a code, a number, a letter, a name, a year, a season. A passage that lacks the question's one and has another of the same kind in its
// place speaks of a sibling, and what it says is not the answer.
//
//     question:  model X-300          the specific, and the word in front of it
//     sentence:  Model X-200 weighs   the same shape, another value: conflicting
//     sentence:  It weighs 14 kg      neither: the nearest mention before it decides, then headings, then the title
//     sentence:  X-300 weighs 20 kg   supported
//
// A specific that neither the text nor a sibling mentions decides nothing here: that is for the confidence model.

/// One thing of a question that tells which one of its kind is meant.
struct Specific: Sendable {
    enum Kind: Sendable, Equatable {
        /// A code such as `X-300`; its siblings have its prefix or its shape.
        case code
        /// A number behind a word, such as `room 12`; its siblings are numbers behind that word.
        case numbered(label: String)
        /// A letter behind a word, such as `pontoon G`.
        case lettered(label: String)
        case year
        /// A name of one or more words; `before` and `after` are the content words around it.
        case name(before: String?, after: String?)
        /// One of a closed set, such as a season; the index of the set.
        case member(set: Int)
        /// "Legal" of "legal department"; its siblings are other words before that one.
        case modifier(of: String)
        /// "Third", with the word behind it.
        case ordinal(Int, noun: String?)
        /// The noun at the end of "allowance for a bicycle"; its siblings stand behind the same kind of word.
        case qualifier
    }
    enum Status: Sendable {
        /// Another one of its kind stands in its place.
        case conflicting
        /// Another one may: decides only when nothing around says more.
        case doubtful
        case absent
        case supported
    }

    var kind: Kind
    /// Folded; for a name, its words.
    var values: [String]
    /// The word by which it hangs on what is asked: "in" of "in Sweden".
    var preposition: String?

    var isCompanion: Bool { preposition.map(Specifics.companions.contains) == true }

    /// A text need not say it: "Reception: 555-0142" is a phone number all the same.
    var isSoft: Bool {
        switch kind {
        case .modifier, .qualifier: true
        case .member: values.contains { ["phone", "fax", "email"].contains($0) }
        case .code, .numbered, .lettered, .year, .name, .ordinal: false
        }
    }
}

/// A text that is asked about specifics.
struct SpecificText: Sendable {
    let words: [Identifier]
    let lower: Set<String>
    let folded: Set<String>
    /// The words in every way in which their letters may be written.
    let spellings: Set<String>
    /// Months that stand as numbers in dates, from 1.
    let months: Set<Int>
    /// Runs of four digits inside of codes and dates.
    let years: Set<String>

    init(_ text: String) {
        let words = Identifiers.all(text)
        self.words = words
        lower = Set(
            words.indices.filter { index in
                // "May" is a month, "may" is not, and at a sentence's beginning the next word tells.
                words[index].lower != "may"
                    || words[index].isCapitalized && (!words[index].isFirst || index + 1 < words.count && words[index + 1].kind != .word)
            }.map { words[$0].lower })
        folded = Set(words.map(\.folded))
        spellings = lower.reduce(into: lower) { if !$1.utf8.allSatisfy({ $0 < 0x80 }) { $0.formUnion(Spelling.forms(of: $1)) } }
        months = Self.numericMonths(text)
        years = Set(
            words.filter { $0.kind != .word }.flatMap { word in
                word.text.split { !$0.isNumber }.filter { $0.count == 4 && ($0.hasPrefix("19") || $0.hasPrefix("20")) }.map(String.init)
            })
    }

    /// `2025-03-12`, `12.03.2025`, `03/2025`.
    private static func numericMonths(_ text: String) -> Set<Int> {
        var months: Set<Int> = []
        // Most sentences have no year beside such a mark, and the expression is costly.
        guard hasMarkedYear(text) else { return months }
        for match in text.matches(of: #/\b(?:(?:19|20)\d\d[-./](\d{1,2})(?:[-./]\d{1,2})?|(?:\d{1,2}[-./])?(\d{1,2})[-./](?:19|20)\d\d)\b/#)
        {
            if let month = (match.1 ?? match.2).flatMap({ Int($0) }), (1...12).contains(month) { months.insert(month) }
        }
        return months
    }

    /// Whether a year stands beside one of `-./`.
    private static func hasMarkedYear(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        func isDigit(_ place: Int) -> Bool { bytes.indices.contains(place) && (0x30...0x39).contains(bytes[place]) }
        func isMark(_ place: Int) -> Bool { bytes.indices.contains(place) && (0x2D...0x2F).contains(bytes[place]) }
        for place in bytes.indices.dropLast(3) {
            let century = (bytes[place], bytes[place + 1])
            guard century == (0x31, 0x39) || century == (0x32, 0x30), isDigit(place + 2), isDigit(place + 3) else { continue }
            if isMark(place - 1) || isMark(place + 4) { return true }
        }
        return false
    }
}

/// The specifics of a question.
struct Specifics: Sendable {
    let list: [Specific]
    /// Specifics of which one suffices: the sides of a comparison.
    private let isComparison: Bool
    private let questionWords: Set<String>
    private let language: QuestionLanguage

    var isEmpty: Bool { list.isEmpty }
    /// Whether something is named that goes together with what is asked about: each sentence must name it itself.
    var hasCompanion: Bool { list.contains(where: \.isCompanion) }
    /// Whether a text must say which one it means.
    var hasHard: Bool { list.contains { !$0.isSoft } }

    init(_ question: String, isComparison: Bool) {
        self.isComparison = isComparison
        language = QuestionLanguage(of: question)
        list = Self.read(question, language)
        questionWords = Set(Words.split(question).map(\.lower))
    }

    // MARK: - Reading a question

    private static func read(_ question: String, _ language: QuestionLanguage) -> [Specific] {
        let words = Identifiers.all(question)
        var result: [Specific] = []
        let inner = words.dropFirst().filter { $0.kind == .word }
        let isTitleCase = inner.count > 2 && inner.count(where: \.isCapitalized) * 10 > inner.count * 8
        var index = 0
        while index < words.count {
            let word = words[index]
            let before = index > 0 ? words[index - 1] : nil
            switch word.kind {
            case .code: result.append(Specific(kind: .code, values: [word.folded]))
            case .number:
                if isYear(word) {
                    if before.map({ !comparators.contains($0.lower) }) ?? true {
                        result.append(Specific(kind: .year, values: [word.folded]))
                    }
                } else if let before, before.kind == .word, word.isAdjacent, isLabel(before), !isMonth(before.lower) {
                    result.append(Specific(kind: .numbered(label: before.lower), values: [canonical(word.folded)]))
                }
            case .word:
                if let ordinal = ordinals[word.lower], index > 0 || words.count > 1 {
                    let noun = index + 1 < words.count && words[index + 1].kind == .word ? words[index + 1].lower : nil
                    // "A second" is time, "first" alone is "at first".
                    if let noun, !smallWords.contains(noun) {
                        result.append(Specific(kind: .ordinal(ordinal, noun: noun), values: ["\(ordinal)"]))
                    }
                } else if word.text.unicodeScalars.count == 1, word.isCapitalized, index > 0, word.text != "I", let before, isLabel(before),
                    word.isAdjacent
                {
                    result.append(Specific(kind: .lettered(label: before.lower), values: [word.lower]))
                } else if word.lower != "may" || word.isCapitalized && index > 0,
                    let set = sets.firstIndex(where: { $0.contains { $0.contains(word.lower) } }),
                    // "White House" is a name; months, seasons, days and the four winds have capitals of their own.
                    !word.isCapitalized || index == 0 || isTitleCase || language == .german || set < 3
                        || sets[set].contains(where: { $0.contains("north") }),
                    // "Ash Wednesday" and "Prague Spring" are names.
                    set > 2 || before.map({ $0.kind != .word || smallWords.contains($0.lower) || dayOpeners.contains($0.lower) }) ?? true
                {
                    result.append(Specific(kind: .member(set: set), values: sets[set].first { $0.contains(word.lower) }!.sorted()))
                } else if isName(words, index, language, isTitleCase) {
                    var end = index + 1
                    while end < words.count, words[end].kind == .word, words[end].isAdjacent,
                        words[end].isCapitalized || nameLinks.contains(words[end].lower),
                        words[end].text.unicodeScalars.count > 1
                    { end += 1 }
                    while end > index + 1, !words[end - 1].isCapitalized { end -= 1 }
                    let name = words[index..<end].map { possessiveless($0.lower) }
                    // The full stop of "Dr. Holm" parts the title from the name.
                    if !name.allSatisfy(isLinkOrTitle) {
                        result.append(
                            Specific(
                                kind: .name(before: content(words, before: index), after: content(words, after: end - 1)), values: name,
                                preposition: preposition(words, before: index)))
                    }
                    index = end - 1
                } else if index > 1, index + 1 == words.count, isQualifier(word, language), words[index - 1].lower == "of",
                    QuestionAnalysis.isRole(words[index - 2].lower)
                {
                    result.append(Specific(kind: .qualifier, values: [word.lower, words[index - 2].lower], preposition: "of"))
                } else if isQualifier(word, language), let preposition = preposition(words, before: index),
                    index + 1 == words.count && (language == .german || !["in", "at", "on"].contains(preposition))
                        || companions.contains(preposition)
                {
                    result.append(Specific(kind: .qualifier, values: [word.lower], preposition: preposition))
                } else if language == .english, index + 1 < words.count, isModifier(word), let head = head(words, index + 1) {
                    result.append(Specific(kind: .modifier(of: head), values: [word.lower]))
                }
            }
            index += 1
        }
        return result
    }

    static func isModifier(_ word: Identifier) -> Bool {
        word.lower.count >= 4 && !word.isCapitalized && !smallWords.contains(word.lower) && !QuestionAnalysis.isQuestionWord(word.lower)
            && !generalModifiers.contains(word.lower) && !comparators.contains(word.lower) && !QuestionAnalysis.isMeasure(word.lower)
            && !word.lower.hasSuffix("ly")
    }

    /// The noun that a modifier belongs to: the word behind it, when the phrase ends there.
    private static func head(_ words: [Identifier], _ index: Int) -> String? {
        let word = words[index]
        guard word.kind == .word, word.isAdjacent, word.lower.count >= 3, !smallWords.contains(word.lower),
            !QuestionAnalysis.isQuestionWord(word.lower),
            modifiable.contains(where: { isSame($0, word.lower) })
        else { return nil }
        return word.lower
    }

    private static func isName(_ words: [Identifier], _ index: Int, _ language: QuestionLanguage, _ isTitleCase: Bool) -> Bool {
        let word = words[index]
        guard word.isCapitalized, index > 0, !isTitleCase, word.text.unicodeScalars.count > 1, !smallWords.contains(word.lower),
            !QuestionAnalysis.isQuestionWord(word.lower), !isMonth(word.lower)
        else { return false }
        // German writes every noun with a capital: only what stands as a name does there counts as one.
        guard language == .german else { return true }
        let next = index + 1 < words.count ? words[index + 1] : nil
        let before = words[index - 1]
        if let next, next.isAdjacent, legalForms.contains(next.lower) { return true }
        // "Vera Holm": two nouns in a row are one name.
        if let next, next.isAdjacent, next.kind == .word, next.isCapitalized, next.text.unicodeScalars.count > 1 { return true }
        return germanNameOpeners.contains(before.lower) || legalForms.contains(word.lower)
    }

    private static func content(_ words: [Identifier], before index: Int) -> String? {
        for word in words[..<index].reversed().prefix(4) where word.kind == .word {
            // "Her deputy is Cy Muster" gives a value; "the deputy of Cy Muster" says whose.
            if copulas.contains(word.lower) { return nil }
            if !smallWords.contains(word.lower) { return QuestionAnalysis.isQuestionWord(word.lower) ? nil : word.lower }
        }
        return nil
    }

    private static func content(_ words: [Identifier], after index: Int) -> String? {
        // Directly behind: "Holm and lives" says nothing of Holm.
        guard index + 1 < words.count, words[index + 1].kind == .word, words[index + 1].isAdjacent,
            !smallWords.contains(words[index + 1].lower)
        else {
            return nil
        }
        return words[index + 1].lower
    }

    /// A word that a number or letter may belong to: a noun as far as one can see.
    static func isLabel(_ word: Identifier) -> Bool {
        !smallWords.contains(word.lower) && !QuestionAnalysis.isQuestionWord(word.lower) && !comparators.contains(word.lower)
            // "Aged 8" lies in "6 to 12".
            && !["age", "aged", "alter"].contains(word.lower)
    }

    static func isYear(_ word: Identifier) -> Bool {
        guard word.folded == word.text, word.folded.count == 4, let value = Int(word.folded) else { return false }
        return (1500...2199).contains(value)
    }

    private static func canonical(_ digits: String) -> String {
        let rest = digits.drop { $0 == "0" }
        return rest.isEmpty ? "0" : String(rest)
    }

    static func possessiveless(_ word: String) -> String {
        for end in ["'s", "’s"] where word.hasSuffix(end) { return String(word.dropLast(2)) }
        return word
    }

    // MARK: - Judging a text

    /// What a text says about the question's specifics as a whole: conflicting when it has a sibling of one, supported when it has all that
    /// anything is said about.
    ///
    /// - Parameter isRow: A row of a table or a line with a label: its first words tell what it is about.
    func statuses(in text: SpecificText, isRow: Bool = false) -> [Specific.Status] {
        var statuses = list.map { status($0, text, isRow) }
        if isComparison, statuses.contains(.supported) {
            // One side of a comparison is enough for a sentence.
            for index in statuses.indices where statuses[index] != .supported { statuses[index] = .absent }
        }
        return statuses
    }

    private func status(_ specific: Specific, _ text: SpecificText, _ isRow: Bool) -> Specific.Status {
        let words = text.words
        switch specific.kind {
        case .code:
            let code = specific.values[0]
            if text.folded.contains(code) || Self.joined(words, code) { return .supported }
            // "0418" of "2025-0418", and the other way round.
            if words.contains(where: {
                $0.kind != .word && $0.folded.count >= 3 && (code.hasSuffix($0.folded) || $0.folded.hasSuffix(code))
            }) {
                return .supported
            }
            let this = Identifier(text: code, kind: .code, isFirst: false, isAdjacent: false)
            if words.contains(where: { $0.kind != .word && Self.isSibling($0, of: this) }) { return .conflicting }
            return words.contains(where: \.isCode) ? .doubtful : .absent
        case .numbered(let label):
            let value = specific.values[0]
            var isSaid = false
            var sibling = Specific.Status.absent
            for (index, word) in words.enumerated() where word.kind != .word {
                let digits = Self.canonical(String(word.folded.unicodeScalars.drop { !Identifiers.isDigit($0) }))
                let belongs = Self.isSame(String(word.prefix), label) || Self.isBehind(label, words, index)
                if digits == value {
                    if belongs { return .supported }
                    // "Pier 3" is no bearing 3, and "3 kg" is none either.
                    if Self.isOwned(words, index) {
                        if isRow, index == 1 { sibling = .conflicting }
                        continue
                    }
                    // Alone in its cell, or behind "no." and the like.
                    let isNumbered =
                        index > 0 && (Self.numberWords.contains(words[index - 1].lower) || Self.listWords.contains(words[index - 1].lower))
                    if word.isCode || isRow && word.isFirst || isNumbered { isSaid = true }
                    continue
                }
                // "flight ZX 4471" for "flight 4472": digits alone, as many, and no count of something.
                let sameShape = value.count >= 3 && digits.count == value.count && !Self.isYear(word) && (word.isCode || isRow)
                if belongs { sibling = .conflicting } else if index > 0, sameShape, sibling == .absent { sibling = .doubtful }
            }
            // "Site 19 | 77" speaks of site 19, whatever else is 77 there.
            return isSaid && sibling != .conflicting ? .supported : sibling
        case .lettered(let label):
            var sibling = false
            for (index, word) in words.enumerated() {
                let isLetter = word.text.unicodeScalars.count == 1 && word.isCapitalized && word.kind == .word
                guard isLetter else { continue }
                let behind = index > 0 && Self.isSame(words[index - 1].lower, label) && word.isAdjacent
                // "A: No." answers "Q: ...?".
                let isCell = isRow && word.isFirst && word.text != "A" && word.text != "Q"
                if word.lower == specific.values[0], behind || isCell || index > 0 && word.text != "A" { return .supported }
                if behind || isCell { sibling = true }
            }
            return sibling ? .conflicting : .absent
        case .year:
            if text.folded.contains(specific.values[0]) || text.years.contains(specific.values[0]) { return .supported }
            if let told = Self.bound(Int(specific.values[0]) ?? 0, words) { return told }
            var sibling = false
            for (index, word) in words.enumerated() where Self.isYear(word) {
                let before = index > 0 && !word.isFirst ? words[index - 1].lower : ""
                if word.isFirst || Self.yearOpeners.contains(before) || Self.isMonth(before) || isRow { sibling = true }
            }
            return sibling ? .conflicting : .absent
        case .modifier(let head):
            let value = specific.values[0]
            let classes = Equivalents.classes(of: value)
            for word in words where Self.isSame(word.lower, value) || !classes.isDisjoint(with: Equivalents.classes(of: word.lower)) {
                return .supported
            }
            for (left, right) in zip(words, words.dropFirst()) where right.isAdjacent && Self.isSame(right.lower, head) {
                if left.kind == .word, !Self.smallWords.contains(left.lower), !Self.generalModifiers.contains(left.lower),
                    left.lower.count >= 3
                {
                    return .doubtful
                }
            }
            return .absent
        case .ordinal(let number, let noun):
            if words.contains(where: {
                Self.ordinals[$0.lower] == number || Self.ordinalDigits($0) == number || isRow && $0.folded == "\(number)"
            }) {
                return .supported
            }
            let sibling = words.indices.contains { index in
                guard (Self.ordinals[words[index].lower] ?? Self.ordinalDigits(words[index])).map({ $0 != number }) == true else {
                    return false
                }
                guard let noun else { return false }
                return words[(index + 1)...].prefix(2).contains { Self.isSame($0.lower, noun) } || isRow
            }
            return sibling ? .conflicting : .absent
        case .member(let set):
            let own = Set(specific.values)
            if !text.lower.isDisjoint(with: own) || own.contains(where: { !text.lower.isDisjoint(with: Self.periodNouns[$0] ?? []) }) {
                return .supported
            }
            if set == Self.monthSet, let month = Self.month(own), text.months.contains(month) { return .supported }
            // A compound such as "Sommertarif" or "Jahresgebühr".
            if own.contains(where: { value in value.count >= 5 && text.lower.contains { $0.contains(value) } }) { return .supported }
            let others = Self.sets[set].filter { $0.isDisjoint(with: own) }
            if others.contains(where: { !$0.isDisjoint(with: text.lower) }) { return .conflicting }
            return set == Self.monthSet && !text.months.isEmpty ? .conflicting : .absent
        case .name(let before, let after):
            let status = Self.nameStatus(specific.values, before, after, text, isRow, questionWords)
            return status == .absent && Self.lists(alternativesTo: specific, text, isNoun: language == .german) ? .conflicting : status
        case .qualifier:
            let value = specific.values[0]
            let classes = Equivalents.classes(of: value)
            func says(_ value: String, _ classes: Set<Int>) -> Bool {
                words.contains { Self.isSame($0.lower, value) || !classes.isDisjoint(with: Equivalents.classes(of: $0.lower)) }
            }
            // The payroll clerk is not the head of payroll.
            if says(value, classes), specific.values.dropFirst().allSatisfy({ says($0, Equivalents.classes(of: $0)) }) { return .supported }
            if specific.preposition == "of" { return Self.names(otherRoleThan: specific.values, words) ? .conflicting : .absent }
            return Self.lists(alternativesTo: specific, text, isNoun: language == .german) ? .conflicting : .absent
        }
    }

    private static func nameStatus(
        _ name: [String], _ before: String?, _ after: String?, _ text: SpecificText, _ isRow: Bool, _ questionWords: Set<String>
    ) -> Specific.Status {
        let parts = name.filter { !legalForms.contains($0) && !nameLinks.contains($0) && !titles.contains($0) }
        guard !parts.isEmpty else { return .absent }
        let present = parts.filter { part in
            Spelling.forms(of: part).contains { form in text.spellings.contains { isForm($0, of: form) } }
        }
        if present.count == parts.count { return .supported }
        let words = text.words
        let core = parts.map(Spelling.canonical)
        let shown = Set(present.map(Spelling.canonical))
        // Stretches of capitals: other names.
        var index = 0
        var hasSibling = false
        var isDoubtful = false
        var isPartOnly = !present.isEmpty
        while index < words.count {
            guard words[index].kind == .word, words[index].isCapitalized, !smallWords.contains(words[index].lower) else {
                index += 1
                continue
            }
            var end = index + 1
            while end < words.count, words[end].kind == .word, words[end].isAdjacent, !words[end].isFirst,
                words[end].isCapitalized || nameLinks.contains(words[end].lower) && end + 1 < words.count && words[end + 1].isCapitalized
            { end += 1 }
            let stretch = words[index..<end].map { Spelling.canonical(possessiveless($0.lower)) }
            let isOpening = words[index].isFirst
            defer { index = end }
            let own = Set(core)
            let inside = stretch.filter { !legalForms.contains($0) && !titles.contains($0) }
            if inside.isEmpty || Set(inside).isSubset(of: own) { continue }
            // The same first or last word, or the same form: "Borne Ltd" and "Arlen Ltd".
            let sharesForm = name.last.map { legalForms.contains($0) } == true && stretch.last.map { legalForms.contains($0) } == true
            let sharesTitle = name.first.map { titles.contains($0) } == true && stretch.first == name.first
            let sharesEnd = core.count > 1 && inside.count > 1 && (inside.last == core.last || inside.first == core.first)
            let isDisjoint = own.isDisjoint(with: inside)
            if (sharesForm || sharesTitle) && isDisjoint || sharesEnd && !own.isSubset(of: inside) { hasSibling = true }
            // Another name of two words, where nothing around speaks of the one.
            if isDisjoint, name.count > 1, inside.count > 1, !stretch.contains(where: { questionWords.contains($0) }) { isDoubtful = true }
            // The same place in the sentence.
            if isDisjoint {
                let foreBefore = content(words, before: index)
                let foreAfter = content(words, after: end - 1)
                let sameBefore = before != nil && foreBefore.map { isSame($0, before!) } == true && !words[index].isFirst
                let sameAfter = after != nil && foreAfter.map { isSame($0, after!) } == true && end < words.count && !words[end].isFirst
                if sameBefore || sameAfter { hasSibling = true }
                // A row's first words are a name like the one that is asked for; "Phone:" beside "Vera Holm" is a label.
                if isRow, isOpening, index == 0, inside.count >= core.count, questionWords.isDisjoint(with: stretch) { isDoubtful = true }
            }
            if inside.count < core.count, !isDisjoint { isPartOnly = true }
        }
        if hasSibling { return .conflicting }
        // "Obama" for "Barack Obama".
        if isPartOnly, let last = core.last, shown.contains(last) || shown.contains(core[0]) { return .supported }
        return isDoubtful ? .doubtful : .absent
    }

    /// Whether a number belongs to another word than the one that is asked with it: to a noun before it, or to a unit or a thing behind it.
    private static func isOwned(_ words: [Identifier], _ index: Int) -> Bool {
        guard words[index].kind == .number else { return false }
        if index > 0, words[index].isAdjacent, !words[index].isFirst {
            let before = words[index - 1]
            if before.kind == .word, isLabel(before), !listWords.contains(before.lower), !numberWords.contains(before.lower) { return true }
        }
        guard index + 1 < words.count else { return false }
        let next = words[index + 1]
        return next.isAdjacent && !next.isFirst && next.kind == .word && !smallWords.contains(next.lower) && !listWords.contains(next.lower)
    }

    /// Whether a number belongs to a label before it: "site 77", "site no. 77", the last one of "sites 75, 76 and 77".
    private static func isBehind(_ label: String, _ words: [Identifier], _ index: Int) -> Bool {
        var current = index
        var hasWordBetween = false
        while current > 0, index - current < 8 {
            let before = words[current - 1]
            if isSame(before.lower, label) || isSame(String(before.prefix), label) { return true }
            if before.kind == .word, !Equivalents.classes(of: before.lower).isDisjoint(with: Equivalents.classes(of: label)) { return true }
            if before.kind != .word {
                // Another number begins a list, unless this one begins a cell or a sentence, or is told of by a word.
                if words[current].isFirst || hasWordBetween { return false }
            } else if !listWords.contains(before.lower) {
                if hasWordBetween { return false }
                hasWordBetween = true
            }
            current -= 1
        }
        return false
    }

    /// What a row says by the names of its columns: "19 | 77" under "Site | Depth" speaks of site 19.
    ///
    /// - Returns: Nil where no column is named after the specific's label.
    func status(_ index: Int, row: String, header: String) -> Specific.Status? {
        guard case .numbered(let label) = list[index].kind else { return nil }
        let cells = TableTelling.cells(row)
        let names = TableTelling.cells(header).map { Words.split($0).map(\.lower).filter { !Self.numberWords.contains($0) } }
        var columns = names.indices.filter { $0 < cells.count && names[$0].contains { Self.isSame($0, label) } }
        // "Room" rather than "Number of rooms".
        let plain = columns.filter { names[$0].count == 1 }
        if !plain.isEmpty { columns = plain }
        var sibling: Specific.Status?
        for column in columns {
            let words = Identifiers.all(cells[column])
            for (place, word) in words.enumerated() where word.kind != .word {
                // "Shelf 3" in a column of racks is no rack 3.
                if Self.isOwned(words, place), !Self.isBehind(label, words, place) {
                    sibling = .conflicting
                    continue
                }
                let digits = Self.canonical(String(word.folded.unicodeScalars.drop { !Identifiers.isDigit($0) }))
                if digits == list[index].values[0] { return .supported }
                sibling = .conflicting
            }
        }
        return sibling
    }

    /// `X 300` for `x300`: neighbours that make the code together.
    private static func joined(_ words: [Identifier], _ code: String) -> Bool {
        let digits = code.drop { !$0.isNumber }
        let letters = code.prefix { !$0.isNumber }
        for (left, right) in zip(words, words.dropFirst()) where right.isAdjacent {
            if left.folded + right.folded == code { return true }
            // "PlayStation 3" for "PS3".
            if !letters.isEmpty, right.folded == digits, left.folded.first == letters.first, isSubsequence(letters, of: left.folded) {
                return true
            }
        }
        return false
    }

    private static func isSubsequence(_ letters: Substring, of word: String) -> Bool {
        var rest = letters
        for letter in word where letter == rest.first { rest.removeFirst() }
        return rest.isEmpty
    }

    private static func isSibling(_ word: Identifier, of code: Identifier) -> Bool {
        guard word.folded != code.folded else { return false }
        let prefix = code.prefix
        if !prefix.isEmpty { return word.prefix == prefix && word.isCode || word.isCode && word.shape == code.shape }
        return word.isCode && word.shape == code.shape
    }

    static func isLinkOrTitle(_ word: String) -> Bool { nameLinks.contains(word) || titles.contains(word) || legalForms.contains(word) }

    /// Forms of one word: the same beginning, as far as words of different length can have it.
    static func isSame(_ left: String, _ right: String) -> Bool {
        if left == right { return true }
        let common = zip(left, right).prefix { $0 == $1 }.count
        return common >= 4 && common >= min(left.count, right.count) - 1 && abs(left.count - right.count) <= 3
    }

    /// A name, with the endings that names take.
    static func isForm(_ word: String, of name: String) -> Bool {
        guard word.hasPrefix(name) else { return false }
        return ["", "s", "'s", "’s", "es", "n", "en", "ns"].contains(word.dropFirst(name.count))
    }

    private static func ordinalDigits(_ word: Identifier) -> Int? {
        let digits = word.lower.utf8.prefix { (0x30...0x39).contains($0) }
        guard (1...3).contains(digits.count) else { return nil }
        let rest = word.lower.dropFirst(digits.count)
        return ["st", "nd", "rd", "th", "er", "ère", "e", "º", "ª"].contains(rest) ? Int(word.lower.prefix(digits.count)) : nil
    }
}
