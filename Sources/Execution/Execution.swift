// Who does the waiting: Execution.docc tells. Here is what durations lack.

extension Duration {
    /// The same length in seconds.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }

    /// The same length in milliseconds.
    package var inMilliseconds: Double { Double(components.seconds) * 1e3 + Double(components.attoseconds) * 1e-15 }

    /// Whole milliseconds, what is left over cut off.
    package var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }

    /// So many milliseconds, whatever the number: a century at most, nothing for a negative one or what is no number. A number that a client chose must not
    /// overflow a `Duration`, which ends the process.
    package init(clampingMilliseconds milliseconds: Double) {
        self = milliseconds > 0 ? .milliseconds(min(milliseconds, 3.2e12)) : .zero
    }
}
