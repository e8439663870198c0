import Dispatch
import Execution
import Glibc
import Kernels
import Storage
import Synchronization

/// How an inverted file is built.
package struct IVFParameters: Sendable, Hashable {
    /// Segments with fewer rows are scanned exactly.
    package var rowCountMin: Int
    /// An index with at most this many rows is scanned exactly, whatever its segments have.
    package var exactRowCountMax: Int
    /// Number of lists; nil: n to the power of 0.58 (800 at 100,000 rows, 3,000 at a million).
    package var nlist: Int?
    /// Training rows for each list.
    package var sampleFactor: Int
    package var iterations: Int
    package var seed: UInt64
    /// Threads of a build.
    package var threads: Int
    /// Most rows that the probe plan is learned from; 0: no plan, so that every search visits all lists.
    package var planSampleCount: Int

    package init(
        rowCountMin: Int = 4096, exactRowCountMax: Int = 0, nlist: Int? = nil, sampleFactor: Int = 40, iterations: Int = 8,
        seed: UInt64 = 0x6F75_7472_6964_6572,
        threads: Int? = nil,
        planSampleCount: Int = 512
    ) {
        self.rowCountMin = rowCountMin
        self.exactRowCountMax = exactRowCountMax
        self.nlist = nlist
        self.sampleFactor = sampleFactor
        self.iterations = iterations
        self.seed = seed
        self.threads = threads ?? Clustering.processorCount
        self.planSampleCount = planSampleCount
    }

    func nlist(rows: Int) -> Int {
        if let nlist { return max(1, min(nlist, rows)) }
        let wanted = Int(pow(Double(rows), 0.58)) / 32 * 32
        return max(1, min(max(wanted, 16), rows / 8))
    }

    /// Few rows are soon rewritten, and what a plan costs shall be little beside the rest of the build.
    func planSampleCount(rows: Int) -> Int { min(planSampleCount, max(256, rows / 64)) }
}

