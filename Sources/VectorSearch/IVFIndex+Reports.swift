import Kernels
import Storage

extension IVFIndex {
    /// One line of the quantisation report.
    package struct QuantisationLine: Sendable {
        package var name: String
        /// Bytes for each vector: codes and their factors, without ids.
        package var size: Double
        /// Against 4 bytes a coordinate.
        package var compression: Double
        /// recall@k of the ranking by codes alone, all lists scanned.
        package var recall: Double
        /// The same after exact scores for the best `reranked`.
        package var rerankedRecall: Double
        package var reranked: Int
    }

    /// Measures what the codes lose: ranks all rows by codes alone, then re-ranks the best few by exact scores.
    ///
    /// - Parameter truth: Row ids of the k nearest rows of each query.
    package func quantisationReport(queries: [[Float]], truth: [Set<Int64>], k: Int) -> [QuantisationLine] {
        let snapshot = flat.snapshot
        guard let run = snapshot.sealed.max(by: { $0.count < $1.count }), let file = files.part(for: run) else { return [] }
        let memory = ProbeMemory(for: file)
        var lines: [QuantisationLine] = []
        let bytes = Double(dimension * 4)
        let widths: [(name: String, isFine: Bool, size: Double)] = [
            ("1 bit", false, Double(file.padded) / 8 + 8), ("4 bits", true, Double(InvertedFile.codeWidth(file.padded)) / 2 + 8),
        ]
        for width in widths {
            for reranked in [k, k * 5, k * 20] {
                var (plain, exact, wanted) = (0, 0, 0)
                for (query, truth) in zip(queries, truth) {
                    guard let query = try? flat.prepare(query) else { continue }
                    let best = query.withUnsafeBufferPointer { file.rank($0, isFine: width.isFine, count: reranked, memory: memory) }
                    plain += best.prefix(k).filter { truth.contains(run.ids[Int($0)]) }.count
                    // Those re-ranked contain the true ones or do not: exact scores then put them first.
                    exact += min(k, best.filter { truth.contains(run.ids[Int($0)]) }.count)
                    wanted += truth.count
                }
                lines.append(
                    QuantisationLine(
                        name: width.name, size: width.size, compression: bytes / width.size, recall: Double(plain) / Double(max(1, wanted)),
                        rerankedRecall: Double(exact) / Double(max(1, wanted)), reranked: reranked))
            }
        }
        lines += eightBitLines(queries: queries, truth: truth, k: k, run: run)
        return lines
    }

    /// What 8 bits a coordinate would lose: not stored, computed here from the vectors. Each row is rotated and rounded to int8 levels of a step of its own, as the int8 indexes
    /// of other engines do.
    private func eightBitLines(queries: [[Float]], truth: [Set<Int64>], k: Int, run: RowRun) -> [QuantisationLine] {
        let padded = InvertedFile.padded(dimension)
        let kernels = QuantizedKernels.best
        let flips = InvertedFile.flips(seed: 1, padded: padded)
        var rounded = [Float](repeating: 0, count: run.count * padded)
        let zeros = [Float](repeating: 0, count: padded)
        var levels = [Int8](repeating: 0, count: padded)
        for row in 0..<run.count {
            rounded.withUnsafeMutableBufferPointer { rounded in
                let target = rounded.baseAddress! + row * padded
                run.values[row * dimension..<(row + 1) * dimension].copy(to: target)
                kernels.rotate(target, dimension: padded, flips: flips, rounds: InvertedFile.rotationRounds)
                let sums = kernels.centre(target, mean: zeros, dimension: padded, levels: &levels)
                for index in 0..<padded { target[index] = Float(levels[index]) * sums.scale }
            }
        }
        let counts = [k, k * 5]
        var (plain, exact, wanted) = (0, [0, 0], 0)
        var scores = [Float](repeating: 0, count: run.count)
        for (query, truth) in zip(queries, truth) {
            guard var rotated = try? flat.prepare(query) else { continue }
            rotated += [Float](repeating: 0, count: padded - dimension)
            kernels.rotate(&rotated, dimension: padded, flips: flips, rounds: InvertedFile.rotationRounds)
            rotated.withUnsafeBufferPointer { rotated in
                rounded.withUnsafeBufferPointer { rows in
                    scores.withUnsafeMutableBufferPointer { scores in
                        flat.kernels.score(rotated, rows: .single(rows), metric: metric, scores: scores)
                    }
                }
            }
            var top = TopK(capacity: counts.last!)
            for row in scores.indices { top.push(score: scores[row], id: run.ids[row]) }
            let best = top.sorted.map(\.id)
            plain += best.prefix(k).filter { truth.contains($0) }.count
            for (index, count) in counts.enumerated() { exact[index] += min(k, best.prefix(count).filter { truth.contains($0) }.count) }
            wanted += truth.count
        }
        let size = Double(padded) + 4
        return zip(counts, exact).map { count, exact in
            QuantisationLine(
                name: "8 bits (not stored)", size: size, compression: Double(dimension * 4) / size,
                recall: Double(plain) / Double(max(1, wanted)), rerankedRecall: Double(exact) / Double(max(1, wanted)), reranked: count)
        }
    }
}
