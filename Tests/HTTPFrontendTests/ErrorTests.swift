import Answering
import Documents
import Foundation
import Hummingbird
import HummingbirdTesting
import Ingestion
import NIOCore
import Retrieval
import Testing

@testable import HTTPFrontend

/// An error of a module that the frontend does not know.
private struct Above: DocumentStoreErrorConvertible { var documentStoreError: DocumentStoreError }

@Suite struct ErrorTests {
    @Test(
        arguments: [
            (RetrievalError.unknownCollection("x") as any Error, 404),
            (RetrievalError.invalidRequest(parameter: "k", value: "0", remedy: "use 1 to 1000"), 400),
            (RetrievalError.questionTooLong(parameter: "query", size: 2, limit: 1), 413), (RetrievalError.invalidFilter("x"), 400),
            (RetrievalError.noEmbedder("none"), 422), (RetrievalError.overloaded("busy"), 503),
            (RetrievalError.deadlineExceeded(milliseconds: 5), 503), (RetrievalError.store("disk"), 500),
            (AnsweringError.invalidRequest(parameter: "question", value: "''", remedy: "ask"), 400),
            (AnsweringError.tooLarge(parameter: "turns", has: "65 members", remedy: "r"), 400),
            (AnsweringError.unknownGenerator("x", available: []), 400),
            (AnsweringError.retrieval(.unknownCollection("x")), 404), (AnsweringError.failed("x"), 500),
            (IngestionError.unknownCollection("x"), 404), (IngestionError.unknownJob("x"), 404), (IngestionError.unknownDocument("x"), 404),
            (IngestionError.invalidRequest(parameter: "p", value: "v", remedy: "r"), 400), (IngestionError.noSuchPath("x"), 422),
            (IngestionError.queueFull(queued: 1, limit: 1), 429),
            (IngestionError.readOnly("x"), 409), (IngestionError.nothingToRetry(job: "x", count: 1), 409), (IngestionError.store("x"), 500),
            (DocumentStoreError.superseded(source: "x", by: JobID(rawValue: "job_1")), 409),
            (DocumentStoreError.unknownCollection("x"), 404), (DocumentStoreError.collectionExists("x"), 409),
            (DocumentStoreError.invalidName("x"), 400),
            (DocumentStoreError.invalidSetting(setting: "chunk_tokens", value: "0", allowed: "more"), 400),
            (DocumentStoreError.unusableCollection(name: "x", reason: "r"), 409), (RetrievalError.unusableCollection("x"), 409),
            (Above(documentStoreError: .invalidName("x")), 400),
            (DocumentStoreError.modelMismatch(collection: "c", got: "a", expected: "b"), 409),
            (DocumentStoreError.readOnly(path: "p"), 409),
            (DocumentStoreError.notEnoughSpace(path: "p", needed: 1, available: 0), 507),
            (DocumentStoreError.database(operation: "o", reason: "r"), 500),
            (MultipartError.unexpectedEnd, 400), (MultipartError.tooManyParts(limit: 1), 413), (HTTPError(.notFound), 404),
            (NIOTooManyBytesError(maxBytes: 1), 413),
            (CocoaError(.fileNoSuchFile), 500), (CancellationError(), 503),
        ] as [(any Error, Int)])
    func `every error has its status`(error: any Error, status: Int) {
        let mapped = APIError(mapping: error)
        #expect(mapped.status.code == status)
        #expect(!mapped.message.isEmpty && !mapped.code.isEmpty)
        #expect((mapped.retryAfter != nil) == (status == 429 || status == 503))
    }

