import Kernels
import Storage

import Glibc

/// How thorough a search is.
struct ProbeParameters: Sendable, Equatable {
    /// Expected missed rows for each of the *k* at which a search stops (see `ProbePlan`).
    var allowance: Float
    /// How many standard errors above its estimate a row's score may lie, for the 1-bit and for the 4-bit codes.
    var signMargin: Float
    var fineMargin: Float
    /// Most lists that are probed once k rows are found.
    var probeMax: Int = .max
    /// Visits every row of every list and trusts no estimate: the same answer as an exact scan, for tests.
    var isExhaustive = false

    static let exhaustive = ProbeParameters(allowance: 0, signMargin: 0, fineMargin: 0, isExhaustive: true)

    /// What a search to this recall uses.
    ///
    /// The margins were chosen by measuring: smaller ones lose rows that more probes do not bring back, larger ones refine rows in vain.
    ///
    /// - Parameters:
    ///   - selectivity: Share of rows that may be in the answer. The plan was learned with all rows; with a tenth of them its chances are too low by about half
    ///     (measured on text embeddings and on pixels: with the allowance lowered by this power, the recall at 10 and 50 % is that without a filter).
    ///   - share: This file's share of all rows: what may be missed is divided among the files.
    ///   - nlist: Lists of the file. A question that is far from all rows would go through most of them for little: below a recall of 0.985 a fifth is the most, which keeps
    ///     the slowest searches near the others.
    init(recall: Float, plan: ProbePlan, selectivity: Float = 1, share: Float = 1, nlist: Int = .max) {
        self.init(
            allowance: plan.allowance(recall: recall) * share * powf(max(selectivity, 1e-3), 0.75), signMargin: recall >= 0.985 ? 2.0 : 1.5,
            fineMargin: 2)
        if recall < 0.985, nlist < .max { probeMax = max(64, Int(0.22 * Float(nlist) / max(selectivity, 0.05))) }
        if recall >= 1 { self = .exhaustive }
    }

    init(allowance: Float, signMargin: Float, fineMargin: Float, probeMax: Int = .max, isExhaustive: Bool = false) {
        self.allowance = allowance
        self.signMargin = signMargin
        self.fineMargin = fineMargin
        self.probeMax = probeMax
        self.isExhaustive = isExhaustive
    }
}

/// What one search did, for reports.
struct ProbeCounts: Sendable, Equatable {
    var lists = 0
    var scanned = 0
    var refined = 0
    var exact = 0
}

/// Rows that may be among the answer, from all parts of an index, and the k-th best estimate so far.
struct CandidateSet {
    struct Candidate {
        var part: UInt32
        var position: UInt32
        /// Estimated score, and how far the exact one may lie from it.
        var score: Float
        var margin: Float
    }

    /// The k best estimates. Ids are `part << 32 | position`.
    var top: TopK
    var candidates: [Candidate] = []
    var counts = ProbeCounts()

    init(k: Int) { top = TopK(capacity: k) }

    /// Those that may be among the k best, by part.
    func survivors(part: UInt32) -> [UInt32] {
        let threshold = top.threshold
        var positions: [UInt32] = []
        for candidate in candidates where candidate.part == part && candidate.score + candidate.margin >= threshold {
            positions.append(candidate.position)
        }
        return positions
    }
}

/// The buffers of one search, reused by the next: a search allocates almost nothing.
final class ProbeScratch {
    fileprivate let query: AlignedMemory
    fileprivate let table: AlignedMemory
    fileprivate let levels: AlignedMemory
    fileprivate let sums: AlignedMemory
    fileprivate let ranks: AlignedMemory
    fileprivate let keys: AlignedMemory
    fileprivate let order: AlignedMemory
    fileprivate let starts = AlignedMemory(size: (ListRanking.bucketCount + 1) * 4)
    fileprivate let means: AlignedMemory
    fileprivate let widths: AlignedMemory
    fileprivate let upper: AlignedMemory
    fileprivate let masks: AlignedMemory
    fileprivate let chosen: AlignedMemory
    fileprivate let products: AlignedMemory
    fileprivate let padded: Int
    fileprivate let nlist: Int
    fileprivate let listMax: Int

