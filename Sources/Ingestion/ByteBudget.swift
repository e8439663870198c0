/// Bounds the bytes of text that are between parsing and commit at any time: the memory ceiling of ingestion.
///
/// Waiters are served in order. A request larger than the whole budget is granted when nothing else is held.
actor ByteBudget {
    private let limit: Int
    private var used = 0
    private var waiters: [(bytes: Int, continuation: CheckedContinuation<Void, Never>)] = []

    init(limit: Int) { self.limit = limit }

    func acquire(_ bytes: Int) async {
        if waiters.isEmpty, fits(bytes) {
            used += bytes
            return
        }
        await withCheckedContinuation { waiters.append((bytes, $0)) }
    }

    func release(_ bytes: Int) {
        used -= bytes
        precondition(used >= 0, "released \(bytes) bytes more than were held")
        while let first = waiters.first, fits(first.bytes) {
            used += first.bytes
            waiters.removeFirst().continuation.resume()
        }
    }

    private func fits(_ bytes: Int) -> Bool { used == 0 || used + bytes <= limit }
}
