/// Ways to write a name's letters: "Juergen" and "Jurgen" stand for "Jürgen" where a keyboard lacks the letter.
enum Spelling {
    /// Two letters for one where that is the custom, all other marks dropped: "weissmueller".
    static func canonical(_ word: String) -> String { isPlain(word) ? word : spelled(word, digraphs) }

    /// The word as it is, with two letters for one, and without marks.
    static func forms(of word: String) -> Set<String> { isPlain(word) ? [word] : [word, canonical(word), spelled(word, [:])] }

    private static func isPlain(_ word: String) -> Bool { word.utf8.allSatisfy { $0 < 0x80 } }

    private static func spelled(_ word: String, _ table: [Character: String]) -> String {
        word.reduce(into: "") { result, letter in
            if let known = table[letter] ?? bare[letter] {
                result += known
            } else {
                result.unicodeScalars += letter.unicodeScalars.filter { $0.properties.generalCategory != .nonspacingMark }
            }
        }
    }

    private static let digraphs: [Character: String] = ["ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"]
    private static let bare: [Character: String] = {
        var bare: [Character: String] = ["ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"]
        for (letter, marked) in [
            ("a", "áàâãäåąă"), ("c", "çćč"), ("d", "đď"), ("e", "éèêëęě"), ("g", "ğ"), ("i", "íìîïı"), ("l", "łľ"), ("n", "ñńň"),
            ("o", "óòôõöøő"), ("r", "řŕ"), ("s", "śšşș"), ("t", "ťțţ"), ("u", "úùûüůű"), ("y", "ýÿ"), ("z", "źżž"),
        ] {
            for character in marked { bare[character] = letter }
        }
        return bare
    }()
}
