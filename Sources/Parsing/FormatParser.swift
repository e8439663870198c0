/// Chooses the parser. Every file, at whatever depth inside another, comes through here.
enum FormatParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let format = try FileFormat.detect(input, context: context)
        let document = try parse(input, as: format, context: context)
        guard !document.blocks.isEmpty else { throw .empty("\(input.name) holds no text") }
        return document
    }

    private static func parse(_ input: ParseInput, as format: FileFormat, context: ParseContext) throws(Refusal) -> ParsedDocument {
        switch format {
        case .pdf: try PDFParser.parse(input, context: context)
        case .word: try WordParser.parse(input, context: context)
        case .presentation: try PresentationParser.parse(input, context: context)
        case .spreadsheet: try SpreadsheetParser.parse(input, context: context)
        case .openDocument(let mimeType): try OpenDocumentParser.parse(input, mimeType: mimeType, context: context)
        case .epub: try EPUBParser.parse(input, context: context)
        case .compoundFile: try LegacyOfficeParser.parse(input, context: context)
        case .archive(let mimeType): try ContainerParser.parse(input, mimeType: mimeType, context: context)
        case .image(let mimeType): try TextRecognition.parse(input, mimeType: mimeType, context: context)
        case .rtf: try RTFParser.parse(input, context: context)
        case .html: try HTMLParser.parse(input, context: context)
        case .xml, .wordFlat: try StructuredTextParser.parseXML(input, context: context)
        case .mail: try MailParser.parse(input, context: context)
        case .mailbox: try MailParser.parseMailbox(input, context: context)
        case .calendar: try CalendarParser.parse(input, context: context)
        case .tnef: try TNEFParser.parse(input, context: context)
        case .subtitles: try SubtitleParser.parse(input, context: context)
        case .outline(let kind): try OutlineParser.parse(input, kind: kind, context: context)
        case .markdown: try MarkdownParser.parse(input, context: context)
        case .delimited: try DelimitedTextParser.parse(input, context: context)
        case .json: try StructuredTextParser.parseJSON(input, context: context)
        case .source(let language): try SourceCodeParser.parse(input, language: language, context: context)
        case .plainText: try PlainTextParser.parse(input, context: context)
        case .unsupported(let what): throw .unsupportedFormat(what)
        }
    }
}
