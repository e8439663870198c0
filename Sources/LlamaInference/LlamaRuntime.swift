import CLlama
import Foundation
import Inference
import Synchronization

/// llama.cpp in this process: back ends, devices, messages.
package enum LlamaRuntime {
    /// Bytes of stack for a thread that computes: llama.cpp builds its graphs recursively.
    static let threadStackSize = 8 << 20

    /// Loads the back ends once per process (thread-safe, idempotent). Looks for `libggml-*.so` in `ggml/` beside libllama, then beside it.
    package static func start() { _ = started }

    /// For `outrider doctor`: devices as llama.cpp names them, such as `CPU: AMD EPYC 7B13`.
    package static func devices() -> [String] {
        start()
        return (0..<ggml_backend_dev_count()).compactMap { index in
            guard let device = ggml_backend_dev_get(index) else { return nil }
            return "\(String(cString: ggml_backend_dev_name(device))): \(String(cString: ggml_backend_dev_description(device)))"
        }
    }

    /// llama.cpp's own version, such as `0.5.0-dev`.
    package static var version: String { String(cString: llama_version()) }

    /// The folder with the libraries of llama.cpp that this process uses; nil when they are linked into the executable.
    package static var libraryFolder: String? {
        // Each mapped file stands at the end of a line: "7f12...-7f12... r-xp 00000000 fe:01 1234   /usr/lib/libllama.so.0.5.0".
        guard let maps = try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8) else { return nil }
        for line in maps.split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/"), let name = line[slash...].split(separator: "/").last, name.hasPrefix("libllama.so")
            else { continue }
            return URL(fileURLWithPath: String(line[slash...])).deletingLastPathComponent().path
        }
        return nil
    }

    private static let started: Void = {
        llama_log_set(collectMessage, nil)
        if let folder = libraryFolder {
            let backends = folder + "/ggml"
            ggml_backend_load_all_from_path(FileManager.default.fileExists(atPath: backends) ? backends : folder)
        }
        if ggml_backend_dev_count() == 0 { ggml_backend_load_all() }
        llama_backend_init()
    }()

    // MARK: Messages

    /// Runs `body` and, when it returns nil, tells what llama.cpp complained about meanwhile.
    static func explain<Value>(_ body: () -> Value?) -> Result<Value, Complaint> {
        complaints.withLock { $0 = "" }
        if let value = body() { return .success(value) }
        let text = complaints.withLock { $0 }
        return .failure(Complaint(text: text.isEmpty ? "llama.cpp gives no reason" : text))
    }

    struct Complaint: Error { var text: String }

    /// The latest error messages, cut at 1,000 bytes. llama.cpp writes to a global callback, so two models that fail at the same time share it.
    fileprivate static let complaints = Mutex("")
}

/// llama.cpp reports through a C function pointer: it must not capture anything. Only errors are kept, nothing is printed.
private func collectMessage(level: ggml_log_level, text: UnsafePointer<CChar>?, _: UnsafeMutableRawPointer?) {
    guard level == GGML_LOG_LEVEL_ERROR, let text else { return }
    let line = String(cString: text).split(separator: "\n").joined(separator: "; ")
    LlamaRuntime.complaints.withLock { kept in
        guard kept.utf8.count < 1000 else { return }
        kept += kept.isEmpty ? line : "; " + line
    }
}
