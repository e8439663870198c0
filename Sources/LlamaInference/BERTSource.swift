import Foundation
import Inference

/// The configuration of a BERT model folder, checked.
struct BERTSource {
    private struct Configuration: Decodable {
        var modelType: String?
        var architectures: [String]?
        var hiddenSize: Int
        var intermediateSize: Int
        var numAttentionHeads: Int
        var numHiddenLayers: Int
        var maxPositionEmbeddings: Int
        var layerNormEps: Float?
        var typeVocabSize: Int?
        var vocabSize: Int
        var hiddenAct: String?
        var positionEmbeddingType: String?
    }

    private struct Pooling: Decodable {
        var poolingModeClsToken: Bool?
        var poolingModeMeanTokens: Bool?
        var poolingModeLasttoken: Bool?
    }

    /// llama.cpp's numbers for ways to make one vector from a sequence.
    private enum PoolingType: UInt32 {
        case mean = 1
        case cls = 2
        case last = 3
        case rank = 4
    }

    private let folder: String
    private let configuration: Configuration
    private let pooling: PoolingType
    let vocabulary: WordPieceVocabulary

    var isReranker: Bool { pooling == .rank }

    init(folder: String) throws {
        self.folder = folder
        configuration = try Self.decode(Configuration.self, folder + "/config.json")
        guard configuration.modelType ?? "bert" == "bert" else {
            throw InferenceError.wrongModelKind(
                path: folder, reason: "model_type is '\(configuration.modelType!)'; only 'bert' is converted here")
        }
        guard ["gelu", nil].contains(configuration.hiddenAct), ["absolute", nil].contains(configuration.positionEmbeddingType) else {
            throw InferenceError.wrongModelKind(
                path: folder,
                reason:
                    "hidden_act '\(configuration.hiddenAct ?? "")', position_embedding_type '\(configuration.positionEmbeddingType ?? "")'; "
                    + "only 'gelu' and 'absolute' are converted")
        }
        pooling = try Self.pooling(folder: folder, architectures: configuration.architectures ?? [])
        vocabulary = try WordPieceVocabulary(folder: folder, count: configuration.vocabSize, typeCount: configuration.typeVocabSize ?? 1)
    }

    func setParameters(in writer: inout GGUFWriter) {
        writer.set("bert.block_count", .uint32(UInt32(configuration.numHiddenLayers)))
        writer.set("bert.context_length", .uint32(UInt32(configuration.maxPositionEmbeddings)))
        writer.set("bert.embedding_length", .uint32(UInt32(configuration.hiddenSize)))
        writer.set("bert.feed_forward_length", .uint32(UInt32(configuration.intermediateSize)))
        writer.set("bert.attention.head_count", .uint32(UInt32(configuration.numAttentionHeads)))
        writer.set("bert.attention.layer_norm_epsilon", .float32(configuration.layerNormEps ?? 1e-12))
        writer.set("bert.attention.causal", .bool(false))
        writer.set("bert.pooling_type", .uint32(pooling.rawValue))
    }

    /// Refuses a model whose tensors are not those that the configuration promises; llama.cpp would stop the process for some of these.
    func checkTensors(_ shapes: [String: [Int]]) throws {
        let hidden = configuration.hiddenSize
        var expected: [String: [Int]] = [
            "token_embd.weight": [configuration.vocabSize, hidden],
            "position_embd.weight": [configuration.maxPositionEmbeddings, hidden],
            "token_types.weight": [configuration.typeVocabSize ?? 1, hidden],
            "token_embd_norm.weight": [hidden], "token_embd_norm.bias": [hidden],
        ]
        for layer in 0..<configuration.numHiddenLayers {
            for name in ["attn_q", "attn_k", "attn_v", "attn_output"] { expected["blk.\(layer).\(name).weight"] = [hidden, hidden] }
            for name in ["attn_output_norm", "layer_output_norm"] {
                expected["blk.\(layer).\(name).weight"] = [hidden]
                expected["blk.\(layer).\(name).bias"] = [hidden]
            }
            expected["blk.\(layer).ffn_up.weight"] = [configuration.intermediateSize, hidden]
            expected["blk.\(layer).ffn_down.weight"] = [hidden, configuration.intermediateSize]
        }
        for (name, shape) in expected.sorted(by: { $0.key < $1.key }) {
            guard let found = shapes[name] else {
                throw InferenceError.modelUnreadable(
                    path: folder, reason: "model.safetensors has no tensor for '\(name)'; get the model again")
            }
            guard found == shape else {
                throw InferenceError.modelUnreadable(
                    path: folder, reason: "the tensor for '\(name)' has shape \(found), config.json asks for \(shape)")
            }
        }
    }

    private static func pooling(folder: String, architectures: [String]) throws -> PoolingType {
        if architectures.contains("BertForSequenceClassification") { return .rank }
        let path = folder + "/1_Pooling/config.json"
        guard FileManager.default.fileExists(atPath: path) else { return .mean }
        let file = try decode(Pooling.self, path)
        if file.poolingModeMeanTokens == true { return .mean }
        if file.poolingModeClsToken == true { return .cls }
        if file.poolingModeLasttoken == true { return .last }
        throw InferenceError.wrongModelKind(path: path, reason: "it asks for none of the pooling modes mean, cls and last token")
    }

