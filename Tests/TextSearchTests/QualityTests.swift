import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

/// Real questions over real documents, where the data lies beside the checkout (or `OUTRIDER_SHARED` names its folder).
@Suite(.enabled(if: SharedData.path != nil, "no shared data folder beside the checkout; set OUTRIDER_SHARED"))
struct QualityTests {
    private func index(_ corpus: [[String: Any]], stemmer: String) throws -> TextIndex {
        var configuration = TextIndexConfiguration()
        configuration.stemmer = stemmer
        let index = try TextIndex(directory: "/nonexistent", configuration: configuration)
        index.add(
            corpus.enumerated().map { number, document in
                TextRow(row: RowID(Int64(number)), title: document["title"] as? String ?? "", body: document["text"] as? String ?? "")
            })
        return index
    }

    /// Published BM25 (Anserini, flat): 0.679; the data's own check 0.676.
    @Test func `scifact reaches the published ranking quality`() throws {
        let corpus = try SharedData.lines("scifact/corpus.jsonl.gz")
        let ids = corpus.map { $0["_id"] as! String }
        let index = try index(corpus, stemmer: "porter")
        var relevant: [String: Set<String>] = [:]
        let judgements = try String(contentsOfFile: SharedData.path! + "/scifact/qrels/test.tsv", encoding: .utf8)
        for line in judgements.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t").map(String.init)
            if fields[2] != "0" { relevant[fields[0], default: []].insert(fields[1]) }
        }
        var sum = 0.0
        for query in try SharedData.lines("scifact/queries.jsonl") {
            guard let wanted = relevant[query["_id"] as! String] else { continue }
            let hits = index.search(query["text"] as! String, k: 10)
            let gain = hits.enumerated().filter { wanted.contains(ids[Int($0.element.row.rawValue)]) }.reduce(0.0) {
                $0 + 1 / log2(Double($1.offset) + 2)
            }
            let ideal = (0..<min(10, wanted.count)).reduce(0.0) { $0 + 1 / log2(Double($1) + 2) }
            sum += gain / ideal
        }
        let nDCG = sum / Double(relevant.count)
        print("[scifact] text nDCG@10 \(nDCG) over \(relevant.count) questions")
        #expect(relevant.count == 300)
        #expect(nDCG >= 0.675)
    }

    /// The default serves every language; a language's own stemmer adds a little where it has the Latin script.
    @Test(arguments: [
        ("en", "porter", 0.92), ("es", "porter", 0.90), ("es", "spanish", 0.92), ("de", "porter", 0.87), ("de", "german", 0.90),
        ("zh", "porter", 0.91), ("ar", "porter", 0.86), ("hi", "porter", 0.90),
    ])
    func `the first hit answers the question in many languages`(language: String, stemmer: String, expected: Double) throws {
        let corpus = try SharedData.lines("xquad/corpus.jsonl").filter { ($0["_id"] as! String).hasPrefix("xquad-\(language)-") }
        let ids = corpus.map { $0["_id"] as! String }
        let index = try index(corpus, stemmer: stemmer)
        let questions = try SharedData.lines("xquad/qa.jsonl.gz").filter { $0["lang"] as! String == language }
        let found = questions.filter { question in
            guard let hit = index.search(question["question"] as! String, k: 1).first else { return false }
            return (question["evidence"] as! [String]).contains(ids[Int(hit.row.rawValue)])
        }.count
        let share = Double(found) / Double(questions.count)
        print("[xquad] \(language) with \(stemmer): hit@1 \(share)")
        #expect(questions.count == 676)
        #expect(share >= expected)
    }
}
