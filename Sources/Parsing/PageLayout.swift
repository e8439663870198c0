import Foundation

/// Turns words on pages into headings, paragraphs, lists and table rows.
///
/// The layout program gives lines in reading order, which is right for columns of prose and wrong for tables, whose
/// cells it reads column by column. So the page is read twice:
///
///     1. rows     all lines cut into segments at wide gaps, grouped by height on the page;
///                 neighbouring rows of several short segments make a table region
///     2. reading  the remaining lines in their given order become paragraphs; a region is written where its first line stood
///
/// On pages with columns of prose, step 1 works inside each column, found as a gutter that hardly any line crosses.
/// Related: Breuel, "Two Geometric Algorithms for Layout Analysis", 2002 (gutters as white space); Oro and Ruffolo, "PDF-TREX", 2009 (tables from
/// aligned segments). Sizes are measured against the document's most frequent line height.
struct PageLayout {
    private let pages: [PageContent]
    private var builder: DocumentBuilder
    private let bodyHeight: Float
    private let headingHeights: [Float]
    private let running: Set<String>
    private var seenRunning: Set<String> = []
    private let vocabulary: Set<String>
    /// Titles that bookmarks give to places on a page.
    private let bookmarks: [Int: [String: Int]]
    private(set) var firstHeading: (text: String, height: Float)?
    /// What the last page ended with, and may go on on the next one.
    private var openTable: (columns: [(xMin: Float, xMax: Float)], names: [String]?, header: Range<Int>?)?
    private var openParagraph: (height: Float, lastWord: String)?
    /// Written when the next page has begun, so that they part no paragraph.
    private var pendingNotes: [(page: Int, text: String)] = []
    private var endNotes: [(page: Int, text: String)] = []

    /// Writes all pages, and returns the most prominent heading of the first.
    ///
    /// - Parameters:
    ///   - notes: What stands beside the text of a page, written after it.
    ///   - bookmarks: By page, titles in `bookmarkKey`'s form with their levels.
    static func write(
        _ pages: [PageContent], notes: [Int: [String]] = [:], bookmarks: [Int: [String: Int]] = [:], to builder: inout DocumentBuilder
    ) throws(Refusal) -> String? {
        var layout = PageLayout(pages, bookmarks: bookmarks, builder: builder)
        for (index, page) in pages.enumerated() {
            layout.builder.page = index + 1
            try layout.write(page)
            layout.pendingNotes += (notes[index] ?? []).map { (index + 1, $0) }
        }
        try layout.writePendingNotes()
        layout.pendingNotes = layout.endNotes
        try layout.writePendingNotes()
        builder = layout.builder
        return layout.firstHeading?.text
    }

    private mutating func writePendingNotes() throws(Refusal) {
        let page = builder.page
        for note in pendingNotes {
            builder.page = note.page
            try builder.note(note.text)
        }
        builder.page = page
        pendingNotes = []
    }

    /// A title without what differs between a bookmark and the line it points to.
    static func bookmarkKey(_ text: String) -> String {
        String(text.lowercased().filter { $0.isLetter || $0.isNumber })
    }

    private init(_ pages: [PageContent], bookmarks: [Int: [String: Int]], builder: DocumentBuilder) {
        self.pages = pages
        self.bookmarks = bookmarks
        self.builder = builder
        var weights: [Int: Int] = [:]
        for page in pages where page.hasTypeSizes {
            for line in page.lines { weights[Int(Self.height(line) * 4), default: 0] += line.words.count }
        }
        let body = weights.max { ($0.value, $0.key) < ($1.value, $1.key) }.map { Float($0.key) / 4 } ?? 10
        bodyHeight = max(body, 1)
        // Sizes clearly above the body's, largest first, neighbours within 6 % taken together.
        var sizes: [Float] = []
        for (key, weight) in weights.sorted(by: { $0.key > $1.key }) where Float(key) / 4 > body * 1.14 && weight < 2000 {
            let size = Float(key) / 4
            if let last = sizes.last, size > last * 0.94 { continue }
            sizes.append(size)
        }
        headingHeights = Array(sizes.prefix(12))
        running = Self.runningLines(pages)
        var words: Set<String> = []
        scan: for page in pages {
            for line in page.lines {
                for word in line.words.dropLast() where word.text.utf8.count > 3 {
                    words.insert(Self.bare(word.text))
                    if words.count > 200_000 { break scan }
                }
            }
        }
        vocabulary = words
    }

