/// Brings labels and their values together, which a layout program reads as two columns.
///
///     Surname:        [ Winterbottom ]          Surname: Winterbottom
///     Supply wanted:  [x]                       Supply wanted: [x] yes
///     Berth:  (o) inner  ( ) outer              Berth: [x] inner [ ] outer
///
/// A field knows its value; its label is the text to its left on the same height, or above it, or, for a box that can be ticked, what stands
/// next to it. A label without one is named as the file names it.
enum FormLines {
    /// A run of words of one line without a wide gap.
    private struct Segment {
        var words: [PageContent.Word]
        var line: Int
        var xMin: Float
        var xMax: Float
        var yMin: Float
        var yMax: Float
        var height: Float { yMax - yMin }
        var middle: Float { (yMin + yMax) / 2 }
        var text: String { words.map(\.text).joined(separator: " ") }
        var isLabel: Bool { words.last.map { $0.text.hasSuffix(":") || $0.text.hasSuffix("?") } ?? false }
    }
    private struct Item {
        var label: Int?
        var words: [PageContent.Word]
        var line: Int
        var field: String
    }

    // MARK: - Fields

    /// Writes the fields' values beside their labels.
    static func fill(_ page: inout PageContent, _ widgets: [PDFExtras.Widget]) {
        guard !widgets.isEmpty, widgets.count <= 2000, page.lines.count <= 5000 else { return }
        let grids = RuledTableFinder.grids(page.rules).filter { $0.columnCount >= 3 && $0.rowCount >= 3 }
        var lines = page.lines.map(\.words)
        removeShownValues(from: &lines, widgets)
        let segments = segments(lines)
        let rowHeight = segments.isEmpty ? 10 : segments.map(\.height).sorted()[segments.count / 2]
        let order = widgets.indices.sorted {
            let (one, two) = (widgets[$0].box, widgets[$1].box)
            return abs(one.middle - two.middle) < rowHeight * 0.6 ? one.x0 < two.x0 : one.middle < two.middle
        }
        var items: [Item] = []
        var itemOfSegment: [Int: Int] = [:]
        var loose: [(words: [PageContent.Word], line: Int)] = []

        func nearestLine(_ y: Float) -> Int {
            segments.min { abs($0.middle - y) < abs($1.middle - y) }?.line ?? 0
        }
        func words(_ text: String, at box: PDFExtras.Box, like segment: Int?) -> [PageContent.Word] {
            let parts = text.split(whereSeparator: \.isWhitespace).prefix(5000)
            let yMin = segment.map { segments[$0].yMin } ?? max(box.y0, box.middle - rowHeight / 2)
            let yMax = segment.map { segments[$0].yMax } ?? yMin + rowHeight
            let step = (box.x1 - box.x0) / Float(max(1, parts.count))
            return parts.enumerated().map { index, part in
                let start = box.x0 + step * Float(index)
                return .init(xMin: start, yMin: yMin, xMax: start + max(1, step * 0.8), yMax: yMax, text: String(part))
            }
        }
        func append(_ added: [PageContent.Word], to label: Int?, _ widget: PDFExtras.Widget) {
            if let label, let item = itemOfSegment[label] {
                items[item].words += added
                items[item].field = widget.name
                return
            }
            var all = added
            if let label { all = segments[label].words + added }
            items.append(
                Item(label: label, words: all, line: label.map { segments[$0].line } ?? nearestLine(widget.box.middle), field: widget.name))
            if let label { itemOfSegment[label] = items.count - 1 }
        }

        let cells = cells(widgets, segments)
        for index in order {
            let widget = widgets[index]
            let box = widget.box
            if cells.contains(index) || grids.contains(where: { $0.contains(x: (box.x0 + box.x1) / 2, y: box.middle) }) {
                // In a table with names of its own: the value is a cell's text.
                let text = widget.kind == .text ? widget.value : widget.isOn ? "[x]" : "[ ]"
                loose.append((words(text, at: box, like: nil), nearestLine(box.middle)))
                continue
            }
            let others = widgets.indices.filter { $0 != index }.map { widgets[$0].box }
            let left = labelLeft(of: box, segments, others)
            switch widget.kind {
            case .text:
                let above = labelAbove(box, segments)
                var label = left
                if let above {
                    let gap = left.map { box.x0 - segments[$0].xMax } ?? .infinity
                    if left == nil || (!segments[left!].isLabel && gap > 40) || gap > 250 { label = above }
                }
                if let label {
                    append(words(widget.value, at: box, like: label), to: label, widget)
                } else {
                    append(words(named(widget) + ": " + widget.value, at: box, like: nil), to: nil, widget)
                }
            case .check, .radio:
                let right = labelRight(of: box, segments, others)
                let leftGap = left.map { box.x0 - segments[$0].xMax } ?? .infinity
                let rightGap = right.map { segments[$0].xMin - box.x1 } ?? .infinity
                let mark = widget.isOn ? "[x]" : "[ ]"
                if let right, itemOfSegment[right] == nil, rightGap <= leftGap + 6 || (left.map { segments[$0].isLabel } ?? false) {
                    // Boxes of one question stand in one line, after the question.
                    var added = words(mark, at: box, like: right) + segments[right].words
                    added[0].xMax = min(added[0].xMax, added[min(1, added.count - 1)].xMin)
                    let previous = items.indices.last {
                        items[$0].field == widget.name && !widget.name.isEmpty && widget.kind == .radio
                            && abs((items[$0].words.last?.yMin ?? 0) - added[0].yMin) < rowHeight * 0.6
                    }
                    if let previous {
                        items[previous].words += added
                        itemOfSegment[right] = previous
                    } else if let left, segments[left].isLabel, leftGap < 250 {
                        append(added, to: left, widget)
                        itemOfSegment[right] = itemOfSegment[left]
                    } else {
                        items.append(Item(label: right, words: added, line: segments[right].line, field: widget.name))
                        itemOfSegment[right] = items.count - 1
                    }
                } else {
                    let isGeneric = ["yes", "on", "off", "1", "0", "true", "x", "ja", "oui", "checked", "choice1", ""].contains(
                        widget.value.lowercased())
                    let meaning = isGeneric ? (widget.isOn ? "yes" : "no") : widget.value
                    if let left {
                        let isBeside = !segments[left].isLabel && leftGap < 15
                        if isBeside, itemOfSegment[left] == nil {
                            items.append(
                                Item(
                                    label: left, words: words(mark, at: box, like: left) + segments[left].words, line: segments[left].line,
                                    field: widget.name))
                            itemOfSegment[left] = items.count - 1
                        } else {
                            append(words(mark + " " + meaning, at: box, like: left), to: left, widget)
                        }
                    } else {
                        let name = named(widget)
                        append(words(mark + " " + (isGeneric ? name : name + ": " + widget.value), at: box, like: nil), to: nil, widget)
                    }
                }
            }
        }

        // What is left of the old lines, and the new ones after them.
        var used: [Int: Set<Int>] = [:]
        for segment in itemOfSegment.keys { used[segments[segment].line, default: []].insert(segment) }
        var block = (page.lines.map(\.block).max() ?? 0) + 1
        var result: [PageContent.Line] = []
        for index in lines.indices {
            if let taken = used[index] {
                let rest = segments.indices.filter { segments[$0].line == index && !taken.contains($0) }.flatMap { segments[$0].words }
                if !rest.isEmpty { result.append(.init(words: rest, block: page.lines[index].block)) }
            } else if !lines[index].isEmpty {
                result.append(.init(words: lines[index], block: page.lines[index].block))
            }
            for item in items where item.line == index {
                var line = PageContent.Line(words: item.words, block: block)
                line.isForm = true
                block += 1
                result.append(line)
            }
            for item in loose where item.line == index && !item.words.isEmpty {
                result.append(.init(words: item.words, block: block))
                block += 1
            }
        }
        if lines.isEmpty {
            for item in items {
                var line = PageContent.Line(words: item.words, block: block)
                line.isForm = true
                block += 1
                result.append(line)
            }
        }
        page.lines = result
    }

