/// On whose behalf a request is served, and what of the data folder exists for it.
///
/// It travels beside each request through every port and never in it: nothing of it can be decoded, so no client can widen its own. What it leaves out
/// is not forbidden but unknown, as if it were not stored.
package struct RequestScope: Sendable, Hashable {
    package enum Caller: Sendable, Hashable {
        /// Nobody in particular.
        case everyone
        case named(String)
    }

    package var caller: Caller
    /// The collections that exist for the caller, by name; nil = all.
    package var collections: Set<String>?
    /// The labels of documents that the caller may see; nil = all. No document has labels yet, so nothing reads them.
    package var labels: Set<String>?

    package init(caller: Caller, collections: Set<String>? = nil, labels: Set<String>? = nil) {
        self.caller = caller
        self.collections = collections
        self.labels = labels
    }

    /// All there is, for whoever asks.
    package static let everyone = RequestScope(caller: .everyone)

    package func includes(collection name: String) -> Bool { collections?.contains(name) ?? true }
}
