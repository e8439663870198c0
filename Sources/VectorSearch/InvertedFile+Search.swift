import Kernels
import Storage

/// The memory of a search, reused by the next: it allocates almost nothing.
final class ProbeMemory {
    fileprivate var queries: [RankedQuery] = []
    fileprivate let scan: ScanScratch
    fileprivate let sums: AlignedMemory
    fileprivate var walk = Walk()
    private let nlist: Int

    /// Where the queries of one search are, and what they visit next.
    fileprivate struct Walk {
        var rounds: [ProbeRounds] = []
        var views: [ScanQuery] = []
        var active: [Int] = []
        var visits: [Visit] = []
        var lists: [ListID] = []
        var bounds = ProbePlan.Bounds.none

        mutating func clear() {
            rounds.removeAll(keepingCapacity: true)
            views.removeAll(keepingCapacity: true)
            active.removeAll(keepingCapacity: true)
        }
    }

    init(for file: InvertedFile) {
        nlist = file.nlist
        scan = ScanScratch(listMax: file.listCountMax)
        sums = AlignedMemory(size: file.nlist * 4)
    }

    func fits(_ file: InvertedFile) -> Bool { nlist >= file.nlist && scan.fits(file) && (queries.first?.fits(file) ?? true) }

    /// A place for a query, by its number.
    func query(_ number: Int, of file: InvertedFile) -> RankedQuery {
        while queries.count <= number { queries.append(RankedQuery(padded: file.padded, nlist: nlist)) }
        return queries[number]
    }

    /// Brings a query into its forms and ranks the lists.
    func rank(
        _ query: UnsafeBufferPointer<Float>, number: Int, of file: InvertedFile, kernels: QuantizedKernels
    ) -> (RankedQuery, ListRanking) {
        let ranked = self.query(number, of: file)
        ranked.prepare(query, for: file, kernels: kernels)
        return (ranked, ranked.rankLists(of: file, sums: sums.pointer(), kernels: kernels))
    }

    /// Numbers of all rows of a list, and room for a product of each.
    func withAllRows(_ count: Int, _ body: (_ chosen: UnsafePointer<UInt32>, _ products: UnsafeMutablePointer<Int32>) -> Void) {
        scan.withAllRows(count, body)
    }

    /// Room for the 1-bit estimates of a list and for the masks of its blocks.
    func withSigns(_ body: (_ upper: UnsafeMutablePointer<Float>, _ masks: UnsafeMutablePointer<UInt32>) -> Void) { scan.withSigns(body) }

    /// Gives back what only many queries at once need.
    func shrink() {
        guard let size = queries.first?.size else { return }
        let kept = max(1, Self.keptSizeMax / size)
        if queries.count > kept { queries.removeSubrange(kept...) }
    }

    private static let keptSizeMax = 4 << 20
}

extension InvertedFile {
    /// Whether squares of a vector stay far from overflow. What does not is searched exactly, without codes.
    static func isCodable(_ vector: UnsafeBufferPointer<Float>) -> Bool { KernelTable.best.innerProduct(vector, vector) < 1e30 }

    /// What one search wants of a file.
    struct Probe {
        /// The flat segment that the file belongs to: only its live rows count.
        var run: RowRun
        var filter: RowSet?
        /// Names the file in the candidates.
        var part: UInt32 = 0
        var parameters: ProbeParameters
    }

    /// Finds candidates for the k nearest rows of each query.
    ///
    /// ```
    ///   each query:  rank the lists                                                                            `begin`
    ///   each round:  every query names its lists by what it has found so far (`ProbeRounds`)                   `round`
    ///                the lists are leased together and scanned, a list once for all queries that visit it
    ///   until no query names any
    /// ```
    ///
    /// What a query gets is the same alone and among others, bit for bit.
    ///
    /// - Parameters:
    ///   - queries: Each of shape `[dimension]`, in the form of the stored vectors.
    ///   - sets: One for each query; what they hold already is what is to be beaten.
    /// - Throws: What the source throws.
    func search<Source: ListSource>(
        _ queries: [UnsafeBufferPointer<Float>], _ probe: Probe, into sets: UnsafeMutableBufferPointer<CandidateSet>, memory: ProbeMemory,
        source: Source, scanner: some ListScanner, kernels: QuantizedKernels = .best
    ) throws(Source.Failure) {
        begin(queries, probe, memory, kernels: kernels)
        while try round(probe, into: sets, memory: memory, source: source, scanner: scanner) {}
        end(memory)
    }

