import Kernels
import Storage

/// A list that a query visits.
struct Visit {
    var list: ListID
    /// Number of the query among those that are searched together.
    var query: UInt32
    /// What the scores of the list's rows have in common for the query.
    var base: RankedQuery.ListBase
}

/// Where a scan looks and what counts there: one file's rows, those that are live and pass the filter.
struct ScanTarget {
    let file: InvertedFile
    let run: RowRun
    let filter: RowSet?
    /// Names the file in the candidates.
    let part: UInt32
    let parameters: ProbeParameters

    /// The id of the first row when all follow each other without a gap: then no id has to be looked up, which is a cache miss each.
    private let firstID: Int64?

    init(file: InvertedFile, run: RowRun, filter: RowSet?, part: UInt32, parameters: ProbeParameters) {
        self.file = file
        self.run = run
        self.filter = filter
        self.part = part
        self.parameters = parameters
        firstID = filter == nil ? nil : run.gaplessFirstID
    }

    @inline(__always)
    fileprivate var isUnfiltered: Bool { filter == nil && run.tombstones.count == 0 }

    @inline(__always)
    fileprivate func isWanted(_ position: Int) -> Bool {
        guard position < run.count, !run.tombstones.contains(position) else { return false }
        guard let filter else { return true }
        return filter.contains(RowID(firstID.map { $0 + Int64(position) } ?? run.ids[position]))
    }
}

/// A query in one round of a scan.
struct ScanQuery {
    let form: RankedQuery.Form
    let table: UnsafePointer<UInt8>
    let levels: UnsafePointer<Int8>
    /// What a score must reach to count: the same for all lists of a round, so that a list gives the same rows whatever was scanned before it.
    var threshold: Float

    init(_ query: RankedQuery, threshold: Float) {
        form = query.form
        table = UnsafePointer(query.table)
        levels = UnsafePointer(query.levels)
        self.threshold = threshold
    }
}

/// Looks at the rows of lists: the processor's kernels; in time a device.
///
/// Which rows a visit gives depends on query, list and threshold alone.
protocol ListScanner: Sendable {
    /// Scans lists by 1-bit codes, refines by 4-bit codes what may reach a query's threshold, and keeps what still may.
    ///
    /// - Parameters:
    ///   - visits: In the order in which they are best made.
    ///   - queries: By the visits' numbers.
    ///   - sets: One for each query: receives candidates and counts.
    func scan(
        _ visits: [Visit], in lease: borrowing ListLease, of target: ScanTarget, for queries: [ScanQuery],
        into sets: UnsafeMutableBufferPointer<CandidateSet>, scratch: ScanScratch)
}

/// The buffers of a scan, reused by the next. They belong to one thread at a time.
final class ScanScratch {
    fileprivate let upper: UnsafeMutablePointer<Float>
    fileprivate let masks: UnsafeMutablePointer<UInt32>
    fileprivate let chosen: UnsafeMutablePointer<UInt32>
    fileprivate let products: UnsafeMutablePointer<Int32>
    private let memory: AlignedMemory
    private let listMax: Int

    /// - Parameter listMax: Rows of the longest list.
    init(listMax: Int) {
        self.listMax = listMax
        let blocks = max(1, (listMax + 31) / 32)
        memory = AlignedMemory(size: blocks * (3 * 128 + 4))
        upper = memory.pointer()
        chosen = memory.pointer(at: blocks * 128)
        products = memory.pointer(at: blocks * 256)
        masks = memory.pointer(at: blocks * 384)
    }

    func fits(_ file: InvertedFile) -> Bool { listMax >= file.listCountMax }

    /// For reports and for learning, which look at every row.
    func withAllRows(_ count: Int, _ body: (_ chosen: UnsafePointer<UInt32>, _ products: UnsafeMutablePointer<Int32>) -> Void) {
        for row in 0..<count { chosen[row] = UInt32(row) }
        body(UnsafePointer(chosen), products)
    }

    func withSigns(_ body: (_ upper: UnsafeMutablePointer<Float>, _ masks: UnsafeMutablePointer<UInt32>) -> Void) { body(upper, masks) }
}

/// Scans with the kernels of the processor.
struct KernelScanner: ListScanner {
    let kernels: QuantizedKernels

    init(kernels: QuantizedKernels = .best) { self.kernels = kernels }

