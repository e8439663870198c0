import CLlama
import Foundation
import Inference

typealias Token = llama_token

/// A loaded GGUF file: weights and vocabulary, shared by all contexts that compute with it.
final class LlamaModel: Sendable {
    let path: String
    /// The file's name without `.gguf`.
    let name: String
    /// Invariant: the model is never changed after it is loaded, and llama.cpp only reads it; freed with the last reference.
    nonisolated(unsafe) let pointer: OpaquePointer
    nonisolated(unsafe) let vocabulary: OpaquePointer

    /// - Throws: `InferenceError.modelNotFound`, or `.modelUnreadable` with llama.cpp's reason.
    init(path: String) throws {
        LlamaRuntime.start()
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else {
            throw InferenceError.modelNotFound(path: path)
        }
        let loaded = LlamaRuntime.explain { llama_model_load_from_file(path, llama_model_default_params()) }
        switch loaded {
        case .success(let pointer): self.pointer = pointer
        case .failure(let complaint): throw InferenceError.modelUnreadable(path: path, reason: complaint.text)
        }
        self.path = path
        let file = URL(fileURLWithPath: path).lastPathComponent
        name = file.hasSuffix(".gguf") ? String(file.dropLast(5)) : file
        vocabulary = llama_model_get_vocab(pointer)
        guard llama_vocab_type(vocabulary) != LLAMA_VOCAB_TYPE_NONE else {
            throw InferenceError.wrongModelKind(path: path, reason: "it has no vocabulary")
        }
    }

    deinit { llama_model_free(pointer) }

    /// The context length that the model was trained with.
    var contextLength: Int { Int(llama_model_n_ctx_train(pointer)) }
    var vocabularyCount: Int { Int(llama_vocab_n_tokens(vocabulary)) }

    /// Token types that the file's embedding knows; 0 where it names none.
    var tokenTypeCount: Int {
        var buffer = [CChar](repeating: 0, count: 32)
        guard llama_model_meta_val_str(pointer, "tokenizer.ggml.token_type_count", &buffer, buffer.count) > 0 else { return 0 }
        return Int(String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)) ?? 0
    }

    /// The chat template in the file, or the one of that name; nil when there is none.
    func chatTemplate(_ name: String? = nil) -> String? {
        llama_model_chat_template(pointer, name).map { String(cString: $0) }
    }

    /// - Parameters:
    ///   - addSpecial: Puts the model's begin and end tokens around the text.
    ///   - parseSpecial: Takes `<s>` and the like in the text for control tokens. Never for text that somebody else wrote.
    func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool = false) -> [Token] {
        var text = text
        return text.withUTF8 { tokenize(UnsafeRawBufferPointer($0), addSpecial: addSpecial, parseSpecial: parseSpecial) }
    }

    /// - Precondition: `bytes` are valid UTF-8, less than 2 GiB.
    func tokenize(_ bytes: UnsafeRawBufferPointer, addSpecial: Bool, parseSpecial: Bool = false) -> [Token] {
        precondition(bytes.count < Int(Int32.max) / 2, "a text of \(bytes.count) bytes is to be tokenized")
        var capacity = bytes.count / 2 + 16
        while true {
            var count: Int32 = 0
            let tokens = [Token](unsafeUninitializedCapacity: capacity) { buffer, initializedCount in
                count = withCharacters(bytes) {
                    llama_tokenize(vocabulary, $0, Int32(bytes.count), buffer.baseAddress, Int32(buffer.count), addSpecial, parseSpecial)
                }
                initializedCount = max(0, Int(count))
            }
            if count >= 0 { return tokens }
            precondition(count != Int32.min, "a text of \(bytes.count) bytes has too many tokens")
            capacity = Int(-count)
        }
    }

    /// The bytes that a token stands for; a control token stands for none. They need not be whole characters.
    func piece(_ token: Token) -> [UInt8] {
        var capacity = 64
        while true {
            var count: Int32 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initializedCount in
                count = buffer.withMemoryRebound(to: CChar.self) {
                    llama_token_to_piece(vocabulary, token, $0.baseAddress, Int32($0.count), 0, false)
                }
                initializedCount = max(0, Int(count))
            }
            if count >= 0 { return bytes }
            capacity = Int(-count)
        }
    }

    private func withCharacters<Result>(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return body("") }
        return body(start.assumingMemoryBound(to: CChar.self))
    }
}
