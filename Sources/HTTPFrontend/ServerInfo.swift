/// What `GET /v1/info` says about this server; the composition root knows it.
package struct ServerInfo: Codable, Sendable {
    package struct Model: Codable, Sendable {
        /// `embedding`, `generation` or `reranking`.
        package var kind: String
        package var name: String
        package var dimension: Int?
        package var contextLength: Int?
        package init(kind: String, name: String, dimension: Int? = nil, contextLength: Int? = nil) {
            self.kind = kind
            self.name = name
            self.dimension = dimension
            self.contextLength = contextLength
        }
        enum CodingKeys: String, CodingKey {
            case kind, name, dimension
            case contextLength = "context_length"
        }
    }
    package var version: String
    package var models: [Model]
    /// File name suffixes that can be ingested, for the user interface's file dialog; empty = do not restrict it.
    package var formats: [String]

    package init(version: String, models: [Model] = [], formats: [String] = []) {
        self.version = version
        self.models = models
        self.formats = formats
    }
}
