/// Where time comes from: the machine's clock, or a test's, which stands still until it is moved.
///
/// Whatever has a deadline reads time through one of these, so that deadlines are tested exactly and at once.
package protocol TimeSource: Sendable {
    var now: ContinuousClock.Instant { get }
    /// Returns when it is so late.
    ///
    /// - Throws: `CancellationError`.
    func sleep(until instant: ContinuousClock.Instant) async throws
}

/// The machine's clock.
package struct MachineTime: TimeSource {
    package init() {}
    package var now: ContinuousClock.Instant { .now }
    package func sleep(until instant: ContinuousClock.Instant) async throws { try await Task.sleep(until: instant, clock: .continuous) }
}

extension TimeSource where Self == MachineTime {
    package static var machine: MachineTime { MachineTime() }
}
