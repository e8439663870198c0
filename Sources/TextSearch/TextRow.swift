package import Storage

/// One row to be indexed.
package struct TextRow: Sendable {
    package var row: RowID
    /// Title and heading path: carried as context of the chunk.
    package var title: String
    package var body: String

    package init(row: RowID, title: String, body: String) {
        self.row = row
        self.title = title
        self.body = body
    }
}
