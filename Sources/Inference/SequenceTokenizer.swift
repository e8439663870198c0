/// A tokenizer that makes what an encoder reads: ids, and the two tokens around them.
package protocol SequenceTokenizer: Tokenizer {
    /// Token that begins a sequence.
    var cls: Int32 { get }
    /// Token that ends a sequence.
    var sep: Int32 { get }
    /// Number of tokens.
    var vocabularyCount: Int { get }
    /// Appends the first `limit` tokens of a text, without special tokens, to an array whose memory is used again and again.
    func appendTokens(of text: String, limit: Int, to tokens: inout [Int32])
}

extension SequenceTokenizer {
    /// The first `limit` tokens of a text, without special tokens.
    package func tokens(of text: String, limit: Int = .max) -> [Int32] {
        var tokens: [Int32] = []
        appendTokens(of: text, limit: limit, to: &tokens)
        return tokens
    }
}
