import CLibXML2
import Foundation

/// What must be known of a whole page before its parts can be read: where its links lead, which hidden parts a control on the page
/// opens, and which notes belong to which marks.
///
/// Hidden is not hidden: an answer that opens with a press of its question is text that a reader of the page can read, a menu or
/// a dialog is not. So a hidden part is text when something on the page opens it:
///
///     <button aria-controls="a1">How long?</button>      by id: aria-controls, href="#a1", data-target, label for
///     <div id="a1" hidden>Thirty-one months.</div>       or by name: aria-labelledby
///
///     <h3><button>How long?</button></h3>                or by place: it follows a heading with a button, or headings
///     <div hidden>Thirty-one months.</div>               are followed by hidden parts again and again
final class HTMLPage {
    /// Which links show where they lead.
    enum Targets {
        /// All; what is relative is resolved if the page has a base, and kept as it is otherwise.
        case all
        /// Those with a scheme: the others lead to parts of the same book, or nowhere.
        case absolute
        case none
    }

    let targets: Targets
    /// Whether older mail in a mail gets marks of quotation.
    let marksQuotes: Bool
    /// A part of a book: its tables of contents and page numbers are left out, nothing else is navigation.
    let isBook: Bool
    /// Names of the places with these ids, from a book's table of contents, where the text itself has no headings.
    var sectionNames: [String: String] = [:]
    private let base: URL?
    /// A page with a link in every line, as encyclopedias have: only links to other hosts show where they lead.
    private let isDenselyLinked: Bool
    private var controlledIDs: Set<String> = []
    private var elements: [String: XMLNode] = [:]
    private var tabNames: [xmlNodePtr: String] = [:]
    private var tabsWithPanel: Set<xmlNodePtr> = []
    /// Parents in which headings, terms or buttons are followed by hidden parts at least twice.
    private var collapsingParents: Set<xmlNodePtr> = []
    /// Finds the note that a link leads to, outside of this page.
    private let findNote: ((String) -> XMLNode?)?

    // What was written so far; `reset` begins anew.
    private var shownTargets: Set<String> = []
    private let register: NoteRegister
    /// Marks whose notes have to follow the block that is being read.
    private(set) var pendingNotes: [(label: String, note: XMLNode)] = []

    /// Which notes are written, over all files of a book.
    final class NoteRegister {
        fileprivate var written: Set<xmlNodePtr> = []
    }

