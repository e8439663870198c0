import Testing

@testable import Inference

struct VectorCacheTests {
    @Test func `what is asked for stays, what is not goes, and the bytes are bounded`() {
        let cache = VectorCache<Int>(sizeMax: 100_000)
        for key in 0..<1000 {
            cache.insert([Float(key)], for: key, size: 100)
            // The first is asked for all the time.
            #expect(cache[0] == [0], "\(key)")
            #expect(cache.size <= 100_000)
        }
        #expect(cache[999] == [999] && cache[1] == nil && cache[500] == nil)
    }

    @Test func `the same key takes its place once`() {
        let cache = VectorCache<String>(sizeMax: 10_000)
        for _ in 0..<1000 { cache.insert([1, 2], for: "a", size: 1) }
        #expect(cache.size < 200 && cache["a"] == [1, 2])
    }

    @Test func `what is too large is not kept, and of size 0 nothing is`() {
        let cache = VectorCache<String>(sizeMax: 10_000)
        cache.insert([Float](repeating: 1, count: 1000), for: "large", size: 5)
        #expect(cache["large"] == nil && cache.size == 0)
        let none = VectorCache<String>(sizeMax: 0)
        none.insert([1], for: "a", size: 1)
        #expect(none["a"] == nil)
    }
}