    /// - Parameter snakeCase: Whether `camelCase` properties stand for `snake_case` keys. Not for a file whose keys are words of a vocabulary.
    static func decode<Value: Decodable>(_ type: Value.Type, _ path: String, snakeCase: Bool = true) throws -> Value {
        guard let data = FileManager.default.contents(atPath: path) else { throw InferenceError.modelNotFound(path: path) }
        do {
            let decoder = JSONDecoder()
            if snakeCase { decoder.keyDecodingStrategy = .convertFromSnakeCase }
            return try decoder.decode(type, from: data)
        } catch {
            throw InferenceError.modelUnreadable(path: path, reason: "\(error)")
        }
    }
}

/// A BERT vocabulary in llama.cpp's notation.
struct WordPieceVocabulary {
    private enum TokenKind: Int32 {
        case normal = 1
        case control = 3
        case unused = 5
    }

    private struct TokenizerFile: Decodable {
        struct AddedToken: Decodable {
            var content: String
            var special: Bool?
        }
        struct Normalizer: Decodable {
            var lowercase: Bool?
            var stripAccents: Bool?

            enum CodingKeys: String, CodingKey {
                case lowercase
                case stripAccents = "strip_accents"
            }
        }
        struct Model: Decodable { var vocab: [String: Int] }
        var addedTokens: [AddedToken]?
        var normalizer: Normalizer?
        var model: Model

        enum CodingKeys: String, CodingKey {
            case addedTokens = "added_tokens"
            case normalizer, model
        }
    }

    private struct TokenizerSettings: Decodable {
        var doLowerCase: Bool?
        var stripAccents: Bool?
    }

    private var tokens: [String] = []
    private var kinds: [Int32] = []
    private let typeCount: Int
    private let lowercase: Bool
    private let stripAccents: Bool
    private var specialIndex: [String: Int] = [:]

    init(folder: String, count: Int, typeCount: Int) throws {
        self.typeCount = typeCount
        let path = folder + "/tokenizer.json"
        let file = FileManager.default.fileExists(atPath: path) ? try BERTSource.decode(TokenizerFile.self, path, snakeCase: false) : nil
        let settings = try? BERTSource.decode(TokenizerSettings.self, folder + "/tokenizer_config.json")
        lowercase = file?.normalizer?.lowercase ?? settings?.doLowerCase ?? true
        stripAccents = file?.normalizer?.stripAccents ?? settings?.stripAccents ?? lowercase
        let special = Set(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + (file?.addedTokens ?? []).filter { $0.special == true }.map(\.content))

        var words = try Self.words(folder: folder, file: file)
        guard words.count <= count else {
            throw InferenceError.modelUnreadable(
                path: folder, reason: "the vocabulary has \(words.count) tokens, config.json says \(count)")
        }
        while words.count < count { words.append(nil) }
        // Two equal tokens would stop the process inside llama.cpp. Compare bytes: Swift takes é and e+◌́ for the same string.
        var seen = Set<[UInt8]>()
        for (index, word) in words.enumerated() {
            var kind = TokenKind.normal
            var text: String
            switch word {
            case nil:
                (text, kind) = ("[PAD\(index)]", .unused)
            case let word? where special.contains(word):
                (text, kind) = (word, .control)
                specialIndex[word] = index
            case let word?:
                text = word.hasPrefix("##") ? String(word.dropFirst(2)) : "\u{2581}" + word
            }
            if text.isEmpty { (text, kind) = ("[EMPTY\(index)]", .unused) }
            if !seen.insert(Array(text.utf8)).inserted {
                throw InferenceError.modelUnreadable(path: folder, reason: "token \(index) '\(text)' stands in the vocabulary twice")
            }
            tokens.append(text)
            kinds.append(kind.rawValue)
        }
        for name in ["[UNK]", "[CLS]", "[SEP]"] where specialIndex[name] == nil {
            throw InferenceError.wrongModelKind(path: folder, reason: "the vocabulary has no token \(name)")
        }
    }

    func set(in writer: inout GGUFWriter) {
        writer.set("tokenizer.ggml.model", .string("bert"))
        writer.set("tokenizer.ggml.pre", .string("default"))
        writer.set("tokenizer.ggml.token_type_count", .uint32(UInt32(typeCount)))
        writer.set("tokenizer.ggml.tokens", .strings(tokens))
        writer.set("tokenizer.ggml.token_type", .int32s(kinds))
        let keys = [
            ("bos", "[CLS]"), ("cls", "[CLS]"), ("seperator", "[SEP]"), ("unknown", "[UNK]"), ("padding", "[PAD]"), ("mask", "[MASK]"),
        ]
        for (key, name) in keys {
            if let index = specialIndex[name] { writer.set("tokenizer.ggml.\(key)_token_id", .uint32(UInt32(index))) }
        }
        writer.set("tokenizer.ggml.normalizer.lowercase", .bool(lowercase))
        writer.set("tokenizer.ggml.normalizer.strip_accents", .bool(stripAccents))
    }

    private static func words(folder: String, file: TokenizerFile?) throws -> [String?] {
        let path = folder + "/vocab.txt"
        if let data = FileManager.default.contents(atPath: path) {
            var lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
                String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
            }
            if lines.last == "" { lines.removeLast() }
            return lines
        }
        guard let vocab = file?.model.vocab else { throw InferenceError.modelNotFound(path: path) }
        var words = [String?](repeating: nil, count: (vocab.values.max() ?? -1) + 1)
        for (word, index) in vocab {
            guard words.indices.contains(index), words[index] == nil else {
                throw InferenceError.modelUnreadable(
                    path: folder + "/tokenizer.json", reason: "token '\(word)' has the id \(index), which is negative or taken")
            }
            words[index] = word
        }
        return words
    }
}