    /// - Parameters:
    ///   - register: Shared by the files of a book.
    ///   - findNote: For links that leave this tree, in a book of several files.
    init(
        _ root: XMLNode, targets: Targets = .all, marksQuotes: Bool = false, isBook: Bool = false, register: NoteRegister = NoteRegister(),
        findNote: ((String) -> XMLNode?)? = nil
    ) {
        self.findNote = findNote
        self.register = register
        self.marksQuotes = marksQuotes
        self.isBook = isBook
        self.targets = targets
        var base: URL?
        var canonical: URL?
        var controls: [(name: String, node: XMLNode)] = []
        var tabs: [XMLNode] = []
        var panels: [XMLNode] = []
        var hiddenAfter: [xmlNodePtr: Int] = [:]
        var linkCount = 0
        var textBytes = 0
        var seen = 0
        var controlledIDs: Set<String> = []
        var elements: [String: XMLNode] = [:]
        root.visit { node in
            seen += 1
            guard seen < 2_000_000 else { return false }
            if node.isText {
                textBytes += node.pointer.pointee.content.map { strlen(UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) } ?? 0
                return false
            }
            guard node.isElement else { return false }
            let name = node.name
            switch name {
            case "base": if base == nil, let href = node["href"] { base = URL(string: href.trimmed) }
            case "link": if node["rel"]?.lowercased() == "canonical", let href = node["href"] { canonical = URL(string: href.trimmed) }
            case "script", "style", "template": return false
            case "a": linkCount += 1
            default: break
            }
            guard node.pointer.pointee.properties != nil else { return true }
            if let id = node["id"] ?? (name == "a" ? node["name"] : nil), !id.isEmpty, elements[id] == nil { elements[id] = node }
            for attribute in ["aria-controls", "href", "data-target", "data-bs-target", "for", "aria-owns"] {
                guard let value = node[attribute] else { continue }
                for word in value.split(separator: " ").prefix(8) {
                    let isReference = attribute != "href" || word.hasPrefix("#")
                    guard isReference, word != "#" else { continue }
                    let id = String(word.hasPrefix("#") ? word.dropFirst() : word)
                    controlledIDs.insert(id)
                    controls.append((id, node))
                }
            }
            switch node["role"] {
            case "tab": tabs.append(node)
            case "tabpanel": panels.append(node)
            default: break
            }
            if Self.isHidden(node), let before = node.sibling(forward: false), Self.isQuestion(before), let parent = node.parent {
                hiddenAfter[parent.pointer, default: 0] += 1
            }
            return true
        }
        self.base = base?.scheme != nil ? base : canonical?.scheme != nil ? canonical : base
        self.controlledIDs = controlledIDs
        self.elements = elements
        isDenselyLinked = linkCount > 12 && linkCount * 120 > textBytes
        collapsingParents = Set(hiddenAfter.filter { $0.value >= 2 }.keys)
        // Which tab names which panel: by reference from either side, else in order when there are as many of both.
        func join(_ tab: XMLNode, _ panel: XMLNode) {
            let name = HTMLInline.plainText(tab)
            guard !name.isBlank, name.utf8.count <= 200, tabNames[panel.pointer] == nil else { return }
            tabNames[panel.pointer] = name
            tabsWithPanel.insert(tab.pointer)
        }
        for (id, node) in controls where Self.isTab(node) {
            if let panel = elements[id], panel.pointer != node.pointer, !Self.isDialog(panel) { join(node, panel) }
        }
        for panel in panels where tabNames[panel.pointer] == nil {
            if let tab = panel["aria-labelledby"]?.split(separator: " ").first.flatMap({ elements[String($0)] }) { join(tab, panel) }
        }
        let looseTabs = tabs.filter { !tabsWithPanel.contains($0.pointer) }
        let loosePanels = panels.filter { tabNames[$0.pointer] == nil }
        if looseTabs.count == loosePanels.count { for (tab, panel) in zip(looseTabs, loosePanels) { join(tab, panel) } }
    }

    func reset() {
        shownTargets = []
        register.written = []
        pendingNotes = []
    }

    // MARK: - Hidden parts

    /// Struck out: the text that was.
    static func isStruck(_ node: XMLNode, _ name: String) -> Bool {
        if name == "del" || name == "s" || name == "strike" { return true }
        guard let style = node["style"]?.lowercased(), style.contains("line-through") else { return false }
        return style.contains("text-decoration")
    }

    static func isHidden(_ node: XMLNode) -> Bool {
        guard node.pointer.pointee.properties != nil else { return false }
        if node["hidden"] != nil || node["aria-hidden"] == "true" { return true }
        guard let style = node["style"]?.lowercased().filter({ !$0.isWhitespace }) else { return false }
        return style.contains("display:none") || style.contains("visibility:hidden")
    }

    /// What lies over the page until it is answered or closed: consent banners, image viewers.
    static func isDialog(_ node: XMLNode) -> Bool {
        guard node.pointer.pointee.properties != nil else { return false }
        if let role = node["role"]?.lowercased(), role == "dialog" || role == "alertdialog" { return true }
        if node["aria-modal"] == "true" { return true }
        guard let kind = node["class"]?.lowercased() else { return false }
        return kind.split(separator: " ").contains("modal")
    }