    @Test func `an unknown error tells nothing to the client and all to the log`() async throws {
        struct Secret: Error, CustomStringConvertible { var description: String { "password 1234" } }
        let backend = MemoryBackend()
        backend.behavior.withLock { $0.searchError = Secret() }
        try await Harness.routes(backend) { client, harness in
            let response = try await client.send(.post, "/v1/search", json: #"{"query": "x"}"#, headers: [.xRequestID: "trace-77"])
            #expect(response.status == .internalServerError && !response.text.contains("1234"))
            #expect(response.headers[.xRequestID] == "trace-77")
            let line = try #require(harness.lines.all.first { $0.contains("password 1234") })
            #expect(line.contains("\"request_id\":\"trace-77\"") && line.contains("\"level\":\"error\""))
        }
    }

    @Test(
        arguments: [
            ("", "invalid_json", nil), ("{", "invalid_json", nil), ("[]", "invalid_type", nil), ("null", nil, nil),
            (#"{"query": 5}"#, "invalid_type", "query"),
            (#"{}"#, "missing_member", "query"), (#"{"query": "x", "k": "ten"}"#, "invalid_type", "k"),
            (#"{"query": "x", "score_threshold": 0.25, "k": 1.5}"#, "invalid_value", "k"),
            (#"{"query": "x", "k": 1.5}"#, "invalid_value", "k"),
            (#"{"query": "x", "mode": "fuzzy"}"#, "invalid_value", "mode"), (#"{"query": "x", "qeury": 1}"#, "unknown_member", "qeury"),
            (#"{"query": "  "}"#, "invalid_value", "query"),
            (#"{"query": "x", "filter": {"type": "eq"}}"#, nil, "filter"),
        ] as [(String, String?, String?)])
    func `bad JSON is answered with the member and what was expected`(body: String, code: String?, parameter: String?) async throws {
        try await Harness.routes { client, harness in
            let response = try await client.send(.post, "/v1/search", json: body)
            #expect(response.status == .badRequest)
            let error = try response.error()
            if let code { #expect(error["code"] as? String == code, "\(response.text)") }
            if let parameter {
                #expect(error["param"] as? String == parameter, "\(response.text)")
                #expect((error["message"] as? String)?.contains("'\(parameter)'") == true, "\(response.text)")
            }
            #expect(harness.backend.state.withLock { $0.searchRequests.isEmpty })
        }
    }

    @Test func `unknown members are refused everywhere, with a hint`() async throws {
        try await Harness.routes { client, _ in
            for (method, path, body, name) in [
                (HTTPRequest.Method.post, "/v1/answer", #"{"question": "x", "temprature": 1}"#, "temperature"),
                (.post, "/v1/documents", #"{"documents": [{"source": "s", "txt": "t"}]}"#, "text"),
                (.post, "/v1/collections", #"{"nam": "x"}"#, "name"),
                (.post, "/v1/documents/delete", #"{"id": ["x"]}"#, "ids"), (.get, "/v1/documents?colection=x", "", "collection"),
                (.get, "/v1/jobs?limits=5", "", "limit"),
            ] {
                let response = try await client.send(method, path, json: body.isEmpty ? nil : body)
                #expect(response.status == .badRequest)
                #expect(
                    (try response.error()["message"] as? String)?.hasSuffix("did you mean '\(name)'?") == true, "\(path): \(response.text)")
            }
        }
    }

    /// A change of these is a change of the interface; then the API's documentation must follow.
    @Test func `the members of requests are those that are documented`() {
        #expect(
            SearchBody.memberNames == [
                "query", "collection", "mode", "k", "filter", "highlight", "fusion", "score_threshold", "max_per_document", "vector_weight",
                "rank_constant", "deadline_ms", "rerank", "rerank_depth", "collapse_duplicates",
            ])
        #expect(
            AnswerBody.memberNames == [
                "question", "collection", "mode", "k", "filter", "turns", "generator", "temperature", "max_tokens", "context_tokens",
                "refuse_below", "deadline_ms", "plan", "delivery", "stream",
            ])
        #expect(
            SettingsBody.memberNames == [
                "embedding_model", "dimension", "chunk_tokens", "chunk_overlap_tokens", "stemmer", "stop_words", "k1", "b", "title_weight",
                "vector_weight", "fusion",
            ])
    }

    @Test func `every member of a search is read, and may be absent`() throws {
        let full = try JSON.decode(
            SearchBody.self,
            from: Data(
                #"""
                {"query": "q", "collection": "c", "mode": "text", "k": 3, "filter": "year > 3", "highlight": false, "fusion": "rrf", "rerank": false,
                 "score_threshold": 0.5, "max_per_document": 2, "vector_weight": 0.25, "rank_constant": 30, "deadline_ms": 100.5, "rerank_depth": 7,
                 "collapse_duplicates": false}
                """#.utf8)
        ).request
        #expect(full.collection == "c" && full.mode == .text && full.k == 3 && full.filter != nil && !full.highlight && full.fusion == .rrf)
        #expect(full.rerank == false && full.scoreThreshold == 0.5 && full.maxPerDocument == 2 && full.vectorWeight == 0.25)
        #expect(full.rankConstant == 30 && full.deadlineMilliseconds == 100.5 && full.rerankDepth == 7 && !full.collapseDuplicates)
        let short = try JSON.decode(SearchBody.self, from: Data(#"{"query": "q"}"#.utf8)).request
        #expect(short.collection == "default" && short.mode == .hybrid && short.k == 10 && short.highlight && short.collapseDuplicates)
        #expect(short.rerank == nil && short.rerankDepth == nil && short.deadlineMilliseconds == nil)
    }

    @Test(
        arguments: [
            ("/v1/answer", #"{"question": "x", "temperature": 1e308}"#, "temperature", "'temperature' is inf; give a number from 0 to 2"),
            ("/v1/answer", #"{"question": "x", "temperature": 1e400}"#, "temperature", "'temperature' is inf; give a number from 0 to 2"),
            ("/v1/answer", #"{"question": "x", "max_tokens": 1e30}"#, "max_tokens", "'max_tokens' is 1e+30; use a whole number that fits"),
            (
                "/v1/search", #"{"query": "x", "score_threshold": 1e400}"#, "score_threshold",
                "'score_threshold' is inf; give a number, such as 0.5"
            ),
            (
                "/v1/search", #"{"query": "x", "deadline_ms": 1e400}"#, "deadline_ms",
                "'deadline_ms' is inf; give a positive number of milliseconds"
            ),
            ("/v1/search", #"{"query": "x", "k": 1e400}"#, "k", "'k' is out of range; use a whole number that fits"),
            (
                "/v1/collections", #"{"name": "x", "settings": {"chunk_tokens": "16"}}"#, "settings.chunk_tokens",
                "'settings.chunk_tokens' must be a whole number"
            ),
            (
                "/v1/collections", #"{"name": "x", "settings": {"chunk_tokens": 16.5}}"#, "settings.chunk_tokens",
                "'settings.chunk_tokens' is 16.5; use a whole number that fits"
            ),
            (
                "/v1/answer", #"{"question": "x", "plan": "magic"}"#, "plan", "'plan' is 'magic'; use direct, hyde, subquestions, hops"
            ),
            (
                "/v1/answer", #"{"question": "x", "delivery": "later"}"#, "delivery", "'delivery' is 'later'; use immediate, checked"
            ),
            ("/v1/answer", #"{"question": "x", "plan": 3}"#, "plan", "'plan' must be a string"),
            ("/v1/collections", #"{"name": "x", "settings": {"fusion": 3}}"#, "settings.fusion", "'settings.fusion' must be a string"),
            (
                "/v1/search", #"{"query": "x", "filter": "# + String(repeating: "[", count: 600) + String(repeating: "]", count: 600) + "}",
                nil,
                "the body is nested 601 levels deep; flatten it, 512 are read"
            ),
        ] as [(String, String, String?, String)])
    func `what is wrong is said of what it is wrong with`(path: String, body: String, parameter: String?, message: String) async throws {
        try await Harness.routes { client, _ in
            let response = try await client.send(.post, path, json: body)
            #expect(response.status == .badRequest)
            let error = try response.error()
            #expect(error["message"] as? String == message && error["param"] as? String == parameter, "\(response.text)")
        }
    }

    @Test(arguments: [
        ("{bad", "metadata", "the field 'metadata' is not valid JSON: expected one object such as {\"year\": 2024}"),
        ("[1]", "metadata", "the field 'metadata' must be an object"),
        (
            #"{"a": {"b": 1}}"#, "metadata.a",
            "'a' has a value that is not allowed: a metadata value must be a string, a number, true, false, null, or a list of strings or of numbers"
        ),
    ])
    func `metadata of an upload is judged by its own name`(metadata: String, parameter: String, message: String) async throws {
        try await Harness.routes { client, harness in
            let body =
                "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--XX\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n\(metadata)\r\n--XX--"
            let response = try await client.send(
                .post, "/v1/documents", json: body, headers: [.contentType: "multipart/form-data; boundary=XX"])
            let error = try response.error()
            #expect(error["message"] as? String == message && error["param"] as? String == parameter, "\(response.text)")
            #expect(harness.spooled.isEmpty)
        }
    }

    @Test func `settings of the server are named by their options`() {
        for (name, change) in [
            ("--max-concurrent", { $0.maxConcurrentRequests = 0 }), ("--max-connections", { $0.maxConnections = 0 }),
            ("--queue-limit", { $0.queueLimit = -1 }), ("--port", { $0.port = 70_000 }),
        ] as [(String, (inout HTTPServerConfiguration) -> Void)] {
            var configuration = HTTPServerConfiguration(spoolDirectory: "/tmp")
            change(&configuration)
            let error = #expect(throws: HTTPServerError.self) { try configuration.validate() }
            #expect(error?.description.hasPrefix("'\(name)' is ") == true)
        }
    }

    @Test func `unknown paths, methods, types and sizes have their statuses`() async throws {
        var limits = RequestLimits()
        limits.questionSizeMax = 100
        try await Harness.routes(
            MemoryBackend(limits: limits),
            configure: .change {
                $0.maxJSONBytes = 1000
                $0.maxBodyBytes = 1000
            }
        ) { client, harness in
            let missing = try await client.send(.get, "/v1/serach")
            #expect(missing.status == .notFound)
            #expect(try missing.error()["code"] as? String == "route_not_found")
            let method = try await client.send(.put, "/v1/search", json: "{}")
            #expect(method.status == .methodNotAllowed && method.headers[.allow] == "POST")
            #expect(try method.error()["code"] as? String == "method_not_allowed")
            #expect(try await client.send(.delete, "/v1/documents").headers[.allow] == "GET, HEAD, POST")
            let type = try await client.send(
                .post, "/v1/search", json: "query=x", headers: [.contentType: "application/x-www-form-urlencoded"])
            #expect(type.status == .unsupportedMediaType)
            #expect(
                try await client.send(.post, "/v1/documents", json: "x", headers: [.contentType: "text/csv"]).status
                    == .unsupportedMediaType)
            let long = String(repeating: "x", count: 2000)
            #expect(try await client.send(.post, "/v1/search", json: #"{"query": "\#(long)"}"#).status == .contentTooLarge)
            #expect(
                try await client.send(.post, "/v1/search", json: #"{"query": "\#(long.prefix(101))"}"#).error()["code"] as? String
                    == "question_too_long")
            #expect(
                try await client.send(.post, "/v1/documents", json: long, headers: [.contentType: "multipart/form-data; boundary=XX"])
                    .status == .contentTooLarge)
            #expect(harness.spooled.isEmpty)
            for path in ["/../etc/passwd", "/%2e%2e/etc/passwd", "/app.js/..", "//etc/passwd"] {
                #expect(try await client.send(.get, path).status == .notFound, "\(path)")
            }
        }
    }

    @Test func `an error in the middle of a stream is its last event`() async throws {
        let backend = MemoryBackend()
        try backend.add(source: "s", text: "Inverters last fifteen years.")
        backend.behavior.withLock {
            $0.answerError = AnsweringError.failed("the model stopped")
            $0.answerErrorAfter = 2
        }
        try await Harness.routes(backend) { client, harness in
            let response = try await client.send(.post, "/v1/answer", json: #"{"question": "inverters", "stream": true}"#)
            let events = serverSentEvents(response.text)
            #expect(events.filter { $0.event == "token" }.count == 2 && events.last?.event == "error")
            #expect(try JSONDecoder().decode(APIError.Body.self, from: Data(events.last!.data.utf8)).error.message == "the model stopped")
            #expect(harness.lines.requests.last?["error_code"] as? String == "answer_failed")
            // Without a stream the same failure is a status.
            #expect(try await client.send(.post, "/v1/answer", json: #"{"question": "inverters"}"#).status == .internalServerError)
        }
    }
}
