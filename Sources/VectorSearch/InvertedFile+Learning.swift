import Execution
import Kernels
import Storage
import Synchronization

extension InvertedFile {
    /// Sizes of the answer that recalls are measured for.
    private static let planKs = [10, 100]
    /// From a few rows' worth to almost everything.
    private static let prices: [Float] = [4e-3, 1.6e-3, 8e-4, 4e-4, 2e-4, 1e-4, 5e-5, 2.5e-5, 1e-5, 3e-6, 1e-6]
    /// Margins of the searches that prices are calibrated with, and the recall from which on a search has the wider one.
    private static let margins: [Float] = [1.5, 2]

    /// Counts over sample rows where their nearest rows lie, then which price gives which recall.
    ///
    /// Cost: for each sample row a third of the rows by their 4-bit codes, and some twenty searches.
    func learnPlan(run: RowRun, sampleCount: Int, threads: Int, generator: inout SplitMix64) -> ProbePlan {
        let run = {
            var run = run
            run.tombstones = RowTombstones()
            return run
        }()
        let positions = generator.sample(min(count, sampleCount), of: count)
        let ks = Self.planKs.filter { $0 < count }
        guard !positions.isEmpty, !ks.isEmpty else { return .exhaustive }
        let wide = nlist <= 256 ? nlist : max(256, nlist / 3)
        let learned = Mutex((counts: ProbePlan.Counts(), truths: [[UInt32]](repeating: [], count: positions.count)))
        let groups = max(1, threads)
        inParallel(groups, threads: threads, isBackground: true) { group in
            let memory = ProbeMemory(for: self)
            var own = ProbePlan.Counts()
            for index in stride(from: group, to: positions.count, by: groups) {
                let truth = countHits(
                    vector(positions[index], run), run: run, own: positions[index], ks: ks, listCount: wide, into: &own, memory: memory)
                learned.withLock { $0.truths[index] = truth }
            }
            learned.withLock { $0.counts += own }
        }
        let (counts, truths) = learned.withLock { $0 }
        plan = ProbePlan(counts: counts)

        // Hits by k, margin and price.
        let size = Self.margins.count * Self.prices.count
        let hits = Mutex([Int](repeating: 0, count: ks.count * size))
        inParallel(groups, threads: threads, isBackground: true) { group in
            let memory = ProbeMemory(for: self)
            var own = [Int](repeating: 0, count: ks.count * size)
            for index in stride(from: group, to: positions.count, by: groups) {
                for (row, k) in ks.enumerated() {
                    let truth = Set(truths[index].prefix(k))
                    for (column, margin) in Self.margins.enumerated() {
                        for (place, price) in Self.prices.enumerated() {
                            let found = nearest(
                                vector(positions[index], run), run: run, k: k, except: positions[index],
                                parameters: ProbeParameters(price: price, signMargin: margin, fineMargin: 2), memory: memory)
                            let hitCount = found.reduce(0) { $0 + (truth.contains($1) ? 1 : 0) }
                            own[row * size + column * Self.prices.count + place] += hitCount
                            // Lower prices find no less.
                            if hitCount == truth.count {
                                for rest in place + 1..<max(place + 1, Self.prices.count) {
                                    own[row * size + column * Self.prices.count + rest] += hitCount
                                }
                                break
                            }
                        }
                    }
                }
            }
            hits.withLock { for index in own.indices { $0[index] += own[index] } }
        }
        let found = hits.withLock { $0 }
        var points: [ProbePlan.Price] = []
        for (row, k) in ks.enumerated() {
            let wanted = truths.reduce(0) { $0 + min(k, $1.count) }
            var best: Float = 0
            for (place, price) in Self.prices.enumerated() {
                func recall(_ column: Int) -> Float {
                    Float(found[row * size + column * Self.prices.count + place]) / Float(max(1, wanted))
                }
                // What a search with this price gets depends on the margin that its recall asks for.
                let reached = Self.margins.indices.map(recall)
                let isWide = ProbeParameters.signMargin(recall: reached[0]) > Self.margins[0] || best >= 0.985
                let value = isWide ? reached[1] : reached[0]
                guard value > best else { continue }
                best = value
                points.append(.init(k: Float(k), recall: value, price: price))
            }
        }
        return plan.calibrated(points)
    }

