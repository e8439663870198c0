import Foundation

/// An Office Open XML package (ECMA-376 part 2): XML parts in a zip file, joined by relationships.
struct OfficePackage {
    struct Relationship {
        var type: String
        /// A part name without a leading slash, or a URL when external.
        var target: String
        var isExternal: Bool
    }

    let archive: Archive

    init(_ input: ParseInput, context: ParseContext) throws(Refusal) {
        archive = try Archive(input, .zip, context: context) { name in
            name.hasSuffix(".xml") || name.hasSuffix(".rels") || name.hasSuffix(".XML")
        }
    }

    func tree(_ part: String) -> XMLTree? { XMLTree(xml: archive.member(part)) }

    /// The relationships of a part by id; those of the package for "".
    func relationships(of part: String) -> [String: Relationship] {
        let slash = part.lastIndex(of: "/")
        let folder = slash.map { String(part[..<$0]) } ?? ""
        let file = slash.map { String(part[part.index(after: $0)...]) } ?? part
        let name = (folder.isEmpty ? "" : folder + "/") + "_rels/\(file).rels"
        guard let tree = tree(name) else { return [:] }
        var result: [String: Relationship] = [:]
        for node in tree.root.children where node.name == "Relationship" {
            guard let id = node["Id"], let target = node["Target"] else { continue }
            let isExternal = node["TargetMode"] == "External"
            let type = (node["Type"] ?? "").split(separator: "/").last.map(String.init) ?? ""
            result[id] = Relationship(type: type, target: isExternal ? target : Self.resolve(target, in: folder), isExternal: isExternal)
        }
        return result
    }

    /// The first related part of a type, such as "officeDocument".
    func part(_ type: String, of source: String) -> String? {
        parts(type, of: source).first
    }

    func parts(_ type: String, of source: String) -> [String] {
        relationships(of: source).filter { $0.value.type == type && !$0.value.isExternal }
            .sorted { $0.key.compare($1.key, options: .numeric) == .orderedAscending }.map(\.value.target)
    }

    /// `../media/a.xml` seen from `ppt/slides` is `ppt/media/a.xml`.
    static func resolve(_ target: String, in folder: String) -> String {
        if target.hasPrefix("/") { return String(target.dropFirst()) }
        var parts = folder.split(separator: "/")
        for step in target.split(separator: "/") {
            if step == ".." { _ = parts.popLast() } else if step != "." { parts.append(step) }
        }
        return parts.joined(separator: "/")
    }

    /// Title, author and dates from docProps/core.xml and app.xml.
    func properties() -> (title: String?, properties: [String: String]) {
        var properties: [String: String] = [:]
        let core = part("core-properties", of: "") ?? "docProps/core.xml"
        if let tree = tree(core) {
            let names = [
                "creator": "author", "created": "created", "modified": "modified", "subject": "subject", "keywords": "keywords",
                "description": "description", "language": "language", "category": "category", "lastModifiedBy": "lastModifiedBy",
                "title": "title",
            ]
            for node in tree.root.children {
                if let name = names[node.name] {
                    let value = node.text.trimmingCharacters(in: .whitespacesAndNewlines)
                    if !value.isEmpty { properties[name] = value }
                }
            }
        }
        let title = properties.removeValue(forKey: "title")
        return (title, properties)
    }

    /// Parses the documents that were embedded in this one.
    func appendEmbedded(folder: String, to builder: inout DocumentBuilder, context: ParseContext) throws(Refusal) {
        let prefix = folder + "/embeddings/"
        let names = archive.entries.map(\.name).filter { $0.hasPrefix(prefix) && !$0.hasSuffix("/") }
        guard !names.isEmpty else { return }
        try archive.load { $0.hasPrefix(prefix) }
        for name in names {
            guard let bytes = archive.member(name) else { continue }
            // Charts carry their numbers as a workbook that the slide shows already in part; it is data all the same.
            try context.appendNested(ParseInput(bytes: bytes, name: String(name.dropFirst(prefix.count))), to: &builder)
        }
    }
}

extension String {
    var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
    var isBlank: Bool { utf8.allSatisfy { $0 <= 0x20 } }
}
