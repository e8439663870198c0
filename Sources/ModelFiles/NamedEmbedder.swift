import Foundation
package import Inference

/// Opens an embedding model by the name that collections know it by, which tells the file in the model folder and how it is computed.
///
/// | name | what it means |
/// | --- | --- |
/// | `NAME` | the file `NAME.gguf` or `NAME.static` |
/// | `NAME-prefixed` | the same, with the prefixes of the model's card |
/// | `NAME-int8` | the same, computed in 8-bit integers |
/// | `...-first-N` | the first *N* coordinates of that |
package enum NamedEmbedder {
    /// - Parameter precision: For names that leave it open.
    /// - Returns: Nil when there is no such file, or its model has another name.
    /// - Throws: `InferenceError` for a file that cannot be read.
    package static func open(_ name: String, precision: EmbedderFile.Precision = .standard) throws -> (any Embedder)? {
        if let (base, count) = shortened(name) {
            guard let embedder = try open(base, precision: precision), embedder.model.dimension >= count else { return nil }
            return try ShortenedEmbedder(embedder, dimension: count)
        }
        guard let path = file(name) else { return nil }
        let isEightBit = name.hasSuffix("-int8") && !path.contains("-int8.")
        let embedder = try EmbedderFile.open(path, precision: isEightBit ? .int8 : precision == .int8 ? .standard : precision)
        return embedder.model.name == name ? embedder : nil
    }

    /// The file of a name; nil when there is none.
    package static func file(_ name: String) -> String? {
        // A name comes from clients too: it names a file in the folder and nothing else.
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else { return nil }
        var names = [name]
        for suffix in ["-int8", "-prefixed"] where name.hasSuffix(suffix) { names.append(String(name.dropLast(suffix.count))) }
        if let (base, _) = shortened(name) { return file(base) }
        for name in names {
            for suffix in [".gguf", ".static"] {
                let path = ModelFolder.path + "/" + name + suffix
                // A pipe would be waited for, and a folder is no model.
                if isFile(path) { return path }
            }
        }
        return nil
    }

    private static func isFile(_ path: String) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
        return attributes?[.type] as? FileAttributeType == .typeRegular
    }

    private static func shortened(_ name: String) -> (base: String, count: Int)? {
        guard let range = name.range(of: "-first-", options: .backwards), let count = Int(name[range.upperBound...]), count > 0 else {
            return nil
        }
        return (String(name[..<range.lowerBound]), count)
    }
}
