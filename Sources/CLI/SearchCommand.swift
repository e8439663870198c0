import ArgumentParser
import Documents
import Foundation
import HTTPFrontend
import Retrieval

extension SearchMode: ExpressibleByArgument {}
extension FusionMethod: ExpressibleByArgument {}

struct SearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "search", abstract: "Finds passages.")

    @OptionGroup var data: DataOptions
    @OptionGroup var models: ModelOptions
    @OptionGroup var filter: FilterOptions

    @Argument(help: "What to look for.")
    var query: String

    @Option(name: .shortAndLong, help: "Number of results.")
    var k = 10

    @Option(name: .long, help: "hybrid, text (BM25) or vector.")
    var mode: SearchMode = .hybrid

    @Option(name: .long, help: "minmax or rrf; default: the collection's.")
    var fusion: FusionMethod?

    @Option(name: .long, help: "Share of the vector score, 0 to 1; default: the collection's.")
    var vectorWeight: Float?

    @Option(name: .long, help: "Leave out results with a lower score.")
    var scoreThreshold: Float?

    @Option(name: .long, help: "At most so many results of one document.")
    var maxPerDocument: Int?

    @Option(name: .long, help: "Milliseconds after which the search degrades rather than continues.")
    var deadlineMs: Double?

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let folder = try DataFolder(data.data, .read)
        let engine = try Engine.open(
            folder, models: models, needs: mode == .text ? [] : mode == .vector ? [.embedder, .requiredEmbedder] : [.embedder],
            logger: CommandLog.make())
        let response = try await engine.retriever.search(
            SearchRequest(
                query: query, collection: data.collection, mode: mode, k: k, filter: try filter.parsed(), scoreThreshold: scoreThreshold,
                maxPerDocument: maxPerDocument, fusion: fusion, vectorWeight: vectorWeight, deadlineMilliseconds: deadlineMs),
            scope: .everyone)
        if json { return try Output.json(SearchResponseBody(response)) }
        for (rank, result) in response.results.enumerated() {
            let page =
                result.page.map { first in
                    if let last = result.lastPage, last > first { ", pages \(first)-\(last)" } else { ", page \(first)" }
                } ?? ""
            Output.line("\(Output.bold("\(rank + 1). \(result.title ?? result.source)"))  \(String(format: "%.3f", result.score))")
            Output.line(Output.dim("   \(result.source)\(page), bytes \(result.span.start)-\(result.span.end)"))
            if let others = result.alsoIn { Output.line(Output.dim("   the same in \(others.map(\.source).joined(separator: ", "))")) }
            Output.line("   " + Self.excerpt(result))
        }
        if response.results.isEmpty { Output.line("nothing found") }
        for rung in response.degradation { Output.line(Output.dim("degraded: \(rung)")) }
        Output.line(Output.dim(Output.timings(response.timings)))
    }

    /// About 300 characters around the first highlight, on one line.
    static func excerpt(_ result: SearchResult) -> String {
        let bytes = Array(result.text.utf8)
        let anchor = result.highlights.first?.start ?? 0
        var low = max(0, anchor - 80)
        var high = min(bytes.count, low + 300)
        while low > 0, bytes[low] & 0xC0 == 0x80 { low -= 1 }
        while high < bytes.count, bytes[high] & 0xC0 == 0x80 { high += 1 }
        let text = String(decoding: bytes[low..<high], as: UTF8.self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return (low > 0 ? "… " : "") + text + (high < bytes.count ? " …" : "")
    }
}

extension FilterOptions {
    /// The filter as given, in the short form or as JSON.
    func parsed() throws -> Filter? {
        guard let filter else { return nil }
        if filter.drop(while: \.isWhitespace).hasPrefix("{") {
            do { return try JSONDecoder().decode(Filter.self, from: Data(filter.utf8)) } catch {
                throw ValidationError("--filter is not a filter: \(error)")
            }
        }
        return try Filter.parse(filter)
    }
}
