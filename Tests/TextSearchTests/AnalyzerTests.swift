import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

@Suite struct AnalyzerTests {
    private func terms(_ text: String, stemmer: String = "porter", stopWords: String = "english") throws -> [String] {
        let analyzer = try Analyzer(stemmer: stemmer, stopWords: stopWords)
        return analyzer.withWorker { worker in
            worker.analyze(text) { analyzed in
                analyzed.tokens.filter { $0.role != .stop && $0.role != .extra }.map {
                    String(decoding: analyzed.bytes(of: $0), as: UTF8.self)
                }
            }
        }
    }

    @Test(arguments: [
        ("The quick brown foxes jumped", ["quick", "brown", "fox", "jump"]),
        ("", []),
        (" \t\n.,;!?()[]{}<>_'\"--", []),
        ("don't can't o'brien", ["don't", "can't", "o'brien"]),
        ("John's book and the foxes' den", ["john", "book", "fox", "den"]),
        ("John\u{2019}s don\u{2019}t", ["john", "don't"]),
        ("l'homme qu'il dell'arte", ["homm", "il", "art"]),
        ("U.S. and U.S.A. meet US, USA", ["us", "usa", "meet", "us", "usa"]),
        ("e.g. the I.T. department", ["eg", "it", "depart"]),
        ("1,000 and 12,345,678.50 but 1,2 or 1,23", ["1000", "12345678.50", "1", "2", "1", "23"]),
        ("pi is 3.14159", ["pi", "3.14159"]),
        ("on 12.05.2020", ["12.05.2020", "2020"]),
        ("2020-05-12", ["2020", "05", "12"]),
        ("snake_case_name", ["snake_case_name", "snake", "case", "name"]),
        ("TextIndex indexes", ["textindex", "text", "index", "index"]),
        ("parseHTTPServer", ["parsehttpserv", "pars", "http", "server"]),
        ("mRNA PhD iPhone", ["mrna", "phd", "iphon"]),
        ("see example.com.", ["see", "example.com", "exampl", "com"]),
        ("C++ and C# or c.", ["c++", "c#", "c"]),
        ("covid19 p53 10mg", ["covid19", "p53", "10mg"]),
        ("well-known TNF-alpha", ["well", "known", "tnf", "alpha"]),
    ])
    func `words become terms`(text: String, expected: [String]) throws {
        #expect(try terms(text) == expected)
    }