    /// Fields that are cells of a table without lines: rows of fields where names stand over the first row only.
    private static func cells(_ widgets: [PDFExtras.Widget], _ segments: [Segment]) -> Set<Int> {
        let boxes = widgets.map(\.box)
        func isLevel(_ one: Int, _ two: Int) -> Bool {
            abs(boxes[one].middle - boxes[two].middle) < min(boxes[one].y1 - boxes[one].y0, boxes[two].y1 - boxes[two].y0) * 0.5
        }
        func isStacked(_ one: Int, _ two: Int) -> Bool { abs(boxes[one].x0 - boxes[two].x0) < 4 && abs(boxes[one].x1 - boxes[two].x1) < 6 }
        let texts = widgets.indices.filter { widgets[$0].kind == .text }
        guard texts.count >= 4, texts.count <= 500 else { return [] }
        let nameless = texts.filter { index in
            let others = texts.filter { $0 != index }.map { boxes[$0] }
            return labelLeft(of: boxes[index], segments, others) == nil && labelAbove(boxes[index], segments) == nil
        }
        var result: Set<Int> = []
        for index in nameless {
            let row = texts.filter { isLevel($0, index) }
            let column = texts.filter { isStacked($0, index) }
            guard row.count >= 2, column.count >= 2 else { continue }
            for member in row where texts.contains(where: { $0 != member && isStacked($0, member) }) {
                result.insert(member)
                for other in texts where isStacked(other, member) { result.insert(other) }
            }
        }
        return result
    }

