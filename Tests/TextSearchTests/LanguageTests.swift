import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

@Suite struct LanguageTests {
    @Test(arguments: [
        ("The harbour was closed by the storm, and the boats that were in it had to wait.", Language.english),
        ("Der Hafen wurde wegen des Sturms geschlossen, und die Boote mussten warten.", .german),
        ("Versicherungen und Verträge: Die Fristen betragen sechs Wochen.", .german),
        ("Le port est fermé à cause de la tempête et les bateaux doivent attendre.", .french),
        ("El puerto fue cerrado por la tormenta y los barcos tuvieron que esperar.", .spanish),
        ("O porto foi fechado por causa da tempestade e os barcos não podem sair.", .portuguese),
        ("Il porto è stato chiuso per la tempesta e le barche devono aspettare.", .italian),
        ("Portul a fost închis din cauza furtunii și bărcile nu pot pleca.", .romanian),
        ("De haven werd door de storm gesloten en de boten moesten wachten.", .dutch),
        ("Hamnen stängdes på grund av stormen och båtarna fick vänta till nästa dag.", .swedish),
        ("Havnen blev lukket på grund af stormen, og bådene måtte vente til næste dag.", .danish),
        ("Havnen ble stengt på grunn av stormen, og båtene måtte vente til neste dag.", .norwegian),
        ("Satama oli suljettu myrskyn vuoksi, mutta veneet ovat nyt vapaita ja se on hyvä.", .finnish),
        ("A kikötőt a vihar miatt bezárták, és a hajók nem tudtak elindulni.", .hungarian),
        ("Liman fırtına için kapatıldı ve tekneler bir gün daha beklemek zorunda kaldı.", .turkish),
        ("Port został zamknięty przez sztorm i łodzie nie mogły się ruszyć.", .polish),
        ("Přístav byl kvůli bouři zavřen a lodě se nemohly pohnout, ale nyní je klid.", .czech),
        ("Bến cảng đã bị đóng cửa vì bão và những chiếc thuyền phải chờ đến ngày mai.", .vietnamese),
        ("Гавань была закрыта из-за шторма, и лодки не могли выйти в море.", .russian),
        ("Гавань була закрита через шторм, і човни не могли вийти в море.", .ukrainian),
        ("Το λιμάνι έκλεισε λόγω της καταιγίδας.", .greek),
        ("أغلق الميناء بسبب العاصفة.", .arabic),
        ("بندر به دلیل طوفان بسته شد و قایق‌ها باید صبر می‌کردند.", .persian),
        ("तूफान के कारण बंदरगाह बंद कर दिया गया।", .hindi),
        ("港口因风暴关闭。", .chinese),
        ("港は嵐のため閉鎖されました。", .japanese),
        ("폭풍으로 항구가 폐쇄되었습니다.", .korean),
        ("ท่าเรือปิดเพราะพายุ", .thai),
        ("", .unknown),
        ("4711.05-3 | 12 V | X-200", .unknown),
        ("Larsen, Berg, Hansen", .unknown),
    ])
    func `the language of a sentence is told`(text: String, language: Language) {
        #expect(LanguageDetector.detect(text) == language)
    }

