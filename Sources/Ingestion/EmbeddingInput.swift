/// What of a chunk the embedding model reads.
package enum EmbeddingInput {
    /// Title and heading path, cut to a length that leaves the model room for the text, then the text.
    package static func document(title: String, heading: String, text: String) -> String {
        let context = heading.isEmpty ? title : title.isEmpty ? heading : title + " > " + heading
        return context.isEmpty ? text : String(context.prefix(160)) + "\n" + text
    }
}