    /// A consent banner that does not say that it is a dialog.
    static func isConsentBanner(_ node: XMLNode, _ name: String) -> Bool {
        guard name == "div" || name == "section" || name == "aside" || name == "form", node.pointer.pointee.properties != nil else {
            return false
        }
        let names = ((node["class"] ?? "") + " " + (node["id"] ?? "")).lowercased()
        guard names.contains("cookie") || names.contains("consent") || names.contains("gdpr") else { return false }
        return ["banner", "notice", "consent", "bar", "popup", "overlay", "message", "modal"].contains { names.contains($0) }
            && node.text.utf8.count < 3000
    }

    /// Whether a hidden part is one that a reader can open.
    func isRevealed(_ node: XMLNode) -> Bool {
        guard isHiddenPart(node), !Self.isMenu(node) else { return false }
        if let id = node["id"], controlledIDs.contains(id) { return true }
        if let names = node["aria-labelledby"], names.split(separator: " ").contains(where: { elements[String($0)] != nil }) { return true }
        if tabNames[node.pointer] != nil { return true }
        for child in node.children.prefix(2) {
            if let id = child["id"], controlledIDs.contains(id) { return true }
            if tabNames[child.pointer] != nil { return true }
        }
        if let before = node.sibling(forward: false) {
            if Self.isOpener(before) { return true }
            if Self.isQuestion(before), let parent = node.parent, collapsingParents.contains(parent.pointer) { return true }
        }
        return false
    }

    /// An icon is hidden from screen readers, and a duplicate; a part of the page has words.
    private func isHiddenPart(_ node: XMLNode) -> Bool {
        switch node.name.lowercased() {
        case "i", "svg", "img", "use", "path": false
        default: !Self.isDialog(node)
        }
    }

    private static func isMenu(_ node: XMLNode) -> Bool {
        if node.name == "nav" { return true }
        switch node["role"] ?? "" {
        case "menu", "menubar", "navigation", "listbox", "search", "tooltip": return true
        default: break
        }
        // A drop-down of links.
        var linkBytes = 0
        var allBytes = 0
        node.visit { child in
            if child.isText { allBytes += child.characters.trimmed.utf8.count }
            if child.name == "a", child["href"] != nil {
                let bytes = child.text.trimmed.utf8.count
                linkBytes += bytes
                allBytes += bytes
                return false
            }
            return true
        }
        return linkBytes > 0 && linkBytes * 10 >= allBytes * 9 && allBytes < 600
    }

    /// Whether an element can open what follows it: it is, or holds, a control that says so, or a button in a heading.
    static func isOpener(_ node: XMLNode) -> Bool {
        func isControl(_ element: XMLNode) -> Bool {
            element["aria-expanded"] != nil || element["aria-controls"] != nil || element["data-toggle"] != nil
                || element["data-bs-toggle"] != nil || element["role"] == "tab" || element.name == "summary"
        }
        if isControl(node) { return true }
        let isHeading = isHeading(node) || node.name == "dt" || node.name == "summary"
        var found = false
        var left = 40
        node.visit { child in
            guard !found, left > 0 else { return false }
            left -= 1
            if child.isElement {
                let isButton = child.name == "button" || child["role"] == "button" || child["onclick"] != nil
                if isControl(child) || (isHeading && (isButton || child.name == "a" && child["href"]?.hasPrefix("#") == true)) {
                    found = true
                }
            }
            return true
        }
        return found || isHeading && (node["onclick"] != nil || node["role"] == "button")
    }

    private static func isQuestion(_ node: XMLNode) -> Bool {
        switch node.name.lowercased() {
        case "dt", "button", "summary", "label": true
        default: isHeading(node) || node["role"] == "button" || node["onclick"] != nil
        }
    }

    static func isHeading(_ node: XMLNode) -> Bool {
        let name = node.name.utf8
        return name.count == 2 && name.first == 0x68 && (0x31...0x36).contains(name.last!) || node["role"] == "heading"
    }

    // MARK: - Controls

    static func isTab(_ node: XMLNode) -> Bool {
        if node["role"] == "tab" { return true }
        switch node["data-toggle"] ?? node["data-bs-toggle"] ?? "" {
        case "tab", "pill": return true
        default: return false
        }
    }

