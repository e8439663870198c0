import Execution
import Kernels
import Storage
import Synchronization

extension InvertedFile {
    /// Sizes of the answer that recalls are measured for.
    private static let planKs = [1, 10, 100]
    /// From a few lists to almost all.
    private static let prices: [Float] = [1e-2, 4e-3, 1.6e-3, 8e-4, 4e-4, 2e-4, 1e-4, 5e-5, 2.5e-5, 1e-5, 3e-6, 1e-6]
    /// Recalls whose searches have another margin, and a price that is about theirs: there it is measured what the codes lose.
    private static let codeProbes: [(recall: Float, price: Float)] = [(0.95, 2e-4), (0.99, 2.5e-5)]

    /// A row that is near a sample row.
    private struct Neighbour {
        var score: Float
        var list: UInt32
        var row: UInt32
    }

    /// Counts over sample rows where their nearest rows lie, then which price gives which recall.
    ///
    /// Cost: for each sample row a third of the rows by their 4-bit codes, and a few searches. What a price would visit follows from where the neighbours lie, by the
    /// rule that searches follow; what the codes lose besides is measured once for each margin.
    func learnPlan(run: RowRun, sampleCount: Int, threads: Int, generator: inout SplitMix64) -> ProbePlan {
        let run = {
            var run = run
            run.tombstones = RowTombstones()
            return run
        }()
        let positions = generator.sample(min(count, sampleCount), of: count)
        let ks = Self.planKs.filter { $0 < count }
        guard !positions.isEmpty, !ks.isEmpty else { return .exhaustive }
        let learned = Mutex((counts: ProbePlan.Counts(), found: [[Neighbour]](repeating: [], count: positions.count)))
        let groups = max(1, threads)
        inParallel(groups, threads: threads, isBackground: true) { group in
            let memory = ProbeMemory(for: self)
            var own = ProbePlan.Counts()
            let row = UnsafeMutableBufferPointer<Float>.allocate(capacity: dimension)
            defer { row.deallocate() }
            for index in stride(from: group, to: positions.count, by: groups) {
                let query = vector(positions[index], run, in: row)
                let found = countHits(query, run: run, own: positions[index], ks: ks, into: &own, memory: memory)
                learned.withLock { $0.found[index] = found }
            }
            learned.withLock { $0.counts += own }
        }
        let (counts, found) = learned.withLock { $0 }
        plan = ProbePlan(counts: counts)
        let bounds = Self.prices.map { plan.bounds(price: $0) }

        struct Hits {
            /// Shape `[ks, prices]`: rows in the lists that a price visits.
            var visited: [Int]
            /// Shape `[ks, codeProbes]`: rows that a search finds, and those in its lists.
            var coded: [Int]
            var wanted: [Int]
            mutating func add(_ other: Hits) {
                for index in visited.indices { visited[index] += other.visited[index] }
                for index in coded.indices { coded[index] += other.coded[index] }
                for index in wanted.indices { wanted[index] += other.wanted[index] }
            }
        }
        let none = Hits(
            visited: [Int](repeating: 0, count: ks.count * Self.prices.count),
            coded: [Int](repeating: 0, count: ks.count * Self.codeProbes.count),
            wanted: [Int](repeating: 0, count: ks.count * Self.codeProbes.count))
        let total = Mutex(none)
        inParallel(groups, threads: threads, isBackground: true) { group in
            let memory = ProbeMemory(for: self)
            var own = none
            let row = UnsafeMutableBufferPointer<Float>.allocate(capacity: dimension)
            defer { row.deallocate() }
            for index in stride(from: group, to: positions.count, by: groups) {
                let query = vector(positions[index], run, in: row)
                let (ranked, ranking) = memory.rank(query, number: 0, of: self, kernels: .best)
                var visits = [[[Bool]]]()
                for (row, k) in ks.enumerated() {
                    visits.append([])
                    for (place, price) in Self.prices.enumerated() {
                        let isVisited = visited(found[index], k: k, ranking, ranked, price: price, bounds[place])
                        visits[row].append(isVisited)
                        own.visited[row * Self.prices.count + place] += found[index].prefix(k).count { isVisited[Int($0.list)] }
                    }
                }
                for (row, k) in ks.enumerated() {
                    for (place, probe) in Self.codeProbes.enumerated() {
                        let isVisited = visits[row][Self.prices.firstIndex(of: probe.price)!]
                        let wanted = found[index].prefix(k).filter { isVisited[Int($0.list)] }
                        let hits = nearest(
                            query, run: run, k: k, except: positions[index],
                            parameters: ProbeParameters(
                                price: probe.price, signMargin: ProbeParameters.signMargin(recall: probe.recall),
                                fineMargin: ProbeParameters.fineMargin), memory: memory)
                        own.wanted[row * Self.codeProbes.count + place] += wanted.count
                        own.coded[row * Self.codeProbes.count + place] += Set(wanted.map(\.row)).intersection(hits).count
                    }
                }
            }
            total.withLock { $0.add(own) }
        }
        let hits = total.withLock { $0 }
        var points: [ProbePlan.Price] = []
        for (row, k) in ks.enumerated() {
            let wanted = found.reduce(0) { $0 + min(k, $1.count) }
            let kept = Self.codeProbes.indices.map { place in
                min(
                    1,
                    Float(hits.coded[row * Self.codeProbes.count + place])
                        / Float(max(1, hits.wanted[row * Self.codeProbes.count + place])))
            }
            var best: Float = 0
            for (place, price) in Self.prices.enumerated() {
                let share = Float(hits.visited[row * Self.prices.count + place]) / Float(max(1, wanted))
                // The margin depends on the recall that is asked for.
                let probe = ProbeParameters.signMargin(recall: share * kept[0]) == ProbeParameters.signMargin(recall: 0.95) ? 0 : 1
                let recall = share * kept[probe]
                guard recall > best else { continue }
                best = recall
                points.append(.init(k: Float(k), recall: recall, price: price))
            }
        }
        return plan.calibrated(points)
    }

