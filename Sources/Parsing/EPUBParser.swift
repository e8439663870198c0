import Foundation

/// Reads EPUB 2 and 3: the chapters of the spine, in order, through the HTML reader.
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
        for chapter in chapters {
            guard let bytes = archive.member(chapter) else {
                builder.warn("the chapter \(chapter) is missing")
                continue
            }
            let text = TextDecoder.decode(bytes, declared: HTMLParser.declaredEncoding(bytes)).text
            guard let tree = XMLTree(html: text) else { continue }
            try HTMLParser.append(tree.root, to: &builder)
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
}
