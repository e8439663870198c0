/// The straight lines that a page draws, in the coordinates of `PageContent`: what separates the cells of a table.
struct PageRules {
    /// `at` is the height of a horizontal line or the side of an upright one; it reaches from `from` to `to`.
    struct Rule: Equatable {
        var at: Float
        var from: Float
        var to: Float
        var length: Float { to - from }
    }
    var horizontal: [Rule] = []
    var vertical: [Rule] = []
    /// Upper and lower edges of filled areas, as wide as a row's background.
    var shades: [Rule] = []
    var isEmpty: Bool { horizontal.isEmpty && vertical.isEmpty }

    /// A drawing has more lines than any table.
    static let countMax = 4000

    /// Joins lines that lie on one another or follow each other, as cells drawn one by one leave them.
    mutating func merge() {
        horizontal = Self.merged(horizontal)
        vertical = Self.merged(vertical)
        shades = Self.merged(shades)
    }

    private static func merged(_ rules: [Rule]) -> [Rule] {
        var result: [Rule] = []
        // Heights first in steps, so that lines of one height follow each other from left to right.
        var open: [Rule] = []
        func close() {
            open.sort { $0.from < $1.from }
            var current: Rule?
            for rule in open {
                if var last = current, rule.from <= last.to + 2.5 {
                    last.to = max(last.to, rule.to)
                    current = last
                } else {
                    if let current { result.append(current) }
                    current = rule
                }
            }
            if let current { result.append(current) }
            open = []
        }
        for rule in rules.sorted(by: { $0.at < $1.at }) {
            if let first = open.first, rule.at - first.at > 1.6 { close() }
            open.append(rule)
        }
        close()
        return result
    }
}

/// Walks through a page's content (ISO 32000-1, 8) for the paths that are painted, and nothing else.
struct RuleScanner {
    private let file: PDFFile
    /// From the page's own coordinates to ours.
    private let toPage: Matrix
    private(set) var rules = PageRules()
    private(set) var isDrawing = false
    private var operatorsLeft = 400_000

    struct Matrix {
        var a = 1.0
        var b = 0.0
        var c = 0.0
        var d = 1.0
        var e = 0.0
        var f = 0.0
        /// First this, then `next`.
        func then(_ next: Matrix) -> Matrix {
            Matrix(
                a: a * next.a + b * next.c, b: a * next.b + b * next.d, c: c * next.a + d * next.c, d: c * next.b + d * next.d,
                e: e * next.a + f * next.c + next.e, f: e * next.b + f * next.d + next.f)
        }
        func apply(_ x: Double, _ y: Double) -> (x: Float, y: Float) {
            func bounded(_ value: Double) -> Float { Float(min(1e6, max(-1e6, value.isFinite ? value : 0))) }
            return (bounded(a * x + c * y + e), bounded(b * x + d * y + f))
        }
    }

    static func rules(of page: [String: PDFObject], in file: PDFFile) -> PageRules {
        var scanner = RuleScanner(file: file, toPage: placement(of: page, in: file))
        var content: [UInt8] = []
        if let parts = file.array(page["Contents"]) {
            for part in parts.prefix(1000) {
                content += file.bytes(part) ?? []
                content.append(0x0A)
                if content.count > 32 << 20 { return PageRules() }
            }
        } else {
            content = file.bytes(page["Contents"]) ?? []
        }
        scanner.scan(content, resources: file.dictionary(page["Resources"]) ?? [:], matrix: scanner.toPage, depth: 0)
        guard !scanner.isDrawing else { return PageRules() }
        scanner.rules.merge()
        return scanner.rules
    }

