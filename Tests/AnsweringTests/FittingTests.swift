import Documents
import Foundation
import Inference
import Retrieval
import Testing

@testable import Answering

private let work = ProcessInfo.processInfo.environment["OUTRIDER_FIT"]

/// Not a test of behaviour but a tool that runs the product's code over open data: see `scripts/fit-confidence.py`.
@Suite(.enabled(if: work != nil, "a tool: set OUTRIDER_FIT to a work folder of scripts/fit-confidence.py"))
struct `Fitting to open data` {
    private struct Passage: Decodable {
        var id: String
        var title: String
        var text: String
    }
    private struct Case: Decodable {
        struct Result: Decodable {
            var id: String
            var fused: Float
            var bm25: Float
            var vector: Float
        }
        var id: String
        var set: String
        var kind: String
        var question: String
        var answerable: Bool
        var inReach: Bool
        var gold: [String]
        var answers: [String]
        var evidenceSentences: [String]
        var results: [Result]
    }
    private struct Unit: Encodable {
        var features: [Float]
        var label: Int
    }
    private struct Row: Encodable {
        var id: String
        var set: String
        var kind: String
        var answerable: Bool
        var inReach: Bool
        var confidence: Float
        var features: [Float]
        var lexicalFeatures: [Float]
        var units: [Unit]
    }
    private struct Head: Encodable {
        var names: [String]
        var unitNames: [String]
    }

    private func lines(_ name: String) throws -> [Data] {
        guard let data = FileManager.default.contents(atPath: work! + "/" + name) else { return [] }
        return data.split(separator: 0x0A).map { Data($0) }
    }

    @Test func `features of every case are written`() async throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let passages = try lines("corpus.jsonl").map { try decoder.decode(Passage.self, from: $0) }
        let byID = Dictionary(uniqueKeysWithValues: passages.map { ($0.id, $0) })
        let statistics = SimpleStatistics(passages.map { $0.title + "\n" + $0.text })
        let cases = try lines("cases.jsonl").map { try decoder.decode(Case.self, from: $0) }
        var index: [String: Int] = [:]
        for (row, line) in try lines("texts.jsonl").enumerated() { index[try decoder.decode(String.self, from: line)] = row }
        let vectors = FileManager.default.contents(atPath: work! + "/vectors.f32") ?? Data()
        var missing: Set<String> = []

