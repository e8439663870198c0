import Documents
import Execution
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Ingestion
import Logging
import Serving

extension Frontend {
    // MARK: Reading

    private struct DocumentList: Codable {
        var collection: String
        var documents: [DocumentBody]
        /// The `after` of the next page; nil when there is none.
        var next: String?
        /// Documents in the collection, whatever was searched for.
        var total: Int
    }

    /// `GET /v1/documents?collection=&search=&filter=&after=&limit=`, newest first.
    func listDocuments(_ request: Request, _ context: Context) async throws -> Response {
        let query = try Query(request, known: ["collection", "search", "after", "limit", "filter"])
        let name = query.string("collection") ?? "default"
        let limit = try query.integer("limit", in: 1...500) ?? 50
        let filter = try query.string("filter").map { text throws(DocumentStoreError) in try Filter.read(text) }
        let list = try await blocking.run { [self] in
            guard let collection = try collection(name, context) else {
                return DocumentList(collection: name, documents: [], next: nil, total: 0)
            }
            let after = query.string("after").map(DocumentID.init(rawValue:))
            // One more than asked for says whether there is a next page.
            var records = try services.documents.documents(
                in: collection.id, search: query.string("search"), filter: filter, after: after, limit: limit + 1, scope: scope(of: context)
            )
            let hasMore = records.count > limit
            if hasMore { records.removeLast() }
            return DocumentList(
                collection: name, documents: records.map { DocumentBody($0, collection: name) },
                next: hasMore ? records.last?.id.rawValue : nil,
                total: try services.documents.counts(of: collection.id, scope: scope(of: context)).documents)
        }
        return JSON.response(list)
    }

    /// `GET /v1/documents/{id}`.
    func getDocument(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        return JSON.response(
            try await blocking.run { [self] in
                let document = try document(context)
                return DocumentBody(document, collection: try collectionName(document.collection, context))
            })
    }

    private struct TextBody: Codable {
        var documentID: String
        var text: String
        /// Where `text` lies in the whole extracted text.
        var span: TextSpan
        /// Size of the whole extracted text.
        var bytes: Int
        /// The version of the document that the text is of.
        var version: Int
        var pages: [PageSpan]
        enum CodingKeys: String, CodingKey {
            case text, span, bytes, pages, version
            case documentID = "document_id"
        }
    }

    /// `GET /v1/documents/{id}/text?start=&end=&version=`: the extracted text, or a window of it given in UTF-8 bytes and widened to whole characters.
    ///
    /// A citation's span holds for one version: with `version`, another one is answered by 409 and not with other bytes.
    func getText(_ request: Request, _ context: Context) async throws -> Response {
        let query = try Query(request, known: ["start", "end", "version"])
        let version = try query.integer("version", in: 1...Int.max)
        let start = try query.integer("start", in: 0...Int.max)
        let end = try query.integer("end", in: 0...Int.max)
        if let start, let end, start > end { throw APIError.invalid("start", "'start' is \(start), after 'end' = \(end)") }
        let body = try await blocking.run { [self] in
            let document = try document(context)
            guard
                let window = try services.documents.window(
                    of: document.id, start: start ?? 0, end: end ?? Int.max, scope: scope(of: context))
            else {
                throw DocumentStoreError.unknownDocument(document.id.rawValue)
            }
            let pages = try services.documents.pages(of: document.id, scope: scope(of: context))
            // Read after the text: a replacement in between must not pass one version's text off as another's.
            let current = try self.document(context).version
            if current != document.version || version.map({ $0 != current }) == true {
                throw APIError(
                    .conflict, code: "version_changed", param: "version",
                    "the document was replaced: it is of version \(current) now, not \(version ?? document.version); search again")
            }
            return TextBody(
                documentID: document.id.rawValue, text: window.text, span: window.span, bytes: window.textSize, version: current,
                pages: pages
            )
        }
        return JSON.response(body)
    }

    private struct ChunkBody: Codable {
        var id: ChunkID
        var ordinal: Int
        var span: TextSpan
        var page: Int?
        var lastPage: Int?
        var heading: String
        var tokens: Int
        var text: String
        enum CodingKeys: String, CodingKey {
            case id, ordinal, span, page, heading, tokens, text
            case lastPage = "last_page"
        }
    }

    /// `GET /v1/documents/{id}/chunks`.
    func getChunks(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let chunks = try await blocking.run { [self] in
            try services.documents.chunks(of: document(context).id, scope: scope(of: context)).map {
                ChunkBody(
                    id: $0.id, ordinal: $0.ordinal, span: $0.span, page: $0.page, lastPage: $0.lastPage, heading: $0.heading,
                    tokens: $0.tokenCount, text: $0.text)
            }
        }
        return JSON.response(["chunks": chunks])
    }

    func collectionName(_ id: CollectionID, _ context: Context) throws -> String {
        guard let collection = try services.documents.collections(scope: scope(of: context)).first(where: { $0.id == id }) else {
            throw DocumentStoreError.unknownCollection("\(id.rawValue)")
        }
        return collection.name
    }

    // MARK: Changing

    /// `PATCH /v1/documents/{id}`: sets some metadata keys, and removes those given as null.
    func patchDocument(_ request: Request, _ context: Context) async throws -> Response {
        let patch = try await decode(MetadataPatchBody.self, from: request)
        let body = try await blocking.run { [self] in
            let document = try document(context)
            var metadata = document.metadata
            for (key, value) in patch.metadata { metadata[key] = value }
            try IngestRequest.check(metadata: metadata)
            try services.documents.update(metadata: metadata, of: document.id, scope: scope(of: context))
            return DocumentBody(try self.document(context), collection: try collectionName(document.collection, context))
        }
        return JSON.response(body)
    }