    /// Brings the queries into their forms and ranks the lists for each.
    func begin(_ queries: [UnsafeBufferPointer<Float>], _ probe: Probe, _ memory: ProbeMemory, kernels: QuantizedKernels = .best) {
        memory.walk.clear()
        memory.walk.bounds = plan.bounds(price: probe.parameters.price)
        guard count > 0 else { return }
        for number in queries.indices {
            let (query, ranking) = memory.rank(queries[number], number: number, of: self, kernels: kernels)
            memory.walk.rounds.append(ProbeRounds(ranking))
            memory.walk.views.append(ScanQuery(query, threshold: -.infinity))
            memory.walk.active.append(number)
        }
    }

    /// Takes every query that is not done one round further.
    ///
    /// - Returns: Whether there was any. Other files may have found better rows since the last round, which ends a search sooner.
    func round<Source: ListSource>(
        _ probe: Probe, into sets: UnsafeMutableBufferPointer<CandidateSet>, memory: ProbeMemory, source: Source,
        scanner: some ListScanner
    ) throws(Source.Failure) -> Bool {
        guard !memory.walk.active.isEmpty else { return false }
        // Taken out while it is used, so that it has one owner and its arrays keep their memory.
        var walk = ProbeMemory.Walk()
        swap(&walk, &memory.walk)
        defer { swap(&walk, &memory.walk) }
        precondition(sets.count == walk.rounds.count, "\(sets.count) sets for \(walk.rounds.count) queries")
        name(&walk, probe, sets, memory)
        guard !walk.visits.isEmpty else { return false }
        if walk.active.count > 1 { walk.visits = inOrderOfLists(walk.visits) }
        walk.lists.removeAll(keepingCapacity: true)
        for visit in walk.visits where walk.lists.last != visit.list { walk.lists.append(visit.list) }
        let target = ScanTarget(file: self, run: probe.run, filter: probe.filter, part: probe.part, parameters: probe.parameters)
        let lease = try source.lease(walk.lists)
        scanner.scan(walk.visits, in: lease, of: target, for: walk.views, into: sets, scratch: memory.scan)
        return true
    }

    /// Gives back what only many queries at once need.
    func end(_ memory: ProbeMemory) {
        if memory.walk.rounds.count > 1 { memory.shrink() }
        memory.walk.clear()
    }

    /// Lets every query that is not done name the lists of its next round.
    private func name(
        _ walk: inout ProbeMemory.Walk, _ probe: Probe, _ sets: UnsafeMutableBufferPointer<CandidateSet>, _ memory: ProbeMemory
    ) {
        walk.visits.removeAll(keepingCapacity: true)
        var kept = 0
        for place in walk.active.indices {
            let number = walk.active[place]
            let query = memory.query(number, of: self)
            let threshold = sets[number].top.threshold
            let before = walk.visits.count
            walk.rounds[number].next(threshold: threshold, walk.bounds, probe.parameters, query, self) { list in
                walk.visits.append(Visit(list: ListID(list), query: UInt32(number), base: query.base(of: list, in: self)))
            }
            guard walk.visits.count > before else { continue }
            walk.active[kept] = number
            kept += 1
            walk.views[number].threshold = threshold
            sets[number].counts.lists += walk.visits.count - before
        }
        walk.active.removeLast(walk.active.count - kept)
    }

    /// The same over the mapped file with the processor's kernels, for one query.
    func search(_ query: UnsafeBufferPointer<Float>, _ probe: Probe, into set: inout CandidateSet, memory: ProbeMemory) {
        withUnsafeMutablePointer(to: &set) { set in
            search(
                [query], probe, into: UnsafeMutableBufferPointer(start: set, count: 1), memory: memory, source: MappedLists(file: self),
                scanner: KernelScanner())
        }
    }

    /// By list, and within a list by query: a counting sort.
    private func inOrderOfLists(_ visits: [Visit]) -> [Visit] {
        var starts = [Int](repeating: 0, count: nlist + 1)
        for visit in visits { starts[Int(visit.list) + 1] += 1 }
        for list in 0..<nlist { starts[list + 1] += starts[list] }
        return [Visit](unsafeUninitializedCapacity: visits.count) { buffer, count in
            for visit in visits {
                let place = starts[Int(visit.list)]
                (buffer.baseAddress! + place).initialize(to: visit)
                starts[Int(visit.list)] += 1
            }
            count = visits.count
        }
    }
}
