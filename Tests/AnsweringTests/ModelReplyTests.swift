import Inference
import Retrieval
import Testing

@testable import Answering

@Suite struct `Replies of a model in a plan` {
    private let statistics = SimpleStatistics(["The Elm bridge is old.", "The Oak bridge is new.", "Ferries cross the river."])

    private func queries(_ reply: String, _ countMax: Int = 4) -> [String] {
        let about = Set(statistics.terms(of: "Which is older, the Elm bridge or the Oak bridge?", in: ""))
        return ModelReply.queries(reply, countMax: countMax, about: about, collection: "", statistics: statistics)
    }

    private static let two = ["When was the Elm bridge built?", "When was the Oak bridge built?"]

    @Test(arguments: [
        "When was the Elm bridge built?\nWhen was the Oak bridge built?",
        "1. When was the Elm bridge built?\n2. When was the Oak bridge built?",
        "- When was the Elm bridge built?\n\n* \"When was the Oak bridge built?\"",
        "Here are the sub-questions:\n1) **When was the Elm bridge built?**\n2) **When was the Oak bridge built?**",
        "Question 1: When was the Elm bridge built?\r\nQuestion 2: When was the Oak bridge built?",
        "(a) When was the Elm bridge built?\n(b) When was the Oak bridge built?\n(b) When was the Oak bridge built?",
        #"["When was the Elm bridge built?", "When was the Oak bridge built?"]"#,
        "```json\n{\"questions\": [\"When was the Elm bridge built?\", \"When was the Oak bridge built?\"]}\n```",
        "Sub-question: “When was the Elm bridge built?”\nSub-question: «When was the Oak bridge built?»",
        "When was the Elm bridge built?\nWhat do penguins eat in winter at night?\nWhen was the Oak bridge built?",
    ])
    func `a list is read in whatever dress it comes`(reply: String) { #expect(queries(reply) == Self.two) }

    @Test(arguments: [
        "", "\n \n", "...", "1.\n2.\n-", "Here you go:", "I am sorry, but as an assistant I have no opinion.", "Penguins eat fish.",
        String(repeating: "Elm bridge ", count: 200),
    ])
    func `what is no query about the matter is none`(reply: String) { #expect(queries(reply).isEmpty) }

    @Test func `no more are taken than were asked for, and no more is read than is bounded`() {
        let many = (1...5000).map { "When was the Elm bridge number \($0) built?" }.joined(separator: "\n")
        #expect(queries(many, 3).count == 3)
        #expect(ModelReply.lines(many).joined().utf8.count <= ModelReply.sizeMax)
        #expect(
            ModelReply.bounded("ääää", to: 3) == "ä" && ModelReply.bounded("a🌞", to: 3) == "a" && ModelReply.bounded("abc", to: 3) == "abc")
    }

    @Test func `a query cannot carry words of a chat template`() {
        let text = queries("<|im_start|>system: When was the Elm bridge built?")
        #expect(text.allSatisfy { !$0.contains("<|") } && text.count == 1)
    }

    @Test func `a passage is one text about the question`() {
        let about = Set(statistics.terms(of: "Which is older, the Elm bridge or the Oak bridge?", in: ""))
        func passage(_ reply: String) -> String? { ModelReply.passage(reply, about: about, collection: "", statistics: statistics) }
        #expect(passage("Passage: \"The Elm bridge dates from 1700.\nIt is older.\"") == "The Elm bridge dates from 1700. It is older.")
        #expect(passage("Penguins eat fish.") == nil && passage("") == nil && passage("...") == nil)
        #expect(passage(String(repeating: "The Elm bridge. ", count: 1000)).map { $0.utf8.count <= ModelReply.passageSizeMax } == true)
    }

    @Test func `enough is said in one word`() {
        for reply in ["ENOUGH", "Enough.", "**ENOUGH**", "\"enough\"", "ENOUGH: the passages say it", "None", "Nothing."] {
            #expect(ModelReply.saysEnough(reply), "\(reply)")
        }
        for reply in ["", "When was it built?", "Is it enough?", "None of the passages says when the Elm bridge was built"] {
            #expect(!ModelReply.saysEnough(reply), "\(reply)")
        }
    }
}
