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

    /// A text need not say it: "Reception: 555-0142" is a phone number all the same.
    var isSoft: Bool {
        switch kind {
        case .modifier: true
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
        months = Self.numericMonths(text)
        years = Set(
            words.filter { $0.kind != .word }.flatMap { word in
                word.text.split { !$0.isNumber }.filter { $0.count == 4 && ($0.hasPrefix("19") || $0.hasPrefix("20")) }.map(String.init)
            })
    }

    /// `2025-03-12`, `12.03.2025`, `03/2025`.
    private static func numericMonths(_ text: String) -> Set<Int> {
        var months: Set<Int> = []
        for match in text.matches(of: #/\b(?:(?:19|20)\d\d[-./](\d{1,2})(?:[-./]\d{1,2})?|(?:\d{1,2}[-./])?(\d{1,2})[-./](?:19|20)\d\d)\b/#)
        {
            if let month = (match.1 ?? match.2).flatMap({ Int($0) }), (1...12).contains(month) { months.insert(month) }
        }
        return months
    }
}

/// The specifics of a question.
struct Specifics: Sendable {
    let list: [Specific]
    /// Specifics of which one suffices: the sides of a comparison.
    private let isComparison: Bool
    private let questionWords: Set<String>

    var isEmpty: Bool { list.isEmpty }

    init(_ question: String, isComparison: Bool) {
        self.isComparison = isComparison
        list = Self.read(question)
        questionWords = Set(Words.split(question).map(\.lower))
    }

    // MARK: - Reading a question

    private static func read(_ question: String) -> [Specific] {
        let words = Identifiers.all(question)
        let language = QuestionLanguage(of: question)
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
                    result.append(
                        Specific(
                            kind: .name(before: content(words, before: index), after: content(words, after: end - 1)), values: name))
                    index = end - 1
                } else if language == .english, index + 1 < words.count, isModifier(word), let head = head(words, index + 1) {
                    result.append(Specific(kind: .modifier(of: head), values: [word.lower]))
                }
            }
            index += 1
        }
        return result
    }

    private static func isModifier(_ word: Identifier) -> Bool {
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
    private static func isLabel(_ word: Identifier) -> Bool {
        !smallWords.contains(word.lower) && !QuestionAnalysis.isQuestionWord(word.lower) && !comparators.contains(word.lower)
    }

    private static func isYear(_ word: Identifier) -> Bool {
        guard word.folded == word.text, word.folded.count == 4, let value = Int(word.folded) else { return false }
        return (1500...2199).contains(value)
    }

    private static func canonical(_ digits: String) -> String {
        let rest = digits.drop { $0 == "0" }
        return rest.isEmpty ? "0" : String(rest)
    }

    private static func possessiveless(_ word: String) -> String {
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
                    isSaid = true
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
            return Self.nameStatus(specific.values, before, after, text, isRow, questionWords)
        }
    }

    private static func nameStatus(
        _ name: [String], _ before: String?, _ after: String?, _ text: SpecificText, _ isRow: Bool, _ questionWords: Set<String>
    ) -> Specific.Status {
        let core = name.filter { !legalForms.contains($0) && !nameLinks.contains($0) && !titles.contains($0) }
        guard !core.isEmpty else { return .absent }
        let present = core.filter { part in text.lower.contains { isForm($0, of: part) } }
        if present.count == core.count { return .supported }
        let words = text.words
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
            let stretch = words[index..<end].map { possessiveless($0.lower) }
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
        if isPartOnly, let last = core.last, present.contains(last) || present.contains(core[0]) { return .supported }
        return isDoubtful ? .doubtful : .absent
    }

    /// Whether a number belongs to a label before it: "site 77", "site no. 77", the last one of "sites 75, 76 and 77".
    private static func isBehind(_ label: String, _ words: [Identifier], _ index: Int) -> Bool {
        var current = index
        var hasWordBetween = false
        while current > 0, index - current < 8 {
            let before = words[current - 1]
            if isSame(before.lower, label) || isSame(String(before.prefix), label) { return true }
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
            for word in Identifiers.all(cells[column]) where word.kind != .word {
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

    /// Forms of one word: the same beginning, as far as words of different length can have it.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        if left == right { return true }
        let common = zip(left, right).prefix { $0 == $1 }.count
        return common >= 4 && common >= min(left.count, right.count) - 1 && abs(left.count - right.count) <= 3
    }

    /// A name, with the endings that names take.
    private static func isForm(_ word: String, of name: String) -> Bool {
        guard word.hasPrefix(name) else { return false }
        return ["", "s", "'s", "’s", "es", "n", "en", "ns"].contains(word.dropFirst(name.count))
    }

    private static func ordinalDigits(_ word: Identifier) -> Int? {
        guard let match = word.lower.wholeMatch(of: #/(\d{1,3})(?:st|nd|rd|th|er|ère|e|º|ª)/#) else { return nil }
        return Int(match.1)
    }

    // MARK: - Word lists

    private static func isMonth(_ word: String) -> Bool { sets[monthSet].contains { $0.contains(word) } }

    private static func month(_ values: Set<String>) -> Int? { sets[monthSet].firstIndex { !$0.isDisjoint(with: values) }.map { $0 + 1 } }

    private static let monthSet = 0

    /// Closed sets; a member is all of its words.
    private static let sets: [[Set<String>]] = [
        [
            ["january", "januar", "janvier", "enero"], ["february", "februar", "février", "febrero"], ["march", "märz", "mars", "marzo"],
            ["april", "avril", "abril"], ["mai", "mayo", "may"], ["june", "juni", "juin", "junio"], ["july", "juli", "juillet", "julio"],
            ["august", "août", "agosto"], ["september", "septembre", "septiembre"], ["october", "oktober", "octobre", "octubre"],
            ["november", "novembre", "noviembre"], ["december", "dezember", "décembre", "diciembre"],
        ],
        [
            ["spring", "frühling", "frühjahr", "printemps", "primavera"], ["summer", "sommer", "été", "verano"],
            ["autumn", "herbst", "automne", "otoño"], ["winter", "hiver", "invierno"],
        ],
        [
            ["monday", "mondays", "montag", "montags", "lundi", "lunes"],
            ["tuesday", "tuesdays", "dienstag", "dienstags", "mardi", "martes"],
            ["wednesday", "wednesdays", "mittwoch", "mittwochs", "mercredi", "miércoles"],
            ["thursday", "thursdays", "donnerstag", "donnerstags", "jeudi", "jueves"],
            ["friday", "fridays", "freitag", "freitags", "vendredi", "viernes"],
            ["saturday", "saturdays", "samstag", "samstags", "sonnabend", "samedi", "sábado"],
            ["sunday", "sundays", "sonntag", "sonntags", "dimanche", "domingo"],
        ],
        [
            ["daily", "täglich", "tägliche", "täglichen"], ["weekly", "wöchentlich", "wöchentliche", "wöchentlichen"],
            ["monthly", "monatlich", "monatliche", "monatlichen", "mensuel", "mensual"],
            ["quarterly", "vierteljährlich", "vierteljährliche"],
            ["yearly", "annual", "annually", "jährlich", "jährliche", "jährlichen", "annuel", "anual"],
        ],
        [
            ["senior", "leitender", "leitende"], ["junior"], ["trainee", "apprentice", "auszubildende", "lehrling"],
            ["intern", "praktikant"],
        ],
        [
            ["adult", "adults", "erwachsene", "erwachsener"], ["child", "children", "kinder", "kind"],
            ["student", "students", "studenten", "schüler"], ["pensioner", "pensioners", "rentner"],
        ],
        [
            ["red", "rote", "roten", "rot", "roter", "rotes"], ["blue", "blaue", "blauen", "blau", "blauer", "blaues"],
            ["green", "grüne", "grünen", "grün", "grüner", "grünes"], ["yellow", "gelbe", "gelben", "gelb", "gelber", "gelbes"],
            ["black", "schwarze", "schwarzen", "schwarz"], ["white", "weiße", "weißen", "weiß"], ["orange"],
            ["grey", "gray", "graue", "grauen", "grau"],
            ["brown", "braune", "braunen", "braun"], ["purple", "violet", "lila"],
        ],
        [
            ["north", "northern", "nord", "nördliche", "nördlichen"], ["south", "southern", "süd", "südliche", "südlichen"],
            ["east", "eastern", "ost", "östliche", "östlichen"], ["west", "western", "westliche", "westlichen"],
        ],
        [["morning", "morgens", "vormittags"], ["afternoon", "nachmittags"], ["evening", "abends"], ["night", "nachts"]],
        [["weekday", "weekdays", "werktags", "wochentags"], ["weekend", "weekends", "wochenende", "wochenenden"]],
        [["upper", "obere", "oberen"], ["lower", "untere", "unteren"]],
        [["minimum", "mindestens"], ["maximum", "höchstens"]],
        [["gross", "brutto"], ["net", "netto"]],
        [["import", "imports", "einfuhr"], ["export", "exports", "ausfuhr"]],
        [["indoor", "indoors"], ["outdoor", "outdoors"]],
        [["domestic", "inland"], ["international", "foreign", "ausland"]],
        [["petrol", "gasoline", "benzin"], ["diesel"], ["electric", "elektrisch", "elektro"]],
        [["basic"], ["premium"], ["professional"], ["enterprise"]],
        [["single", "einzelzimmer"], ["double", "doppelzimmer"], ["triple", "dreibettzimmer"]],
        [["incoming", "inbound", "eingehend", "eingehende"], ["outgoing", "outbound", "ausgehend", "ausgehende"]],
        [["arrival", "arrivals", "ankunft"], ["departure", "departures", "abfahrt", "abflug"]],
        [
            ["phone", "telephone", "tel", "telefon", "telefonnummer", "rufnummer", "mobile", "handy", "téléphone", "teléfono"],
            ["fax", "telefax", "faxnummer"], ["email", "mail", "e-mail", "emailadresse", "correo", "courriel"],
        ],
        [["breakfast", "frühstück"], ["lunch", "mittagessen"], ["dinner", "abendessen"]],
    ]

    /// "Per month" for "monthly".
    private static let periodNouns: [String: Set<String>] = [
        "daily": ["day", "tag"], "weekly": ["week", "woche"], "monthly": ["month", "monat", "months"], "quarterly": ["quarter", "quartal"],
        "yearly": ["year", "jahr", "annum"],
    ]

    private static let ordinals: [String: Int] = [
        "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
        "erste": 1,
        "ersten": 1, "erster": 1, "zweite": 2, "zweiten": 2, "zweiter": 2, "dritte": 3, "dritten": 3, "dritter": 3, "vierte": 4,
        "vierten": 4,
        "fünfte": 5, "fünften": 5, "premier": 1, "première": 1, "deuxième": 2, "troisième": 3, "primero": 1, "primera": 1, "segunda": 2,
        "tercero": 3, "tercera": 3,
    ]

    /// Between them and a year the year is a bound, not the year that is asked about.
    private static let comparators: Set<String> = [
        "after", "before", "since", "until", "till", "by", "from", "to", "between", "and", "than", "nach", "vor", "seit", "bis", "ab",
        "zwischen", "und",
        "après", "avant", "depuis", "desde", "hasta", "antes", "después", "over", "under", "above", "below", "about", "least", "most",
    ]
    private static let yearOpeners: Set<String> = [
        "in", "during", "for", "of", "year", "im", "jahr", "für", "en", "du", "année", "año", "del", "nel", "anno", "season", "fiscal",
        "fy", "report",
        "budget", "bericht", "edition", "version", "model",
    ]
    private static let legalForms: Set<String> = [
        "ltd", "limited", "inc", "llc", "llp", "plc", "corp", "corporation", "company", "co", "gmbh", "ag", "kg", "ohg", "ug", "se", "sa",
        "sarl", "srl",
        "bv", "nv", "ab", "as", "aps", "oy", "group", "holding",
    ]
    private static let titles: Set<String> = [
        "mr", "mrs", "ms", "miss", "dr", "prof", "professor", "herr", "frau", "madame", "monsieur", "señor", "señora", "captain",
        "president", "sir",
        "lake", "mount", "port", "fort", "lady", "saint", "st", "street", "the",
    ]
    private static let nameLinks: Set<String> = [
        "of", "the", "de", "von", "van", "der", "den", "la", "le", "du", "di", "da", "and", "&", "zu", "y",
    ]
    private static let germanNameOpeners: Set<String> = ["herr", "frau", "herrn", "firma", "dr", "prof", "in", "aus", "nach"]
    /// Nouns of which there are several, told apart by the word before them.
    private static let modifiable: Set<String> = [
        "department", "team", "tank", "bin", "room", "office", "door", "gate", "key", "number", "address", "fee", "rate", "period", "date",
        "deadline",
        "insurance", "policy", "contract", "account", "plan", "line", "pump", "valve", "engine", "pier", "dock", "hall", "station", "form",
        "card", "code",
        "password", "server", "printer", "committee", "council", "manager", "officer", "director", "engineer", "price", "discount",
        "allowance", "limit",
        "tax", "license", "licence", "permit", "version", "edition", "model", "meeting", "course", "exam", "class", "ticket", "route",
        "lane", "floor",
    ]
    /// Say how much or which of one, and not which kind.
    private static let generalModifiers: Set<String> = [
        "total", "current", "new", "old", "exact", "main", "full", "official", "average", "normal", "usual", "actual", "same", "other",
        "next", "last",
        "previous", "first", "final", "whole", "entire", "different", "certain", "possible", "good", "best", "real", "right", "correct",
        "required",
        "allowed", "given", "general", "overall", "common", "standard", "many", "much", "more", "most", "several", "some", "each", "every",
        "this", "that",
        "what", "which", "contact", "local", "own", "correct", "valid", "used", "responsible", "type", "kind", "long", "maximum", "minimum",
        "highest",
        "lowest", "base", "basic",
    ]
    private static let dayOpeners: Set<String> = [
        "during", "until", "till", "since", "before", "after", "every", "each", "next", "last", "early", "late", "mid", "jeden", "jedem",
        "bis", "ab", "seit",
        "nächsten", "letzten", "what", "which", "welchem", "meeting", "weather", "open", "between", "through", "of",
    ]
    /// Between the numbers of a list.
    private static let listWords: Set<String> = [
        "and", "or", "to", "und", "oder", "bis", "et", "y", "e", "through", "no", "nr", "number", "nummer",
    ]
    private static let numberWords: Set<String> = ["no", "nr", "number", "nummer", "id", "numéro", "número"]
    private static let copulas: Set<String> = [
        "is", "are", "was", "were", "be", "ist", "sind", "war", "waren", "est", "sont", "es", "son", "fue",
    ]
    private static let smallWords: Set<String> = [
        "the", "a", "an", "of", "in", "on", "at", "to", "for", "by", "with", "from", "and", "or", "is", "are", "was", "were", "be", "has",
        "have", "had",
        "it", "its", "this", "that", "these", "those", "as", "per", "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen",
        "einem", "einer",
        "von", "im", "am", "zu", "zum", "zur", "für", "mit", "bei", "auf", "aus", "nach", "und", "oder", "ist", "sind", "war", "le", "la",
        "les", "du",
        "de", "des", "un", "une", "el", "los", "las", "del", "en", "y", "et", "do", "does", "did", "will", "shall", "can", "may", "must",
        "should", "he",
        "she", "they", "we", "you", "i", "not", "no", "into", "about", "than", "then", "if", "when", "there", "their", "our", "your", "his",
        "her",
    ]
}
