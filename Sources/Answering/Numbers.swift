/// Numbers of a text in a form in which `1.300.000`, `1,300,000` and `1 300 000`, and `31` and `thirty-one`, are the same.
///
/// A point before three digits may part thousands or decimals: such a number has both readings.
enum Numbers {
    /// A number of a text: every way in which it can be read.
    typealias Readings = Set<String>

    /// The numbers of a text, in order; words are numbers too, but for "one", which is an article as often.
    static func all(_ text: String) -> [Readings] {
        var numbers: [Readings] = []
        let scalars = Array(normalized(text).unicodeScalars)
        var index = 0
        while index < scalars.count {
            guard digit(scalars[index]) != nil else {
                index += 1
                continue
            }
            var end = index
            while end < scalars.count, digit(scalars[end]) != nil || isInside(scalars, end) { end += 1 }
            let parts = split(scalars[index..<end])
            numbers += readings(parts, scale: scale(after: end, in: scalars))
            index = end
        }
        return numbers
    }

    /// Every reading of every number.
    static func values(_ text: String) -> Set<String> { all(text).reduce(into: []) { $0.formUnion($1) } }

    // MARK: - Digits

    private static func digit(_ scalar: Unicode.Scalar) -> Int? {
        guard scalar.properties.generalCategory == .decimalNumber, let value = scalar.properties.numericValue else { return nil }
        return Int(value)
    }

    /// A mark between digits that may belong to the number.
    private static func isInside(_ scalars: [Unicode.Scalar], _ index: Int) -> Bool {
        guard index > 0, index + 1 < scalars.count, digit(scalars[index - 1]) != nil, digit(scalars[index + 1]) != nil else { return false }
        switch scalars[index] {
        case ".", ",", "'", "’", "\u{66B}", "\u{66C}": return true
        case " ", "\u{A0}", "\u{202F}", "\u{2009}":
            // A group of exactly three digits after one of at most three.
            var after = index + 1
            while after < scalars.count, digit(scalars[after]) != nil { after += 1 }
            var before = index
            while before > 0, digit(scalars[before - 1]) != nil { before -= 1 }
            return after - index - 1 == 3 && index - before <= 3
        default: return false
        }
    }

    private static func split(_ scalars: ArraySlice<Unicode.Scalar>) -> (groups: [String], marks: [Unicode.Scalar]) {
        var groups = [""]
        var marks: [Unicode.Scalar] = []
        for scalar in scalars {
            if let digit = digit(scalar) {
                groups[groups.count - 1] += "\(digit)"
            } else {
                marks.append(scalar)
                groups.append("")
            }
        }
        return (groups, marks)
    }

    private static func readings(_ parts: (groups: [String], marks: [Unicode.Scalar]), scale: Int) -> [Readings] {
        let (groups, marks) = parts
        guard let lastMark = marks.last else { return [scaled([canonical(groups[0], "")], scale)] }
        var whole: Readings = []
        let isGrouped = { (groups: ArraySlice<String>) in groups.dropFirst().allSatisfy { $0.count == 3 } && (groups.first?.count ?? 9) <= 3
        }
        let sameMarks = Set(marks).count == 1
        if sameMarks, isGrouped(groups[...]), groups[0] != "0" { whole.insert(canonical(groups.joined(), "")) }
        // The last mark parts decimals when it is another than those before, or the only one.
        if ".,\u{66B}".unicodeScalars.contains(lastMark),
            marks.count == 1 || !marks.dropLast().contains(lastMark) && isGrouped(groups.dropLast())
        {
            whole.insert(canonical(groups.dropLast().joined(), groups.last!))
        }
        // Dates, versions and sections: each part by itself.
        if whole.isEmpty { return groups.map { [canonical($0, "")] } }
        return [scaled(whole, scale)]
    }

    private static func canonical(_ whole: String, _ fraction: String) -> String {
        let head = whole.drop { $0 == "0" }
        var tail = Substring(fraction)
        while tail.last == "0" { tail.removeLast() }
        return (head.isEmpty ? "0" : String(head)) + (tail.isEmpty ? "" : "." + tail)
    }

    private static func scaled(_ readings: Readings, _ zeros: Int) -> Readings {
        guard zeros > 0 else { return readings }
        var all = readings
        for reading in readings {
            let parts = reading.split(separator: ".")
            let fraction = parts.count > 1 ? String(parts[1]) : ""
            guard fraction.count <= zeros else { continue }
            all.insert(canonical(String(parts[0]) + fraction + String(repeating: "0", count: zeros - fraction.count), ""))
        }
        return all
    }

    private static func scale(after index: Int, in scalars: [Unicode.Scalar]) -> Int {
        var start = index
        while start < scalars.count, scalars[start] == " " || scalars[start] == "\u{A0}" || scalars[start] == "-" { start += 1 }
        var end = start
        while end < scalars.count, end - start < 12, scalars[end].properties.isAlphabetic { end += 1 }
        switch String(String.UnicodeScalarView(scalars[start..<end])).lowercased() {
        case "thousand", "tausend", "mille", "mil", "tsd": return 3
        case "million", "millions", "millionen", "mio", "millones", "milioni": return 6
        case "billion", "billions", "milliarde", "milliarden", "mrd", "milliard", "milliards": return 9
        default: return 0
        }
    }

