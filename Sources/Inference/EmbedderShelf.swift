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

    /// Names that are remembered so; clients may choose them.
    fileprivate static let failureCountMax = 64

    fileprivate struct State {
        var embedders: [String: any Embedder]
        /// Names of which no model could be read, since when, and why.
        var failures: [String: (at: ContinuousClock.Instant, error: (any Error)?)] = [:]
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
        if let found = try known(name) { return found }
        return try await offloadLongWork { [self] in
            // Who comes while it is being read waits for it.
            try loading.withLock { _ in
                if let found = try known(name) { return found }
                let result = Result { try load(name).flatMap { $0.model.name == name ? $0 : nil } }
                state.withLock { state in
                    switch result {
                    case .success(let embedder?):
                        state.embedders[name] = embedder
                        state.failures[name] = nil
                    case .success(nil): state.remember(name, nil, at: time.now)
                    case .failure(let error): state.remember(name, error, at: time.now)
                    }
                }
                return try result.get()
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

    /// The model of a name; nil when it has to be looked for. What could not be read a moment ago is answered as it was then.
    private func known(_ name: String) throws -> (any Embedder)?? {
        let (embedder, failure) = state.withLock { ($0.embedders[name], $0.failures[name]) }
        if let embedder { return .some(embedder) }
        guard let failure, time.now - failure.at < Self.patience else { return nil }
        if let error = failure.error { throw error }
        return .some(nil)
    }
}

extension EmbedderShelf.State {
    fileprivate mutating func remember(_ name: String, _ error: (any Error)?, at now: ContinuousClock.Instant) {
        if failures.count >= EmbedderShelf.failureCountMax { failures = [:] }
        failures[name] = (now, error)
    }
}
