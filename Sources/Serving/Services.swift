package import Answering
import Documents
package import Ingestion
package import Retrieval

/// What frontends serve: the ports to the parts below, in one place. The composition root makes it.
package struct Services: Sendable {
    package var searching: any Searching
    package var answering: any AnswerMaking
    package var ingesting: any Ingesting
    package var documents: any DocumentReading
    /// Nil where models cannot be changed.
    package var modelChanging: (any ModelChanging)?
    package var info: @Sendable () async -> ServerInfo
    /// What the searching and the answering take, for whoever asks.
    package var limits: RequestLimits

    package init(
        searching: any Searching, answering: any AnswerMaking, ingesting: any Ingesting, documents: any DocumentReading,
        info: @escaping @Sendable () async -> ServerInfo, modelChanging: (any ModelChanging)? = nil,
        limits: RequestLimits = RequestLimits()
    ) {
        self.searching = searching
        self.answering = answering
        self.ingesting = ingesting
        self.documents = documents
        self.info = info
        self.modelChanging = modelChanging
        self.limits = limits
    }
}
