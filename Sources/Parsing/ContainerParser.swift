import Foundation

/// Reads archives of files (zip, tar, gzip and kin): each member by the rules for its own format, within the budgets of the whole.
enum ContainerParser {
    static func parse(_ input: ParseInput, mimeType: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let archive = try Archive(input, .any, context: context) { !isIgnored($0) }
        let names = archive.entries.map(\.name).filter { !isIgnored($0) }
        var builder = context.builder
        for warning in archive.warnings { builder.warn(warning) }
        var readCount = 0
        var lastRefusal: Refusal?
        for name in names {
            guard let bytes = archive.member(name), !bytes.isEmpty else { continue }
            do throws(Refusal) {
                let document = try context.parseNested(ParseInput(bytes: bytes, name: name))
                if names.count > 1 { try builder.heading(name, level: 1) }
                try builder.append(document, page: nil, levelShift: names.count > 1 ? 1 : 0)
                for warning in document.warnings { builder.warn("\(name): \(warning)") }
                readCount += 1
            } catch {
                lastRefusal = error
                builder.warn("\(name) was not read: \(error)")
            }
            if case .timedOut = lastRefusal { break }
        }
        guard readCount > 0 else {
            if names.count == 1, let lastRefusal { throw lastRefusal }
            throw .empty(
                "\(input.name) holds \(names.count) files and none that can be read" + (lastRefusal.map { " (the last: \($0))" } ?? ""))
        }
        return builder.finish(title: nil, mimeType: mimeType, properties: ["members": String(names.count)])
    }

    /// Folders, and what operating systems leave in archives.
    private static func isIgnored(_ name: String) -> Bool {
        name.hasSuffix("/") || name.hasPrefix("__MACOSX/") || name.hasSuffix(".DS_Store") || name.hasSuffix("Thumbs.db")
    }
}
