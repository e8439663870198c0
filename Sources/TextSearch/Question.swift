import Foundation
package import Storage
import Synchronization

/// What is looked for: groups of terms, each group one word of the question in all the forms that rows may have it in.
///
/// ```
///   "Groesse der Versicherung"      in a collection of German and English rows
///
///   group 1   gross (German stem of Größe), groess (as it is written)          share 1
///   group 2   versicher (German stem), versicherung (Porter's)                 share 1
///             haftpflichtversicher, kfz-versicher                              share 0.35: words that it is a part of
/// ```
///
/// A row counts each term of a group by its share; the group's rarity is that of all its full forms together, so a form that is rare by chance
/// does not outweigh a common one.
struct Question {
    struct Group {
        var occurrenceCount = 0
        var isRequired = false
        /// Of the full forms together; of the others, when there is no full one.
        var documentFrequency = 0
        /// Whether it is made like a code: it has a digit, or it is longer than words are.
        var isCode = false
        var hasDigit = false
        /// Another form of other groups' words.
        var isExtra = false
    }

    /// One term, looked up in every segment.
    struct Term {
        var bytes: [UInt8]
        var group: Int
        /// What a match counts against a match of the word itself.
        var share: Float
        var documentFrequency = 0
        /// For each view, in order.
        var postings: [TermPostings?] = []
    }

    var groups: [Group] = []
    var terms: [Term] = []

    /// Forms from this share on are the word itself.
    static let fullShare: Float = 0.8
    static let respelledShare: Float = 0.9
    static let compoundShare: Float = 0.35
    /// Of a longer question only the rarest terms are looked for.
    static let termsMax = 512
    /// Longer words are codes, or as good as.
    static let wordSizeMax = 20
}

/// A question that was analyzed once, for everything that is asked of it. See `TextIndex.prepare`.
package struct PreparedQuestion: Sendable {
    /// As it was asked.
    package let query: String
    /// Rows by language, of those languages that it may mean.
    let counts: [Language: Int]
    let words: [TextIndex.QuestionWord]
    private let lookedUp = LookedUp()

    init(query: String, counts: [Language: Int], words: [TextIndex.QuestionWord]) {
        self.query = query
        self.counts = counts
        self.words = words
    }

    /// The terms as they were looked up last: a search, a deeper one and the look for rare words mostly meet the same segments.
    private final class LookedUp: Sendable {
        /// The segments are held, so that no other can take the place of one.
        let last = Mutex<(segments: [TextSegment], question: Question)?>(nil)
    }

    /// - Parameter lookUp: Called when the segments are others than the last time.
    func question(in views: [TextSegmentView], _ lookUp: () -> Question) -> Question {
        let known = lookedUp.last.withLock { last in
            last.flatMap { $0.segments.elementsEqual(views) { $0 === $1.segment } ? $0.question : nil }
        }
        if let known { return known }
        let question = lookUp()
        lookedUp.last.withLock { $0 = (views.map(\.segment), question) }
        return question
    }
}

extension TextIndex {
    /// Analyzes a question in the languages that the rows are in.
    package func prepare(_ query: String) -> PreparedQuestion {
        let counts = relevant(languageCounts(), to: query)
        return PreparedQuestion(query: query, counts: counts, words: words(of: query, counts))
    }

    /// The languages of rows that a question may mean: of a question in one that many rows are in, not the ones of a few rows.
    ///
    /// Among a million English passages some are in German, or were taken for it, and each language costs every question its stems, its spellings and its
    /// compounds. A question in German, and one whose language cannot be told, still finds them.
    func relevant(_ counts: [Language: Int], to query: String) -> [Language: Int] {
        let total = counts.values.reduce(0, +)
        func isMinor(_ count: Int) -> Bool { count * 200 < total }
        guard counts.contains(where: { $0.key != .unknown && isMinor($0.value) }) else { return counts }
        let language = LanguageDetector.detect(query)
        guard language != .unknown, let count = counts[language], !isMinor(count) else { return counts }
        return counts.filter { $0.key == .unknown || !isMinor($0.value) }
    }

    /// The terms of a question, looked up in each segment.
    func question(_ prepared: PreparedQuestion, in views: [TextSegmentView]) -> Question {
        prepared.question(in: views) { lookUp(prepared, in: views) }
    }

