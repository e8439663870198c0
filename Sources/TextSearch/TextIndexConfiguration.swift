/// How text becomes terms and how BM25 weighs them. Stored in the manifest: an index opened with another analyzer is rebuilt.
///
/// `k1` and `b` may change from one opening to the next, since files hold exact term frequencies and lengths; the rest may not.
package struct TextIndexConfiguration: Codable, Sendable, Equatable {
    /// "auto", a Snowball stemmer of libstemmer ("porter", "english", "german" ...), or "none".
    ///
    /// "auto" takes the stemmer of each row's language as `LanguageDetector` tells it: Porter's for English and where it does not know. Another name
    /// serves all rows. It serves the words of its own script. Words of other scripts go to the stemmer of that script's most common language
    /// (Russian, Greek, Arabic, Hindi, Armenian, Tamil; Porter for Latin), unless this is "none".
    package var stemmer = "auto"
    /// "english" (Lucene's 33 words), or "none".
    package var stopWords = "english"
    // The numbers below are what `outrider eval --tune` chose on five open sets (three of rankings, two of questions), each held out once.
    /// Term-frequency saturation, 0 or more.
    package var k1: Float = 1.2
    /// Length normalisation, 0...1.
    package var b: Float = 0.75
    /// Weight of one occurrence in the title field against one in the body, 0...1000; kept to a sixteenth when it is not a whole number.
    package var titleWeight: Float = 3

    package init() {}
}
