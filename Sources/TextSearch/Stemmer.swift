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

extension Stemmer {
    /// A hash of the stems that all algorithms of the linked library give for a fixed list of words.
    ///
    /// The library is linked dynamically, and its versions differ: an index whose terms come from one must not be asked with terms of another. So the hash is a part
    /// of what an index was built with. All algorithms count, since a text's script, and not only the setting, chooses one.
    static let fingerprint: String = {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        for name in names.sorted() {
            guard let stemmer = Stemmer(name) else { continue }
            name.utf8.forEach(add)
            for word in fingerprintWords {
                var word = word
                word.withUTF8 { for byte in stemmer.stem($0) { add(byte) } }
                add(0)
            }
        }
        return String(hash, radix: 16)
    }()

    /// Words with endings of many languages, several for those whose algorithms have changed between versions of the library.
    private static let fingerprintWords = [
        "generalizations", "running", "happily", "university", "skies", "lying", "internationalise",
        "lichamelijkheden", "mogelijkheid", "kinderen", "gelopen", "opgaven", "fietsen", "huizen",
        "aufeinanderfolgenden", "häusern", "möglichkeiten", "bäume", "kategorien",
        "continuellement", "chevaux", "finissions", "majestueusement", "nations", "canciones", "rápidamente", "hablábamos",
        "cantávamos", "informações", "abbandonata", "bellissimi", "copiilor", "frumoasele", "husene", "mulighederne", "flickornas",
        "jordbrukarna", "talossammekin", "kirjoittaminen", "asztalokkal", "gyerekeknek", "kitaplarımızdan", "evlerinden", "namuose",
        "vaikams", "dagarna", "menulisannya", "berjalan", "liburuetarako", "cases", "filla", "ceannacháin", "raamatutes", "kalbama",
        "книгами", "красивейшего", "читавшая", "књигама", "βιβλίων", "ανθρώπους", "الكتابات", "والمدرسين", "लड़कियाँ", "किताबों",
        "गर्नुहुन्छ", "գրքերից", "புத்தகங்கள்", "ביכער", "książkami",
    ]
}