    private func lookUp(_ prepared: PreparedQuestion, in views: [TextSegmentView]) -> Question {
        let counts = prepared.counts
        var question = Question()
        var groups: [[[UInt8]]: Int] = [:]
        for word in prepared.words {
            let key = word.forms.map(\.bytes)
            let index = groups[key] ?? question.groups.count
            if index == question.groups.count {
                groups[key] = index
                question.groups.append(Question.Group(isCode: word.isCode, hasDigit: word.hasDigit, isExtra: word.isExtra))
                question.terms += word.forms.map { Question.Term(bytes: $0.bytes, group: index, share: $0.share) }
                question.terms += relatives(of: word, counts, views).map {
                    Question.Term(bytes: $0, group: index, share: word.isSingleCharacter ? 1 : Question.compoundShare)
                }
            }
            question.groups[index].occurrenceCount += 1
            if word.isRequired { question.groups[index].isRequired = true }
        }
        for index in question.terms.indices {
            question.terms[index].bytes.withUnsafeBufferPointer { bytes in
                question.terms[index].postings = views.map { $0.segment.postings(of: bytes) }
            }
            question.terms[index].documentFrequency = question.terms[index].postings.reduce(0) { $0 + ($1?.count ?? 0) }
        }
        question.terms.removeAll { $0.documentFrequency == 0 }
        if question.terms.count > Question.termsMax {
            question.terms.sort { ($0.documentFrequency, $0.bytes.count) < ($1.documentFrequency, $1.bytes.count) }
            question.terms.removeLast(question.terms.count - Question.termsMax)
        }
        var others = question.groups.map { _ in 0 }
        for term in question.terms {
            if term.share >= Question.fullShare {
                question.groups[term.group].documentFrequency += term.documentFrequency
            } else {
                others[term.group] += term.documentFrequency
            }
        }
        for index in others.indices where question.groups[index].documentFrequency == 0 {
            question.groups[index].documentFrequency = others[index]
        }
        // A quoted word that is nowhere must stay: it is why no row has them all.
        if question.terms.isEmpty, !question.groups.contains(where: \.isRequired) { question.groups = [] }
        return question
    }

    /// The rows, among some, that have every rare word of a question, when its rare words are what it is about: codes and numbers, or all of its words.
    ///
    /// Such a row is what was asked for, whatever a model of meaning makes of a word that it has never seen.
    package func rowsWithRareWords(of prepared: PreparedQuestion, among rows: some Sequence<RowID>) -> Set<RowID> {
        let views = snapshot().views
        let question = question(prepared, in: views)
        let rowCount = views.reduce(0) { $0 + $1.segment.rowCount }
        // What is made like a code names a thing; a thing is named in few rows.
        let rareMax = min(5, max(2, rowCount / 200))
        let isRare = question.groups.map { (1...rareMax).contains($0.documentFrequency) }
        let words = question.groups.indices.filter { !question.groups[$0].isExtra }
        // Few rows make everything rare: then only a single word, or what is made like a code, is.
        let allAreRare = (rowCount >= 10 || words.count == 1) && words.allSatisfy { isRare[$0] }
        // "12 V" is no code within a sentence, and is one by itself.
        let isCode = words.count <= 3 && words.contains { question.groups[$0].hasDigit }
        let decisive = question.groups.indices.filter { index in
            let group = question.groups[index]
            return isRare[index] && (group.isCode || isCode && group.hasDigit || allAreRare && !group.isExtra)
        }
        guard !decisive.isEmpty else { return [] }
        var result: Set<RowID>?
        for group in decisive {
            var having: Set<RowID> = []
            for term in question.terms where term.group == group && term.share >= Question.fullShare {
                for (view, postings) in zip(views, term.postings) {
                    guard let postings else { continue }
                    let room = (postings.count + PostingBlock.count - 1) / PostingBlock.count * PostingBlock.count
                    var ordinals = [UInt32](repeating: 0, count: room)
                    var tfs = ordinals
                    view.segment.read(postings, ordinals: &ordinals, tfs: &tfs)
                    for ordinal in ordinals.prefix(postings.count) where !view.tombstones.contains(Int(ordinal)) {
                        having.insert(RowID(view.segment.rows[Int(ordinal)]))
                    }
                }
            }
            result = result?.intersection(having) ?? having
        }
        return result?.intersection(rows) ?? []
    }

    // MARK: Words

    /// One word of a question with its forms, the first one as it is written.
    struct QuestionWord {
        var forms: [(bytes: [UInt8], share: Float)]
        var isRequired = false
        var isCode = false
        var hasDigit = false
        var isExtra = false
        var isSingleCharacter = false
        /// A word of letters alone, that may be a part of others.
        var mayBePart = false
        fileprivate var isStop = false
        fileprivate var role = AnalyzedToken.Role.word
        fileprivate var source: Range<Int>
    }

