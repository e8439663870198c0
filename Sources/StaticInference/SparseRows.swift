/// Texts as shares of tokens: a sparse matrix, row by row (compressed sparse rows).
///
/// Row i holds, for each token of text i, its weight times how often it occurs, divided by the sum of these; the entries sum to 1.
struct SparseRows: Sendable {
    let rowCount: Int
    let columnCount: Int
    /// Row i's entries are at `starts[i]..<starts[i + 1]`.
    private let starts: [Int]
    /// In ascending order within a row.
    private let tokens: [Int32]
    private let shares: [Float]

    /// - Parameters:
    ///   - texts: Tokens that are indices of `weights`; an empty text is an empty row.
    ///   - weights: One for each token, positive.
    init(_ texts: [[Int32]], weights: [Float]) {
        let columns = weights.count
        rowCount = texts.count
        columnCount = columns
        var starts = [0]
        var tokens: [Int32] = []
        var shares: [Float] = []
        for text in texts {
            let total = text.reduce(Float(0)) { $0 + weights[Int($1)] }
            for token in text.sorted() {
                let share = weights[Int(token)] / total
                if tokens.count > starts.last!, tokens.last == token {
                    shares[shares.count - 1] += share
                } else {
                    tokens.append(token)
                    shares.append(share)
                }
            }
            starts.append(tokens.count)
        }
        self.starts = starts
        self.tokens = tokens
        self.shares = shares
    }

    func isEmpty(_ row: Int) -> Bool { starts[row] == starts[row + 1] }

    /// X M: shape `[rowCount, columns]` from `[columnCount, columns]`.
    func multiply(_ matrix: [Float], columns: Int) -> [Float] {
        precondition(matrix.count == columnCount * columns, "\(matrix.count) numbers for \(columnCount) × \(columns)")
        return [Float](unsafeUninitializedCapacity: rowCount * columns) { output, count in
            output.initialize(repeating: 0)
            matrix.withUnsafeBufferPointer { matrix in
                for row in 0..<rowCount {
                    let target = output.baseAddress! + row * columns
                    for entry in starts[row]..<starts[row + 1] {
                        let share = shares[entry]
                        let source = matrix.baseAddress! + Int(tokens[entry]) * columns
                        for column in 0..<columns { target[column] += share * source[column] }
                    }
                }
            }
            count = rowCount * columns
        }
    }

    /// Xᵀ M: shape `[columnCount, columns]` from `[rowCount, columns]`.
    func multiplyTransposed(_ matrix: [Float], columns: Int) -> [Float] {
        precondition(matrix.count == rowCount * columns, "\(matrix.count) numbers for \(rowCount) × \(columns)")
        return [Float](unsafeUninitializedCapacity: columnCount * columns) { output, count in
            output.initialize(repeating: 0)
            matrix.withUnsafeBufferPointer { matrix in
                for row in 0..<rowCount {
                    let source = matrix.baseAddress! + row * columns
                    for entry in starts[row]..<starts[row + 1] {
                        let share = shares[entry]
                        let target = output.baseAddress! + Int(tokens[entry]) * columns
                        for column in 0..<columns { target[column] += share * source[column] }
                    }
                }
            }
            count = columnCount * columns
        }
    }

    /// The sum of squares of each column: the diagonal of XᵀX.
    func columnSquares() -> [Float] {
        var squares = [Float](repeating: 0, count: columnCount)
        for (token, share) in zip(tokens, shares) { squares[Int(token)] += share * share }
        return squares
    }
}
