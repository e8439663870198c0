import Answering
import ArgumentParser
import Documents
import Execution
import Foundation
import HTTPFrontend
import Indexing
import Inference
import Ingestion
import Logging
import Metrics
import Parsing
import ServiceLifecycle
import Serving
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serves the web UI and the HTTP API.",
        discussion:
            "Binds 127.0.0.1 unless --host says otherwise; any other address needs an API key. Ctrl-C or SIGTERM finishes running requests first."
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var models: ModelOptions

    @Option(name: .long, help: "Address to bind.")
    var host = "127.0.0.1"

    @Option(name: .shortAndLong, help: "Port to bind; 0 takes a free one.")
    var port = 8080

    @Option(name: .long, help: "Write the port number to this file once connections are accepted.")
    var portFile: String?

    @Option(
        name: .long,
        help:
            "Key that clients must send as 'Authorization: Bearer KEY'; may be repeated. Better in OUTRIDER_API_KEY (comma-separated), which other users cannot see."
    )
    var apiKey: [String] = []

    @Option(name: .long, help: "Host name besides localhost under which a proxy passes requests on; may be repeated.")
    var allowedHost: [String] = []

    @Option(name: .long, help: "Origin, such as https://intranet.example, whose pages may use the API from a browser; may be repeated.")
    var allowedOrigin: [String] = []

    @Option(name: .long, help: "Searches and answers that run at the same time.")
    var maxConcurrent = 16

    @Option(name: .long, help: "Requests that wait for a place; more are refused with 503.")
    var queueLimit = 64

    @Option(name: .long, help: "Connections open at the same time; beyond it, idle ones are closed.")
    var maxConnections = 1024

    @Option(
        name: .long,
        help: "Connections from one client address; 0 = no limit. This machine has none, nor has an address given with --proxy.")
    var maxConnectionsPerAddress = 256

    @Option(name: .long, help: "Address of a proxy on another machine, which speaks for many clients; may be repeated.")
    var proxy: [String] = []

    @Option(name: .long, help: "Largest upload in MiB.")
    var maxUpload = 2048

    @Option(name: .long, help: "Seconds that running requests get when the server stops.")
    var shutdownGrace = 30

    @Option(name: .long, help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    @Option(
        name: .long,
        help: "Requests that the log shows: all, notable (those that fail, take more than two seconds, or change something), or off.")
    var accessLog = "notable"

    @Option(name: .long, help: "Days that finished jobs stay in the list.")
    var keepJobsDays = 30

    @Option(name: .long, help: "Most finished jobs that stay in the list.")
    var keepJobs = 10_000

    @Option(name: .long, help: "Days that entries stay in the audit log.")
    var keepAuditDays = 365

    @Option(name: .long, help: "Most entries that stay in the audit log.")
    var keepAudit = 100_000

    @Flag(name: .long, inversion: .prefixedNo, help: "Read scanned pages and images with tesseract.")
    var ocr = true

    @Option(name: .long, help: "Languages for tesseract, such as eng+deu.")
    var ocrLanguages = "eng"

    @Flag(name: .long, inversion: .prefixedNo, help: "Keep hidden rows, columns, sheets and slides, marked as hidden.")
    var hidden = true

    func validate() throws {
        try check("--port", port, 0...65_535)
        try check("--max-concurrent", maxConcurrent, 1...65_536)
        try check("--queue-limit", queueLimit, 0...1_000_000)
        try check("--max-connections", maxConnections, 1...1_000_000)
        try check("--max-connections-per-address", maxConnectionsPerAddress, 0...1_000_000)
        try check("--max-upload", maxUpload, 1...1 << 20)
        try check("--shutdown-grace", shutdownGrace, 0...86_400)
        try check("--keep-jobs-days", keepJobsDays, 0...36_500)
        try check("--keep-jobs", keepJobs, 0...1_000_000_000)
        try check("--keep-audit-days", keepAuditDays, 0...36_500)
        try check("--keep-audit", keepAudit, 0...1_000_000_000)
    }

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError(
                "--log-level is '\(logLevel)'; give one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard let accessLog = HTTPServerConfiguration.AccessLog(rawValue: accessLog) else {
            throw ValidationError(
                "--access-log is '\(accessLog)'; give one of \(HTTPServerConfiguration.AccessLog.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        let start = ContinuousClock.now
        CrashReport.install()
        let environmentKeys = (Secrets.environment("OUTRIDER_API_KEY") ?? "").split(separator: ",").map(String.init)
        _ = Secrets.environment("OUTRIDER_OPENAI_API_KEY")
        Secrets.hideArguments(of: "--api-key")
        let logger = CommandLog.make(json: true, level: level)
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)

        let folder = try DataFolder(data.data, .write)
        var configuration = HTTPServerConfiguration(spoolDirectory: folder.spool)
        configuration.host = host
        configuration.port = port
        configuration.apiKeys = apiKey + environmentKeys
        configuration.allowedHosts = allowedHost
        configuration.allowedOrigins = allowedOrigin
        configuration.maxConcurrentRequests = maxConcurrent
        configuration.queueLimit = queueLimit
        // A quarter is left for index files, parsers and the database.
        let openFiles = FileLimit.raise(to: max(4096, maxConnections * 2))
        configuration.maxConnections = min(maxConnections, max(16, openFiles * 3 / 4 - configuration.reservedConnections * 5))
        configuration.maxConnectionsPerAddress = maxConnectionsPerAddress == 0 ? nil : maxConnectionsPerAddress
        configuration.proxyAddresses = proxy
        configuration.accessLog = accessLog
        configuration.maxBodyBytes = maxUpload << 20
        configuration.shutdownGrace = .seconds(shutdownGrace)
        try configuration.validate()

        var limits = ParseLimits()
        limits.isOCREnabled = ocr
        limits.ocrLanguages = ocrLanguages
        limits.keepsHidden = hidden
        var options = IngestionOptions()
        options.history = historyLimits
        let engine = try Engine.open(
            folder, models: models, needs: [.embedder, .generators, .writing], options: options, limits: limits, logger: logger)
        try await engine.ingestion.start()
        await engine.changes.start()
        logStart(configuration, engine, logger)
        let services = Services(
            searching: engine.retriever, answering: engine.answers, ingesting: engine.ingestion, documents: engine.store,
            info: { Self.info(engine) },
            modelChanging: engine.changes,
            limits: engine.limits)
        let portFile = portFile
        let host = host
        let server = try HTTPServer(configuration: configuration, services: services, metrics: registry, logger: logger) { port in
            folder.describe("the server on http://\(host):\(port) (process \(getpid()))")
            if let portFile { try? "\(port)\n".write(toFile: portFile, atomically: true, encoding: .utf8) }
            let elapsed = ContinuousClock.now - start
            logger.info(
                "ready",
                metadata: [
                    "url": "http://\(host):\(port)",
                    "ready_ms": "\(elapsed.wholeMilliseconds)",
                ])
            if Output.errorIsTerminal { Output.error("Outrider is ready: open http://\(host):\(port) (Ctrl-C stops)") }
        }
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: IngestionLifetime(ingestion: engine.ingestion, changes: engine.changes)),
                    .init(service: Housekeeping(store: engine.store, limits: historyLimits, logger: logger)), .init(service: server),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do { try await group.run() } catch {
            try? await engine.closeWriting()
            throw error
        }
        try await engine.closeWriting()
        logger.info("stopped")
    }

    /// What the server works with, so that a log alone tells which model answered from which folder. No key is in it.
    private func logStart(_ configuration: HTTPServerConfiguration, _ engine: Engine, _ logger: Logger) {
        func path(_ text: String) -> String { URL(fileURLWithPath: text).standardizedFileURL.path }
        var fields: Logger.Metadata = [
            "version": .string(Outrider.version), "process": .stringConvertible(getpid()), "data": .string(path(data.data)),
            "embedding_model": .string(engine.embedders.standard == nil ? "none" : models.resolvedEmbeddingModel.map(path) ?? "none"),
            "generators": .array(engine.answers.generatorNames.map { .string($0) }),
            "keys": .stringConvertible(configuration.apiKeys.count),
            "allowed_hosts": .array(configuration.allowedHosts.map { .string($0) }),
            "allowed_origins": .array(configuration.allowedOrigins.map { .string($0) }),
            "max_concurrent": .stringConvertible(configuration.maxConcurrentRequests),
            "queue_limit": .stringConvertible(configuration.queueLimit),
            "max_connections": .stringConvertible(configuration.maxConnections),
            "max_upload_mib": .stringConvertible(maxUpload), "ocr": .string(ocr ? ocrLanguages : "off"),
            "access_log": .string(configuration.accessLog.rawValue), "log_level": .string(logLevel),
        ]
        if let model = engine.embedders.standard?.model { fields["embedding"] = .string("\(model.name), \(model.dimension) dimensions") }
        if let path = models.resolvedReranker { fields["reranker"] = .string(path) }
        if let path = models.resolvedLLM { fields["llm"] = .string(path) }
        if let url = models.resolvedOpenAIURL {
            // A URL may hold a password.
            var parts = URLComponents(string: url)
            parts?.user = nil
            parts?.password = nil
            fields["openai_url"] = .string(parts?.string ?? "not a URL")
        }
        if models.resolvedLLM != nil || models.resolvedOpenAIURL != nil {
            fields["context_length"] = .stringConvertible(models.contextLength)
        }
        logger.info("starting", metadata: fields)
    }

    private var historyLimits: DocumentStore.HistoryLimits {
        var limits = DocumentStore.HistoryLimits()
        limits.jobAgeMax = Double(keepJobsDays) * 86_400
        limits.jobCountMax = keepJobs
        limits.auditAgeMax = Double(keepAuditDays) * 86_400
        limits.auditCountMax = keepAudit
        return limits
    }

    private static func info(_ engine: Engine) -> ServerInfo {
        var list: [ServerInfo.Model] = []
        for model in engine.embedders.loaded.map(\.model) {
            list.append(.init(kind: "embedding", name: model.name, dimension: model.dimension, contextLength: model.contextLength))
        }
        for name in engine.answers.generatorNames { list.append(.init(kind: "generation", name: name)) }
        return ServerInfo(version: Outrider.version, models: list)
    }
}

/// Lets the ingestion service live as long as the server, and ends its work when the server stops.
private struct IngestionLifetime: Service {
    let ingestion: IngestionService
    let changes: ModelChanges

    func run() async throws {
        try? await gracefulShutdown()
        await changes.stop()
        await ingestion.stop()
    }
}

/// Forgets old jobs and audit entries at the start and every ten minutes.
private struct Housekeeping: Service {
    let store: DocumentStore
    let limits: DocumentStore.HistoryLimits
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while true {
                do {
                    let store = store
                    let limits = limits
                    let forgotten = try await offload { try store.pruneHistory(limits) }
                    if forgotten.jobs + forgotten.auditEntries > 0 {
                        logger.info(
                            "old history forgotten",
                            metadata: ["jobs": "\(forgotten.jobs)", "audit_entries": "\(forgotten.auditEntries)"])
                    }
                } catch {
                    // A full disk, above all: the next round tries again.
                    logger.warning("old history cannot be forgotten", metadata: ["reason": "\(error)"])
                }
                try await Task.sleep(for: .seconds(600))
            }
        }
        try? await gracefulShutdown()
    }
}
