import ArgumentParser

/// Measurements of the engine's parts on data of one's own. The scripts in Benchmarks/ run these beside peers and write the reports.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the vector index, the text index and the embedders; prints JSON lines.",
        subcommands: [BenchAnn.self, BenchText.self, BenchEmbed.self, BenchEmbedCorpus.self])
}