extension InvertedFile {
    /// Builds the lists of one run in memory. Memory: about 270 bytes a row at 384 dimensions, and the sample.
    ///
    /// - Parameter values: Shape `[count, dimension]`, finite.
    static func build(
        values: RowValues, dimension: Int, metric: Metric, parameters: IVFParameters,
        calibrating run: RowRun? = nil, note: (String) -> Void = { _ in }
    ) -> InvertedFile {
        let count = values.count / dimension
        precondition(count > 0, "an inverted file of no rows")
        var generator = SplitMix64(seed: parameters.seed)
        let nlist = parameters.nlist(rows: count)
        let padded = padded(dimension)
        let kernels = QuantizedKernels.best

        // Training.
        let sampleCount = min(count, max(nlist * parameters.sampleFactor, 256))
        let places = generator.sample(sampleCount, of: count)
        var sample = [Float](unsafeUninitializedCapacity: sampleCount * dimension) { buffer, filled in
            for (index, place) in places.enumerated() {
                values[place * dimension..<(place + 1) * dimension].copy(to: buffer.baseAddress! + index * dimension)
            }
            filled = sampleCount * dimension
        }
        var mean = [Float](repeating: 0, count: padded)
        for row in 0..<sampleCount { for index in 0..<dimension { mean[index] += sample[row * dimension + index] } }
        for index in 0..<dimension { mean[index] /= Float(sampleCount) }
        let clustering = sample.withUnsafeBufferPointer {
            Clustering.train(
                sample: $0, dimension: dimension, count: nlist, iterations: parameters.iterations, threads: parameters.threads,
                generator: &generator)
        }
        sample = []
        note("trained")
        let nearest = clustering.assign(values, threads: parameters.threads)
        note("assigned")

        // Rows of each list, in ascending order.
        var starts = [Int](repeating: 0, count: nlist + 1)
        for list in nearest { starts[Int(list) + 1] += 1 }
        for list in 0..<nlist { starts[list + 1] += starts[list] }
        var filled = starts
        var members = [UInt32](repeating: 0, count: count)
        for (row, list) in nearest.enumerated() {
            members[filled[Int(list)]] = UInt32(row)
            filled[Int(list)] += 1
        }

        // The rotated frame.
        let seed = generator.next()
        let flips = flips(seed: seed, padded: padded)
        let plainMean = mean
        mean.withUnsafeMutableBufferPointer { kernels.rotate($0.baseAddress!, dimension: padded, flips: flips, rounds: rotationRounds) }
        var centroids = [Float](repeating: 0, count: nlist * padded)
        centroids.withUnsafeMutableBufferPointer { centroids in
            for list in 0..<nlist {
                let target = centroids.baseAddress! + list * padded
                for index in 0..<dimension { target[index] = clustering.centroids[list * dimension + index] - plainMean[index] }
                kernels.rotate(target, dimension: padded, flips: flips, rounds: rotationRounds)
            }
        }

        // Codes.
        var directory: [ListEntry] = []
        var offset = 0
        for list in 0..<nlist {
            let size = starts[list + 1] - starts[list]
            directory.append(ListEntry(offset: UInt64(offset), count: UInt32(size), radius: 0, meanAddend: 0))
            offset += Layout(count: size, padded: padded).extent
        }
        let memory = AlignedMemory(size: offset, alignment: 4096)
        let target = SendablePointer(memory.base)
        let totals = Mutex((sign: 0.0, fine: 0.0, count: 0))
        let entries = Mutex(directory)
        let (frozenCentroids, frozenDirectory, frozenMembers, frozenStarts) = (centroids, directory, members, starts)
        inParallel(nlist, threads: parameters.threads, isBackground: true) { list in
            var encoder = ListEncoder(dimension: dimension, padded: padded, metric: metric, mean: plainMean, flips: flips, kernels: kernels)
            frozenCentroids.withUnsafeBufferPointer { centroids in
                encoder.encode(
                    rows: frozenMembers[frozenStarts[list]..<frozenStarts[list + 1]], of: values,
                    centroid: UnsafeBufferPointer(rebasing: centroids[list * padded..<(list + 1) * padded]),
                    into: target.value! + Int(frozenDirectory[list].offset))
            }
            entries.withLock {
                $0[list].radius = encoder.radius
                $0[list].meanAddend = encoder.meanAddend
            }
            totals.withLock {
                $0.sign += encoder.signError
                $0.fine += encoder.fineError
                $0.count += encoder.codedCount
            }
        }
        let errors = totals.withLock { $0 }
        let spread = Spread(
            sign: Float((errors.sign / Double(max(errors.count, 1))).squareRoot()),
            fine: Float((errors.fine / Double(max(errors.count, 1))).squareRoot()))
        note("coded")
        let file = InvertedFile(
            dimension: dimension, metric: metric, count: count, seed: seed, spread: spread, mean: mean, centroids: centroids,
            directory: entries.withLock { $0 }, plan: .exhaustive,
            lists: UnsafeRawBufferPointer(start: memory.base, count: offset), owner: memory)
        if let run, parameters.planSampleCount > 0 {
            file.plan = file.learnPlan(
                run: run, sampleCount: parameters.planSampleCount(rows: count), threads: parameters.threads, generator: &generator)
        }
        note("planned")
        return file
    }

    /// Writes one list's extent.
    private struct ListEncoder {
        let dimension: Int
        let padded: Int
        let metric: Metric
        let mean: [Float]
        let flips: [UInt64]
        let kernels: QuantizedKernels
        var radius: Float = 0
        var meanAddend: Float = 0
        var signError = 0.0
        var fineError = 0.0
        var codedCount = 0

        init(dimension: Int, padded: Int, metric: Metric, mean: [Float], flips: [UInt64], kernels: QuantizedKernels) {
            self.dimension = dimension
            self.padded = padded
            self.metric = metric
            self.mean = mean
            self.flips = flips
            self.kernels = kernels
        }

