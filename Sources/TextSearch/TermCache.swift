/// Remembers what became of a word: its final term, and whether it is a stop word. Stemming one word costs a microsecond, and text
/// repeats its words.
///
/// An open-addressing table of fixed size over one buffer of bytes. When it is half full it forgets everything: simpler than choosing
/// what to forget, and the frequent words are back within a page of text.
struct TermCache {
    struct Entry {
        var wordOffset: UInt32
        var termOffset: UInt32
        var wordCount: UInt8
        var termCount: UInt8
        var isStopWord: Bool
        var isUsed: Bool
    }

    /// Longer words are computed each time.
    static let wordSizeMax = 48
    private static let capacity = 1 << 16
    private static let bytesMax = 2 << 20

    private var entries = [Entry](
        repeating: Entry(wordOffset: 0, termOffset: 0, wordCount: 0, termCount: 0, isStopWord: false, isUsed: false), count: capacity)
    private(set) var bytes: [UInt8] = []
    private var count = 0

    init() { bytes.reserveCapacity(1 << 16) }

    /// The entry of a word, or nil and the slot where `insert` may put it.
    @inline(__always)
    func find(_ word: UnsafePointer<UInt8>, _ size: Int, slot: inout Int) -> Entry? {
        var index = Int(truncatingIfNeeded: hash(word, size)) & (Self.capacity - 1)
        while true {
            let entry = entries[index]
            guard entry.isUsed else {
                slot = index
                return nil
            }
            if Int(entry.wordCount) == size {
                let isSame = bytes.withUnsafeBufferPointer { bytes in
                    let stored = bytes.baseAddress! + Int(entry.wordOffset)
                    var position = 0
                    while position < size, stored[position] == word[position] { position &+= 1 }
                    return position == size
                }
                if isSame { return entry }
            }
            index = (index + 1) & (Self.capacity - 1)
        }
    }

    /// Remembers a word at the slot that `find` gave. Terms and words above the sizes of an entry are not kept.
    mutating func insert(
        _ word: UnsafeBufferPointer<UInt8>, term: UnsafeBufferPointer<UInt8>, isStopWord: Bool, slot: Int
    ) {
        guard term.count < 256 else { return }
        if count * 2 >= Self.capacity || bytes.count + word.count + term.count > Self.bytesMax {
            for index in entries.indices { entries[index].isUsed = false }
            bytes.removeAll(keepingCapacity: true)
            count = 0
            // The slot was chosen among the others; an empty table takes any, but the word must lie where `find` begins to look.
            return insert(
                word, term: term, isStopWord: isStopWord,
                slot: Int(truncatingIfNeeded: hash(word.baseAddress!, word.count)) & (Self.capacity - 1))
        }
        let wordOffset = UInt32(bytes.count)
        bytes.append(contentsOf: word)
        let termOffset = UInt32(bytes.count)
        bytes.append(contentsOf: term)
        entries[slot] = Entry(
            wordOffset: wordOffset, termOffset: termOffset, wordCount: UInt8(word.count), termCount: UInt8(term.count),
            isStopWord: isStopWord, isUsed: true)
        count += 1
    }
}