    func scan(
        _ visits: [Visit], in lease: borrowing ListLease, of target: ScanTarget, for queries: [ScanQuery],
        into sets: UnsafeMutableBufferPointer<CandidateSet>, scratch: ScanScratch
    ) {
        for place in visits.indices {
            let visit = visits[place]
            let list = lease[visit.list]
            guard list.count > 0 else { continue }
            let following = place + 1 < visits.count ? lease[visits[place + 1].list].blocks : list.blocks
            let query = queries[Int(visit.query)]
            let chosenCount = choose(list, following: following, visit.base, query, target, scratch)
            sets[Int(visit.query)].counts.scanned += list.count
            guard chosenCount > 0 else { continue }
            refine(list, chosenCount, visit.base, query, target, into: &sets[Int(visit.query)], scratch)
        }
    }

    /// Picks the rows whose 1-bit estimate may reach the threshold, and that count.
    ///
    /// - Parameter following: The codes that are scanned next: they are asked for meanwhile.
    @inline(__always)
    private func choose(
        _ list: InvertedFile.List, following: UnsafePointer<UInt8>, _ base: RankedQuery.ListBase, _ query: ScanQuery, _ target: ScanTarget,
        _ scratch: ScanScratch
    ) -> Int {
        let chosen = scratch.chosen
        let isUnfiltered = target.isUnfiltered
        var count = 0
        if target.parameters.isExhaustive {
            for row in 0..<list.count where isUnfiltered || target.isWanted(Int(list.rows[row])) {
                chosen[count] = UInt32(row)
                count += 1
            }
            return count
        }
        let file = target.file
        let form = query.form
        // The estimate's own error, and that of the look-up table's levels.
        let tableError = form.step * 0.29 * (Float(file.padded) / 4).squareRoot()
        let estimateError = file.spread.sign * base.distance
        let margin = target.parameters.signMargin * (estimateError * estimateError + tableError * tableError).squareRoot()
        kernels.scanSigns(
            list.blocks, blockCount: list.blockCount, dimension: file.padded, table: query.table, step: form.step, total: form.total,
            base: base.base + base.blur, margin: margin, threshold: query.threshold, upper: scratch.upper, masks: scratch.masks,
            next: following)
        for block in 0..<list.blockCount {
            var mask = scratch.masks[block]
            while mask != 0 {
                let row = block * 32 + mask.trailingZeroBitCount
                mask &= mask - 1
                if isUnfiltered || target.isWanted(Int(list.rows[row])) {
                    chosen[count] = UInt32(row)
                    count += 1
                }
            }
        }
        return count
    }

    /// Scores the chosen rows by their 4-bit codes and keeps those that may still reach the threshold.
    @inline(__always)
    private func refine(
        _ list: InvertedFile.List, _ chosenCount: Int, _ base: RankedQuery.ListBase, _ query: ScanQuery, _ target: ScanTarget,
        into set: inout CandidateSet, _ scratch: ScanScratch
    ) {
        let file = target.file
        let form = query.form
        set.counts.refined += chosenCount
        kernels.dotCodes(
            list.codes, width: InvertedFile.codeWidth(file.padded), query: query.levels, at: scratch.chosen, count: chosenCount,
            sums: scratch.products)
        let centre = 7.5 * form.levelSum
        let queryError = 0.23 * file.squareRootDimension * form.scale
        let estimateError = file.spread.fine * base.distance
        let margin = target.parameters.fineMargin * (estimateError * estimateError + queryError * queryError).squareRoot()
        let blockSize = QuantizedKernels.blockSize(dimension: file.padded)
        for place in 0..<chosenCount {
            let row = Int(scratch.chosen[place])
            let product = form.scale * (Float(scratch.products[place]) - centre)
            let score = base.base + list.factors[row * 2 + 1] + list.factors[row * 2] * product
            let factor = UnsafeRawPointer(list.blocks + (row / 32) * blockSize + file.padded * 4 + (row % 32) * 4).load(as: Float.self)
            let rowMargin = target.parameters.isExhaustive ? .infinity : margin * factor + base.blur
            guard score + rowMargin >= query.threshold else { continue }
            let position = list.rows[row]
            // A damaged file that was too large to be checked on opening must not lead outside of the segment.
            guard position < target.run.count else { continue }
            set.candidates.append(.init(part: target.part, position: position, score: score, margin: rowMargin))
            set.top.push(score: score, id: Int64(target.part) << 32 | Int64(position))
        }
    }
}