    /// How a point of the page's coordinates comes to lie on the page as it is shown, the origin at the top left.
    static func placement(of page: [String: PDFObject], in file: PDFFile) -> Matrix {
        let box = file.array(page["MediaBox"])?.map { file.number($0) ?? 0 } ?? []
        let (x0, y0, x1, y1) =
            box.count == 4 ? (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])) : (0, 0, 612, 792)
        switch (((file.integer(page["Rotate"]) ?? 0) % 360) + 360) % 360 {
        case 90: return Matrix(a: 0, b: 1, c: 1, d: 0, e: -y0, f: -x0)
        case 180: return Matrix(a: -1, b: 0, c: 0, d: 1, e: x1, f: -y0)
        case 270: return Matrix(a: 0, b: -1, c: -1, d: 0, e: y1, f: x1)
        default: return Matrix(a: 1, b: 0, c: 0, d: -1, e: -x0, f: y1)
        }
    }

    private init(file: PDFFile, toPage: Matrix) {
        self.file = file
        self.toPage = toPage
    }

    private mutating func scan(_ content: [UInt8], resources: [String: PDFObject], matrix start: Matrix, depth: Int) {
        var matrix = start
        var stack: [Matrix] = []
        var numbers: [Double] = []
        var lastName = ""
        var path: [(x: Float, y: Float, isMove: Bool)] = []
        var rectangles: [(x0: Float, y0: Float, x1: Float, y1: Float)] = []
        var current = (x: Float(0), y: Float(0))
        var first = current
        var index = 0
        let end = content.count

        func isDelimiter(_ byte: UInt8) -> Bool {
            switch byte {
            case 0, 0x09...0x0D, 0x20, 0x28, 0x29, 0x3C, 0x3E, 0x5B, 0x5D, 0x7B, 0x7D, 0x2F, 0x25: true
            default: false
            }
        }
        content.withUnsafeBufferPointer { content in
            while index < end, operatorsLeft > 0, !isDrawing {
                let byte = content[index]
                switch byte {
                case 0, 0x09...0x0D, 0x20, 0x5B, 0x5D, 0x7B, 0x7D, 0x3E, 0x29: index += 1
                case 0x25: while index < end, content[index] != 0x0A, content[index] != 0x0D { index += 1 }
                case 0x28:
                    // A string: its end is where its brackets balance.
                    var level = 0
                    while index < end {
                        if content[index] == 0x5C {
                            index += 1
                        } else if content[index] == 0x28 {
                            level += 1
                        } else if content[index] == 0x29 {
                            level -= 1
                            if level == 0 { break }
                        }
                        index += 1
                    }
                    index += 1
                case 0x3C:
                    index += 1
                    if index < end, content[index] == 0x3C {
                        index += 1
                    } else {
                        while index < end, content[index] != 0x3E { index += 1 }
                    }
                case 0x2F:
                    let start = index + 1
                    index = start
                    while index < end, !isDelimiter(content[index]) { index += 1 }
                    if index - start < 100 { lastName = String(decoding: content[start..<index], as: UTF8.self) }
                case 0x30...0x39, 0x2B, 0x2D, 0x2E:
                    var value = 0.0
                    var scale = 0.0
                    let isNegative = byte == 0x2D
                    while index < end, !isDelimiter(content[index]) {
                        let digit = content[index]
                        if digit == 0x2E {
                            scale = 1
                        } else if digit >= 0x30, digit <= 0x39 {
                            value = value * 10 + Double(digit - 0x30)
                            scale *= 10
                        }
                        index += 1
                    }
                    if scale > 1 { value /= scale }
                    if numbers.count >= 6 { numbers.removeFirst() }
                    numbers.append(isNegative ? -value : value)
                default:
                    let start = index
                    while index < end, !isDelimiter(content[index]) { index += 1 }
                    operatorsLeft -= 1
                    let length = index - start
                    let second: UInt8 = length > 1 ? content[start + 1] : 0
                    switch (byte, second, length) {
                    case (UInt8(ascii: "q"), _, 1): if stack.count < 100 { stack.append(matrix) }
                    case (UInt8(ascii: "Q"), _, 1): if let last = stack.popLast() { matrix = last }
                    case (UInt8(ascii: "c"), UInt8(ascii: "m"), 2):
                        if numbers.count == 6 {
                            matrix = Matrix(a: numbers[0], b: numbers[1], c: numbers[2], d: numbers[3], e: numbers[4], f: numbers[5]).then(
                                matrix)
                        }
                    case (UInt8(ascii: "m"), _, 1):
                        if numbers.count >= 2 {
                            current = matrix.apply(numbers[numbers.count - 2], numbers[numbers.count - 1])
                            first = current
                            path.append((current.x, current.y, true))
                        }
                    case (UInt8(ascii: "l"), _, 1):
                        if numbers.count >= 2 {
                            current = matrix.apply(numbers[numbers.count - 2], numbers[numbers.count - 1])
                            path.append((current.x, current.y, false))
                        }
                    case (UInt8(ascii: "c"), _, 1), (UInt8(ascii: "v"), _, 1), (UInt8(ascii: "y"), _, 1):
                        if numbers.count >= 2 {
                            current = matrix.apply(numbers[numbers.count - 2], numbers[numbers.count - 1])
                            path.append((current.x, current.y, true))
                        }
                    case (UInt8(ascii: "h"), _, 1):
                        path.append((first.x, first.y, false))
                        current = first
                    case (UInt8(ascii: "r"), UInt8(ascii: "e"), 2):
                        if numbers.count >= 4 {
                            let base = numbers.count - 4
                            let one = matrix.apply(numbers[base], numbers[base + 1])
                            let two = matrix.apply(numbers[base] + numbers[base + 2], numbers[base + 1] + numbers[base + 3])
                            rectangles.append((min(one.x, two.x), min(one.y, two.y), max(one.x, two.x), max(one.y, two.y)))
                        }
                    case (UInt8(ascii: "S"), _, 1), (UInt8(ascii: "s"), _, 1):
                        if byte == UInt8(ascii: "s") { path.append((first.x, first.y, false)) }
                        stroke(path, rectangles)
                        path = []
                        rectangles = []
                    case (UInt8(ascii: "f"), _, _), (UInt8(ascii: "F"), _, 1):
                        fill(path, rectangles)
                        path = []
                        rectangles = []
                    case (UInt8(ascii: "B"), _, 1), (UInt8(ascii: "b"), _, 1), (UInt8(ascii: "B"), UInt8(ascii: "*"), 2),
                        (UInt8(ascii: "b"), UInt8(ascii: "*"), 2):
                        fill(path, rectangles)
                        stroke(path, rectangles)
                        path = []
                        rectangles = []
                    case (UInt8(ascii: "n"), _, 1):
                        path = []
                        rectangles = []
                    case (UInt8(ascii: "D"), UInt8(ascii: "o"), 2):
                        if depth < 4, let object = file.dictionary(resources["XObject"])?[lastName], let form = file.dictionary(object),
                            file.name(form["Subtype"]) == "Form", let bytes = file.bytes(object)
                        {
                            let values = file.array(form["Matrix"])?.map { file.number($0) ?? 0 } ?? []
                            let own =
                                values.count == 6
                                ? Matrix(a: values[0], b: values[1], c: values[2], d: values[3], e: values[4], f: values[5]) : Matrix()
                            scan(
                                bytes, resources: file.dictionary(form["Resources"]) ?? resources, matrix: own.then(matrix),
                                depth: depth + 1)
                        }
                    case (UInt8(ascii: "I"), UInt8(ascii: "D"), 2):
                        // An inline picture: up to "EI" between blanks.
                        while index + 3 < end {
                            if content[index + 1] == 0x45, content[index + 2] == 0x49, content[index] <= 0x20, content[index + 3] <= 0x20 {
                                break
                            }
                            index += 1
                        }
                        index = min(end, index + 3)
                    default: break
                    }
                    numbers.removeAll(keepingCapacity: true)
                    if path.count > 20_000 || rectangles.count > 20_000 { isDrawing = true }
                }
            }
        }
    }

    private mutating func stroke(
        _ path: [(x: Float, y: Float, isMove: Bool)], _ rectangles: [(x0: Float, y0: Float, x1: Float, y1: Float)]
    ) {
        for (one, two) in zip(path, path.dropFirst()) where !two.isMove { add(one.x, one.y, two.x, two.y) }
        for box in rectangles {
            if box.x1 - box.x0 <= 3 || box.y1 - box.y0 <= 3 {
                thin(box)
            } else {
                add(box.x0, box.y0, box.x1, box.y0)
                add(box.x0, box.y1, box.x1, box.y1)
                add(box.x0, box.y0, box.x0, box.y1)
                add(box.x1, box.y0, box.x1, box.y1)
            }
        }
    }

    private mutating func fill(
        _ path: [(x: Float, y: Float, isMove: Bool)], _ rectangles: [(x0: Float, y0: Float, x1: Float, y1: Float)]
    ) {
        var boxes = rectangles
        // Rectangles drawn as four lines.
        var start = 0
        while start < path.count {
            var end = start + 1
            while end < path.count, !path[end].isMove { end += 1 }
            let part = path[start..<end]
            if part.count == 4 || part.count == 5 {
                let (x0, x1) = (part.map(\.x).min()!, part.map(\.x).max()!)
                let (y0, y1) = (part.map(\.y).min()!, part.map(\.y).max()!)
                if part.allSatisfy({ (abs($0.x - x0) < 0.6 || abs($0.x - x1) < 0.6) && (abs($0.y - y0) < 0.6 || abs($0.y - y1) < 0.6) }) {
                    boxes.append((x0, y0, x1, y1))
                }
            }
            start = end
        }
        for box in boxes {
            if box.x1 - box.x0 <= 3 || box.y1 - box.y0 <= 3 {
                thin(box)
            } else if box.x1 - box.x0 > 40, box.y1 - box.y0 < 120, rules.shades.count < PageRules.countMax {
                rules.shades.append(.init(at: box.y0, from: box.x0, to: box.x1))
                rules.shades.append(.init(at: box.y1, from: box.x0, to: box.x1))
            }
        }
    }

    private mutating func thin(_ box: (x0: Float, y0: Float, x1: Float, y1: Float)) {
        if box.y1 - box.y0 <= box.x1 - box.x0 {
            add(box.x0, (box.y0 + box.y1) / 2, box.x1, (box.y0 + box.y1) / 2)
        } else {
            add((box.x0 + box.x1) / 2, box.y0, (box.x0 + box.x1) / 2, box.y1)
        }
    }

    private mutating func add(_ x0: Float, _ y0: Float, _ x1: Float, _ y1: Float) {
        if abs(y0 - y1) < 0.7, abs(x0 - x1) > 4 {
            rules.horizontal.append(.init(at: (y0 + y1) / 2, from: min(x0, x1), to: max(x0, x1)))
        } else if abs(x0 - x1) < 0.7, abs(y0 - y1) > 4 {
            rules.vertical.append(.init(at: (x0 + x1) / 2, from: min(y0, y1), to: max(y0, y1)))
        }
        if rules.horizontal.count + rules.vertical.count > PageRules.countMax { isDrawing = true }
    }
}