    @Test(arguments: [
        ("café CAFÉ cafe\u{301}", ["cafe", "cafe", "cafe"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("Łódź Øresund Æther œuvre İstanbul ılık", ["lodz", "oresund", "aether", "oeuvre", "istanbul", "ilik"]),
        ("ﬁne ｆｕｌｌ ＡＢＣ １２３", ["fine", "full", "abc", "123"]),
        ("CO₂ m² word³", ["co2", "m", "word"]),
        ("soft\u{AD}hyphen zero\u{200D}width", ["softhyphen", "zerowidth"]),
        ("Ελλάδα ΣΟΦΟΣ σοφός", ["ελλαδα", "σοφοσ", "σοφοσ"]),
        ("Ёлка ёлка елка Йод й", ["елка", "елка", "елка", "йод", "й"]),
        ("и\u{306}од", ["йод"]),
        ("مُحَمَّد محمد كتـاب كتاب إسلام اسلام", ["محمد", "محمد", "كتاب", "كتاب", "اسلام", "اسلام"]),
        ("ש\u{5B8}לו\u{5B9}ם", ["שלום"]),
        ("क़लम कलम", ["कलम", "कलम"]),
        ("१२३ ٤٥٦ ๗๘๙", ["123", "456", "789"]),
        ("自然言語", ["自然", "然言", "言語"]),
        ("水", ["水"]),
        ("水 火", ["水", "火"]),
        ("東京タワー2024年", ["東京", "京タ", "タワ", "ワー", "2024", "年"]),
        ("ﾃｽﾄ テスト", ["テス", "スト", "テス", "スト"]),
        ("ｶﾞｽ ガス カ\u{3099}ス", ["ガス", "ガス", "ガス"]),
        ("한국어 \u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}", ["한국", "국어", "한국"]),
        ("iPhone手机", ["iphone", "手机"]),
        ("ไทย", ["ไท", "ทย"]),
        ("น้ำ", ["น้ํา"]),
        ("😀 a😀b", ["a", "b"]),
    ])
    func `scripts are folded and divided`(text: String, expected: [String]) throws {
        let expected = expected.map { $0.decomposedStringWithCanonicalMapping }
        #expect(try terms(text, stemmer: "none", stopWords: "none").map { $0.decomposedStringWithCanonicalMapping } == expected)
    }

    @Test func `a stemmer that reads accents sees them, and terms lose them`() throws {
        #expect(try terms("Häuser Haus", stemmer: "german") == ["haus", "haus"])
        #expect(try terms("canciones canción", stemmer: "spanish") == ["cancion", "cancion"])
        #expect(try terms("cafe\u{301}s cafés", stemmer: "french") == ["caf", "caf"])
    }

    @Test func `words of another script get that script's stemmer`() throws {
        #expect(try Set(terms("книга книги книгой")).count == 1)
        #expect(try Set(terms("книга книги книгой", stemmer: "none")).count == 3)
        #expect(try terms("running", stemmer: "russian") == ["run"])
    }

    @Test func `an unknown stemmer or list is refused by name`() throws {
        #expect { try Analyzer(stemmer: "klingon", stopWords: "none") } throws: {
            "\($0)".contains("klingon") && "\($0)".contains("porter")
        }
        #expect { try Analyzer(stemmer: "none", stopWords: "klingon") } throws: { "\($0)".contains("klingon") }
    }

    @Test func `every stemmer of the library works on every script`() throws {
        let text = "running laufen книга كتاب किताब βιβλίο 自然 գիրք புத்தகம்"
        for name in Stemmer.names { #expect(try terms(text, stemmer: name).count == 9, "\(name)") }
    }

    @Test func `a word longer than the maximum is cut and nothing is lost`() throws {
        let text = String(repeating: "x", count: 1000)
        let found = try terms(text, stemmer: "none")
        #expect(found.joined() == text)
        #expect(found.allSatisfy { $0.utf8.count <= AnalysisState.wordSizeMax })
        #expect(try terms(String(repeating: "a\u{301}", count: 3000), stemmer: "none").joined().utf8.count == 3000)
    }

    /// What analysis must promise for any text at all.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func `any text gives terms whose places lie in it, in order`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let alphabets: [ClosedRange<UInt32>] = [
            0x20...0x7E, 0x20...0x7E, 0xA0...0x24F, 0x300...0x36F, 0x370...0x3FF, 0x400...0x4FF, 0x590...0x6FF, 0x900...0x97F,
            0xE00...0xE7F,
            0x1000...0x11FF, 0x2000...0x20CF, 0x3040...0x30FF, 0x4E00...0x4EFF, 0xAC00...0xACFF, 0xFE00...0xFFEF, 0x1F600...0x1F64F,
            0x20000...0x2000F, 0xE0100...0xE010F,
        ]
        for stemmer in ["porter", "german", "none"] {
            let analyzer = try Analyzer(stemmer: stemmer, stopWords: "english")
            for _ in 0..<60 {
                var text = ""
                for _ in 0..<Int.random(in: 0...60, using: &random) {
                    let range = alphabets.randomElement(using: &random)!
                    if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { text.unicodeScalars.append(scalar) }
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        text += [" ", "'", ".", "_", ",", "\u{2019}", "s"].randomElement(using: &random)!
                    }
                }
                let size = text.utf8.count
                analyzer.withWorker { worker in
                    worker.analyze(text) { analyzed in
                        var start: UInt32 = 0
                        var position: UInt32 = 0
                        for token in analyzed.tokens {
                            #expect(token.termCount > 0, "seed \(seed): \(text.debugDescription)")
                            #expect(
                                token.sourceStart < token.sourceEnd && token.sourceEnd <= size, "seed \(seed): \(text.debugDescription)")
                            #expect(token.position >= position, "seed \(seed): \(text.debugDescription)")
                            if token.role != .part && token.role != .extra {
                                #expect(token.sourceStart >= start, "seed \(seed): \(text.debugDescription)")
                            }
                            let bytes = Array(analyzed.bytes(of: token))
                            #expect(String(validating: bytes, as: UTF8.self) != nil, "seed \(seed): \(text.debugDescription)")
                            if token.role != .extra { start = token.sourceStart }
                            position = token.position
                        }
                    }
                }
            }
        }
    }

    @Test func `the cache forgets without changing a term`() throws {
        let analyzer = try Analyzer(stemmer: "porter", stopWords: "english")
        let fresh = try Analyzer(stemmer: "porter", stopWords: "english")
        analyzer.withWorker { worker in
            // More distinct words than the cache holds.
            for start in stride(from: 0, to: 80_000, by: 8_000) {
                let text = (start..<start + 8_000).map { "word\($0 / 26)" + String(UnicodeScalar(UInt8(97 + $0 % 26))) }.joined(
                    separator: " ")
                worker.analyze(text) { #expect($0.tokens.count { $0.role == .word } == 8_000) }
            }
            func terms(_ worker: Analyzer.Worker) -> [[UInt8]] {
                worker.analyze("The relational databases of running foxes") { analyzed in
                    analyzed.tokens.map { Array(analyzed.bytes(of: $0)) }
                }
            }
            #expect(terms(worker) == fresh.withWorker { terms($0) })
        }
    }
}

/// What an index remembers of the library that made its stems.
struct StemmerFingerprintTests {
    @Test func `an index made with other stems is not opened`() throws {
        try withTemporaryDirectory { directory in
            let configuration = TextIndexConfiguration()
            let index = try TextIndex(directory: directory, configuration: configuration)
            index.add([TextRow(row: RowID(1), title: "", body: "lichamelijkheden")])
            try index.seal(at: IndexPosition(highWater: RowID(1)))
            #expect(try TextIndex(directory: directory, configuration: configuration).count == 1)
            var manifest = try #require(try IndexManifest.load(directory: directory))
            #expect(manifest.configuration.contains(Stemmer.fingerprint))
            manifest.configuration = manifest.configuration.replacingOccurrences(of: Stemmer.fingerprint, with: "other")
            try manifest.publish(directory: directory)
            #expect {
                _ = try TextIndex(directory: directory, configuration: configuration)
            } throws: {
                if case TextIndexError.configurationChanged = $0 { true } else { false }
            }
        }
    }

    @Test func `the fingerprint sees every algorithm of the library`() {
        #expect(Stemmer.names.count > 15 && !Stemmer.fingerprint.isEmpty)
    }
}