    private static func bare(_ word: String) -> String {
        word.lowercased().trimmingCharacters(in: CharacterSet.punctuationCharacters.subtracting(CharacterSet(charactersIn: "-")))
    }

    private static func height(_ line: PageContent.Line) -> Float { line.height }

    // MARK: - Running headers

    private static func text(_ line: PageContent.Line) -> String { line.text }

    private static func pattern(_ text: String) -> String {
        var result = ""
        var wasDigit = false
        for character in text.lowercased() {
            let isDigit = character.isASCII && character.isNumber
            if isDigit, wasDigit { continue }
            wasDigit = isDigit
            result.append(isDigit ? "#" : character)
        }
        return result
    }

    private static func isInMargin(_ line: PageContent.Line, _ page: PageContent) -> Bool {
        let middle = (line.words[0].yMin + line.words[0].yMax) / 2
        return middle < page.height * 0.12 || middle > page.height * 0.88
    }

    private static func isPageNumber(_ text: String) -> Bool {
        let pattern = pattern(text).trimmingCharacters(in: CharacterSet(charactersIn: " -–—|[]()"))
        if ["#", "page #", "page # of #", "# of #", "# / #", "#/#", "- # -", "p. #", "s. #", "seite #"].contains(pattern) { return true }
        return text.utf8.count <= 6 && !text.isEmpty && text.lowercased().allSatisfy { "ivxl".contains($0) }
    }

    /// Lines that stand in the margins of many pages, digits aside.
    private static func runningLines(_ pages: [PageContent]) -> Set<String> {
        guard pages.count >= 3 else { return [] }
        var counts: [String: Int] = [:]
        for page in pages {
            var seen: Set<String> = []
            let edges = edgeLines(page)
            for (index, line) in page.lines.enumerated() where edges.contains(index) || isInMargin(line, page) {
                let pattern = pattern(text(line))
                if pattern.utf8.count <= 200, seen.insert(pattern).inserted { counts[pattern, default: 0] += 1 }
            }
        }
        let least = max(3, pages.count * 3 / 10)
        return Set(counts.filter { $0.value >= least }.keys)
    }

    // MARK: - A page

    private enum Item {
        case table(TableFinder.Table)
        case paragraph([PageContent.Line])
    }

