import Dispatch
import Kernels
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Lloyd's k-means over a sample: the coarse quantiser of an inverted file.
///
/// ```
///   sample rows --> nearest centroid (a blocked matrix product, 32 centroids side by side) --> means --> again
/// ```
///
/// A centroid that lost all its rows takes half of the largest cluster: it moves beside that cluster's centroid and the two part in the next round.
/// Lloyd, Least squares quantization in PCM, 1982; the sample size follows Johnson et al., Billion-scale similarity search with GPUs, 2019.
struct Clustering {
    /// Shape `[count, dimension]`.
    private(set) var centroids: [Float]
    let count: Int
    let dimension: Int
    /// Shape `[panelCount, dimension, 32]`, what the kernel reads.
    private var panels: [Float] = []
    /// Half the squared length of each centroid, infinity past the end.
    private var biases: [Float] = []

    private static let panelWidth = 32
    /// Rows that one call of the kernel takes: with their centroids' panel they stay in the second-level cache.
    private static let stretch = 96
    static let processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    init(centroids: [Float], dimension: Int) {
        self.centroids = centroids
        self.dimension = dimension
        count = centroids.count / dimension
        arrange()
    }

    /// Clusters a sample.
    ///
    /// - Parameters:
    ///   - sample: Shape `[*, dimension]`, at least `count` rows.
    ///   - start: Centroids to begin from, such as those of an index that grew; random rows when nil.
    static func train(
        sample: UnsafeBufferPointer<Float>, dimension: Int, count: Int, iterations: Int, start: [Float]? = nil, threads: Int,
        generator: inout SplitMix
    ) -> Clustering {
        let rowCount = sample.count / dimension
        precondition(count > 0 && rowCount >= count, "\(count) clusters of \(rowCount) rows")
        var seeds: [Float] = start ?? []
        if start == nil {
            seeds.reserveCapacity(count * dimension)
            for row in generator.sample(count, of: rowCount) { seeds.append(contentsOf: sample[row * dimension..<(row + 1) * dimension]) }
        }
        var clustering = Clustering(centroids: seeds, dimension: dimension)
        for _ in 0..<iterations {
            let nearest = clustering.assign(sample, threads: threads)
            clustering.move(sample, nearest: nearest, generator: &generator)
        }
        return clustering
    }

    /// The nearest centroid of each row, in parallel.
    func assign(_ rows: UnsafeBufferPointer<Float>, threads: Int) -> [UInt32] {
        let rowCount = rows.count / dimension
        let kernels = QuantizedKernels.best
        return [UInt32](unsafeUninitializedCapacity: rowCount) { nearest, filled in
            let target = SendablePointer(nearest.baseAddress)
            let partCount = (rowCount + Self.stretch - 1) / Self.stretch
            panels.withUnsafeBufferPointer { panels in
                biases.withUnsafeBufferPointer { biases in
                    let (rows, panels, biases) = (SendableBuffer(rows), SendableBuffer(panels), SendableBuffer(biases))
                    inParallel(partCount, threads: threads, isBackground: true) { part in
                        withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.stretch) { best in
                            let start = part * Self.stretch
                            let size = min(Self.stretch, rowCount - start)
                            kernels.nearest(
                                rows.value.baseAddress! + start * dimension, count: size, dimension: dimension,
                                panels: panels.value.baseAddress!, biases: biases.value.baseAddress!,
                                panelCount: biases.value.count / Self.panelWidth, best: best.baseAddress!, indices: target.value! + start)
                        }
                    }
                }
            }
            filled = rowCount
        }
    }

    /// Moves each centroid to the mean of its rows.
    private mutating func move(_ rows: UnsafeBufferPointer<Float>, nearest: [UInt32], generator: inout SplitMix) {
        var sizes = [Int](repeating: 0, count: count)
        var sums = [Float](repeating: 0, count: count * dimension)
        let dimension = dimension
        sums.withUnsafeMutableBufferPointer { sums in
            for (row, cluster) in nearest.enumerated() {
                sizes[Int(cluster)] += 1
                let target = sums.baseAddress! + Int(cluster) * dimension
                let source = rows.baseAddress! + row * dimension
                for index in 0..<dimension { target[index] += source[index] }
            }
        }
        for cluster in 0..<count where sizes[cluster] > 0 {
            let scale = 1 / Float(sizes[cluster])
            for index in cluster * dimension..<(cluster + 1) * dimension { centroids[index] = sums[index] * scale }
        }
        for cluster in 0..<count where sizes[cluster] == 0 {
            let largest = sizes.indices.max { sizes[$0] < sizes[$1] }!
            for index in 0..<dimension {
                let value = centroids[largest * dimension + index]
                let nudge = value * 0.02 * (generator.next() & 1 == 0 ? 1 : -1)
                centroids[cluster * dimension + index] = value + nudge
                centroids[largest * dimension + index] = value - nudge
            }
            sizes[cluster] = sizes[largest] / 2
            sizes[largest] -= sizes[cluster]
        }
        arrange()
    }

    /// Lays the centroids out for the kernel.
    private mutating func arrange() {
        let width = Self.panelWidth
        let panelCount = (count + width - 1) / width
        panels = [Float](repeating: 0, count: panelCount * dimension * width)
        biases = [Float](repeating: .infinity, count: panelCount * width)
        for cluster in 0..<count {
            var square: Float = 0
            for index in 0..<dimension {
                let value = centroids[cluster * dimension + index]
                square += value * value
                panels[(cluster / width * dimension + index) * width + cluster % width] = value
            }
            biases[cluster] = square / 2
        }
    }
}

