import Foundation
import Testing

/// The module table of ARCHITECTURE.md is the law: a module imports what its row lists, and nothing else of ours.
struct ModuleMapTests {
    static let sources = OutriderProcess.packageFolder + "/Sources"

    /// Rows of the table: module to the modules it may import. "all" means all.
    static func table() throws -> [String: Set<String>] {
        let text = try String(contentsOfFile: OutriderProcess.packageFolder + "/ARCHITECTURE.md", encoding: .utf8)
        var rows: [String: Set<String>] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 3 else { continue }
            func names(_ cell: String) -> [String] {
                cell.split(separator: "`").enumerated().filter { $0.offset % 2 == 0 }.map { String($0.element) }
            }
            let allowed =
                cells[2] == "none"
                ? [] : cells[2] == "all" ? ["all"] : cells[2].split(whereSeparator: { "`, ".contains($0) }).map(String.init)
            for name in cells[0].split(whereSeparator: { "`, ".contains($0) }) { rows[String(name)] = Set(allowed) }
        }
        return rows
    }

    static func imports(of module: String) throws -> [String: String] {
        var found: [String: String] = [:]
        let folder = sources + "/" + module
        for case let name as String in FileManager.default.enumerator(atPath: folder)! where name.hasSuffix(".swift") {
            let text = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard let index = words.firstIndex(of: "import"),
                    words[..<index].allSatisfy({ $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0) }),
                    let last = words[(index + 1)...].last
                else { continue }
                found[String(last.split(separator: ".").first!)] = name
            }
        }
        return found
    }

    @Test func `every module imports only what the table in ARCHITECTURE lists`() throws {
        let table = try Self.table()
        let modules = try FileManager.default.contentsOfDirectory(atPath: Self.sources)
        #expect(table.count >= 15, "the table was not found")
        for module in modules {
            let swift =
                (try? FileManager.default.contentsOfDirectory(atPath: Self.sources + "/" + module))?.contains { $0.hasSuffix(".swift") }
                ?? false
            guard swift else { continue }
            let allowed = try #require(table[module], "module \(module) has no row in ARCHITECTURE.md")
            if allowed.contains("all") { continue }
            for (name, file) in try Self.imports(of: module) where modules.contains(name) {
                #expect(allowed.contains(name), "\(module)/\(file) imports \(name), which its row does not list")
            }
        }
    }

    @Test(arguments: [
        ("Hummingbird", "HTTPFrontend"), ("CLlama", "LlamaInference"), ("GRDB", "Documents"), ("AsyncHTTPClient", "RemoteInference"),
        ("CStemmer", "TextSearch"), ("CCrypto", "Ingestion"), ("CLibXML2", "Parsing"),
    ])
    func `each framework is imported by one module`(framework: String, owner: String) throws {
        for module in try FileManager.default.contentsOfDirectory(atPath: Self.sources) where module != owner {
            guard FileManager.default.fileExists(atPath: Self.sources + "/" + module) else { continue }
            let found = try Self.imports(of: module)
            #expect(found[framework] == nil, "\(module)/\(found[framework] ?? "") imports \(framework); only \(owner) may")
        }
    }
}
