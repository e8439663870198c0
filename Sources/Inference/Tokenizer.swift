/// Splits text into a model's tokens. Implementations are thread-safe.
package protocol Tokenizer: Sendable {
    /// Number of tokens, without special tokens. Cost is linear in the text.
    func count(_ text: String) -> Int
    /// The longest prefix of `text` with at most `limit` tokens, as a UTF-8 byte count at a character boundary.
    func prefixLength(_ text: String, limit: Int) -> Int
}
