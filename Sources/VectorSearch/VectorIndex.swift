package import Storage

/// How closeness is measured. Scores are larger when closer: inner product and cosine as they are, L2 as the negative squared distance.
package enum Metric: String, Codable, Sendable, CaseIterable {
    case cosine, innerProduct, l2
}

/// A batch of vectors, row-major: `values.count == rows.count * dimension`.
package struct VectorRows: Sendable {
    package var rows: [RowID]
    package var values: [Float]

    package init(rows: [RowID], values: [Float]) {
        self.rows = rows
        self.values = values
    }
}

/// What a vector index refuses.
package enum VectorIndexError: Error, Sendable, CustomStringConvertible {
    case storage(StorageError)
    case dimensionMismatch(got: Int, expected: Int)
    case configurationChanged(path: String)
    case readOnly(path: String)
    /// A vector holds a NaN or an infinity. `row` is nil when the vector is a query.
    case notFinite(row: RowID?, element: Int)

    package var description: String {
        switch self {
        case .storage(let error): error.description
        case .dimensionMismatch(let got, let expected):
            "a vector has \(got) dimensions, the index has \(expected); use the collection's embedding model, or re-embed it"
        case .configurationChanged(let path): "the vector index in '\(path)' was built with other settings; run 'outrider index rebuild'"
        case .readOnly(let path): "the vector index in '\(path)' is opened read-only; write through the process that owns the data folder"
        case .notFinite(let row, let element):
            "element \(element) of \(row.map { "the vector of row \($0.rawValue)" } ?? "the query vector") is not finite; embed the text again"
        }
    }
}

/// The nearest rows to a vector. Implementations: `FlatIndex` (exact scan), and `IVFIndex` (inverted lists of codes, exact at the end) over it.
///
/// Readers work on an immutable snapshot and never wait for the one writer. Conformance: one shared test suite runs against every implementation.
///
/// What every implementation promises about unusual numbers:
/// - A NaN or an infinity in a vector or a query is refused (`notFinite`); a batch is taken whole or not at all.
/// - A zero vector has no direction. Under cosine it stays zero and scores 0 against everything; a zero query scores 0 for every row.
/// - A score that overflows is an infinity; one that is not a number (infinity minus infinity) ranks last, as minus infinity.
package protocol VectorIndex: AnyObject, Sendable {
    var dimension: Int { get }
    var metric: Metric { get }
    /// What the sealed files contain. Rows after it must be added again by the caller after opening.
    var sealedPosition: IndexPosition { get }
    /// Number of live rows, and of those not yet sealed.
    var count: Int { get }
    var unsealedCount: Int { get }
    /// Rows in memory until the next seal, removed ones too: replacing few rows again and again fills it all the same.
    var heldCount: Int { get }

    /// Adds rows; the next search sees them. A row id that is already there is replaced; twice in one batch, the last one counts.
    /// For cosine, values are normalised here.
    func add(_ rows: VectorRows) throws(VectorIndexError)
    /// Removes rows; the next search does not return them. Unknown ids are ignored.
    func remove(_ rows: [RowID])
    /// The nearest rows, at most `k`, by descending score, ties by row id.
    ///
    /// - Parameters:
    ///   - query: Shape `[dimension]`.
    ///   - filter: When given, only its members are candidates.
    func search(_ query: [Float], k: Int, filter: RowSet?) throws(VectorIndexError) -> [RowHit]
    /// As above, to another recall than the index's own.
    ///
    /// - Parameter recall: The expected share of the true k nearest rows, above 0; nil is the index's own. An index that is always exact looks away.
    func search(_ query: [Float], k: Int, filter: RowSet?, recall: Float?) throws(VectorIndexError) -> [RowHit]
    /// As `search` without a filter, for many queries on the caller's thread.
    ///
    /// - Parameter queries: Shape `[count, dimension]`, row-major.
    /// - Returns: Hits of each query, in their order: those that `search` gives for it alone, bit for bit.
    func search(batch queries: [Float], k: Int, recall: Float?) throws(VectorIndexError) -> [[RowHit]]
    /// Exact scores of given rows (those that are live), for rescoring candidates that other retrievers found.
    func scores(of rows: [RowID], for query: [Float]) throws(VectorIndexError) -> [RowHit]

    /// Writes the delta and the tombstones to files and publishes a manifest with this position.
    func seal(at position: IndexPosition) throws(VectorIndexError)
    /// Rewrites everything without any trace of removed rows.
    func compact(at position: IndexPosition) throws(VectorIndexError)
    /// Every live row id, ascending.
    func liveRows() -> [RowID]
    /// Reads all checksums and internal invariants; returns one sentence per flaw.
    func verify() -> [String]
}

extension VectorIndex {
    package func search(_ query: [Float], k: Int, filter: RowSet?, recall: Float?) throws(VectorIndexError) -> [RowHit] {
        try search(query, k: k, filter: filter)
    }

    package func search(batch queries: [Float], k: Int) throws(VectorIndexError) -> [[RowHit]] {
        try search(batch: queries, k: k, recall: nil)
    }

    package func search(batch queries: [Float], k: Int, recall: Float?) throws(VectorIndexError) -> [[RowHit]] {
        guard queries.count % dimension == 0 else { throw .dimensionMismatch(got: queries.count % dimension, expected: dimension) }
        var results: [[RowHit]] = []
        for start in stride(from: 0, to: queries.count, by: dimension) {
            results.append(try search(Array(queries[start..<start + dimension]), k: k, filter: nil, recall: recall))
        }
        return results
    }
}
