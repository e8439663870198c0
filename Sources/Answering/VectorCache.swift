import Synchronization

/// Remembers the vectors of texts that were embedded lately: passages come back from question to question.
///
/// Two generations of half the bound each stand for least-recently-used order: what is not asked for while a generation fills is forgotten.
final class VectorCache: Sendable {
    private let state = Mutex<(young: [Key: [Float]], old: [Key: [Float]])>(([:], [:]))
    private let generationSize: Int

    private struct Key: Hashable {
        var model: String
        var text: String
    }

    init(countMax: Int) { generationSize = countMax / 2 }

    func vectors(for texts: [String], by model: String) -> [[Float]?] {
        guard generationSize > 0 else { return texts.map { _ in nil } }
        return state.withLock { state in
            texts.map { text in
                let key = Key(model: model, text: text)
                if let vector = state.young[key] { return vector }
                guard let vector = state.old[key] else { return nil }
                insert(key, vector, &state)
                return vector
            }
        }
    }

    func insert(_ entries: [(String, [Float])], by model: String) {
        guard generationSize > 0 else { return }
        state.withLock { state in
            for (text, vector) in entries { insert(Key(model: model, text: text), vector, &state) }
        }
    }

    private func insert(_ key: Key, _ vector: [Float], _ state: inout (young: [Key: [Float]], old: [Key: [Float]])) {
        if state.young.count >= generationSize {
            state.old = state.young
            state.young = [:]
        }
        state.young[key] = vector
    }
}
