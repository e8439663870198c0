import Foundation
import Testing

/// The module table of ARCHITECTURE.md is the law: a module imports what its row lists, and nothing else of ours.
struct TidyTests {
    static let sources = OutriderProcess.packageFolder + "/Sources"

    /// Rows of the table: module to the modules it may import.
    static func table() throws -> [String: Set<String>] {
        let text = try String(contentsOfFile: OutriderProcess.packageFolder + "/ARCHITECTURE.md", encoding: .utf8)
        var rows: [String: Set<String>] = [:]
        var exceptions: [String: Set<String>] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 3 else { continue }
            let allowed = cells[2] == "none" || cells[2].hasPrefix("all but") ? [] : names(cells[2])
            for name in names(cells[0]) { rows[name] = Set(allowed) }
            if cells[2].hasPrefix("all but") { exceptions[names(cells[0])[0]] = Set(names(cells[2])) }
        }
        for (module, others) in exceptions { rows[module] = Set(rows.keys).subtracting(others).subtracting([module]) }
        return rows
    }

    /// The names between backticks.
    private static func names(_ cell: String) -> [String] {
        cell.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
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

    // MARK: Package.swift

    /// The targets of Package.swift with the names in their dependencies, as they are written there.
    static func targets() throws -> [String: Set<String>] {
        let text = try String(contentsOfFile: OutriderProcess.packageFolder + "/Package.swift", encoding: .utf8)
        var targets: [String: Set<String>] = [:]
        for part in text.components(separatedBy: "arget(").dropFirst() {
            guard let name = part.firstMatch(of: /^\s*name: "(\w+)"/) else { continue }
            let list = part.firstMatch(of: /dependencies: \[((?:[^\[\]]|\[[^\]]*\])*)\]/).map { String($0.1) } ?? ""
            // `.product(name: "X", package: "y")` names a module of another package.
            let own = list.replacing(/\.product\([^)]*\)/, with: "")
            targets[String(name.1)] = Set(own.matches(of: /"(\w+)"/).map { String($0.1) })
        }
        return targets
    }

    @Test func `Package.swift depends on what is imported, and on nothing else`() throws {
        let targets = try Self.targets()
        let table = try Self.table()
        #expect(targets.count > 25, "the targets were not found: \(targets.keys)")
        for (module, allowed) in table {
            let declared = try #require(targets[module], "Package.swift has no target \(module)")
            let imported = Set(try Self.imports(of: module).keys)
            #expect(declared.subtracting(imported) == [], "\(module) depends on modules that no file of it imports")
            let ours = imported.intersection(Set(targets.keys).union(["CLlama", "CStemmer", "CLibXML2", "CArchive"]))
            #expect(ours.subtracting(declared) == [], "\(module) imports modules that Package.swift does not list for it")
            #expect(declared.subtracting(allowed) == [], "\(module) depends on modules that its row in ARCHITECTURE.md does not list")
            #expect(
                allowed.intersection(Set(table.keys)).subtracting(declared).isEmpty || module == "CLI",
                "\(module): its row lists more than it uses")
        }
    }

    // MARK: Documents

    /// The project's Markdown files.
    static let documents: [String] = {
        let root = OutriderProcess.packageFolder
        var found = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        for folder in ["Documentation", "Benchmarks"] {
            let names = (try? FileManager.default.subpathsOfDirectory(atPath: root + "/" + folder)) ?? []
            found += names.filter { $0.hasSuffix(".md") }.map { folder + "/" + $0 }
        }
        return found.filter { FileManager.default.fileExists(atPath: root + "/" + $0) }.sorted()
    }()

    @Test(arguments: documents)
    func `links lead to files that are there`(document: String) throws {
        let root = OutriderProcess.packageFolder
        let text = try String(contentsOfFile: root + "/" + document, encoding: .utf8)
        let folder = URL(fileURLWithPath: root + "/" + document).deletingLastPathComponent().path
        for match in text.matches(of: /\]\(([^)\s#]+)(?:#[^)]*)?\)/) {
            let target = String(match.1)
            if target.contains("://") || target.hasPrefix("mailto:") { continue }
            #expect(FileManager.default.fileExists(atPath: folder + "/" + target), "\(document) links to \(target)")
        }
    }

    /// Swift files below a folder, with their lines.
    static func swiftFiles(_ folder: String) throws -> [(path: String, lines: [Substring])] {
        let root = OutriderProcess.packageFolder + "/" + folder
        return try FileManager.default.subpathsOfDirectory(atPath: root).filter { $0.hasSuffix(".swift") }.sorted().map {
            (
                folder + "/" + $0,
                try String(contentsOfFile: root + "/" + $0, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
            )
        }
    }

    @Test func `the README tells how many tests there are`() throws {
        let count = try Self.swiftFiles("Tests").reduce(0) { sum, file in
            sum + file.lines.count { $0.drop { $0 == " " }.hasPrefix("@Test") }
        }
        let readme = try String(contentsOfFile: OutriderProcess.packageFolder + "/README.md", encoding: .utf8)
        let told = try #require(readme.firstMatch(of: /The tests themselves \(([\d,]+)\)/)).1.replacing(",", with: "")
        // What was added since the figure was written may be a few.
        let difference = count - (Int(told) ?? 0)
        #expect(abs(difference) <= 20, "the README tells \(told) tests, there are \(count)")
    }

    @Test func `no file grows beyond what can be read at one go`() throws {
        for folder in ["Sources", "Tests"] {
            for file in try Self.swiftFiles(folder) {
                #expect(file.lines.count <= 700, "\(file.path) has \(file.lines.count) lines; one main type a file, its themes beside it")
            }
        }
    }

    /// `IVFIndex+Search.swift` holds a theme of `IVFIndex`.
    @Test func `a file with a plus is named after a type that is there`() throws {
        for module in try FileManager.default.contentsOfDirectory(atPath: Self.sources) {
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: Self.sources + "/" + module) else { continue }
            for name in names where name.hasSuffix(".swift") && name.contains("+") {
                let type = String(name.prefix { $0 != "+" })
                let text = try String(contentsOfFile: Self.sources + "/" + module + "/" + name, encoding: .utf8)
                #expect(text.contains("extension \(type)"), "\(module)/\(name) extends no \(type)")
            }
        }
    }

    @Test func `no two modules have a type of the same name at top level`() throws {
        var owners: [String: Set<String>] = [:]
        for module in try FileManager.default.contentsOfDirectory(atPath: Self.sources) {
            guard FileManager.default.fileExists(atPath: Self.sources + "/" + module) else { continue }
            for file in (try? Self.swiftFiles("Sources/" + module)) ?? [] {
                for line in file.lines {
                    guard let match = line.firstMatch(of: /^(?:package |public )?(?:final )?(?:struct|class|enum|actor|protocol) (\w+)/)
                    else { continue }
                    owners[String(match.1), default: []].insert(module)
                }
            }
        }
        for (name, modules) in owners where modules.count > 1 {
            Issue.record("\(name) is a type of \(modules.sorted().joined(separator: " and of "))")
        }
    }
}
