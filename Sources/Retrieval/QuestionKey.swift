import Documents
import Foundation

/// By what the vector of a question is remembered.
///
/// White space is no part of a question: the text is embedded as it stands here, so an answer does not depend on who asked first.
struct QuestionKey: Hashable, Sendable {
    /// What is embedded.
    let text: String
    let model: String
    /// A vector holds nothing but its question. That it was there already would still tell that somebody asked, so callers keep to themselves.
    let caller: RequestScope.Caller

    init(_ question: String, model: String, scope: RequestScope) {
        text =
            Self.isPlain(question)
            ? question : question.precomposedStringWithCanonicalMapping.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        self.model = model
        caller = scope.caller
    }

    /// Bytes of its texts.
    var size: Int { text.utf8.count + model.utf8.count }

    /// Whether a text is printable ASCII with single spaces between its words, as most questions are.
    private static func isPlain(_ text: String) -> Bool {
        var last = UInt8(ascii: " ")
        for byte in text.utf8 {
            guard byte >= 0x20, byte < 0x7F, byte != 0x20 || last != 0x20 else { return false }
            last = byte
        }
        return last != 0x20
    }
}