    /// The name of the tab that shows this part.
    func tabName(_ node: XMLNode) -> String? { tabNames[node.pointer] }
    /// Whether the tab's name is told at its panel.
    func hasPanel(_ tab: XMLNode) -> Bool { tabsWithPanel.contains(tab.pointer) }

    enum Control {
        /// Its words are those of a form or a tool: "Send".
        case tool
        /// Its words are text.
        case text
        /// Its words name the part that it opens.
        case heading
    }

    func control(_ node: XMLNode) -> Control {
        if node["aria-haspopup"] != nil, node["aria-haspopup"] != "false" { return .tool }
        let ids = (node["aria-controls"] ?? node["data-bs-target"] ?? node["data-target"] ?? "").split(separator: " ")
        let panels = ids.compactMap { elements[String($0.hasPrefix("#") ? $0.dropFirst() : $0)] }
        if let panel = panels.first {
            if Self.isMenu(panel) || Self.isDialog(panel) || panel["role"] == "region" && panel.text.isBlank { return .tool }
            return .heading
        }
        if let after = node.sibling(forward: true), Self.isHidden(after), isRevealed(after) { return .heading }
        if node["aria-expanded"] != nil || node["role"] == "tab" { return .text }
        return .tool
    }

    // MARK: - Links

    /// Where a link leads, as a reader should see it; nil when that says nothing.
    func target(_ href: String) -> String? {
        let href = href.trimmed.filter { !$0.isNewline }
        guard targets != .none, !href.isEmpty, !href.hasPrefix("#"), href.utf8.count < 2000 else { return nil }
        var text = href
        if let scheme = Self.scheme(href) {
            guard !["javascript", "data", "cid", "about", "blob", "vbscript", "file"].contains(scheme) else { return nil }
            if scheme == "mailto" { text = String(href.dropFirst(7).prefix { $0 != "?" }) }
        } else {
            guard targets == .all else { return nil }
            if let base {
                guard let resolved = URL(string: href, relativeTo: base) else { return nil }
                text = resolved.absoluteString
            } else if isDenselyLinked {
                return nil
            }
            if href.hasPrefix("//"), base == nil { text = "https:" + href }
        }
        if isDenselyLinked, text.hasPrefix("http"), let host = base?.host(), URL(string: text)?.host() == host { return nil }
        if let base, text.hasPrefix("http"), let mark = text.lastIndex(of: "#"),
            text[..<mark] == base.absoluteString.prefix(while: { $0 != "#" })
        {
            return nil
        }
        // What follows the question mark of a long target is for machines.
        if text.utf8.count > 160 { text = String(text.prefix { $0 != "?" && $0 != "#" }) }
        return text.utf8.count <= 300 ? text : nil
    }

    static func scheme(_ href: String) -> String? {
        guard let colon = href.firstIndex(of: ":") else { return nil }
        let scheme = href[..<colon]
        guard scheme.utf8.count >= 2, scheme.first?.isLetter == true,
            scheme.utf8.allSatisfy({
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2B || $0 == 0x2D
                    || $0 == 0x2E
            })
        else { return nil }
        return scheme.lowercased()
    }

    /// The target to show after a link's words: each once on a page, and never one that the words are already.
    func shownTarget(_ target: String, after label: String) -> String? {
        guard Self.essence(label) != Self.essence(target), shownTargets.count < 100_000 else { return nil }
        // "/wiki/Deep_sea_fish" behind "deep sea fish" says nothing more.
        if Self.scheme(target) == nil, Self.name(of: target) == Self.letters(label) { return nil }
        return shownTargets.insert(target).inserted ? target : nil
    }

