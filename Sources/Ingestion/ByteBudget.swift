/// Bounds the bytes of text that are between parsing and commit at any time: the memory ceiling of ingestion.
///
/// Large documents and small ones have lanes of their own, so that small ones pass a large one that waits, and a large one is never starved by
/// small ones. Within a lane waiters are served in order.
///
///     |--- large: over a quarter of the budget ---|- small -|
///
/// A request that fits its lane at no time is granted when the lane is empty.
actor ByteBudget {
    private struct Lane {
        let limit: Int
        var used = 0
        var waiters: [(id: Int, bytes: Int, continuation: CheckedContinuation<Bool, Never>)] = []

        func fits(_ bytes: Int) -> Bool { used == 0 || bytes <= limit - used }
    }
    private enum Size { case small, large }

    private let smallMax: Int
    private var lanes: [Size: Lane]
    private var nextID = 0

    init(limit: Int) {
        smallMax = limit / 4
        lanes = [.small: Lane(limit: limit / 4), .large: Lane(limit: limit - limit / 4)]
    }

    /// Bytes that are held, of all sizes.
    var used: Int { lanes.values.reduce(0) { $0 + $1.used } }
    var waiterCount: Int { lanes.values.reduce(0) { $0 + $1.waiters.count } }

    /// Waits for room.
    ///
    /// - Throws: `CancellationError` when the task is cancelled meanwhile; nothing is held then.
    func acquire(_ bytes: Int) async throws {
        try Task.checkCancellation()
        let size: Size = bytes > smallMax ? .large : .small
        if lanes[size]!.waiters.isEmpty, lanes[size]!.fits(bytes) {
            lanes[size]!.used += bytes
            return
        }
        nextID += 1
        let id = nextID
        let isGranted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // The handler may have run before: its hop to this actor comes after this one.
                lanes[size]!.waiters.append((id, bytes, continuation))
                if Task.isCancelled { forget(id, size) }
            }
        } onCancel: {
            Task { await self.forget(id, size) }  // one hop to the actor
        }
        guard isGranted else { throw CancellationError() }
    }

    func release(_ bytes: Int) {
        let size: Size = bytes > smallMax ? .large : .small
        lanes[size]!.used = max(0, lanes[size]!.used - bytes)
        serve(size)
    }

    private func forget(_ id: Int, _ size: Size) {
        guard let index = lanes[size]!.waiters.firstIndex(where: { $0.id == id }) else { return }
        lanes[size]!.waiters.remove(at: index).continuation.resume(returning: false)
        serve(size)
    }

    private func serve(_ size: Size) {
        while let first = lanes[size]!.waiters.first, lanes[size]!.fits(first.bytes) {
            lanes[size]!.used += first.bytes
            lanes[size]!.waiters.removeFirst().continuation.resume(returning: true)
        }
    }
}