    /// A page shows its fields' values too, as text; the fields themselves say them better.
    private static func removeShownValues(from lines: inout [[PageContent.Word]], _ widgets: [PDFExtras.Widget]) {
        let values = widgets.map { $0.kind == .text ? squeezed($0.value + $0.options.joined()) : "" }
        for index in lines.indices {
            lines[index].removeAll { word in
                widgets.indices.contains { number in
                    guard widgets[number].box.contains(word) else { return false }
                    if widgets[number].kind != .text { return word.text.count <= 2 }
                    let text = squeezed(word.text)
                    return values[number].contains(text) || text.contains(values[number]) || text.allSatisfy { "_.…".contains($0) }
                }
            }
        }
    }

    private static func squeezed(_ text: String) -> String { text.filter { !$0.isWhitespace } }

    private static func named(_ widget: PDFExtras.Widget) -> String {
        if let name = widget.shownName { return name }
        let last = widget.name.split(separator: ".").last.map(String.init) ?? "Field"
        return last.replacing("_", with: " ")
    }

    private static func segments(_ lines: [[PageContent.Word]]) -> [Segment] {
        var result: [Segment] = []
        for (index, words) in lines.enumerated() {
            var open: Segment?
            for word in words {
                if var current = open {
                    let gap = word.xMin - current.xMax
                    let endsLabel = current.isLabel && gap > current.height * 0.6
                    if gap < current.height * 0.8, gap > -current.height * 2, !endsLabel {
                        current.words.append(word)
                        current.xMax = max(current.xMax, word.xMax)
                        current.yMin = min(current.yMin, word.yMin)
                        current.yMax = max(current.yMax, word.yMax)
                        open = current
                        continue
                    }
                    result.append(current)
                }
                open = Segment(words: [word], line: index, xMin: word.xMin, xMax: word.xMax, yMin: word.yMin, yMax: word.yMax)
            }
            if let open { result.append(open) }
        }
        return result
    }

    private static func isLevel(_ segment: Segment, _ box: PDFExtras.Box) -> Bool {
        let overlap = min(segment.yMax, box.y1 + 1) - max(segment.yMin, box.y0 - 1)
        return overlap > 0.5 * min(segment.height, box.y1 - box.y0)
    }

    private static func labelLeft(of box: PDFExtras.Box, _ segments: [Segment], _ others: [PDFExtras.Box]) -> Int? {
        let found = segments.indices.filter {
            segments[$0].xMax <= box.x0 + 3 && box.x0 - segments[$0].xMax < 320 && isLevel(segments[$0], box)
        }.max { segments[$0].xMax < segments[$1].xMax }
        guard let found else { return nil }
        let isApart = others.contains {
            $0.x0 > segments[found].xMax - 3 && $0.x1 < box.x0 + 3 && min($0.y1, box.y1) - max($0.y0, box.y0) > 0
        }
        return isApart ? nil : found
    }