    /// The words that are looked for: without stop words, unless there are no others or they are quoted by themselves.
    func words(of query: String, _ counts: [Language: Int]) -> [QuestionWord] {
        let languages = analyzer.distinct(counts)
        let quoted = Quotes.ranges(in: query)
        var words = analyzer.withWorker { worker in
            var words: [QuestionWord] = []
            for (number, language) in languages.enumerated() {
                worker.analyze(query, in: language, isQuestion: true) { analyzed in
                    for (index, token) in analyzed.tokens.enumerated() {
                        let bytes = Array(analyzed.bytes(of: token))
                        let source = Int(token.sourceStart)..<Int(token.sourceEnd)
                        guard number > 0, index < words.count, words[index].source == source else {
                            // Languages divide a text alike; should they not, the words stand beside each other.
                            words.append(QuestionWord(bytes, token, source))
                            continue
                        }
                        words[index].add(bytes, share: 1)
                    }
                }
            }
            respell(&words, query, languages, counts, worker)
            return words
        }
        for range in quoted {
            let inside = words.indices.filter { range.contains(words[$0].source.lowerBound) }
            let significant = inside.filter { !words[$0].isStop && !words[$0].isExtra }
            for index in significant.isEmpty ? inside.filter({ !words[$0].isExtra }) : significant {
                words[index].isStop = false
                // Of a compound its parts decide: they are in every row that has the whole.
                words[index].isRequired = !words[index].isWhole
            }
        }
        // In capitals throughout, "OR" is no abbreviation.
        if words.count(where: { !$0.isExtra }) > 2, !query.contains(where: \.isLowercase) { words.removeAll { $0.isCapitals } }
        let significant = words.filter { !$0.isStop }
        let isEmpty = { [self] (words: [QuestionWord]) in
            let views = snapshot().views
            return words.allSatisfy { word in
                word.isExtra
                    && word.forms.allSatisfy { form in
                        form.bytes.withUnsafeBufferPointer { bytes in views.allSatisfy { $0.segment.postings(of: bytes) == nil } }
                    }
            }
        }
        return isEmpty(significant) ? words : significant
    }

    /// Adds the spellings with and without ae, oe, ue for ä, ö, ü and the like.
    private func respell(
        _ words: inout [QuestionWord], _ query: String, _ languages: [Language], _ counts: [Language: Int], _ worker: Analyzer.Worker
    ) {
        let writesDigraphs = counts.contains { $0.key.writesDigraphs && $0.value > 0 }
        let bytes = Array(query.utf8)
        for index in words.indices where words[index].mayBePart && !words[index].isStop {
            let written = String(decoding: bytes[words[index].source], as: UTF8.self)
            guard let other = DigraphSpelling.expanded(written) ?? (writesDigraphs ? DigraphSpelling.contracted(written) : nil) else {
                continue
            }
            for language in languages {
                worker.analyze(other, in: language) { analyzed in
                    guard let token = analyzed.tokens.first, token.role == .word else { return }
                    words[index].add(Array(analyzed.bytes(of: token)), share: Question.respelledShare)
                }
            }
        }
    }

    // MARK: Relatives

    /// Terms that have the word in them: pairs that begin with a single character, and compounds.
    private func relatives(of word: QuestionWord, _ counts: [Language: Int], _ views: [TextSegmentView]) -> [[UInt8]] {
        let isJoining = word.mayBePart && counts.contains { $0.key.joinsNouns && $0.value > 0 }
        guard word.isSingleCharacter || isJoining else { return [] }
        let limit = word.isSingleCharacter ? 192 : 48
        var found: [[UInt8]: Int] = [:]
        for form in word.forms where form.share >= Question.fullShare {
            // A syllable or two begin too many words.
            guard word.isSingleCharacter || form.bytes.count >= 4 else { continue }
            let sizeMin = word.isSingleCharacter ? form.bytes.count + 1 : form.bytes.count + 3
            for view in views where word.isSingleCharacter || view.segment.hasJoinedNouns {
                view.segment.forEachTerm(beginningWith: form.bytes, limit: 512) { term, count in
                    if term.count >= sizeMin { found[term, default: 0] += count }
                }
                guard !word.isSingleCharacter else { continue }
                view.segment.forEachLongTerm(endingWith: form.bytes, sizeMin: sizeMin, limit: limit) { found[$0, default: 0] += $1 }
            }
        }
        for form in word.forms { found[form.bytes] = nil }
        // The most frequent; of equal ones the shorter, then the first in the alphabet: the same ones each time.
        let ranked = found.sorted { left, right in
            if left.value != right.value { return left.value > right.value }
            return left.key.count != right.key.count ? left.key.count < right.key.count : left.key.lexicographicallyPrecedes(right.key)
        }
        return ranked.prefix(limit).map(\.key).sorted { $0.lexicographicallyPrecedes($1) }
    }
}

