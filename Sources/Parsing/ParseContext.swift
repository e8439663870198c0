import Execution

/// What all parsers of one file share: limits, the clock, and the budgets that nested files draw from together.
final class ParseContext {
    let limits: ParseLimits
    /// When parsers that can stop half-way should do so.
    let softDeadline: ContinuousClock.Instant
    private(set) var depth = 0
    /// Bytes that archive members may still unpack to.
    var unpackedBytesLeft: Int
    /// Files inside files that may still be parsed.
    private var nestedFilesLeft = 500

    init(limits: ParseLimits) {
        self.limits = limits
        softDeadline = .now + .seconds(limits.seconds * 0.85)
        unpackedBytesLeft = limits.unpackedBytes
    }

    var secondsLeft: Double {
        let left = ContinuousClock.now.duration(to: softDeadline)
        return left.inSeconds
    }

    var builder: DocumentBuilder { DocumentBuilder(outputLimit: limits.outputBytes) }

    /// Parses an attachment, an embedded object or an archive member, by the rules for any file.
    func parseNested(_ input: ParseInput) throws(Refusal) -> ParsedDocument {
        guard depth < limits.nestingDepth else {
            throw .tooLarge("\(input.name) lies more than \(limits.nestingDepth) files deep")
        }
        guard nestedFilesLeft > 0 else { throw .tooLarge("more than 500 files inside one file") }
        guard secondsLeft > 0 else { throw .timedOut(seconds: limits.seconds) }
        guard input.size > 0 else { throw .empty("\(input.name) has no bytes") }
        nestedFilesLeft -= 1
        depth += 1
        defer { depth -= 1 }
        return try FormatParser.parse(input, context: self)
    }

    /// Appends a nested file under a heading with its name; what cannot be read is named in a note and a warning.
    func appendNested(_ input: ParseInput, to builder: inout DocumentBuilder) throws(Refusal) {
        let result: Result<ParsedDocument, Refusal>
        do { result = .success(try parseNested(input)) } catch { result = .failure(error) }
        switch result {
        case .success(let document):
            try builder.heading(input.name, level: 2)
            try builder.append(document, page: builder.page, levelShift: 2)
            for warning in document.warnings { builder.warn("\(input.name): \(warning)") }
        case .failure(let refusal):
            try builder.note("Attachment: \(input.name)")
            builder.warn("the attached \(input.name) was not read: \(refusal)")
        }
    }
}