    private mutating func write(_ page: PageContent) throws(Refusal) {
        if let text = page.unplacedText { return try write(unplaced: text) }
        var lines: [PageContent.Line] = []
        let edges = Self.edgeLines(page)
        func isOutside(_ index: Int) -> Bool { edges.contains(index) || Self.isInMargin(page.lines[index], page) }
        for (index, line) in page.lines.enumerated() {
            if isOutside(index) {
                let text = Self.text(line)
                let pattern = Self.pattern(text)
                if pages.count > 1, Self.isPageNumber(text) {
                    // A number beside other text may be the last cell of a table.
                    let first = line.words[0]
                    let isAlone = page.lines.indices.allSatisfy { other in
                        let word = page.lines[other].words[0]
                        return other == index || min(word.yMax, first.yMax) - max(word.yMin, first.yMin) < first.height * 0.4
                            || running.contains(Self.pattern(Self.text(page.lines[other])))
                    }
                    if isAlone { continue }
                }
                if running.contains(pattern) {
                    if seenRunning.insert(pattern).inserted { endNotes.append((builder.page ?? 1, text)) }
                    continue
                }
            }
            lines.append(line)
        }
        lines = Self.joiningMarkers(lines)
        let items = items(of: page, lines)
        let goesOn = openParagraph.flatMap { firstParagraph(items, after: $0) }
        if goesOn == nil { try writePendingNotes() }
        let openedWord = openParagraph?.lastWord ?? ""
        let columnsBefore = openTable
        openTable = nil
        openParagraph = nil
        var paragraphsBefore = 0
        var tableCount = 0
        for (index, item) in items.enumerated() {
            switch item {
            case .table(let table):
                // A table at the top has the names of the one that ended the page before.
                let continued = tableCount == 0 && paragraphsBefore <= 1 ? columnsBefore : nil
                openTable = try write(table, after: continued)
                tableCount += 1
                paragraphsBefore = 0
            case .paragraph(let lines):
                var next: [PageContent.Line]?
                if index + 1 < items.count, case .paragraph(let following) = items[index + 1] { next = following }
                if index == goesOn {
                    let text = join(lines)
                    let hyphen = hyphenation(openedBy: openedWord, text)
                    try builder.continueParagraph(text, dropsHyphen: hyphen == .dropped)
                    try writePendingNotes()
                } else {
                    try write(lines, before: next, page)
                }
                paragraphsBefore += 1
                // A line or two below a table, such as "continued", do not end it; more do.
                if paragraphsBefore > 2 { openTable = nil }
                if index == items.count - 1, let last = lines.last, !last.isForm, builder.blocks.last?.kind == .paragraph,
                    let word = last.words.last?.text
                {
                    openParagraph = (last.height, word)
                }
            }
        }
    }

    /// Writes a table; returns what a table on the next page needs to go on.
    private mutating func write(
        _ table: TableFinder.Table, after continued: (columns: [(xMin: Float, xMax: Float)], names: [String]?, header: Range<Int>?)?
    ) throws(Refusal) -> (columns: [(xMin: Float, xMax: Float)], names: [String]?, header: Range<Int>?)? {
        for caption in table.captions { try builder.paragraph(caption) }
        let rows = table.rows
        var hasHeader = table.hasHeader
        if let continued, Self.matches(table.columns, continued.columns), let header = continued.header, let names = continued.names {
            let repeatsHeader = rows.first.map { Self.squeezed($0) == Self.squeezed(names) } ?? false
            if !repeatsHeader, !hasHeader || !Self.isDistinct(rows) {
                builder.beginTable(header: header)
                for row in rows { try builder.tableRow(row.map(Self.withoutLeader)) }
                builder.endTable()
                return (table.columns, names, header)
            }
            hasHeader = true
        }
        builder.beginTable()
        for (offset, row) in rows.enumerated() { try builder.tableRow(row.map(Self.withoutLeader), isHeader: offset == 0 && hasHeader) }
        let header = builder.tableHeader
        builder.endTable()
        return table.columns.isEmpty ? nil : (table.columns, hasHeader ? rows.first : nil, header)
    }

    private static func squeezed(_ row: [String]) -> String { row.joined().filter { !$0.isWhitespace }.lowercased() }

    /// Whether two tables have the same columns in the same places.
    private static func matches(_ one: [(xMin: Float, xMax: Float)], _ two: [(xMin: Float, xMax: Float)]) -> Bool {
        guard one.count == two.count, !one.isEmpty else { return false }
        return zip(one, two).allSatisfy { a, b in
            let shared = min(a.xMax, b.xMax) - max(a.xMin, b.xMin)
            return abs(a.xMin - b.xMin) < 6 || abs(a.xMax - b.xMax) < 6 || shared > 0.5 * min(a.xMax - a.xMin, b.xMax - b.xMin)
        }
    }

    /// Whether the first row has words where the others have numbers.
    private static func isDistinct(_ rows: [[String]]) -> Bool {
        guard let first = rows.first, rows.count >= 2 else { return false }
        return first.indices.contains { column in
            !first[column].isEmpty && !SheetWriter.isNumeric(first[column])
                && rows.dropFirst().count { $0.count > column && SheetWriter.isNumeric($0[column]) } * 10 >= (rows.count - 1) * 7
        }
    }

