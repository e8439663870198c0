import CLibXML2

/// Finds the older mail that a mail quotes.
///
/// Programs mark it in many ways: `>` before each line, a line "On Monday Vera wrote:" above it, "-----Original Message-----", or
/// just the older mail's header. All of it gets `>`, so that later stages know one sign. What a mail forwards is no older text but
/// what the mail is about, and stays as it is.
enum MailQuotes {
    struct Run: Equatable {
        var isQuote: Bool
        var text: String
    }

    /// Cuts a plain body into what the sender wrote and what he quotes.
    static func runs(_ text: String, isForward: Bool) -> [Run] {
        var runs: [Run] = []
        var current: [Substring] = []
        var isQuote = false
        func close() {
            let text = current.joined(separator: "\n")
            current = []
            guard !text.isBlank else { return }
            // A quotation of thousands of lines is cut, so that a block stays something one can cite.
            if isQuote {
                for part in marked(text) { runs.append(Run(isQuote: true, text: part)) }
            } else {
                runs.append(Run(isQuote: false, text: text))
            }
        }
        let lines = PlainTextParser.splitLines(text)
        var index = 0
        while index < lines.count {
            let line = lines[index]
            if !isForward, let length = separatorLength(lines[index...]) {
                // The line that names the older mail's sender stays with what it opens.
                close()
                isQuote = true
                current = Array(lines[index...])
                index += length
                let next = lines[index...].first { !$0.isBlank }
                if next.map({ isMarked($0) }) ?? true {
                    // The quotation has marks of its own, and may end.
                    let head = lines[(index - length)..<index].map { $0 }
                    current = head
                    close()
                    isQuote = false
                    continue
                }
                close()
                return runs
            }
            let isOwnMark = isMarked(line)
            if isOwnMark != isQuote, !line.isBlank {
                close()
                isQuote = isOwnMark
            }
            current.append(line)
            index += 1
        }
        close()
        return runs
    }

    /// Text with a mark before each line, in parts of 60 lines.
    static func marked(_ text: String) -> [String] {
        var lines: [String] = []
        for line in PlainTextParser.splitLines(text) {
            if line.isBlank { continue }
            lines.append(isMarked(line) ? String(line) : "> " + line)
        }
        return stride(from: 0, to: lines.count, by: 60).map { lines[$0..<min($0 + 60, lines.count)].joined(separator: "\n") }
    }

    static func isForward(_ subject: String) -> Bool {
        let lowered = subject.trimmed.lowercased()
        return ["fw:", "fwd:", "wg:", "tr:", "rv:", "i:", "vs:", "enc:", "doorst:", "vb:", "转发", "fw：", "轉寄"].contains {
            lowered.hasPrefix($0)
        }
            && !lowered.hasPrefix("vs: re")
    }

    private static func isMarked(_ line: Substring) -> Bool {
        line.drop { $0 == " " || $0 == "\t" }.hasPrefix(">") && !line.hasPrefix(">From ")
    }

    /// How many lines say that an older mail follows; nil when none do.
    private static func separatorLength(_ lines: ArraySlice<Substring>) -> Int? {
        guard let first = lines.first, first.utf8.count < 400, !first.isBlank else { return nil }
        let line = first.trimmed
        if line.hasPrefix("--"), line.hasSuffix("--") {
            let words = line.filter { $0 != "-" }.trimmed.lowercased()
            return originals.contains(words) ? 1 : nil
        }
        // The name of the sender may run over two lines.
        if isIntroduction(line) { return 1 }
        if startsIntroduction(line), let second = lines.dropFirst().first, second.utf8.count < 200,
            isIntroduction(line + " " + second.trimmed)
        {
            return 2
        }
        // The older mail's header: From, Sent, To, Subject in one of several languages.
        guard let names = headerName(line), names.isSender else { return nil }
        var known = 1
        var count = 1
        for next in lines.dropFirst().prefix(8) {
            guard !next.isBlank, headerName(next.trimmed) != nil else {
                if next.isBlank || known >= 3 { break }
                count += 1
                continue
            }
            known += 1
            count += 1
        }
        return known >= 3 ? count : nil
    }

