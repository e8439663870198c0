import Documents
import Foundation
import TestSupport
import Testing

/// The ugly real documents of the shared data, through the whole program.
@Suite(.serialized) struct DocumentSetTests {
    static let folder = OutriderProcess.sharedData.map { $0 + "/documents" }

    @Test(
        .enabled(
            if: OutriderProcess.hasModel && DocumentSetTests.folder != nil,
            "skipped: needs the embedding model and ../shared/data/documents"))
    func `every ugly file ends as indexed or refused and the expected strings are stored`() throws {
        let folder = try #require(Self.folder)
        let data = TemporaryFolder()
        let result = try OutriderProcess.run(["ingest", folder + "/files", "--data", data.path, "--json"], seconds: 900)
        #expect(result.status == 0, "\(result.errors)")
        let files = result.lines.filter { $0["event"] as? String == "file" }
        let manifest = try String(contentsOfFile: folder + "/manifest.jsonl", encoding: .utf8).split(separator: "\n").map {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as! [String: Any]
        }
        #expect(files.count == manifest.count)
        var outcomes: [String: String] = [:]
        for file in files {
            let outcome = file["outcome"] as? String ?? ""
            let path = file["path"] as? String ?? ""
            #expect(["indexed", "refused"].contains(outcome), "\(path): \(outcome)")
            if outcome == "refused" { #expect((file["reason"] as? String)?.isEmpty == false, "\(path) is refused without a reason") }
            outcomes[path] = outcome
        }

        let store = try DocumentStore(directory: data.path, readOnly: true)
        let collection = try #require(try store.collection(named: "default"))
        var expected = 0
        var found = 0
        var missing: [String] = []
        for row in manifest {
            let strings = row["expect_contains"] as? [String] ?? []
            guard !strings.isEmpty, let name = row["file"] as? String else { continue }
            let path = URL(fileURLWithPath: folder + "/" + name).standardizedFileURL.path
            let document = try store.document(source: path, in: collection.id)
            let text = try document.flatMap { try store.text(of: $0.id) } ?? ""
            let bare = text.filter { !$0.isWhitespace }
            for string in strings {
                expected += 1
                if bare.contains(string.filter { !$0.isWhitespace }) { found += 1 } else { missing.append("\(name): \(string)") }
            }
        }
        print(
            "documents: \(outcomes.values.count { $0 == "indexed" }) indexed, \(outcomes.values.count { $0 == "refused" }) refused; \(found) of \(expected) expected strings stored; missing: \(missing)"
        )
        #expect(expected > 0 && Double(found) >= 0.95 * Double(expected), "missing: \(missing)")
    }
}