    /// A target as people write it: without scheme, "www." and the last slash.
    static func essence(_ text: String) -> String {
        var text = text.trimmed.lowercased()[...]
        for prefix in ["https://", "http://", "mailto:", "tel:", "ftp://", "www."] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.utf8.count)
        }
        if text.hasPrefix("<"), text.hasSuffix(">") { text = text.dropFirst().dropLast() }
        while text.hasSuffix("/") { text = text.dropLast() }
        return String(text)
    }

    private static func letters(_ text: some StringProtocol) -> String {
        String(
            String.UnicodeScalarView(
                text.lowercased().unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil }))
    }

    /// The last part of a path without its ending, in letters and digits.
    private static func name(of target: String) -> String {
        let path = target.prefix { $0 != "?" && $0 != "#" }
        let last = path.split(separator: "/").last ?? path
        let name = last.lastIndex(of: ".").map { last[..<$0] } ?? last
        let whole = name.removingPercentEncoding ?? String(name)
        return letters(whole.prefix { $0 != "(" })
    }

    // MARK: - Notes

    static func isNoteReference(_ node: XMLNode) -> Bool {
        guard node.pointer.pointee.properties != nil else { return false }
        if node["role"] == "doc-noteref" { return true }
        if let type = node.attribute(named: "epub:type"), type.contains("noteref") { return true }
        return node["class"].map { $0.contains("footnote-ref") || $0.contains("noteref") } ?? false
    }

    static func isNote(_ node: XMLNode) -> Bool {
        guard node.pointer.pointee.properties != nil else { return false }
        if let role = node["role"], role == "doc-footnote" || role == "doc-endnote" { return true }
        if let type = node.attribute(named: "epub:type") {
            let words = type.split(separator: " ")
            return words.contains("footnote") || words.contains("endnote") || words.contains("rearnote") || words.contains("note")
        }
        return false
    }

    /// The text that a mark leads to, if it is a note's: marked as one, or in a list of them.
    func note(_ href: String) -> XMLNode? {
        guard let hash = href.firstIndex(of: "#") else { return nil }
        if let findNote { return findNote(href) }
        guard hash == href.startIndex, let node = elements[String(href.dropFirst())] else { return nil }
        if Self.isNote(node) { return node }
        guard let part = Self.enclosingBlock(node) else { return nil }
        if Self.isNote(part) { return part }
        // A list of notes says so at one of the elements around it.
        var around = part.parent
        for _ in 0..<3 {
            guard let element = around else { return nil }
            if element["role"] == "doc-endnotes" || element["role"] == "doc-footnotes" { return part }
            if let type = element.attribute(named: "epub:type"), type.contains("notes") { return part }
            if let kind = element["class"]?.lowercased(), kind.contains("footnotes") || kind.contains("endnotes") { return part }
            around = element.parent
        }
        return nil
    }

    /// The paragraph, item or aside that an anchor stands in.
    static func enclosingBlock(_ node: XMLNode) -> XMLNode? {
        var current: XMLNode? = node
        for _ in 0..<6 {
            guard let element = current else { return nil }
            switch element.name.lowercased() {
            case "p", "li", "aside", "div", "dd", "td", "section": return element
            default: current = element.parent
            }
        }
        return nil
    }

    func remember(_ note: XMLNode, label: String) {
        guard pendingNotes.count < 1000, register.written.insert(note.pointer).inserted else { return }
        pendingNotes.append((label, note))
    }

    func takeNotes() -> [(label: String, note: XMLNode)] {
        guard !pendingNotes.isEmpty else { return [] }
        defer { pendingNotes = [] }
        return pendingNotes
    }

    func isWritten(_ node: XMLNode) -> Bool { !register.written.isEmpty && register.written.contains(node.pointer) }

    /// The place at which a link of the contents points, named as the contents name it.
    func sectionName(_ node: XMLNode) -> String? {
        guard !sectionNames.isEmpty, let id = node["id"] ?? node["name"] else { return nil }
        return sectionNames.removeValue(forKey: id)
    }

    /// Contents and page numbers of a printed edition, in a book.
    func isBookMatter(_ node: XMLNode, _ name: String) -> Bool {
        guard isBook else { return false }
        if name == "nav" { return true }
        guard node.pointer.pointee.properties != nil else { return false }
        return node["role"] == "doc-pagebreak" || node.attribute(named: "epub:type") == "pagebreak"
    }
}
