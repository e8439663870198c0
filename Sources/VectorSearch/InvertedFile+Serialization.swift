import Storage

// Inverted files lie in a folder of their own beside the flat segments:
//
//   flat-00000007.seg
//   ivf/flat-00000007.seg      the lists of that segment
//
// A file names the header checksum of its segment, so that it is never taken for another's.

extension InvertedFile {
    static let folder = "ivf"

    static func path(directory: String, segment: String) -> String { "\(directory)/\(folder)/\(segment)" }

    /// Writes the file beside its final name, syncs and renames it.
    func write(path: String, segmentChecksum: UInt32) throws(StorageError) {
        var writer = try SegmentWriter(path: path, kind: Self.kind, version: Self.version)
        try writer.append(
            section: "meta",
            array: [
                UInt64(dimension), UInt64(padded), metric.number, UInt64(count), UInt64(nlist), seed, UInt64(Self.rotationRounds),
                UInt64(segmentChecksum), 0, 0,
            ])
        try writer.append(section: "spread", array: [spread.sign, spread.fine])
        try writer.append(section: "mean", array: mean)
        try writer.append(section: "centroids", array: centroids)
        try writer.append(section: "directory", array: directory)
        try writer.append(section: "plan", array: plan.values)
        try writer.append(section: "prices", array: plan.priceValues)
        try writer.append(section: "lists", bytes: lists)
        try writer.finish()
    }

    /// Maps a file. Everything but the lists is checked in full; the lists by `verifyLists`.
    static func open(path: String, dimension: Int, metric: Metric, rows: Int, segmentChecksum: UInt32) throws(StorageError) -> InvertedFile
    {
        let file = try SegmentFile(path: path, kind: kind, version: version, verifyingSections: false)
        for name in ["meta", "spread", "mean", "centroids", "directory", "plan"] { try file.verify(section: name) }
        func corrupt(_ reason: String) -> StorageError { .corrupt(path: path, offset: 0, reason: reason) }
        let meta = try file.array("meta", of: UInt64.self)
        let padded = padded(dimension)
        guard meta.count == 10, meta[4] > 0, meta[4] <= UInt64(max(rows, 1)),
            meta[..<4].elementsEqual([UInt64(dimension), UInt64(padded), metric.number, UInt64(rows)]),
            meta[6] == UInt64(rotationRounds)
        else { throw corrupt("it does not describe \(rows) rows of \(dimension) dimensions for metric '\(metric.rawValue)'") }
        guard meta[7] == UInt64(segmentChecksum) else { throw corrupt("it belongs to another segment") }
        let nlist = Int(meta[4])
        let spread = try file.array("spread", of: Float.self)
        let mean = try file.array("mean", of: Float.self)
        let centroids = try file.array("centroids", of: Float.self)
        let directory = try file.array("directory", of: ListEntry.self)
        let lists = try file.section("lists")
        guard spread.count == 2, mean.count == padded, centroids.count == nlist * padded, directory.count == nlist else {
            throw corrupt("its sections do not fit \(nlist) lists of \(padded) dimensions")
        }
        var prices: [Float]?
        if file.sectionNames.contains("prices") {
            try file.verify(section: "prices")
            prices = Array(try file.array("prices", of: Float.self))
        }
        guard let plan = ProbePlan(values: try file.array("plan", of: Float.self), prices: prices) else {
            throw corrupt("its probe plan is not readable")
        }
        var offset = 0
        var total = 0
        for entry in directory {
            guard Int(exactly: entry.offset) == offset else { throw corrupt("a list does not begin where the one before it ends") }
            total += Int(entry.count)
            guard total <= rows else { throw corrupt("its lists hold more than \(rows) rows") }
            offset += Layout(count: Int(entry.count), padded: padded).extent
        }
        guard total == rows, offset == lists.count else { throw corrupt("its lists hold \(total) of \(rows) rows") }
        return InvertedFile(
            dimension: dimension, metric: metric, count: rows, seed: meta[5], spread: Spread(sign: spread[0], fine: spread[1]),
            mean: Array(mean), centroids: Array(centroids), directory: Array(directory), plan: plan, lists: lists, owner: file)
    }

    /// Reads all lists: their checksum, and that every row is in exactly one. Cost: one pass over the file.
    func verifyLists() throws(StorageError) {
        guard let file = owner as? SegmentFile else { return }
        try file.verify(section: "lists")
        var isSeen = [Bool](repeating: false, count: count)
        for index in 0..<nlist {
            let list = list(index)
            for row in 0..<list.count {
                let position = Int(list.rows[row])
                guard position < count, !isSeen[position] else {
                    throw .corrupt(path: file.path, offset: 0, reason: "row \(position) of the segment is not in exactly one list")
                }
                isSeen[position] = true
            }
        }
    }

    /// The file's size in bytes; that of the lists when it was never written.
    var fileSize: Int { (owner as? SegmentFile)?.size ?? lists.count }
}