    /// Which item goes on with the paragraph that the page before ended in the middle of: the first, when it starts in lower case.
    private func firstParagraph(_ items: [Item], after open: (height: Float, lastWord: String)) -> Int? {
        guard case .paragraph(let lines)? = items.first, let first = lines.first, !first.isForm, Self.listMarker(first) == nil,
            abs(first.height - open.height) < 0.13 * max(first.height, open.height), let start = first.words[0].text.first
        else { return nil }
        let isEnded = open.lastWord.last.map { ".!?:;\"”)»".contains($0) } ?? true
        // In the middle of a sentence a name or a number may start the page; only after a comma or a small word is that sure.
        let isOpen = open.lastWord.hasSuffix(",") || open.lastWord.hasSuffix("-") || Self.smallWords.contains(open.lastWord.lowercased())
        return !isEnded && (start.isLowercase || isOpen) ? 0 : nil
    }

    private static let smallWords: Set<String> = [
        "the", "a", "an", "of", "and", "or", "to", "in", "for", "with", "by", "at", "on", "from", "as", "is", "are", "was", "were", "be",
        "that",
        "which", "der", "die", "das", "und", "oder", "von", "mit", "für", "den", "dem", "des", "ein", "eine", "le", "la", "les", "de", "et",
        "ou",
        "un", "une", "du", "el", "los", "y", "en", "il", "di", "e",
    ]

    /// Lines without places: a sentence's end or a line of capitals ends a paragraph.
    private mutating func write(unplaced text: String) throws(Refusal) {
        var paragraph = ""
        for line in PlainTextParser.splitLines(text) where !line.isBlank {
            let line = line.trimmed
            let isLoud = line.count >= 4 && line == line.uppercased() && line != line.lowercased() && line.utf8.count < 80
            if isLoud {
                try builder.paragraph(paragraph)
                paragraph = ""
                try builder.heading(line, level: min(6, headingHeights.count.clamped(to: 0...3) + 1))
                continue
            }
            paragraph += paragraph.isEmpty ? line : " " + line
            if let last = line.last, ".!?".contains(last) {
                try builder.paragraph(paragraph)
                paragraph = ""
            }
        }
        try builder.paragraph(paragraph)
    }

    /// A cell of a table of contents without the dots that lead to its number.
    private static func withoutLeader(_ cell: String) -> String {
        guard cell.hasSuffix(". .") || cell.hasSuffix("...") else { return cell }
        return cell.replacing(/(?:\s?\.){3,}\s*$/, with: "")
    }

    private func items(of page: PageContent, _ lines: [PageContent.Line]) -> [Item] {
        var finder = TableFinder(page: page, lines: lines, previous: openTable?.columns ?? []) { self.joined($0) }
        // A list of labels with one value each reads better as lines.
        let tables = finder.tables().filter { !Self.isLabelList($0) }
        let taken = tables.reduce(into: Set<Int>()) { $0.formUnion($1.lines) }
        var places: [PageContent.Line?] = lines
        FormLines.joinLabels(&places) { taken.contains($0) }
        let order = page.hasTypeSizes ? ReadingOrder.order(of: places, tables: tables.map(\.lines)) : Array(places.indices)
        var tableOfLine = [Int](repeating: -1, count: lines.count)
        for (index, table) in tables.enumerated() { for line in table.lines { tableOfLine[line] = index } }
        var items: [Item] = []
        var written = Set<Int>()
        var paragraph: [PageContent.Line] = []
        var previousBlock = -1
        for index in order {
            guard let line = places[index] else { continue }
            let table = tableOfLine[index]
            if table >= 0 {
                if !paragraph.isEmpty { items.append(.paragraph(paragraph)) }
                paragraph = []
                if written.insert(table).inserted { items.append(.table(tables[table])) }
                continue
            }
            if !paragraph.isEmpty,
                startsParagraph(line, after: paragraph, isSameBlock: line.block == previousBlock, hasTypeSizes: page.hasTypeSizes)
            {
                items.append(.paragraph(paragraph))
                paragraph = []
            }
            paragraph.append(line)
            previousBlock = line.block
        }
        if !paragraph.isEmpty { items.append(.paragraph(paragraph)) }
        return items
    }

