import CLlama
import Inference

/// Writes a conversation as the one text that a model reads.
///
/// The chat template stands in the model's file. llama.cpp knows a fixed list of templates by their looks (it is no Jinja engine). For a file
/// without a template, or with one that is not on the list, the plain format is used:
///
/// ```
///  one user message only            several messages, or a system message
///  ---------------------            -------------------------------------
///  <the message itself>             ### System:\n<content>\n\n### User:\n<content>\n\n### Assistant:\n
/// ```
///
/// A lone message is passed as it is, since a model without a template is most often one that continues a text. In the plain format the
/// answer ends before the next `\n### `.
struct PromptFormat: Sendable {
    /// Nil for the plain format.
    let template: String?
    private let controlTokens: ControlTokens

    init(model: LlamaModel) {
        let found = model.chatTemplate()
        template = found.flatMap { Self.apply($0, [ChatMessage(role: .user, content: "x")]) == nil ? nil : $0 }
        controlTokens = ControlTokens(model: model)
    }

    /// - Returns: The prompt; whether its control tokens are to be recognised; stop strings beyond those that the caller asks for.
    func render(_ messages: [ChatMessage]) -> (prompt: String, parseSpecial: Bool, stop: [String]) {
        guard let template else { return plain(messages) }
        let safe = messages.map { ChatMessage(role: $0.role, content: controlTokens.defused($0.content)) }
        guard let prompt = Self.apply(template, safe) else { return plain(messages) }
        return (prompt, true, [])
    }

    private func plain(_ messages: [ChatMessage]) -> (prompt: String, parseSpecial: Bool, stop: [String]) {
        if messages.count == 1, messages[0].role == .user { return (messages[0].content, false, []) }
        let names: [ChatRole: String] = [.system: "System", .user: "User", .assistant: "Assistant"]
        let turns = messages.map { "### \(names[$0.role]!):\n\($0.content)\n\n" }
        return (turns.joined() + "### Assistant:\n", false, ["\n### "])
    }

    /// - Returns: Nil when llama.cpp does not know the template.
    private static func apply(_ template: String, _ messages: [ChatMessage]) -> String? {
        // C strings end at a zero byte, which no prompt needs.
        let texts = messages.flatMap { [$0.role.rawValue, $0.content.replacing("\0", with: " ")] }.map { Array($0.utf8CString) }
        // One buffer for all strings, so that their addresses hold together.
        var starts: [Int] = []
        var characters: [CChar] = []
        for text in texts {
            starts.append(characters.count)
            characters += text
        }
        return characters.withUnsafeBufferPointer { buffer -> String? in
            let base = buffer.baseAddress
            let chat = messages.indices.map { llama_chat_message(role: base! + starts[$0 * 2], content: base! + starts[$0 * 2 + 1]) }
            var capacity = characters.count * 2 + 1024
            while true {
                var length: Int32 = 0
                let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
                    length = output.withMemoryRebound(to: CChar.self) {
                        llama_chat_apply_template(template, chat, chat.count, true, $0.baseAddress, Int32($0.count))
                    }
                    count = min(max(0, Int(length)), output.count)
                }
                if length < 0 { return nil }
                if Int(length) <= capacity { return String(decoding: bytes, as: UTF8.self) }
                capacity = Int(length)
            }
        }
    }
}

/// Takes the power from control tokens that stand in other people's text: a document that contains `<|im_end|>` must not end the user's turn.
struct ControlTokens: Sendable {
    /// Texts of the control tokens by their first byte, longest first.
    private let texts: [UInt8: [[UInt8]]]

    init(model: LlamaModel) {
        var texts: [UInt8: [[UInt8]]] = [:]
        for token in 0..<Token(model.vocabularyCount) {
            guard llama_vocab_is_control(model.vocabulary, token) || llama_vocab_is_eog(model.vocabulary, token) || isUnknown(model, token)
            else { continue }
            let text = Array(String(cString: llama_vocab_get_text(model.vocabulary, token)).utf8)
            // A token of one byte, such as the line feed of some vocabularies, is no frame of a conversation.
            if text.count > 1 { texts[text[0], default: []].append(text) }
        }
        self.texts = texts.mapValues { $0.sorted { $0.count > $1.count } }

        func isUnknown(_ model: LlamaModel, _ token: Token) -> Bool {
            llama_vocab_get_attr(model.vocabulary, token).rawValue & LLAMA_TOKEN_ATTR_UNKNOWN.rawValue != 0
        }
    }

    /// The text with an invisible word joiner (U+2060) inside each control token's name, so that it is read as letters.
    func defused(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        var copied = 0
        var position = 0
        while position < bytes.count {
            guard let candidates = texts[bytes[position]], let match = candidates.first(where: { bytes[position...].starts(with: $0) })
            else {
                position += 1
                continue
            }
            // After the first character, which may have several bytes.
            var cut = position + 1
            while cut < position + match.count && bytes[cut] & 0b1100_0000 == 0b1000_0000 { cut += 1 }
            output += bytes[copied..<cut]
            output += "\u{2060}".utf8
            copied = cut
            position = cut
        }
        return copied == 0 ? text : String(decoding: output + bytes[copied...], as: UTF8.self)
    }
}