    @Test func `any bytes give an answer`() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            var scalars = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...400, using: &random) {
                if let scalar = Unicode.Scalar(UInt32.random(in: 0...0x2FFFF, using: &random)) { scalars.append(scalar) }
            }
            _ = LanguageDetector.detect(String(scalars))
        }
    }

    @Test func `codes and raw values are given once`() {
        #expect(Set(Language.allCases.map(\.code)).count == Language.allCases.count)
    }

    /// German and English texts in one collection, with the default settings.
    private func library(_ more: [String] = []) throws -> TextIndex {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        let texts = [
            "Die Lagerungen und Abbuchungen: Es gibt zwei Kontoauszüge, und die Gebühren sind gering.",
            "Der Gärtner heißt Böhm und wohnt in Köln. Die Größe des Gartens ist nicht bekannt.",
            "Die Donauschifffahrtsgesellschaft verlangt eine Haftpflichtversicherung für jedes Boot.",
            "Die Bäume und die Häuser der Straße sind nach dem Sturm nicht mehr da.",
            "The gardener waters the trees and the running boats are moored at the quay.",
            "Böhm is the name of a gardener, and the trees are what he likes most in this town.",
        ]
        index.add((texts + more).enumerated().map { TextRow(row: RowID(Int64($0.offset)), title: "", body: $0.element) })
        return index
    }

    @Test(arguments: [
        ("Lagerung", [0]), ("Abbuchung", [0]), ("Kontoauszug", [0]), ("Baum", [3]), ("Haus", [3]), ("Haeuser", [3]), ("Groesse", [1]),
        ("Koeln", [1]), ("Boehm", [1, 5]), ("Böhm", [1, 5]), ("Bohm", [1, 5]), ("run", [4]), ("tree", [4, 5]), ("Gaertner", [1]),
        ("Versicherung", [2]), ("Haftpflicht", [2]), ("Gesellschaft", [2]), ("Strasse", [3]),
    ])
    func `each text's words meet the question's by the stemmer of its language`(query: String, rows: [Int64]) throws {
        #expect(try Set(library().search(query, k: 10).map(\.row.rawValue)) == Set(rows))
    }

    @Test func `a word of its own stands before the words it is a part of`() throws {
        let index = try library(["Die Versicherung ist nicht für alle da, und sie wird nach einem Jahr beendet."])
        #expect(index.search("Versicherung", k: 5).map(\.row.rawValue) == [6, 2])
    }

    @Test func `languages of a few rows among many are looked for by questions in them, or in no clear one`() throws {
        let index = try library()
        let many: [Language: Int] = [.english: 10_000, .unknown: 40, .german: 30, .french: 2]
        #expect(index.relevant(many, to: "Where are the boats that were in the harbour?") == [.english: 10_000, .unknown: 40])
        for query in ["Wo sind die Boote, die im Hafen waren?", "Versicherung", "X-200", "Où sont les bateaux qui étaient dans le port ?"] {
            #expect(index.relevant(many, to: query) == many, "\(query)")
        }
        let few: [Language: Int] = [.english: 100, .german: 1]
        #expect(index.relevant(few, to: "Where are the boats that were in the harbour?") == few)
        #expect(index.relevant([:], to: "Where are the boats?") == [:])
    }

    @Test func `words with an ending are those that a walk over the dictionary finds, the most frequent first`() throws {
        var random = SeededGenerator(seed: 8)
        let parts = ["haft", "pflicht", "versicher", "schiff", "fahrt", "ge", "sell", "schaft", "böden", "straße", "x"]
        var configuration = TextIndexConfiguration()
        configuration.stemmer = "none"
        let index = try TextIndex(directory: "/nonexistent", configuration: configuration)
        let texts = (0..<300).map { _ in
            (0..<6).map { _ in (0..<Int.random(in: 1...5, using: &random)).map { _ in parts.randomElement(using: &random)! }.joined() }
                .joined(separator: " ")
        }
        index.add(texts.enumerated().map { TextRow(row: RowID(Int64($0.offset)), title: "", body: $0.element) })
        for view in index.snapshot().views {
            var terms: [(bytes: [UInt8], count: Int)] = []
            var cursor = TermCursor(view.segment)
            while cursor.next() { terms.append((cursor.term, cursor.postings.count)) }
            for ending in [
                "schaft", "fahrt", "ge", "x", "versicherschaft", "straße", "böden", "pflichtversicher", "nowhere",
                "haftpflichtversicherschiff",
            ] {
                let suffix = Array(ending.utf8)
                for (sizeMin, limit) in [(1, 1000), (12, 1000), (1, 5)] {
                    var found: [[UInt8]: Int] = [:]
                    view.segment.forEachLongTerm(endingWith: suffix, sizeMin: sizeMin, limit: limit) { found[$0] = $1 }
                    let wanted = terms.filter {
                        $0.bytes.count >= max(sizeMin, LongTerms.sizeMin) && $0.bytes.suffix(suffix.count) == suffix[...]
                    }
                    #expect(found.count == min(limit, wanted.count), "\(ending)")
                    #expect(found.allSatisfy { each in wanted.contains { $0.bytes == each.key && $0.count == each.value } })
                    let least = wanted.map(\.count).sorted(by: >).prefix(limit).last ?? 0
                    #expect(found.values.allSatisfy { $0 >= least })
                }
            }
        }
    }

    @Test func `quotes hold in the language of the text`() throws {
        let index = try library()
        #expect(index.search("\"Bäume und die Häuser\"", k: 5).first?.row == RowID(3))
        #expect(index.containsPhrases(of: "\"Bäume und die Häuser\"", in: "Die Bäume und die Häuser der Straße sind nicht mehr da."))
        #expect(!index.containsPhrases(of: "\"Häuser und die Bäume\"", in: "Die Bäume und die Häuser der Straße sind nicht mehr da."))
        #expect(index.containsPhrases(of: "\"to be or not to be\"", in: "To be, or not to be, that is what was asked."))
        #expect(!index.containsPhrases(of: "\"to be or not to be\"", in: "It is not to be had, or so they say."))
    }

    @Test func `languages are counted, told for rows, and kept through merges and files`() throws {
        try withTemporaryDirectory { folder in
            let rows = [
                TextRow(row: RowID(1), title: "", body: "Der Hafen ist zu, und die Boote sind nicht da."),
                TextRow(row: RowID(2), title: "", body: "The harbour is closed and the boats are not there."),
                TextRow(row: RowID(3), title: "Die Liste der Boote und der Häfen", body: "4711 4712"),
                TextRow(row: RowID(4), title: "", body: "4713"),
            ]
            do {
                let index = try TextIndex(directory: folder, configuration: TextIndexConfiguration())
                for row in rows { index.add([row]) }
                try index.seal(at: IndexPosition())
                index.add([TextRow(row: RowID(5), title: "", body: "Порт закрыт.")])
                try index.compact(at: IndexPosition())
            }
            let index = try TextIndex(directory: folder, configuration: TextIndexConfiguration())
            #expect(index.languageCounts() == [.german: 2, .english: 1, .russian: 1, .unknown: 1])
            #expect(index.languages(of: [1, 3, 4, 9].map { RowID($0) }) == [RowID(1): .german, RowID(3): .german, RowID(4): .unknown])
            #expect(index.sample(of: .german, count: 5) == [RowID(1), RowID(3)])
            #expect(index.verify().isEmpty)
        }
    }

    @Test(arguments: [
        ("TX4711", true), ("4711", true), ("m5799dwf", true), ("2024", false), ("1989", false), ("1960s", false), ("19th", false),
        ("500", false),
        ("3.5", false), ("1.10.2", true), ("5550142", true), ("12v", false), ("gewährleistung", false), ("электрооборудованием", false),
        ("qzxwvutsrqponmlkjihgfedcba", true), ("p53", true),
    ])
    func `codes are told from numbers and long words`(word: String, isCode: Bool) throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        #expect(index.words(of: word, [:]).first?.isCode == isCode)
    }

    @Test func `rows with every rare word are told, codes in small collections too`() throws {
        let index = try library(["The part TX4711-B is out of stock.", "Ask for qzxwvutsrqponmlkjihgfedcba at the quay."])
        let rows = (0..<8).map { RowID(Int64($0)) }
        #expect(index.rowsWithRareWords(of: index.prepare("where is TX4711-B"), among: rows) == [RowID(6)])
        #expect(index.rowsWithRareWords(of: index.prepare("what is qzxwvutsrqponmlkjihgfedcba"), among: rows) == [RowID(7)])
        #expect(index.rowsWithRareWords(of: index.prepare("out of stock"), among: rows).isEmpty)
        #expect(index.rowsWithRareWords(of: index.prepare("where are the trees"), among: rows).isEmpty)
        #expect(index.rowsWithRareWords(of: index.prepare("TX4711-B"), among: [RowID(2)]).isEmpty)
        #expect(index.rowsWithRareWords(of: index.prepare("stock"), among: rows) == [RowID(6)])
        let units = try library(["A supply of 12V is needed.", "There are 12 berths, and a V for the victory."])
        #expect(units.rowsWithRareWords(of: units.prepare("12 V"), among: rows) == [RowID(6)])
        #expect(units.rowsWithRareWords(of: units.prepare("which supply of 12 V is needed by whom"), among: rows).isEmpty)
    }
}
