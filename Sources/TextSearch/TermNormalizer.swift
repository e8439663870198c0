/// From a lower-case word to its term: stop words, stemming, and the folding that must wait for the stemmer.
struct TermNormalizer {
    /// Whether accents go before stemming. Porter and "none" know no accents; a stemmer for French or German reads them, so they go after.
    let foldsAccentsFirst: Bool
    private let stopWords: Set<[UInt8]>
    private let stemmers: [Script: Stemmer]
    private var cache = TermCache()

    enum Script: CaseIterable {
        case latin, cyrillic, greek, arabic, devanagari, armenian, tamil, other

        /// The script of a letter.
        init(_ scalar: UInt32) {
            switch scalar {
            case 0...0x024F, 0x1E00...0x1EFF: self = .latin
            case 0x0370...0x03FF, 0x1F00...0x1FFF: self = .greek
            case 0x0400...0x052F: self = .cyrillic
            case 0x0530...0x058F: self = .armenian
            case 0x0600...0x06FF, 0x0750...0x077F: self = .arabic
            case 0x0900...0x097F: self = .devanagari
            case 0x0B80...0x0BFF: self = .tamil
            default: self = .other
            }
        }

        /// The stemmer of the script's most common language.
        var stemmer: String? {
            switch self {
            case .latin: "porter"
            case .cyrillic: "russian"
            case .greek: "greek"
            case .arabic: "arabic"
            case .devanagari: "hindi"
            case .armenian: "armenian"
            case .tamil: "tamil"
            case .other: nil
            }
        }

        /// The scripts that a stemmer is made for.
        static func scripts(of stemmer: String) -> [Script] {
            switch stemmer {
            case "russian": [.cyrillic]
            case "serbian": [.cyrillic, .latin]
            case "greek": [.greek]
            case "arabic": [.arabic]
            case "hindi", "nepali": [.devanagari]
            case "armenian": [.armenian]
            case "tamil": [.tamil]
            case "yiddish": [.other]
            default: [.latin]
            }
        }
    }

    init(stemmer: String, stopWords: Set<String>) {
        self.stopWords = Set(stopWords.map { Array($0.utf8) })
        foldsAccentsFirst = ["porter", "english", "none"].contains(stemmer) || !Script.scripts(of: stemmer).contains(.latin)
        var stemmers: [Script: Stemmer] = [:]
        if stemmer != "none" {
            for script in Script.allCases {
                guard let name = Script.scripts(of: stemmer).contains(script) ? stemmer : script.stemmer else { continue }
                stemmers[script] = Stemmer(name)
            }
        }
        self.stemmers = stemmers
    }

    /// Appends the term of a word to `output`, and says whether it is a stop word. Those are not stemmed.
    ///
    /// - Returns: The number of bytes appended.
    mutating func append(
        _ word: UnsafeBufferPointer<UInt8>, isStopWord: inout Bool, to output: inout [UInt8]
    ) -> Int {
        guard word.count <= TermCache.wordSizeMax else {
            let (term, isStop) = compute(word)
            isStopWord = isStop
            output.append(contentsOf: term)
            return term.count
        }
        var slot = 0
        if let entry = cache.find(word.baseAddress!, word.count, slot: &slot) {
            isStopWord = entry.isStopWord
            cache.bytes.withUnsafeBufferPointer { bytes in
                output.append(
                    contentsOf: UnsafeBufferPointer(start: bytes.baseAddress! + Int(entry.termOffset), count: Int(entry.termCount)))
            }
            return Int(entry.termCount)
        }
        let (term, isStop) = compute(word)
        isStopWord = isStop
        term.withUnsafeBufferPointer { cache.insert(word, term: $0, isStopWord: isStop, slot: slot) }
        output.append(contentsOf: term)
        return term.count
    }

    /// The specification of `append`.
    private func compute(_ word: UnsafeBufferPointer<UInt8>) -> (term: [UInt8], isStopWord: Bool) {
        let isStopWord = !stopWords.isEmpty && stopWords.contains(Array(word))
        let isASCII = word.allSatisfy { $0 < 0x80 }
        let script = isASCII ? .latin : Script(Self.firstLetter(of: word))
        var term = Array(word)
        // Two letters are no stem with an ending; and a digit makes it a code, not a word.
        if !isStopWord, word.count > 2, let stemmer = stemmers[script], word.allSatisfy({ $0 >= 0x80 || $0 == 0x27 || $0 >= 0x61 }) {
            let stem = stemmer.stem(word)
            if !stem.isEmpty { term = Array(stem) }
        }
        if !foldsAccentsFirst && !isASCII {
            let folded = String(decoding: term, as: UTF8.self).unicodeScalars.map { CharacterTable.fold($0, foldsAccents: true) }.joined()
            if !folded.isEmpty { term = Array(folded.utf8) }
        }
        return (term, isStopWord)
    }

    private static func firstLetter(of word: UnsafeBufferPointer<UInt8>) -> UInt32 {
        String(decoding: word, as: UTF8.self).unicodeScalars.first { $0.value >= 0x80 }?.value ?? 0
    }
}
