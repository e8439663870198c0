import Foundation

/// Reads EPUB 2 and 3: the chapters of the spine, in order, through the HTML reader. Notes stand behind the paragraph that marks
/// them, also when the book keeps them in a file of their own; chapters without a heading get their name from the contents.
enum EPUBParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let archive = try Archive(input, .zip, context: context) { name in
            let lowered = name.lowercased()
            return [".opf", ".xml", ".xhtml", ".html", ".htm", ".ncx"].contains { lowered.hasSuffix($0) }
        }
        var builder = context.builder
        for warning in archive.warnings { builder.warn(warning) }
        let container = XMLTree(xml: archive.member("META-INF/container.xml"))
        let packagePath =
            container?.root.descendants.first { $0.name == "rootfile" }?["full-path"]
            ?? archive.entries.first { $0.name.hasSuffix(".opf") }?.name
        guard let packagePath, let package = XMLTree(xml: archive.member(packagePath)) else {
            throw .malformed("\(input.name) has no readable package file")
        }
        if let protection = XMLTree(xml: archive.member("META-INF/encryption.xml")) {
            // Obfuscated fonts are common and no obstacle; encrypted chapters are.
            let targets = protection.root.descendants.filter { $0.name == "CipherReference" }.compactMap { $0["URI"]?.lowercased() }
            if targets.contains(where: { $0.hasSuffix("html") || $0.hasSuffix("htm") }) {
                throw .encrypted("\(input.name) is protected by its seller (DRM)")
            }
        }
        let folder = packagePath.lastIndex(of: "/").map { String(packagePath[..<$0]) } ?? ""
        var items: [String: String] = [:]
        for item in package.root.first("manifest")?.nodes.filter(\.isElement) ?? [] {
            guard let id = item["id"], let target = item["href"] else { continue }
            items[id] = OfficePackage.resolve(target.removingPercentEncoding ?? target, in: folder)
        }
        var chapters: [String] = []
        for reference in package.root.first("spine")?.nodes.filter(\.isElement) ?? [] {
            if let path = reference["idref"].flatMap({ items[$0] }), !chapters.contains(path) { chapters.append(path) }
        }
        if chapters.isEmpty { chapters = archive.memberNames(prefix: "", suffix: "html") }
        let contents = Contents(package.root, items: items, archive: archive, folder: folder)
        let book = Book(archive)
        let register = HTMLPage.NoteRegister()
        for chapter in chapters {
            guard archive.member(chapter) != nil else {
                builder.warn("the chapter \(chapter) is missing")
                continue
            }
            guard let tree = book.file(chapter)?.tree else { continue }
            let chapterFolder = chapter.lastIndex(of: "/").map { String(chapter[..<$0]) } ?? ""
            let page = HTMLPage(tree.root, targets: .absolute, isBook: true, register: register) { href in
                book.note(href, from: chapter, in: chapterFolder)
            }
            // A chapter without a heading has its name in the contents.
            let hasHeading = tree.root.descendants.contains { HTMLPage.isHeading($0) && !$0.text.isBlank }
            if !hasHeading {
                let places = contents.places[chapter] ?? []
                if let name = places.first(where: { $0.id == nil })?.name ?? (places.count == 1 ? places[0].name : nil) {
                    try builder.heading(name, level: 1)
                }
                if places.count > 1 {
                    page.sectionNames = Dictionary(places.compactMap { place in place.id.map { ($0, place.name) } }) { first, _ in first }
                }
            }
            try HTMLParser.append(tree.root, to: &builder, skipsBoilerplate: false, page: page)
        }
        var title: String?
        var properties: [String: String] = [:]
        let names = [
            "creator": "author", "language": "language", "date": "created", "publisher": "publisher", "description": "description",
            "subject": "subject",
        ]
        for node in package.root.first("metadata")?.descendants ?? [] {
            let value = node.text.trimmed
            if node.name == "title", title == nil, !value.isEmpty { title = value }
            if let name = names[node.name], properties[name] == nil, !value.isEmpty { properties[name] = value }
        }
        return builder.finish(title: title, mimeType: "application/epub+zip", properties: properties)
    }

    /// Names of chapters and sections: from the navigation document (EPUB 3) or the NCX (EPUB 2).
    private struct Contents {
        private(set) var places: [String: [(id: String?, name: String)]] = [:]

        init(_ package: XMLNode, items: [String: String], archive: Archive, folder: String) {
            let manifest = package.first("manifest")?.nodes.filter(\.isElement) ?? []
            if let item = manifest.first(where: { $0["properties"]?.split(separator: " ").contains("nav") == true }),
                let path = item["id"].flatMap({ items[$0] }), let bytes = archive.member(path),
                let tree = XMLTree(html: TextDecoder.decode(bytes, declared: HTMLParser.declaredEncoding(bytes)).text)
            {
                let navs = tree.root.descendants.filter { $0.name == "nav" }
                let toc = navs.first { $0.attribute(named: "epub:type") == "toc" || $0["role"] == "doc-toc" } ?? navs.first
                for link in toc?.descendants ?? [] where link.name == "a" { add(link["href"], HTMLInline.plainText(link), from: path) }
            }
            guard places.isEmpty else { return }
            let spineID = package.first("spine")?["toc"]
            let path =
                spineID.flatMap { items[$0] }
                ?? manifest.first { $0["media-type"] == "application/x-dtbncx+xml" }?["id"].flatMap { items[$0] }
            guard let path, let tree = XMLTree(xml: archive.member(path)) else { return }
            for point in tree.root.descendants where point.name == "navPoint" {
                add(point.first("content")?["src"], HTMLParser.collapse(point.first("navLabel")?.text ?? ""), from: path)
            }
        }

        private mutating func add(_ target: String?, _ name: String, from path: String) {
            guard let target, !name.isBlank, name.utf8.count <= 300 else { return }
            let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
            let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let file = OfficePackage.resolve(parts[0].removingPercentEncoding ?? String(parts[0]), in: folder)
            places[file, default: []].append((parts.count > 1 ? String(parts[1]) : nil, name))
        }
    }

    /// The files of a book, parsed when they are first asked for.
    private final class Book {
        final class File {
            let tree: XMLTree
            /// Elements by id.
            lazy var elements: [String: XMLNode] = {
                var elements: [String: XMLNode] = [:]
                for node in tree.root.descendants {
                    if let id = node["id"] ?? (node.name == "a" ? node["name"] : nil), elements[id] == nil { elements[id] = node }
                }
                return elements
            }()

            init(_ tree: XMLTree) { self.tree = tree }
        }

        private let archive: Archive
        private var files: [String: File] = [:]

        init(_ archive: Archive) { self.archive = archive }

        func file(_ path: String) -> File? {
            if let file = files[path] { return file }
            guard let bytes = archive.member(path),
                let tree = XMLTree(html: TextDecoder.decode(bytes, declared: HTMLParser.declaredEncoding(bytes)).text)
            else { return nil }
            let file = File(tree)
            files[path] = file
            return file
        }

        /// The note at which a mark points: an element that says that it is one, or a block that begins with the way back.
        func note(_ href: String, from chapter: String, in folder: String) -> XMLNode? {
            let parts = href.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[1].isEmpty else { return nil }
            let path = parts[0].isEmpty ? chapter : OfficePackage.resolve(parts[0].removingPercentEncoding ?? String(parts[0]), in: folder)
            guard let node = file(path)?.elements[String(parts[1])] else { return nil }
            if HTMLPage.isNote(node) { return node }
            guard let block = HTMLPage.enclosingBlock(node), block.name != "section", block.text.utf8.count <= 4000 else { return nil }
            if HTMLPage.isNote(block) || block.name == "aside" { return block }
            if let outer = block.parent, HTMLPage.isNote(outer) || outer.name == "aside" { return outer }
            // What leads back stands at the start or at the end of a note.
            let links = block.descendants.filter { $0.name == "a" && $0["href"]?.contains("#") == true }
            guard !links.isEmpty, !block.descendants.contains(where: HTMLPage.isHeading) else { return nil }
            let text = block.text.trimmed
            let isAtStart = links.first.map { text.hasPrefix($0.text.trimmed) } ?? false
            let isAtEnd = links.last.map { !$0.text.isBlank && text.hasSuffix($0.text.trimmed) } ?? false
            return isAtStart || isAtEnd ? block : nil
        }
    }
}
