/// The styles of an OpenDocument file, as far as they change what a text says: its height, lines through it, symbol fonts, what is
/// hidden, and the numbers of lists and headings.
struct OpenDocumentStyles {
    struct Format {
        var position: ScriptText.Position?
        var isStruck: Bool?
        var isHidden: Bool?
        var font: String?

        func over(_ base: Format) -> Format {
            Format(
                position: position ?? base.position, isStruck: isStruck ?? base.isStruck, isHidden: isHidden ?? base.isHidden,
                font: font ?? base.font)
        }
    }
    struct Level {
        /// "1", "a", "A", "i", "I", or "" for none; nil for a bullet.
        var format: String?
        var prefix = ""
        var suffix = ""
        var start = 1
        /// How many levels the number shows, this one included.
        var shownLevels = 1
        var isBox = false
    }

    private var formats: [String: Format] = [:]
    private var parents: [String: String] = [:]
    private var defaults: [String: Format] = [:]
    private var lists: [String: [Int: Level]] = [:]
    private(set) var outline: [Int: Level] = [:]
    private var fonts: [String: SymbolFont] = [:]
    private var listOfStyle: [String: String] = [:]
    /// Names of styles whose tables, columns, rows or slides are not shown.
    private var hidden: Set<String> = []
    private(set) var endnoteFormat = "i"

    init() {}

    /// Reads the styles of `styles.xml` and `content.xml`; later ones of one name win.
    init(_ roots: [XMLNode]) {
        for root in roots {
            for face in root.first("font-face-decls")?.nodes.filter(\.isElement) ?? [] {
                if let name = face["name"], let font = SymbolFont(name: Self.unquoted(face["font-family"] ?? name)) { fonts[name] = font }
            }
            for group in ["styles", "automatic-styles"] {
                for node in root.first(group)?.nodes.filter(\.isElement) ?? [] { read(node) }
            }
        }
    }

    private static func unquoted(_ name: String) -> String { name.trimmed.filter { $0 != "'" && $0 != "\"" } }

    private mutating func read(_ node: XMLNode) {
        let family = node["family"] ?? ""
        switch node.name {
        case "default-style": defaults[family] = format(node)
        case "style":
            guard let name = node["name"] else { return }
            let key = family + "/" + name
            formats[key] = format(node)
            if let parent = node["parent-style-name"] { parents[key] = family + "/" + parent }
            if let list = node["list-style-name"], !list.isEmpty { listOfStyle[name] = list }
            let shows = [
                node.first("table-properties")?["display"], node.first("drawing-page-properties")?["visibility"],
                node.first("section-properties")?["display"],
            ]
            if shows.contains(where: { $0 == "false" || $0 == "hidden" || $0 == "none" }) { hidden.insert(key) }
        case "list-style": if let name = node["name"] { lists[name] = levels(node) }
        case "outline-style": outline = levels(node)
        case "notes-configuration":
            if node["note-class"] == "endnote", let format = node["num-format"], !format.isEmpty { endnoteFormat = format }
        default: break
        }
    }

    private func format(_ style: XMLNode) -> Format {
        var format = Format()
        guard let properties = style.first("text-properties") else { return format }
        if let position = properties["text-position"]?.split(separator: " ").first {
            // "super 58%", "-33% 58%", "0% 100%".
            let shift = Double(position.filter { $0 != "%" }) ?? 0
            format.position = position == "super" || shift > 0 ? .raised : position == "sub" || shift < 0 ? .lowered : .baseline
        }
        if let line = properties["text-line-through-style"] { format.isStruck = line != "none" }
        if let type = properties["text-line-through-type"], format.isStruck == nil { format.isStruck = type != "none" }
        if let display = properties["display"] { format.isHidden = display == "none" }
        if let font = properties["font-name"] ?? properties["font-family"] { format.font = Self.unquoted(font) }
        return format
    }

    private func levels(_ node: XMLNode) -> [Int: Level] {
        var levels: [Int: Level] = [:]
        for child in node.children {
            guard let index = child["level"].flatMap({ Int($0) }), (1...20).contains(index) else { continue }
            var level = Level()
            switch child.name {
            case "list-level-style-number", "outline-level-style":
                level.format = child["num-format"] ?? ""
                level.prefix = child["num-prefix"] ?? ""
                level.suffix = child["num-suffix"] ?? ""
                level.start = child["start-value"].flatMap { Int($0) } ?? 1
                level.shownLevels = max(1, min(index, child["display-levels"].flatMap { Int($0) } ?? 1))
            case "list-level-style-bullet": level.isBox = ["\u{2610}", "\u{F06F}", "\u{F0A8}"].contains(child["bullet-char"] ?? "")
            default: break
            }
            levels[index - 1] = level
        }
        return levels
    }

    // MARK: - Asking

    /// How text in a style of a family looks.
    func format(_ family: String, _ name: String?) -> Format {
        var format = Format()
        var next = name.map { family + "/" + $0 }
        for _ in 0..<20 {
            guard let key = next else { break }
            if let own = formats[key] { format = format.over(own) }
            next = parents[key]
        }
        return format.over(defaults[family] ?? Format())
    }

    func symbolFont(_ format: Format) -> SymbolFont? { format.font.flatMap { fonts[$0] ?? SymbolFont(name: $0) } }

    func isHidden(_ family: String, _ name: String?) -> Bool { name.map { hidden.contains(family + "/" + $0) } ?? false }

    func level(_ list: String?, _ index: Int) -> Level? { list.flatMap { lists[$0]?[index] } }

    /// The marker of an item that was counted, or nil where its level has none.
    static func marker(_ level: Level, values: [Int], formats: [String]) -> String? {
        guard let format = level.format, !format.isEmpty || level.shownLevels > 1 else { return nil }
        let shown = zip(values, formats).suffix(level.shownLevels).map { number($0.0, $0.1) }.filter { !$0.isEmpty }
        guard !shown.isEmpty else { return nil }
        return (level.prefix + shown.joined(separator: ".") + level.suffix).trimmed + " "
    }

    static func number(_ value: Int, _ format: String) -> String {
        switch format {
        case "": ""
        case "a": WordParser.format(value, "lowerLetter")
        case "A": WordParser.format(value, "upperLetter")
        case "i": WordParser.format(value, "lowerRoman")
        case "I": WordParser.format(value, "upperRoman")
        default: String(value)
        }
    }
}
