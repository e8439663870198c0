import Foundation

/// Reads PDF through poppler's `pdftotext`; pages without text go through text recognition.
enum PDFParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        var scanner = LayoutScanner()
        let descriptor = try input.reopenableDescriptor()
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
        let extras = Extras(pages: &pages, descriptor: descriptor, size: input.size, context: context, builder: &builder)
        let heading = try PageLayout.write(pages, notes: extras.notes, bookmarks: extras.bookmarks, to: &builder)
        if builder.isEmpty {
            throw missing ?? .empty("\(input.name) has \(pages.count) pages and no text on them")
        }
        return builder.finish(
            title: title(scanner.title) ?? heading, mimeType: "application/pdf", pageCount: pages.count, properties: scanner.properties)
    }

    // MARK: - What is not text

    /// What the file holds beside its text: brought into the pages where it has a place there, listed where it has not.
    private struct Extras {
        var notes: [Int: [String]] = [:]
        var bookmarks: [Int: [String: Int]] = [:]

        init(pages: inout [PageContent], descriptor: Int32, size: Int, context: ParseContext, builder: inout DocumentBuilder) {
            guard context.secondsLeft > 1,
                let file = PDFFile(descriptor: descriptor, size: size, unpackedBytes: context.limits.unpackedBytes)
            else { return }
            guard !file.isEncrypted else { return }
            let dictionaries = file.pages()
            let extras = PDFExtras(file, pages: dictionaries)
            var targets: Set<String> = []
            for index in pages.indices where index < dictionaries.count && index < extras.pages.count {
                let page = extras.pages[index]
                if mayHoldTable(pages[index]) || !page.widgets.isEmpty, context.secondsLeft > 1 {
                    pages[index].rules = RuleScanner.rules(of: dictionaries[index], in: file)
                }
                addTargets(page.links, to: &pages[index], &targets)
                FormLines.fill(&pages[index], page.widgets)
                let text = PageLayout.bookmarkKey(pages[index].lines.map(\.text).joined(separator: " "))
                for note in page.notes {
                    // What is written on the page itself has been read with it.
                    if note.kind == "FreeText", text.contains(PageLayout.bookmarkKey(note.text)) { continue }
                    notes[index, default: []].append((note.author.map { "Comment by \($0): " } ?? "Comment: ") + note.text)
                }
            }
            readBookmarks(extras.bookmarks, pages)
        }

        /// Whether words stand beside each other with wide gaps between, in two rows at least.
        private func mayHoldTable(_ page: PageContent) -> Bool {
            guard page.lines.count <= 5000 else { return false }
            var rowCount = 0
            var middles: [(y: Float, x: Float, height: Float)] = []
            for line in page.lines {
                for (one, two) in zip(line.words, line.words.dropFirst()) where two.xMin - one.xMax > one.height * 0.8 {
                    rowCount += 1
                    break
                }
                middles.append(((line.words[0].yMin + line.words[0].yMax) / 2, line.xMin, line.words[0].height))
            }
            if rowCount >= 2 { return true }
            middles.sort { $0.y < $1.y }
            for (one, two) in zip(middles, middles.dropFirst()) where two.y - one.y < one.height * 0.4 && abs(one.x - two.x) > one.height {
                rowCount += 1
                if rowCount >= 2 { return true }
            }
            return false
        }

        /// Writes a link's target after its text, once for each target.
        private func addTargets(_ links: [PDFExtras.Link], to page: inout PageContent, _ seen: inout Set<String>) {
            guard !links.isEmpty, links.count <= 2000 else { return }
            // A link over a line end has a box on each line; the last one counts.
            var boxes: [String: [PDFExtras.Box]] = [:]
            var order: [String] = []
            for link in links {
                if boxes[link.target] == nil { order.append(link.target) }
                boxes[link.target, default: []].append(link.box)
            }
            for target in order where !seen.contains(target) {
                let places = boxes[target]!
                // The first run of boxes that follow each other.
                var last = places[0]
                for box in places.dropFirst() {
                    guard box.y0 < last.y1 + (last.y1 - last.y0) else { break }
                    last = box
                }
                var found: (line: Int, word: Int)?
                var text = ""
                for (number, line) in page.lines.enumerated() {
                    for (index, word) in line.words.enumerated() {
                        if places.contains(where: { $0.contains(word) }) { text += word.text }
                        if last.contains(word) { found = (number, index) }
                    }
                }
                guard let found else { continue }
                seen.insert(target)
                let shown = PageLayout.bookmarkKey(text)
                var plain = target
                for prefix in ["mailto:", "tel:", "https://", "http://"] where plain.lowercased().hasPrefix(prefix) {
                    plain.removeFirst(prefix.count)
                }
                if target.lowercased().hasPrefix("mailto:"), let query = plain.firstIndex(of: "?") { plain = String(plain[..<query]) }
                let key = PageLayout.bookmarkKey(plain)
                if key.isEmpty || shown.contains(key) || (key.hasPrefix("www") && shown.contains(key.dropFirst(3))) { continue }
                var words = page.lines[found.line].words
                let isPlainTarget = target.lowercased().hasPrefix("mailto:") || target.lowercased().hasPrefix("tel:")
                words[found.word].text += " (" + (isPlainTarget ? plain : target) + ")"
                page.lines[found.line] = page.lines[found.line].with(words)
            }
        }

        /// Titles that are on their page make headings there; the others are kept for search.
        private mutating func readBookmarks(_ found: [PDFExtras.Bookmark], _ pages: [PageContent]) {
            var texts: [Int: String] = [:]
            var lostCount = 0
            for bookmark in found {
                let key = PageLayout.bookmarkKey(bookmark.title)
                guard key.utf8.count >= 2, let page = bookmark.page, pages.indices.contains(page) else { continue }
                let text = texts[page] ?? PageLayout.bookmarkKey(pages[page].lines.map(\.text).joined(separator: " "))
                texts[page] = text
                if text.contains(key) {
                    bookmarks[page, default: [:]][key] = bookmark.level
                } else if lostCount < 300 {
                    lostCount += 1
                    notes[page, default: []].append("Bookmark: " + bookmark.title)
                }
            }
        }
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
