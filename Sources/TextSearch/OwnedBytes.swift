/// A buffer that lives as long as the object, at an address that does not move: the in-memory twin of a mapped section.
final class OwnedBytes: @unchecked Sendable {
    // Invariant: written in `init` only.
    let bytes: UnsafeRawBufferPointer

    /// Copies the elements of an array, as they lie in memory.
    init<Element: BitwiseCopyable>(_ elements: [Element]) {
        let size = elements.count * MemoryLayout<Element>.stride
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(size, 1), alignment: 64)
        elements.withUnsafeBytes { copy.copyMemory(from: $0) }
        bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(copy)[0..<size])
    }

    deinit { UnsafeMutableRawPointer(mutating: bytes.baseAddress!).deallocate() }
}
