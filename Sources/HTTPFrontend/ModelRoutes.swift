import Answering
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Serving

extension Frontend {
    /// A model in the shape of OpenAI's list, with what is ours beside it.
    private struct ModelBody: Encodable {
        var id: String
        var object = "model"
        /// Seconds since 1970. The files' own ages mean nothing to clients; this is when the server began to offer them.
        var created: Int
        var ownedBy = "outrider"
        var kind: String
        var dimension: Int?
        var contextLength: Int?
        enum CodingKeys: String, CodingKey {
            case id, object, created, kind, dimension
            case ownedBy = "owned_by"
            case contextLength = "context_length"
        }
    }

    private struct ModelList: Encodable {
        var object = "list"
        var data: [ModelBody]
    }

    /// What can be asked for by name: each generator, and the models for embedding and reranking.
    private func models() async -> [ModelBody] {
        let created = Int(startTime.timeIntervalSince1970)
        var models: [ModelBody] = []
        for name in services.answering.generatorNames { models.append(ModelBody(id: name, created: created, kind: "generation")) }
        for model in await services.info().models {
            if let known = models.firstIndex(where: { $0.id == model.name && $0.kind == model.kind }) {
                models[known].contextLength = model.contextLength
            } else {
                models.append(
                    ModelBody(
                        id: model.name, created: created, kind: model.kind, dimension: model.dimension, contextLength: model.contextLength))
            }
        }
        return models
    }

    /// `GET /v1/models`.
    func listModels(_ request: Request, _ context: Context) async throws -> Response { JSON.response(ModelList(data: await models())) }

    /// `GET /v1/models/{id}`.
    func getModel(_ request: Request, _ context: Context) async throws -> Response {
        let id = try Self.parameter("id", context)
        guard let model = await models().first(where: { $0.id == id }) else {
            throw APIError(
                .notFound, code: "model_not_found", param: "id", "there is no model '\(id.prefix(100))'; GET /v1/models lists them")
        }
        return JSON.response(model)
    }
}
