/// What a server tells about itself; the composition root knows it.
package struct ServerInfo: Sendable {
    package struct Model: Sendable {
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