        mutating func encode(
            rows: ArraySlice<UInt32>, of values: RowValues, centroid: UnsafeBufferPointer<Float>,
            into target: UnsafeMutablePointer<UInt8>
        ) {
            let layout = Layout(count: rows.count, padded: padded)
            let raw = UnsafeMutableRawPointer(target)
            let positions = (raw + layout.rows).assumingMemoryBound(to: UInt32.self)
            let factors = (raw + layout.factors).assumingMemoryBound(to: Float.self)
            let codes = target + layout.codes
            let width = InvertedFile.codeWidth(padded)
            let blockSize = QuantizedKernels.blockSize(dimension: padded)
            var radiusSquare = 0.0
            var addendSum = 0.0
            // Places without a row can never be chosen.
            for block in 0..<layout.blockCount {
                let addends = (raw + block * blockSize + padded * 4 + 128).assumingMemoryBound(to: Float.self)
                for row in 0..<32 { addends[row] = -.infinity }
            }
            withUnsafeTemporaryAllocation(of: Float.self, capacity: padded + dimension) { residual in
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: width + padded / 4) { bytes in
                    let residual = residual.baseAddress!
                    let source = residual + padded
                    let levels = bytes.baseAddress!
                    let signs = levels + width
                    for index in 0..<width { levels[index] = 8 }
                    for (place, position) in rows.enumerated() {
                        values[Int(position) * dimension..<(Int(position) + 1) * dimension].copy(to: source)
                        var square: Float = 0
                        for index in 0..<dimension {
                            square += source[index] * source[index]
                            residual[index] = source[index] - mean[index]
                        }
                        for index in dimension..<padded { residual[index] = 0 }
                        kernels.rotate(residual, dimension: padded, flips: flips, rounds: InvertedFile.rotationRounds)
                        for index in 0..<padded { residual[index] -= centroid[index] }
                        let sums = kernels.encode(
                            residual, centroid: centroid.baseAddress!, dimension: padded, signs: signs, levels: levels)
                        let own = (metric == .l2 ? 0 : square / 2) - sums.square / 2
                        let signFactor = sums.magnitude > 0 ? sums.square / sums.magnitude : 0
                        let fineFactor = sums.product > 0 ? sums.square / sums.product : 0
                        radiusSquare += Double(sums.square)
                        addendSum += Double(own)
                        if signFactor > 0, fineFactor > 0 {
                            let signQuality = sums.magnitude * sums.magnitude / (Float(padded) * sums.square)
                            let fineQuality = sums.product * sums.product / (sums.codeSquare * sums.square)
                            signError += Double(max(0, 1 - signQuality))
                            let relative = fineFactor / signFactor
                            fineError += Double(relative * relative * sums.codeSquare / Float(padded) * max(0, 1 - fineQuality))
                            codedCount += 1
                        }

                        positions[place] = position
                        factors[place * 2] = fineFactor
                        factors[place * 2 + 1] = own - fineFactor * sums.centroidCode
                        let block = target + place / 32 * blockSize
                        let row = place % 32
                        for group in 0..<padded / 4 { block[group * 16 + row % 16] |= signs[group] << (row < 16 ? 0 : 4) }
                        let numbers = UnsafeMutableRawPointer(block + padded * 4).assumingMemoryBound(to: Float.self)
                        numbers[row] = signFactor
                        numbers[32 + row] = own - signFactor * sums.centroidSigns
                        let code = codes + place * width / 2
                        for group in 0..<width / 128 {
                            for index in 0..<64 {
                                code[group * 64 + index] = levels[group * 128 + index] | levels[group * 128 + 64 + index] << 4
                            }
                        }
                    }
                }
            }
            let size = Double(max(1, rows.count))
            radius = Float((radiusSquare / size).squareRoot())
            meanAddend = Float(addendSum / size)
        }
    }
}

// MARK: - The plan
