package import Inference

/// A test double, used by tests and by nothing else: bags of hashed words instead of a model.
///
/// Texts that share words are near each other, the vectors have unit length, and the same text always has the same vector, on every
/// machine. Each word adds ±1 to one of the dimensions (feature hashing, Weinberger et al. 2009).
package struct HashEmbedder: Embedder {
    package let model: EmbeddingModel
    package var tokenizer: any Tokenizer { WordTokenizer() }

    package init(dimension: Int = 64, contextLength: Int = 256) {
        precondition(dimension > 0, "dimension is \(dimension)")
        model = EmbeddingModel(name: "hash-\(dimension)", dimension: dimension, contextLength: contextLength)
    }

    package func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        try Task.checkCancellation()
        return texts.flatMap(vector)
    }

    private func vector(_ text: String) -> [Float] {
        var vector = [Float](repeating: 0, count: model.dimension)
        for word in WordTokenizer.words(text).prefix(model.contextLength) {
            let hash = Self.hash(word.lowercased().utf8)
            vector[Int((hash >> 1) % UInt64(model.dimension))] += hash & 1 == 0 ? 1 : -1
        }
        // A text without words, or whose words cancel out, still needs a direction.
        if vector.allSatisfy({ $0 == 0 }) { vector[0] = 1 }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return vector.map { $0 / length }
    }

    /// FNV-1a, then a finaliser that mixes the high bits down.
    private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash ^= hash >> 33
        hash = hash &* 0xff51_afd7_ed55_8ccd
        return hash ^ hash >> 33
    }
}
