import Testing

@testable import Answering

@Suite struct `Reasoning filter` {
    /// What a client holds at the end, and how often it had to begin anew.
    private func play(_ pieces: [String]) -> (text: String, resets: Int) {
        var filter = ReasoningFilter()
        var text = ""
        var resets = 0
        for output in pieces.flatMap({ filter.push($0) }) + filter.finish() {
            switch output {
            case .text(let piece): text += piece
            case .reset:
                text = ""
                resets += 1
            }
        }
        return (text, resets)
    }

    private static let cases: [(written: String, text: String)] = [
        ("<think>Maybe 99?</think>\n\nIt lasts 31 months [1].", "It lasts 31 months [1]."),
        ("<THINK>a</Think>b", "b"), ("<thinking>a\nb</thinking> Yes. ", "Yes."), ("<think></think>Yes", "Yes"),
        ("Yes <think>or no</think>and no", "Yes and no"), ("<think>never closed, ninety-nine", ""),
        ("reasoning of a template that opened it\n</think>\nThe answer.", "The answer."), ("◁think▷x◁/think▷y", "y"),
        ("[THINK]x[/THINK]y [1]", "y [1]"), ("a < b and b > c, see [1] <thin", "a < b and b > c, see [1] <thin"),
        ("<|channel|>analysis<|message|>hm<|channel|>final<|message|>Done", "Done"), ("  plain  \n", "plain"), ("", ""),
        ("<think>a</think><think>b</think>c", "c"), ("x\n\ny", "x\n\ny"), ("<think>漢字</think>答え。", "答え。"),
    ]

    @Test(arguments: cases)
    func `reasoning is no text, wherever the pieces are cut`(written: String, text: String) {
        #expect(play([written]).text == text)
        #expect(play(written.map(String.init)).text == text)
        for size in [2, 3, 5, 7] {
            let characters = Array(written)
            let pieces = stride(from: 0, to: characters.count, by: size).map { String(characters[$0..<min($0 + size, characters.count)]) }
            #expect(play(pieces).text == text, "pieces of \(size)")
        }
    }

    @Test func `text is not held back longer than a tag may be`() {
        var filter = ReasoningFilter()
        #expect(filter.push("The tower is ") == [.text("The tower is")])
        #expect(filter.push("tall") == [.text(" tall")])
        #expect(filter.push("<b>") == [.text("<b>")])
        #expect(play(["Let me see. ", "Hm.", "</think>", "Yes"]).resets == 1)
    }
}

@Suite struct `Numbers in texts` {
    @Test(arguments: [
        ("31 months", "thirty-one months"), ("1,300,000", "1.300.000"), ("1 300 000", "1300000"), ("3,2 Tonnen", "3.2 t"), ("94.00", "94"),
        ("2.5 million", "2,500,000"), ("twelve hundred", "1200"), ("two hundred and thirty-one", "231"), ("einunddreißig Monate", "31"),
        ("zweihundertsechzehn", "216"), ("dreitausendfünfhundert", "3500"), ("sechzehn", "sixteen"), ("007", "7"), ("one hundred", "100"),
        ("8,450.50", "8.450,5"), ("forty thousand", "40,000"), ("٣١", "31"),
    ])
    func `the same number in two forms has a common reading`(left: String, right: String) {
        #expect(!Numbers.values(left).isDisjoint(with: Numbers.values(right)), "\(Numbers.values(left)) \(Numbers.values(right))")
    }

    @Test(arguments: [("44", "thirty-one"), ("31", "3.1"), ("1,300", "13"), ("thirteen", "30"), ("vierzehn", "40"), ("2.5", "25")])
    func `different numbers have none`(left: String, right: String) {
        #expect(Numbers.values(left).isDisjoint(with: Numbers.values(right)), "\(Numbers.values(left)) \(Numbers.values(right))")
    }

    @Test func `articles, dates and words are not disturbed`() {
        #expect(Numbers.all("one of the parties").isEmpty)
        #expect(Numbers.values("on 31.03.2029") == ["31", "3", "2029"])
        #expect(Numbers.normalized("A thirty-one month warranty, and more.") == "A 31 month warranty, and more.")
        #expect(Numbers.normalized("Er hat vierundzwanzig Boote und Undine.") == "Er hat 24 Boote und Undine.")
    }
}

@Suite struct `Answer markers` {
    @Test(arguments: [
        "The warranty lasts 31 months【1】.", "The warranty lasts 31 months (1).", "The warranty lasts 31 months [^1].",
        "The warranty lasts 31 months 【source 1】.", "The warranty lasts 31 months [Source 1].", "The warranty lasts 31 months [[1]].",
        "The warranty lasts 31 months 【1†source】.", "The warranty lasts 31 months. (1)", "The warranty lasts 31 months (source 1).",
        "The warranty lasts 31 months [#1].",
    ])
    func `every common form is read`(answer: String) {
        let claims = CitationCheck.claims(answer, sourceCount: 2)
        #expect(claims.map(\.markers) == [[1]], "\(claims)")
        #expect(claims.map(\.text) == ["The warranty lasts 31 months."])
    }

    @Test(arguments: ["Send two (2) copies.", "(1) First wash it.", "See figure (3).", "f(x) and (a)", "[x] done", "It grew (1990) fast."])
    func `other brackets are text`(answer: String) {
        #expect(CitationCheck.claims(answer, sourceCount: 2).allSatisfy { $0.markers.isEmpty })
    }
}

@Suite struct `Language of a question` {
    @Test(arguments: [
        ("How long is the warranty?", QuestionLanguage.english), ("Wie hoch ist die monatliche Miete für den Stellplatz?", .german),
        ("Quelle est la durée de la garantie ?", .french), ("¿Cuánto dura la garantía?", .spanish), ("Quanto dura la garanzia?", .italian),
        ("Quanto tempo dura a garantia do aparelho?", .portuguese), ("Hoe lang is de garantie van het apparaat?", .dutch),
        ("Hur lång är garantin?", .swedish), ("Hvor lang er garantien, og hvad dækker den?", .danish), ("Kuinka pitkä takuu on?", .finnish),
        ("Jak długa jest gwarancja?", .polish), ("Какой срок гарантии?", .russian), ("Garanti süresi kaç yıl?", .turkish),
        ("Cât durează garanția?", .romanian), ("Πόσο διαρκεί η εγγύηση;", .greek), ("ما هي مدة الضمان؟", .arabic),
        ("वारंटी कितने समय की है?", .hindi),
        ("保修期多长？", .chinese), ("保証期間はどのくらいですか？", .japanese), ("보증 기간은 얼마입니까?", .korean), ("การรับประกันนานเท่าไร", .thai),
        ("Bảo hành kéo dài bao lâu?", .vietnamese), ("warranty X-200", .english), ("iPhone 保修期多长", .chinese),
    ])
    func `it is read off script and small words`(question: String, language: QuestionLanguage) {
        #expect(QuestionLanguage(of: question) == language)
    }

    @Test func `every language refuses in words of its own`() {
        let sentences = QuestionLanguage.allCases.map(\.refusal)
        #expect(Set(sentences).count == sentences.count)
    }
}
