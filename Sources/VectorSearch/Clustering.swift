import Dispatch
import Execution
import Glibc
import Kernels
import Synchronization

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
        generator: inout SplitMix64
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
            let nearest = clustering.assign(.single(sample), threads: threads)
            clustering.move(sample, nearest: nearest, generator: &generator)
        }
        return clustering
    }

    /// The nearest centroid of each row, in parallel.
    func assign(_ rows: RowValues, threads: Int) -> [UInt32] {
        let rowCount = rows.count / dimension
        let kernels = QuantizedKernels.best
        return [UInt32](unsafeUninitializedCapacity: rowCount) { nearest, filled in
            let target = SendablePointer(nearest.baseAddress)
            let partCount = (rowCount + Self.stretch - 1) / Self.stretch
            panels.withUnsafeBufferPointer { panels in
                biases.withUnsafeBufferPointer { biases in
                    let (panels, biases) = (SendableBuffer(panels), SendableBuffer(biases))
                    inParallel(partCount, threads: threads, isBackground: true) { part in
                        let start = part * Self.stretch
                        let size = min(Self.stretch, rowCount - start)
                        withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.stretch * (dimension + 1)) { best in
                            var source = UnsafePointer(best.baseAddress! + Self.stretch)
                            switch rows[start * dimension..<(start + size) * dimension] {
                            case .single(let rows): source = rows.baseAddress!
                            case .half(let rows):
                                RowValues.half(rows).copy(to: best.baseAddress! + Self.stretch)
                            }
                            kernels.nearest(
                                source, count: size, dimension: dimension,
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
    private mutating func move(_ rows: UnsafeBufferPointer<Float>, nearest: [UInt32], generator: inout SplitMix64) {
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
