/// Eigenvalues and eigenvectors of a real symmetric matrix: Householder reflections to tridiagonal form, then implicit QL.
///
/// ```
///  full symmetric ──n-2 reflections──► tridiagonal ──rotations chase the off-diagonal to zero──► diagonal = eigenvalues
///         A        =        Q T Qᵀ          =            (Q G₁G₂…) Λ (Q G₁G₂…)ᵀ
/// ```
///
/// The method is that of Martin, Reinsch & Wilkinson and of Bowdler et al. in Wilkinson & Reinsch, "Handbook for Automatic Computation II",
/// 1971, contributions II/2 and II/3; see also Golub & Van Loan, "Matrix Computations", §8.3. O(*n*³): 384 × 384 takes a fraction of a second.
struct SymmetricEigen {
    /// In descending order.
    let values: [Double]
    /// Shape `[n, n]`; row i is the unit vector that belongs to `values[i]`, its largest component positive.
    let vectors: [Double]

    /// - Parameter matrix: Shape `[n, n]`, symmetric, finite.
    init(_ matrix: [Double], n: Int) {
        precondition(matrix.count == n * n && n > 0, "\(matrix.count) numbers are no matrix of \(n) rows")
        precondition(matrix.allSatisfy(\.isFinite), "the matrix is not finite")
        // Rows of `q` become the eigenvectors: Q is kept transposed, so that every inner loop runs along a row.
        var q = [Double](repeating: 0, count: n * n)
        for index in 0..<n { q[index * n + index] = 1 }
        var a = matrix
        var diagonal = [Double](repeating: 0, count: n)
        var off = [Double](repeating: 0, count: n)
        Self.tridiagonalize(&a, &q, n: n, &diagonal, &off)
        Self.diagonalize(&diagonal, &off, &q, n: n)

        let order = diagonal.indices.sorted { (diagonal[$0], $1) > (diagonal[$1], $0) }
        values = order.map { diagonal[$0] }
        var vectors: [Double] = []
        vectors.reserveCapacity(n * n)
        for index in order {
            let row = q[index * n..<(index + 1) * n]
            // An eigenvector's sign is arbitrary; a rule makes results the same everywhere.
            let largest = row.max { abs($0) < abs($1) }!
            vectors.append(contentsOf: largest < 0 ? row.map { -$0 } : Array(row))
        }
        self.vectors = vectors
    }

    /// Applies A ← H A H for one reflection H = I - β v vᵀ after the other, each clearing one column below the subdiagonal, and qᵀ ← H qᵀ.
    private static func tridiagonalize(_ a: inout [Double], _ q: inout [Double], n: Int, _ diagonal: inout [Double], _ off: inout [Double])
    {
        a.withUnsafeMutableBufferPointer { a in
            q.withUnsafeMutableBufferPointer { q in
                var v = [Double](repeating: 0, count: n)
                var p = [Double](repeating: 0, count: n)
                for k in 0..<max(0, n - 2) {
                    var norm = 0.0
                    for i in k + 1..<n { norm += a[k * n + i] * a[k * n + i] }
                    norm = norm.squareRoot()
                    if norm == 0 { continue }
                    for i in 0..<n { v[i] = i > k ? a[k * n + i] : 0 }
                    // The sign that does not cancel.
                    let alpha = v[k + 1] > 0 ? -norm : norm
                    v[k + 1] -= alpha
                    var square = 0.0
                    for i in k + 1..<n { square += v[i] * v[i] }
                    if square == 0 { continue }
                    let beta = 2 / square
                    // p = β A v, K = β/2 vᵀp, w = p - K v; then A ← A - v wᵀ - w vᵀ.
                    for i in k..<n {
                        var sum = 0.0
                        let row = i * n
                        for j in k + 1..<n { sum += a[row + j] * v[j] }
                        p[i] = beta * sum
                    }
                    var half = 0.0
                    for i in k + 1..<n { half += v[i] * p[i] }
                    half *= beta / 2
                    for i in k..<n { p[i] -= half * v[i] }
                    for i in k..<n {
                        let (vi, wi) = (v[i], p[i])
                        let row = i * n
                        for j in k..<n { a[row + j] -= vi * p[j] + wi * v[j] }
                    }
                    // Row i of `q` is basis vector i: q ← H q mixes rows.
                    for j in 0..<n { p[j] = 0 }
                    for i in k + 1..<n {
                        let vi = v[i]
                        let row = i * n
                        for j in 0..<n { p[j] += vi * q[row + j] }
                    }
                    for i in k + 1..<n {
                        let factor = beta * v[i]
                        let row = i * n
                        for j in 0..<n { q[row + j] -= factor * p[j] }
                    }
                }
                for i in 0..<n { diagonal[i] = a[i * n + i] }
                for i in 0..<max(0, n - 1) { off[i] = a[i * n + i + 1] }
            }
        }
    }

    /// Implicit QL with Wilkinson's shift: `off[i]` couples i and i + 1; each rotation of a pair of coordinates turns two rows of `q`.
    private static func diagonalize(_ diagonal: inout [Double], _ off: inout [Double], _ q: inout [Double], n: Int) {
        for l in 0..<n {
            var rounds = 0
            while true {
                var m = l
                while m < n - 1, abs(off[m]) > Double.ulpOfOne * (abs(diagonal[m]) + abs(diagonal[m + 1])),
                    abs(off[m]) > .leastNormalMagnitude
                {
                    m += 1
                }
                if m == l { break }
                rounds += 1
                precondition(rounds <= 200, "the QL iteration does not converge at row \(l) of \(n)")
                var g = (diagonal[l + 1] - diagonal[l]) / (2 * off[l])
                var r = (g * g + 1).squareRoot()
                g = diagonal[m] - diagonal[l] + off[l] / (g + (g < 0 ? -r : r))
                var (s, c, p) = (1.0, 1.0, 0.0)
                var i = m - 1
                var isCut = false
                while i >= l {
                    let f = s * off[i]
                    let b = c * off[i]
                    r = (f * f + g * g).squareRoot()
                    off[i + 1] = r
                    if r == 0 {
                        diagonal[i + 1] -= p
                        off[m] = 0
                        isCut = true
                        break
                    }
                    s = f / r
                    c = g / r
                    g = diagonal[i + 1] - p
                    r = (diagonal[i] - g) * s + 2 * c * b
                    p = s * r
                    diagonal[i + 1] = g + p
                    g = c * r - b
                    q.withUnsafeMutableBufferPointer { q in
                        let (low, high) = (i * n, (i + 1) * n)
                        for j in 0..<n {
                            let (x, y) = (q[low + j], q[high + j])
                            q[high + j] = s * x + c * y
                            q[low + j] = c * x - s * y
                        }
                    }
                    i -= 1
                }
                if isCut { continue }
                diagonal[l] -= p
                off[l] = g
                off[m] = 0
            }
        }
    }
}
