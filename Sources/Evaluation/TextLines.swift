import Foundation

/// The texts of a file of JSON lines, plain or gzip, so that a file of any size passes through little memory.
package final class TextLines {
    package struct Text: Sendable {
        package var title: String
        package var text: String

        /// Title and text as one, as a passage is embedded.
        package var whole: String { title.isEmpty ? text : title + "\n" + text }
    }

    private struct Members: Decodable {
        var title: String?
        var text: String?
    }

    private let path: String
    private let lines: LineReader
    private let decoder = JSONDecoder()
    private var rest: Int

    /// - Parameter limit: At most this many texts.
    /// - Throws: `EvaluationError.unreadable`.
    package init(_ path: String, limit: Int = .max) throws(EvaluationError) {
        self.path = path
        rest = limit
        lines = try LineReader(path)
    }

    /// The next text; nil at the end.
    /// - Throws: `EvaluationError.malformedLine` for a line that is no JSON object with a member `text`.
    package func next() throws(EvaluationError) -> Text? {
        guard rest > 0 else { return nil }
        while let line = try lines.next() {
            if line.bytes.allSatisfy({ $0 == 0x20 }) { continue }
            guard let members = try? decoder.decode(Members.self, from: Data(line.bytes)), let text = members.text else {
                throw .malformedLine(path: path, line: line.number, reason: "it is no JSON object with a member 'text'")
            }
            rest -= 1
            return Text(title: members.title ?? "", text: text)
        }
        return nil
    }

    /// Up to `count` further texts; fewer, or none, at the end.
    package func next(_ count: Int) throws(EvaluationError) -> [Text] {
        var texts: [Text] = []
        while texts.count < count, let text = try next() { texts.append(text) }
        return texts
    }

    /// All that are left, for corpora that fit into memory.
    package func all() throws(EvaluationError) -> [Text] { try next(.max) }
}
