/// The first half of the algorithm: text to normalised words.
extension WordPieceTokenizer {
    /// A normalised word, as long as the call that receives it lasts.
    struct Word {
        /// UTF-8 after normalisation. Only the beginning when the word has more than `wordLengthMax` characters.
        var bytes: UnsafeBufferPointer<UInt8>
        /// Number of characters after normalisation; more than `wordLengthMax` means too many.
        var characterCount: Int
        /// Where the word begins in the text, in bytes.
        var start: Int
    }

    /// Calls `body` with each word in order until it returns false.
    @inline(__always)
    func forEachWord(in text: String, _ body: (Word) -> Bool) {
        var text = text
        text.withUTF8 { bytes in forEachWord(in: bytes, from: 0, body) }
    }

    /// As above, from a byte position at which no word is under way.
    @inline(__always)
    func forEachWord(in bytes: UnsafeBufferPointer<UInt8>, from position: Int, _ body: (Word) -> Bool) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.wordSizeMax) { buffer in
            var position = position
            var builder = WordBuilder(buffer)
            let table = characters.table
            while position < bytes.count {
                let byte = bytes[position]
                let entry: WordPieceCharacters.Entry
                let size: Int
                if byte < 0x80 {
                    entry = table[Int(byte)]
                    size = 1
                } else {
                    let (scalar, length) = Self.decode(bytes, position)
                    entry = characters[scalar]
                    size = length
                    if entry.kind == .several {
                        for step in characters.steps(scalar) {
                            if step.kind == .letter {
                                builder.append(step, at: position)
                                continue
                            }
                            if let word = builder.finish(), !body(word) { return }
                            if step.kind == .alone {
                                builder.append(step, at: position)
                                if let word = builder.finish(), !body(word) { return }
                            }
                        }
                        position += size
                        continue
                    }
                }
                switch entry.kind {
                case .letter: builder.append(entry, at: position)
                case .dropped: break
                case .space: if let word = builder.finish(), !body(word) { return }
                case .alone, .several:
                    if let word = builder.finish(), !body(word) { return }
                    builder.append(entry, at: position)
                    if let word = builder.finish(), !body(word) { return }
                }
                position += size
            }
            if let word = builder.finish() { _ = body(word) }
        }
    }

    /// The scalar at a position of valid UTF-8, and its size in bytes.
    @inline(__always)
    static func decode(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> (scalar: UInt32, size: Int) {
        let first = UInt32(bytes[position])
        let size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        precondition(position + size <= bytes.count, "UTF-8 ends inside a character")
        func tail(_ index: Int) -> UInt32 { UInt32(bytes[position + index] & 0x3F) }
        switch size {
        case 1: return (first, 1)
        case 2: return ((first & 0x1F) << 6 | tail(1), 2)
        case 3: return ((first & 0x0F) << 12 | tail(1) << 6 | tail(2), 3)
        default: return ((first & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4)
        }
    }
}

/// Puts one word after the other together in the same buffer.
private struct WordBuilder {
    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private var size = 0
    private var characterCount = 0
    private var start = 0

    init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

    @inline(__always)
    mutating func append(_ entry: WordPieceCharacters.Entry, at position: Int) {
        if characterCount == 0 { start = position }
        characterCount += entry.characterCount
        // Such a word is unknown, whatever else it holds.
        guard characterCount <= WordPieceTokenizer.wordLengthMax else { return }
        var bytes = entry.bytes
        for _ in 0..<entry.byteCount {
            buffer[size] = UInt8(truncatingIfNeeded: bytes)
            bytes >>= 8
            size += 1
        }
    }

    @inline(__always)
    mutating func finish() -> WordPieceTokenizer.Word? {
        guard characterCount > 0 else { return nil }
        defer {
            size = 0
            characterCount = 0
        }
        return .init(bytes: UnsafeBufferPointer(rebasing: buffer[..<size]), characterCount: characterCount, start: start)
    }
}
