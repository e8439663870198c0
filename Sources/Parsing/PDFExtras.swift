/// What a PDF holds beside its page text: form fields, notes, links, bookmarks, ruling lines.
struct PDFExtras {
    /// An area of a page in the coordinates of `PageContent`.
    struct Box {
        var x0: Float
        var y0: Float
        var x1: Float
        var y1: Float
        var middle: Float { (y0 + y1) / 2 }
        func contains(_ word: PageContent.Word) -> Bool {
            let x = (word.xMin + word.xMax) / 2
            let y = (word.yMin + word.yMax) / 2
            return x > x0 - 1 && x < x1 + 1 && y > y0 - 1 && y < y1 + 1
        }
    }
    struct Widget {
        enum Kind { case text, check, radio }
        var kind: Kind
        /// The full name, and the one that is shown to people.
        var name: String
        var shownName: String?
        /// What was written or chosen; for a box that can be ticked, what ticking it says.
        var value: String
        /// What else could have been chosen, and may be shown in a list.
        var options: [String] = []
        var isOn = false
        var box: Box
    }
    struct Note {
        var author: String?
        var text: String
        var kind: String
        var box: Box
    }
    struct Link {
        var target: String
        var box: Box
    }
    struct Page {
        var widgets: [Widget] = []
        var notes: [Note] = []
        var links: [Link] = []
    }
    struct Bookmark {
        var title: String
        /// 1 is the outermost.
        var level: Int
        /// Counted from 0.
        var page: Int?
    }
    private(set) var pages: [Page] = []
    private(set) var bookmarks: [Bookmark] = []

    private static let itemCountMax = 20_000
    private let file: PDFFile
    private var itemCount = 0
    private var pageIndex: [Int: Int] = [:]

    /// Reads everything but the ruling lines. `pages` are those of `file.pages()`.
    init(_ file: PDFFile, pages dictionaries: [[String: PDFObject]]) {
        self.file = file
        for (index, page) in dictionaries.enumerated() {
            if let number = file.integer(page["\u{0}number"]) { pageIndex[number] = index }
        }
        for page in dictionaries { pages.append(read(page)) }
        readBookmarks()
    }

    private mutating func read(_ page: [String: PDFObject]) -> Page {
        var result = Page()
        guard let annotations = file.array(page["Annots"]), !annotations.isEmpty else { return result }
        let matrix = RuleScanner.placement(of: page, in: file)
        for object in annotations {
            itemCount += 1
            guard itemCount < Self.itemCountMax, let annotation = file.dictionary(object),
                let corners = file.array(annotation["Rect"])?.map({ file.number($0) ?? 0 }), corners.count == 4
            else { continue }
            // Hidden, or not shown on screens.
            let flags = file.integer(annotation["F"]) ?? 0
            if flags & 0x22 != 0 { continue }
            let one = matrix.apply(corners[0], corners[1])
            let two = matrix.apply(corners[2], corners[3])
            let box = Box(x0: min(one.x, two.x), y0: min(one.y, two.y), x1: max(one.x, two.x), y1: max(one.y, two.y))
            let kind = file.name(annotation["Subtype"]) ?? ""
            switch kind {
            case "Widget": if let widget = widget(annotation, box) { result.widgets.append(widget) }
            case "Link":
                guard let action = file.dictionary(annotation["A"]), file.name(action["S"]) == "URI",
                    let target = file.text(action["URI"])?.trimmed, !target.isEmpty, target.utf8.count <= 2000
                else { continue }
                result.links.append(Link(target: target, box: box))
            case "Popup", "": break
            default:
                guard let text = file.text(annotation["Contents"])?.trimmed, !text.isEmpty, text.utf8.count <= 100_000 else { continue }
                let author = file.text(annotation["T"])?.trimmed
                result.notes.append(Note(author: author?.isEmpty == false ? author : nil, text: text, kind: kind, box: box))
            }
        }
        return result
    }

