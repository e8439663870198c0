import CLibXML2
import CSandbox
import Foundation

/// The child's side of `ParserPool`: `outrider parse-worker` calls `main` and exits with its result.
package enum ParseWorker {
    /// Set by the pool: what to hold the process to from its first moment.
    static let memoryVariable = "OUTRIDER_PARSE_MEMORY"
    static let fileVariable = "OUTRIDER_PARSE_FILE"
    /// Set by tests: to end rather than to work with a layer of confinement missing.
    static let strictVariable = "OUTRIDER_PARSE_STRICT"

    /// Confines the process, then answers requests on standard input until it closes.
    ///
    /// Standard input is a socket that carries both directions; nothing is written to standard output, which a library might print to.
    /// To be called by the main thread while there is no other: the kernel binds some of the confinement to the thread.
    package static func main() -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        let channel = fcntl(0, F_DUPFD_CLOEXEC, 3)
        guard channel >= 0 else { return 1 }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { return 1 }
        dup2(null, 0)
        dup2(null, 1)
        func bytes(_ variable: String) -> UInt64? { getenv(variable).flatMap { UInt64(String(cString: $0)) } }
        let layers = Confinement.enter(
            memoryBytes: bytes(memoryVariable) ?? UInt64(ParseLimits().memoryBytes),
            fileBytes: bytes(fileVariable) ?? UInt64(ParseLimits().inputBytes))
        if getenv(strictVariable) != nil, layers != UInt32(OUTRIDER_LAYER_ALL) { return 3 }
        watchParent(channel)
        while let (frame, document) = readFrame(channel, limit: 1 << 20) {
            guard let request = try? JSONDecoder().decode(WireFormat.Request.self, from: Data(frame)) else { return 2 }
            _ = outrider_sandbox_allow_cpu(UInt64(max(1, request.limits.seconds)))
            let answer: WireFormat.Answer
            do throws(Refusal) {
                guard document >= 0 else { throw .unreadable("\(request.name): it did not reach the parser") }
                let input = try ParseInput(
                    descriptor: document, name: request.name, mimeType: request.mimeType, limits: request.limits)
                answer = .document(try FormatParser.parse(input, context: ParseContext(limits: request.limits)))
            } catch {
                answer = .refusal(error)
            }
            guard writeFrame(channel, WireFormat.encode(answer)) else { return 0 }
        }
        return 0
    }

    /// For tests and for `doctor`: parses in this very process, without confinement.
    package static func parseInProcess(path: String, name: String, mimeType: String?, limits: ParseLimits) throws(Refusal) -> ParsedDocument
    {
        let input = try ParseInput(path: path, name: name, mimeType: mimeType, limits: limits)
        return try FormatParser.parse(input, context: ParseContext(limits: limits))
    }

    /// Formats with "available" or the reason why not, and the layers of confinement, for `doctor`.
    package static func capabilities() -> [(format: String, status: String)] {
        let pdf = ToolRunner.find("pdftotext") == nil ? "missing: pdftotext (Debian package poppler-utils)" : "available"
        let ocr = ToolRunner.find("tesseract") == nil ? "missing: tesseract (Debian package tesseract-ocr)" : "available"
        let scans = ToolRunner.find("pdftoppm") == nil ? "missing: pdftoppm (Debian package poppler-utils)" : ocr
        var result: [(format: String, status: String)] = [
            ("PDF", pdf), ("scanned PDF", scans), ("PNG, JPEG, TIFF, GIF, WebP, BMP", ocr),
        ]
        for format in [
            "DOCX", "PPTX", "XLSX", "DOC, PPT, XLS, MSG", "ODT, ODS, ODP", "EPUB", "HTML", "Markdown", "plain text", "CSV, TSV", "RTF",
            "EML, MBOX",
            "JSON, XML, notebooks", "source code", "ZIP, TAR, GZIP, 7Z",
        ] { result.append((format, "available")) }
        let layers = outrider_sandbox_probe()
        for (bit, name) in [
            (OUTRIDER_LAYER_LIMITS, "resource limits"), (OUTRIDER_LAYER_NO_PRIVILEGES, "no new privileges"),
            (OUTRIDER_LAYER_PARENT_DEATH, "end with the parent"),
            (OUTRIDER_LAYER_SYSTEM_CALLS, "no network, tracing or changes of modes (seccomp)"),
            (OUTRIDER_LAYER_FILES, "no file but its document, libraries and fonts (landlock)"),
            (OUTRIDER_LAYER_SIGNALS, "no signals to other processes"), (OUTRIDER_LAYER_PROCESSES, "bounded number of processes"),
        ] {
            let isOn = layers & UInt32(bit) != 0
            result.append(
                ("parser confinement: \(name)", isOn ? "available" : "warning: this system does not offer it; the other layers still hold"))
        }
        return result
    }

    // MARK: - Parts

    /// Ends the whole process group, programs included, when the parent has gone in the middle of a file.
    private static func watchParent(_ channel: Int32) {
        let parent = getppid()
        let hangUp: Int16 = 0x2000  // POLLRDHUP, which only C with GNU extensions sees.
        let thread = Thread {
            while true {
                // Hang-up of the socket, without taking bytes from it.
                var descriptor = pollfd(fd: channel, events: hangUp, revents: 0)
                let ready = poll(&descriptor, 1, 1000)
                let hasGone = ready > 0 && descriptor.revents & (Int16(POLLHUP | POLLERR) | hangUp) != 0
                if hasGone || getppid() != parent {
                    // Only a group of our own may be killed whole.
                    if getpgrp() == getpid() { kill(0, SIGKILL) }
                    _exit(0)
                }
            }
        }
        thread.stackSize = 256 << 10
        thread.start()
    }

    /// A frame and the descriptor that came with it, or -1.
    private static func readFrame(_ channel: Int32, limit: Int) -> (frame: [UInt8], document: Int32)? {
        var document: Int32 = -1
        guard let head = readBytes(channel, 4, &document) else { return nil }
        let size = Int(head.u32(0))
        guard size <= limit, let frame = readBytes(channel, size, &document) else { return nil }
        return (frame, document)
    }

    private static func readBytes(_ channel: Int32, _ count: Int, _ document: inout Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes {
                outrider_receive_descriptor(channel, $0.baseAddress! + filled, count - filled, &document)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { return nil }
            filled += got
        }
        return bytes
    }

    static func frame(_ payload: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt32(payload.count).littleEndian) { Array($0) } + payload
    }

    private static func writeFrame(_ descriptor: Int32, _ payload: [UInt8]) -> Bool {
        let bytes = frame(payload)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { outrider_send(descriptor, $0.baseAddress! + written, bytes.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            written += count
        }
        return true
    }
}
