import Synchronization

/// Remembers the vectors of texts that were embedded lately: passages come back from question to question.
///
/// Two generations of half the bound each stand for least-recently-used order: what is not asked for while a generation fills is forgotten.
final class VectorCache: Sendable {
    private let state = Mutex<(young: [String: [Float]], old: [String: [Float]])>(([:], [:]))
    private let generationSize: Int

    init(countMax: Int) { generationSize = countMax / 2 }

    func vectors(for texts: [String]) -> [[Float]?] {
        guard generationSize > 0 else { return texts.map { _ in nil } }
        return state.withLock { state in
            texts.map { text in
                if let vector = state.young[text] { return vector }
                guard let vector = state.old[text] else { return nil }
                insert(text, vector, &state)
                return vector
            }
        }
    }

    func insert(_ entries: [(String, [Float])]) {
        guard generationSize > 0 else { return }
        state.withLock { state in
            for (text, vector) in entries { insert(text, vector, &state) }
        }
    }

    private func insert(_ text: String, _ vector: [Float], _ state: inout (young: [String: [Float]], old: [String: [Float]])) {
        if state.young.count >= generationSize {
            state.old = state.young
            state.young = [:]
        }
        state.young[text] = vector
    }
}