        func embed(_ texts: [String]) -> [[Float]]? {
            let unknown = texts.filter { index[$0] == nil }
            guard unknown.isEmpty else {
                missing.formUnion(unknown)
                return nil
            }
            return texts.map { text in
                vectors.withUnsafeBytes { Array($0.bindMemory(to: Float.self)[(index[text]! * 384)..<((index[text]! + 1) * 384)]) }
            }
        }

        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        var output = try encoder.encode(Head(names: ConfidenceModel.names, unitNames: UnitModel.names))
        output.append(0x0A)
        var quality: [String: (questions: Int, holding: Int, words: Int, precision: Double, recall: Double)] = [:]
        for item in cases {
            let results = item.results.enumerated().map { row, result in
                let passage = byID[result.id]!
                return SearchResult(
                    documentID: DocumentID(rawValue: passage.id), chunkID: ChunkID(rawValue: Int64(row)), source: passage.id,
                    title: passage.title.isEmpty ? nil : passage.title, page: nil, heading: "",
                    span: TextSpan(start: 0, end: passage.text.utf8.count),
                    text: passage.text, score: result.fused, scores: PassageScores(bm25: result.bm25, vector: result.vector),
                    highlights: [],
                    metadata: [:])
            }
            let sources = await PassageSelection.choose(results) { _, _ in nil }
            let analysis = QuestionAnalysis(item.question, collection: "", statistics: statistics)
            let evidence = try await Evidence.gather(
                analysis, sources: sources, collection: "", statistics: statistics, embedding: .best(AnswerOptions().embeddedUnitCountMax),
                embeddingModel: "all-MiniLM-L6-v2", embed: embed)
            guard missing.isEmpty else { continue }
            let lexical = try await Evidence.gather(
                analysis, sources: sources, collection: "", statistics: statistics, embedding: .best(0), embeddingModel: nil,
                embed: { _ in nil })
            let units = evidence.units.map { unit in
                let source = sources[unit.source]
                return Unit(
                    features: unit.features,
                    label: isEvidence(source.text(source.units[unit.unit].range), of: source.passage.documentID.rawValue, item) ? 1 : 0)
            }
            output.append(
                try encoder.encode(
                    Row(
                        id: item.id, set: item.set, kind: item.kind, answerable: item.answerable, inReach: item.inReach,
                        confidence: evidence.confidence,
                        features: evidence.features, lexicalFeatures: lexical.features,
                        units: item.answerable && item.inReach ? units : [])))
            output.append(0x0A)

            if item.answerable, item.inReach {
                let answer = ExtractiveAnswer(evidence)
                let text = answer.pieces(sources).joined()
                var entry = quality[item.set + "/" + item.kind] ?? (0, 0, 0, 0, 0)
                entry.questions += 1
                entry.words += text.split(separator: " ").count
                if item.answers.contains(where: { holds(text, $0) }) { entry.holding += 1 }
                // Sentences of ClapNQ and HotpotQA: how many of the quoted ones are evidence, and how much of the evidence is quoted.
                if !item.evidenceSentences.isEmpty {
                    let quoted = answer.quotes.map { sources[$0.source].text($0.range) }
                    let found = item.evidenceSentences.count { sentence in quoted.contains { same($0, sentence) } }
                    let right = quoted.count { quote in item.evidenceSentences.contains { same(quote, $0) } }
                    entry.recall += Double(found) / Double(item.evidenceSentences.count)
                    entry.precision += quoted.isEmpty ? 0 : Double(right) / Double(quoted.count)
                }
                quality[item.set + "/" + item.kind] = entry
            }
        }
        if missing.isEmpty {
            try output.write(to: URL(fileURLWithPath: work! + "/features.jsonl"))
            for (name, entry) in quality.sorted(by: { $0.key < $1.key }) {
                let count = Double(entry.questions)
                print(
                    "\(name): \(entry.questions) questions, answer holds the gold \(Double(entry.holding) / count), words \(Double(entry.words) / count), "
                        + "quotes that are evidence \(entry.precision / count), evidence quoted \(entry.recall / count)")
            }
        } else {
            let list = try missing.sorted().map { try encoder.encode($0) }
            try Data(list.joined(separator: [0x0A])).write(to: URL(fileURLWithPath: work! + "/missing.jsonl"))
            print("\(missing.count) texts are to be embedded: run 'fit-confidence.py embed', then this again")
        }
    }

    private func isEvidence(_ text: String, of passage: String, _ item: Case) -> Bool {
        // A translation of the gold passage has another id and is not counted.
        guard item.gold.contains(passage) else { return false }
        if !item.evidenceSentences.isEmpty { return item.evidenceSentences.contains { same(text, $0) } }
        return item.answers.contains { holds(text, $0) }
    }

    private func holds(_ text: String, _ answer: String) -> Bool {
        func plain(_ text: String) -> String {
            String(
                String.UnicodeScalarView(
                    text.lowercased().unicodeScalars.map { $0.properties.isAlphabetic || $0.properties.numericType != nil ? $0 : " " })
            )
            .split(separator: " ").joined(separator: " ")
        }
        let wanted = plain(answer)
        let isHan = wanted.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) }
        return !wanted.isEmpty && (isHan ? plain(text).contains(wanted) : (" " + plain(text) + " ").contains(" " + wanted + " "))
    }

    /// Whether most words of the shorter text stand in the longer one.
    private func same(_ left: String, _ right: String) -> Bool {
        func words(_ text: String) -> Set<String> { Set(Words.split(text).map(\.lower)) }
        let (a, b) = (words(left), words(right))
        guard min(a.count, b.count) > 2 else { return false }
        return Double(a.intersection(b).count) >= 0.85 * Double(min(a.count, b.count))
    }
}
