/// Counts the numbered paragraphs of a DOCX (ECMA-376 part 1, 17.9).
///
/// A paragraph names an instance (`num`) of a definition (`abstractNum`). Instances of one definition count on together, unless an instance
/// says where it starts: then it starts there once, at its first paragraph.
struct WordNumbering {
    private struct Level {
        var format: String
        var text: String
        var start: Int
        /// Starts anew after levels above this one; nil after any, 0 after none.
        var restart: Int?
        var isLegal: Bool
        var style: String?
    }
    private struct Instance {
        var definition: String
        var levels: [Int: Level]
        var starts: [Int: Int] = [:]
    }

    private var instances: [String: Instance] = [:]
    private var counters: [String: [Int: Int]] = [:]
    private var begun: Set<String> = []

    init() {}

    /// Reads `numbering.xml`.
    ///
    /// - Parameter listOfStyle: The instance that a style names, for definitions that refer to one by its style.
    init(_ root: XMLNode, listOfStyle: (String) -> String?) {
        var definitions: [String: (levels: [Int: Level], link: String?)] = [:]
        var byStyle: [String: String] = [:]
        for node in root.children where node.name == "abstractNum" {
            guard let id = node["abstractNumId"] else { continue }
            var levels: [Int: Level] = [:]
            for level in node.children where level.name == "lvl" {
                if let index = level["ilvl"].flatMap({ Int($0) }) { levels[index] = Self.level(level) }
            }
            definitions[id] = (levels, node.first("numStyleLink")?["val"])
            if let style = node.first("styleLink")?["val"] { byStyle[style] = id }
        }
        var sources: [String: String] = [:]
        for node in root.children where node.name == "num" {
            if let id = node["numId"], let source = node.first("abstractNumId")?["val"] { sources[id] = source }
        }
        for node in root.children where node.name == "num" {
            guard let id = node["numId"], var source = sources[id] else { continue }
            if let style = definitions[source]?.link, let linked = byStyle[style] ?? listOfStyle(style).flatMap({ sources[$0] }) {
                source = linked
            }
            var instance = Instance(definition: source, levels: definitions[source]?.levels ?? [:])
            for change in node.children where change.name == "lvlOverride" {
                guard let index = change["ilvl"].flatMap({ Int($0) }) else { continue }
                if let level = change.first("lvl") { instance.levels[index] = Self.level(level) }
                if let start = change.first("startOverride")?["val"].flatMap({ Int($0) }) { instance.starts[index] = start }
            }
            instances[id] = instance
        }
    }

    private static func level(_ node: XMLNode) -> Level {
        let legal = node.first("isLgl")
        return Level(
            format: node.first("numFmt")?["val"] ?? "decimal", text: node.first("lvlText")?["val"] ?? "",
            start: node.first("start")?["val"].flatMap { Int($0) } ?? 1,
            restart: node.first("lvlRestart")?["val"].flatMap { Int($0) },
            isLegal: legal != nil && !["0", "false", "off"].contains(legal?["val"] ?? "1"), style: node.first("pStyle")?["val"])
    }

    /// The level that belongs to a paragraph style.
    func level(in list: String, ofStyle style: String?) -> Int? {
        guard let style else { return nil }
        return instances[list]?.levels.first { $0.value.style == style }?.key
    }

    /// Counts a paragraph and gives its marker with a blank after it: `"3.2 "`, or `"- "`.
    mutating func marker(list: String, level: Int) -> String {
        guard let instance = instances[list], let definition = instance.levels[level] else { return "- " }
        var state = counters[instance.definition] ?? [:]
        if let start = instance.starts[level], begun.insert("\(list) \(level)").inserted { state[level] = start - 1 }
        state[level] = min(1_000_000_000, max(-1, state[level] ?? (instance.starts[level] ?? definition.start) - 1)) + 1
        for deeper in state.keys where deeper > level {
            let restart = instance.levels[deeper]?.restart
            if restart == nil || restart! > level { state[deeper] = nil }
        }
        counters[instance.definition] = state
        if definition.format == "bullet" {
            // Boxes to be ticked by hand.
            return ["\u{F06F}", "\u{F0A8}", "\u{2610}"].contains(definition.text) ? "- [ ] " : "- "
        }
        var text = definition.text
        for index in 0...8 {
            guard text.contains("%\(index + 1)") else { continue }
            let value = state[index] ?? instance.levels[index]?.start ?? 1
            let format = definition.isLegal ? "decimal" : instance.levels[index]?.format ?? "decimal"
            text = text.replacing("%\(index + 1)", with: WordParser.format(value, format))
        }
        return text.isBlank ? "- " : SymbolFont.readPrivate(text).trimmed + " "
    }
}
