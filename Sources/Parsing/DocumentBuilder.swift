/// Gathers text and blocks in reading order, keeping the rules of `ParsedDocument`.
///
/// Every parser writes through one of these, so that cleaning (no NUL, no control characters, one kind of line end),
/// separation and the output limit are in one place. Strings come in as found; `paragraph` and its kin collapse white
/// space, `verbatim` and `code` keep it.
struct DocumentBuilder {
    private(set) var bytes: [UInt8] = []
    private(set) var blocks: [Block] = []
    /// Given to the blocks that follow.
    var page: Int?
    private(set) var warnings: [String] = []
    let outputLimit: Int

    /// What the last block was, to choose the separator.
    private enum Run { case none, table, list }
    private var run = Run.none
    private var header: Range<Int>?
    private var isTableOpen = false

    init(outputLimit: Int) {
        self.outputLimit = outputLimit
    }

    var isEmpty: Bool { blocks.isEmpty }

    mutating func warn(_ text: String) {
        if warnings.count < 50, !warnings.contains(text) { warnings.append(text) }
    }

    mutating func heading(_ text: some StringProtocol, level: Int) throws(Refusal) {
        try add(.heading(level: min(9, max(1, level))), text, keepsLines: false)
    }

    mutating func paragraph(_ text: some StringProtocol) throws(Refusal) {
        try add(.paragraph, text, keepsLines: false)
    }

    /// The rest of the last paragraph, from the next page: a block of its own that only a space parts from the one before, so that its
    /// sentence stays one. A paragraph like any other when the last block is none.
    ///
    /// - Parameter dropsHyphen: Whether the hyphen that ends the paragraph only broke a word.
    mutating func continueParagraph(_ text: some StringProtocol, dropsHyphen: Bool = false) throws(Refusal) {
        guard let last = blocks.last, last.kind == .paragraph, last.span.upperBound == bytes.count, last.span.count > 4 else {
            return try paragraph(text)
        }
        let endsInHyphen = bytes.last == 0x2D
        if dropsHyphen, endsInHyphen {
            bytes.removeLast()
            blocks[blocks.count - 1].span = last.span.lowerBound..<bytes.count
        }
        let joins = !endsInHyphen
        if joins { bytes.append(0x20) }
        let start = bytes.count
        Self.clean(text.utf8, keepsLines: false, keepsSpaces: false, into: &bytes)
        guard bytes.count > start else {
            if joins { bytes.removeLast() }
            return
        }
        blocks.append(Block(kind: .paragraph, span: start..<bytes.count, page: page))
        try check()
    }

    /// A paragraph whose line ends mean something.
    mutating func lines(_ text: some StringProtocol) throws(Refusal) {
        try add(.paragraph, text, keepsLines: true)
    }

    mutating func listItem(_ text: some StringProtocol, marker: String = "- ") throws(Refusal) {
        let text = String(text)
        guard text.utf8.contains(where: { $0 > 0x20 }) else { return }
        try add(.listItem, marker + text, keepsLines: false, run: .list)
    }

    mutating func note(_ text: some StringProtocol) throws(Refusal) {
        try add(.note, text, keepsLines: true)
    }

    mutating func code(_ text: some StringProtocol, language: String?) throws(Refusal) {
        try add(.code(language: language), text, keepsLines: true, keepsSpaces: true)
    }

    /// Starts a table; its rows follow. A table ends with the next block of another kind, or with `endTable`.
    ///
    /// - Parameter header: That of a table which goes on after blocks of other kinds; see `tableHeader`.
    mutating func beginTable(header: Range<Int>? = nil) {
        endTable()
        isTableOpen = true
        self.header = header
        // With nothing between, it goes on line by line: a blank line would make its first row look like names of columns.
        if let header, let last = blocks.last, case .tableRow(let before) = last.kind, before == header || last.span == header {
            run = .table
        }
    }

    /// The header row's text in the open table.
    var tableHeader: Range<Int>? { header }

    mutating func endTable() {
        header = nil
        isTableOpen = false
        if run == .table { run = .none }
    }

