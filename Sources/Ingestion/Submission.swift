package import Documents
import Foundation

/// What of a request is stored in the queue, and the bounds of what it may hold.
enum Submission {
    /// Bytes of a source and of a title.
    static let nameSizeMax = 4096
    /// Bytes of a document's metadata as JSON.
    static let metadataSizeMax = 64 << 10

    /// The files of a request, in its order.
    ///
    /// Of two uploads with one name the second is refused: a source is one document, and the first would be gone without a word. A path that is
    /// named twice is taken once.
    ///
    /// - Throws: `.invalidRequest` for what is too large, and for two texts with one source; `.noSuchPath`.
    static func drafts(for request: IngestRequest, excluding dataFolder: String?) throws -> [JobFileDraft] {
        try check(metadata: request.metadata)
        var drafts: [JobFileDraft] = []
        var first: [ExactText: Int] = [:]
        drafts.reserveCapacity(request.items.count)
        for (index, item) in request.items.enumerated() {
            switch item {
            case .path(let path):
                for var draft in try SourceWalker.walk(path, excluding: dataFolder, followsLinks: request.followsLinks).files
                where first.updateValue(index, forKey: ExactText(draft.source)) == nil {
                    draft.metadata = request.metadata
                    drafts.append(draft)
                }
            case .upload(let name, let spoolPath, let mimeType):
                try check(name, as: "file name")
                let size = ((try? FileManager.default.attributesOfItem(atPath: spoolPath))?[.size] as? Int) ?? 0
                var draft = JobFileDraft(
                    path: spoolPath, source: name, mimeType: mimeType, metadata: request.metadata, isSpooled: true, byteCount: size)
                if first.updateValue(index, forKey: ExactText(name)) != nil {
                    draft.refusal =
                        "another file of this upload has the same name '\(name.prefix(200))', which names one document; rename this one, or send it with its folder as part of the name"
                    try? FileManager.default.removeItem(atPath: spoolPath)
                }
                drafts.append(draft)
            case .text(let source, let title, let text, let metadata):
                if source.isEmpty {
                    throw IngestionError.invalidRequest(
                        parameter: "documents[\(index)].source", value: "empty", remedy: "give each text a key of its own")
                }
                try check(source, as: "documents[\(index)].source")
                if let title { try check(title, as: "documents[\(index)].title") }
                if let earlier = first.updateValue(index, forKey: ExactText(source)) {
                    throw IngestionError.invalidRequest(
                        parameter: "documents[\(index)].source", value: "'\(source.prefix(200))', as documents[\(earlier)].source is",
                        remedy: "a source names one document: send each once")
                }
                let merged = metadata.isEmpty ? request.metadata : request.metadata.merging(metadata) { $1 }
                if !metadata.isEmpty { try check(metadata: merged, as: "documents[\(index)].metadata") }
                drafts.append(
                    JobFileDraft(
                        path: "", source: source, title: title, mimeType: "text/plain", metadata: merged, byteCount: text.utf8.count,
                        text: text))
            }
        }
        return drafts
    }

    private static func check(_ name: String, as parameter: String) throws(IngestionError) {
        // In a title it is dropped when it is stored.
        if name.utf8.contains(0), !parameter.hasSuffix("title") {
            throw .invalidRequest(parameter: parameter, value: "a text with a NUL character", remedy: "leave it out")
        }
        guard name.utf8.count > nameSizeMax else { return }
        throw .invalidRequest(
            parameter: parameter, value: "\(name.utf8.count) bytes long", remedy: "the limit is \(nameSizeMax) bytes")
    }

    static func check(metadata: Metadata, as parameter: String = "metadata") throws(IngestionError) {
        guard !metadata.isEmpty else { return }
        // The members' own bytes; the quotes of JSON do not matter to a limit.
        let size = metadata.reduce(0) { size, member in
            let value =
                switch member.value {
                case .string(let text): text.utf8.count
                case .strings(let texts): texts.reduce(0) { $0 + $1.utf8.count + 3 }
                case .numbers(let numbers): numbers.count * 8
                case .number, .bool, .null: 8
                }
            return size + member.key.utf8.count + value + 6
        }
        guard size > metadataSizeMax else { return }
        throw .invalidRequest(
            parameter: parameter, value: "\(size) bytes large", remedy: "the limit is \(metadataSizeMax) bytes a document")
    }
}

extension IngestRequest {
    /// Checks metadata that is about to be stored by another way than a request.
    ///
    /// - Throws: `.invalidRequest` when it is larger than a document may have.
    package static func check(metadata: Metadata) throws(IngestionError) { try Submission.check(metadata: metadata) }
}