    /// Which lists a search visits that has every row's right score.
    private func visited(
        _ found: [Neighbour], k: Int, _ ranking: ListRanking, _ ranked: RankedQuery, price: Float, _ bounds: ProbePlan.Bounds
    ) -> [Bool] {
        var isVisited = [Bool](repeating: false, count: nlist)
        var rounds = ProbeRounds(ranking)
        let parameters = ProbeParameters(price: price, signMargin: 0, fineMargin: 0)
        while true {
            var seen = 0
            let threshold = found.first { neighbour in
                seen += isVisited[Int(neighbour.list)] ? 1 : 0
                return seen == k
            }?.score
            var hasNamed = false
            // Far below the neighbours that are known a search has its k rows all the same.
            let least = rounds.taken >= Self.roundsUntilFull ? found.last?.score : nil
            rounds.next(threshold: threshold ?? least ?? -.infinity, bounds, parameters, ranked, self) { list in
                isVisited[list] = true
                hasNamed = true
            }
            guard hasNamed else { return isVisited }
        }
    }

    /// After so many lists a search has k rows of some kind.
    private static let roundsUntilFull = 8

    /// A row, widened into a buffer of the caller's.
    private func vector(
        _ position: Int, _ run: RowRun, in buffer: UnsafeMutableBufferPointer<Float>
    ) -> UnsafeBufferPointer<Float> {
        run.values[position * dimension..<(position + 1) * dimension].copy(to: buffer.baseAddress!)
        return UnsafeBufferPointer(buffer)
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
    /// - Returns: Its nearest rows, best first, some more than the largest k.
    private func countHits(
        _ query: UnsafeBufferPointer<Float>, run: RowRun, own position: Int, ks: [Int], into counts: inout ProbePlan.Counts,
        memory: ProbeMemory, kernels: QuantizedKernels = .best
    ) -> [Neighbour] {
        var (ranked, ranking) = memory.rank(query, number: 0, of: self, kernels: kernels)
        let listCount = nlist <= 256 ? nlist : max(256, nlist / 3)
        ranking.sort(until: listCount)
        func list(at rank: Int) -> Int { Int(truncatingIfNeeded: ranking.order[rank] & 0xFFFF_FFFF) }
        let largest = ks.max() ?? 0
        var top = TopK(capacity: largest + largest / 2)
        for rank in 0..<listCount {
            forEachFineScore(of: list(at: rank), for: ranked, memory: memory, kernels: kernels) { row, score in
                if Int(row) != position { top.push(score: score, id: Int64(rank) << 32 | Int64(row)) }
            }
        }
        // In the order of exact scores, by which an answer is judged.
        let near = top.sorted
        var scores = [Float](repeating: 0, count: near.count)
        near.map { UInt32(truncatingIfNeeded: $0.id) }.withUnsafeBufferPointer { rows in
            scores.withUnsafeMutableBufferPointer { scores in
                KernelTable.best.score(query, rows: run.values, at: rows, metric: metric, scores: scores)
            }
        }
        let unit: Float = metric == .l2 ? 0.5 : 1
        let found = zip(near, scores).map { TopK.Entry(score: $1 * unit, id: $0.id) }.sorted { ($0.score, $1.id) > ($1.score, $0.id) }
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
        return found.map {
            Neighbour(score: $0.score, list: UInt32(list(at: Int($0.id >> 32))), row: UInt32(truncatingIfNeeded: $0.id))
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
