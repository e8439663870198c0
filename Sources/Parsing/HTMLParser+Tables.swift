extension HTMLParser {
    private static func cells(_ row: XMLNode) -> [XMLNode] { row.children.filter { $0.name == "td" || $0.name == "th" } }

    mutating func table(_ node: XMLNode, isMain: Bool) throws(Refusal) {
        let rows = Self.rows(node)
        let columnCount = rows.map { Self.cells($0.0).count }.max() ?? 0
        // A cell with a structure of its own cannot be a part of a line. Where only some rows hold such, as in tables that unfold,
        // the others stay rows; where most do, the table only arranges the page. A small table in a cell of a table with a header
        // is a value like others.
        let hasHeader = rows.contains { row, isInHead in isInHead || Self.cells(row).count { $0.name == "th" } > 1 }
        let isStructured = rows.map { Self.isStructured($0.0, flattensTables: hasHeader) }
        let plainCount = zip(rows, isStructured).count { row, isStructured in !isStructured && Self.cells(row.0).count > 1 }
        let isLayout =
            columnCount <= 1 || node["role"] == "presentation" || node["role"] == "none"
            || (isStructured.contains(true) && (plainCount < 3 || plainCount * 3 < rows.count))
        if isLayout {
            for child in node.nodes {
                if child.isText {
                    inline.append(child.characters)
                    continue
                }
                guard child.isElement, !isLeftOut(child, child.name.lowercased(), isMain: isMain) else { continue }
                try flush()
                if child.name == "caption" {
                    try builder.note(inlineText(child))
                } else {
                    try walk(child, isMain: isMain)
                }
                try flush()
            }
            return try flush()
        }
        if let caption = node.first("caption") { try builder.note(inlineText(caption)) }
        try looseText(node, isMain: isMain)
        builder.beginTable()
        let headCount = headRowCount(rows)
        if headCount > 1 { try builder.tableRow(mergedHeader(rows[..<headCount].map(\.0)), isHeader: true) }
        let hasNamedColumns = headCount > 0 || hasHeader || Self.firstRowNamesColumns(rows, isStructured)
        // Cells that span rows stand in each of them.
        var carried: [Int: (text: String, rows: Int)] = [:]
        for (index, (row, isInHead)) in rows.enumerated() where headCount < 2 || index >= headCount {
            if isLeftOut(row, "tr", isMain: true) { continue }
            var cells: [String] = []
            var headerCount = 0
            var cellCount = 0
            if isStructured[index] {
                let header = builder.tableHeader
                try walk(row, isMain: isMain)
                try flush()
                builder.beginTable(header: header)
                carried = [:]
                continue
            }
            func takeCarried() {
                while let above = carried[cells.count] {
                    carried[cells.count] = above.rows > 1 ? (above.text, above.rows - 1) : nil
                    cells.append(above.text)
                }
            }
            for cell in Self.cells(row) {
                takeCarried()
                let text =
                    isLeftOut(cell, cell.name, isMain: true) ? "" : inlineText(cell).replacing("\n", with: " ").trimmed
                cellCount += 1
                if cell.name == "th" { headerCount += 1 }
                let rowSpan = min(1000, cell["rowspan"].flatMap { Int($0) } ?? 1)
                if rowSpan > 1, cells.count < 200 { carried[cells.count] = (text, rowSpan - 1) }
                cells.append(text)
                for _ in 1..<max(1, min(50, cell["colspan"].flatMap { Int($0) } ?? 1)) where cells.count < 200 {
                    if rowSpan > 1 { carried[cells.count] = ("", rowSpan - 1) }
                    cells.append("")
                }
            }
            takeCarried()
            let isHeader =
                isInHead || (headerCount == cellCount && cellCount > 1 && index < 3) || (index == 0 && !hasHeader && hasNamedColumns)
            try builder.tableRow(cells, isHeader: isHeader)
            if !page.pendingNotes.isEmpty {
                let header = builder.tableHeader
                try writeNotes()
                builder.beginTable(header: header)
            }
        }
        builder.endTable()
    }

    /// Text that stands in a table but in no cell; browsers show it above.
    private mutating func looseText(_ table: XMLNode, isMain: Bool) throws(Refusal) {
        for node in table.nodes {
            if node.isText {
                inline.append(node.characters)
                continue
            }
            guard node.isElement else { continue }
            switch node.name {
            case "caption", "colgroup", "col": continue
            case "tr", "thead", "tbody", "tfoot":
                for child in node.nodes {
                    if child.isText { inline.append(child.characters) }
                    guard child.name == "tr" else {
                        let isPart = child.name == "td" || child.name == "th" || !child.isElement
                        if !isPart, !isLeftOut(child, child.name, isMain: isMain) { try element(child, child.name, isMain: isMain) }
                        continue
                    }
                    for text in child.nodes where text.isText { inline.append(text.characters) }
                }
            default:
                if !isLeftOut(node, node.name, isMain: isMain) { try element(node, node.name, isMain: isMain) }
            }
            try flush()
        }
        try flush()
    }

    /// A first row of words above columns of numbers, or all in bold, names the columns of a table that has no `th`.
    private static func firstRowNamesColumns(_ rows: [(XMLNode, Bool)], _ isStructured: [Bool]) -> Bool {
        guard rows.count >= 3, !isStructured[0] else { return false }
        let first = cells(rows[0].0)
        guard first.count >= 2, first.allSatisfy({ !$0.text.isBlank && $0.text.trimmed.utf8.count <= 80 }) else { return false }
        if first.allSatisfy(isBold), !rows[1...].prefix(20).contains(where: { cells($0.0).allSatisfy(isBold) }) { return true }
        let texts = rows.prefix(60).map { cells($0.0).map { $0.text.trimmed } }
        return DelimitedTextParser.headerIsOfAnotherKind(texts[0], over: Array(texts[1...]))
    }

    private static func isBold(_ cell: XMLNode) -> Bool {
        let text = cell.text.trimmed
        guard !text.isEmpty else { return false }
        var bold = 0
        cell.visit { child in
            guard child.name == "b" || child.name == "strong" else { return true }
            bold += child.text.trimmed.utf8.count
            return false
        }
        return bold == text.utf8.count
    }

    /// A small table in a cell, in words: `Class Dinghy, Count 31; Class Yawl, Count 4`.
    func flattened(_ table: XMLNode) -> String {
        var names: [String] = []
        var lines: [String] = []
        for (index, (row, isInHead)) in Self.rows(table).enumerated() {
            let cells = Self.cells(row)
            let texts = cells.map { inlineText($0) }
            if index == 0, cells.count > 1, isInHead || cells.allSatisfy({ $0.name == "th" }) {
                names = texts
                continue
            }
            let parts = texts.enumerated().filter { !$1.isBlank }.map { column, text in
                column < names.count && !names[column].isBlank ? names[column] + " " + text : text
            }
            if !parts.isEmpty { lines.append(parts.joined(separator: ", ")) }
        }
        if lines.isEmpty, !names.isEmpty { lines = [names.joined(separator: ", ")] }
        return lines.isEmpty ? table.text : lines.joined(separator: "; ")
    }

    private func headRowCount(_ rows: [(XMLNode, Bool)]) -> Int {
        var count = 0
        for (row, isInHead) in rows.prefix(4) {
            let cells = Self.cells(row)
            guard isInHead || (cells.allSatisfy { $0.name == "th" || $0.text.isBlank } && cells.count > 1) else { break }
            count += 1
        }
        return count < rows.count ? count : 0
    }

    /// Header rows as one: each column gets the texts above it, those that span columns included.
    private func mergedHeader(_ rows: [XMLNode]) -> [String] {
        var columns: [[String]] = []
        var carried: [Int: Int] = [:]
        for row in rows {
            var column = 0
            var next = carried.filter { $0.value > 1 }.mapValues { $0 - 1 }
            for cell in Self.cells(row) {
                while carried[column] != nil { column += 1 }
                let text = inlineText(cell).replacing("\n", with: " ").trimmed
                let rowSpan = max(1, min(100, cell["rowspan"].flatMap { Int($0) } ?? 1))
                for _ in 0..<max(1, min(50, cell["colspan"].flatMap { Int($0) } ?? 1)) where column < 200 {
                    while columns.count <= column { columns.append([]) }
                    if !text.isEmpty, columns[column].last != text { columns[column].append(text) }
                    if rowSpan > 1 { next[column] = rowSpan - 1 }
                    column += 1
                }
            }
            carried = next
        }
        return columns.map { $0.joined(separator: " ") }
    }

    private static func isStructured(_ row: XMLNode, flattensTables: Bool) -> Bool {
        let hasOtherCells = cells(row).count > 1
        return row.children.contains { cell in
            var blockCount = 0
            var isStructured = false
            cell.visit { child in
                switch child.name {
                case "table":
                    if flattensTables, hasOtherCells, isSmallTable(child) { return false }
                    isStructured = true
                case "h1", "h2", "h3", "pre", "form": isStructured = true
                case "p", "div", "li": blockCount += 1
                default: break
                }
                return !isStructured
            }
            return isStructured || blockCount > 12
        }
    }

    /// A table that can be told in a line.
    private static func isSmallTable(_ table: XMLNode) -> Bool {
        var isPlain = true
        table.visit { child in
            switch child.name {
            case "table", "h1", "h2", "h3", "pre", "form", "ul", "ol": isPlain = false
            default: break
            }
            return isPlain
        }
        let rows = rows(table)
        return isPlain && rows.count <= 12 && rows.contains { cells($0.0).count > 1 } && table.text.utf8.count <= 1000
    }

    private static func rows(_ table: XMLNode) -> [(XMLNode, Bool)] {
        var rows: [(XMLNode, Bool)] = []
        for node in table.children {
            switch node.name {
            case "tr": rows.append((node, false))
            case "thead": rows += node.children.filter { $0.name == "tr" }.map { ($0, true) }
            case "tbody", "tfoot": rows += node.children.filter { $0.name == "tr" }.map { ($0, false) }
            default: break
            }
        }
        return rows
    }
}
