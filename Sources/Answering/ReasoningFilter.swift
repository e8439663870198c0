// What a model writes, without what it writes for itself.
//
// Reasoning models put their notes between tags, in the text that is meant to be the answer: `<think>...</think>`. Servers with a reasoning parser
// take them out, others do not. The tags come in pieces, may never be closed (the answer is then empty), and where the prompt's template has
// opened them already only the closing one is written: what came before it was no answer either.
//
//     push "<thi"  -> ""      push "nk>hm"  -> ""      push "</think>\n\nYes" -> "Yes"
//     push "hm. "  -> "hm."   push "</think>Yes" -> reset, "Yes"

/// Takes the reasoning and the white space around it out of a growing text.
struct ReasoningFilter: Sendable {
    enum Output: Sendable, Equatable {
        case text(String)
        /// What was given out is void.
        case reset
    }

    /// Opening and closing tags, in lower case.
    private static let tags: [(open: [UInt8], close: [UInt8])] = [
        ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("<thoughts>", "</thoughts>"),
        ("<reasoning>", "</reasoning>"), ("<reflection>", "</reflection>"), ("<scratchpad>", "</scratchpad>"), ("[think]", "[/think]"),
        ("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }
    private static let openings = tags.map(\.open)
    private static let all = tags.map(\.open) + tags.map(\.close)

    /// Whether the model is writing for itself now.
    private(set) var isThinking = false
    private var closing: [UInt8] = []
    private var held: [UInt8] = []
    /// White space that is text when more follows.
    private var space: [UInt8] = []
    private var hasText = false

    /// Adds a piece and returns what is certain to be text.
    mutating func push(_ piece: String) -> [Output] {
        var outputs: [Output] = []
        held += piece.utf8
        while true {
            if isThinking {
                guard let found = Self.first(of: [closing], in: held) else {
                    held.removeFirst(held.count - Self.partial([closing], held))
                    break
                }
                held.removeFirst(found.offset + closing.count)
                isThinking = false
            } else if let found = Self.first(of: Self.all, in: held) {
                let tag = Self.all[found.tag]
                if found.tag < Self.openings.count {
                    emit(held[..<found.offset], to: &outputs)
                    isThinking = true
                    closing = Self.tags[found.tag].close
                } else {
                    if hasText { outputs.append(.reset) }
                    hasText = false
                    space = []
                }
                held.removeFirst(found.offset + tag.count)
            } else {
                let safe = held.count - Self.partial(Self.all, held)
                emit(held[..<safe], to: &outputs)
                held.removeFirst(safe)
                break
            }
        }
        return outputs
    }

    /// What was held back, once no more comes; reasoning that was not closed is none of it.
    mutating func finish() -> [Output] {
        var outputs: [Output] = []
        if !isThinking { emit(held[...], to: &outputs) }
        held = []
        return outputs
    }

    private mutating func emit(_ bytes: ArraySlice<UInt8>, to outputs: inout [Output]) {
        guard let last = bytes.lastIndex(where: { $0 > 0x20 }) else {
            if hasText { space += bytes }
            return
        }
        var text = space + bytes[...last]
        if !hasText { text = Array(text.drop { $0 <= 0x20 }) }
        space = Array(bytes[(last + 1)...])
        hasText = true
        outputs.append(.text(String(decoding: text, as: UTF8.self)))
    }

    /// The first complete tag, the longest of those at one place.
    private static func first(of tags: [[UInt8]], in bytes: [UInt8]) -> (offset: Int, tag: Int)? {
        for offset in bytes.indices where bytes[offset] == UInt8(ascii: "<") || bytes[offset] == UInt8(ascii: "[") || bytes[offset] >= 0x80
        {
            let tag = tags.indices.filter { begins(bytes[offset...], with: tags[$0]) }.max { tags[$0].count < tags[$1].count }
            if let tag { return (offset, tag) }
        }
        return nil
    }

    /// Length of the longest end that begins a tag.
    private static func partial(_ tags: [[UInt8]], _ bytes: [UInt8]) -> Int {
        let longest = min(bytes.count, (tags.map(\.count).max() ?? 0) - 1)
        for length in stride(from: longest, to: 0, by: -1)
        where tags.contains(where: { begins($0[...], with: Array(bytes.suffix(length))) }) {
            return length
        }
        return 0
    }

    private static func begins(_ bytes: ArraySlice<UInt8>, with prefix: [UInt8]) -> Bool {
        bytes.count >= prefix.count && zip(bytes, prefix).allSatisfy { lowered($0) == lowered($1) }
    }

    private static func lowered(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}