    init(for file: InvertedFile) {
        padded = file.padded
        nlist = file.nlist
        listMax = file.listCountMax
        let blocks = (listMax + 31) / 32
        query = AlignedMemory(size: padded * 4)
        table = AlignedMemory(size: padded * 4)
        levels = AlignedMemory(size: InvertedFile.codeWidth(padded))
        sums = AlignedMemory(size: nlist * 4)
        ranks = AlignedMemory(size: nlist * 4)
        keys = AlignedMemory(size: (nlist + 1) * 8)
        order = AlignedMemory(size: nlist * 8)
        means = AlignedMemory(size: nlist * 4)
        widths = AlignedMemory(size: nlist * 4)
        upper = AlignedMemory(size: blocks * 128)
        masks = AlignedMemory(size: blocks * 4)
        chosen = AlignedMemory(size: blocks * 128)
        products = AlignedMemory(size: blocks * 128)
    }

    func fits(_ file: InvertedFile) -> Bool {
        padded == file.padded && nlist >= file.nlist && listMax >= file.listCountMax
    }
}

extension InvertedFile {
    /// Whether squares of a vector stay far from overflow. What does not is searched exactly, without codes.
    static func isCodable(_ vector: UnsafeBufferPointer<Float>) -> Bool { KernelTable.best.innerProduct(vector, vector) < 1e30 }

    /// Finds candidates for the k nearest rows among the live rows of `run`, the flat segment that this file belongs to.
    ///
    /// - Parameters:
    ///   - query: Shape `[dimension]`, in the form of the stored vectors.
    ///   - part: Names this file in the candidates.
    ///   - selectivity: Share of rows that the filter lets through.
    func search(
        _ query: UnsafeBufferPointer<Float>, run: RowRun, filter: RowSet?, selectivity: Float, part: UInt32, parameters: ProbeParameters,
        into set: inout CandidateSet, scratch: ProbeScratch, kernels: QuantizedKernels = .best
    ) {
        guard count > 0 else { return }
        let form = prepare(query, scratch: scratch, kernels: kernels)
        let ranking = rankLists(form, scratch: scratch, kernels: kernels)
        let target = ProbeTarget(file: self, run: run, filter: filter, part: part, parameters: parameters, kernels: kernels)
        let view = QueryView(form: form, table: scratch.table.pointer(), levels: scratch.levels.pointer())
        var walk = ListWalk(ranking: ranking, nextCheck: 1)
        while let list = nextList(&walk, set.top.threshold, set.top.capacity, selectivity: selectivity, parameters, scratch) {
            target.probe(
                list, following: walk.following ?? list, base(of: list, form, scratch.means.pointer()), view, into: &set, scratch: scratch)
        }
        set.counts.lists += walk.next
    }

    /// How far one query has come through its lists.
    private struct ListWalk {
        var ranking: ListRanking
        /// Lists taken so far.
        var next = 0
        /// From when on it is looked whether the rest is worth while.
        var nextCheck: Int

        /// The list after the one taken last, as far as is known.
        var following: Int? { next < ranking.sortedCount ? list(at: next) : nil }

        func list(at rank: Int) -> Int { Int(truncatingIfNeeded: ranking.order[rank] & 0xFFFF_FFFF) }
    }

    /// The next list to probe; nil when the rest is not worth it: behind the bound on lists, or expected to hold too little. Below k results, where the threshold is −∞,
    /// everything may hold something.
    private func nextList(
        _ walk: inout ListWalk, _ threshold: Float, _ k: Int, selectivity: Float, _ parameters: ProbeParameters, _ scratch: ProbeScratch
    ) -> Int? {
        guard walk.next < nlist, walk.next < parameters.probeMax || threshold == -.infinity else { return nil }
        if 2 * walk.next + 48 > walk.ranking.sortedCount { walk.ranking.sort(until: max(96, walk.ranking.sortedCount * 2)) }
        // Looking whether to stop costs about as much as a list: it is done every eighth more.
        if walk.next >= walk.nextCheck, threshold > -.infinity, !parameters.isExhaustive {
            walk.nextCheck = walk.next + 1 + walk.next / 8
            if isEnough(walk, threshold, allowed: parameters.allowance * Float(k), selectivity: selectivity, scratch) { return nil }
        }
        walk.next += 1
        return walk.list(at: walk.next - 1)
    }

    /// Whether the lists that are left are expected to hold too few rows above the threshold.
    private func isEnough(_ walk: ListWalk, _ threshold: Float, allowed: Float, selectivity: Float, _ scratch: ProbeScratch) -> Bool {
        let means: UnsafeMutablePointer<Float> = scratch.means.pointer()
        let widths: UnsafeMutablePointer<Float> = scratch.widths.pointer()
        return plan.chances.withUnsafeBufferPointer { chances in
            var missing: Float = 0
            var rank = walk.next
            while rank < walk.ranking.sortedCount, missing <= allowed {
                let list = walk.list(at: rank)
                let z = (threshold - means[list]) / widths[list]
                missing += Float(self.list(list).count) * selectivity * chances[ProbePlan.cell(rank: rank, z: z)]
                rank += 1
            }
            return missing <= allowed
        }
    }

