import Answering
import ArgumentParser
import Documents
import Evaluation
import Execution
import Foundation
import Indexing
import Inference
import Ingestion
import Retrieval
import TextSearch

struct EvalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measures retrieval and answers on a data set with judgments.",
        discussion: """
            DIR is a BEIR folder (corpus.jsonl[.gz], queries.jsonl, qrels/test.tsv), or one with qa.jsonl[.gz] and corpus.jsonl[.gz]. It is indexed in a
            temporary data folder with the collection's default settings and judged by documents.

            With --tune, several folders are given: retrieval parameters are chosen by leaving one set out at a time, and judged on that set.
            """)

    @OptionGroup var models: ModelOptions

    @Argument(help: ArgumentHelp("The data set's folder; several with --tune.", valueName: "dir"))
    var folders: [String]

    @Flag(name: .long, help: "Choose k1, b, the title's weight and the fusion on two or more sets, each judged by what the others chose.")
    var tune = false

    private var folder: String { folders[0] }

    @Option(name: .long, help: "hybrid, text (BM25) or vector.")
    var mode: SearchMode = .hybrid

    @Option(name: .long, help: "Which qrels to judge by.")
    var split = "test"

    @Option(name: .long, help: "minmax or rrf.")
    var fusion: FusionMethod?

    @Option(name: .long, help: "Share of the vector score, 0 to 1.")
    var vectorWeight: Float?

    @Option(name: .long, help: "Tokens in a chunk.")
    var chunkTokens: Int?

    @Option(name: .long, help: "Tokens that neighbouring chunks share.")
    var chunkOverlap: Int?

    @Option(name: .long, help: "BM25 k1.")
    var k1: Float?

    @Option(name: .long, help: "BM25 b.")
    var b: Float?

    @Option(name: .long, help: "What a word of the title counts against one of the text.")
    var titleWeight: Float?

    @Option(
        name: .long,
        help: "Keep the index in this folder (with --tune: in one folder below it for each set), and use it again when it is there.")
    var keep: String?

    @Flag(
        name: .long,
        help: "For a question-answering set: also answer each question with the extractive generator and report the refusal curve.")
    var answers = false

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if tune {
            if folders.count < 2 {
                throw ValidationError("--tune needs two or more folders, got \(folders.count): one is held out at a time")
            }
            let names = folders.map { URL(fileURLWithPath: $0).lastPathComponent }
            if Set(names).count < names.count { throw ValidationError("two of the folders have the same name; rename one") }
        } else if folders.count != 1 {
            throw ValidationError("give one folder, or --tune with several; got \(folders.count)")
        }
    }

    func run() async throws {
        if tune { return try await tuneAll() }
        let isQuestionAnswering = ["qa.jsonl", "qa.jsonl.gz"].contains { FileManager.default.fileExists(atPath: folder + "/" + $0) }
        let isTemporary = keep == nil
        let path = keep ?? FileManager.default.temporaryDirectory.path + "/outrider-eval-\(UUID().uuidString)"
        defer { if isTemporary { try? FileManager.default.removeItem(atPath: path) } }
        let data = try DataFolder(path, .write)
        let needs: Engine.Needs = mode == .text && !answers ? [.writing] : [.writing, .embedder, .requiredEmbedder]
        let engine = try Engine.open(data, models: models, needs: needs, logger: CommandLog.make())
        let load = try await load(engine, isQuestionAnswering)
        if isQuestionAnswering { try await judgeQuestions(engine, load) } else { try await judgeRankings(engine, load) }
        try await engine.closeWriting()
    }

    private func tuneAll() async throws {
        let base = keep ?? FileManager.default.temporaryDirectory.path + "/outrider-eval-\(UUID().uuidString)"
        defer { if keep == nil { try? FileManager.default.removeItem(atPath: base) } }
        var settings = CollectionSettings()
        settings.chunkTokens = chunkTokens ?? settings.chunkTokens
        settings.chunkOverlapTokens = chunkOverlap ?? settings.chunkOverlapTokens
        let defaults = Tuner.TextParameters(titleWeight: settings.titleWeight, bm25: BM25Parameters(k1: settings.k1, b: settings.b))
        let tuner = Tuner(defaults: defaults, vectorWeight: settings.vectorWeight)
        var scores: [Tuner.SetScores] = []
        for folder in folders {
            let data = try DataFolder(base + "/" + URL(fileURLWithPath: folder).lastPathComponent, .write)
            let engine = try Engine.open(data, models: models, needs: [.writing, .embedder, .requiredEmbedder], logger: CommandLog.make())
            let set = try await TuningSet.load(folder: folder, split: split, engine: engine, settings: settings, progress: note)
            scores.append(try await tuner.judge(set, progress: note))
            try await engine.closeWriting()
        }
        note("")
        let report = TuneReport(scores, tuner)
        if json { try Output.json(report) } else { report.print() }
    }

    private struct Load {
        var totals = BulkLoader.Totals()
        /// Tokens of the chunks that were embedded, without their titles.
        var tokens = 0
        var seconds = 0.0
    }

    private func load(_ engine: Engine, _ isQuestionAnswering: Bool) async throws -> Load {
        if let existing = try engine.catalog.indexes(named: "default"), try engine.store.counts(of: existing.id).documents > 0 {
            note("using the index in \(keep ?? "")")
            return Load()
        }
        let documents =
            isQuestionAnswering ? try QADataset(folder: folder).documents() : try BEIRDataset(folder: folder, split: split).documents()
        var settings = CollectionSettings()
        settings.chunkTokens = chunkTokens ?? settings.chunkTokens
        settings.chunkOverlapTokens = chunkOverlap ?? settings.chunkOverlapTokens
        settings.k1 = k1 ?? settings.k1
        settings.b = b ?? settings.b
        settings.titleWeight = titleWeight ?? settings.titleWeight
        _ = try engine.catalog.indexes(creating: "default", settings: settings)
        let loader = BulkLoader(into: "default", through: engine.ingestion)
        let start = ContinuousClock.now
        let texts = documents.map { BulkLoader.Text(source: $0.id, title: $0.title, text: $0.text) }
        let totals = try await loader.load(texts) { note("indexed \($0.documents) of \(texts.count) documents") }
        let seconds = (ContinuousClock.now - start).inSeconds
        try engine.catalog.sealAll()
        note("")
        let tokens = engine.embedders.standard == nil ? 0 : try engine.store.tokenCount(of: "default")
        return Load(totals: totals, tokens: tokens, seconds: seconds)
    }

    private func note(_ text: String) {
        guard Output.errorIsTerminal, !json else { return }
        FileHandle.standardError.write(Data(("\r\u{1B}[2K" + text).utf8))
    }

    private func search(_ query: String, _ engine: Engine) async throws -> (ranking: [String], milliseconds: Double) {
        let start = ContinuousClock.now
        let response = try await engine.retriever.search(
            SearchRequest(
                query: query, mode: mode, k: 100, maxPerDocument: 1, highlight: false, fusion: fusion, vectorWeight: vectorWeight,
                collapseDuplicates: false), scope: .everyone
        )
        return (response.results.map(\.source), (ContinuousClock.now - start).inSeconds * 1000)
    }

    private struct Latency: Encodable {
        var p50: Double
        var p99: Double
        init(_ samples: [Double]) {
            p50 = SampleStatistics.percentile(0.5, of: samples) ?? 0
            p99 = SampleStatistics.percentile(0.99, of: samples) ?? 0
        }
    }

    // MARK: BEIR

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct RankingReport: Encodable {
        var dataset: String
        var mode: String
        var queries: Int
        var ndcg_at_10: Double
        var ndcg_at_10_interval: [Double]
        var recall_at_10: Double
        var recall_at_100: Double
        var mrr_at_10: Double
        var latency_ms: Latency
        var documents: Int
        var chunks: Int
        var documents_per_s: Double
        var embed_tokens_per_s: Double
        var peak_rss_bytes: Int
        var embedding_model: String?
    }

    private func judgeRankings(_ engine: Engine, _ load: Load) async throws {
        let dataset = try BEIRDataset(folder: folder, split: split)
        var rankings: [String: [String]] = [:]
        var latencies: [Double] = []
        for query in dataset.queries where dataset.judgments[query.id] != nil {
            // BEIR's rule: a document that is the query itself is no answer to it.
            let found = try await search(query.text, engine)
            rankings[query.id] = found.ranking.filter { $0 != query.id }
            latencies.append(found.milliseconds)
        }
        let summary = RankingSummary(rankings: rankings, judgments: dataset.judgments)
        let interval = SampleStatistics.bootstrapInterval(ofMeanOf: summary.nDCGAt10ByQuery.sorted { $0.key < $1.key }.map(\.value))
        let report = RankingReport(
            dataset: dataset.name, mode: mode.rawValue, queries: summary.queryCount, ndcg_at_10: summary.nDCGAt10,
            ndcg_at_10_interval: interval.map { [$0.lowerBound, $0.upperBound] } ?? [], recall_at_10: summary.recallAt10,
            recall_at_100: summary.recallAt100, mrr_at_10: summary.mrrAt10, latency_ms: Latency(latencies),
            documents: load.totals.documents,
            chunks: load.totals.chunks, documents_per_s: load.seconds > 0 ? Double(load.totals.documents) / load.seconds : 0,
            embed_tokens_per_s: load.seconds > 0 ? Double(load.tokens) / load.seconds : 0,
            peak_rss_bytes: ProcessUsage.peakResidentSize,
            embedding_model: engine.embedders.standard?.model.name)
        if json { return try Output.json(report) }
        Output.line(
            "\(report.dataset), \(report.mode), \(report.queries) queries, \(report.documents) documents in \(report.chunks) chunks")
        func number(_ value: Double) -> String { String(format: "%.4f", value) }
        Output.line("nDCG@10 \(number(report.ndcg_at_10)) (95 % interval \(report.ndcg_at_10_interval.map(number).joined(separator: "-")))")
        Output.line(
            "recall@10 \(number(report.recall_at_10))  recall@100 \(number(report.recall_at_100))  MRR@10 \(number(report.mrr_at_10))")
        Output.line("latency p50 \(Output.milliseconds(report.latency_ms.p50))  p99 \(Output.milliseconds(report.latency_ms.p99))")
        Output.line(
            String(
                format: "indexing %.1f documents/s, %.0f tokens/s embedded; peak memory %@", report.documents_per_s,
                report.embed_tokens_per_s, Output.bytes(report.peak_rss_bytes)))
    }

    // MARK: Questions

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct CurvePoint: Encodable {
        var threshold: Double
        var answerable_answered: Double
        var unanswerable_refused: Double
    }

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct QuestionReport: Encodable {
        var dataset: String
        var mode: String
        var questions: Int
        var answerable: Int
        var hit_at_1: Double
        var recall_at_5: Double
        var recall_at_10: Double
        var latency_ms: Latency
        var documents: Int
        var documents_per_s: Double
        var peak_rss_bytes: Int
        var answers: AnswerReport?
    }

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct AnswerReport: Encodable {
        var threshold: Double
        /// Share of answerable questions that are answered, and of unanswerable ones that are refused, at the default threshold.
        var answerable_answered: Double
        var unanswerable_refused: Double
        /// Of the answered answerable questions: how many cite a passage that holds the answer; mean token F1 with the reference.
        var cites_evidence: Double
        var token_f1: Double
        var answer_contained: Double
        var area_under_curve: Double
        var curve: [CurvePoint]
        var latency_ms: Latency
    }

    private func judgeQuestions(_ engine: Engine, _ load: Load) async throws {
        let dataset = try QADataset(folder: folder)
        var hits: [Double] = []
        var recall5: [Double] = []
        var recall10: [Double] = []
        var latencies: [Double] = []
        for question in dataset.questions where question.answerable {
            let found = try await search(question.question, engine)
            latencies.append(found.milliseconds)
            let judged = Dictionary(question.evidence.map { ($0, 1) }, uniquingKeysWith: { first, _ in first })
            if judged.isEmpty { continue }
            hits.append(RankingMetrics.hit(at: 1, ranking: found.ranking, judgments: judged) ?? 0)
            recall5.append(RankingMetrics.recall(at: 5, ranking: found.ranking, judgments: judged) ?? 0)
            recall10.append(RankingMetrics.recall(at: 10, ranking: found.ranking, judgments: judged) ?? 0)
        }
        let answered = answers ? try await answerAll(dataset, engine) : nil
        let report = QuestionReport(
            dataset: dataset.name, mode: mode.rawValue, questions: dataset.questions.count,
            answerable: dataset.questions.count { $0.answerable },
            hit_at_1: SampleStatistics.mean(of: hits) ?? 0, recall_at_5: SampleStatistics.mean(of: recall5) ?? 0,
            recall_at_10: SampleStatistics.mean(of: recall10) ?? 0, latency_ms: Latency(latencies), documents: load.totals.documents,
            documents_per_s: load.seconds > 0 ? Double(load.totals.documents) / load.seconds : 0,
            peak_rss_bytes: ProcessUsage.peakResidentSize,
            answers: answered)
        if json { return try Output.json(report) }
        Output.line("\(report.dataset), \(report.mode), \(report.questions) questions (\(report.answerable) answerable)")
        Output.line(String(format: "hit@1 %.4f  recall@5 %.4f  recall@10 %.4f", report.hit_at_1, report.recall_at_5, report.recall_at_10))
        Output.line("search latency p50 \(Output.milliseconds(report.latency_ms.p50))  p99 \(Output.milliseconds(report.latency_ms.p99))")
        guard let answered else { return }
        Output.line(
            String(
                format:
                    "at the default threshold %.3f: %.1f %% of answerable questions answered, %.1f %% of unanswerable refused; area under curve %.3f",
                answered.threshold, answered.answerable_answered * 100, answered.unanswerable_refused * 100, answered.area_under_curve))
        Output.line(
            String(
                format: "of the answered: %.1f %% cite a passage with the answer, %.1f %% contain it, token F1 %.3f",
                answered.cites_evidence * 100,
                answered.answer_contained * 100, answered.token_f1))
        Output.line(
            "answer latency p50 \(Output.milliseconds(answered.latency_ms.p50))  p99 \(Output.milliseconds(answered.latency_ms.p99))")
        Output.line("threshold  answerable answered  unanswerable refused")
        for point in answered.curve {
            Output.line(
                String(
                    format: "   %.2f          %.3f                %.3f", point.threshold, point.answerable_answered,
                    point.unanswerable_refused))
        }
    }

    private func answerAll(_ dataset: QADataset, _ engine: Engine) async throws -> AnswerReport {
        var samples: [RefusalCurve.Sample] = []
        var cited: [Double] = []
        var f1: [Double] = []
        var contained: [Double] = []
        var latencies: [Double] = []
        for question in dataset.questions {
            // Threshold 0: the curve needs what would be answered; refusals are counted from the confidence.
            let request = AnswerRequest(question: question.question, mode: mode, generator: "extractive", refuseBelow: 0)
            var response: AnswerResponse?
            for try await event in engine.answers.answer(request, scope: .everyone) { if case .done(let done) = event { response = done } }
            guard let response else { continue }
            latencies.append(response.timings[.total]?.inMilliseconds ?? 0)
            samples.append(.init(confidence: Double(response.confidence), answerable: question.answerable))
            guard question.answerable, Double(response.confidence) >= Double(AnswerOptions().refuseBelow) else { continue }
            cited.append(response.citations.contains { question.evidence.contains($0.source) } ? 1 : 0)
            f1.append(AnswerMetrics.tokenF1(response.answer, answers: question.answers))
            contained.append(AnswerMetrics.contains(response.answer, anyOf: question.answers) ? 1 : 0)
        }
        let curve = RefusalCurve(samples)
        let threshold = Double(AnswerOptions().refuseBelow)
        let point = curve.point(at: threshold)
        return AnswerReport(
            threshold: threshold, answerable_answered: point?.answerableAnswered ?? share(samples, true, threshold),
            unanswerable_refused: point?.unanswerableRefused ?? 1 - share(samples, false, threshold),
            cites_evidence: SampleStatistics.mean(of: cited) ?? 0,
            token_f1: SampleStatistics.mean(of: f1) ?? 0, answer_contained: SampleStatistics.mean(of: contained) ?? 0,
            area_under_curve: curve.area.isNaN ? 0 : curve.area,
            curve: stride(from: 0.05, to: 1, by: 0.05).compactMap { threshold in
                curve.point(at: threshold).map {
                    CurvePoint(
                        threshold: threshold, answerable_answered: $0.answerableAnswered, unanswerable_refused: $0.unanswerableRefused)
                }
            }, latency_ms: Latency(latencies))
    }

    private func share(_ samples: [RefusalCurve.Sample], _ answerable: Bool, _ threshold: Double) -> Double {
        let kind = samples.filter { $0.answerable == answerable }
        return kind.isEmpty ? 0 : Double(kind.count { $0.confidence >= threshold }) / Double(kind.count)
    }
}
