import Foundation

/// Where models lie: `models` in the cache folder that set-up fills.
package enum ModelFolder {
    package static var cache: String {
        let environment = ProcessInfo.processInfo.environment
        if let cache = environment["OUTRIDER_CACHE"], !cache.isEmpty { return cache }
        if let cache = environment["XDG_CACHE_HOME"], !cache.isEmpty { return cache + "/outrider" }
        return NSHomeDirectory() + "/.cache/outrider"
    }
    package static var path: String { cache + "/models" }
    package static var defaultEmbeddingModel: String { path + "/all-MiniLM-L6-v2-f16.gguf" }
    /// For documents in other languages than English; `scripts/setup.sh multilingual` puts it there.
    package static var multilingualEmbeddingModel: String { path + "/multilingual-e5-small-q4_0.gguf" }

    /// The file that is meant: a path as it is, else the file in the model folder whose name begins so.
    package static func file(_ name: String) -> String {
        guard !name.contains("/"), !FileManager.default.fileExists(atPath: name) else { return name }
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
        let match = names.first { $0 == name } ?? names.first { $0.hasPrefix(name) && ($0.hasSuffix(".gguf") || $0.hasSuffix(".static")) }
        return match.map { path + "/" + $0 } ?? name
    }
}
