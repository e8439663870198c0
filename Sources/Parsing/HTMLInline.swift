import CLibXML2
import Foundation

/// Gathers the running text of HTML, keeping what its marks mean: raised numbers, link targets, boxes and their state, note marks.
///
/// It is told of each element's start and end, so that it serves a recursive walk and a flat one alike.
struct HTMLInline {
    private(set) var text = ""
    private let page: HTMLPage
    var showsTargets: Bool
    /// Elements whose text must be looked at when they end. `start` is an offset in UTF-8.
    private var open: [Mark] = []
    private var generation = 0
    /// The last thing written was a raised or lowered number; a digit must not continue it.
    private var endsInScript = false

    private struct Mark {
        enum Kind { case link, raised, lowered }
        var kind: Kind
        var node: XMLNode
        var start: Int
        var generation: Int
        var isNote = false
        var href = ""
    }

    init(page: HTMLPage, showsTargets: Bool = true) {
        self.page = page
        self.showsTargets = showsTargets
    }

    mutating func append(_ characters: String) {
        guard !characters.isEmpty else { return }
        if endsInScript, let first = characters.utf8.first {
            if (0x30...0x39).contains(first), open.last?.kind != .raised { text += " " }
            endsInScript = false
        }
        text += characters
    }

    mutating func lineBreak() { text += "\u{2028}" }

    /// Gives what was gathered, and starts anew.
    mutating func take() -> String {
        generation += 1
        endsInScript = false
        defer { text = "" }
        return text
    }

    /// Whether to go into an element of running text; one that was gone into must be left.
    mutating func enter(_ node: XMLNode, _ name: String) -> Bool {
        switch name {
        case "br": lineBreak()
        case "wbr", "rp", "annotation", "annotation-xml": break
        case "img":
            if let alternative = node["alt"], alternative.utf8.count > 2, !Self.isGenerated(alternative) { append(" \(alternative) ") }
        case "input": append(Self.state(of: node))
        case "select": append(Self.chosen(of: node))
        case "sup":
            begin(.raised, node)
            return true
        case "sub":
            begin(.lowered, node)
            return true
        case "a":
            begin(.link, node)
            return true
        default:
            if let role = node.pointer.pointee.properties == nil ? nil : node["role"] {
                switch role {
                case "img", "graphics-symbol":
                    if let label = node["aria-label"] { append(" \(label) ") }
                    return node["aria-label"] == nil
                case "checkbox", "radio", "switch", "menuitemcheckbox":
                    if let state = node["aria-checked"] { append(state == "true" ? " [x] " : state == "false" ? " [ ] " : " ") }
                default: break
                }
            }
            if let raised = Self.height(of: node, name) {
                begin(raised ? .raised : .lowered, node)
            } else if let parent = node.parent?.name, parent == "mfrac", node.sibling(forward: false, overText: true) != nil {
                append("/")
            }
            return true
        }
        return false
    }

    private mutating func begin(_ kind: Mark.Kind, _ node: XMLNode) {
        var mark = Mark(kind: kind, node: node, start: text.utf8.count, generation: generation)
        if kind == .link {
            mark.href = (node["href"] ?? "").trimmed
            mark.isNote = HTMLPage.isNoteReference(node)
        }
        open.append(mark)
    }

    mutating func leave(_ node: XMLNode) {
        guard let mark = open.last, mark.node.pointer == node.pointer else { return }
        open.removeLast()
        // A block ended meanwhile: what it held is written.
        let start = text.utf8.index(text.startIndex, offsetBy: mark.generation == generation ? mark.start : 0)
        let own = String(text[start...])
        switch mark.kind {
        case .link: leaveLink(mark, own, start)
        case .raised:
            guard !own.isBlank else { return }
            text.removeSubrange(start...)
            let isNote = mark.isNote || open.last.map { $0.kind == .link && Self.isReference($0.href) } ?? false
            if isNote, Self.isNoteMark(own) {
                text += Self.bracketed(own)
                if let link = open.last, link.kind == .link { remember(link.href, own) }
            } else {
                text += ScriptText.raised(own, after: text)
                endsInScript = text.last?.isNumber == true
            }
        case .lowered:
            guard !own.isBlank else { return }
            text.removeSubrange(start...)
            ScriptText.appendLowered(own, to: &text)
            endsInScript = text.last?.isNumber == true
        }
    }