    private static let originals: Set<String> = [
        "original message", "ursprüngliche nachricht", "originalnachricht", "message d'origine", "message original", "mensaje original",
        "messaggio originale", "oorspronkelijk bericht", "mensagem original", "opprinnelig melding", "oprindelig meddelelse",
        "ursprungligt meddelande", "původní zpráva", "wiadomość oryginalna", "исходное сообщение", "original appointment",
    ]
    private static let introductions: [(start: String, end: String)] = [
        ("on ", " wrote:"), ("am ", " schrieb:"), ("le ", " a écrit :"), ("le ", " a écrit:"), ("el ", " escribió:"),
        ("il ", " ha scritto:"),
        ("op ", " schreef:"), ("em ", " escreveu:"), ("den ", " skrev:"), ("den ", " skrev følgende:"), ("w dniu ", " napisał:"),
        ("dne ", " napsal:"), ("am ", " geschrieben:"),
    ]

    private static func startsIntroduction(_ line: String) -> Bool {
        let lowered = line.lowercased()
        return introductions.contains { lowered.hasPrefix($0.start) } && lowered.contains(where: \.isNumber)
    }

    private static func isIntroduction(_ line: String) -> Bool {
        let lowered = line.lowercased()
        guard lowered.hasSuffix(":"), lowered.contains(where: \.isNumber) else { return false }
        if introductions.contains(where: { lowered.hasPrefix($0.start) && lowered.hasSuffix($0.end) }) { return true }
        // "Am 3. März schrieb Vera Example <vera@example.org>:"
        return [("am ", " schrieb "), ("op ", " schreef "), ("den ", " skrev ")].contains {
            lowered.hasPrefix($0.0) && lowered.contains($0.1)
        }
    }

    private static let senders: Set<String> = ["from", "von", "de", "da", "van", "fra", "från", "od", "от"]
    private static let others: Set<String> = [
        "sent", "date", "to", "subject", "cc", "gesendet", "datum", "an", "betreff", "envoyé", "à", "objet", "enviado", "para", "asunto",
        "inviato", "a", "oggetto", "verzonden", "aan", "onderwerp", "sendt", "til", "emne", "skickat", "till", "ämne", "assunto", "fecha",
        "data", "дата", "кому", "тема",
    ]

    private static func headerName(_ line: String) -> (isSender: Bool, Void)? {
        let plain = line.filter { $0 != "*" }
        guard let colon = plain.firstIndex(of: ":"), plain.distance(from: plain.startIndex, to: colon) <= 12 else { return nil }
        let name = plain[..<colon].trimmed.lowercased()
        if senders.contains(name) { return (true, ()) }
        return others.contains(name) ? (false, ()) : nil
    }

    /// Whether an element of an HTML body holds the older mail.
    static func isQuote(_ node: XMLNode, _ name: String) -> Bool {
        guard name == "blockquote" || name == "div", node.pointer.pointee.properties != nil else { return false }
        if name == "blockquote", node["type"]?.lowercased() == "cite" || node["cite"] != nil { return true }
        let names = ((node["class"] ?? "") + " " + (node["id"] ?? "")).lowercased().split(separator: " ")
        let known: Set<Substring> = [
            "gmail_quote", "yahoo_quoted", "moz-cite-prefix", "gmail_extra", "protonmail_quote", "zmail_extra",
            "mail-editor-reference-message-container", "tutanota_quote",
        ]
        return names.contains { known.contains($0) || $0.hasSuffix("gmail_quote") }
    }

    /// Whether an element is the older mail's header, as Outlook writes it; all that follows is the older mail.
    static func opensQuotes(_ node: XMLNode, _ name: String) -> Bool {
        guard name == "div", node.pointer.pointee.properties != nil else { return false }
        if node["id"]?.lowercased().hasSuffix("divrplyfwdmsg") == true { return true }
        guard let style = node["style"]?.lowercased().filter({ !$0.isWhitespace }) else { return false }
        return style.contains("border-top:solid#e1e1e1") || style.contains("border-top:solid#b5c4df")
    }
}
