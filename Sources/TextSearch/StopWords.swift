/// Words that carry no topic. They are dropped after lower-casing and before stemming, and do not count in a row's length.
enum StopWords {
    /// The 33 words of Lucene's `EnglishAnalyzer`, which published BM25 baselines use.
    static let english: Set<String> = [
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on", "or",
        "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
    ]

    /// The list of that name; nil when there is none.
    static func named(_ name: String) -> Set<String>? {
        switch name {
        case "english": english
        case "none": []
        default: nil
        }
    }

    /// Articles and particles that French, Italian and Catalan glue to the next word: *l'homme*, *qu'il*, *dell'arte*.
    static let elided: Set<String> = [
        "c", "d", "j", "l", "m", "n", "qu", "s", "t", "jusqu", "lorsqu", "puisqu", "quoiqu", "agl", "all", "dagl", "dall", "degl", "dell",
        "gl", "negl", "nell", "quell", "sugl", "sull", "un",
    ]
}
