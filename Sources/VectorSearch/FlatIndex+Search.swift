import Kernels
package import Storage

extension FlatIndex {
    package func search(_ query: [Float], k: Int, filter: RowSet?) throws(VectorIndexError) -> [RowHit] {
        let query = try prepare(query)
        let snapshot = snapshot
        let capacity = min(k, snapshot.count, filter?.count ?? .max)
        guard capacity > 0 else { return [] }
        let scan = FlatScan(runs: snapshot.runs, query: query, metric: metric, kernels: kernels, filter: filter)
        return scan.best(capacity).sorted.map { RowHit(row: RowID($0.id), score: $0.score) }
    }

    /// Exact scores of given rows (those that are live), each once, by descending score, ties by row id.
    package func scores(of rows: [RowID], for query: [Float]) throws(VectorIndexError) -> [RowHit] {
        let wanted = RowSet(rows)
        return try search(query, k: wanted.count, filter: wanted)
    }

    /// Checks a query and brings it to the form of the stored vectors.
    func prepare(_ query: [Float]) throws(VectorIndexError) -> [Float] {
        guard query.count == dimension else { throw .dimensionMismatch(got: query.count, expected: dimension) }
        if let element = query.withUnsafeBufferPointer({ KernelTable.firstNotFinite($0) }) { throw .notFinite(row: nil, element: element) }
        guard metric == .cosine else { return query }
        var query = query
        query.withUnsafeMutableBufferPointer { _ = KernelTable.normalize($0) }
        return query
    }
}