extension TextIndex.QuestionWord {
    fileprivate var isWhole: Bool { role == .whole }
    fileprivate var isCapitals: Bool { isExtra && forms[0].bytes.allSatisfy { (0x41...0x5A).contains($0) } }

    fileprivate init(_ bytes: [UInt8], _ token: AnalyzedToken, _ source: Range<Int>) {
        forms = [(bytes, 1)]
        self.source = source
        role = token.role
        isStop = token.role == .stop
        isExtra = token.role == .extra
        let isLetters = bytes.allSatisfy { $0 >= 0x80 || (0x61...0x7A).contains($0) }
        isCode = Self.isCode(bytes)
        hasDigit = bytes.contains(where: Self.isDigit)
        mayBePart = (token.role == .word || token.role == .stop) && isLetters && bytes.count > 2
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        if token.role == .word, let first = scalars.first, first.value >= 0x0E00 {
            let kind = CharacterTable.entry(first.value, foldsAccents: true).kind
            let bases = scalars.count { CharacterTable.entry($0.value, foldsAccents: true).kind == kind }
            isSingleCharacter = (kind == .ideograph || kind == .syllable) && bases == 1
            if kind == .ideograph || kind == .syllable { mayBePart = false }
        }
    }

    /// Whether a word is made like a code: letters with digits, or many digits; or longer than words are. Years, ordinals, decades and small numbers are no codes.
    private static func isCode(_ bytes: [UInt8]) -> Bool {
        guard let firstDigit = bytes.firstIndex(where: isDigit) else {
            return String(decoding: bytes, as: UTF8.self).unicodeScalars.count > Question.wordSizeMax
        }
        let digits = bytes.count(where: isDigit)
        if digits == bytes.count {
            guard digits >= 4 else { return false }
            return digits > 4 || !(bytes[0] == 0x31 && bytes[1] >= 0x35 || bytes[0] == 0x32 && bytes[1] == 0x30)
        }
        if firstDigit == 0, bytes.drop(while: isDigit).count <= 2, digits == bytes.prefix(while: isDigit).count {
            return digits > 4
        }
        // 3.5 is a number like others, 1.10.2 is none.
        let dots = bytes.count { $0 == 0x2E }
        return dots + digits < bytes.count ? bytes.count > 2 : dots > 1 || digits > 4
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    fileprivate mutating func add(_ bytes: [UInt8], share: Float) {
        if !forms.contains(where: { $0.bytes == bytes }) { forms.append((bytes, share)) }
    }
}

/// The two ways to write umlauts and their Nordic kin.
enum DigraphSpelling {
    private static let pairs: [(letter: Character, digraph: String, plain: String)] = [
        ("ä", "ae", "a"), ("ö", "oe", "o"), ("ü", "ue", "u"), ("ø", "oe", "o"), ("å", "aa", "a"), ("æ", "ae", "a"),
    ]

    /// "Müller" with digraphs; nil when it has no letter for them.
    static func expanded(_ word: String) -> String? {
        guard word.utf8.contains(where: { $0 >= 0x80 }) else { return nil }
        var result = ""
        var isChanged = false
        for character in word.precomposedStringWithCanonicalMapping.lowercased() {
            if let pair = pairs.first(where: { $0.letter == character }) {
                result += pair.digraph
                isChanged = true
            } else {
                result.append(character)
            }
        }
        return isChanged ? result : nil
    }

    /// "Mueller" without digraphs; nil when it has none. "Ue" after a vowel or q is none: *neue*, *Quelle*.
    static func contracted(_ word: String) -> String? {
        var result: [Character] = []
        var isChanged = false
        let letters = Array(word.lowercased())
        var index = 0
        while index < letters.count {
            if index + 1 < letters.count, letters[index + 1] == "e", "aou".contains(letters[index]),
                index == 0 || !"aeiouyqäöü".contains(letters[index - 1])
            {
                result.append(letters[index])
                index += 2
                isChanged = true
            } else {
                result.append(letters[index])
                index += 1
            }
        }
        return isChanged && result.count > 1 ? String(result) : nil
    }
}