    /// Finds candidates for many queries, list by list: what a list holds is brought into the cache once for all queries that probe it.
    ///
    /// ```
    ///   each query:  rank the lists, probe the first few  -->  threshold  -->  how many more?
    ///   each list:   all queries that want it
    /// ```
    ///
    /// How many lists a query probes is decided early, by the threshold after the first ones, so it probes a few more than alone.
    ///
    /// - Parameters: as for one query; `sets` has one element for each.
    func search(
        _ queries: [UnsafeBufferPointer<Float>], run: RowRun, filter: RowSet?, selectivity: Float, part: UInt32,
        parameters: ProbeParameters, into sets: UnsafeMutableBufferPointer<CandidateSet>, scratch: ProbeScratch,
        kernels: QuantizedKernels = .best
    ) {
        precondition(sets.count == queries.count, "\(sets.count) sets for \(queries.count) queries")
        guard count > 0 else { return }
        let target = ProbeTarget(file: self, run: run, filter: filter, part: part, parameters: parameters, kernels: kernels)
        let (tableSize, levelsSize) = (padded * 4, Self.codeWidth(padded))
        let slab = AlignedMemory(size: queries.count * (tableSize + levelsSize))
        var views: [QueryView] = []
        views.reserveCapacity(queries.count)
        var visits: [Visit] = []
        for (number, query) in queries.enumerated() {
            let form = prepare(query, scratch: scratch, kernels: kernels)
            let own = slab.base + number * (tableSize + levelsSize)
            own.update(from: scratch.table.base, count: tableSize)
            (own + tableSize).update(from: scratch.levels.base, count: levelsSize)
            let view = QueryView(form: form, table: own, levels: UnsafeRawPointer(own + tableSize).assumingMemoryBound(to: Int8.self))
            views.append(view)
            var walk = ListWalk(ranking: rankLists(form, scratch: scratch, kernels: kernels), nextCheck: Self.leadCount)
            while true {
                let (taken, top) = (walk.next, sets[number].top)
                let threshold = top.threshold
                guard let list = nextList(&walk, threshold, top.capacity, selectivity: selectivity, parameters, scratch) else { break }
                let common = base(of: list, form, scratch.means.pointer())
                if taken < Self.leadCount || threshold == -.infinity {
                    target.probe(list, following: walk.following ?? list, common, view, into: &sets[number], scratch: scratch)
                } else {
                    visits.append(Visit(list: UInt32(list), query: UInt32(number), base: common))
                }
            }
            sets[number].counts.lists += walk.next
        }
        // By list, and within a list by query: a counting sort.
        var starts = [Int](repeating: 0, count: nlist + 1)
        for visit in visits { starts[Int(visit.list) + 1] += 1 }
        for list in 0..<nlist { starts[list + 1] += starts[list] }
        var order = [UInt32](repeating: 0, count: visits.count)
        for (index, visit) in visits.enumerated() {
            order[starts[Int(visit.list)]] = UInt32(index)
            starts[Int(visit.list)] += 1
        }
        for place in order.indices {
            let visit = visits[Int(order[place])]
            let following = place + 1 < order.count ? visits[Int(order[place + 1])] : visit
            target.probe(
                Int(visit.list), following: Int(following.list), visit.base, views[Int(visit.query)], into: &sets[Int(visit.query)],
                scratch: scratch)
        }
        withExtendedLifetime(slab) {}
    }

    /// Lists that each query of a batch probes by itself, to know what is worth looking for in the others.
    private static let leadCount = 8

    private struct Visit {
        var list: UInt32
        var query: UInt32
        var base: ListBase
    }

    /// A query as `probe` needs it: its form, look-up table and int8 levels.
    fileprivate struct QueryView {
        let form: QueryForm
        let table: UnsafePointer<UInt8>
        let levels: UnsafePointer<Int8>
    }

    /// A query in the form that the codes are compared with.
    struct QueryForm {
        /// |q|² / 2, 0 for L2.
        var halfSquare: Float
        /// |q'|² of the centred query.
        var centredSquare: Float
        var step: Float = 1
        var total: Float = 0
        /// Of the int8 query: its scale and the sum of its levels.
        var scale: Float
        var levelSum: Float
    }

