import Execution
import Kernels
import Storage
import Synchronization

extension InvertedFile {
    private static let planK = 10
    /// From many missed rows to almost none.
    private static let allowances: [Float] = [
        0.5, 0.35, 0.25, 0.18, 0.13, 0.1, 0.075, 0.055, 0.04, 0.03, 0.022, 0.016, 0.01, 0.006, 0.003, 0.001,
    ]

    /// Counts over sample rows where their nearest rows lie, then which allowance gives which recall.
    func learnPlan(run: RowRun, sampleCount: Int, threads: Int, generator: inout SplitMix64) -> ProbePlan {
        let positions = generator.sample(min(count, sampleCount), of: count)
        let k = min(Self.planK, count - 1)
        guard k > 0 else { return .exhaustive }
        let wide = nlist <= 256 ? nlist : max(256, nlist / 3)
        let counts = Mutex(ProbePlan.Counts())
        let groups = max(1, threads)
        inParallel(groups, threads: threads, isBackground: true) { group in
            let memory = ProbeMemory(for: self)
            var own = ProbePlan.Counts()
            for index in stride(from: group, to: positions.count, by: groups) {
                countHits(vector(positions[index], run), own: positions[index], k: k, listCount: wide, into: &own, memory: memory)
            }
            counts.withLock { $0 += own }
        }
        plan = ProbePlan(counts: counts.withLock { $0 })

        let hits = Mutex([Int](repeating: 0, count: Self.allowances.count))
        inParallel(groups, threads: threads, isBackground: true) { group in
            let memory = ProbeMemory(for: self)
            var own = [Int](repeating: 0, count: Self.allowances.count)
            for index in stride(from: group, to: positions.count, by: groups) {
                func best(_ parameters: ProbeParameters) -> Set<UInt32> {
                    Set(
                        nearest(
                            vector(positions[index], run), run: run, k: k, except: positions[index], parameters: parameters,
                            memory: memory))
                }
                let truth = best(ProbeParameters(allowance: 0, signMargin: 3, fineMargin: 3, probeMax: wide))
                for (place, allowance) in Self.allowances.enumerated() {
                    own[place] += best(ProbeParameters(allowance: allowance, signMargin: 1.5, fineMargin: 2)).intersection(truth).count
                }
            }
            hits.withLock { for index in own.indices { $0[index] += own[index] } }
        }
        let wanted = Float(positions.count * k)
        var points: [ProbePlan.Point] = []
        for (allowance, found) in zip(Self.allowances, hits.withLock { $0 }) {
            let recall = Float(found) / wanted
            if recall > (points.last?.recall ?? 0) { points.append(.init(recall: recall, allowance: allowance)) }
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
        var run = run
        run.tombstones = RowTombstones()
        var set = CandidateSet(k: k + 1)
        search(query, Probe(run: run, parameters: parameters), into: &set, memory: memory)
        var top = TopK(capacity: k + 1)
        let positions = set.survivors(part: 0)
        var scores = [Float](repeating: 0, count: positions.count)
        positions.withUnsafeBufferPointer { positions in
            scores.withUnsafeMutableBufferPointer { scores in
                KernelTable.best.score(query, rows: run.values, at: positions, metric: metric, scores: scores)
            }
        }
        for (position, score) in zip(positions, scores) where Int(position) != own {
            top.push(score: score, id: Int64(position))
        }
        return top.sorted.prefix(k).map { UInt32($0.id) }
    }

    /// Counts in which lists the k nearest rows of a sample row lie, by rank and by how far above the list's mean the k-th lies.
    private func countHits(
        _ query: UnsafeBufferPointer<Float>, own position: Int, k: Int, listCount: Int, into counts: inout ProbePlan.Counts,
        memory: ProbeMemory,
        kernels: QuantizedKernels = .best
    ) {
        var (ranked, ranking) = memory.rank(query, number: 0, of: self, kernels: kernels)
        let listCount = min(nlist, listCount)
        ranking.sort(until: listCount)
        func list(at rank: Int) -> Int { Int(truncatingIfNeeded: ranking.order[rank] & 0xFFFF_FFFF) }
        var top = TopK(capacity: 10 * k)
        for rank in 0..<listCount {
            let list = list(at: rank)
            forEachFineScore(of: list, for: ranked, memory: memory, kernels: kernels) { row, score in
                if Int(row) != position { top.push(score: score, id: Int64(rank)) }
            }
        }
        let best = top.sorted
        for k in [k, 3 * k, 10 * k] where k <= best.count {
            let threshold = best[k - 1].score
            var hits = [Float](repeating: 0, count: listCount)
            for entry in best.prefix(k) { hits[Int(entry.id)] += 1 }
            for rank in 0..<listCount {
                let list = list(at: rank)
                let cell = ProbePlan.cell(rank: rank, z: (threshold - ranked.means[list]) / ranked.widths[list])
                counts.hits[cell] += hits[rank]
                counts.rows[cell] += Float(self.list(list).count)
            }
        }
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