    private mutating func leaveLink(_ mark: Mark, _ own: String, _ start: String.Index) {
        let label = own.trimmed
        if Self.isReference(mark.href) {
            let isRaised = open.last?.kind == .raised
            guard isRaised || mark.isNote else {
                // Arrows back from a note to its mark say nothing.
                if Self.isBackLink(label) { text.removeSubrange(start...) }
                return
            }
            guard Self.isNoteMark(label) else { return }
            if isRaised {
                open[open.count - 1].isNote = true
            } else {
                text.removeSubrange(start...)
                text += Self.bracketed(own)
            }
            return remember(mark.href, own)
        }
        guard showsTargets, !label.isEmpty, mark.generation == generation, label.contains(where: { $0.isLetter || $0.isNumber }),
            let target = page.target(mark.href), let shown = page.shownTarget(target, after: label)
        else { return }
        let tail = String(own.reversed().prefix { $0.isWhitespace })
        if !tail.isEmpty { text.removeLast(tail.count) }
        text += " (\(shown))" + tail
    }

    /// Has the note that a mark leads to written behind this block. A mark at the start of a block leads back from a note to its place.
    private func remember(_ href: String, _ mark: String) {
        let before = text.hasSuffix(Self.bracketed(mark)) ? text.dropLast(Self.bracketed(mark).count) : text.dropLast(mark.count)
        guard !before.isBlank, let note = page.note(href) else { return }
        page.remember(note, label: Self.label(mark))
    }

    /// A link within the document: to a place on the page, or in another file of a book.
    private static func isReference(_ href: String) -> Bool { href.contains("#") && HTMLPage.scheme(href) == nil && !href.hasPrefix("//") }

    /// What marks a note: a number, a sign, a letter, perhaps in brackets.
    private static func isNoteMark(_ text: String) -> Bool {
        let core = text.trimmed
        guard (1...8).contains(core.count) else { return false }
        return core.allSatisfy { $0.isNumber || "[]()*†‡§¶.,–- ".contains($0) } || core.count <= 4
    }

    private static func label(_ text: String) -> String { text.trimmed.filter { !"[]().".contains($0) } }

    private static func bracketed(_ text: String) -> String {
        let core = text.trimmed
        guard let first = core.first, !"[(*†‡§".contains(first) else { return core }
        return "[\(core)]"
    }

    private static func isBackLink(_ text: String) -> Bool {
        !text.isEmpty && text.unicodeScalars.allSatisfy { "↩↑↵⏎⮌⇧⤴^\u{FE0E}\u{FE0F} ".unicodeScalars.contains($0) }
    }

    // MARK: - Form fields

    private static func state(of input: XMLNode) -> String {
        if HTMLPage.isHidden(input) { return "" }
        switch input["type"]?.lowercased() ?? "text" {
        case "checkbox", "radio": return input["checked"] != nil || input["aria-checked"] == "true" ? " [x] " : " [ ] "
        case "text", "number", "date", "datetime-local", "time", "month", "week", "email", "tel", "url", "search", "range", "":
            return input["value"].map { " \($0) " } ?? ""
        default: return ""
        }
    }

    /// The chosen options of a list, where the page says which.
    private static func chosen(of select: XMLNode) -> String {
        let chosen = select.descendants.filter { $0.name == "option" && $0["selected"] != nil }.map { $0.text.trimmed }
        let words = chosen.filter { !$0.isEmpty }.joined(separator: ", ")
        return words.isEmpty ? "" : " \(words) "
    }

    // MARK: - Heights

    /// True for raised, false for lowered text that is not marked by `sup` and `sub`; nil for the rest.
    private static func height(of node: XMLNode, _ name: String) -> Bool? {
        if node.pointer.pointee.properties != nil, name == "span" || name == "small" || name == "font" || name == "i" || name == "em",
            let style = node["style"]?.lowercased(), style.contains("vertical-align")
        {
            let packed = style.filter { !$0.isWhitespace }
            if packed.contains("vertical-align:super") { return true }
            if packed.contains("vertical-align:sub") { return false }
        }
        // Formulas: the second of msup, the second and third of msubsup.
        guard let parent = node.parent?.name, parent == "msup" || parent == "msubsup" || parent == "msub" else { return nil }
        guard let before = node.sibling(forward: false, overText: true) else { return nil }
        if parent == "msubsup" { return before.sibling(forward: false, overText: true) != nil }
        return parent == "msup"
    }

    /// Alternative texts that name a file, not a picture.
    private static func isGenerated(_ text: String) -> Bool {
        let lowered = text.lowercased()
        return [".png", ".jpg", ".gif", ".jpeg", ".svg", ".webp"].contains { lowered.hasSuffix($0) } || lowered == "image"
            || lowered == "logo" || lowered == "icon"
    }

    /// The words of an element without a look at the page around it.
    static func plainText(_ node: XMLNode) -> String {
        var text = ""
        node.visit { child in
            if child.isText { text += child.characters }
            switch child.name {
            case "script", "style", "template", "svg": return false
            default: return true
            }
        }
        return HTMLParser.collapse(text)
    }
}
