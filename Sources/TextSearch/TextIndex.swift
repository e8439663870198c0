import Foundation
package import Storage
import Synchronization

/// BM25 over immutable segments and a live delta. Readers take a snapshot and never wait for the one writer.
///
/// ```
///   add --analyze, invert--> small segments in memory --merge, 4 at a time--> larger ones        (the delta)
///                                          | seal
///                                          v
///   files: text-1.seg  text-4.seg  text-7.seg   deleted-8.seg   manifest.json     --merge, 8 at a time--> larger ones
///
///   search: [ file | file | file | memory | memory ] each with its tombstones; df, N and average length over all of them
/// ```
///
/// So one kind of segment and one search serve the delta and the files, and a row's score does not depend on where it lies.
/// (The log-structured merge idea: O'Neil et al., *The log-structured merge-tree*, 1996.)
///
/// A removed row is gone from the next search on. The statistics (N, df, average length) still count it until its segment is
/// rewritten: by a merge, when a quarter of the segment is deleted, or by `compact`.
package final class TextIndex: @unchecked Sendable {
    // Invariant: everything below is constant or guarded: `current` by its mutex, `frozenCount` by `writer`, `manifest` by `maintenance`.
    let directory: String
    let configuration: TextIndexConfiguration
    let isReadOnly: Bool
    let analyzer: Analyzer
    /// What one occurrence in the body, and one in the title, adds to tf and length.
    let unit: Int
    let titleUnits: Int

    /// What readers see: replaced as a whole.
    let current: Mutex<Snapshot>
    let scratches = Mutex<[QueryScratch]>([])
    /// One writer at a time adds, removes and publishes.
    let writer = NSLock()
    /// One thread at a time writes files. Held for long; taken before `writer`.
    let maintenance = NSLock()
    /// The first memory segments that are being written to files, and must stay as they are.
    var frozenCount = 0
    var manifest: IndexManifest

    struct Snapshot: Sendable {
        /// Sealed, in the order of the manifest.
        var files: [TextSegmentView] = []
        /// The delta, oldest first.
        var memory: [TextSegmentView] = []
        var position = IndexPosition()

        var views: [TextSegmentView] { files + memory }
    }

    /// Opens the index in a folder, or starts an empty one.
    ///
    /// Every byte of every file is read and compared with its checksum.
    /// Throws `.storage` when a file is damaged, `.configurationChanged` when it was built with another analyzer.
    package init(directory: String, configuration: TextIndexConfiguration, readOnly: Bool = false) throws(TextIndexError) {
        try configuration.check()
        self.directory = directory
        self.configuration = configuration
        isReadOnly = readOnly
        analyzer = try Analyzer(stemmer: configuration.stemmer, stopWords: configuration.stopWords)
        (unit, titleUnits) = configuration.units
        let (manifest, snapshot) = try Self.open(directory: directory, configuration: configuration)
        self.manifest = manifest
        current = Mutex(snapshot)
    }

    /// What the sealed files contain. Rows after it must be added again by the caller after opening.
    package var sealedPosition: IndexPosition { snapshot().position }

    /// Number of live rows.
    package var count: Int { snapshot().views.reduce(0) { $0 + $1.liveCount } }

    /// Rows in the delta, not yet sealed.
    package var unsealedCount: Int { snapshot().memory.reduce(0) { $0 + $1.liveCount } }

    /// Rows in memory until the next seal, removed ones too: replacing few rows again and again fills it all the same.
    package var heldCount: Int { snapshot().memory.reduce(0) { $0 + $1.segment.rowCount } }

    /// Number of segments that a search looks at: sealed files and parts of the delta.
    package var segmentCount: Int { snapshot().views.count }

    func snapshot() -> Snapshot { current.withLock { $0 } }

    /// Every live row id, ascending.
    package func liveRows() -> [RowID] {
        var rows: [Int64] = []
        for view in snapshot().views {
            for ordinal in 0..<view.segment.rowCount where !view.tombstones.contains(ordinal) { rows.append(view.segment.rows[ordinal]) }
        }
        return rows.sorted().map { RowID($0) }
    }

    /// The stemmed, stop-word-free terms of a text, in order; of a compound such as `snake_case` the whole and then its parts.
    ///
    /// All texts are taken for texts in the language that most rows are in, so that terms of two texts can be compared.
    package func terms(of text: String) -> [String] {
        let language = analyzer.distinct(languageCounts())[0]
        return analyzer.withWorker { worker in
            worker.analyze(text, in: language) { analyzed in
                analyzed.tokens.filter { $0.role != .stop && $0.role != .extra }.map {
                    String(decoding: analyzed.bytes(of: $0), as: UTF8.self)
                }
            }
        }
    }

    /// How rare a term (as `terms(of:)` gives it) is here; for an unknown one, what a term in no row would have.
    package func inverseDocumentFrequency(of term: String) -> Float {
        var term = term
        return term.withUTF8 { bytes in
            let views = snapshot().views
            let frequency = bytes.isEmpty ? 0 : views.reduce(0) { $0 + ($1.segment.postings(of: bytes)?.count ?? 0) }
            return Float(
                BM25.inverseDocumentFrequency(rowCount: views.reduce(0) { $0 + $1.segment.rowCount }, documentFrequency: frequency))
        }
    }
}

extension TextIndexConfiguration {
    /// The numbers that have a range, and it. A NaN is in no range.
    private var numbers: [(name: String, value: Float, range: ClosedRange<Int>)] {
        [("k1", k1, 0...1000), ("b", b, 0...1), ("title_weight", titleWeight, 0...1000)]
    }

    /// Throws `.parameterOutOfRange`.
    func check() throws(TextIndexError) {
        for (name, value, range) in numbers where !(value >= Float(range.lowerBound) && value <= Float(range.upperBound)) {
            throw .parameterOutOfRange(name: name, value: value, range: "\(range)")
        }
    }

    /// Which members have values that no index can be opened with: their names as users write them, the values, and what is allowed.
    package var problems: [(setting: String, value: String, allowed: String)] {
        var problems: [(setting: String, value: String, allowed: String)] = []
        // The analyzer itself is asked, so that what it learns is allowed here at once.
        do throws(TextIndexError) { _ = try Analyzer(stemmer: stemmer, stopWords: "none") } catch {
            problems.append(("stemmer", "'\(stemmer)'", "one of \(Stemmer.names.joined(separator: ", ")), or none"))
        }
        do throws(TextIndexError) { _ = try Analyzer(stemmer: "none", stopWords: stopWords) } catch {
            problems.append(("stop_words", "'\(stopWords)'", "'english' or 'none'"))
        }
        for (name, value, range) in numbers where !(value >= Float(range.lowerBound) && value <= Float(range.upperBound)) {
            problems.append((name, "\(value)", "a number from \(range.lowerBound) to \(range.upperBound)"))
        }
        return problems
    }

    /// What one occurrence in the body and one in the title counts, in whole numbers.
    var units: (body: Int, title: Int) {
        let body = titleWeight == titleWeight.rounded() ? 1 : 16
        return (body, Int((titleWeight * Float(body)).rounded()))
    }

    /// What files depend on, as the manifest keeps it.
    struct Identity: Codable, Equatable {
        var analyzerVersion: Int
        /// What the library's stemmers make of a few words: another version of the library may give other stems.
        var stems: String
        var stemmer: String
        var stopWords: String
        var unit: Int
        var titleUnits: Int
    }

    var identity: Identity {
        Identity(
            analyzerVersion: Analyzer.version, stems: Stemmer.fingerprint, stemmer: stemmer, stopWords: stopWords, unit: units.body,
            titleUnits: units.title)
    }
}
