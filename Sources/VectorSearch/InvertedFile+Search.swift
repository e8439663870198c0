import Kernels
import Storage

/// The memory of a search, reused by the next: it allocates almost nothing.
final class ProbeMemory {
    fileprivate var queries: [RankedQuery] = []
    fileprivate let scan: ScanScratch
    fileprivate let sums: AlignedMemory
    private let nlist: Int

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
    func rank(_ query: UnsafeBufferPointer<Float>, number: Int, of file: InvertedFile, kernels: QuantizedKernels) -> (RankedQuery, ListRanking) {
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
        /// Share of rows that the filter and deletions let through.
        var selectivity: Float = 1
        /// Names the file in the candidates.
        var part: UInt32 = 0
        var parameters: ProbeParameters
    }

    /// Finds candidates for the k nearest rows of each query.
    ///
    /// ```
    ///   each query:  rank the lists
    ///   each round:  every query names its lists by what it has found so far (`ProbeRounds`)
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
        precondition(sets.count == queries.count, "\(sets.count) sets for \(queries.count) queries")
        guard count > 0, !queries.isEmpty else { return }
        let target = ScanTarget(file: self, run: probe.run, filter: probe.filter, part: probe.part, parameters: probe.parameters)
        var ranked: [RankedQuery] = []
        var rounds: [ProbeRounds] = []
        for (number, query) in queries.enumerated() {
            let (query, ranking) = memory.rank(query, number: number, of: self, kernels: kernels)
            ranked.append(query)
            rounds.append(ProbeRounds(ranking))
        }
        var visits: [Visit] = []
        var lists: [ListID] = []
        var views = ranked.map { ScanQuery($0, threshold: -.infinity) }
        var active = Array(queries.indices)
        while !active.isEmpty {
            visits.removeAll(keepingCapacity: true)
            active.removeAll { number in
                let threshold = sets[number].top.threshold
                let ranks = rounds[number].next(
                    threshold: threshold, k: sets[number].top.capacity, selectivity: probe.selectivity, probe.parameters, ranked[number], self)
                guard !ranks.isEmpty else { return true }
                views[number] = ScanQuery(ranked[number], threshold: threshold)
                for rank in ranks {
                    let list = rounds[number].list(at: rank)
                    visits.append(Visit(list: ListID(list), query: UInt32(number), base: ranked[number].base(of: list, in: self)))
                }
                sets[number].counts.lists += ranks.count
                return false
            }
            guard !visits.isEmpty else { break }
            if active.count > 1 { visits = inOrderOfLists(visits) }
            lists.removeAll(keepingCapacity: true)
            for visit in visits where lists.last != visit.list { lists.append(visit.list) }
            let lease = try source.lease(lists)
            scanner.scan(visits, in: lease, of: target, for: views, into: sets, scratch: memory.scan)
        }
        memory.shrink()
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
