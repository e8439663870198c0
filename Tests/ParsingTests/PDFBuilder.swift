/// Writes small PDF files for tests: text at places, lines, annotations, fields, bookmarks.
struct PDFBuilder {
    struct Page {
        var content = ""
        var annotations: [String] = []
        var extra = ""

        /// Text whose baseline starts at a place, the origin at the bottom left.
        mutating func text(_ x: Double, _ y: Double, _ text: String, size: Double = 10, bold: Bool = false, matrix: String? = nil) {
            let escaped = text.replacing("\\", with: "\\\\").replacing("(", with: "\\(").replacing(")", with: "\\)")
            let place = matrix.map { "\($0) \(x) \(y) Tm" } ?? "\(x) \(y) Td"
            content += "BT /\(bold ? "F2" : "F1") \(size) Tf \(place) (\(escaped)) Tj ET\n"
        }
        /// Lines of text under each other.
        mutating func lines(_ x: Double, _ y: Double, _ lines: [String], size: Double = 10, leading: Double = 12) {
            for (index, line) in lines.enumerated() { text(x, y - Double(index) * leading, line, size: size) }
        }
        mutating func line(_ x0: Double, _ y0: Double, _ x1: Double, _ y1: Double) {
            content += "\(x0) \(y0) m \(x1) \(y1) l S\n"
        }
        /// A grid of lines with the given sides.
        mutating func grid(_ xs: [Double], _ ys: [Double]) {
            for x in xs { line(x, ys.first!, x, ys.last!) }
            for y in ys { line(xs.first!, y, xs.last!, y) }
        }
        mutating func annotation(_ type: String, _ rect: (Double, Double, Double, Double), _ rest: String) {
            annotations.append("<</Type/Annot/Subtype/\(type)/Rect[\(rect.0) \(rect.1) \(rect.2) \(rect.3)]\(rest)>>")
        }
    }
    var pages: [Page] = []
    var catalog = ""
    var size = (612, 792)
    /// Wrapped in the header and checksum of an uncompressed deflate stream.
    var packsStreams = false
    /// Objects packed into a stream, with a table that is a stream.
    var packsObjects = false
    /// Extra objects, the first of which has the number 6.
    var objects: [String] = []

    /// Object numbers: 1 catalog, 2 page tree, 3 and 4 fonts, 5 unused, then `objects`, then pages, contents and annotations.
    func bytes() -> [UInt8] {
        var bodies: [Int: (head: String, stream: [UInt8]?)] = [:]
        bodies[3] = ("<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>", nil)
        bodies[4] = ("<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>", nil)
        bodies[5] = ("null", nil)
        for (index, object) in objects.enumerated() { bodies[6 + index] = (object, nil) }
        var next = 6 + objects.count
        var kids: [Int] = []
        var annotationNumbers: [Int] = []
        for page in pages {
            let number = next
            next += 2 + page.annotations.count
            kids.append(number)
            let references = page.annotations.indices.map { "\(number + 2 + $0) 0 R" }.joined(separator: " ")
            for (index, annotation) in page.annotations.enumerated() {
                bodies[number + 2 + index] = (annotation, nil)
                if annotation.contains("/Widget") { annotationNumbers.append(number + 2 + index) }
            }
            bodies[number] = (
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 \(size.0) \(size.1)]/Contents \(number + 1) 0 R/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>/Annots[\(references)]\(page.extra)>>",
                nil
            )
            var stream = Array(page.content.utf8)
            var filter = ""
            if packsStreams {
                stream = Self.stored(stream)
                filter = "/Filter/FlateDecode"
            }
            bodies[number + 1] = ("<</Length \(stream.count)\(filter)>>", stream)
        }
        bodies[2] = ("<</Type/Pages/Kids[\(kids.map { "\($0) 0 R" }.joined(separator: " "))]/Count \(kids.count)>>", nil)
        let fields = annotationNumbers.map { "\($0) 0 R" }.joined(separator: " ")
        let form =
            fields.isEmpty || catalog.contains("/AcroForm")
            ? "" : "/AcroForm<</Fields[\(fields)]/NeedAppearances true/DA(/F1 10 Tf 0 g)/DR<</Font<</F1 3 0 R>>>>>>"
        bodies[1] = ("<</Type/Catalog/Pages 2 0 R\(form)\(catalog)>>", nil)

