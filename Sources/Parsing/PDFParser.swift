import Foundation

/// Reads PDF through poppler's `pdftotext`; pages without text go through text recognition.
enum PDFParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        var scanner = LayoutScanner()
        let descriptor = try input.fileDescriptor()
        let output: ToolRunner.Output
        do {
            output = try ToolRunner.run(
                "pdftotext", ["-bbox-layout", "-enc", "UTF-8", "-eol", "unix", "/proc/self/fd/0", "-"], input: descriptor,
                seconds: max(1, context.secondsLeft), outputLimit: .max
            ) { chunk in
                scanner.consume(chunk)
                return scanner.wordBytes <= context.limits.outputBytes
            }
        } catch {
            switch error {
            case .notInstalled: throw .unavailable("pdftotext (Debian package poppler-utils)")
            case .cannotStart(let reason): throw .unavailable("pdftotext: \(reason)")
            }
        }
        if output.isTooLong {
            throw .tooLarge("more than \(context.limits.outputBytes) bytes of text; split the file or raise the output limit")
        }
        if output.standardError.contains("Incorrect password") {
            throw .encrypted("\(input.name) needs a password; save it without one and try again")
        }
        var pages = scanner.pages
        var builder = context.builder
        if output.isTimedOut {
            guard pages.count > 1 else { throw .timedOut(seconds: context.limits.seconds) }
            pages.removeLast()
            builder.warn("only the first \(pages.count) pages were read in \(Int(context.limits.seconds)) s; raise --parse-timeout")
        } else if output.status != 0, pages.allSatisfy({ $0.lines.isEmpty }) {
            if output.status == -SIGKILL || output.standardError.contains("bad_alloc") || output.standardError.contains("Out of memory") {
                throw .outOfMemory(limitBytes: context.limits.memoryBytes)
            }
            throw .malformed("\(input.name) cannot be opened as PDF (\(reason(output)))")
        } else if output.status != 0 {
            builder.warn("the PDF is damaged; what could be read of it was (\(reason(output)))")
        }
        guard !pages.isEmpty else { throw .malformed("\(input.name) has no pages (\(reason(output)))") }

        let emptyPages = pages.indices.filter { pages[$0].characterCount < 16 || pages[$0].isUndecipherable }
        for index in pages.indices where context.secondsLeft > 1 && pages[index].isSkewed {
            lseek(descriptor, 0, SEEK_SET)
            let arguments = [
                "-raw", "-nopgbrk", "-enc", "UTF-8", "-eol", "unix", "-f", "\(index + 1)", "-l", "\(index + 1)", "/proc/self/fd/0", "-",
            ]
            guard
                let raw = try? ToolRunner.run(
                    "pdftotext", arguments, input: descriptor, seconds: context.secondsLeft, outputLimit: 4 << 20), raw.status == 0
            else { continue }
            let text = String(decoding: raw.standardOutput, as: UTF8.self)
            if !text.isBlank { pages[index].unplacedText = text }
        }
        var missing: Refusal?
        if !emptyPages.isEmpty {
            missing = TextRecognition.fill(&pages, emptyPages, of: input, descriptor: descriptor, context: context, builder: &builder)
        }
        let lost = pages.indices.filter { pages[$0].isUndecipherable }
        for index in lost { pages[index].lines = [] }
        if !lost.isEmpty {
            builder.warn("the fonts of \(lost.count) of \(pages.count) pages do not say which letters they show; their text was left out")
        }
        let heading = try PageLayout.write(pages, to: &builder)
        if builder.isEmpty {
            throw missing ?? .empty("\(input.name) has \(pages.count) pages and no text on them")
        }
        return builder.finish(
            title: title(scanner.title) ?? heading, mimeType: "application/pdf", pageCount: pages.count, properties: scanner.properties)
    }

    private static func reason(_ output: ToolRunner.Output) -> String {
        let line = output.standardError.split(separator: "\n").last.map(String.init) ?? ""
        return line.isEmpty ? "pdftotext ended with status \(output.status)" : String(line.prefix(160))
    }

    /// A title that somebody chose, rather than one that a program left.
    private static func title(_ text: String?) -> String? {
        guard let text, text.utf8.count >= 3 else { return nil }
        let lowered = text.lowercased()
        if lowered.hasPrefix("microsoft ") || lowered.hasPrefix("untitled") || lowered == "title" { return nil }
        if [".doc", ".docx", ".indd", ".pdf", ".dvi", ".tex", ".ppt", ".pptx", ".xls", ".qxd", ".rtf", ".txt"].contains(where: {
            lowered.hasSuffix($0)
        }) {
            return nil
        }
        return text.contains(where: \.isLetter) ? text : nil
    }
}
