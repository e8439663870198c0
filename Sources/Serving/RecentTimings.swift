package import Retrieval
import Synchronization

/// Stage timings of the last questions, for the status view. Numbers only, never what was asked.
package final class RecentTimings: Sendable {
    package struct Entry: Sendable {
        /// Which frontend's answer this was.
        package enum Kind: String, Sendable { case search, answer }
        package var requestID: String
        package var kind: Kind
        /// Seconds since 1970.
        package var at: Double
        package var collection: String
        package var generator: String?
        package var degradation: [Degradation]
        package var timings: Timings

        package init(
            requestID: String, kind: Kind, at: Double, collection: String, generator: String?, degradation: [Degradation], timings: Timings
        ) {
            self.requestID = requestID
            self.kind = kind
            self.at = at
            self.collection = collection
            self.generator = generator
            self.degradation = degradation
            self.timings = timings
        }
    }
    private static let limit = 100
    private let entries = Mutex<[Entry]>([])

    package init() {}

    package func add(_ entry: Entry) {
        entries.withLock {
            $0.append(entry)
            if $0.count > Self.limit { $0.removeFirst($0.count - Self.limit) }
        }
    }

    /// Newest first.
    package var all: [Entry] { entries.withLock { $0.reversed() } }
}
