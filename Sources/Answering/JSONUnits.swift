import Segmentation

/// Cuts JSON into what can be asked for: a key with its value, told with the keys that lead to it.
///
///     {"limits": {"max_sessions": 480}}      limits.max_sessions: 480
///     {"pumps": [{"name": "A", "bar": 4}]}   pumps.A.bar: 4        an element of an array is called by its name
///     {"service": {"name": "A", "port": 4}}  service.A.port: 4     and so is any object that has one
///     {"zones": ["north", "south"]}          zones: north, south   an array of plain values is one value
///
/// Taken whole, a file of settings answers every question that names one of its keys, with all of its other values beside the one asked for.
/// A passage may be cut out of the middle of a document, so closing brackets without an opening one are passed over.
enum JSONUnits {
    /// Longer values are texts rather than settings.
    private static let valueSizeMax = 600
    /// A longer name is a description.
    private static let labelSizeMax = 80
    /// Keys by which an element of an array is called.
    private static let naming: Set<String> = ["name", "id", "title", "label", "key"]

    /// What is open at a place: an object or an array behind a key.
    private struct Level {
        var key: String?
        var isArray: Bool
        var block: Int
        /// What an object is called by a member of its own.
        var label: String?
    }

    /// Nil when the text is no JSON, or has no key with a plain value.
    static func units(in bytes: [UInt8]) -> [TextUnit]? {
        var scanner = Scanner(bytes: bytes)
        return scanner.run()
    }

    /// An entry as it is told: `"mqtt": 1884` behind `ports` is "ports.mqtt: 1884".
    static func tell(_ path: String, entry: String) -> String {
        guard let value = value(of: entry) else { return entry }
        return value.isEmpty ? path + ":" : "\(path): \(value)"
    }

    /// An entry as it is scored: the words of its keys stand apart.
    static func read(_ path: String, entry: String) -> String {
        var words = ""
        var previous: Character?
        for character in path {
            if character.isUppercase, previous?.isLowercase == true { words.append(" ") }
            words.append("._-/".contains(character) ? " " : character)
            previous = character
        }
        return tell(words, entry: entry)
    }

    /// The value of `"key": value` without JSON's marks.
    private static func value(of entry: String) -> String? {
        let bytes = Array(entry.utf8)
        var index = 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") { index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1 }
        guard let colon = bytes.indices.dropFirst(index).first(where: { bytes[$0] == UInt8(ascii: ":") }) else { return nil }
        let value = String(decoding: bytes[(colon + 1)...], as: UTF8.self).filter { !"[]\"\n\r\t".contains($0) }
            .split(separator: " ").joined(separator: " ")
        return ["null", "{}"].contains(value) ? "" : value
    }

    private struct Scanner {
        let bytes: [UInt8]
        var index = 0
        var levels: [Level] = []
        var units: [TextUnit] = []
        var blockCount = 0
        /// A string that a colon may follow, or the key before the colon that was read.
        var key: (text: String, start: Int)?

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func run() -> [TextUnit]? {
            guard let first = bytes.first(where: { $0 > 0x20 }), "{[\"}".utf8.contains(first) else { return nil }
            while index < bytes.count {
                let byte = bytes[index]
                switch byte {
                case 0x20, 0x09, 0x0A, 0x0D: index += 1
                case UInt8(ascii: ","):
                    key = nil
                    index += 1
                case UInt8(ascii: "{"), UInt8(ascii: "["): open(isArray: byte == UInt8(ascii: "["))
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    if !levels.isEmpty { levels.removeLast() }
                    key = nil
                    index += 1
                default: guard scalar() else { return nil }
                }
            }
            return units.isEmpty ? nil : units
        }

        private mutating func open(isArray: Bool) {
            if isArray, let key, let end = endOfPlainArray() {
                add(key, end: end)
                return
            }
            blockCount += 1
            levels.append(Level(key: key?.text, isArray: isArray, block: blockCount, label: nil))
            key = nil
            index += 1
        }

        /// A string, a number, true, false or null; false when it is none of them.
        private mutating func scalar() -> Bool {
            guard let end = endOfScalar(index) else { return false }
            var next = end
            while next < bytes.count, bytes[next] <= 0x20 { next += 1 }
            if bytes[index] == UInt8(ascii: "\""), key == nil, next < bytes.count, bytes[next] == UInt8(ascii: ":") {
                key = (String(decoding: bytes[(index + 1)..<(end - 1)], as: UTF8.self), index)
                index = next + 1
                return true
            }
            if let key {
                let isText = bytes[index] == UInt8(ascii: "\"")
                let isElement = levels.count > 1 && levels[levels.count - 2].isArray
                let name = key.text.lowercased()
                // Other texts of an object that is no element say what it is for, not which it is.
                if isText, !levels.isEmpty, isElement ? naming.contains(name) : name == "name" && end - index <= JSONUnits.labelSizeMax {
                    levels[levels.count - 1].label = levels.last?.label ?? String(decoding: bytes[(index + 1)..<(end - 1)], as: UTF8.self)
                }
                add(key, end: end)
            } else {
                index = end
            }
            return true
        }

        private mutating func add(_ key: (text: String, start: Int), end: Int) {
            let path = levels.flatMap { [$0.key, $0.label].compactMap(\.self) } + [key.text]
            let block = levels.last?.block ?? 0
            if end - key.start <= JSONUnits.valueSizeMax {
                // Names in an array tell elements apart; here are those that every entry of an object has.
                let names = levels.indices.filter { $0 == 0 || !levels[$0 - 1].isArray }.compactMap { levels[$0].label }
                units.append(
                    TextUnit(
                        kind: .item, range: key.start..<end, context: nil, block: block, path: path.joined(separator: "."), names: names))
            } else {
                units += Sentences.split(bytes, key.start..<end).map { TextUnit(kind: .sentence, range: $0, context: nil, block: block) }
            }
            self.key = nil
            index = end
        }

        private func endOfScalar(_ start: Int) -> Int? {
            if bytes[start] == UInt8(ascii: "\"") {
                var end = start + 1
                while end < bytes.count, bytes[end] != UInt8(ascii: "\"") { end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1 }
                return end < bytes.count ? end + 1 : nil
            }
            let end = bytes[start...].firstIndex { $0 <= 0x20 || ",]}:".utf8.contains($0) } ?? bytes.count
            let word = String(decoding: bytes[start..<end], as: UTF8.self)
            return ["true", "false", "null"].contains(word) || Double(word) != nil ? end : nil
        }

        /// The end of an array that begins here, when it holds plain values alone.
        private func endOfPlainArray() -> Int? {
            var place = index + 1
            while place < bytes.count {
                switch bytes[place] {
                case UInt8(ascii: "]"): return place + 1
                case UInt8(ascii: "{"), UInt8(ascii: "["): return nil
                case UInt8(ascii: ","), 0x20, 0x09, 0x0A, 0x0D: place += 1
                default:
                    guard let end = endOfScalar(place) else { return nil }
                    place = end
                }
            }
            return nil
        }
    }
}