    private func prepare(_ query: UnsafeBufferPointer<Float>, scratch: ProbeScratch, kernels: QuantizedKernels) -> QueryForm {
        let rotated: UnsafeMutablePointer<Float> = scratch.query.pointer()
        rotated.update(from: query.baseAddress!, count: dimension)
        for index in dimension..<padded { rotated[index] = 0 }
        let halfSquare = metric == .l2 ? 0 : KernelTable.best.innerProduct(query, query) / 2
        flips.withUnsafeBufferPointer {
            kernels.rotate(rotated, dimension: padded, flips: $0.baseAddress!, rounds: Self.rotationRounds)
        }
        let centred = mean.withUnsafeBufferPointer {
            kernels.centre(rotated, mean: $0.baseAddress!, dimension: padded, levels: scratch.levels.pointer())
        }
        let table = kernels.makeSignTable(rotated, dimension: padded, table: scratch.table.base)
        return QueryForm(
            halfSquare: halfSquare, centredSquare: centred.square, step: table.step, total: table.total, scale: centred.scale,
            levelSum: centred.levelSum)
    }

    /// Estimates the mean score of every list, for the order in which they are probed.
    private func rankLists(_ form: QueryForm, scratch: ProbeScratch, kernels: QuantizedKernels) -> ListRanking {
        let sums: UnsafeMutablePointer<Int32> = scratch.sums.pointer()
        kernels.dotRows(centroidCodes.base, dimension: padded, count: nlist, query: scratch.levels.pointer(), sums: sums)
        let numbers = UnsafePointer(columns.pointer(of: Float.self))
        let ranks: UnsafeMutablePointer<Float> = scratch.ranks.pointer()
        let spread = kernels.rank(
            sums,
            .init(
                scales: numbers, halfSquares: numbers + nlist, radii: numbers + 2 * nlist, addends: numbers + 3 * nlist, count: nlist),
            scale: form.scale, offset: 64 * form.levelSum, halfSquare: form.halfSquare, centredHalfSquare: form.centredSquare / 2,
            optimism: Self.orderOptimism, means: scratch.means.pointer(), widths: scratch.widths.pointer(), ranks: ranks)
        return ListRanking(
            ranks: ranks, count: nlist, spread: spread, starts: scratch.starts.pointer(), keys: scratch.keys.pointer(),
            order: scratch.order.pointer())
    }

    /// Lists are taken in the order of mean score plus this many standard widths.
    /// Measured on sentence embeddings: 0.5 to 0.7 find the most rows in the first lists, for questions as for passages; above, wide lists crowd out near ones.
    static let orderOptimism: Float = 0.55

    /// What the scores of a list's rows have in common for one query.
    struct ListBase {
        /// Base of the scores.
        var base: Float
        /// Of the query from the centroid.
        var distance: Float
        /// Two standard errors of the base.
        var blur: Float
    }

    /// The base of a list's scores as ranking the lists found it, by the 7-bit codes of the centroids. On embeddings they blur it by a tenth of what a
    /// 4-bit code blurs a row; where centroids are far longer than residuals, by more, so the error is counted.
    @inline(__always)
    private func base(of list: Int, _ form: QueryForm, _ means: UnsafePointer<Float>) -> ListBase {
        let numbers = columns.pointer(of: Float.self)
        let base = means[list] - numbers[3 * nlist + list]
        // Rounding to steps of s has a variance of s²/12 a coordinate.
        let variance = (numbers[list] * numbers[list] * form.centredSquare + form.scale * form.scale * 2 * numbers[nlist + list]) / 12
        return ListBase(base: base, distance: (2 * max(form.halfSquare - base, 0)).squareRoot(), blur: 2 * variance.squareRoot())
    }

    /// The same from the exact inner product with the centroid.
    @inline(__always)
    private func base(of list: Int, product: Float, _ form: QueryForm) -> (base: Float, distance: Float) {
        let halfDistance = max(form.centredSquare * 0.5 + halfSquare(list) - product, 0)
        return (form.halfSquare - halfDistance, (2 * halfDistance).squareRoot())
    }

    private func product(_ list: Int, _ rotated: UnsafePointer<Float>) -> Float {
        centroids.withUnsafeBufferPointer { centroids in
            KernelTable.best.innerProduct(
                UnsafeBufferPointer(start: rotated, count: padded),
                UnsafeBufferPointer(rebasing: centroids[list * padded..<(list + 1) * padded]))
        }
    }
}

