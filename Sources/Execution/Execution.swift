/// # Execution: who does the waiting, how much of it at once, and until when
///
/// Swift's cooperative pool has one thread for each core, and none of them may block. So whatever blocks or computes for long goes through this module:
///
/// | What waits or computes | Who does it | Bound |
/// | --- | --- | --- |
/// | SQL, scans, reads of index files, short files | ``WorkPool/short`` through ``offload(_:)-(()throws->Value)`` | threads of the pool; the rest waits in order |
/// | Chunking and other work of seconds | ``WorkPool/long`` through ``offloadLongWork(_:)`` | one thread for each core |
/// | A model's forward passes | a ``WorkerThread`` of the model's own, woken by a ``Monitor`` | one for each context |
/// | Parts of one computation | ``inParallel(_:threads:isBackground:_:)`` | threads that the caller names |
/// | Something that may never come back | ``TimeLimit``, by the clock of a ``TimeSource`` | so many may be left behind |
///
/// The module knows nothing of documents, vectors or requests, and imports none of ours.
extension Duration {
    /// The same length in seconds.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }

    /// The same length in milliseconds.
    package var inMilliseconds: Double { Double(components.seconds) * 1e3 + Double(components.attoseconds) * 1e-15 }

    /// Whole milliseconds, what is left over cut off.
    package var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
