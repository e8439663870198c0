// Who does the waiting: Execution.docc tells. Here is what durations lack.

extension Duration {
    /// The same length in seconds.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }

    /// The same length in milliseconds.
    package var inMilliseconds: Double { Double(components.seconds) * 1e3 + Double(components.attoseconds) * 1e-15 }

    /// Whole milliseconds, what is left over cut off.
    package var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
