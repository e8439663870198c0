// Written by Benchmarks/static/wordpiece_golden.py with the PyPI package `tokenizers`; reviewed, not edited.

/// Sentences and what the reference implementation makes of them.
enum WordPieceGolden {
    /// A vocabulary of 63 tokens.
    static let vocabulary = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "The", "cat", "Cat", "sat", "un", "##happi", "##ly", "##ness", "hap", "##py", "a",
        "##a", "##b", "b", "c", "##c", "cafe", "caf\u{E9}", "##s", "na", "##ive", "na\u{EF}ve", "\u{6F22}", "\u{5B57}", "\u{304B}",
        "##\u{306A}", "\u{110B}\u{1161}", "##\u{11AB}", "\u{939}", "##\u{93F}", "!", "?", ",", ".", "-", "'", "(", ")", "[", "]", "#",
        "$", "1", "##2", "12", "##3", "i", "##i", "ss", "\u{DF}", "\u{131}", "\u{1C6}", "\u{430}", "##\u{431}", "\u{3C3}", "##\u{3C2}",
        "\u{643}", "##\u{62A}",
    ]

    /// Digests of the words of `a?b` for each assigned scalar of Unicode 14.
    static let uncasedDigest: UInt64 = 0x81A0_8C1D_F814_AD77
    static let casedDigest: UInt64 = 0xBF40_E18E_8C16_456A

    struct Case: Sendable {
        var text: String
        /// With the tiny vocabulary.
        var uncased: [Int32]
        var cased: [Int32]
        /// With the vocabulary of all-MiniLM-L6-v2.
        var model: [Int32]
    }

    static let cases: [Case] = [
        Case(
            text: "The cat sat.",
            uncased: [4, 6, 8, 38],
            cased: [5, 6, 8, 38],
            model: [1996, 4937, 2938, 1012]),
        Case(
            text: "unhappily, unhappiness!",
            uncased: [9, 10, 11, 37, 9, 10, 12, 35],
            cased: [9, 10, 11, 37, 9, 10, 12, 35],
            model: [4895, 3270, 9397, 6588, 1010, 4895, 3270, 9397, 9961, 999]),
        Case(
            text: "UNHAPPILY",
            uncased: [9, 10, 11],
            cased: [1],
            model: [4895, 3270, 9397, 6588]),
        Case(
            text: "happy unhappy",
            uncased: [13, 14, 1],
            cased: [13, 14, 1],
            model: [3407, 12511]),
        Case(
            text: "  the\u{9}cat\u{A}\u{A}sat\u{D}\u{A}",
            uncased: [4, 6, 8],
            cased: [4, 6, 8],
            model: [1996, 4937, 2938]),
        Case(
            text: "",
            uncased: [],
            cased: [],
            model: []),
        Case(
            text: " ",
            uncased: [],
            cased: [],
            model: []),
        Case(
            text: "the-cat's (cat) [sat]?!",
            uncased: [4, 39, 6, 40, 1, 41, 6, 42, 43, 8, 44, 36, 35],
            cased: [4, 39, 6, 40, 1, 41, 6, 42, 43, 8, 44, 36, 35],
            model: [1996, 1011, 4937, 1005, 1055, 1006, 4937, 1007, 1031, 2938, 1033, 1029, 999]),
        Case(
            text: "caf\u{E9}s cafe\u{301}s CAF\u{C9}S",
            uncased: [21, 23, 21, 23, 21, 23],
            cased: [22, 23, 1, 1],
            model: [23812, 23812, 23812]),
        Case(
            text: "na\u{EF}ve nai\u{308}ve NAI\u{308}VE",
            uncased: [24, 25, 24, 25, 24, 25],
            cased: [26, 1, 1],
            model: [15743, 15743, 15743]),
        Case(
            text: "the\u{6F22}\u{5B57}cat \u{6F22} \u{5B57}!",
            uncased: [4, 27, 28, 6, 27, 28, 35],
            cased: [4, 27, 28, 6, 27, 28, 35],
            model: [1996, 1904, 100, 4937, 1904, 100, 999]),
        Case(
            text: "\u{304B}\u{306A} \u{304C}\u{306A}\u{3002}",
            uncased: [29, 30, 29, 30, 1],
            cased: [29, 30, 1, 1],
            model: [1651, 30193, 1651, 30193, 1636]),
        Case(
            text: "\u{C548} \u{C548}\u{110B}",
            uncased: [31, 32, 1],
            cased: [1, 1],
            model: [1463, 30006, 30021, 1463, 30006, 30021, 29999]),
        Case(
            text: "\u{939}\u{93F} \u{939}\u{93F}\u{902}",
            uncased: [33, 34, 33, 34],
            cased: [33, 34, 1],
            model: [1339, 29877, 1339, 29877]),
        Case(
            text: "the\u{200B}cat the\u{AD}cat \u{FEFF}the",
            uncased: [1, 1, 4],
            cased: [1, 1, 4],
            model: [1996, 11266, 1996, 11266, 1996]),
        Case(
            text: "the\u{A0}cat\u{3000}sat\u{2028}the\u{85}cat",
            uncased: [4, 6, 8, 1],
            cased: [4, 6, 8, 1],
            model: [1996, 4937, 2938, 1996, 11266]),
        Case(
            text: "the\u{0}cat the\u{FFFD}cat the\u{7}cat",
            uncased: [1, 1, 1],
            cased: [1, 1, 1],
            model: [1996, 11266, 1996, 11266, 1996, 11266]),
        Case(
            text: "[CLS] the cat [SEP] [UNK]",
            uncased: [43, 1, 44, 4, 6, 43, 1, 44, 43, 1, 44],
            cased: [43, 1, 44, 4, 6, 43, 1, 44, 43, 1, 44],
            model: [1031, 18856, 2015, 1033, 1996, 4937, 1031, 19802, 1033, 1031, 4895, 2243, 1033]),
        Case(
            text: "##s ##happi",
            uncased: [45, 45, 1, 45, 45, 1],
            cased: [45, 45, 1, 45, 45, 1],
            model: [1001, 1001, 1055, 1001, 1001, 5292, 9397, 2072]),
        Case(
            text: "12 123 1 $12.12",
            uncased: [49, 49, 50, 47, 46, 49, 38, 49],
            cased: [49, 49, 50, 47, 46, 49, 38, 49],
            model: [2260, 13138, 1015, 1002, 2260, 1012, 2260]),
        Case(
            text: "aaaaaaaaaaaa",
            uncased: [15, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16],
            cased: [15, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16],
            model: [13360, 11057, 11057, 11057, 11057, 2050]),
        Case(
            text: String(repeating: "a", count: 100),
            uncased: [
                15, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
                16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
                16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
                16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
            ],
            cased: [
                15, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
                16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
                16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
                16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
            ],
            model: [
                13360, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057,
                11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057,
                11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 11057, 2050,
            ]),
        Case(
            text: String(repeating: "a", count: 101),
            uncased: [1],
            cased: [1],
            model: [100]),
        Case(
            text: "e\u{301}e\u{301}e\u{301} a\u{301}\u{302}\u{303}a",
            uncased: [1, 15, 16],
            cased: [1, 1],
            model: [25212, 2063, 9779]),
        Case(
            text: "\u{130}I\u{131}i",
            uncased: [1],
            cased: [1],
            model: [2462, 11722, 2072]),
        Case(
            text: "Stra\u{DF}e \u{DF} \u{1E9E} ss",
            uncased: [1, 54, 54, 53],
            cased: [1, 54, 1, 53],
            model: [2358, 27807, 1096, 1096, 7020]),
        Case(
            text: "\u{1C4} \u{1C5} \u{1C6}",
            uncased: [56, 56, 56],
            cased: [1, 1, 56],
            model: [100, 100, 100]),
        Case(
            text: "\u{410}\u{411} \u{430}\u{431}",
            uncased: [57, 58, 57, 58],
            cased: [1, 57, 58],
            model: [1180, 29740, 1180, 29740]),
        Case(
            text: "\u{3A3}\u{3A3} \u{3C3}\u{3C2}",
            uncased: [1, 59, 60],
            cased: [1, 59, 60],
            model: [1173, 29733, 1173, 19579]),
        Case(
            text: "\u{643}\u{62A} \u{643}\u{64E}\u{62A}\u{650}",
            uncased: [61, 62, 61, 62],
            cased: [61, 62, 1],
            model: [1293, 29817, 1293, 29817]),
        Case(
            text: "\u{1F600} the \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} cat \u{1F1E9}\u{1F1EA}",
            uncased: [1, 4, 1, 6, 1],
            cased: [1, 4, 1, 6, 1],
            model: [100, 1996, 100, 4937, 100]),
        Case(
            text: "\u{FF34}\u{FF28}\u{FF25}\u{FF0C}\u{FF01} \u{FB01}",
            uncased: [1, 1, 1, 1],
            cased: [1, 1, 1, 1],
            model: [100, 1989, 1986, 1984]),
        Case(
            text: "\u{226E} \u{37E} \u{1FEF}",
            uncased: [1, 1, 1],
            cased: [1, 1, 1],
            model: [1026, 1025, 1036]),
        Case(
            text: "\u{2014}\u{2026}\u{BF}\u{A1}\u{AB}\u{BB}\u{20AC}\u{A7}",
            uncased: [1, 1, 1, 1, 1, 1, 1, 1],
            cased: [1, 1, 1, 1, 1, 1, 1, 1],
            model: [1517, 1529, 1094, 1067, 1077, 1090, 1574, 1073]),
        Case(
            text: "c\u{327}\u{323}c\u{323}\u{327}",
            uncased: [19, 20],
            cased: [1],
            model: [10507]),
        Case(
            text: "\u{20000}\u{2A6D6}the\u{2B81F}\u{2B820}\u{2B920}",
            uncased: [1, 1, 4, 1, 1, 1],
            cased: [1, 1, 4, 1, 1, 1],
            model: [100, 100, 1996, 100, 100, 100]),
        Case(
            text: "\u{F900}\u{FA0E}",
            uncased: [1, 1],
            cased: [1, 1],
            model: [100, 100]),
        Case(
            text: "\u{E000}the\u{F0000}cat",
            uncased: [1],
            cased: [1],
            model: [1996, 11266]),
        Case(
            text: "the\u{378}cat \u{1F9FF}",
            uncased: [1, 1],
            cased: [1, 1],
            model: [100, 100]),
        Case(
            text: "\u{3231}\u{32FF}\u{3385}",
            uncased: [1],
            cased: [1],
            model: [100]),
        Case(
            text: "\u{2B0}\u{B2}\u{BD}\u{2460}",
            uncased: [1],
            cased: [1],
            model: [100]),
        Case(
            text: "tiny sentences about retrieval, embeddings & re-ranking: 3.14 (v2.0)",
            uncased: [1, 1, 1, 1, 37, 1, 1, 1, 39, 1, 1, 1, 38, 1, 41, 1, 38, 1, 42],
            cased: [1, 1, 1, 1, 37, 1, 1, 1, 39, 1, 1, 1, 38, 1, 41, 1, 38, 1, 42],
            model: [
                4714, 11746, 2055, 26384, 1010, 7861, 8270, 4667, 2015, 1004, 2128, 1011, 5464, 1024, 1017, 1012, 2403, 1006, 1058,
                2475, 1012, 1014, 1007,
            ]),
    ]
}
