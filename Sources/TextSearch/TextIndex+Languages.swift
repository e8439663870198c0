package import Storage

/// Which languages the rows are in, as `LanguageDetector` told when they were added.
extension TextIndex {
    /// Number of rows of each language that occurs. Removed rows count until their segment is rewritten.
    package func languageCounts() -> [Language: Int] {
        snapshot().views.reduce(into: [:]) { counts, view in
            for (language, count) in view.segment.languageCounts { counts[language, default: 0] += count }
        }
    }

    /// The languages of some rows; a row that is not there is missing.
    ///
    /// - Complexity: A binary search in each segment for each row.
    package func languages(of rows: some Sequence<RowID>) -> [RowID: Language] {
        let views = snapshot().views
        var result: [RowID: Language] = [:]
        for row in rows {
            for view in views.reversed() {
                guard let ordinal = view.segment.ordinal(of: row.rawValue), !view.tombstones.contains(ordinal) else { continue }
                result[row] = Language(rawValue: view.segment.languages[ordinal]) ?? .unknown
                break
            }
        }
        return result
    }

    /// A few rows of a language from all over the index, the same ones each time.
    ///
    /// - Complexity: One byte is read for each row: for once in a while.
    package func sample(of language: Language, count: Int) -> [RowID] {
        var rows: [RowID] = []
        for view in snapshot().views {
            guard rows.count < count else { break }
            guard let present = view.segment.languageCounts[language], present > 0 else { continue }
            let wanted = count - rows.count
            let step = max(1, present / wanted)
            var seen = 0
            var taken = 0
            for ordinal in 0..<view.segment.rowCount {
                guard view.segment.languages[ordinal] == language.rawValue, !view.tombstones.contains(ordinal) else { continue }
                if seen % step == 0 {
                    rows.append(RowID(view.segment.rows[ordinal]))
                    taken += 1
                    if taken == wanted { break }
                }
                seen += 1
            }
        }
        return rows
    }
}
