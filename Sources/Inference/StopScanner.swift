/// Cuts a growing text before the stop string that is complete first, also when that string arrives in pieces.
///
/// Text that may be the beginning of a stop string is held back until the next piece shows whether it is one:
///
/// ```
///  stop ["END"]:   push "the E" ► "the "    push "N" ► ""    push "X" ► "ENX"    push "END." ► stopped
/// ```
package struct StopScanner: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// Whether a stop string has been found; nothing more comes out then.
    package private(set) var isStopped = false

    /// - Parameter stops: Empty strings are ignored.
    package init(stops: [String]) {
        self.stops = stops.filter { !$0.isEmpty }.map { Array($0.utf8) }
    }

    /// Adds text and returns what is certain not to belong to a stop string.
    ///
    /// Stop strings and pieces are whole characters of UTF-8, so a cut never falls inside one.
    package mutating func push(_ piece: String) -> String {
        guard !isStopped else { return "" }
        if stops.isEmpty { return piece }
        held.append(contentsOf: piece.utf8)
        if let end = firstStop() {
            isStopped = true
            let text = String(decoding: held[..<end], as: UTF8.self)
            held = []
            return text
        }
        let safe = held.count - longestPartialStop()
        let text = String(decoding: held[..<safe], as: UTF8.self)
        held.removeFirst(safe)
        return text
    }

    /// The text that is still held back, once no more comes.
    package mutating func finish() -> String {
        defer { held = [] }
        return isStopped ? "" : String(decoding: held, as: UTF8.self)
    }

    /// Where the stop string begins that is complete first; of several that end together, the longest. So pieces do not matter.
    private func firstStop() -> Int? {
        for end in 1..<held.count + 1 {
            let ending = stops.filter { $0.count <= end && held[(end - $0.count)..<end].elementsEqual($0) }
            if let longest = ending.map(\.count).max() { return end - longest }
        }
        return nil
    }

    /// Length of the longest end of the held text that begins some stop string.
    private func longestPartialStop() -> Int {
        let longest = stops.map(\.count).max() ?? 0
        for length in stride(from: min(longest - 1, held.count), to: 0, by: -1) {
            let tail = held.suffix(length)
            if stops.contains(where: { $0.starts(with: tail) }) { return length }
        }
        return 0
    }
}

/// Joins bytes to characters: a model's token may end inside a UTF-8 sequence, a reader's piece must not.
package struct UTF8Assembler: Sendable {
    private var pending: [UInt8] = []

    package init() {}

    /// Adds bytes and returns the text that is complete. Bytes that can never become UTF-8 come out as U+FFFD.
    package mutating func push(_ bytes: some Sequence<UInt8>) -> String {
        pending.append(contentsOf: bytes)
        let complete = pending.count - Self.incompleteTail(of: pending)
        defer { pending.removeFirst(complete) }
        return String(decoding: pending[..<complete], as: UTF8.self)
    }

    /// The rest, when no more bytes come: an incomplete character becomes U+FFFD.
    package mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many bytes at the end are the beginning of one character whose other bytes are missing.
    private static func incompleteTail(of bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0b1100_0000 == 0b1000_0000 { continue }
            let needed = lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xC2 && lead < 0xE0 ? 2 : 1
            return needed > length ? length : 0
        }
        return 0
    }
}
