/// What one file may cost.
package struct ParseLimits: Codable, Sendable, Hashable {
    /// Wall time, after which the worker is killed; parsers that can stop half-way with a warning do so at 85 % of it.
    package var seconds: Double = 60
    /// Address space of the worker, and of each program that it starts.
    package var memoryBytes: Int = 1 << 30
    /// The most extracted text.
    package var outputBytes: Int = 64 << 20
    /// The largest file taken.
    package var inputBytes: Int = 512 << 20
    package var isOCREnabled = true
    /// As tesseract's `-l`: `"eng"`, `"eng+deu"`.
    package var ocrLanguages = "eng"
    /// Whether hidden rows, columns, sheets and slides are kept, marked as hidden; otherwise they are left out.
    package var keepsHidden = true
    package init() {}
}

extension ParseLimits {
    /// The most bytes that all members of all archives of one file may unpack to.
    var unpackedBytes: Int { min(512 << 20, max(1 << 20, memoryBytes / 4)) }
    /// The most members looked at in one archive.
    var memberCount: Int { 20_000 }
    /// How deep a file may lie in a file in a file.
    var nestingDepth: Int { 5 }
}