    /// `DELETE /v1/documents/{id}`.
    func deleteDocument(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let (id, collection) = try await blocking.run { [self] in
            let document = try document(context)
            return (document.id, try collectionName(document.collection, context))
        }
        return JSON.response(
            ReceiptBody(try await services.ingesting.delete(.ids([id]), collection: collection, scope: scope(of: context))))
    }

    /// `POST /v1/documents/delete`.
    func deleteDocuments(_ request: Request, _ context: Context) async throws -> Response {
        let body = try await decode(DeletionBody.self, from: request)
        return JSON.response(
            ReceiptBody(
                try await services.ingesting.delete(body.selector, collection: body.collection ?? "default", scope: scope(of: context))))
    }

    // MARK: Taking in

    private struct Accepted: Codable {
        var jobID: JobID
        /// The same id again: a request was several jobs once.
        var jobIDs: [JobID]
        var files: Int
        enum CodingKeys: String, CodingKey {
            case files
            case jobID = "job_id"
            case jobIDs = "job_ids"
        }
    }

    private static let textLimit = 10_000

    /// `POST /v1/documents`: files as `multipart/form-data`, or texts as JSON. Answers 202 as soon as the job is stored; with `?wait=true` when it has ended.
    func addDocuments(_ request: Request, _ context: Context, _ permit: AdmissionGate.Permit) async throws -> Response {
        defer { permit.release() }
        let isWaiting = try Query(request, known: ["wait"]).flag("wait")
        let contentType = request.headers[.contentType] ?? ""
        let job: JobID
        let count: Int
        switch HeaderParameters(contentType).value.lowercased() {
        case "multipart/form-data": (job, count) = try await addFiles(request, contentType, context)
        case "application/json", "": (job, count) = try await addTexts(request, context)
        case let other:
            throw APIError(
                .unsupportedMediaType, code: "unsupported_media_type",
                "the Content-Type is '\(other.prefix(60))'; send files as multipart/form-data or texts as application/json")
        }
        context.facts["job_id"] = .string(job.rawValue)
        context.facts["files"] = .stringConvertible(count)
        permit.release()
        if isWaiting {
            let status = try await status(of: job, waitingFor: configuration.requestTimeout, scope(of: context))
            // A job that takes longer than a request may is still running: the client asks again.
            let isDone = !status.isOpen || status.finishedCount >= status.fileCount
            return JSON.response(JobBody(status), status: isDone ? .ok : .accepted)
        }
        return JSON.response(
            Accepted(jobID: job, jobIDs: [job], files: count), status: .accepted, headers: [.location: "/v1/jobs/\(job.rawValue)"])
    }

    private func addFiles(_ request: Request, _ contentType: String, _ context: Context) async throws -> (JobID, Int) {
        let limit = configuration.maxBodyBytes
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw APIError.bodyTooLarge(limit: limit) }
        let receiver = UploadReceiver(
            directory: configuration.spoolDirectory, maxBodyBytes: limit, patience: configuration.requestTimeout, blocking: blocking)
        let upload = try await receiver.receive(request.body, contentType: contentType)
        do {
            let items = upload.files.map { IngestItem.upload(name: $0.name, spoolPath: $0.path, mimeType: $0.contentType) }
            let job = try await services.ingesting.submit(
                IngestRequest(collection: upload.collection ?? "default", items: items, metadata: upload.metadata),
                scope: scope(of: context))
            return (job, upload.files.count)
        } catch {
            UploadReceiver.remove(upload.files)
            throw error
        }
    }

    private func addTexts(_ request: Request, _ context: Context) async throws -> (JobID, Int) {
        let body = try await decode(TextsBody.self, from: request)
        if body.documents.isEmpty { throw APIError.invalid("documents", "'documents' is empty; send one or more") }
        if body.documents.count > Self.textLimit {
            throw APIError.invalid("documents", "'documents' has \(body.documents.count) members; the limit is \(Self.textLimit)")
        }
        var items: [IngestItem] = []
        items.reserveCapacity(body.documents.count)
        for (index, item) in body.documents.enumerated() {
            if item.source.isEmpty {
                throw APIError.invalid(
                    "documents[\(index)].source", "'documents[\(index)].source' is empty; give a key that is unique in the collection")
            }
            if item.text.allSatisfy(\.isWhitespace) {
                throw APIError.invalid("documents[\(index)].text", "'documents[\(index)].text' is empty")
            }
            items.append(.text(source: item.source, title: item.title, text: item.text, metadata: item.metadata ?? [:]))
        }
        let job = try await services.ingesting.submit(
            IngestRequest(collection: body.collection ?? "default", items: items, metadata: body.metadata ?? [:]),
            scope: scope(of: context))
        return (job, items.count)
    }

    private func status(of job: JobID, waitingFor timeout: Duration, _ scope: RequestScope) async throws -> JobStatus {
        do {
            return try await withInterruption(clientGone: nil, timeout: timeout) { [services] in
                for await event in try await services.ingesting.events(of: job, scope: scope) {
                    if case .summary(let status, _, _) = event { return status }
                }
                try Task.checkCancellation()
                return try await services.ingesting.status(of: job, scope: scope)
            }
        } catch Interruption.timedOut {
            return try await services.ingesting.status(of: job, scope: scope)
        }
    }
}
