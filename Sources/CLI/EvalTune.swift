import Evaluation
import Foundation
import Indexing
import Retrieval
import Storage
import TextSearch
import VectorSearch

/// Tunes what can be changed without embedding anything again: BM25's k1 and b, the title's weight, and how the two retrievers are fused.
///
/// Every set is indexed and its questions are embedded once. Then each combination of parameters is judged on each set by nDCG@10, and the choice is made
/// by leaving one set out at a time (`ParameterSelection`): what is printed for a set was chosen on the others.
///
/// ```
///   set A  --index once--> text hits for each (title, k1, b)  \
///                          vector hits, once                   > fuse in each way -> nDCG@10 of text, vector, hybrid -> table [set][candidate]
///   set B  ...                                                /
/// ```
struct Tuner {
    struct TextParameters: Hashable, Sendable {
        var titleWeight: Float
        var bm25: BM25Parameters
    }

    enum FusionParameters: Hashable, Sendable {
        case minmax(vectorWeight: Float)
        case rrf(vectorWeight: Float, rankConstant: Float)

        var method: FusionMethod {
            switch self {
            case .minmax: .minmax
            case .rrf: .rrf
            }
        }
    }

    struct Candidate: Sendable {
        var text: Int
        var fusion: Int
    }

    /// nDCG@10 of one set.
    struct SetScores: Sendable {
        var name: String
        var queryCount: Int
        var vector: Double
        /// For each of the text parameters.
        var text: [Double]
        /// For each of the text parameters, each way of fusion.
        var hybrid: [[Double]]
    }

    let textGrid: [TextParameters]
    let fusionGrid: [FusionParameters]
    /// In order of preference: the present defaults first.
    let candidates: [Candidate]
    /// A change that gains less than this is no reason to leave a candidate that stands before it: of 1,350 candidates the best on two sets gains 0.0014 to 0.0023 there
    /// by chance alone, and loses up to 0.009 on the third (the one-standard-error rule of Breiman et al., 1984, with a round number for the error).
    static let tolerance = 0.003

    init(defaults: TextParameters, vectorWeight: Float) {
        var text = [defaults]
        for titleWeight in [1, 2, 3] as [Float] {
            for k1 in [0.6, 0.9, 1.2, 1.6, 2] as [Float] {
                for b in [0.3, 0.4, 0.5, 0.6, 0.75, 0.9] as [Float] {
                    let parameters = TextParameters(titleWeight: titleWeight, bm25: BM25Parameters(k1: k1, b: b))
                    if parameters != defaults { text.append(parameters) }
                }
            }
        }
        var fusion = [FusionParameters.minmax(vectorWeight: vectorWeight)]
        for step in 10...18 {
            let weight = Float(step) / 20
            if weight != vectorWeight { fusion.append(.minmax(vectorWeight: weight)) }
        }
        for constant in [10, 60] as [Float] {
            for weight in [0.5, 0.6, 0.7] as [Float] { fusion.append(.rrf(vectorWeight: weight, rankConstant: constant)) }
        }
        textGrid = text
        fusionGrid = fusion
        let combinations = text.indices.flatMap { text in fusion.indices.map { Candidate(text: text, fusion: $0) } }
        // A candidate that differs from the defaults in less stands before one that differs in more.
        func distance(_ candidate: Candidate) -> Float {
            let one = text[candidate.text]
            var sum = abs(one.titleWeight - defaults.titleWeight) + abs(one.bm25.k1 - defaults.bm25.k1) + abs(one.bm25.b - defaults.bm25.b)
            switch fusion[candidate.fusion] {
            case .minmax(let weight): sum += 2 * abs(weight - vectorWeight)
            case .rrf(let weight, _): sum += 2 + abs(weight - 0.5)
            }
            return sum
        }
        candidates = combinations.map { ($0, distance($0)) }.sorted { $0.1 < $1.1 }.map(\.0)
    }

    /// Judges every candidate on one set, with as many threads as there are cores.
    func judge(_ set: TuningSet, progress: (String) -> Void) async throws -> SetScores {
        let weights = Set(textGrid.map(\.titleWeight)).sorted()
        var indexes: [Float: TextIndex] = [:]
        for weight in weights { indexes[weight] = try set.textIndex(titleWeight: weight) }
        let ready = indexes
        var text = [Double](repeating: 0, count: textGrid.count)
        var hybrid = [[Double]](repeating: [Double](repeating: 0, count: fusionGrid.count), count: textGrid.count)
        var vector = 0.0
        var done = 0
        try await withThrowingTaskGroup(of: (vector: Double, text: [Double], hybrid: [[Double]]).self) { group in
            var waiting = set.queries.makeIterator()
            for _ in 0..<max(1, ProcessInfo.processInfo.activeProcessorCount) {
                if let query = waiting.next() { group.addTask { try judge(query, of: set, ready) } }
            }
            // Sums in the order of arrival would differ in their last bit from run to run; halves of a millionth do not decide here.
            while let scores = try await group.next() {
                vector += scores.vector
                for index in text.indices {
                    text[index] += scores.text[index]
                    for fusion in fusionGrid.indices { hybrid[index][fusion] += scores.hybrid[index][fusion] }
                }
                done += 1
                if done % 10 == 0 { progress("\(set.name): judged \(done) of \(set.queries.count) questions") }
                if let query = waiting.next() { group.addTask { try judge(query, of: set, ready) } }
            }
        }
        let count = Double(max(1, set.queries.count))
        return SetScores(
            name: set.name, queryCount: set.queries.count, vector: vector / count, text: text.map { $0 / count },
            hybrid: hybrid.map { $0.map { $0 / count } })
    }

