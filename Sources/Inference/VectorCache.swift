import Synchronization

/// Remembers vectors that were made lately, so many bytes of them at most.
///
/// Two generations of half the bound each stand for least-recently-used order: what is not asked for while a generation fills is forgotten.
package final class VectorCache<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        var vector: [Float]
        var size: Int
    }

    private struct State {
        var young: [Key: Entry] = [:]
        var old: [Key: Entry] = [:]
        var youngSize = 0
        var oldSize = 0
    }

    /// What an entry takes beside its vector and what its key points to.
    private static var overhead: Int { 96 }

    private let state = Mutex(State())
    private let generationSize: Int

    /// - Parameter sizeMax: Bytes; 0 keeps nothing.
    package init(sizeMax: Int) { generationSize = sizeMax / 2 }

    /// Bytes held.
    package var size: Int { state.withLock { $0.youngSize + $0.oldSize } }

    package subscript(key: Key) -> [Float]? {
        guard generationSize > 0 else { return nil }
        return state.withLock { state in
            if let entry = state.young[key] { return entry.vector }
            guard let entry = state.old[key] else { return nil }
            insert(entry, for: key, &state)
            return entry.vector
        }
    }

    /// Keeps a vector, unless it is too large to be kept beside others.
    ///
    /// - Parameter size: Bytes that the key points to.
    package func insert(_ vector: [Float], for key: Key, size: Int) {
        let entry = Entry(vector: vector, size: vector.count * MemoryLayout<Float>.stride + size + Self.overhead)
        guard entry.size <= generationSize / 8 else { return }
        state.withLock { insert(entry, for: key, &$0) }
    }

    private func insert(_ entry: Entry, for key: Key, _ state: inout State) {
        if let known = state.young[key] { state.youngSize -= known.size }
        if state.youngSize + entry.size > generationSize {
            state.old = state.young
            state.oldSize = state.youngSize
            state.young = [:]
            state.youngSize = 0
        }
        state.young[key] = entry
        state.youngSize += entry.size
    }
}
