/// One operation on the file system that is about to be done: all that change something, and the opening of segment files.
///
/// After a crash, everything before it has happened and nothing after it.
package struct StorageStep: Sendable, Equatable {
    package enum Operation: String, Sendable {
        case create, write, sync, rename, syncFolder, remove, open
    }

    package let operation: Operation
    package let path: String
}

/// Where the fault tests look in: they stop, fail or photograph the program before each of its steps.
///
/// Bound for one task by `StorageProbe.$observer.withValue(...)`; unbound (always, outside of tests) it costs one look-up a step.
package enum StorageProbe {
    /// Called before each step; an error it returns is thrown as if the operation had failed.
    @TaskLocal package static var observer: (@Sendable (StorageStep) -> StorageError?)?

    static func willTake(_ operation: StorageStep.Operation, _ path: String) throws(StorageError) {
        if let error = observer?(StorageStep(operation: operation, path: path)) { throw error }
    }
}
