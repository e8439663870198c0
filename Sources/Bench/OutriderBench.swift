import ArgumentParser

/// Measurements of the engine's parts on data of one's own. The scripts in Benchmarks/ run these beside peers and write the reports.
///
/// A program of its own, so that the product holds nothing that only measures it.
@main
struct OutriderBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outrider-bench", abstract: "Measures the vector index, the text index and the embedders; prints JSON lines.",
        subcommands: [BenchAnn.self, BenchText.self, BenchEmbed.self, BenchEmbedCorpus.self])
}
