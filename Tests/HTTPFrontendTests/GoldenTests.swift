import Answering
import Documents
import Foundation
import Hummingbird
import HummingbirdTesting
import Inference
import Ingestion
import Retrieval
import Testing

@testable import HTTPFrontend

/// The JSON of every route, byte for byte, as clients have come to know it: `Golden/wire.txt` is what is sent, and a change of it is a change of the
/// interface. `OUTRIDER_RECORD=1` writes the file anew.
@Suite struct GoldenTests {
    private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Golden/wire.txt"

    private static func seeded() throws -> MemoryBackend {
        let backend = MemoryBackend(now: Date(timeIntervalSince1970: 1_700_000_000.25))
        try backend.add(
            source: "/docs/solar.txt", title: "Solar", text: "Panels face south.\n\nInverters last fifteen years — in the shade 🌞.",
            metadata: ["year": .number(2024), "tags": .strings(["a", "b"]), "draft": .bool(false)], pages: 2)
        try backend.add(source: "/docs/espresso.txt", text: "Espresso needs nine bars of pressure.", metadata: ["year": .number(2020)])
        return backend
    }

    /// Requests in their order: method, path, body.
    private static let requests: [(HTTPRequest.Method, String, String?)] = [
        (.post, "/v1/search", #"{"query": "how long do inverters last", "k": 3, "mode": "text"}"#),
        (.post, "/v1/search", #"{"query": "nothing of the kind", "highlight": false}"#),
        (.post, "/v1/answer", #"{"question": "How long do inverters last?", "k": 1}"#),
        (
            .post, "/v1/answer",
            #"{"question": "Does espresso degrade?", "k": 1, "stream": true, "turns": [{"role": "user", "content": "Hi"}]}"#
        ),
        (.post, "/v1/answer", #"{"question": "Anything about whales?"}"#),
        (
            .post, "/v1/answer",
            #"{"question": "How long do inverters last?", "k": 1, "stream": true, "plan": "hops", "delivery": "checked"}"#
        ),
        (.get, "/v1/documents", nil), (.get, "/v1/documents?limit=1", nil),
        (.get, "/v1/documents/doc_00000000000000000000000002", nil),
        (.get, "/v1/documents/doc_00000000000000000000000002/text?start=4&end=20", nil),
        (.get, "/v1/documents/doc_00000000000000000000000002/chunks", nil),
        (.patch, "/v1/documents/doc_00000000000000000000000002", #"{"metadata": {"draft": null, "year": 2025}}"#),
        (.get, "/v1/collections", nil), (.get, "/v1/collections/default", nil),
        (.post, "/v1/collections", #"{"name": "papers", "settings": {"chunk_tokens": 100, "k1": 1.2, "fusion": "rrf"}}"#),
        (.post, "/v1/documents?wait=true", #"{"documents": [{"source": "new2", "text": "Another new text."}], "metadata": {"m": true}}"#),
        (.post, "/v1/documents/delete", #"{"sources": ["new2"]}"#), (.delete, "/v1/documents/doc_00000000000000000000000002", nil),
        (.delete, "/v1/collections/papers", nil),
        (.get, "/v1/info", nil), (.get, "/v1/models", nil), (.get, "/health/live", nil), (.get, "/health/ready", nil),
        (.post, "/v1/verify", nil),
        (.post, "/v1/documents", #"{"documents": [{"source": "new", "title": "T", "text": "A new text.", "metadata": {"n": 1}}]}"#),
        // Errors.
        (.post, "/v1/search", #"{"query": 5}"#), (.post, "/v1/search", "{}"), (.post, "/v1/search", #"{"query": "x", "mode": "fuzzy"}"#),
        (.post, "/v1/search", #"{"query": "x", "fusion": "sum"}"#), (.post, "/v1/search", #"{"query": "x", "qeury": 1}"#),
        (.post, "/v1/search", #"{"query": "x", "zzzzzzzz": 1}"#), (.post, "/v1/search", #"{"query": "x", "k": "ten"}"#),
        (.post, "/v1/search", #"{"query": "x", "k": 1.5}"#), (.post, "/v1/search", #"{"query": "x", "highlight": 1}"#),
        (.post, "/v1/search", #"{"query": null}"#), (.post, "/v1/search", #"{"query": "  "}"#), (.post, "/v1/search", "["),
        (.post, "/v1/search", "[]"),
        (.post, "/v1/search", #"{"query": "x", "filter": {"type": "eq"}}"#),
        (.post, "/v1/search", #"{"query": "x", "collection": "none"}"#),
        (.post, "/v1/search", #"{"query": "\#(String(repeating: "x", count: 17_000))"}"#),
        (.post, "/v1/answer", #"{"question": ""}"#),
        (.post, "/v1/answer", #"{"question": "x", "turns": [{"role": "robot", "content": "x"}]}"#),
        (.post, "/v1/answer", #"{"question": "x", "turns": [{"role": "user"}]}"#),
        (.post, "/v1/answer", #"{"question": "x", "generator": "gpt"}"#),
        (.post, "/v1/answer", #"{"question": "x", "max_tokens": true}"#),
        (.post, "/v1/answer", #"{"question": "x", "plan": "magic"}"#), (.post, "/v1/answer", #"{"question": "x", "delivery": "late"}"#),
        (
            .post, "/v1/answer",
            #"{"question": "x", "turns": [\#(Array(repeating: #"{"role": "user", "content": "x"}"#, count: 65).joined(separator: ","))]}"#
        ),
        (.post, "/v1/answer", #"{"question": "x", "turns": [{"role": "user", "content": "\#(String(repeating: "x", count: 66_000))"}]}"#),
        (.post, "/v1/documents", #"{"documents": []}"#), (.post, "/v1/documents", #"{"documents": [{"source": "s", "txt": "t"}]}"#),
        (.post, "/v1/documents", #"{"documents": [{"source": "s"}]}"#),
        (.post, "/v1/documents", #"{"documents": [{"source": "", "text": "t"}]}"#),
        (.post, "/v1/documents", #"{"documents": [{"source": "s", "text": "t", "metadata": {"a": {"b": 1}}}]}"#),
        (.post, "/v1/documents/delete", #"{}"#), (.post, "/v1/documents/delete", #"{"ids": ["a"], "sources": ["b"]}"#),
        (.post, "/v1/collections", #"{"name": "x", "settings": {"chunk_token": 1}}"#), (.post, "/v1/collections", #"{"name": "default"}"#),
        (.post, "/v1/collections", #"{"name": "y", "settings": {"k1": 1e999}}"#),
        (.get, "/v1/documents/none", nil), (.get, "/v1/jobs/none", nil), (.get, "/v1/documents?limit=0", nil),
        (.get, "/v1/models/none", nil),
        (.get, "/v1/documents?colection=x", nil), (.get, "/v1/nothing", nil),
    ]

    /// What differs from run to run.
    private static func steady(_ text: String) -> String {
        text.replacing(/"(uptime_s|seconds|created|eta_s)":[-0-9.e]+/) { "\"\($0.1)\":0" }.replacing(
            /"request_id":"[^"]*"/, with: "\"request_id\":\"\"")
    }

    private static func told(_ text: String) -> String { text.utf8.count > 300 ? String(text.prefix(300)) + "..." : text }

    /// A plan with every kind of step.
    private static let manyStepped = {
        let asking = RetrievalPlan.Asking("g", budget: .init(0.25), tokensMax: 160)
        let search = RetrievalPlan.Step.search(.init(mode: .text, k: 3, isFiltered: false))
        return AnswerPlan(
            name: .hops, delivery: .checked, question: "q", collection: "c",
            stages: [
                .retrieve(
                    RetrievalPlan([
                        .decompose(.init(asking, countMax: 4)), .hypothesize(.init(asking)), search,
                        .hop(.init(.init(nil, budget: .init(0.2), tokensMax: 64), countMax: 2, steps: [search])),
                        .hop(.init(asking, countMax: 2, steps: [.hypothesize(.init(asking, keepsQuestion: false)), search])),
                    ])), .answer(.init(generators: ["g", "extractive"])),
            ], time: .seconds(1))
    }()

    /// Values with every member set, which the routes above do not all show.
    private static func full() -> [(String, String)] {
        let result = SearchResult(
            documentID: DocumentID(rawValue: "doc_1"), chunkID: ChunkID(rawValue: 7), source: "/a.pdf", title: "A", page: 2, lastPage: 3,
            heading: "One > Two", span: TextSpan(start: 3, end: 9), text: "a/b \"c\"", score: 0.25,
            scores: PassageScores(bm25: 1.5, vector: 0.5, rerank: -2),
            highlights: [TextSpan(start: 0, end: 1)], metadata: ["k": .numbers([1, 2.5])], version: 4, contentHash: "ab",
            alsoIn: [.init(documentID: DocumentID(rawValue: "doc_2"), chunkID: ChunkID(rawValue: 8), source: "/b.pdf", title: nil, page: 1)]
        )
        let bare = SearchResult(
            documentID: DocumentID(rawValue: "doc_1"), chunkID: ChunkID(rawValue: 7), source: "s", title: nil, page: nil, heading: "",
            span: TextSpan(start: 0, end: 1), text: "t", score: 1, scores: .init(), highlights: [], metadata: [:])
        let response = SearchResponse(
            results: [result, bare],
            timings: [
                .filter: .milliseconds(0.5), .embed: .milliseconds(1.25), .text: .milliseconds(2), .phrase: .milliseconds(3),
                .vector: .milliseconds(4), .fuse: .milliseconds(5), .rerank: .milliseconds(6), .fetch: .milliseconds(7),
                .total: .milliseconds(30.125),
            ], mode: .hybrid, collection: "c", degradation: [Degradation(.rerankPartial, "2 of 5 passages before the deadline")])
        let citation = Citation(
            marker: 1, documentID: DocumentID(rawValue: "doc_1"), chunkID: ChunkID(rawValue: 7), source: "/a.pdf", title: "A", page: 2,
            span: TextSpan(start: 3, end: 9), quote: "q", version: 4)
        let answer = AnswerResponse(
            answer: "Yes [1].", refused: false, confidence: 0.5, citations: [citation], generator: "llama",
            degradation: [
                Degradation(.generatorFailed, "a: deadline"), Degradation(.citationsDropped, "1 quotes are not what is stored now"),
            ],
            timings: [
                .rewrite: .milliseconds(1), .retrieve: .milliseconds(2), .prompt: .milliseconds(3), .score: .milliseconds(4),
                .hypothesize: .milliseconds(8), .decompose: .milliseconds(9), .hop: .milliseconds(10), .firstToken: .milliseconds(5),
                .generate: .milliseconds(6), .check: .milliseconds(7), .total: .milliseconds(28),
            ], question: "q?",
            usage: GenerationUsage(promptTokens: 5, completionTokens: 6),
            rejected: [RejectedText(generator: "llama", reason: "r", text: "t")], nearest: [bare],
            steps: [
                PlanStep(name: "rewrite", texts: ["q?"], duration: .milliseconds(1)),
                PlanStep(name: "retrieve", texts: ["q?"], passageCount: 8, duration: .milliseconds(2)),
            ])
        let outcomes = [
            FileOutcome(path: "/a", outcome: .indexed, reason: nil, documentID: DocumentID(rawValue: "doc_1"), chunks: 3),
            FileOutcome(path: "/b", outcome: .refused, reason: "why", documentID: nil, chunks: 0),
        ]
        let job = JobStatus(
            id: JobID(rawValue: "job_1"), collection: "c", state: .running, fileCount: 3, finishedCount: 2,
            stages: ["indexed": 1, "refused": 1, "parsing": 1],
            byteCount: 10, finishedByteCount: 5, progress: 0.5, etaSeconds: 2.5, createdAt: 1_700_000_000, files: outcomes, filesLeftOut: 1,
            working: [WorkingFile(path: "/c", stage: .parsing, seconds: 1.5)], waiting: "the disk is full")
        let report = VerificationReport(
            clean: false, collections: [.init(collection: "c", documents: 1, chunks: 2, textRows: 3, vectorRows: 4)], problems: ["p"],
            seconds: 0.5)
        return [
            ("search", JSON.string(SearchResponseBody(response))), ("answer", JSON.string(AnswerResponseBody(answer))),
            ("job", JSON.string(JobBody(job))), ("file", JSON.string(FileBody(outcomes[0]))),
            ("verification", JSON.string(VerificationBody(report))), ("citation", JSON.string(CitationBody(citation))),
            (
                "progress",
                JSON.string(ProgressBody(AnswerProgress(stage: .reading, generator: "llama", share: 0.5, elapsedMilliseconds: 2.5)))
            ),
            (
                "progress",
                JSON.string(ProgressBody(AnswerProgress(stage: .waiting, generator: "llama", share: nil, elapsedMilliseconds: 2)))
            ),
            (
                "plan",
                JSON.string(
                    PlanBody(
                        AnswerPlan(
                            question: "q", collection: "c",
                            stages: [
                                .retrieve(
                                    RetrievalPlan([
                                        .rewrite(.init(generator: "g")), .search(.init(mode: .hybrid, k: 8, isFiltered: true)),
                                    ])), .score(.init(embedder: "e")), .answer(.init(generators: ["g", "extractive"])),
                            ], time: .milliseconds(100), deadlineMilliseconds: 100)))
            ),
            ("plan", JSON.string(PlanBody(Self.manyStepped))),
            (
                "step",
                JSON.string(PlanStepBody(PlanStep(name: "retrieve", texts: ["q?"], passageCount: 2, duration: .milliseconds(1.5))))
            ),
            ("step", JSON.string(PlanStepBody(PlanStep(name: "decompose", texts: ["a?", "b?"], duration: .milliseconds(2))))),
            (
                "receipt",
                JSON.string(
                    ReceiptBody(
                        DeletionReceipt(documents: [DocumentID(rawValue: "doc_1")], chunks: [ChunkID(rawValue: 7)], collection: "c")))
            ),
        ]
    }

    @Test func `what is sent is what is recorded`() async throws {
        var transcript = ""
        for (name, text) in Self.full() { transcript += "## \(name)\n\(text)\n\n" }
        transcript += try await Harness.routes(Self.seeded()) { client, _ in
            var transcript = ""
            for (method, path, body) in Self.requests {
                let response = try await client.send(method, path, json: body)
                transcript +=
                    "## \(method) \(path)\(body.map { " " + Self.told($0) } ?? "")\n\(response.status.code) \(Self.steady(response.text))\n\n"
            }
            return transcript
        }
        if ProcessInfo.processInfo.environment["OUTRIDER_RECORD"] != nil {
            try transcript.write(toFile: Self.path, atomically: true, encoding: .utf8)
            return
        }
        let recorded = try String(contentsOfFile: Self.path, encoding: .utf8).components(separatedBy: "\n\n")
        let sent = transcript.components(separatedBy: "\n\n")
        #expect(sent.count == recorded.count)
        for (now, then) in zip(sent, recorded) { #expect(now == then) }
    }
}