    private static func isLabelList(_ table: TableFinder.Table) -> Bool {
        table.rows.allSatisfy { $0.count <= 2 } && table.captions.isEmpty && !table.isRuled
            && table.rows.count { $0[0].hasSuffix(":") } * 10 >= table.rows.count * 6
    }

    /// The layout program parts a number or bullet from what it stands before; such a line joins the next one of its height.
    private static func joiningMarkers(_ lines: [PageContent.Line]) -> [PageContent.Line] {
        var result: [PageContent.Line] = []
        var index = 0
        while index < lines.count {
            var line = lines[index]
            index += 1
            if isMarkerOnly(line), index < lines.count {
                let next = lines[index]
                let overlap = min(line.words[0].yMax, next.words[0].yMax) - max(line.words[0].yMin, next.words[0].yMin)
                let gap = next.xMin - line.xMax
                if overlap > 0.4 * min(line.words[0].height, next.words[0].height), gap > -1, gap < line.words[0].height * 8 {
                    line = PageContent.Line(words: line.words + next.words, block: next.block)
                    index += 1
                }
            }
            result.append(line)
        }
        return result
    }

    private static func isMarkerOnly(_ line: PageContent.Line) -> Bool {
        let text = text(line)
        guard text.utf8.count <= 12 else { return false }
        if bullets.contains(text) { return true }
        let words = text.split(separator: " ")
        if words.count == 2, ["item", "note", "section", "part", "article"].contains(words[0].lowercased()) { return true }
        guard words.count == 1, text.utf8.count <= 8 else { return false }
        let inner = text.trimmingCharacters(in: CharacterSet(charactersIn: "()[]."))
        guard !inner.isEmpty, text.hasSuffix(".") || text.hasSuffix(")") || text.hasSuffix("]") || inner.contains(".") else { return false }
        return inner.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }
            || (inner.count <= 3 && inner.allSatisfy { $0.isASCII && $0.isLetter })
    }

    /// The lines at the very top and bottom of a page, wherever those are.
    private static func edgeLines(_ page: PageContent) -> Set<Int> {
        guard page.lines.count >= 4 else { return [] }
        var edges: Set<Int> = []
        let order = page.lines.indices.sorted { page.lines[$0].words[0].yMin < page.lines[$1].words[0].yMin }
        for index in [order.first!, order.last!] {
            let edge = page.lines[index].words[0]
            for other in order where abs(page.lines[other].words[0].yMin - edge.yMin) < edge.height * 0.6 { edges.insert(other) }
        }
        return edges
    }

    private func startsParagraph(
        _ line: PageContent.Line, after paragraph: [PageContent.Line], isSameBlock: Bool, hasTypeSizes: Bool
    ) -> Bool {
        let last = paragraph[paragraph.count - 1]
        if line.isForm || last.isForm { return true }
        let height = Self.height(line)
        let lastHeight = Self.height(last)
        if hasTypeSizes, abs(height - lastHeight) > 0.13 * max(height, lastHeight), last.words.count > 1 || line.words.count > 1 {
            return true
        }
        let first = line.words[0].text
        if Self.isLeader(last) { return true }
        let lastText = last.words[last.words.count - 1].text
        let isSentenceEnd = lastText.last.map { ".!?:;\"”)".contains($0) } ?? true
        if let marker = Self.listMarker(line) {
            // A number may start a line by chance, in the middle of a sentence.
            if Self.bullets.contains(marker) || !isSameBlock || isSentenceEnd || Self.listMarker(paragraph[0]) != nil { return true }
        }
        guard isSameBlock else {
            // The same paragraph goes on in the next column, or in a block that only its indent set apart.
            let gap = line.words[0].yMin - last.words[0].yMax
            let isBelow = gap > -height * 0.5 && gap < height * 0.55 && line.xMin < last.xMax && line.xMax > last.xMin
            let isHanging =
                isBelow && paragraph.count == 1 && Self.listMarker(last) != nil && last.words.count > 1
                && abs(line.xMin - last.words[1].xMin) < height * 0.6
            if isHanging { return false }
            let goesOn = first.first?.isLowercase == true && !isSentenceEnd && (paragraph.count >= 2 || isBelow)
            return !goesOn
        }
        let gap = line.words[0].yMin - last.words[0].yMax
        if gap > max(height, lastHeight) * 0.75 { return true }
        if line.words[0].yMax < last.words[0].yMin - height * 2 { return true }
        // An indented first line, or a last line that ended early.
        let left = paragraph.count > 1 ? paragraph.dropFirst().map(\.xMin).min()! : last.xMin
        let indent = line.xMin - left
        if paragraph.count > 1, indent > height * 0.7, indent < height * 5, isSentenceEnd { return true }
        let right = paragraph.map(\.xMax).max()!
        if paragraph.count > 1, right - last.xMax > (right - left) * 0.3, isSentenceEnd, first.first?.isUppercase == true { return true }
        if paragraph.count == 1, PlainTextParser.numberedLevel(Self.text(last)) != nil,
            indent < -height || first.first?.isUppercase == true,
            right - last.xMin < (line.xMax - line.xMin) * 0.8
        {
            return true
        }
        return false
    }

    /// A line of a table of contents: "Methods ........ 12".
    private static func isLeader(_ line: PageContent.Line) -> Bool {
        guard let last = line.words.last?.text, last.last?.isNumber == true else { return false }
        return last.contains("....")
            || (line.words.count > 3 && line.words.dropLast().suffix(3).allSatisfy { $0.text.allSatisfy { $0 == "." } })
            || line.words.contains { $0.text.contains("......") }
    }

    private static let bullets: Set<String> = ["•", "◦", "▪", "‣", "●", "○", "■", "□", "–", "-", "*", "∙", "·", "", "➢", "✓", "►", "o"]

    /// The marker that starts a list item.
    private static func listMarker(_ line: PageContent.Line) -> String? {
        guard line.words.count > 1 else { return nil }
        let first = line.words[0].text
        if bullets.contains(first) { return first }
        let inner = first.trimmingCharacters(in: CharacterSet(charactersIn: "()"))
        if first.hasSuffix(")"), first.utf8.count <= 5, inner.utf8.count <= 3, !inner.isEmpty,
            inner.allSatisfy({ $0.isASCII && ($0.isNumber || "abcdefghijklmnopqrstuvwxyz".contains($0)) })
        {
            return first
        }
        if first.hasPrefix("["), first.hasSuffix("]"), (3...5).contains(first.utf8.count),
            first.dropFirst().dropLast().allSatisfy({ $0.isASCII && $0.isNumber })
        {
            return first
        }
        if first.hasSuffix("."), first.utf8.count <= 3, first.dropLast().allSatisfy({ $0.isASCII && $0.isNumber }), first.utf8.count >= 2 {
            return first
        }
        return nil
    }

    private mutating func write(_ lines: [PageContent.Line], before next: [PageContent.Line]?, _ page: PageContent) throws(Refusal) {
        var text = join(lines)
        if lines[0].isForm { return try builder.paragraph(text) }
        if text.contains("....") { text = text.replacing(/\.(?:\s?\.){3,}/, with: " ... ") }
        if lines.count == 1, Self.isLeader(lines[0]) { return try builder.listItem(text, marker: "") }
        if let level = headingLevel(lines, text, page) ?? quietHeadingLevel(lines, text, before: next, page) {
            let height = Self.height(lines[0])
            let isTitleLike = text.count(where: \.isLetter) >= 8
            if isTitleLike, firstHeading == nil || (builder.page == 1 && height > firstHeading!.height * 1.05) {
                firstHeading = (text, height)
            }
            return try builder.heading(text, level: level)
        }
        if let marker = Self.listMarker(lines[0]) {
            if Self.bullets.contains(marker) {
                return try builder.listItem(String(text.dropFirst(marker.count)).trimmed)
            }
            return try builder.listItem(text, marker: "")
        }
        try builder.paragraph(text)
    }

    /// A heading in the type size of the body, told by its place: one short line in title case, apart from what is above it, over a
    /// paragraph that starts at the same margin.
    private func quietHeadingLevel(
        _ lines: [PageContent.Line], _ text: String, before next: [PageContent.Line]?, _ page: PageContent
    ) -> Int? {
        guard page.hasTypeSizes, lines.count == 1, let next, text.utf8.count <= 90, let first = text.first, first.isUppercase else {
            return nil
        }
        guard let last = text.last, last.isLetter || last == ")" || last.isNumber else { return nil }
        let nextText = Self.text(next[0])
        guard next.count >= 2 || nextText.utf8.count > 100, abs(next[0].xMin - lines[0].xMin) < bodyHeight * 2.2,
            Self.listMarker(next[0]) == nil
        else { return nil }
        let gap = next[0].words[0].yMin - lines[0].words[0].yMax
        guard gap > -bodyHeight * 0.3, gap < bodyHeight * 1.8, (next[0].xMax - next[0].xMin) > (lines[0].xMax - lines[0].xMin) * 1.3 else {
            return nil
        }
        let words = text.split(separator: " ")
        guard words.count <= 12, !text.contains("@"), !text.contains("="), !text.contains("://") else { return nil }
        let long = words.filter { $0.count > 3 }
        let capitals = long.count { $0.first?.isUppercase == true || $0.first?.isNumber == true }
        guard !long.isEmpty, capitals * 10 >= long.count * 7 else { return nil }
        return min(6, headingHeights.count.clamped(to: 0...3) + 2)
    }

    private func join(_ lines: [PageContent.Line]) -> String { joined(lines.map(Self.text)) }

    /// Joins lines, taking back hyphens that only broke a word.
    private func joined(_ lines: [String]) -> String {
        var text = ""
        for next in lines {
            guard !text.isEmpty else {
                text = next
                continue
            }
            switch hyphenation(openedBy: text.split(separator: " ").last.map(String.init) ?? "", next) {
            case .none: text += " " + next
            case .kept: text += next
            case .dropped:
                text.removeLast()
                text += next
            }
        }
        return text
    }

    private enum Hyphenation { case none, kept, dropped }

    /// What becomes of a hyphen at the end of a line.
    ///
    /// It stays when it is part of the word: a word that has one already ("state-of-the-/art"), a number or a capital after it ("X-/200",
    /// "1,200-/1,400"), a compound that occurs in the document or begins as compounds do ("long-/term"). Otherwise it broke a word
    /// ("re-/placement").
    private func hyphenation(openedBy head: String, _ next: String) -> Hyphenation {
        guard let sign = head.last, sign == "-" || sign == "\u{AD}" || sign == "\u{2010}", head.count > 1,
            let tail = next.split(separator: " ").first, let start = tail.first, let end = head.dropLast().last
        else { return .none }
        if sign == "\u{AD}" { return .dropped }
        guard end.isLetter || end.isNumber, start.isLetter || start.isNumber else { return .none }
        // "pre- and postwar": the second part of a pair is left out.
        if ["and", "or", "und", "oder", "bzw.", "et", "ou", "y", "o", "e", "to", "bis"].contains(tail.lowercased()) { return .none }
        if start.isNumber || end.isNumber { return .kept }
        let stem = String(head.dropLast())
        let isLoud = stem.count > 1 && stem == stem.uppercased() && tail == tail.uppercased()
        let core = Self.bare(stem)
        let second = Self.bare(String(tail))
        if start.isUppercase, !isLoud { return vocabulary.contains(core + second) ? .dropped : .kept }
        if core.contains("-") || core.count == 1 { return .kept }
        if vocabulary.contains(core + second) { return .dropped }
        if vocabulary.contains(core + "-" + second) { return .kept }
        let isWord = second.count >= 4 && !Self.endings.contains(second) || second == "way" || second == "day"
        return isWord && Self.compoundStarts.contains(core) ? .kept : .dropped
    }

    /// Words that begin compounds written with a hyphen more often than they are the first syllables of a longer word.
    private static let compoundStarts: Set<String> = [
        "long", "short", "low", "high", "full", "half", "part", "self", "well", "cross", "real", "hard", "soft", "large", "small", "wide",
        "deep",
        "fast", "slow", "heavy", "light", "open", "closed", "left", "right", "front", "rear", "two", "three", "four", "five", "six",
        "seven",
        "eight", "nine", "ten", "first", "second", "third", "fixed", "free", "cost", "user", "year", "single", "double", "risk", "energy",
        "water",
        "fire", "heat", "cold", "time", "day", "week", "month", "hour", "medium", "middle", "best", "better", "lower", "upper", "higher",
        "follow",
        "built", "above", "below", "ready", "near", "far", "old", "new", "good", "bad", "client", "server", "peer", "data", "rule", "case",
        "role",
        "event", "context", "domain", "problem", "decision", "zero", "quarter", "world", "market", "customer", "product", "price", "state",
        "non",
    ]
    /// What follows such a word without a hyphen.
    private static let endings: Set<String> = [
        "ning", "ness", "ment", "ments", "able", "ible", "ages", "ally", "ship", "ships", "hood", "ward", "wards", "ware", "ners", "tion",
        "sion",
        "house", "work", "works", "time", "line", "lines", "mark", "marks", "ings", "land", "lands", "ence", "ened", "ening", "base",
        "bases", "ously",
        "ative", "proof", "fall", "melon", "place", "lessly", "less", "fully", "like", "wise", "most", "ever", "cast", "casts", "over",
        "keeper",
    ]

    private func headingLevel(_ lines: [PageContent.Line], _ text: String, _ page: PageContent) -> Int? {
        guard lines.count <= 3, text.utf8.count <= 220 else { return nil }
        if let titles = bookmarks[(builder.page ?? 1) - 1], let level = titles[Self.bookmarkKey(text)] {
            return min(6, level + (headingHeights.isEmpty ? 0 : 1))
        }
        guard page.hasTypeSizes else { return nil }
        let letters = text.reduce(0) { $0 + ($1.isLetter ? 1 : 0) }
        guard letters >= 2, letters * 2 >= text.count else { return nil }
        let height = Self.height(lines[0])
        // Big type is a heading whatever it says, as long as it is not the body of a slide.
        if height > bodyHeight * 1.14, letters >= 4 || height > bodyHeight * 1.5,
            let rank = headingHeights.firstIndex(where: { height > $0 * 0.94 })
        {
            if text.hasSuffix("."), text.utf8.count > 120 { return nil }
            return min(4, rank + 1)
        }
        guard lines.count == 1, height > bodyHeight * 0.92, let last = text.last, !".,;".contains(last) else { return nil }
        let base = min(3, headingHeights.count)
        if let depth = PlainTextParser.numberedLevel(text) { return min(6, base + depth) }
        let words = text.split(separator: " ")
        let first = words[0].lowercased()
        if words.count <= 14, words.count >= 2,
            ["part", "item", "note", "chapter", "section", "appendix", "annex", "article"].contains(first),
            words[1].first.map({ $0.isNumber || "IVX".contains($0) || (words[1].count == 1 && $0.isLetter && $0.isUppercase) }) == true
        {
            return min(6, base + (first == "part" || first == "chapter" ? 1 : 2))
        }
        // A line of capitals on its own.
        if words.count >= 2 || text.count >= 6, text.utf8.count <= 100, letters >= 5, text == text.uppercased(), text != text.lowercased() {
            return min(6, base + 1)
        }
        return nil
    }
}

extension Comparable {
    func clamped(to range: ClosedRange<Self>) -> Self { min(max(self, range.lowerBound), range.upperBound) }
}