    /// A field's properties may stand in the widget or in any of its parents (12.7.3).
    private func widget(_ annotation: [String: PDFObject], _ box: Box) -> Widget? {
        var inherited: [String: PDFObject] = [:]
        var names: [String] = []
        var shownName: String?
        var node: [String: PDFObject]? = annotation
        var depth = 0
        while let field = node, depth < 16 {
            depth += 1
            for key in ["FT", "V", "Ff", "Opt", "DV"] where inherited[key] == nil { inherited[key] = field[key] }
            if let name = file.text(field["T"])?.trimmed, !name.isEmpty { names.insert(name, at: 0) }
            if shownName == nil, let name = file.text(field["TU"])?.trimmed, !name.isEmpty { shownName = name }
            node = file.dictionary(field["Parent"])
        }
        let flags = file.integer(inherited["Ff"]) ?? 0
        let name = names.joined(separator: ".")
        switch file.name(inherited["FT"]) {
        case "Tx":
            // A password is not shown on the page either.
            guard flags & 1 << 13 == 0, let value = file.text(inherited["V"])?.trimmed, !value.isEmpty else { return nil }
            return Widget(kind: .text, name: name, shownName: shownName, value: value, box: box)
        case "Ch":
            var values: [String] = []
            if let several = file.array(inherited["V"]) {
                values = several.compactMap { file.text($0) }
            } else if let value = file.text(inherited["V"]) {
                values = [value]
            }
            var shown: [String: String] = [:]
            var options: [String] = []
            for option in (file.array(inherited["Opt"]) ?? []).prefix(5000) {
                if let pair = file.array(option), pair.count == 2, let export = file.text(pair[0]), let text = file.text(pair[1]) {
                    shown[export] = text
                    options.append(text)
                } else if let text = file.text(option) {
                    options.append(text)
                }
            }
            let value = values.map { shown[$0] ?? $0 }.joined(separator: ", ").trimmed
            guard !value.isEmpty else { return nil }
            return Widget(kind: .text, name: name, shownName: shownName, value: value, options: options, box: box)
        case "Btn":
            guard flags & 1 << 16 == 0 else { return nil }
            let states = (file.dictionary(file.dictionary(annotation["AP"])?["N"]) ?? [:]).keys.filter { $0 != "Off" }
            let chosen = file.name(inherited["V"]) ?? file.text(inherited["V"])
            let state = file.name(annotation["AS"])
            let on = states.sorted().first ?? (state == "Off" ? nil : state) ?? chosen ?? "Yes"
            let isOn: Bool
            if let state {
                isOn = state != "Off"
            } else {
                isOn = chosen != nil && chosen != "Off" && (states.isEmpty || chosen == on)
            }
            var value = on
            if let options = file.array(inherited["Opt"]), let index = Int(on), options.indices.contains(index),
                let text = file.text(options[index])
            {
                value = text
            }
            return Widget(
                kind: flags & 1 << 15 != 0 ? .radio : .check, name: name, shownName: shownName, value: value, isOn: isOn, box: box)
        default: return nil
        }
    }

    private mutating func readBookmarks() {
        guard let outline = file.dictionary(file.root["Outlines"]) else { return }
        var seen: Set<Int> = []
        var found: [Bookmark] = []
        func walk(_ first: PDFObject?, _ level: Int) {
            var next = first
            while let object = next, found.count < 5000, level <= 16 {
                if case .reference(let number) = object, !seen.insert(number).inserted { return }
                guard let item = file.dictionary(object) else { return }
                if let title = file.text(item["Title"])?.trimmed, !title.isEmpty, title.utf8.count <= 1000 {
                    found.append(Bookmark(title: title, level: level, page: destination(item)))
                }
                walk(item["First"], level + 1)
                next = item["Next"]
            }
        }
        walk(outline["First"], 1)
        bookmarks = found
    }

    private func destination(_ item: [String: PDFObject]) -> Int? {
        var target = file.resolve(item["Dest"])
        if case .null = target, let action = file.dictionary(item["A"]), file.name(action["S"]) == "GoTo" {
            target = file.resolve(action["D"])
        }
        var name: String?
        switch target {
        case .name(let text): name = text
        case .string(let bytes): name = PDFFile.text(bytes)
        default: break
        }
        if let name {
            target = file.resolve(file.dictionary(file.root["Dests"])?[name] ?? named(name))
            if case .dictionary(let dictionary) = target { target = file.resolve(dictionary["D"]) }
        }
        guard case .array(let parts) = target, let first = parts.first else { return nil }
        if case .reference(let number) = first { return pageIndex[number] }
        return file.integer(first)
    }

    /// Looks a name up in the tree of destinations (7.9.6).
    private func named(_ name: String) -> PDFObject? {
        var left = 2000
        func find(_ object: PDFObject?, _ depth: Int) -> PDFObject? {
            left -= 1
            guard depth < 32, left > 0, let node = file.dictionary(object) else { return nil }
            if let limits = file.array(node["Limits"]), limits.count == 2, let low = file.text(limits[0]), let high = file.text(limits[1]),
                !low.isEmpty, name < low || name > high
            {
                return nil
            }
            if let names = file.array(node["Names"]) {
                for index in stride(from: 0, to: names.count - 1, by: 2) where file.text(names[index]) == name { return names[index + 1] }
            }
            for kid in file.array(node["Kids"]) ?? [] { if let found = find(kid, depth + 1) { return found } }
            return nil
        }
        return find(file.dictionary(file.root["Names"])?["Dests"], 0)
    }
}
