import CStemmer

/// One Snowball stemmer. The C object keeps the last word in itself, so it serves one thread at a time.
///
/// M. F. Porter, *An algorithm for suffix stripping*, Program 14(3), 1980; the other languages from snowballstem.org.
final class Stemmer {
    private let handle: OpaquePointer

    /// Every algorithm that the library has.
    static let names: [String] = {
        var names: [String] = []
        guard var cursor = sb_stemmer_list() else { return [] }
        while let name = cursor.pointee {
            names.append(String(cString: name))
            cursor += 1
        }
        return names
    }()

    /// Nil when the library does not know the algorithm.
    init?(_ name: String) {
        guard let handle = sb_stemmer_new(name, "UTF_8") else { return nil }
        self.handle = handle
    }

    deinit { sb_stemmer_delete(handle) }

    /// The stem of a lower-case word in UTF-8, valid until the next call. Out of memory gives the word itself.
    func stem(_ word: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        guard let stem = sb_stemmer_stem(handle, word.baseAddress, Int32(word.count)) else { return word }
        return UnsafeBufferPointer(start: stem, count: Int(sb_stemmer_length(handle)))
    }
}
