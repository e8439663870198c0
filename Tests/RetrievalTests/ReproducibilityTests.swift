import Documents
import Foundation
import Storage
import Testing

@testable import Retrieval

/// The same documents, however they came in, give the same answer.
struct ReproducibilityTests {
    private static let texts: [(source: String, text: String)] = {
        var texts: [(source: String, text: String)] = []
        for number in 0..<12 { texts.append(("tie/\(number)", "granite bridge number\(number)")) }
        for number in 0..<12 {
            texts.append(("other/\(number)", "a long story about rivers and stones, part\(number), with granite in it"))
        }
        return texts
    }()

    /// Each with the same texts in another order, one of them with replacements and deletions on the way.
    private func libraries() async throws -> [Library] {
        var libraries: [Library] = []
        for order in 0..<4 {
            let library = try await Library([:])
            var texts = Self.texts
            switch order {
            case 1: texts.reverse()
            case 2: texts.sort { $0.text.count < $1.text.count || ($0.text.count == $1.text.count && $0.source > $1.source) }
            case 3:
                for (source, _) in texts.prefix(5) { try await library.put(source, "something else about granite") }
                _ = try library.catalog.indexes(named: "default")?.delete(.sources([texts[1].source]))
            default: break
            }
            for (source, text) in texts { try await library.put(source, text) }
            if order == 3 { try library.catalog.compactAll() }
            libraries.append(library)
        }
        return libraries
    }

    @Test(arguments: SearchMode.allCases, [3, 10, 24])
    func `equal scores come in the order of sources, whatever the order of coming in`(mode: SearchMode, k: Int) async throws {
        let libraries = try await libraries()
        var orders: [[String]] = []
        for library in libraries {
            let response = try await library.retriever().search(SearchRequest(query: "granite bridge", mode: mode, k: k))
            orders.append(response.sources)
            let results = response.results
            #expect(zip(results, results.dropFirst()).allSatisfy { ($1.score, $0.source) <= ($0.score, $1.source) }, "\(mode)")
        }
        #expect(Set(orders).count == 1, "\(mode): \(orders.map { $0.prefix(4) })")
        #expect(orders[0].count == k)
    }

    @Test(arguments: SearchMode.allCases)
    func `of very many equal passages the first sources are found`(mode: SearchMode) async throws {
        let library = try await Library([:])
        // More than the candidates that a search looks at; the first source comes in last.
        for number in (0..<300).reversed() { try await library.put(String(format: "s%03d", number), "granite bridge") }
        var request = SearchRequest(query: "granite bridge", mode: mode, k: 5)
        request.collapseDuplicates = false
        let response = try await library.retriever().search(request)
        #expect(response.sources == ["s000", "s001", "s002", "s003", "s004"])
    }

    @Test(arguments: SearchMode.allCases)
    func `the very same text comes once and names its other sources`(mode: SearchMode) async throws {
        let library = try await Library([
            "b.txt": "granite bridge over the river", "c.txt": "granite bridge over the lake", "a.txt": "granite bridge over the river",
            "d.txt": "granite bridge over the river",
        ])
        let response = try await library.retriever().search(SearchRequest(query: "granite bridge river", mode: mode, k: 10))
        #expect(Set(response.sources) == ["a.txt", "c.txt"])
        let first = try #require(response.results.first { $0.source == "a.txt" })
        #expect(first.alsoIn?.map(\.source) == ["b.txt", "d.txt"])
        #expect(response.results.first { $0.source == "c.txt" }?.alsoIn == nil)
        var all = SearchRequest(query: "granite bridge river", mode: mode, k: 10)
        all.collapseDuplicates = false
        let expanded = try await library.retriever().search(all)
        #expect(expanded.sources.sorted() == ["a.txt", "b.txt", "c.txt", "d.txt"] && expanded.results.allSatisfy { $0.alsoIn == nil })
        // One place for three leaves room for others.
        let two = try await library.retriever().search(SearchRequest(query: "granite bridge river", mode: mode, k: 2))
        #expect(two.results.count == 2)
    }

    @Test func `a result says which version of its document it shows`() async throws {
        let library = try await Library(["a.txt": "granite bridge"])
        try await library.put("a.txt", "granite bridges")
        let result = try #require(try await library.retriever().search(SearchRequest(query: "granite")).results.first)
        #expect(result.version == 2 && result.contentHash == "a.txt")
        #expect(result.alsoIn == nil)
    }

    @Test func `a cut never goes through a tie`() {
        let hits = [3, 2, 2, 2, 2, 1, 1].enumerated().map { RowHit(row: RowID(Int64($0.offset)), score: Float($0.element)) }
        func cut(_ depth: Int) -> Int { Fusion.withTies(depth) { Array(hits.prefix($0)) }.count }
        #expect([0, 1, 2, 3, 4, 5, 6, 7, 8].map(cut) == [0, 1, 5, 5, 5, 5, 7, 7, 7])
    }
}
