import Answering
import Documents
import Execution
import Foundation
import Indexing
import Inference
import Ingestion
import LlamaInference
import Logging
import ModelFiles
import Parsing
import RemoteInference
import Retrieval

/// Every part of the product, wired: the one place where everything meets.
struct Engine: Sendable {
    let store: DocumentStore
    let catalog: IndexCatalog
    let embedders: EmbedderShelf
    let changes: ModelChanges
    let retriever: Retriever
    let ingestion: IngestionService
    let answers: AnswerEngine
    let limits: RequestLimits
    private let remote: OpenAIGenerator?

    /// What a command needs: a search without vectors does not load a model.
    struct Needs: OptionSet {
        let rawValue: Int
        static let embedder = Needs(rawValue: 1)
        static let generators = Needs(rawValue: 2)
        static let writing = Needs(rawValue: 4)
        /// A missing embedding model is an error rather than a degradation.
        static let requiredEmbedder = Needs(rawValue: 8)
    }

    static func open(
        _ folder: DataFolder, models: ModelOptions, needs: Needs, options: IngestionOptions = .init(), limits: ParseLimits = .init(),
        logger: Logger
    )
        throws -> Engine
    {
        let readOnly = !needs.contains(.writing)
        // Who writes holds the folder's lock: nobody else writes the log meanwhile.
        let store = try DocumentStore(directory: folder.path, readOnly: readOnly, checksLog: !readOnly)
        if let damage = store.logDamage {
            logger.error(
                "\(damage)", metadata: ["remedy": "take in again what was taken in last, or restore the data folder from a backup"])
        }
        let catalog = try IndexCatalog(store: store, directory: folder.index, readOnly: readOnly, logger: logger)
        var models = models
        models.rememberedEmbeddingModel = Self.rememberedModel(store)
        let embedders =
            try needs.contains(.embedder)
            ? Self.embedders(models, required: needs.contains(.requiredEmbedder), logger) : EmbedderShelf(standard: nil)
        let reranker =
            try needs.contains(.embedder)
            ? models.resolvedReranker.map { try EmbedderFile.openReranker($0, precision: models.embeddingPrecision) } : nil
        let requestLimits = RequestLimits()
        var retrieverOptions = RetrieverOptions()
        retrieverOptions.limits = requestLimits
        let retriever = Retriever(catalog: catalog, embedders: embedders, reranker: reranker, options: retrieverOptions, logger: logger)
        var options = options
        options.dataFolder = folder.path
        let parser = ParserPool(
            executable: "/proc/self/exe", workerCount: max(2, ProcessInfo.processInfo.activeProcessorCount), limits: limits)
        let ingestion = IngestionService(
            catalog: catalog, embedders: embedders, parser: parser, spoolFolder: folder.spool, options: options, logger: logger)
        var generators: [(String, any Generator)] = []
        var remote: OpenAIGenerator?
        if needs.contains(.generators) {
            if let path = models.resolvedLLM {
                generators.append(("llama", try LlamaGenerator(modelPath: path, contextLength: models.contextLength)))
            }
            if let url = models.resolvedOpenAIURL {
                var configuration = OpenAIGenerator.Configuration(
                    baseURL: url, model: models.resolvedOpenAIModel, apiKey: Secrets.environment("OUTRIDER_OPENAI_API_KEY"))
                configuration.contextLength = models.contextLength
                // How long to wait is the engine's to say, which knows the prompt and the deadline.
                configuration.firstTokenTimeoutSeconds = models.firstTokenTimeout ?? 900
                let generator = try OpenAIGenerator(configuration)
                remote = generator
                generators.append(("openai", generator))
            }
        }
        var answerOptions = models.answerOptions
        answerOptions.limits = requestLimits
        let answers = AnswerEngine(
            searching: retriever, statistics: retriever, spans: StoredSpans(store: store), embedders: embedders, generators: generators,
            options: answerOptions, logger: logger)
        return Engine(
            store: store, catalog: catalog, embedders: embedders,
            changes: ModelChanges(catalog: catalog, embedders: embedders, logger: logger), retriever: retriever, ingestion: ingestion,
            answers: answers,
            limits: requestLimits,
            remote: remote
        )
    }

    /// The model that every collection with vectors was embedded by, where its file lies in the model folder: what is used when no option says otherwise.
    private static func rememberedModel(_ store: DocumentStore) -> String? {
        let names = Set((try? store.collections())?.compactMap(\.settings.embeddingModel) ?? [])
        guard names.count == 1, let name = names.first else { return nil }
        return NamedEmbedder.file(name)
    }

    /// The chosen model, and, read when a collection needs them, those of its kind in the model folder.
    private static func embedders(_ models: ModelOptions, required: Bool, _ logger: Logger) throws -> EmbedderShelf {
        // Who switches vectors off wants none of any model.
        guard models.resolvedEmbeddingModel != nil else { return EmbedderShelf(standard: nil) }
        let precision = models.embeddingPrecision
        return EmbedderShelf(standard: try embedder(models, required: required, logger)) { name in
            guard let embedder = try NamedEmbedder.open(name, precision: precision) else { return nil }
            logger.info("embedding model opened", metadata: ["model": "\(name)"])
            return embedder
        }
    }

    static func embedder(_ models: ModelOptions, required: Bool, _ logger: Logger) throws -> (any Embedder)? {
        guard let path = models.resolvedEmbeddingModel else { return nil }
        if !required, models.embeddingModel == nil, !FileManager.default.fileExists(atPath: path) {
            logger.warning(
                "no embedding model: text search only",
                metadata: ["path": "\(path)", "remedy": "run 'make demo', or give --embedding-model"])
            return nil
        }
        let embedder = try EmbedderFile.open(path, precision: models.embeddingPrecision)
        return try models.embeddingDimensions.map { try ShortenedEmbedder(embedder, dimension: $0) } ?? embedder
    }

    /// Seals what is in memory and closes files; the next start then reads nothing twice.
    func close() async throws {
        await changes.stop()
        await ingestion.stop()
        try await remote?.shutdown()
    }

    func closeWriting() async throws {
        try await close()
        catalog.sealBeforeClosing()
        try store.close()
    }
}