    private static func labelRight(of box: PDFExtras.Box, _ segments: [Segment], _ others: [PDFExtras.Box]) -> Int? {
        let found = segments.indices.filter {
            segments[$0].xMin >= box.x1 - 3 && segments[$0].xMin - box.x1 < 40 && isLevel(segments[$0], box)
        }.min { segments[$0].xMin < segments[$1].xMin }
        guard let found else { return nil }
        let isApart = others.contains {
            $0.x1 < segments[found].xMin + 3 && $0.x0 > box.x1 - 3 && min($0.y1, box.y1) - max($0.y0, box.y0) > 0
        }
        return isApart ? nil : found
    }

    private static func labelAbove(_ box: PDFExtras.Box, _ segments: [Segment]) -> Int? {
        segments.indices.filter {
            let segment = segments[$0]
            let gap = box.y0 - segment.yMax
            return gap > -segment.height * 0.4 && gap < segment.height * 1.3 && segment.xMin < box.x1 && segment.xMin > box.x0 - 12
                && segment.words.count <= 12
        }.min { abs(segments[$0].xMin - box.x0) < abs(segments[$1].xMin - box.x0) }
    }

    // MARK: - Labels on paper

    /// Joins "Flight number:" with the text at its height, for forms without fields.
    ///
    /// - Parameters:
    ///   - lines: In reading order; a value's line becomes nil when its label took it.
    ///   - isTaken: Lines that belong to tables.
    static func joinLabels(_ lines: inout [PageContent.Line?], isTaken: (Int) -> Bool) {
        guard lines.count <= 2000 else { return }
        let candidates = lines.indices.filter { index in
            guard let line = lines[index], !line.isForm, !isTaken(index), line.words.count <= 8, let last = line.words.last else {
                return false
            }
            return last.text.hasSuffix(":") && last.text.count > 1
        }
        for index in candidates {
            guard let label = lines[index] else { continue }
            let top = label.words.map(\.yMin).min()!
            let bottom = label.words.map(\.yMax).max()!
            let onRow = lines.indices.filter { other in
                guard other != index, let line = lines[other], !line.isForm, !isTaken(other), line.xMin > label.xMax - 1 else {
                    return false
                }
                let overlap = min(bottom, line.words[0].yMax) - max(top, line.words[0].yMin)
                return overlap > 0.45 * min(bottom - top, line.words[0].height)
            }
            guard let nearest = onRow.min(by: { lines[$0]!.xMin < lines[$1]!.xMin }), let value = lines[nearest],
                value.xMin - label.xMax < 280, value.words.last?.text.hasSuffix(":") != true, value.words.count <= 25
            else { continue }
            // A title over a list: what it names stands below it.
            let headsList = lines.indices.contains { other in
                guard other != index, let line = lines[other], line.words.last?.text.hasSuffix(":") != true else { return false }
                let gap = line.words[0].yMin - bottom
                return gap > -2 && gap < (bottom - top) * 1.2 && abs(line.xMin - label.xMin) < 4 && line.xMin < label.xMax
            }
            if headsList { continue }
            // Values of several lines stand under each other; a passage beside a label is no value.
            let more = lines.indices.filter { other in
                other != nearest && lines[other]?.block == value.block && !isTaken(other)
                    && lines[other]!.words[0].yMin > value.words[0].yMin
            }
            let nextLabel =
                candidates.compactMap { lines[$0] }.filter { $0.words[0].yMin > bottom - 1 && abs($0.xMin - label.xMin) < 40 }
                .map { $0.words[0].yMin }.min() ?? .infinity
            let own = more.filter { lines[$0]!.words[0].yMin < nextLabel - 3 }
            guard own.count <= 5 else { continue }
            var joined = PageContent.Line(words: label.words + value.words + own.flatMap { lines[$0]!.words }, block: label.block)
            joined.isForm = true
            lines[index] = joined
            lines[nearest] = nil
            for other in own { lines[other] = nil }
        }
    }
}
