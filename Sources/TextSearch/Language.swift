import FoundationEssentials

/// The language of a text, as far as search needs to know it: which stemmer its words go to, whether it joins words, whether a model knows it.
///
/// Raw values stand in index files: they are never given a second meaning. A new one that the detector may answer changes what is indexed, so
/// `Analyzer.version` goes up with it.
package enum Language: UInt8, CaseIterable, Sendable, Hashable, Codable {
    /// Too little text, too many languages in it, or one that is not told apart.
    case unknown = 0
    case english = 1
    case german, french, spanish, portuguese, italian, catalan, romanian, dutch, swedish, danish, norwegian, finnish
    case estonian, hungarian, turkish, polish, czech, slovak, croatian, slovenian, lithuanian, latvian, indonesian, vietnamese, basque,
        irish
    case russian = 64
    case ukrainian, bulgarian, serbian
    case greek = 80
    case arabic, persian, urdu, hebrew, hindi, armenian, georgian, tamil
    case chinese = 100
    case japanese, korean, thai
    /// Another script, of which we only know that it is not one of the above.
    case other = 127

    /// ISO 639-1; `und` and `mis` as ISO 639-2 has them for what is not determined and not coded.
    package var code: String {
        switch self {
        case .unknown: "und"
        case .english: "en"
        case .german: "de"
        case .french: "fr"
        case .spanish: "es"
        case .portuguese: "pt"
        case .italian: "it"
        case .catalan: "ca"
        case .romanian: "ro"
        case .dutch: "nl"
        case .swedish: "sv"
        case .danish: "da"
        case .norwegian: "no"
        case .finnish: "fi"
        case .estonian: "et"
        case .hungarian: "hu"
        case .turkish: "tr"
        case .polish: "pl"
        case .czech: "cs"
        case .slovak: "sk"
        case .croatian: "hr"
        case .slovenian: "sl"
        case .lithuanian: "lt"
        case .latvian: "lv"
        case .indonesian: "id"
        case .vietnamese: "vi"
        case .basque: "eu"
        case .irish: "ga"
        case .russian: "ru"
        case .ukrainian: "uk"
        case .bulgarian: "bg"
        case .serbian: "sr"
        case .greek: "el"
        case .arabic: "ar"
        case .persian: "fa"
        case .urdu: "ur"
        case .hebrew: "he"
        case .hindi: "hi"
        case .armenian: "hy"
        case .georgian: "ka"
        case .tamil: "ta"
        case .chinese: "zh"
        case .japanese: "ja"
        case .korean: "ko"
        case .thai: "th"
        case .other: "mis"
        }
    }

    /// The English name, for messages.
    package var name: String { self == .unknown ? "an unknown language" : self == .other ? "another script" : "\(self)".capitalized }

    /// The Snowball stemmer of its Latin words; nil where "porter" is as good as any.
    ///
    /// Words of other scripts go to the stemmer of their script whatever the language (`TermNormalizer.Script`).
    var stemmer: String? { Self.stemmers[Int(rawValue)] }

    /// By raw value: what a case is called is found by reflection, which is too slow for every text.
    private static let stemmers: [String?] = (0...127).map { Language(rawValue: $0)?.namedStemmer }

    private var namedStemmer: String? {
        switch self {
        case .german, .french, .spanish, .portuguese, .italian, .catalan, .romanian, .dutch, .swedish, .danish, .norwegian, .finnish,
            .hungarian, .turkish, .lithuanian, .indonesian, .basque, .irish, .serbian, .estonian, .polish:
            Stemmer.names.contains("\(self)") ? "\(self)" : nil
        default: nil
        }
    }

    /// Whether nouns are joined to words without end, so that a part of a word is looked for too.
    var joinsNouns: Bool { [.german, .dutch, .swedish, .danish, .norwegian, .finnish, .estonian, .hungarian].contains(self) }

    /// Whether ae, oe and ue may stand for letters that a keyboard lacks.
    var writesDigraphs: Bool { [.german, .swedish, .danish, .norwegian, .finnish, .estonian].contains(self) }
}
