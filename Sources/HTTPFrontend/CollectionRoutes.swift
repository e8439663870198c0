import Documents
import Execution
import HTTPTypes
import Hummingbird
import Ingestion
import Retrieval
import Serving

extension Frontend {
    /// `GET /v1/collections`.
    func listCollections(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let unusable = await services.ingesting.unusableCollections(scope: scope(of: context))
        let scope = scope(of: context)
        return JSON.response(
            [
                "collections": try await blocking.run { [services] in
                    try services.documents.collections(scope: scope).map {
                        CollectionBody($0, try services.documents.counts(of: $0.id, scope: scope), unusable: unusable[$0.name])
                    }
                }
            ])
    }

    /// `GET /v1/collections/{name}`.
    func getCollection(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        let unusable = await services.ingesting.unusableCollections(scope: scope(of: context))
        let scope = scope(of: context)
        let languages = await services.searching.languages(of: name, scope: scope)
        return JSON.response(
            try await blocking.run { [services] in
                guard let record = try services.documents.collection(named: name, scope: scope) else {
                    throw DocumentStoreError.unknownCollection(name)
                }
                return CollectionBody(
                    record, try services.documents.counts(of: record.id, scope: scope), unusable: unusable[name],
                    languages: languages)
            })
    }

    /// `POST /v1/collections` with `{"name": ..., "settings": {...}}`.
    func createCollection(_ request: Request, _ context: Context) async throws -> Response {
        let body = try await decode(NewCollectionBody.self, from: request)
        let scope = scope(of: context)
        if try await blocking.run({ [services] in try services.documents.collection(named: body.name, scope: scope) }) != nil {
            throw APIError(
                .conflict, code: "collection_exists", param: "name",
                "collection '\(body.name)' exists already; delete it first, or choose another name")
        }
        let record = try await services.ingesting.createCollection(body.name, settings: body.settings, scope: scope)
        return JSON.response(CollectionBody(record, .init(documents: 0, chunks: 0, textBytes: 0)), status: .created)
    }

    /// `DELETE /v1/collections/{name}`.
    func deleteCollection(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        return JSON.response(ReceiptBody(try await services.ingesting.deleteCollection(name, scope: scope(of: context))))
    }

    // MARK: The embedding model

    /// `POST /v1/collections/{name}/embedding-model` with `{"embedding_model": ...}`: begins to change it, or takes a change up that was cut short.
    func changeModel(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        let body = try await decode(ModelChangeRequestBody.self, from: request)
        let status = try await modelChanging().changeModel(
            of: name, to: body.embeddingModel, keepsOld: body.keepsOld, scope: scope(of: context))
        return JSON.response(ModelChangeBody(status), status: .accepted)
    }

    /// `GET /v1/collections/{name}/embedding-model`: how far the last change since the start of the server has come.
    func modelChange(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        return JSON.response(try found(name, try await modelChanging().modelChange(of: name, scope: scope(of: context))))
    }

    /// `DELETE /v1/collections/{name}/embedding-model`: ends a change that runs; the old model goes on serving.
    func cancelModelChange(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        return JSON.response(try found(name, try await modelChanging().cancelModelChange(of: name, scope: scope(of: context))))
    }

    private func modelChanging() throws -> any ModelChanging {
        guard let changing = services.modelChanging else {
            throw APIError(.notImplemented, code: "not_available", "this server does not change embedding models")
        }
        return changing
    }

    private func found(_ collection: String, _ status: ModelChangeStatus?) throws -> ModelChangeBody {
        guard let status else {
            throw APIError(
                .notFound, code: "model_change_not_found",
                "the embedding model of collection '\(collection)' was not changed since the server started; begin with POST")
        }
        return ModelChangeBody(status)
    }
}
