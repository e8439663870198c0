package import Documents
package import Storage
import Synchronization

/// Which rows of a collection a question may be answered from: what was asked for, and the rows that it means now.
package struct Selection: Sendable {
    package var predicate: Filter
    package var rows: RowSet
}

/// The row sets of the conditions that questions came with, kept in step with the documents.
///
/// ```
///   year >= 2024 and not (lang = de)
///        |                |
///     rows of          rows of          each read from the database once,
///   year >= 2024      lang = de         then brought up to date with the documents that changed since
///        \                |
///         \          all rows − .       64 rows a step
///          `--- ∩ ---´
/// ```
///
/// A condition is true or false for a document, never unknown, so "and", "or" and "not" are intersection, union and difference of row sets. What changed is taken
/// from the store's log; the changed documents alone are asked for again, in the same SQL, so there is no second meaning of a filter. Where the log does not
/// reach back, or another process writes, the condition is read anew.
///
/// The memory is bounded; the sets that were not used for longest go first.
final class SelectionCache: Sendable {
    /// One bit for each row between the first and the last: 64 MiB are 512 conditions over a million rows.
    static let sizeMax = 64 << 20
    static let countMax = 512

    private struct Entry {
        var rows: RowSet
        /// The store's position that `rows` is level with.
        var position: UInt64
        var lastUse: UInt64
    }

    private struct State {
        var entries: [Filter: Entry] = [:]
        var size = 0
        var uses: UInt64 = 0
    }

    private let collection: CollectionID
    private let store: DocumentStore
    private let state = Mutex(State())

    init(collection: CollectionID, store: DocumentStore) {
        self.collection = collection
        self.store = store
    }

    /// Conditions whose rows are held, and their bytes.
    var counts: (conditions: Int, size: Int) { state.withLock { ($0.entries.count, $0.size) } }

    /// The rows of the documents that match a filter.
    ///
    /// - Throws: `.invalidFilter` for what cannot be compared.
    func rows(matching filter: Filter) throws(DocumentStoreError) -> RowSet {
        try store.check(filter, in: collection)
        var position = UInt64.max
        let rows = try evaluate(filter, &position)
        switch filter {
        case .eq, .lt, .lte, .gt, .gte, .isIn, .exists: return rows
        default: break
        }
        // Each condition was read at a moment of its own. Documents that changed in between are asked for the whole filter, in one statement.
        if store.isReadOnly || position == .max { return rows }
        guard let changes = store.possibleChanges(in: collection, since: position) else {
            return RowSet(try store.chunkIDs(in: collection, matching: filter).map { RowID($0.rawValue) })
        }
        return try updated(rows, by: changes, filter)
    }

    /// - Parameter position: Lowered to the earliest of the conditions' positions.
    private func evaluate(_ filter: Filter, _ position: inout UInt64) throws(DocumentStoreError) -> RowSet {
        switch filter {
        case .and(let filters):
            guard let first = filters.first else { return try rows(of: Self.everything, &position) }
            var result = try evaluate(first, &position)
            for filter in filters.dropFirst() where !result.isEmpty { result = result.intersection(try evaluate(filter, &position)) }
            return result
        case .or(let filters):
            var result = RowSet([RowID]())
            for filter in filters { result = result.union(try evaluate(filter, &position)) }
            return result
        case .not(let filter): return try rows(of: Self.everything, &position).subtracting(try evaluate(filter, &position))
        case .ne(let key, let value): return try evaluate(.not(.eq(key, value)), &position)
        case .notIn(let key, let values): return try evaluate(.not(.isIn(key, values)), &position)
        case .eq, .lt, .lte, .gt, .gte, .isIn, .exists: return try rows(of: filter, &position)
        }
    }

    /// What every document matches.
    private static let everything = Filter.and([])

    /// The rows of one condition, from memory or from the database.
    private func rows(of condition: Filter, _ earliest: inout UInt64) throws(DocumentStoreError) -> RowSet {
        let known = state.withLock { state -> Entry? in
            state.uses += 1
            state.entries[condition]?.lastUse = state.uses
            return state.entries[condition]
        }
        if let known, let changes = store.changes(in: collection, since: known.position) {
            earliest = min(earliest, changes.position)
            if changes.position == known.position { return known.rows }
            let rows = try updated(known.rows, by: changes, condition)
            keep(rows, at: changes.position, for: condition)
            return rows
        }
        // The position first: what is committed after it is looked at again.
        let position = store.changePosition(of: collection)
        earliest = min(earliest, position)
        let rows = RowSet(try store.chunkIDs(in: collection, matchingPart: condition).map { RowID($0.rawValue) })
        if !store.isReadOnly { keep(rows, at: position, for: condition) }
        return rows
    }

    private func updated(_ rows: RowSet, by changes: DocumentChanges, _ condition: Filter) throws(DocumentStoreError) -> RowSet {
        func set(_ chunks: [ChunkID]) -> RowSet { RowSet(chunks.map { RowID($0.rawValue) }) }
        var rows = rows
        if !changes.removed.isEmpty { rows = rows.subtracting(set(changes.removed)) }
        guard !changes.changed.isEmpty else { return rows }
        let now = try store.chunkIDs(of: changes.changed, in: collection, matching: condition)
        return rows.subtracting(set(now.all)).union(set(now.matching))
    }

    private func keep(_ rows: RowSet, at position: UInt64, for condition: Filter) {
        state.withLock { state in
            // Somebody else may have come further meanwhile.
            if let known = state.entries[condition], known.position >= position { return }
            if let old = state.entries.removeValue(forKey: condition) { state.size -= old.rows.size }
            guard rows.size <= Self.sizeMax / 4 else { return }
            while state.entries.count >= Self.countMax || state.size + rows.size > Self.sizeMax,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.size -= oldest.value.rows.size
                state.entries[oldest.key] = nil
            }
            state.uses += 1
            state.entries[condition] = Entry(rows: rows, position: position, lastUse: state.uses)
            state.size += rows.size
        }
    }
}