    // MARK: - Words

    /// The text with number words as digits.
    static func normalized(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.properties.isAlphabetic }) else { return text }
        var tokens: [(text: String, isWord: Bool)] = []
        for scalar in text.unicodeScalars {
            let isWord = scalar.properties.isAlphabetic
            if let last = tokens.last, last.isWord == isWord {
                tokens[tokens.count - 1].text.unicodeScalars.append(scalar)
            } else {
                tokens.append((String(scalar), isWord))
            }
        }
        var result = ""
        var index = 0
        while index < tokens.count {
            if tokens[index].isWord, let (value, end) = english(tokens, index) {
                result += "\(value)"
                index = end
            } else if tokens[index].isWord, let value = german(tokens[index].text.lowercased()) {
                result += "\(value)"
                index += 1
            } else {
                result += tokens[index].text
                index += 1
            }
        }
        return result
    }

    private static let units: [String: Int] = [
        "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
        "eleven": 11,
        "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
    ]
    private static let tens: [String: Int] = [
        "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    ]
    private static let scales: [String: Int] = ["hundred": 100, "thousand": 1000, "million": 1_000_000]

    /// `two hundred and thirty-one`: the value and the token after it.
    private static func english(_ tokens: [(text: String, isWord: Bool)], _ start: Int) -> (value: Int, end: Int)? {
        var total = 0
        var current = 0
        var index = start
        var end = start
        var last = ""
        while index < tokens.count, tokens[index].isWord {
            let word = tokens[index].text.lowercased()
            if let value = units[word], last == "" || last == "tens" && (1...9).contains(value) || last == "scale" {
                current += value
                last = "unit"
            } else if let value = tens[word], last == "" || last == "scale" {
                current += value
                last = "tens"
            } else if let value = scales[word], last != "", value < 1000 || current < 1000 {
                guard last != "scale" || value >= 1000 else { break }
                if value == 100 {
                    current *= 100
                } else {
                    total += current * value
                    current = 0
                }
                last = "scale"
            } else if word == "and", last == "scale", index + 2 < tokens.count,
                units[tokens[index + 2].text.lowercased()] != nil
                    || tens[tokens[index + 2].text.lowercased()] != nil
            {
                index += 2
                continue
            } else {
                break
            }
            end = index + 1
            guard index + 1 < tokens.count, tokens[index + 1].text == " " || tokens[index + 1].text == "-" || tokens[index + 1].text == "‑"
            else {
                break
            }
            index += 2
        }
        guard end > start, !(end == start + 1 && tokens[start].text.lowercased() == "one") else { return nil }
        return (total + current, end)
    }

    private static let germanUnits: [String: Int] = [
        "zwei": 2, "zwo": 2, "drei": 3, "vier": 4, "fünf": 5, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10,
        "elf": 11, "zwölf": 12, "zwoelf": 12, "dreizehn": 13, "vierzehn": 14, "fünfzehn": 15, "fuenfzehn": 15, "sechzehn": 16,
        "siebzehn": 17,
        "achtzehn": 18, "neunzehn": 19,
    ]
    private static let germanTens: [String: Int] = [
        "zwanzig": 20, "dreißig": 30, "dreissig": 30, "vierzig": 40, "fünfzig": 50, "fuenfzig": 50, "sechzig": 60, "siebzig": 70,
        "achtzig": 80,
        "neunzig": 90,
    ]

    /// `zweihunderteinunddreißig`.
    private static func german(_ word: String) -> Int? {
        guard word.utf8.count >= 3 else { return nil }
        if let split = word.firstRange(of: "tausend") {
            let head = String(word[..<split.lowerBound])
            let tail = String(word[split.upperBound...])
            guard let left = head.isEmpty || head == "ein" ? 1 : german(head), let right = tail.isEmpty ? 0 : rest(tail) else { return nil }
            return left * 1000 + right
        }
        if let split = word.firstRange(of: "hundert") {
            let head = String(word[..<split.lowerBound])
            let tail = String(word[split.upperBound...])
            guard let left = head.isEmpty || head == "ein" ? 1 : germanUnits[head], let right = tail.isEmpty ? 0 : rest(tail) else {
                return nil
            }
            return left * 100 + right
        }
        if let value = germanUnits[word] ?? germanTens[word] { return value }
        for (tens, value) in germanTens where word.hasSuffix("und" + tens) {
            let head = String(word.dropLast(tens.count + 3))
            if head == "ein" { return value + 1 }
            if let unit = germanUnits[head], unit < 10 { return value + unit }
        }
        return nil
    }

    private static func rest(_ word: String) -> Int? {
        let tail = word.hasPrefix("und") ? String(word.dropFirst(3)) : word
        return tail == "eins" || tail == "ein" ? 1 : german(tail)
    }
}