/// A small seeded generator: the same seed gives the same index on every machine of one instruction set.
///
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// `count` different numbers below `limit`, ascending: one pass that takes each with the right chance (Knuth, TAOCP 2, 3.4.2, algorithm S).
    mutating func sample(_ count: Int, of limit: Int) -> [Int] {
        var chosen: [Int] = []
        chosen.reserveCapacity(count)
        for number in 0..<limit where chosen.count < count {
            if Int(next() % UInt64(limit - number)) < count - chosen.count { chosen.append(number) }
        }
        return chosen
    }
}

/// Runs `body(0)` ... `body(count - 1)` on several threads; each takes the next number until none is left.
///
/// - Parameter isBackground: Takes threads of its own with a low priority (nice 10), so that searches on busy cores go first; the caller only waits.
func inParallel(_ count: Int, threads: Int, isBackground: Bool = false, _ body: @Sendable (Int) -> Void) {
    guard threads > 1, count > 1 else {
        for part in 0..<count { body(part) }
        return
    }
    let parts = PartCounter(count)
    if isBackground {
        withoutActuallyEscaping(body) { body in
            let workers = (0..<min(threads, count)).map { _ in BackgroundThread { parts.forEach(body) } }
            for worker in workers { worker.join() }
        }
    } else {
        DispatchQueue.concurrentPerform(iterations: min(threads, count)) { _ in parts.forEach(body) }
    }
}

/// Runs `body` on a thread of low priority, and waits for it. Task-local values are not seen there.
func inBackground<Value: Sendable>(_ body: @Sendable () -> Value) -> Value {
    let result = ResultBox<Value>()
    withoutActuallyEscaping(body) { body in
        BackgroundThread { result.value.withLock { $0 = body() } }.join()
    }
    return result.value.withLock { $0! }
}

private final class ResultBox<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}

/// Hands out numbers, each once.
private final class PartCounter: Sendable {
    private let next = Atomic(0)
    private let count: Int
    init(_ count: Int) { self.count = count }

    func forEach(_ body: (Int) -> Void) {
        while true {
            let part = next.add(1, ordering: .relaxed).oldValue
            guard part < count else { break }
            body(part)
        }
    }
}

/// A thread of low priority (nice 10).
///
/// Not one of Foundation's: those cannot be waited for until they hold nothing any more.
private struct BackgroundThread {
    private final class Job {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    private let handle: pthread_t?

    init(_ run: @escaping @Sendable () -> Void) {
        let job = Unmanaged.passRetained(Job(run))
        #if canImport(Glibc)
            var handle = pthread_t()
            let status = pthread_create(
                &handle, nil,
                { argument in
                    // On Linux a nice value belongs to a thread. Where it may not be set, everything works, a little less smoothly.
                    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
                    Unmanaged<Job>.fromOpaque(argument!).takeRetainedValue().run()
                    return nil
                }, job.toOpaque())
            self.handle = status == 0 ? handle : nil
        #else
            var handle: pthread_t?
            let status = pthread_create(
                &handle, nil,
                { argument in
                    pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0)
                    Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().run()
                    return nil
                }, job.toOpaque())
            self.handle = status == 0 ? handle : nil
        #endif
        // No thread to be had: the caller does the work itself.
        if status != 0 { job.takeRetainedValue().run() }
    }

    func join() {
        if let handle { pthread_join(handle, nil) }
    }
}

/// Carries a buffer into threads that only read it, or write disjoint parts of it, while the caller waits for them.
struct SendableBuffer<Element>: @unchecked Sendable {
    // Invariant: the memory outlives the threads, because `inParallel` waits for them.
    let value: UnsafeBufferPointer<Element>
    init(_ value: UnsafeBufferPointer<Element>) { self.value = value }
}

/// As `SendableBuffer`, to write through.
struct SendablePointer<Element>: @unchecked Sendable {
    // Invariant: each thread writes elements of its own, and the memory outlives them.
    let value: UnsafeMutablePointer<Element>?
    init(_ value: UnsafeMutablePointer<Element>?) { self.value = value }
}