        var output = Array("%PDF-1.7\n%\u{E2}\u{E3}\n".utf8)
        var offsets: [Int: Int] = [:]
        func write(_ number: Int, _ head: String, _ stream: [UInt8]?) {
            offsets[number] = output.count
            output += Array("\(number) 0 obj\n\(head)\n".utf8)
            if let stream { output += Array("stream\n".utf8) + stream + Array("\nendstream\n".utf8) }
            output += Array("endobj\n".utf8)
        }
        if packsObjects {
            let packed = bodies.keys.sorted().filter { bodies[$0]!.stream == nil }
            var header = ""
            var text = ""
            for number in packed {
                header += "\(number) \(text.utf8.count) "
                text += bodies[number]!.head + " "
            }
            let stream = Self.stored(Array((header + text).utf8))
            let container = next
            for number in bodies.keys.sorted() where bodies[number]!.stream != nil {
                write(number, bodies[number]!.head, bodies[number]!.stream)
            }
            write(
                container,
                "<</Type/ObjStm/N \(packed.count)/First \(header.utf8.count)/Length \(stream.count)/Filter/FlateDecode>>", stream)
            let table = next + 1
            offsets[table] = output.count
            // Rows of a kind, a place of three bytes and an index, as differences to the row above (PNG's "up").
            var rows: [UInt8] = []
            var above = [UInt8](repeating: 0, count: 5)
            for number in 0...table {
                var row: [UInt8] = [0, 0, 0, 0, 0]
                if let index = packed.firstIndex(of: number) {
                    row = [2, 0, UInt8(container >> 8), UInt8(container & 255), UInt8(index)]
                } else if let offset = offsets[number] {
                    row = [1, UInt8(offset >> 16), UInt8(offset >> 8 & 255), UInt8(offset & 255), 0]
                }
                rows.append(2)
                rows += zip(row, above).map { $0 &- $1 }
                above = row
            }
            let packedRows = Self.stored(rows)
            let start = output.count
            output += Array(
                "\(table) 0 obj\n<</Type/XRef/Size \(table + 1)/W[1 3 1]/Root 1 0 R/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 5>>/Length \(packedRows.count)>>\nstream\n"
                    .utf8)
            output += packedRows + Array("\nendstream\nendobj\nstartxref\n\(start)\n%%EOF\n".utf8)
            return output
        }
        for number in bodies.keys.sorted() { write(number, bodies[number]!.head, bodies[number]!.stream) }
        let start = output.count
        output += Array("xref\n0 \(next)\n0000000000 65535 f \n".utf8)
        for number in 1..<next {
            let offset = String(offsets[number] ?? 0)
            output += Array((String(repeating: "0", count: 10 - offset.count) + offset + " 00000 n \n").utf8)
        }
        output += Array("trailer\n<</Size \(next)/Root 1 0 R>>\nstartxref\n\(start)\n%%EOF\n".utf8)
        return output
    }

    /// A zlib stream of one stored block.
    static func stored(_ bytes: [UInt8]) -> [UInt8] {
        let size = bytes.count
        var one = 1
        var two = 0
        for byte in bytes {
            one = (one + Int(byte)) % 65521
            two = (two + one) % 65521
        }
        return [0x78, 0x01, 0x01, UInt8(size & 255), UInt8(size >> 8), UInt8(~size & 255), UInt8(~size >> 8 & 255)] + bytes
            + [UInt8(two >> 8), UInt8(two & 255), UInt8(one >> 8), UInt8(one & 255)]
    }

    /// A page with one drawing of it.
    static func page(_ draw: (inout Page) -> Void) -> PDFBuilder {
        var page = Page()
        draw(&page)
        return PDFBuilder(pages: [page])
    }
}