    private func judge(
        _ query: TuningSet.Query, of set: TuningSet, _ indexes: [Float: TextIndex]
    ) throws -> (vector: Double, text: [Double], hybrid: [[Double]]) {
        let lists = textGrid.map {
            indexes[$0.titleWeight]!.search(query.text, k: TuningSet.depth, parameters: $0.bm25)
        }
        // Rows that only the words found have a cosine too, as in a search.
        let known = Set(query.vectorHits.lazy.map(\.row))
        let missing = Set(lists.joined().lazy.map(\.row)).subtracting(known).sorted { $0.rawValue < $1.rawValue }
        let extra = Dictionary(
            uniqueKeysWithValues: try (set.indexes.vectors?.scores(of: missing, for: query.embedding) ?? []).map { ($0.row, $0) })
        let hybrid = lists.map { list in
            let cosines = query.vectorHits + list.compactMap { extra[$0.row] }
            return fusionGrid.map { fusion in
                let fused =
                    switch fusion {
                    case .minmax(let weight): Fusion.minMax(text: list, vector: cosines, vectorWeight: weight)
                    case .rrf(let weight, let constant):
                        Fusion.reciprocalRank(text: list, vector: query.vectorHits, vectorWeight: weight, rankConstant: constant)
                    }
                return set.nDCG(query, fused.lazy.map(\.row))
            }
        }
        return (set.nDCG(query, query.vectorHits.lazy.map(\.row)), lists.map { set.nDCG(query, $0.lazy.map(\.row)) }, hybrid)
    }

    /// What the sets choose. A candidate's worth is the mean of its text and its hybrid figure, since both modes are used.
    func select(_ sets: [SetScores]) -> (heldOut: [Candidate], overall: Candidate) {
        let table = sets.map { set in candidates.map { (set.text[$0.text] + set.hybrid[$0.text][$0.fusion]) / 2 } }
        let selection = ParameterSelection(table, tolerance: Self.tolerance)
        return (selection.heldOut.map { candidates[$0] }, candidates[selection.overall])
    }
}

// MARK: - Report

// The names are the members of the JSON object.
// swift-format-ignore: AlwaysUseLowerCamelCase
/// What tuning found; figures are nDCG@10.
struct TuneReport: Encodable {
    struct Parameters: Encodable {
        var title_weight: Float
        var k1: Float
        var b: Float
        var fusion: String
        var vector_weight: Float
        var rank_constant: Float?
    }

    struct Figures: Encodable {
        var dataset: String
        var queries: Int
        var parameters: Parameters
        var text: Double
        var vector: Double
        var hybrid: Double
        /// Hybrid minus the better of the other two.
        var margin: Double
    }

    /// Each set with what the other sets chose.
    var held_out: [Figures]
    /// Each set with what all sets chose, and with the present defaults.
    var chosen: [Figures]
    var defaults: [Figures]

    init(_ sets: [Tuner.SetScores], _ tuner: Tuner) {
        func parameters(_ candidate: Tuner.Candidate) -> Parameters {
            let text = tuner.textGrid[candidate.text]
            var result = Parameters(
                title_weight: text.titleWeight, k1: text.bm25.k1, b: text.bm25.b,
                fusion: tuner.fusionGrid[candidate.fusion].method.rawValue,
                vector_weight: 0)
            switch tuner.fusionGrid[candidate.fusion] {
            case .minmax(let weight): result.vector_weight = weight
            case .rrf(let weight, let constant):
                result.vector_weight = weight
                result.rank_constant = constant
            }
            return result
        }
        func figures(_ set: Tuner.SetScores, _ candidate: Tuner.Candidate) -> Figures {
            let (text, hybrid) = (set.text[candidate.text], set.hybrid[candidate.text][candidate.fusion])
            return Figures(
                dataset: set.name, queries: set.queryCount, parameters: parameters(candidate), text: text, vector: set.vector,
                hybrid: hybrid,
                margin: hybrid - max(text, set.vector))
        }
        let choice = tuner.select(sets)
        held_out = zip(sets, choice.heldOut).map { figures($0, $1) }
        chosen = sets.map { figures($0, choice.overall) }
        defaults = sets.map { figures($0, Tuner.Candidate(text: 0, fusion: 0)) }
    }

    func print() {
        Output.line("nDCG@10. Margin: hybrid minus the better single retriever.")
        table("Held out: each set with the parameters that the other sets chose", held_out)
        table("Chosen on all sets", chosen)
        table("Present defaults", defaults)
    }

    private func table(_ title: String, _ rows: [Figures]) {
        Output.line()
        Output.line(Output.bold(title))
        Output.line("set                  questions   text    vector  hybrid  margin   title   k1    b     fusion")
        for row in rows {
            let p = row.parameters
            let fusion = "\(p.fusion) \(p.vector_weight)" + (p.rank_constant.map { ", constant \($0)" } ?? "")
            Output.line(
                row.dataset.padding(toLength: 20, withPad: " ", startingAt: 0)
                    + String(
                        format: " %9d  %.4f  %.4f  %.4f  %+.4f  %4.1f  %4.2f  %4.2f   ", row.queries, row.text, row.vector, row.hybrid,
                        row.margin, p.title_weight, p.k1, p.b) + fusion)
        }
    }
}
