import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

/// A folder that is removed with its content when the body ends.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("text-search-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// An analyzer that leaves words alone, so that an oracle can split at spaces; and the parameters of the oracle.
var plainConfiguration: TextIndexConfiguration {
    var configuration = TextIndexConfiguration()
    configuration.stemmer = "none"
    configuration.stopWords = "none"
    configuration.k1 = 0.9
    configuration.b = 0.4
    configuration.titleWeight = 1
    return configuration
}

/// Words with frequencies as in language: the n-th is about n times rarer than the first.
struct ZipfVocabulary {
    private let words: [String]
    private let cumulative: [Double]

    init(count: Int) {
        // From a thousand on in letters alone: a word with four digits has other forms too.
        words = (0..<count).map { number in
            guard number >= 1000 else { return "w\(number)" }
            return "w" + String(String.UnicodeScalarView(String(number).unicodeScalars.map { Unicode.Scalar($0.value + 50)! }))
        }
        var sum = 0.0
        cumulative = (0..<count).map {
            sum += 1 / Double($0 + 1)
            return sum
        }
    }

    func word(_ random: inout SeededGenerator) -> String {
        let target = Double.random(in: 0..<cumulative.last!, using: &random)
        var low = 0
        var high = cumulative.count - 1
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] < target { low = middle + 1 } else { high = middle }
        }
        return words[low]
    }

    func text(_ count: Int, _ random: inout SeededGenerator) -> String {
        (0..<count).map { _ in word(&random) }.joined(separator: " ")
    }
}

/// BM25 in its plainest form, over words between spaces: judges the index.
struct OracleIndex {
    private let k1: Double
    private let b: Double
    var titleWeight = 1.0
    private var lengths: [Int64: Double] = [:]
    /// For each word, how often it stands in which row.
    private var postings: [String: [Int64: Double]] = [:]

    init(k1: Double = 0.9, b: Double = 0.4) {
        self.k1 = k1
        self.b = b
    }

    /// Adds a row with an id that is not there yet.
    mutating func add(_ row: TextRow) {
        precondition(lengths[row.row.rawValue] == nil, "the oracle has row \(row.row.rawValue) already")
        var frequencies: [String: Double] = [:]
        for word in row.title.split(separator: " ") { frequencies[String(word), default: 0] += titleWeight }
        for word in row.body.split(separator: " ") { frequencies[String(word), default: 0] += 1 }
        for (word, frequency) in frequencies where frequency > 0 { postings[word, default: [:]][row.row.rawValue] = frequency }
        lengths[row.row.rawValue] = frequencies.values.reduce(0, +)
    }

    /// Scores of all rows that match.
    func scores(_ query: String, filter: Set<Int64>? = nil) -> [Int64: Double] {
        let count = Double(lengths.count)
        let averageLength = lengths.values.reduce(0, +) / max(1, count)
        var scores: [Int64: Double] = [:]
        for word in query.split(separator: " ").map(String.init) {
            let matching = postings[word] ?? [:]
            let frequency = Double(matching.count)
            let idf = log(1 + (count - frequency + 0.5) / (frequency + 0.5))
            for (row, tf) in matching where filter?.contains(row) ?? true {
                scores[row, default: 0] += idf * tf / (tf + k1 * (1 - b + b * lengths[row]! / averageLength))
            }
        }
        return scores
    }
}

/// Compares hits with the oracle's scores: right rows, right scores, right order, ties by id.
func expect(
    _ hits: [RowHit], match scores: [Int64: Double], k: Int, _ context: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(hits.count == min(k, scores.count), "\(context): number of hits", sourceLocation: sourceLocation)
    #expect(Set(hits.map(\.row)).count == hits.count, "\(context): a row comes twice", sourceLocation: sourceLocation)
    for hit in hits {
        guard let wanted = scores[hit.row.rawValue] else {
            Issue.record("\(context): row \(hit.row.rawValue) does not match", sourceLocation: sourceLocation)
            continue
        }
        if abs(wanted - Double(hit.score)) > 1e-4 {
            Issue.record("\(context): row \(hit.row.rawValue) scores \(hit.score), oracle \(wanted)", sourceLocation: sourceLocation)
        }
    }
    for (left, right) in zip(hits, hits.dropFirst()) {
        if !(left.score > right.score || (left.score == right.score && left.row < right.row)) {
            Issue.record("\(context): \(left) stands before \(right)", sourceLocation: sourceLocation)
        }
    }
    // No row outside may be better than the last one inside; in a true tie it must have the larger id.
    guard let last = hits.last, hits.count == k else { return }
    let inside = Set(hits.map(\.row.rawValue))
    for (row, score) in scores where !inside.contains(row) {
        if score > Double(last.score) + 1e-4 {
            Issue.record("\(context): row \(row) with \(score) is missing, the last has \(last.score)", sourceLocation: sourceLocation)
        }
    }
}

extension SharedData {
    static let path = folder.flatMap { FileManager.default.fileExists(atPath: $0 + "/scifact") ? $0 : nil }

    /// The objects of a `.jsonl` or `.jsonl.gz` file.
    static func lines(_ name: String) throws -> [[String: Any]] {
        let url = URL(fileURLWithPath: path! + "/" + name)
        var bytes: Data
        if name.hasSuffix(".gz") {
            let gzip = Process()
            gzip.executableURL = URL(fileURLWithPath: "/bin/gzip")
            gzip.arguments = ["-dc", url.path]
            let pipe = Pipe()
            gzip.standardOutput = pipe
            try gzip.run()
            bytes = pipe.fileHandleForReading.readDataToEndOfFile()
            gzip.waitUntilExit()
            #expect(gzip.terminationStatus == 0, "gzip failed on \(name)")
        } else {
            bytes = try Data(contentsOf: url)
        }
        return try bytes.split(separator: 0x0A).map { try JSONSerialization.jsonObject(with: $0) as! [String: Any] }
    }
}
