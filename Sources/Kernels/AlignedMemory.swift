#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Zeroed memory that begins at a boundary that kernels like, freed with its last reference.
package final class AlignedMemory: @unchecked Sendable {
    // Invariant: written only by its maker, before it is shared, or by the one thread that owns it.
    package let base: UnsafeMutablePointer<UInt8>
    /// In bytes.
    package let size: Int

    /// - Parameters:
    ///   - size: In bytes.
    ///   - alignment: In bytes: a cache line, or a page.
    ///   - hugePages: Asks for pages of 2 MiB where the system gives them to who asks: for what is read from end to end again and again, so
    ///     that the processor's prefetching is not stopped every 4 KiB. With `alignment` of 2 MiB.
    package init(size: Int, alignment: Int = 64, hugePages: Bool = false) {
        precondition(size >= 0, "memory of \(size) bytes")
        self.size = size
        base = UnsafeMutableRawPointer.allocate(byteCount: max(size, alignment), alignment: alignment).bindMemory(
            to: UInt8.self, capacity: max(size, alignment))
        #if os(Linux)
            // A wish: without them all is as before.
            if hugePages { madvise(base, size, MADV_HUGEPAGE) }
        #endif
        base.initialize(repeating: 0, count: max(size, alignment))
    }

    /// Room for so many floats.
    package convenience init(floats: Int) { self.init(size: floats * MemoryLayout<Float>.size) }

    deinit { UnsafeMutableRawPointer(base).deallocate() }

    /// The memory as floats.
    package var floats: UnsafeMutablePointer<Float> { pointer() }

    /// The bytes as elements of another type, from a byte offset that is a multiple of its alignment.
    @inlinable package func pointer<Element>(at offset: Int = 0, of type: Element.Type = Element.self) -> UnsafeMutablePointer<Element> {
        UnsafeMutableRawPointer(base + offset).assumingMemoryBound(to: Element.self)
    }
}