    private func vector(_ position: Int, _ run: RowRun) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(rebasing: run.values[position * dimension..<(position + 1) * dimension])
    }

    /// Positions of the k nearest rows but one, by the fine codes and exact scores.
    private func nearest(
        _ query: UnsafeBufferPointer<Float>, run: RowRun, k: Int, except own: Int, parameters: ProbeParameters, memory: ProbeMemory
    ) -> [UInt32] {
        var set = CandidateSet(k: k + 1)
        search(query, Probe(run: run, parameters: parameters), into: &set, memory: memory)
        return best(k, of: set.survivors(part: 0), except: own, for: query, run)
    }

    /// The k nearest of some positions but one, by exact scores, best first.
    private func best(
        _ k: Int, of positions: [UInt32], except own: Int, for query: UnsafeBufferPointer<Float>, _ run: RowRun
    ) -> [UInt32] {
        var top = TopK(capacity: k)
        var scores = [Float](repeating: 0, count: positions.count)
        positions.withUnsafeBufferPointer { positions in
            scores.withUnsafeMutableBufferPointer { scores in
                KernelTable.best.score(query, rows: run.values, at: positions, metric: metric, scores: scores)
            }
        }
        for (position, score) in zip(positions, scores) where Int(position) != own { top.push(score: score, id: Int64(position)) }
        return top.sorted.map { UInt32($0.id) }
    }

    /// Counts in which lists the nearest rows of a sample row lie, by rank and by how far above the list's mean the k-th lies.
    ///
    /// - Returns: Its nearest rows, as many as the largest k, by exact scores.
    private func countHits(
        _ query: UnsafeBufferPointer<Float>, run: RowRun, own position: Int, ks: [Int], listCount: Int, into counts: inout ProbePlan.Counts,
        memory: ProbeMemory, kernels: QuantizedKernels = .best
    ) -> [UInt32] {
        var (ranked, ranking) = memory.rank(query, number: 0, of: self, kernels: kernels)
        let listCount = min(nlist, listCount)
        ranking.sort(until: listCount)
        func list(at rank: Int) -> Int { Int(truncatingIfNeeded: ranking.order[rank] & 0xFFFF_FFFF) }
        let largest = ks.max() ?? 0
        // Some more than wanted, since estimates err.
        var top = TopK(capacity: largest + largest / 2 + 20)
        for rank in 0..<listCount {
            forEachFineScore(of: list(at: rank), for: ranked, memory: memory, kernels: kernels) { row, score in
                if Int(row) != position { top.push(score: score, id: Int64(rank) << 32 | Int64(row)) }
            }
        }
        let found = top.sorted
        for k in Set(ks + ks.map { $0 * 3 }).sorted() where k <= min(found.count, largest) {
            let threshold = found[k - 1].score
            var hits = [Float](repeating: 0, count: listCount)
            for entry in found.prefix(k) { hits[Int(entry.id >> 32)] += 1 }
            for rank in 0..<listCount {
                let list = list(at: rank)
                let cell = ProbePlan.cell(rank: rank, z: (threshold - ranked.means[list]) / ranked.widths[list])
                counts.hits[cell] += hits[rank]
                counts.rows[cell] += Float(self.list(list).count)
            }
        }
        return best(
            largest, of: found.map { UInt32(truncatingIfNeeded: $0.id) }.sorted(), except: position, for: query, run)
    }

    /// The estimate of every row of a list by its 4-bit code, from the exact product with the centroid.
    func forEachFineScore(
        of index: Int, for query: RankedQuery, memory: ProbeMemory, kernels: QuantizedKernels,
        _ body: (_ row: UInt32, _ score: Float) -> Void
    ) {
        let list = list(index)
        guard list.count > 0 else { return }
        let base = query.exactBase(of: index, in: self)
        let form = query.form
        memory.withAllRows(list.count) { chosen, products in
            kernels.dotCodes(
                list.codes, width: Self.codeWidth(padded), query: UnsafePointer(query.levels), at: chosen, count: list.count, sums: products
            )
            for row in 0..<list.count {
                let product = form.scale * (Float(products[row]) - 7.5 * form.levelSum)
                body(list.rows[row], base + list.factors[row * 2 + 1] + list.factors[row * 2] * product)
            }
        }
    }
}
