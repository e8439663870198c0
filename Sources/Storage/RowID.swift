/// Identifies one searchable row: the same number in every index of a collection and in `chunks.id` of the database.
///
/// Row ids only grow: a number is never used twice, so "everything after row *n*" is a stable question.
package struct RowID: RawRepresentable, Hashable, Comparable, Sendable, Codable {
    package let rawValue: Int64

    package init(rawValue: Int64) { self.rawValue = rawValue }
    package init(_ rawValue: Int64) { self.rawValue = rawValue }

    package static func < (left: RowID, right: RowID) -> Bool { left.rawValue < right.rawValue }
}

/// How far a derived index has followed the database.
///
/// After a crash the rows after `highWater` and the deletions after `deletionSequence` are read again from the database. That is right only when the
/// database is the one that the files have followed: `seal` is a random word that was written into it just before the files were, so a database that does not
/// know the word is another one, or an older copy.
package struct IndexPosition: Hashable, Sendable, Codable {
    /// The largest row id that the sealed files contain or have seen.
    package var highWater: RowID
    /// The last entry of the deletion log that the sealed files have taken in.
    package var deletionSequence: Int64
    /// Names the seal that wrote the files; nil in files of versions that did not know it.
    package var seal: String?

    package init(highWater: RowID = RowID(0), deletionSequence: Int64 = 0, seal: String? = nil) {
        self.highWater = highWater
        self.deletionSequence = deletionSequence
        self.seal = seal
    }

    /// Whether both stand for the same rows and deletions, whichever seal wrote them.
    package func isLevel(with other: IndexPosition) -> Bool {
        highWater == other.highWater && deletionSequence == other.deletionSequence
    }
}

/// One scored row. Larger scores are better; lists of hits are sorted by descending score, ties by ascending row id.
package struct RowHit: Hashable, Sendable {
    package var row: RowID
    package var score: Float

    package init(row: RowID, score: Float) {
        self.row = row
        self.score = score
    }
}
