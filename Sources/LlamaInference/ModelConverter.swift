import Foundation
import Inference

/// Converts a sentence-transformers BERT folder (config.json, model.safetensors, vocab.txt or tokenizer.json, 1_Pooling/config.json) to GGUF.
///
/// BERT's tensors keep their layout; only their names change, and 32-bit matrices may become 16-bit. The vocabulary changes its
/// notation: WordPiece marks a continuation (`##ing`), llama.cpp marks a word's start (`▁walk`). A cross-encoder
/// (`BertForSequenceClassification`) keeps its pooler and classifier and becomes a reranker.
package enum ModelConverter {
    /// How matrices are stored; vectors, position and type embeddings are always 32-bit.
    package enum WeightType: String, Sendable, CaseIterable { case f32, f16 }

    /// Reads `folder`, writes `path`. Memory stays below a few MiB whatever the model's size; the file appears only when complete.
    ///
    /// - Parameter name: The model's name inside the file; see `EmbeddingModel.name`.
    /// - Throws: `InferenceError.modelNotFound` for a missing file, `.modelUnreadable` for a damaged one, `.wrongModelKind` for another architecture.
    package static func convertBERT(from folder: String, to path: String, weights: WeightType, name: String) throws {
        let source = try BERTSource(folder: folder)
        var writer = GGUFWriter(architecture: "bert")
        writer.set("general.name", .string(name))
        writer.set("general.file_type", .uint32(weights == .f16 ? 1 : 0))
        source.setParameters(in: &writer)
        source.vocabulary.set(in: &writer)

        let file = try SafetensorsFile(path: folder + "/model.safetensors")
        var sources: [String: SafetensorsFile.Tensor] = [:]
        for tensor in file.tensors {
            guard let target = tensorName(tensor.name, reranker: source.isReranker) else { continue }
            guard sources.updateValue(tensor, forKey: target) == nil else {
                throw InferenceError.modelUnreadable(
                    path: folder, reason: "two tensors stand for '\(target)', the second is '\(tensor.name)'")
            }
            let narrow = weights == .f16 && tensor.shape.count > 1 && !["position_embd.weight", "token_types.weight"].contains(target)
            writer.declare(target, shape: tensor.shape, type: narrow ? .f16 : .f32)
        }
        try source.checkTensors(sources.mapValues(\.shape))
        try writer.write(to: path) { target, sink in try file.read(sources[target]!, into: sink) }
    }

    /// The name that llama.cpp gives to a tensor of the Hugging Face model; nil for a tensor that has no use there.
    static func tensorName(_ original: String, reranker: Bool) -> String? {
        var name = original.hasPrefix("bert.") ? String(original.dropFirst(5)) : original
        if name.hasSuffix(".gamma") { name = name.dropLast(6) + ".weight" }
        if name.hasSuffix(".beta") { name = name.dropLast(5) + ".bias" }
        guard let dot = name.lastIndex(of: "."), ["weight", "bias"].contains(name[name.index(after: dot)...]) else { return nil }
        let stem = String(name[..<dot])
        let kind = String(name[dot...])
        if let target = topLevelNames[stem] { return target + kind }
        if reranker, let target = rerankerNames[stem] { return target + kind }
        let parts = stem.split(separator: ".", maxSplits: 3)
        guard parts.count == 4, parts[0] == "encoder", parts[1] == "layer", let target = layerNames[String(parts[3])] else { return nil }
        return "blk.\(parts[2]).\(target)\(kind)"
    }

    private static let topLevelNames = [
        "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
        "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    ]
    /// The pooler is the classifier's first layer. Leaving it out, as some converters do, gives wrong scores.
    private static let rerankerNames = ["pooler.dense": "cls", "classifier": "cls.output"]
    private static let layerNames = [
        "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
        "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
        "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
    ]
}
