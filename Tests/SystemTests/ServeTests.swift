import Foundation
import TestSupport
import Testing

/// The process around the server: how it ends when it crashes, and what others can read of it.
@Suite(
    .serialized, .enabled(if: FileManager.default.isExecutableFile(atPath: OutriderProcess.executable), "the outrider binary is missing"))
struct ServeTests {
    @Test(arguments: [SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS])
    func `a crash ends the process at once, and the next start is clean`(signal: Int32) async throws {
        let folder = TemporaryFolder()
        let first = try await ServerProcess.start(folder)
        kill(first.process.processIdentifier, signal)
        first.process.waitUntilExit()
        #expect(first.process.terminationReason == .uncaughtSignal && first.process.terminationStatus == signal)
        // Swift's own reporter, which takes many times as long, would have written its report here.
        #expect(
            first.text.contains("\"crashed\"") && !first.text.contains("*** ") && !first.text.contains("Backtrace"),
            "\(first.text.suffix(600))")
        #expect(first.text.contains("outrider(+0x") || first.text.contains("outrider("), "addresses of the calls")
        let second = try await ServerProcess.start(folder)
        #expect(try await BrowserHTTP.send("GET", port: second.port, "/health/ready").status == 200)
        second.end()
        #expect(second.process.terminationStatus == 0)
    }

    @Test(arguments: [
        ("serve", "--max-concurrent", ["0", "9223372036854775807"]), ("serve", "--max-connections", ["-1", "9223372036854775807"]),
        ("serve", "--max-upload", ["0", "17592186044417"]), ("serve", "--shutdown-grace", ["-1", "9223372036854775807"]),
        ("serve", "--keep-jobs", ["-1"]), ("serve", "--keep-audit-days", ["-1", "9223372036854775807"]),
        ("serve", "--context-length", ["0", "9223372036854775807"]), ("serve", "--embedding-dimensions", ["0"]),
        ("documents", "--limit", ["-1", "0"]), ("models distill x.gguf --out x.static", "--threads", ["0", "9223372036854775807"]),
        ("models distill x.gguf --out x.static", "--rounds", ["0"]), ("models distill x.gguf --out x.static", "--ridge", ["nan", "0"]),
    ])
    func `a number out of range is refused by its name before anything is done`(command: String, option: String, values: [String]) throws {
        let folder = TemporaryFolder()
        for value in values {
            var arguments = command.split(separator: " ").map(String.init) + ["\(option)=\(value)"]
            if !command.hasPrefix("models") { arguments += ["--data", folder.path + "/data"] }
            let result = try OutriderProcess.run(arguments, seconds: 60)
            #expect(result.status == 64, "\(option) \(value): \(result.errors)")
            #expect(result.errors.contains("\(option) is ") || result.errors.contains("'\(option)' is "), "\(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/data"))
    }

    @Test func `keys are gone from environment and arguments once they are read, and work`() async throws {
        let folder = TemporaryFolder()
        let server = try await ServerProcess.start(
            folder, ["--api-key", "argument-key-1", "--api-key=argument-key-2"],
            environment: ["OUTRIDER_API_KEY": "environment-key-1,environment-key-2", "OUTRIDER_OPENAI_API_KEY": "upstream-key-1"])
        defer { server.end() }
        let id = server.process.processIdentifier
        for file in ["environ", "cmdline"] {
            let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: "/proc/\(id)/\(file)")), as: UTF8.self)
            for key in ["argument-key", "environment-key", "upstream-key"] { #expect(!text.contains(key), "\(file)") }
        }
        #expect(try await BrowserHTTP.send("GET", port: server.port, "/v1/info").status == 401)
        #expect(!server.text.contains("-key-1"))
        for key in ["argument-key-1", "argument-key-2", "environment-key-1", "environment-key-2"] {
            let status = try await BrowserHTTP.send("GET", port: server.port, "/v1/info", headers: ["Authorization": "Bearer \(key)"])
                .status
            #expect(status == 200, "\(key)")
        }
    }

    @Test func `the log's first line says what the server works with, and routine requests leave none`() async throws {
        let folder = TemporaryFolder()
        let server = try await ServerProcess.start(folder)
        for path in ["/health/live", "/v1/info", "/", "/v1/documents"] { _ = try await BrowserHTTP.send("GET", port: server.port, path) }
        _ = try await BrowserHTTP.send("GET", port: server.port, "/v1/nothing")
        server.end()
        let lines = server.text.split(separator: "\n").compactMap {
            try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }
        let start = try #require(lines.first { $0["message"] as? String == "starting" })
        #expect((start["data"] as? String)?.hasSuffix("/data") == true && start["embedding_model"] as? String == "none")
        #expect(start["generators"] as? [String] == ["extractive"] && start["max_concurrent"] as? Int == 16)
        let requests = lines.filter { $0["message"] as? String == "request" }
        #expect(requests.compactMap { $0["status"] as? Int } == [404])
    }

    @Test func `a citation names its document's version, and its span is not looked up in another one`() async throws {
        let folder = TemporaryFolder()
        let server = try await ServerProcess.start(folder)
        defer { server.end() }
        func json(_ method: String, _ path: String, _ body: String? = nil) async throws -> (status: Int, object: [String: Any]) {
            let answer = try await BrowserHTTP.send(method, port: server.port, path, body: body.map { Data($0.utf8) })
            return (answer.status, (try JSONSerialization.jsonObject(with: answer.body) as? [String: Any]) ?? [:])
        }
        var hashes: Set<String> = []
        for (number, month) in ["March", "October"].enumerated() {
            let put = try await json(
                "POST", "/v1/documents?wait=true",
                #"{"documents": [{"source": "lease", "text": "The lease of the boathouse in Holm ends on 31 \#(month) 2031."}]}"#)
            #expect(put.status == 200, "\(put)")
            let answer = try await json("POST", "/v1/answer", #"{"question": "When does the lease of the boathouse in Holm end?"}"#)
            let citation = try #require((answer.object["citations"] as? [[String: Any]])?.first, "\(answer)")
            let version = try #require(citation["version"] as? Int)
            #expect(version == number + 1)
            let search = try await json("POST", "/v1/search", #"{"query": "lease boathouse"}"#)
            let result = try #require((search.object["results"] as? [[String: Any]])?.first)
            #expect(result["version"] as? Int == version)
            hashes.insert(try #require(result["content_hash"] as? String))
            let span = try #require(citation["span"] as? [String: Int])
            let path = "/v1/documents/\(citation["document_id"] as! String)/text?start=\(span["start"]!)&end=\(span["end"]!)"
            let text = try await json("GET", path + "&version=\(version)")
            #expect(
                text.status == 200 && text.object["version"] as? Int == version
                    && text.object["text"] as? String == citation["quote"] as? String)
            // The other version: gone, or not there yet.
            let other = try await json("GET", path + "&version=\(version == 1 ? 2 : 1)")
            #expect(other.status == 409 && (other.object["error"] as? [String: Any])?["code"] as? String == "version_changed", "\(other)")
        }
        #expect(hashes.count == 2)
    }
}