/// Where probes look: one file's lists, with what a search wants of them.
private struct ProbeTarget {
    let file: InvertedFile
    let run: RowRun
    let filter: RowSet?
    let isUnfiltered: Bool
    let part: UInt32
    let parameters: ProbeParameters
    let kernels: QuantizedKernels

    init(file: InvertedFile, run: RowRun, filter: RowSet?, part: UInt32, parameters: ProbeParameters, kernels: QuantizedKernels) {
        self.file = file
        self.run = run
        self.filter = filter
        isUnfiltered = filter == nil && run.tombstones.count == 0
        self.part = part
        self.parameters = parameters
        self.kernels = kernels
    }

    /// Scans a list by 1-bit codes, refines by 4-bit codes what may be among the k best, and keeps what still may.
    ///
    /// - Parameters:
    ///   - following: The list that comes after it: its codes are asked for meanwhile.
    ///   - common: What the scores of the list's rows have in common.
    func probe(
        _ index: Int, following: Int, _ common: InvertedFile.ListBase, _ query: InvertedFile.QueryView, into set: inout CandidateSet,
        scratch: ProbeScratch
    ) {
        let list = file.list(index)
        guard list.count > 0 else { return }
        let form = query.form
        let chosen: UnsafeMutablePointer<UInt32> = scratch.chosen.pointer()
        let products: UnsafeMutablePointer<Int32> = scratch.products.pointer()
        let upper: UnsafeMutablePointer<Float> = scratch.upper.pointer()
        var chosenCount = 0
        set.counts.scanned += list.count

        if parameters.isExhaustive {
            for row in 0..<list.count where isUnfiltered || isWanted(Int(list.rows[row])) {
                chosen[chosenCount] = UInt32(row)
                chosenCount += 1
            }
        } else {
            // The estimate's own error, and that of the look-up table's levels.
            let tableError = form.step * 0.29 * (Float(file.padded) / 4).squareRoot()
            let estimateError = file.spread.sign * common.distance
            let margin = parameters.signMargin * (estimateError * estimateError + tableError * tableError).squareRoot()
            let masks: UnsafeMutablePointer<UInt32> = scratch.masks.pointer()
            kernels.scanSigns(
                list.blocks, blockCount: list.blockCount, dimension: file.padded, table: query.table, step: form.step, total: form.total,
                base: common.base + common.blur, margin: margin, threshold: set.top.threshold, upper: upper, masks: masks,
                next: file.list(following).blocks)
            for block in 0..<list.blockCount {
                var mask = masks[block]
                while mask != 0 {
                    let row = block * 32 + mask.trailingZeroBitCount
                    mask &= mask - 1
                    if isUnfiltered || isWanted(Int(list.rows[row])) {
                        chosen[chosenCount] = UInt32(row)
                        chosenCount += 1
                    }
                }
            }
        }
        guard chosenCount > 0 else { return }
        set.counts.refined += chosenCount
        kernels.dotCodes(
            list.codes, width: InvertedFile.codeWidth(file.padded), query: query.levels, at: chosen, count: chosenCount, sums: products)
        let centre = 7.5 * form.levelSum
        let queryError = 0.23 * file.squareRootDimension * form.scale
        let estimateError = file.spread.fine * common.distance
        let margin = parameters.fineMargin * (estimateError * estimateError + queryError * queryError).squareRoot()
        let blockSize = QuantizedKernels.blockSize(dimension: file.padded)
        for place in 0..<chosenCount {
            let row = Int(chosen[place])
            let product = form.scale * (Float(products[place]) - centre)
            let score = common.base + list.factors[row * 2 + 1] + list.factors[row * 2] * product
            let factor = UnsafeRawPointer(list.blocks + (row / 32) * blockSize + file.padded * 4 + (row % 32) * 4).load(as: Float.self)
            let rowMargin = parameters.isExhaustive ? .infinity : margin * factor + common.blur
            guard score + rowMargin >= set.top.threshold else { continue }
            let position = list.rows[row]
            // A damaged file that was too large to be checked on opening must not lead outside of the segment.
            guard position < run.count else { continue }
            set.candidates.append(.init(part: part, position: position, score: score, margin: rowMargin))
            set.top.push(score: score, id: Int64(part) << 32 | Int64(position))
        }
    }

    @inline(__always)
    private func isWanted(_ position: Int) -> Bool {
        position < run.count && !run.tombstones.contains(position) && (filter?.contains(RowID(run.ids[position])) ?? true)
    }
}