    /// Adds a row; empty cells at the end are dropped, and a row of empty cells altogether.
    mutating func tableRow(_ cells: [String], isHeader: Bool = false) throws(Refusal) {
        let count = blocks.count
        try row(cells, header: isHeader ? nil : header)
        // Rows after the header refer to it. The first of several header rows wins, as it is the one that names columns.
        if isHeader, header == nil, blocks.count > count, let block = blocks.last { header = block.span }
    }

    /// Adds a row that refers to the given header, or to none: one whose cells name their columns themselves.
    mutating func row(_ cells: [String], header: Range<Int>?) throws(Refusal) {
        guard let last = cells.lastIndex(where: { cell in cell.utf8.contains { $0 > 0x20 } }) else { return }
        let joins = run == .table && isTableOpen
        isTableOpen = true
        var start = 0
        begin(&start, joins: joins)
        for (index, cell) in cells[...last].enumerated() {
            if index > 0 { bytes.append(contentsOf: " | ".utf8) }
            Self.clean(cell.utf8, keepsLines: false, keepsSpaces: false, into: &bytes)
        }
        try finish(start, .tableRow(header: header), run: .table, joins: joins)
        isTableOpen = true
    }

    /// Adds another document's text and blocks, moved to the end of this one.
    mutating func append(_ document: ParsedDocument, page: Int?, levelShift: Int = 0) throws(Refusal) {
        guard !document.blocks.isEmpty else { return }
        endTable()
        var start = 0
        begin(&start, joins: false)
        bytes.append(contentsOf: document.text.utf8)
        for var block in document.blocks {
            block.span = block.span.lowerBound + start..<block.span.upperBound + start
            if case .tableRow(let header?) = block.kind {
                block.kind = .tableRow(header: header.lowerBound + start..<header.upperBound + start)
            }
            if levelShift > 0, case .heading(let level) = block.kind { block.kind = .heading(level: min(9, level + levelShift)) }
            block.page = page ?? block.page
            blocks.append(block)
        }
        run = .none
        try check()
    }

    /// Ends the work; `properties` and the rest are the caller's.
    consuming func finish(
        title: String?, mimeType: String, pageCount: Int? = nil, properties: [String: String] = [:]
    ) -> ParsedDocument {
        // What was cleaned is valid UTF-8 already; decoding repairs nothing but cannot be skipped.
        let text = String(decoding: bytes, as: UTF8.self)
        precondition(text.utf8.count == bytes.count, "text changed size: \(text.utf8.count) of \(bytes.count) bytes")
        return ParsedDocument(
            text: text, blocks: blocks, title: title.flatMap(Self.shortString), mimeType: mimeType, pageCount: pageCount,
            properties: properties.compactMapValues(Self.shortString), warnings: warnings)
    }

    // MARK: - Parts

    private mutating func add(
        _ kind: BlockKind, _ text: some StringProtocol, keepsLines: Bool, keepsSpaces: Bool = false, run newRun: Run = .none
    ) throws(Refusal) {
        let joins = newRun != .none && newRun == run
        var start = 0
        begin(&start, joins: joins)
        Self.clean(text.utf8, keepsLines: keepsLines, keepsSpaces: keepsSpaces, into: &bytes)
        try finish(start, kind, run: newRun, joins: joins)
        isTableOpen = false
        header = nil
    }

    private mutating func begin(_ start: inout Int, joins: Bool) {
        if !blocks.isEmpty { bytes.append(contentsOf: joins ? "\n".utf8 : "\n\n".utf8) }
        start = bytes.count
    }

    private mutating func finish(_ start: Int, _ kind: BlockKind, run newRun: Run, joins: Bool) throws(Refusal) {
        guard bytes.count > start else {
            // Nothing was left: take the separator back.
            if !blocks.isEmpty { bytes.removeLast(joins ? 1 : 2) }
            return
        }
        blocks.append(Block(kind: kind, span: start..<bytes.count, page: page))
        run = newRun
        try check()
    }

    private func check() throws(Refusal) {
        if bytes.count > outputLimit {
            throw .tooLarge("more than \(outputLimit) bytes of text; split the file or raise the output limit")
        }
    }

