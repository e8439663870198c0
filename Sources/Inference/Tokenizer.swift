/// Splits text into a model's tokens. Implementations are thread-safe.
package protocol Tokenizer: Sendable {
    /// Number of tokens, without special tokens. Cost is linear in the text.
    func count(_ text: String) -> Int
    /// The longest prefix of `text` with at most `limit` tokens, as a UTF-8 byte count at a character boundary.
    func prefixLength(_ text: String, limit: Int) -> Int
    /// How well the model's vocabulary knows a text's words, 0...1: 1 for the languages that it was made for, 0 where letters are all it sees.
    ///
    /// Fusion trusts vectors by it. Looks at the beginning of a long text only.
    func fitness(of text: String) -> Float
}

extension Tokenizer {
    /// What is not known to be unfit is trusted, as a model for many languages is.
    package func fitness(of text: String) -> Float { 1 }
}
