/// The second half of WordPiece: which pieces of the vocabulary make a word. A hash table of byte strings.
///
/// The hash of every prefix of the rest of a word costs one multiplication for each byte; then the prefixes are looked up from the longest
/// to the shortest. The first that is there is the next piece, and the search begins again behind it. Nearly every word of ordinary text is
/// found at once, as a whole.
///
/// ```
///  rest of the word    e m b e d d i n g        hashes of  e, em, emb, … , embedding  in one pass
///  looked up           embedding ✗  embeddin ✗  …  em ✓   then  ##beddin…
/// ```
///
/// A slot keeps the hash's upper half and where the bytes lie; the bytes are compared, so that no text can collide on purpose.
struct PieceTable: Sendable {
    private struct Slot {
        /// Upper half of the hash.
        var tag: UInt32
        /// -1 for a free slot.
        var id: Int32
        /// Where the piece begins in `bytes`, without `##`.
        var offset: UInt32
        var size: UInt16
        var isContinuation: UInt16
    }

    /// Shape `[power of two]`, at most half full; linear probing.
    private let slots: [Slot]
    /// The pieces one after the other.
    private let bytes: [UInt8]
    /// Size of the longest piece that a word can hold.
    private let sizeMax: Int

    private static let startSeed: UInt64 = 0xCBF2_9CE4_8422_2325
    private static let continuationSeed: UInt64 = 0x9AE1_6A3B_2F90_404F

    /// - Parameter vocabulary: `##` before pieces that go on inside a word. Empty pieces, and such as are too long for any word, are never found.
    init(_ vocabulary: [String]) {
        var capacity = 16
        while capacity < vocabulary.count * 2 { capacity *= 2 }
        var slots = [Slot](repeating: Slot(tag: 0, id: -1, offset: 0, size: 0, isContinuation: 0), count: capacity)
        var bytes: [UInt8] = []
        var sizeMax = 0
        for (id, entry) in vocabulary.enumerated() {
            var piece = entry.utf8[...]
            let isContinuation = piece.count > 2 && piece.starts(with: "##".utf8)
            if isContinuation { piece = piece.dropFirst(2) }
            guard !piece.isEmpty && piece.count <= WordPieceTokenizer.wordSizeMax else { continue }
            let hash = Self.finished(piece.reduce(isContinuation ? Self.continuationSeed : Self.startSeed) { Self.step($0, $1) })
            var index = Int(truncatingIfNeeded: hash) & (capacity - 1)
            while slots[index].id >= 0 {
                let slot = slots[index]
                let old = bytes[Int(slot.offset)..<Int(slot.offset) + Int(slot.size)]
                // The later of two equal entries replaces the first.
                if (slot.isContinuation != 0) == isContinuation && old.elementsEqual(piece) { break }
                index = (index + 1) & (capacity - 1)
            }
            slots[index] = Slot(
                tag: UInt32(truncatingIfNeeded: hash >> 32), id: Int32(id), offset: UInt32(bytes.count), size: UInt16(piece.count),
                isContinuation: isContinuation ? 1 : 0)
            bytes.append(contentsOf: piece)
            sizeMax = max(sizeMax, piece.count)
        }
        self.slots = slots
        self.bytes = bytes
        self.sizeMax = sizeMax
    }

    /// Appends the pieces of one word, or the unknown token when the vocabulary cannot make it or it has too many characters.
    ///
    /// - Parameter word: Normalised UTF-8, at most `WordPieceTokenizer.wordSizeMax` bytes; not empty.
    @inline(__always)
    func split(_ word: UnsafeBufferPointer<UInt8>, characterCount: Int, unknown: Int32, into tokens: inout [Int32]) {
        guard characterCount <= WordPieceTokenizer.wordLengthMax else { return tokens.append(unknown) }
        if let id = find(word[...], hash: Self.finished(word.reduce(Self.startSeed) { Self.step($0, $1) }), isContinuation: false) {
            return tokens.append(id)
        }
        pieces(of: word, unknown: unknown, into: &tokens)
    }

    @inline(never)
    private func pieces(of word: UnsafeBufferPointer<UInt8>, unknown: Int32, into tokens: inout [Int32]) {
        let first = tokens.count
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: WordPieceTokenizer.wordSizeMax) { hashes in
            var start = 0
            while start < word.count {
                let end = min(word.count, start + sizeMax)
                var hash = start == 0 ? Self.startSeed : Self.continuationSeed
                for index in start..<end {
                    hash = Self.step(hash, word[index])
                    hashes[index] = hash
                }
                var next = end
                while next > start {
                    if let id = find(word[start..<next], hash: Self.finished(hashes[next - 1]), isContinuation: start > 0) {
                        tokens.append(id)
                        break
                    }
                    next -= 1
                }
                guard next > start else {
                    tokens.removeLast(tokens.count - first)
                    tokens.append(unknown)
                    return
                }
                start = next
            }
        }
    }

    @inline(__always)
    private func find(_ piece: Slice<UnsafeBufferPointer<UInt8>>, hash: UInt64, isContinuation: Bool) -> Int32? {
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        var index = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while true {
            let slot = slots[index]
            if slot.id < 0 { return nil }
            if slot.tag == tag && Int(slot.size) == piece.count && (slot.isContinuation != 0) == isContinuation
                && isEqual(piece, Int(slot.offset))
            {
                return slot.id
            }
            index = (index + 1) & (slots.count - 1)
        }
    }

    @inline(__always)
    private func isEqual(_ piece: Slice<UnsafeBufferPointer<UInt8>>, _ offset: Int) -> Bool {
        for index in 0..<piece.count where bytes[offset + index] != piece.base[piece.startIndex + index] { return false }
        return true
    }

    /// FNV-1a.
    @inline(__always)
    private static func step(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }

    /// Mixes the high bits down and the low bits up.
    @inline(__always)
    private static func finished(_ hash: UInt64) -> UInt64 {
        let mixed = (hash ^ hash >> 32) &* 0xFF51_AFD7_ED55_8CCD
        return mixed ^ mixed >> 33
    }
}