// MARK: - Learning the plan

extension InvertedFile {
    /// Counts in which lists the k nearest rows of a sample row lie, by rank and by how far above the list's mean the k-th lies.
    func countHits(
        _ query: UnsafeBufferPointer<Float>, own position: Int, k: Int, listCount: Int, into counts: inout ProbePlan.Counts,
        scratch: ProbeScratch,
        kernels: QuantizedKernels = .best
    ) {
        let form = prepare(query, scratch: scratch, kernels: kernels)
        var ranking = rankLists(form, scratch: scratch, kernels: kernels)
        let order = ranking.order
        let means: UnsafeMutablePointer<Float> = scratch.means.pointer()
        let widths: UnsafeMutablePointer<Float> = scratch.widths.pointer()
        let rotated: UnsafeMutablePointer<Float> = scratch.query.pointer()
        let chosen: UnsafeMutablePointer<UInt32> = scratch.chosen.pointer()
        let products: UnsafeMutablePointer<Int32> = scratch.products.pointer()
        let listCount = min(nlist, listCount)
        ranking.sort(until: listCount)
        var top = TopK(capacity: 10 * k)
        for rank in 0..<listCount {
            let index = Int(truncatingIfNeeded: order[rank] & 0xFFFF_FFFF)
            let list = list(index)
            let (base, _) = base(of: index, product: product(index, rotated), form)
            for row in 0..<list.count { chosen[row] = UInt32(row) }
            kernels.dotCodes(
                list.codes, width: Self.codeWidth(padded), query: scratch.levels.pointer(), at: chosen, count: list.count, sums: products)
            for row in 0..<list.count where Int(list.rows[row]) != position {
                let product = form.scale * (Float(products[row]) - 7.5 * form.levelSum)
                top.push(score: base + list.factors[row * 2 + 1] + list.factors[row * 2] * product, id: Int64(rank))
            }
        }
        let best = top.sorted
        for k in [k, 3 * k, 10 * k] where k <= best.count {
            let threshold = best[k - 1].score
            var hits = [Float](repeating: 0, count: listCount)
            for entry in best.prefix(k) { hits[Int(entry.id)] += 1 }
            for rank in 0..<listCount {
                let index = Int(truncatingIfNeeded: order[rank] & 0xFFFF_FFFF)
                let cell = ProbePlan.cell(rank: rank, z: (threshold - means[index]) / widths[index])
                counts.hits[cell] += hits[rank]
                counts.rows[cell] += Float(list(index).count)
            }
        }
    }
}

// MARK: - Ranking by codes alone

extension InvertedFile {
    /// Positions of the best rows by their estimates, all lists scanned, best first: for reports on what the codes lose.
    func rank(
        _ query: UnsafeBufferPointer<Float>, isFine: Bool, count wanted: Int, scratch: ProbeScratch, kernels: QuantizedKernels = .best
    ) -> [UInt32] {
        let form = prepare(query, scratch: scratch, kernels: kernels)
        let rotated: UnsafeMutablePointer<Float> = scratch.query.pointer()
        let chosen: UnsafeMutablePointer<UInt32> = scratch.chosen.pointer()
        let products: UnsafeMutablePointer<Int32> = scratch.products.pointer()
        let upper: UnsafeMutablePointer<Float> = scratch.upper.pointer()
        var top = TopK(capacity: wanted)
        for index in 0..<nlist {
            let list = list(index)
            guard list.count > 0 else { continue }
            let (base, _) = base(of: index, product: product(index, rotated), form)
            if isFine {
                for row in 0..<list.count { chosen[row] = UInt32(row) }
                kernels.dotCodes(
                    list.codes, width: Self.codeWidth(padded), query: scratch.levels.pointer(), at: chosen, count: list.count,
                    sums: products)
            } else {
                kernels.scanSigns(
                    list.blocks, blockCount: list.blockCount, dimension: padded, table: scratch.table.base, step: form.step,
                    total: form.total, base: base, margin: 0, threshold: 0, upper: upper, masks: scratch.masks.pointer())
            }
            for row in 0..<list.count {
                let product = form.scale * (Float(products[row]) - 7.5 * form.levelSum)
                let score = isFine ? base + list.factors[row * 2 + 1] + list.factors[row * 2] * product : upper[row]
                top.push(score: score, id: Int64(list.rows[row]))
            }
        }
        return top.sorted.map { UInt32($0.id) }
    }
}
