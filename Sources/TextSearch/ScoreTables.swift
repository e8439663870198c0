/// The scores of a question's frequent terms for the postings that nearly all postings are: few occurrences in a short row.
///
/// A division for each posting is most of what adding up a frequent term costs. Weight, k1 and b are the same for all of a search's segments, so
/// the scores of a term for every small (tf, length) are computed once, by the same function, and looked up.
///
/// ```
///   tf \ length   0     1     2   ...  255
///        1      [score of one occurrence   ]
///        2      [           ...            ]
///        3      [           ...            ]
/// ```
struct ScoreTables: ~Copyable {
    static let tfMax = 3
    static let lengthCount = 256
    static let size = tfMax * lengthCount
    /// Terms with fewer postings are scored one by one.
    static let frequencyMin = 4096

    private let storage: UnsafeMutablePointer<UInt32>
    private var offsets: [Int?] = []

    /// - Parameter terms: Scaled weight and document frequency of each of the question's terms.
    init(_ terms: [(weight: Float, documentFrequency: Int)], model: BM25) {
        let count = terms.count { $0.documentFrequency >= Self.frequencyMin }
        storage = .allocate(capacity: max(1, count * Self.size))
        var next = 0
        for term in terms {
            guard term.documentFrequency >= Self.frequencyMin else {
                offsets.append(nil)
                continue
            }
            offsets.append(next)
            for tf in 1...Self.tfMax {
                for length in 0..<Self.lengthCount {
                    storage[next] = model.score(tf: UInt32(tf), length: UInt32(length), weight: term.weight)
                    next += 1
                }
            }
        }
    }

    deinit { storage.deallocate() }

    /// The table of a term, valid as long as this value; nil for a rare one.
    subscript(term: Int) -> UnsafePointer<UInt32>? { offsets[term].map { UnsafePointer(storage + $0) } }
}
