import Foundation
import TestSupport
import Testing

/// The embedding model changes under a data folder, by the command and under a server that runs. The other model is the same one in 8-bit integers, whose vectors have a
/// name of their own.
@Suite(
    .serialized, .enabled(if: FileManager.default.isExecutableFile(atPath: OutriderProcess.executable), "the outrider binary is missing"),
    .enabled(if: OutriderProcess.hasModel, "the embedding model is missing"))
struct MigrateTests {
    private static let model = "all-MiniLM-L6-v2-f16"

    /// A folder with documents about numbers, taken in.
    private func filled(_ count: Int, _ folder: TemporaryFolder) throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/docs", withIntermediateDirectories: true)
        for number in 0..<count {
            let sentence = "The boiler of house \(number) was serviced by team \(number % 7) and works at \(number) degrees. "
            let text = "# Note \(number)\n\n" + String(repeating: sentence, count: 8) + "\n"
            try text.write(toFile: folder.path + "/docs/\(number).md", atomically: true, encoding: .utf8)
        }
        let ingested = try OutriderProcess.run(["ingest", folder.path + "/docs", "--data", folder.path + "/data", "--json"])
        #expect(ingested.status == 0, "\(ingested.errors)")
    }

    private func search(_ folder: TemporaryFolder, _ arguments: [String] = []) throws -> [String: Any] {
        let found = try OutriderProcess.run(
            ["search", "boiler of house 13", "--data", folder.path + "/data", "--mode", "vector", "--json"] + arguments)
        #expect(found.status == 0, "\(found.errors)")
        return found.lines.first ?? [:]
    }

    @Test func `the command changes the model, and who searches next is served by it unasked`() throws {
        let folder = TemporaryFolder()
        try filled(40, folder)
        let none = try OutriderProcess.run(["index", "migrate", "--data", folder.path + "/data"])
        #expect(none.status != 0 && none.errors.contains("--embedding-model"))
        let migrate = [
            "index", "migrate", "--data", folder.path + "/data", "--embedding-model", Self.model, "--embedding-precision", "int8", "--json",
        ]
        let changed = try OutriderProcess.run(migrate)
        let last = try #require(changed.lines.last, "\(changed.errors)")
        #expect(changed.status == 0 && last["state"] as? String == "done" && last["to"] as? String == Self.model + "-int8")
        #expect(last["from"] as? String == Self.model && last["chunks"] as? Int == 40 && last["vectors"] as? Int == 40)
        let again = try OutriderProcess.run(migrate)
        #expect(again.status != 0 && again.errors.contains("already"), "\(again.errors)")
        #expect(!(try search(folder)).isEmpty)
        let verified = try OutriderProcess.run(["verify", "--data", folder.path + "/data", "--json"])
        #expect(verified.status == 0 && verified.lines.first?["clean"] as? Bool == true, "\(verified.output)")
        let collections = try OutriderProcess.run(["collections", "--data", folder.path + "/data"])
        #expect(collections.output.contains(Self.model + "-int8"), "\(collections.output)")
        // What comes in afterwards is embedded by it too, without an option that says so.
        let more = try OutriderProcess.run(["ingest", OutriderProcess.packageFolder + "/CONTRIBUTING.md", "--data", folder.path + "/data"])
        #expect(more.status == 0, "\(more.errors)")
    }

    @Test func `a server answers all the time while the model changes, also when it is killed in the midst`() async throws {
        let folder = TemporaryFolder()
        try filled(400, folder)
        var server = try await ServerProcess.start(folder, embeddingModel: nil)
        defer { server.end() }
        let path = "/v1/collections/default/embedding-model"
        #expect(try await server.send("GET", path).status == 404)
        #expect(try await server.send("POST", path, ["embedding_model": "../secret"]).status == 400)
        #expect(try await server.send("POST", path, ["embedding_model": Self.model]).status == 409)
        #expect(try await server.send("POST", path, ["model": Self.model]).status == 400)
        let begun = try await server.send("POST", path, ["embedding_model": Self.model + "-int8"])
        #expect(begun.status == 202 && begun.body["from"] as? String == Self.model, "\(begun.body)")
        // A kill in the midst; the next start goes on by itself.
        try await eventually("some vectors are made") { try await server.send("GET", path).body["vectors"] as? Int ?? 0 > 0 }
        kill(server.process.processIdentifier, SIGKILL)
        server.process.waitUntilExit()
        server = try await ServerProcess.start(folder, embeddingModel: nil)
        var states: Set<String> = []
        try await eventually("the change is done") {
            let found = try await server.send("POST", "/v1/search", ["query": "boiler of house 13", "mode": "vector", "k": 3])
            let results = found.body["results"] as? [[String: Any]] ?? []
            #expect(found.status == 200 && results.count == 3 && (found.body["degradation"] as? [Any])?.isEmpty == true, "\(found.body)")
            let status = try await server.send("GET", path)
            // A change that ended before the kill is not known any more.
            let state = status.status == 404 ? "done" : status.body["state"] as? String ?? ""
            states.insert(state)
            return state == "done"
        }
        let collection = try await server.send("GET", "/v1/collections/default")
        #expect((collection.body["settings"] as? [String: Any])?["embedding_model"] as? String == Self.model + "-int8", "\(states)")
        #expect(try await server.send("POST", "/v1/verify").body["clean"] as? Bool == true)
    }
}
