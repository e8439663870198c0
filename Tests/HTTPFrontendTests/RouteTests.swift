import Answering
import Documents
import Foundation
import Hummingbird
import HummingbirdTesting
import Ingestion
import Retrieval
import TestSupport
import Testing

@testable import HTTPFrontend

@Suite struct RouteTests {
    private static func seeded() throws -> MemoryBackend {
        let backend = MemoryBackend()
        try backend.add(
            source: "/docs/solar.txt", title: "Solar", text: "Panels face south.\n\nInverters last fifteen years — in the shade 🌞.",
            metadata: ["year": .number(2024)], pages: 2)
        try backend.add(source: "/docs/espresso.txt", text: "Espresso needs nine bars of pressure.", metadata: ["year": .number(2020)])
        return backend
    }

    // MARK: Search and answer

    @Test func `a search answers the stable JSON and logs ids but no text`() async throws {
        try await Harness.routes(Self.seeded()) { client, harness in
            let response = try await client.send(
                .post, "/v1/search", json: #"{"query": "how long do inverters last", "k": 3, "mode": "text"}"#)
            #expect(response.status == .ok)
            let body = try response.json()
            let result = try #require((body["results"] as? [[String: Any]])?.first)
            #expect(Set(["document_id", "chunk_id", "source", "page", "span", "text", "score", "scores"]).isSubset(of: result.keys))
            #expect((body["timings_ms"] as? [String: Double])?["total"] == 6.5)
            #expect(body["mode"] as? String == "text")
            let line = try #require(harness.lines.requests.last)
            #expect(line["retrieved_ids"] as? [String] == [result["chunk_id"] as! String])
            #expect(line["route"] as? String == "/v1/search" && line["method"] as? String == "POST" && line["status"] as? Int == 200)
            #expect(line["latency_ms"] is Double && (line["request_id"] as? String)?.hasPrefix("req_") == true)
            #expect(!harness.lines.all.joined().contains("nverters"), "the log holds a question or a document's text")
        }
    }

    @Test func `an answer answers the stable JSON`() async throws {
        try await Harness.routes(Self.seeded()) { client, harness in
            let body = try await client.send(.post, "/v1/answer", json: #"{"question": "How long do inverters last?", "k": 1}"#).json()
            #expect(body["answer"] as? String == "Inverters last fifteen years — in the shade 🌞. [1]")
            #expect(body["refused"] as? Bool == false && body["generator"] as? String == "extractive")
            let citation = try #require((body["citations"] as? [[String: Any]])?.first)
            #expect(Set(["document_id", "chunk_id", "source", "page", "span", "quote"]).isSubset(of: citation.keys))
            #expect(body["confidence"] is Double && body["degradation"] is [String] && body["timings_ms"] is [String: Double])
            #expect(harness.lines.requests.last?["generator"] as? String == "extractive")
            let recent = try #require(try await client.send(.get, "/v1/timings").json()["recent"] as? [[String: Any]])
            #expect(recent.first?["kind"] as? String == "answer")
        }
    }

    @Test func `a streamed answer sends its events in order`() async throws {
        try await Harness.routes(Self.seeded()) { client, harness in
            for (headers, extra) in [([.accept: "text/event-stream"] as HTTPFields, ""), ([:], #", "stream": true"#)] {
                let response = try await client.send(
                    .post, "/v1/answer", json: #"{"question": "How long do inverters last?", "k": 1\#(extra)}"#, headers: headers)
                #expect(response.headers[.contentType] == "text/event-stream; charset=utf-8")
                #expect(response.headers[.contentLength] == nil)
                let events = serverSentEvents(response.text)
                var names = events.map(\.event)
                let tokens = names.filter { $0 == "token" }.count
                names.removeAll { $0 == "token" }
                #expect(names == ["plan", "sources", "citation", "timings", "done"])
                let text = try events.filter { $0.event == "token" }.map {
                    try JSONDecoder().decode([String: String].self, from: Data($0.data.utf8))["text"]!
                }.joined()
                #expect(tokens > 3 && text.contains("🌞"))
                let sources = try JSONSerialization.jsonObject(with: Data(events[1].data.utf8)) as? [String: [Any]]
                #expect(sources?["sources"]?.count == 1)
            }
            // "stream": false wins over the header.
            let plain = try await client.send(
                .post, "/v1/answer", json: #"{"question": "inverters", "stream": false}"#, headers: [.accept: "text/event-stream"])
            #expect(plain.headers[.contentType] == "application/json; charset=utf-8")
            #expect(harness.metrics.exposition().contains("outrider_time_to_first_token_ms_count 3\n"))
        }
    }

    @Test func `a plan and a delivery are handed on, and what does not stream is not cut into sentences`() async throws {
        let backend = try Self.seeded()
        try await Harness.routes(backend) { client, _ in
            for (body, plan, delivery) in [
                (#"{"question": "inverters", "stream": true}"#, PlanName.direct, AnswerRequest.Delivery.immediate),
                (#"{"question": "inverters", "stream": true, "plan": "hyde", "delivery": "checked"}"#, .hyde, .checked),
                (#"{"question": "inverters", "plan": "subquestions", "delivery": "checked"}"#, .subquestions, .immediate),
                (#"{"question": "inverters", "plan": "hops", "delivery": null}"#, .hops, .immediate),
            ] {
                _ = try await client.send(.post, "/v1/answer", json: body)
                let asked = try #require(backend.state.withLock { $0.answerRequests.last })
                #expect(asked.plan == plan && asked.delivery == delivery, "\(body)")
            }
        }
    }

    @Test func `a stream that cannot begin has a proper status`() async throws {
        try await Harness.routes(Self.seeded()) { client, _ in
            let response = try await client.send(.post, "/v1/answer", json: #"{"question": "x y z", "generator": "gpt", "stream": true}"#)
            #expect(response.status == .badRequest)
            #expect(try response.error()["param"] as? String == "generator")
        }
    }

    // MARK: Documents

    @Test func `documents are listed in pages and found by filter and title`() async throws {
        let backend = MemoryBackend()
        for number in 0..<7 {
            try backend.add(
                source: "s\(number)", title: "Title \(number)", text: "Text \(number)", metadata: ["even": .bool(number % 2 == 0)])
        }
        try await Harness.routes(backend) { client, _ in
            var seen: [String] = []
            var after: String? = ""
            while let cursor = after {
                let page = try await client.send(.get, "/v1/documents?limit=3" + (cursor.isEmpty ? "" : "&after=\(cursor)")).json()
                let documents = try #require(page["documents"] as? [[String: Any]])
                #expect(documents.count <= 3 && page["total"] as? Int == 7)
                seen += documents.map { $0["source"] as! String }
                after = page["next"] as? String
            }
            #expect(seen == (0..<7).reversed().map { "s\($0)" })
            let found = try await client.send(.get, "/v1/documents?search=title+5").json()["documents"] as? [[String: Any]]
            #expect(found?.map { $0["source"] as! String } == ["s5"])
            let filter = "%7B%22type%22:%22eq%22,%22key%22:%22even%22,%22value%22:true%7D"
            #expect(try #require(try await client.send(.get, "/v1/documents?filter=\(filter)").json()["documents"] as? [Any]).count == 4)
            #expect(try await client.send(.get, "/v1/documents?filter=%7Bnonsense").error()["code"] as? String == "invalid_filter")
        }
    }

    @Test func `an empty server lists nothing and an unknown collection is not found`() async throws {
        try await Harness.routes { client, _ in
            #expect(try #require(try await client.send(.get, "/v1/documents").json()["documents"] as? [Any]).isEmpty)
            let missing = try await client.send(.get, "/v1/documents?collection=nope")
            #expect(missing.status == .notFound)
            #expect(try missing.error()["code"] as? String == "collection_not_found")
        }
    }

    @Test func `a document's text comes whole or as a window of whole characters`() async throws {
        let backend = MemoryBackend()
        let text = "añ€🌞z"  // 1 + 2 + 3 + 4 + 1 bytes
        let id = try backend.add(source: "s", text: text)
        try await Harness.routes(backend) { client, _ in
            let whole = try await client.send(.get, "/v1/documents/\(id)/text").json()
            #expect(whole["text"] as? String == text && whole["bytes"] as? Int == 11)
            for start in 0...12 {
                for end in start...12 {
                    let body = try await client.send(.get, "/v1/documents/\(id)/text?start=\(start)&end=\(end)").json()
                    let span = try #require(body["span"] as? [String: Int])
                    let window = try #require(body["text"] as? String)
                    #expect(window.utf8.count == span["end"]! - span["start"]!)
                    #expect(Array(text.utf8)[span["start"]!..<span["end"]!].elementsEqual(window.utf8))
                    #expect(span["start"]! <= min(start, 11) && span["end"]! >= min(end, 11), "\(start)..<\(end)")
                    #expect(!window.unicodeScalars.contains("\u{fffd}"))
                }
            }
            #expect(try await client.send(.get, "/v1/documents/\(id)/text?start=5&end=2").status == .badRequest)
            #expect(try await client.send(.get, "/v1/documents/\(id)/chunks").json()["chunks"] is [Any])
            #expect(try await client.send(.get, "/v1/documents/doc_none/text").status == .notFound)
        }
    }

    @Test func `metadata is patched and null removes a key`() async throws {
        let backend = try Self.seeded()
        let id = backend.state.withLock { $0.documents[0].record.id }
        try await Harness.routes(backend) { client, _ in
            let body = try await client.send(
                .patch, "/v1/documents/\(id)", json: #"{"metadata": {"year": null, "lang": "en", "tags": ["a", "b"]}}"#
            ).json()
            #expect(body["metadata"] as? NSDictionary == ["lang": "en", "tags": ["a", "b"]])
            #expect(
                try await client.send(.get, "/v1/documents/\(id)").json()["metadata"] as? NSDictionary == [
                    "lang": "en", "tags": ["a", "b"],
                ])
        }
    }

    @Test func `deleting by each selector says what went`() async throws {
        try await Harness.routes(Self.seeded()) { client, harness in
            let id = harness.backend.state.withLock { $0.documents[0].record.id }
            for (body, count) in [
                (#"{"sources": ["/docs/none"]}"#, 0), (#"{"filter": {"type": "eq", "key": "year", "value": 2020}}"#, 1),
                (#"{"source_tree": "/docs"}"#, 1),
            ] {
                let receipt = try await client.send(.post, "/v1/documents/delete", json: body).json()
                #expect((receipt["documents"] as? [String])?.count == count, "\(body)")
            }
            let gone = try await client.send(.delete, "/v1/documents/\(id)")
            #expect(gone.status == .notFound)
        }
        try await Harness.routes(Self.seeded()) { client, harness in
            let id = harness.backend.state.withLock { $0.documents[0].record.id }
            let receipt = try await client.send(.delete, "/v1/documents/\(id)").json()
            #expect(receipt["documents"] as? [String] == [id.rawValue])
            #expect(try await client.send(.get, "/v1/documents/\(id)").status == .notFound)
        }
    }

    @Test(arguments: [#"{}"#, #"{"ids": ["a"], "sources": ["b"]}"#, #"{"collection": "default"}"#])
    func `a deletion must say exactly what`(body: String) async throws {
        try await Harness.routes(Self.seeded()) { client, harness in
            let response = try await client.send(.post, "/v1/documents/delete", json: body)
            #expect(response.status == .badRequest)
            let left = harness.backend.state.withLock { $0.documents.count }
            #expect(left == 2)
        }
    }

    // MARK: Taking in

    private func multipart(_ parts: [(disposition: String, content: String)]) -> String {
        parts.map { "--XX\r\nContent-Disposition: form-data; \($0.disposition)\r\n\r\n\($0.content)\r\n" }.joined() + "--XX--\r\n"
    }

    @Test func `uploaded files become documents and no file stays behind`() async throws {
        try await Harness.routes { client, harness in
            let body = multipart([
                ("name=\"file\"; filename=\"a/b/one.txt\"", String(repeating: "One line of text. ", count: 40_000)),
                ("name=\"collection\"", "notes"),
                ("name=\"metadata\"", #"{"year": 2024}"#), ("name=\"file\"; filename=\"two.txt\"", "Two."),
                ("name=\"file\"; filename=\"empty.bin\"", ""),
            ])
            let response = try await client.send(
                .post, "/v1/documents", json: body, headers: [.contentType: "multipart/form-data; boundary=XX"])
            #expect(response.status == .accepted)
            let accepted = try response.json()
            #expect(accepted["files"] as? Int == 3)
            let job = try #require(accepted["job_id"] as? String)
            #expect(response.headers[.location] == "/v1/jobs/\(job)")
            try await eventually("the job ends") { try await client.send(.get, "/v1/jobs/\(job)").json()["state"] as? String == "finished" }
            let stages = try await client.send(.get, "/v1/jobs/\(job)").json()["stages"] as? [String: Int]
            #expect(stages?["indexed"] == 2 && stages?["refused"] == 1)
            let documents = harness.backend.state.withLock { $0.documents }
            #expect(documents.map(\.record.source).sorted() == ["a/b/one.txt", "two.txt"])
            #expect(documents.allSatisfy { $0.record.metadata == ["year": .number(2024)] })
            #expect(documents.first { $0.record.source == "a/b/one.txt" }?.text.utf8.count == 18 * 40_000)
            #expect(harness.spooled.isEmpty)
            // While they waited, their names told which bytes they hold (sha256sum).
            let paths = harness.backend.state.withLock { $0.submitted }.flatMap(\.items).compactMap { item -> String? in
                if case .upload(_, let path, _) = item { path } else { nil }
            }
            #expect(
                paths.map { String($0.split(separator: ".").last ?? "") } == [
                    "840e5689d905f17fa1464229a0f9daa1bbd2877181270be5190d56160ac3ef86",
                    "1eb32d1ee4458814f94f8b92d1bd3e06e16dca6fab43d53f700840321f27fdf4",
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                ])
        }
    }

    @Test func `a request that waits answers with the job's end`() async throws {
        try await Harness.routes { client, _ in
            let body = multipart([("name=\"file\"; filename=\"a.txt\"", "Text.")])
            let response = try await client.send(
                .post, "/v1/documents?wait=true", json: body, headers: [.contentType: "multipart/form-data; boundary=XX"])
            #expect(response.status == .ok)
            #expect(try response.json()["state"] as? String == "finished")
        }
    }

    @Test func `a job that takes longer than a request may answers with its progress`() async throws {
        let backend = MemoryBackend()
        backend.behavior.withLock { $0.fileDelay = .seconds(600) }
        try await Harness.routes(backend, configure: .change { $0.requestTimeout = .milliseconds(300) }) { client, _ in
            let response = try await client.send(.post, "/v1/documents?wait=true", json: #"{"documents": [{"source": "s", "text": "t"}]}"#)
            #expect(response.status == .accepted)
            #expect(try response.json()["state"] as? String == "running")
        }
    }

    @Test(arguments: [
        ("no end", "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nText", "invalid_multipart"),
        ("no file", "--XX\r\nContent-Disposition: form-data; name=\"collection\"\r\n\r\nx\r\n--XX--", "missing_member"),
        (
            "unknown field",
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--XX\r\nContent-Disposition: form-data; name=\"colection\"\r\n\r\nx\r\n--XX--",
            "unknown_member"
        ),
        (
            "bad metadata",
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--XX\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n[1]\r\n--XX--",
            "invalid_value"
        ),
        ("no name", "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"..\"\r\n\r\nx\r\n--XX--", "invalid_value"),
        ("text as file", "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--XX--", "invalid_value"),
    ])
    func `a broken upload is refused whole and leaves nothing`(name: String, body: String, code: String) async throws {
        try await Harness.routes { client, harness in
            let response = try await client.send(
                .post, "/v1/documents", json: body, headers: [.contentType: "multipart/form-data; boundary=XX"])
            #expect(response.status == .badRequest)
            #expect(try response.error()["code"] as? String == code, "\(name): \(response.text)")
            #expect(harness.spooled.isEmpty)
            #expect(harness.backend.state.withLock { $0.submitted.isEmpty })
        }
    }

    @Test func `a refused job leaves no spool file`() async throws {
        let backend = MemoryBackend()
        backend.behavior.withLock { $0.submitError = IngestionError.queueFull(queued: 10, limit: 10) }
        try await Harness.routes(backend) { client, harness in
            let body = multipart([("name=\"file\"; filename=\"a.txt\"", "Text.")])
            let response = try await client.send(
                .post, "/v1/documents", json: body, headers: [.contentType: "multipart/form-data; boundary=XX"])
            #expect(response.status == .tooManyRequests && response.headers[.retryAfter] == "5")
            #expect(harness.spooled.isEmpty)
        }
    }

    @Test func `what a crash left half received is removed at the start, complete uploads stay`() async throws {
        try await Harness.routes { _, harness in
            for name in ["partial-1", "upload-2"] {
                #expect(FileManager.default.createFile(atPath: "\(harness.folder)/spool/\(name)", contents: Data("x".utf8)))
            }
            try UploadReceiver.prepare(directory: harness.folder + "/spool")
            #expect(harness.spooled == ["upload-2"])
        }
    }

    @Test func `texts come in as JSON: one job, whatever their metadata`() async throws {
        try await Harness.routes { client, harness in
            let body = #"""
                {"collection": "c", "metadata": {"a": 1}, "documents": [
                  {"source": "1", "title": "T", "text": "x"}, {"source": "2", "text": "y", "metadata": {"b": true}}, {"source": "3", "text": "z"}]}
                """#
            let response = try await client.send(.post, "/v1/documents", json: body)
            #expect(response.status == .accepted)
            let accepted = try response.json()
            let job = try #require(accepted["job_id"] as? String)
            #expect(accepted["job_ids"] as? [String] == [job] && accepted["files"] as? Int == 3)
            let submitted = harness.backend.state.withLock { $0.submitted }
            #expect(submitted.map(\.items.count) == [3] && submitted[0].metadata == ["a": .number(1)])
            guard case .text("2", nil, "y", ["b": .bool(true)]) = submitted[0].items[1] else {
                Issue.record("the second text is \(submitted[0].items[1])")
                return
            }
            let waited = try await client.send(.post, "/v1/documents?wait=true", json: body)
            #expect(waited.status == .ok)
            let status = try waited.json()
            #expect(status["state"] as? String == "finished" && status["file_count"] as? Int == 3)
            let documents = harness.backend.state.withLock { $0.documents }
            #expect(documents.first { $0.record.source == "2" }?.record.metadata == ["a": .number(1), "b": .bool(true)])
        }
    }

    @Test func `thousands of texts are one request, more are refused`() async throws {
        try await Harness.routes { client, harness in
            func body(_ count: Int) -> String {
                #"{"documents": ["#
                    + (0..<count).map { #"{"source": "s\#($0)", "text": "t", "metadata": {"n": \#($0)}}"# }.joined(separator: ",") + "]}"
            }
            let accepted = try await client.send(.post, "/v1/documents", json: body(5000)).json()
            #expect(accepted["files"] as? Int == 5000)
            let counts = harness.backend.state.withLock { $0.submitted.map(\.items.count) }
            #expect(counts == [5000])
            let refused = try await client.send(.post, "/v1/documents", json: body(10_001))
            #expect(refused.status == .badRequest)
        }
    }

    @Test func `metadata larger than a document may have is refused`() async throws {
        try await Harness.routes { client, harness in
            let id = try harness.backend.add(source: "a", text: "Text.")
            let body = #"{"metadata": {"k": "\#(String(repeating: "x", count: 70_000))"}}"#
            let response = try await client.send(.patch, "/v1/documents/\(id)", json: body)
            #expect(response.status == .badRequest, "\(response.text.prefix(200))")
        }
    }

    @Test func `job events stream progress, files and the summary`() async throws {
        let backend = MemoryBackend()
        backend.behavior.withLock { $0.fileDelay = .milliseconds(30) }
        try await Harness.routes(backend) { client, _ in
            let accepted = try await client.send(
                .post, "/v1/documents", json: #"{"documents": [{"source": "1", "text": "x"}, {"source": "2", "text": "y"}]}"#
            ).json()
            let job = try #require(accepted["job_id"] as? String)
            let events = serverSentEvents(try await client.send(.get, "/v1/jobs/\(job)/events").text)
            #expect(events.first?.event == "progress" && events.last?.event == "summary")
            #expect(events.filter { $0.event == "file" }.count == 2)
            let file = try #require(
                try JSONSerialization.jsonObject(with: Data(events.first { $0.event == "file" }!.data.utf8)) as? [String: Any])
            #expect(
                file["event"] as? String == "file" && file["outcome"] as? String == "indexed" && file["path"] is String
                    && file["document_id"] is String)
            let summary = try #require(try JSONSerialization.jsonObject(with: Data(events.last!.data.utf8)) as? [String: Any])
            #expect(summary["event"] as? String == "summary" && summary["indexed"] as? Int == 2)
            #expect(Set(["indexed", "refused", "unchanged", "failed", "chunks", "seconds"]).isSubset(of: summary.keys))
            #expect(try #require(try await client.send(.get, "/v1/jobs").json()["jobs"] as? [Any]).count == 1)
            #expect(try await client.send(.post, "/v1/jobs/\(job)/retry").status == .ok)
            #expect(try await client.send(.post, "/v1/jobs/\(job)/cancel").json()["state"] as? String == "cancelled")
            for path in ["/v1/jobs/job_none", "/v1/jobs/job_none/events"] {
                #expect(try await client.send(.get, path).error()["code"] as? String == "job_not_found")
            }
        }
    }

    // MARK: Collections and the rest

    @Test func `collections are made, shown and deleted`() async throws {
        try await Harness.routes { client, harness in
            let made = try await client.send(
                .post, "/v1/collections", json: #"{"name": "papers", "settings": {"chunk_tokens": 100, "k1": 1.2, "fusion": "rrf"}}"#)
            #expect(made.status == .created)
            let settings = try #require(try made.json()["settings"] as? [String: Any])
            #expect(
                settings["chunk_tokens"] as? Int == 100 && settings["fusion"] as? String == "rrf"
                    && settings["stop_words"] as? String == "english")
            #expect(harness.backend.state.withLock { $0.collections[0].settings.chunkTokens } == 100)
            #expect(try await client.send(.post, "/v1/collections", json: #"{"name": "papers"}"#).status == .conflict)
            #expect(
                try await client.send(.post, "/v1/collections", json: #"{"name": "x", "settings": {"chunk_token": 1}}"#).error()["message"]
                    as? String == "'chunk_token' is not a member of this request; did you mean 'chunk_tokens'?")
            #expect(
                try await client.send(.post, "/v1/collections", json: #"{"name": "x", "settings": {"k1": "high"}}"#).error()["param"]
                    as? String == "settings.k1")
            for value in ["1e999", "1e39", "[1]", "{}"] {
                let answer = try await client.send(.post, "/v1/collections", json: #"{"name": "y", "settings": {"k1": \#(value)}}"#)
                #expect(answer.status == .badRequest, "k1 \(value)")
                #expect(try answer.error()["param"] as? String == "settings.k1", "k1 \(value)")
            }
            #expect(try await client.send(.post, "/v1/collections", json: #"{"name": "a/b"}"#).error()["code"] as? String == "invalid_name")
            #expect(try await client.send(.get, "/v1/collections/papers").json()["documents"] as? Int == 0)
            #expect(try #require(try await client.send(.get, "/v1/collections").json()["collections"] as? [Any]).count == 1)
            #expect(try await client.send(.delete, "/v1/collections/papers").status == .ok)
            #expect(try await client.send(.get, "/v1/collections/papers").status == .notFound)
        }
    }

    @Test func `upkeep, health and information answer`() async throws {
        try await Harness.routes { client, harness in
            #expect(try await client.send(.post, "/v1/verify").json()["clean"] as? Bool == true)
            #expect(try await client.send(.post, "/v1/compact").json()["seconds"] is Double)
            #expect(harness.backend.state.withLock { $0.compactions } == 1)
            #expect(try await client.send(.get, "/health/live").json()["status"] as? String == "live")
            #expect(try await client.send(.get, "/health/ready").json()["status"] as? String == "ready")
            let info = try await client.send(.get, "/v1/info").json()
            #expect(info["version"] as? String == "0.0.0-test" && info["generators"] as? [String] == ["extractive", "scripted"])
            let metrics = try await client.send(.get, "/metrics")
            #expect(metrics.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(metrics.text.contains("outrider_http_requests_total{method=\"POST\",route=\"/v1/verify\",status=\"200\"} 1\n"))
        }
    }

    @Test func `the user interface comes from the binary and is revalidated`() async throws {
        try await Harness.routes(configure: .change { $0.apiKeys = ["secret-key"] }) { client, _ in
            for (path, type) in [
                ("/", "text/html"), ("/app.js", "text/javascript"), ("/app.css", "text/css"), ("/icon.svg", "image/svg+xml"),
            ] {
                let response = try await client.send(.get, path)
                #expect(response.status == .ok && response.headers[.contentType]!.hasPrefix(type) && response.body.readableBytes > 100)
                let tag = try #require(response.headers[.eTag])
                let again = try await client.send(.get, path, headers: [.ifNoneMatch: tag])
                #expect(again.status == .notModified && again.body.readableBytes == 0)
                #expect(try await client.send(.get, path, headers: [.ifNoneMatch: "\"other\""]).status == .ok)
                let head = try await client.send(.head, path)
                #expect(
                    head.status == .ok && head.body.readableBytes == 0 && head.headers[.contentLength] == response.headers[.contentLength])
            }
            let page = try await client.send(.get, "/").text
            // The policy forbids both, so the page must not need them.
            #expect(
                !page.contains("<script>") && !page.contains(" style=\"") && !page.contains("onclick=") && !page.contains("http://")
                    && !page.contains("https://"))
        }
    }
}
