/// Keeps the first coordinates of another embedder's vectors, and scales them to length 1 again.
///
/// For models whose first coordinates carry most of the meaning (Kusupati et al., *Matryoshka representation learning*, NeurIPS 2022): a third of the coordinates is
/// a third of the memory, of the time to search and of the disk. Models that were not trained so lose more; `outrider eval` says how much.
package struct ShortenedEmbedder: Embedder {
    package let model: EmbeddingModel
    private let base: any Embedder

    package var tokenizer: any Tokenizer { base.tokenizer }

    /// - Throws: `InferenceError.wrongModelKind` when the model has fewer coordinates.
    package init(_ base: any Embedder, dimension: Int) throws(InferenceError) {
        guard (1...base.model.dimension).contains(dimension) else {
            throw .wrongModelKind(
                path: base.model.name, reason: "\(dimension) dimensions were asked for, it has \(base.model.dimension)")
        }
        self.base = base
        // The whole vector is the model's own, and its collections stay usable.
        let name = dimension == base.model.dimension ? base.model.name : "\(base.model.name)-first-\(dimension)"
        model = EmbeddingModel(name: name, dimension: dimension, contextLength: base.model.contextLength)
    }

    package func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        let whole = try await base.embed(texts, for: purpose)
        let (width, kept) = (base.model.dimension, model.dimension)
        guard width != kept else { return whole }
        var result: [Float] = []
        result.reserveCapacity(texts.count * kept)
        for start in stride(from: 0, to: whole.count, by: width) {
            let part = whole[start..<start + kept]
            let length = part.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            if length > 0 {
                result += part.map { Float(Double($0) / length) }
            } else {
                // Nothing is left to point anywhere; a vector of length 1 is owed all the same.
                result += [1] + [Float](repeating: 0, count: kept - 1)
            }
        }
        return result
    }
}
