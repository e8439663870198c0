import Synchronization

@testable import Storage

/// Counts and keeps the steps that a writer takes.
final class StepLog: Sendable {
    private let log = Mutex<[StorageStep]>([])

    var steps: [StorageStep] { log.withLock { $0 } }

    /// Returns how many steps there were before this one.
    @discardableResult
    func note(_ step: StorageStep) -> Int {
        log.withLock { log in
            log.append(step)
            return log.count - 1
        }
    }
}
