package import Execution
import Synchronization

/// The embedding models at hand, by name: one for new collections, and those that collections were made with, read when they are first asked for.
///
/// A collection's questions have to be embedded by the model of its vectors. So each part asks for a model by the collection's name for it, and collections of
/// different models live side by side in one process.
package final class EmbedderShelf: Sendable {
    /// For collections that have no vectors yet; nil: text search only.
    package let standard: (any Embedder)?
    private let load: @Sendable (String) throws -> (any Embedder)?
    private let state: Mutex<State>
    /// One model is read at a time.
    private let loading = Mutex(())
    private let time: any TimeSource

    /// How long a model that was not found is not looked for again.
    private static let patience = Duration.seconds(5)

    private struct State {
        var embedders: [String: any Embedder]
        var missing: [String: ContinuousClock.Instant] = [:]
    }

    /// - Parameter load: Reads the model of a name; nil when there is none. May take a second, and is called off the cooperative threads.
    package init(
        standard: (any Embedder)?, time: any TimeSource = .machine,
        load: @escaping @Sendable (String) throws -> (any Embedder)? = { _ in nil }
    ) {
        self.standard = standard
        self.load = load
        self.time = time
        state = Mutex(State(embedders: standard.map { [$0.model.name: $0] } ?? [:]))
    }

    /// The model of a name; nil when it is not to be had. Waits while it is read for the first time.
    ///
    /// - Throws: `InferenceError` for a file that is there and cannot be used.
    package func embedder(named name: String) async throws -> (any Embedder)? {
        if let found = known(name) { return found }
        if isMissing(name) { return nil }
        return try await offloadLongWork { [self] in
            try loading.withLock { _ in
                if let found = known(name) { return found }
                // So that a file that cannot be used is not read for every question.
                state.withLock { $0.missing[name] = time.now }
                guard let embedder = try load(name), embedder.model.name == name else { return nil }
                state.withLock { state in
                    state.embedders[name] = embedder
                    state.missing[name] = nil
                }
                return embedder
            }
        }
    }

    /// The model for a collection: that of its vectors, or the standard one while it has none.
    package func embedder(for name: String?) async throws -> (any Embedder)? {
        guard let name else { return standard }
        return try await embedder(named: name)
    }

    /// The models in memory, by name.
    package var loaded: [any Embedder] {
        state.withLock { state in state.embedders.sorted { $0.key < $1.key }.map(\.value) }
    }

    private func known(_ name: String) -> (any Embedder)? { state.withLock { $0.embedders[name] } }

    private func isMissing(_ name: String) -> Bool {
        state.withLock { state in state.missing[name].map { time.now - $0 < Self.patience } ?? false }
    }
}
