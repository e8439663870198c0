/// One operation on the file system that a writer is about to do. After a crash, everything before it has happened and nothing after it.
package struct StorageStep: Sendable, Equatable {
    package enum Operation: String, Sendable {
        case create, write, sync, rename, syncFolder, remove
    }

    package let operation: Operation
    package let path: String
}

/// Where the fault tests look in: they stop, fail or photograph the writer before each of its steps.
///
/// Bound for one task by `StorageProbe.$observer.withValue(...)`; unbound (always, outside of tests) it costs one look-up a step.
package enum StorageProbe {
    /// Called before each step; an error it returns is thrown as if the operation had failed.
    @TaskLocal package static var observer: (@Sendable (StorageStep) -> StorageError?)?

    static func willTake(_ operation: StorageStep.Operation, _ path: String) throws(StorageError) {
        if let error = observer?(StorageStep(operation: operation, path: path)) { throw error }
    }
}
