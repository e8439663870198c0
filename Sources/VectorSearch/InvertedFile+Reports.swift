import Kernels

extension InvertedFile {
    /// Positions of the best rows by their estimates, all lists scanned, best first: for reports on what the codes lose.
    func rank(
        _ query: UnsafeBufferPointer<Float>, isFine: Bool, count wanted: Int, memory: ProbeMemory, kernels: QuantizedKernels = .best
    ) -> [UInt32] {
        let ranked = memory.query(0, of: self)
        ranked.prepare(query, for: self, kernels: kernels)
        var top = TopK(capacity: wanted)
        for index in 0..<nlist {
            if isFine {
                forEachFineScore(of: index, for: ranked, memory: memory, kernels: kernels) { row, score in
                    top.push(score: score, id: Int64(row))
                }
                continue
            }
            let list = list(index)
            guard list.count > 0 else { continue }
            memory.withSigns { upper, masks in
                kernels.scanSigns(
                    list.blocks, blockCount: list.blockCount, dimension: padded, table: UnsafePointer(ranked.table), step: ranked.form.step,
                    total: ranked.form.total, base: ranked.exactBase(of: index, in: self), margin: 0, threshold: 0, upper: upper,
                    masks: masks)
                for row in 0..<list.count { top.push(score: upper[row], id: Int64(list.rows[row])) }
            }
        }
        return top.sorted.map { UInt32($0.id) }
    }
}
