import Foundation

/// Runs of random operations: a few seeds in the suite, and as long as `OUTRIDER_RANDOM_SECONDS` says when it is set.
package enum RandomRuns {
    /// - Parameter count: Seeds 1...count; with the variable set, seeds from the clock follow until so many seconds are over.
    package static func forEachSeed(_ count: Int, _ body: (UInt64) throws -> Void) rethrows {
        for seed in 1...UInt64(count) { try body(seed) }
        guard let end = endOfMore else { return }
        var seed = UInt64(Date().timeIntervalSince1970 * 1000)
        while Date() < end {
            seed += 1
            try body(seed)
        }
    }

    /// As above, one run after the other.
    package static func forEachSeed(_ count: Int, _ body: (UInt64) async throws -> Void) async rethrows {
        for seed in 1...UInt64(count) { try await body(seed) }
        guard let end = endOfMore else { return }
        var seed = UInt64(Date().timeIntervalSince1970 * 1000)
        while Date() < end {
            seed += 1
            try await body(seed)
        }
    }

    private static var endOfMore: Date? {
        ProcessInfo.processInfo.environment["OUTRIDER_RANDOM_SECONDS"].flatMap(Double.init).map { Date().addingTimeInterval($0) }
    }
}
