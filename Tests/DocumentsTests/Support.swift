import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

/// A folder of its own for one test, removed with the value.
final class Folder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "outrider-documents-\(UUID().uuidString)"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { path + "/" + name }

    func open(readOnly: Bool = false) throws -> DocumentStore { try DocumentStore(directory: path("data"), readOnly: readOnly) }

    /// Every file below the data folder that contains these bytes.
    func files(containing marker: String) throws -> [String] {
        let root = path("data")
        return try FileManager.default.subpathsOfDirectory(atPath: root).filter { name in
            guard let bytes = FileManager.default.contents(atPath: root + "/" + name) else { return false }
            return bytes.range(of: Data(marker.utf8)) != nil
        }
    }
}

/// A draft whose chunks are its parts, in order, with vectors that tell chunk and component: `vector[i] = ordinal + i / 1000`.
func draft(
    _ collection: CollectionID, source: String, title: String? = nil, parts: [String] = ["Alpha beta. ", "Gamma delta."],
    metadata: Metadata = [:],
    dimension: Int = 4, model: String? = "mini", pages: [PageSpan] = []
) -> DocumentDraft {
    var chunks: [ChunkDraft] = []
    var start = 0
    for (ordinal, part) in parts.enumerated() {
        chunks.append(
            ChunkDraft(
                span: TextSpan(start: start, end: start + part.utf8.count), page: ordinal + 1, heading: "Part \(ordinal)",
                tokenCount: part.count))
        start += part.utf8.count
    }
    let vectors = model == nil ? [] : chunks.indices.flatMap { ordinal in (0..<dimension).map { Float(ordinal) + Float($0) / 1000 } }
    return DocumentDraft(
        collection: collection, source: source, title: title, mimeType: "text/plain", contentHash: "hash of \(source)", byteCount: start,
        text: parts.joined(), pages: pages, metadata: metadata, chunks: chunks, vectors: vectors, dimension: dimension,
        embeddingModel: model)
}

/// Numbers as they are read back.
func halves(_ values: [Float]) -> [Float] { values.map { Float(Float16($0)) } }

func file(_ source: String, bytes: Int = 10, spooled: Bool = false) -> JobFileDraft {
    JobFileDraft(
        path: "/in/\(source)", source: source, title: "Title of \(source)", metadata: ["lang": .string("en")], isSpooled: spooled,
        byteCount: bytes)
}

extension DocumentStore {
    /// Changes the database behind the store's back.
    func damage(_ sql: String) throws {
        try pool.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
            try database.execute(sql: sql)
            try database.execute(sql: "PRAGMA foreign_keys = ON")
        }
    }

    /// The space that serves; nil while there is none.
    func space(of collection: CollectionID) throws -> SpaceID? { try servingSpace(of: collection)?.id }

    func count(_ table: String) throws -> Int { try pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)")! } }
}

/// The error that a call throws; nil when it throws none.
func failure(of body: () throws -> Void) -> DocumentStoreError? {
    do {
        try body()
        return nil
    } catch {
        return error as? DocumentStoreError
    }
}

extension DocumentStore.HistoryLimits {
    /// Nothing that is older than the moment of pruning is kept.
    static var now: DocumentStore.HistoryLimits {
        var limits = DocumentStore.HistoryLimits()
        limits.jobAgeMax = 0
        limits.auditAgeMax = 0
        return limits
    }
}
