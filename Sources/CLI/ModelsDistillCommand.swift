import ArgumentParser
import Evaluation
import Execution
import Foundation
import Inference
import ModelFiles
import StaticInference

/// `outrider models distill`: makes a static embedder from any embedding model, and says how good it is.
struct ModelsDistill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distill",
        abstract: "Distils an embedding model into a table of token vectors, a thousand times faster and less exact.",
        discussion: """
            Every token of the vocabulary goes through the model, then every passage of the corpora (JSON lines with a member 'text'); the table is fitted so
            that the sums of its rows match the model's vectors. Without a corpus the table is usable, with some ten thousand passages it is clearly better.
            The same input gives the same table. Ctrl-C leaves no half-written file; vectors that are kept with --vectors are used again.

            With --report FOLDER, a BEIR folder, nDCG@10 of exact search (one vector for each document) and texts per second are printed for both models.
            """)

    @Argument(help: "The model, the teacher: a GGUF file with a WordPiece vocabulary.")
    var model: String = ModelFolder.defaultEmbeddingModel

    @Option(name: .customLong("out"), help: "The table to write, NAME.static.")
    var output: String

    @Option(name: .long, help: "Numbers in a vector.")
    var dimension = 256

    @Option(name: .long, parsing: .upToNextOption, help: "Passages to fit the table to, JSON lines; '.gz' is unpacked.")
    var corpus: [String] = []

    @Option(
        name: .long, parsing: .upToNextOption,
        help: "The model's vectors of each corpus, .npy, in the same order: read where the file is there, else written.")
    var vectors: [String] = []

    @Option(name: .long, help: "The same for the vocabulary's vectors.")
    var tokenVectors: String?

    @Option(name: .long, help: "At most this many passages of each corpus.")
    var limit = Int.max

    @Option(name: .long, help: "How strongly rows are held at the vectors of the tokens alone.")
    var ridge: Float = Distillation.Options().ridge

    @Option(name: .long, help: "Steps of the fit.")
    var iterations = Distillation.Options().iterations

    @Option(name: .long, help: "a of the token weights a / (a + p); 0 weighs by rank in the vocabulary.")
    var smoothing = Distillation.Options().smoothing

    @Option(name: .long, help: "How often the fit is made, each time to the lengths that the sums had before.")
    var rounds = Distillation.Options().rounds

    @Option(name: .long, help: "Threads of the teacher.")
    var threads: Int?

    @Option(name: .long, parsing: .upToNextOption, help: "BEIR folders to report the quality on.")
    var report: [String] = []

    @Flag(name: .long, help: "Make nothing: report on the table that is there.")
    var reportOnly = false

    @Flag(name: .long, inversion: .prefixedNo, help: "Report on the teacher too, which takes minutes.")
    var teacher = true

    @Flag(name: .long, help: "Print JSON lines only.")
    var json = false

    func validate() throws {
        if !StaticEmbedder.isStatic(output) {
            throw ValidationError("--out is '\(output)'; give it a name that ends in .\(StaticEmbedder.fileExtension)")
        }
        if vectors.count > corpus.count { throw ValidationError("\(vectors.count) files for --vectors, but \(corpus.count) for --corpus") }
        try check("--dimension", dimension, 1...65_536)
        try check("--limit", limit, 1...Int.max)
        try check("--iterations", iterations, 0...10_000)
        try check("--rounds", rounds, 1...1000)
        if let threads { try check("--threads", threads, 1...1024) }
        if !(ridge > 0 && ridge.isFinite) { throw ValidationError("--ridge is \(ridge); give a number above 0") }
        if !(smoothing >= 0 && smoothing.isFinite) { throw ValidationError("--smoothing is \(smoothing); give 0 or a number above it") }
    }

    func run() async throws {
        let interruption = StopSignal()
        let check: @Sendable () throws -> Void = { if interruption.happened { throw CancellationError() } }
        do {
            if !reportOnly { try await make(check) }
            if !report.isEmpty { try await judge(check) }
        } catch is CancellationError {
            Output.error("interrupted; \(output) is as it was")
            throw ExitCode(130)
        }
    }

    // MARK: Making

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Made: Encodable {
        var model: String
        var teacher: String
        var dimension: Int
        var tokens: Int
        var passages: Int
        var passage_tokens: Int
        var energy: Double
        var prior_cosine: Double?
        var cosine: Double?
        var ridge: Float
        var iterations: Int
        var smoothing: Float
        var rounds: Int
        var seconds: Double?
        var bytes: Int?
    }

    private func make(_ check: @escaping @Sendable () throws -> Void) async throws {
        let start = ContinuousClock.now
        let vocabulary = try GGUFVocabulary(path: model)
        let tokenizer = try WordPieceTokenizer(
            vocabulary: vocabulary.tokens, isUncased: vocabulary.isUncased, stripsAccents: vocabulary.stripsAccents)
        let teacher = try EmbedderFile.open(model, threads: threads)
        guard dimension <= teacher.model.dimension else {
            throw ValidationError("--dimension is \(dimension), the vectors of '\(teacher.model.name)' have \(teacher.model.dimension)")
        }
        let special = [tokenizer.pad, tokenizer.unk, tokenizer.cls, tokenizer.sep]
        let tokenTexts = vocabulary.tokens.enumerated().map { index, token in
            // Special tokens stand for no text; their vector is that of an empty one.
            special.contains(Int32(index)) ? "" : token.utf8.count > 2 && token.hasPrefix("##") ? String(token.dropFirst(2)) : token
        }
        let tokenRows = try await teacherVectors(tokenTexts, teacher, file: tokenVectors, "vocabulary", check)
        guard tokenRows.count == tokenTexts.count * teacher.model.dimension else {
            throw ValidationError("'\(tokenVectors ?? "")' does not hold the vectors of the \(tokenTexts.count) tokens; remove it")
        }
        var passages: [[Int32]] = []
        var targets: [Float] = []
        for (index, path) in corpus.enumerated() {
            let texts = try TextLines(path, limit: limit).all().map(\.whole)
            let file = vectors.indices.contains(index) ? vectors[index] : nil
            let rows = try await teacherVectors(texts, teacher, file: file, URL(fileURLWithPath: path).lastPathComponent, check)
            // A file of vectors may be shorter than its corpus: it then holds its beginning.
            let count = min(texts.count, rows.count / teacher.model.dimension)
            passages += texts.prefix(count).map { tokenizer.tokens(of: $0, limit: teacher.model.contextLength - 2) }
            targets += rows.prefix(count * teacher.model.dimension)
        }
        let distillation = Distillation(
            .init(dimension: dimension, ridge: ridge, iterations: iterations, smoothing: smoothing, rounds: rounds))
        let showsProgress = Output.errorIsTerminal && !json
        let result = try distillation.run(
            tokens: tokenRows, passages: passages, targets: targets, teacherDimension: teacher.model.dimension
        ) { step, fraction in
            try check()
            if showsProgress { Self.note("\(step) \(Int(fraction * 100)) %") }
        }
        try check()
        var made = Made(
            model: URL(fileURLWithPath: model).deletingPathExtension().lastPathComponent.replacing(/-(f16|f32|q8_0)$/, with: "")
                + "-static-\(dimension)", teacher: teacher.model.name, dimension: dimension, tokens: vocabulary.tokens.count,
            passages: passages.count, passage_tokens: passages.reduce(0) { $0 + $1.count }, energy: result.energy,
            prior_cosine: result.priorCosine, cosine: result.cosine, ridge: ridge, iterations: iterations, smoothing: smoothing,
            rounds: rounds)
        let header = StaticTable.Header(
            name: made.model, note: try Output.encode(made), dimension: dimension, contextLength: teacher.model.contextLength,
            isUncased: vocabulary.isUncased, stripsAccents: vocabulary.stripsAccents)
        try StaticTable.write(to: output, header: header, vocabulary: vocabulary.tokens, rows: result.rows)
        made.seconds = (ContinuousClock.now - start) / .seconds(1)
        made.bytes = (try? FileManager.default.attributesOfItem(atPath: output))?[.size] as? Int
        if showsProgress { Self.note("") }
        try Output.json(made)
    }

    private static func note(_ text: String) { FileHandle.standardError.write(Data("\r\u{1B}[2K\(text)".utf8)) }

    /// The teacher's vectors: from the file when it is there, else computed, and kept in the file when one is named.
    private func teacherVectors(
        _ texts: [String], _ teacher: any Embedder, file: String?, _ name: String, _ check: @escaping @Sendable () throws -> Void
    ) async throws -> [Float] {
        if let file, FileManager.default.fileExists(atPath: file) {
            let matrix = try NumPyFile.read(file, rowMax: texts.count)
            guard matrix.columnCount == teacher.model.dimension else {
                throw ValidationError("'\(file)' has rows of \(matrix.columnCount) numbers, the model's have \(teacher.model.dimension)")
            }
            return matrix.values
        }
        let writer = try file.map { try NumPyFile.Writer(path: $0, columnCount: teacher.model.dimension) }
        let rows = try await Self.embed(texts, teacher) { done in
            try check()
            if Output.errorIsTerminal && !json { Self.note("\(name): \(done) of \(texts.count)") }
        }
        try writer?.append(rows)
        try writer?.finish()
        return rows
    }

    /// In slices, so that progress is seen and an interruption ends it soon.
    private static func embed(_ texts: [String], _ embedder: any Embedder, _ progress: (Int) throws -> Void) async throws -> [Float] {
        var rows: [Float] = []
        rows.reserveCapacity(texts.count * embedder.model.dimension)
        for start in stride(from: 0, to: texts.count, by: 512) {
            try progress(start)
            rows += try await embedder.embed(Array(texts[start..<min(start + 512, texts.count)]), for: .document)
        }
        return rows
    }

    // MARK: Quality

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Quality: Encodable {
        var dataset: String
        var model: String
        var dimension: Int
        var documents: Int
        var queries: Int
        var ndcg_at_10: Double
        var recall_at_100: Double
        var texts_per_s: Double
        /// Texts for each second of one core: what other work on the machine does not change.
        var texts_per_cpu_s: Double
    }

    private func judge(_ check: @escaping @Sendable () throws -> Void) async throws {
        var lines: [Quality] = []
        for path in teacher ? [output, model] : [output] {
            let embedder = try EmbedderFile.open(path, threads: threads)
            for folder in report {
                let quality = try await Self.judge(embedder, folder) { done, count in
                    try check()
                    if Output.errorIsTerminal && !json { Self.note("\(embedder.model.name), \(folder): \(done) of \(count)") }
                }
                lines.append(quality)
                if Output.errorIsTerminal && !json { Self.note("") }
                try Output.json(quality)
            }
        }
        if json { return }
        Output.line("\n| data set | model | nDCG@10 | recall@100 | texts/s | texts/s of one core |\n| --- | --- | --- | --- | --- | --- |")
        for line in lines {
            Output.line(
                "| \(line.dataset) | \(line.model) | "
                    + String(
                        format: "%.4f | %.4f | %.0f | %.0f |", line.ndcg_at_10, line.recall_at_100, line.texts_per_s, line.texts_per_cpu_s))
        }
    }

    private static func judge(_ embedder: any Embedder, _ folder: String, _ progress: (Int, Int) throws -> Void) async throws -> Quality {
        let dataset = try BEIRDataset(folder: folder)
        let documents = try dataset.documents()
        let texts = documents.map { $0.title.isEmpty ? $0.text : $0.title + "\n" + $0.text }
        // The first call pays for tables and pages that are touched for the first time.
        _ = try await embedder.embed(Array(texts.prefix(8)), for: .document)
        let (start, processorStart) = (ContinuousClock.now, ProcessUsage.cpuSeconds)
        let rows = try await embed(texts, embedder) { try progress($0, texts.count) }
        let (seconds, processor) = ((ContinuousClock.now - start) / .seconds(1), ProcessUsage.cpuSeconds - processorStart)
        let queries = dataset.queries.filter { dataset.judgments[$0.id] != nil }
        let questions = try await embed(queries.map(\.text), embedder) { _ in try progress(texts.count, texts.count) }
        let dimension = embedder.model.dimension
        var rankings: [String: [String]] = [:]
        for (index, query) in queries.enumerated() {
            let scores = Self.scores(questions[index * dimension..<(index + 1) * dimension], rows)
            let best = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(101)
            // BEIR's rule: a document that is the query itself is no answer to it.
            rankings[query.id] = best.map { documents[$0].id }.filter { $0 != query.id }
        }
        let summary = RankingSummary(rankings: rankings, judgments: dataset.judgments)
        return Quality(
            dataset: dataset.name, model: embedder.model.name, dimension: dimension, documents: documents.count,
            queries: summary.queryCount,
            ndcg_at_10: summary.nDCGAt10, recall_at_100: summary.recallAt100, texts_per_s: Double(texts.count) / seconds,
            texts_per_cpu_s: Double(texts.count) / processor)
    }

    /// Inner products of one vector with each row.
    private static func scores(_ query: ArraySlice<Float>, _ rows: [Float]) -> [Float] {
        let query = Array(query)
        return stride(from: 0, to: rows.count, by: query.count).map { start in
            var sum: Float = 0
            for index in query.indices { sum += query[index] * rows[start + index] }
            return sum
        }
    }
}
