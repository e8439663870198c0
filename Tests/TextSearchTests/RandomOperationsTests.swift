import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

/// Random sequences of everything that can be done to a text index, beside a dictionary of texts.
///
/// Statistics count removed rows until their segment is rewritten, so scores are compared after a compaction; which rows are found, and in which order
/// their scores put them, must be right always.
struct RandomOperationsTests {
    private struct Document {
        var title: String
        var body: String
        var words: Set<String> { Set((title + " " + body).split(separator: " ").map(String.init)) }
    }

    @Test func `random operations give what a dictionary gives`() throws {
        try RandomRuns.forEachSeed(5) { try run(seed: $0) }
    }

    private func run(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            var random = SeededGenerator(seed: seed)
            let vocabulary = ZipfVocabulary(count: 60)
            var configuration = plainConfiguration
            configuration.titleWeight = [0, 1, 3, 1.5].randomElement(using: &random)!
            var index = try TextIndex(directory: directory, configuration: configuration)
            var model: [Int64: Document] = [:]
            var sealed = model
            var position = IndexPosition()
            var next: Int64 = 1
            var isCompact = true
            var log: [String] = []
            func what() -> String { "seed \(seed), after \(log.suffix(12).joined(separator: ", "))" }
            func document(_ random: inout SeededGenerator) -> Document {
                Document(
                    title: vocabulary.text(Int.random(in: 0...3, using: &random), &random),
                    body: vocabulary.text(Int.random(in: 0...25, using: &random), &random))
            }
            func someIDs(_ count: Int, _ random: inout SeededGenerator) -> [Int64] {
                (0..<count).map { _ in
                    Bool.random(using: &random)
                        ? Int64.random(in: 1...next + 5, using: &random) : max(1, next - Int64.random(in: 0...20, using: &random))
                }
            }
            func add(_ ids: [Int64], _ random: inout SeededGenerator) {
                var rows: [TextRow] = []
                for id in ids {
                    let document = document(&random)
                    rows.append(TextRow(row: RowID(id), title: document.title, body: document.body))
                    if model.updateValue(document, forKey: id) != nil { isCompact = false }
                }
                index.add(rows)
            }
            for _ in 0..<70 {
                switch Int.random(in: 0..<20, using: &random) {
                case 0...6:
                    let count = Int64([1, 1, 3, 30, 160].randomElement(using: &random)!)
                    add((next..<next + count).map { $0 }, &random)
                    next += count
                    log.append("add \(count)")
                case 7...8:
                    let ids = someIDs(Int.random(in: 1...6, using: &random), &random)
                    add(ids, &random)
                    next = max(next, ids.max()! + 1)
                    log.append("replace \(ids)")
                case 9...11:
                    let ids = someIDs([1, 1, 3, 60].randomElement(using: &random)!, &random)
                    index.remove(ids.map { RowID($0) })
                    for id in ids where model.removeValue(forKey: id) != nil { isCompact = false }
                    log.append("remove \(ids.count)")
                case 12...13:
                    position = IndexPosition(highWater: RowID(next), deletionSequence: position.deletionSequence + 1)
                    let tidying = Bool.random(using: &random)
                    try index.seal(at: position, tidying: tidying)
                    sealed = model
                    log.append(tidying ? "tidy" : "seal")
                case 14...15:
                    position = IndexPosition(highWater: RowID(next), deletionSequence: position.deletionSequence + 1)
                    try index.compact(at: position)
                    sealed = model
                    isCompact = true
                    log.append("compact")
                case 16:
                    index = try TextIndex(directory: directory, configuration: configuration)
                    #expect(index.sealedPosition == position, "\(what())")
                    model = sealed
                    log.append("reopen")
                default: break
                }
                #expect(index.count == model.count, "\(what())")
                let query =
                    vocabulary.text(Int.random(in: 1...4, using: &random), &random) + (Bool.random(using: &random) ? " nowhere" : "")
                let words = Set(query.split(separator: " ").map(String.init))
                let filter: Set<Int64>? = [nil, Set(someIDs(8, &random)), Set((1...next).filter { $0 % 3 != 0 })].randomElement(
                    using: &random)!
                let rows = filter.map { RowSet($0.map { RowID($0) }) }
                let all = index.search(query, k: model.count + 10, filter: rows)
                let expected = model.filter { id, document in
                    // A title that weighs nothing is not looked into.
                    let words =
                        configuration.titleWeight == 0 ? words.intersection(document.body.split(separator: " ").map(String.init)) : words
                    return (filter?.contains(id) ?? true) && !document.words.isDisjoint(with: words)
                }
                #expect(Set(all.map(\.row.rawValue)) == Set(expected.keys), "\(what()): '\(query)'")
                #expect(zip(all, all.dropFirst()).allSatisfy { ($1.score, $0.row) <= ($0.score, $1.row) }, "\(what()): order of '\(query)'")
                let k = [1, 3, 10].randomElement(using: &random)!
                let best = index.search(query, k: k, filter: rows)
                #expect(best.map(\.score) == all.prefix(k).map(\.score), "\(what()): the best \(k) of '\(query)'")
                if isCompact {
                    var oracle = OracleIndex()
                    oracle.titleWeight = Double(configuration.titleWeight)
                    for (id, document) in model { oracle.add(TextRow(row: RowID(id), title: document.title, body: document.body)) }
                    expect(all, match: oracle.scores(query, filter: filter), k: model.count + 10, "\(what()): '\(query)'")
                }
            }
            #expect(index.liveRows().map(\.rawValue) == model.keys.sorted(), "\(what())")
            #expect(index.verify() == [], "\(what())")
        }
    }
}
