import Storage
import TestSupport
import Testing

@testable import VectorSearch

/// How to open one implementation. The conformance suite runs for each entry of `all`: a new index adds itself here and passes the same tests.
struct IndexFactory: Sendable, CustomTestStringConvertible {
    let name: String
    let open: @Sendable (_ directory: String, _ dimension: Int, _ metric: Metric, _ readOnly: Bool) throws -> any VectorIndex

    var testDescription: String { name }

    static let all = [
        IndexFactory(name: "flat") { try FlatIndex(directory: $0, dimension: $1, metric: $2, readOnly: $3) },
        // Lists for the smallest segment, and every one of them probed: then an inverted file changes no answer.
        IndexFactory(name: "ivf") {
            try IVFIndex(
                directory: $0, dimension: $1, metric: $2, readOnly: $3, recallTarget: 1,
                parameters: IVFParameters(rowCountMin: 1, sampleFactor: 4, iterations: 1, threads: 1, planSampleCount: 0))
        },
    ]
}

/// The specification of an index: a dictionary, searched in double precision by sorting everything.
struct Oracle {
    let dimension: Int
    let metric: Metric
    private(set) var vectors: [Int64: [Float]] = [:]

    init(dimension: Int, metric: Metric) {
        self.dimension = dimension
        self.metric = metric
    }

    var ids: [Int64] { vectors.keys.sorted() }

    mutating func add(_ rows: VectorRows) {
        for (index, row) in rows.rows.enumerated() {
            vectors[row.rawValue] = Array(rows.values[index * dimension..<(index + 1) * dimension])
        }
    }

    mutating func remove(_ rows: [RowID]) {
        for row in rows { vectors[row.rawValue] = nil }
    }

    func score(_ query: [Float], _ id: Int64) -> Double {
        let vector = vectors[id]!
        var (product, distance, squares, querySquares) = (0.0, 0.0, 0.0, 0.0)
        for index in 0..<dimension {
            let (a, b) = (Double(query[index]), Double(vector[index]))
            product += a * b
            distance += (a - b) * (a - b)
            squares += b * b
            querySquares += a * a
        }
        switch metric {
        case .innerProduct: return product
        case .l2: return 0 - distance
        case .cosine: return squares * querySquares == 0 ? 0 : product / (squares.squareRoot() * querySquares.squareRoot())
        }
    }

    func search(_ query: [Float], k: Int, filter: Set<Int64>? = nil) -> [(id: Int64, score: Double)] {
        let hits = vectors.keys.filter { filter?.contains($0) ?? true }.map { (id: $0, score: score(query, $0)) }
        return Array(hits.sorted { $0.score > $1.score || ($0.score == $1.score && $0.id < $1.id) }.prefix(max(0, k)))
    }

    /// Compares hits with the specification.
    ///
    /// Small whole numbers make inner products and distances exact in any order of summation, so these must be equal, ties included.
    /// Cosines are rounded: there, each score must be right to 10⁻⁵ and each rank may differ only among scores that close.
    func check(
        _ hits: [RowHit], _ query: [Float], k: Int, filter: Set<Int64>? = nil, _ comment: @autoclosure () -> String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let expected = search(query, k: k, filter: filter)
        if metric != .cosine {
            let isEqual = hits.elementsEqual(expected) { $0.row.rawValue == $1.id && Double($0.score) == $1.score }
            #expect(isEqual, "\(comment()): got \(hits.prefix(5)), expected \(expected.prefix(5))", sourceLocation: sourceLocation)
            return
        }
        #expect(hits.count == expected.count, "\(comment())", sourceLocation: sourceLocation)
        #expect(Set(hits.map(\.row)).count == hits.count, "\(comment()): a row twice", sourceLocation: sourceLocation)
        for (hit, wanted) in zip(hits, expected) {
            guard vectors[hit.row.rawValue] != nil, filter?.contains(hit.row.rawValue) ?? true else {
                Issue.record("\(comment()): row \(hit.row) should not be found", sourceLocation: sourceLocation)
                return
            }
            #expect(abs(Double(hit.score) - wanted.score) < 1e-5, "\(comment())", sourceLocation: sourceLocation)
            #expect(abs(Double(hit.score) - score(query, hit.row.rawValue)) < 1e-5, "\(comment())", sourceLocation: sourceLocation)
        }
        let isSorted = zip(hits, hits.dropFirst()).allSatisfy { ($0.score, $1.row) > ($1.score, $0.row) }
        #expect(isSorted, "\(comment()): not sorted", sourceLocation: sourceLocation)
    }
}

/// Vectors of small whole numbers.
func wholeVector(_ dimension: Int, _ generator: inout SeededGenerator) -> [Float] {
    (0..<dimension).map { _ in Float(Int.random(in: -4...4, using: &generator)) }
}

func rows(_ ids: [Int64], _ dimension: Int, _ generator: inout SeededGenerator) -> VectorRows {
    VectorRows(rows: ids.map { RowID($0) }, values: ids.flatMap { _ in wholeVector(dimension, &generator) })
}

func position(_ highWater: Int64, _ deletionSequence: Int64 = 0) -> IndexPosition {
    IndexPosition(highWater: RowID(highWater), deletionSequence: deletionSequence)
}