    /// Appends `source` without control characters, soft hyphens, byte order marks and outer white space.
    ///
    /// `source` is valid UTF-8. With `keepsLines`, line ends stay and blank lines inside are reduced to one;
    /// with `keepsSpaces`, everything but the outer blank lines and trailing white space stays.
    static func clean(
        _ source: some Collection<UInt8>, keepsLines: Bool, keepsSpaces: Bool, into output: inout [UInt8]
    ) {
        let start = output.count
        var pendingSpaces = 0
        var pendingLines = 0
        var previous: UInt8 = 0
        func isWritten(_ output: [UInt8]) -> Bool { output.count > start }
        var iterator = source.makeIterator()
        var lookahead: UInt8?
        while let byte = lookahead ?? iterator.next() {
            lookahead = nil
            switch byte {
            case 0x0A, 0x0D, 0x0B, 0x0C:
                if byte == 0x0A, previous == 0x0D { break }
                if keepsLines {
                    pendingLines += 1
                    pendingSpaces = 0
                } else {
                    pendingSpaces = 1
                }
            case 0x20, 0x09:
                if keepsSpaces {
                    // Kept only when something follows on the line; a tab counts as itself, so write it at once after text.
                    if byte == 0x09 {
                        flush(
                            &output, &pendingLines, &pendingSpaces, isWritten: isWritten(output), keepsLines: keepsLines, keepsSpaces: true)
                        output.append(0x09)
                    } else {
                        pendingSpaces += 1
                    }
                } else {
                    pendingSpaces = 1
                }
            case 0..<0x20, 0x7F:
                break
            case 0xC2:
                // U+0080 to U+00BF: C1 controls and the soft hyphen go, the no-break space is a space.
                guard let next = iterator.next() else { break }
                if next < 0xA0 || next == 0xAD { break }
                if next == 0xA0 {
                    if keepsSpaces { pendingSpaces += 1 } else { pendingSpaces = 1 }
                    break
                }
                flush(
                    &output, &pendingLines, &pendingSpaces, isWritten: isWritten(output), keepsLines: keepsLines, keepsSpaces: keepsSpaces)
                output.append(byte)
                output.append(next)
            case 0xEF:
                guard let second = iterator.next(), let third = iterator.next() else { break }
                if second == 0xBB, third == 0xBF { break }
                flush(
                    &output, &pendingLines, &pendingSpaces, isWritten: isWritten(output), keepsLines: keepsLines, keepsSpaces: keepsSpaces)
                output.append(byte)
                output.append(second)
                output.append(third)
            default:
                flush(
                    &output, &pendingLines, &pendingSpaces, isWritten: isWritten(output), keepsLines: keepsLines, keepsSpaces: keepsSpaces)
                output.append(byte)
            }
            previous = byte
        }
        // A tab was written eagerly; do not end in one.
        while output.count > start, let last = output.last, last == 0x09 || last == 0x20 || last == 0x0A { output.removeLast() }
    }

    private static func flush(
        _ output: inout [UInt8], _ lines: inout Int, _ spaces: inout Int, isWritten: Bool, keepsLines: Bool, keepsSpaces: Bool
    ) {
        if isWritten {
            if lines > 0 {
                for _ in 0..<min(lines, 2) { output.append(0x0A) }
                if keepsSpaces { for _ in 0..<min(spaces, 200) { output.append(0x20) } }
            } else if spaces > 0 {
                for _ in 0..<(keepsSpaces ? min(spaces, 200) : 1) { output.append(0x20) }
            }
        } else if keepsSpaces, spaces > 0 {
            // The first line's indent matters in code.
            for _ in 0..<min(spaces, 200) { output.append(0x20) }
        }
        lines = 0
        spaces = 0
    }

    /// One line of at most 300 bytes, or nil when nothing is left.
    static func shortString(_ text: String) -> String? {
        var bytes: [UInt8] = []
        clean(text.utf8.prefix(2000), keepsLines: false, keepsSpaces: false, into: &bytes)
        if bytes.count > 300 {
            bytes.removeLast(bytes.count - 300)
            while let last = bytes.last, last & 0xC0 == 0x80 { bytes.removeLast() }
            if let last = bytes.last, last >= 0xC0 { bytes.removeLast() }
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
