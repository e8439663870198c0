import Documents
import Inference
import Retrieval
import Testing

@testable import Answering

@Suite struct `Retrieval plans as values` {
    private func told(_ name: PlanName, model: String?, turns: [ChatMessage] = []) -> [String] {
        AnswerPlan(
            AnswerRequest(question: "q", turns: turns, plan: name), models: model.map { [$0] } ?? [], embedder: nil,
            options: AnswerOptions()
        ).lines.prefix { $0.name != "score" }.map { "\($0.name): \($0.detail)" }
    }

    @Test func `each name is a list of steps, and the simplest is one search`() {
        #expect(told(.direct, model: "m") == ["retrieve: hybrid, k = 8"])
        #expect(
            told(.hyde, model: "m") == [
                "hypothesize: 'm' writes a passage, which is searched beside the question; 25 % of the time, at most 20 s, 160 tokens",
                "retrieve: hybrid, k = 8",
            ])
        #expect(
            told(.subquestions, model: "m") == [
                "decompose: 'm' asks up to 4 sub-questions, which are searched beside the question; 25 % of the time, at most 20 s, 160 tokens",
                "retrieve: hybrid, k = 8",
            ])
        #expect(
            told(.hops, model: "m") == [
                "retrieve: hybrid, k = 8",
                "hop: 'm' reads 6 passages and asks for what is missing, up to 2 times, each: retrieve hybrid, k = 8; "
                    + "20 % of the time, at most 20 s, 64 tokens",
            ])
        let turns = [ChatMessage(role: .user, content: "x")]
        for name in PlanName.allCases {
            #expect(told(name, model: "m", turns: turns) == ["rewrite: by 'm', else by words of earlier turns"] + told(name, model: "m"))
        }
    }

    @Test func `without a model the plan says what is left out`() {
        #expect(told(.hyde, model: nil) == ["hypothesize: left out: no language model", "retrieve: hybrid, k = 8"])
        #expect(told(.subquestions, model: nil) == ["decompose: left out: no language model", "retrieve: hybrid, k = 8"])
        #expect(told(.hops, model: nil) == ["retrieve: hybrid, k = 8", "hop: left out: no language model"])
    }

    @Test func `only one search is plain`() {
        for name in PlanName.allCases {
            let plan = RetrievalPlan(AnswerRequest(question: "q", k: 3, plan: name), model: "m", options: AnswerOptions())
            #expect(plan.isPlain == (name == .direct) && plan.k == 3)
        }
    }
}

@Suite struct `Fusion of several searches` {
    private func result(_ id: Int64, _ score: Float) -> SearchResult {
        SearchResult(
            documentID: DocumentID(rawValue: "doc_\(id)"), chunkID: ChunkID(rawValue: id), source: "s\(id)", title: nil, page: nil,
            heading: "",
            span: TextSpan(start: 0, end: 1), text: "t\(id)", score: score, scores: PassageScores(bm25: score, vector: score),
            highlights: [],
            metadata: [:])
    }
    private func list(_ isQuestion: Bool, _ ids: [Int64]) -> PassageFusion.List {
        PassageFusion.List(isQuestion: isQuestion, results: ids.enumerated().map { result($1, 1 - Float($0) / 10) })
    }
    private func ids(_ lists: [PassageFusion.List], k: Int = 10) -> [Int64] { PassageFusion.fuse(lists, k: k).map(\.chunkID.rawValue) }

    @Test func `one search stays as it is`() {
        let found = PassageFusion.fuse([list(true, [3, 1, 2])], k: 2)
        #expect(found.map(\.chunkID.rawValue) == [3, 1] && found.map(\.score) == [1, 0.9] && found[1].scores.vector == 0.9)
    }

    @Test func `ranks decide, then the question's list, then the rank in a list`() {
        // 2 is in both lists; of the first of each list, the question's comes first.
        #expect(ids([list(true, [1, 2]), list(false, [3, 2])]) == [2, 1, 3])
        #expect(ids([list(false, [3, 2]), list(true, [1, 2])]) == [2, 1, 3])
        #expect(ids([list(true, [1, 2]), list(false, [3, 4]), list(false, [5, 6])]) == [1, 3, 5, 2, 4, 6])
        #expect(ids([list(true, [1, 2]), list(false, [3, 4])], k: 3) == [1, 3, 2])
        #expect(ids([list(true, []), list(false, [])]).isEmpty && ids([]).isEmpty)
    }

    @Test func `scores are those of the question's own search`() {
        let lists = [list(true, [1, 2]), list(false, [3, 2])]
        let found = PassageFusion.fuse(lists, k: 10)
        let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.chunkID.rawValue, $0) })
        #expect(byID[1]!.score == 1 && byID[2]!.score == 0.9 && byID[2]!.scores.vector == 0.9)
        // What only another query found is nothing to the question's search, which had room for it; its cosine was with another text.
        #expect(byID[3]!.score == 0 && byID[3]!.scores == PassageScores())
        // Where it had no room, it is as good as the last at best; where it found nothing at all, it says nothing.
        let full = PassageFusion.fuse([list(true, [1, 2]), list(false, [2, 3])], k: 2)
        #expect(full.map(\.chunkID.rawValue) == [2, 1])
        let second = PassageFusion.fuse([list(true, [1, 2]), list(false, [3, 1])], k: 2)
        #expect(second.map(\.chunkID.rawValue) == [1, 3] && second[1].score == 0.9)
        #expect(PassageFusion.fuse([list(true, []), list(false, [3, 2])], k: 2).map(\.score) == [1, 0.9])
    }
}
