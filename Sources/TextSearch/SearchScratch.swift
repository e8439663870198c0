/// Memory of one search, used again by the next: a stack of numbers that is emptied in one step.
final class QueryScratch: @unchecked Sendable {
    // Invariant: a scratch is either in the index's pool, where nobody uses it, or with the one search that took it out.
    private var chunks: [UnsafeMutableBufferPointer<UInt32>] = []
    private var chunk = 0
    private var used = 0
    /// What a search may leave behind for the next.
    private static let keptMax = 16 << 20
    private static let chunkSize = 1 << 18

    deinit {
        for chunk in chunks { chunk.deallocate() }
    }

    /// Numbers that stay where they are until `reset`; their values are arbitrary.
    func take(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        // Eight-byte steps, so that bitmaps can lie here too.
        let size = (count + 1) & ~1
        while chunk < chunks.count {
            if used + size <= chunks[chunk].count {
                defer { used += size }
                return chunks[chunk].baseAddress! + used
            }
            chunk += 1
            used = 0
        }
        let capacity = max(size, Self.chunkSize)
        let raw = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity * 4, alignment: 64)
        chunks.append(raw.bindMemory(to: UInt32.self))
        chunk = chunks.count - 1
        used = size
        return chunks[chunk].baseAddress!
    }

    /// As `take`, all zero.
    func takeZeros(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        let numbers = take(count)
        numbers.update(repeating: 0, count: count)
        return numbers
    }

    /// Forgets everything that was taken.
    func reset() {
        chunk = 0
        used = 0
        var kept = 0
        chunks.removeAll { chunk in
            kept += chunk.count * 4
            guard kept > Self.keptMax else { return false }
            chunk.deallocate()
            return true
        }
    }
}
