import Documents
import TestSupport
import Testing

@testable import Serving

struct DocumentReadingTests {
    @Test func `what is stored in a collection outside of the scope is not there`() throws {
        let folder = TemporaryFolder()
        let store = try DocumentStore(directory: folder.path)
        let collection = try store.createCollection(name: "ours", settings: .init())
        let id = try store.put(
            DocumentDraft(
                collection: collection.id, source: "s", title: nil, mimeType: "text/plain", contentHash: "h", byteCount: 5, text: "words",
                pages: [],
                metadata: [:], chunks: [ChunkDraft(span: TextSpan(start: 0, end: 5), page: nil, heading: "", tokenCount: 1)], vectors: [],
                dimension: 0,
                embeddingModel: nil), finishing: nil
        ).document
        for scope in [RequestScope.everyone, .init(caller: .named("ann"), collections: ["ours"])] {
            #expect(try store.collection(named: "ours", scope: scope)?.id == collection.id)
            #expect(try store.collections(scope: scope).count == 1 && store.counts(of: collection.id, scope: scope).documents == 1)
            #expect(
                try store.document(id, scope: scope)?.source == "s"
                    && store.window(of: id, start: 0, end: 99, scope: scope)?.text == "words")
            #expect(try store.chunks(of: id, scope: scope).count == 1)
            #expect(try store.documents(in: collection.id, search: nil, filter: nil, after: nil, limit: 9, scope: scope).map(\.id) == [id])
            try store.update(metadata: ["k": .number(1)], of: id, scope: scope)
        }
        let other = RequestScope(caller: .named("bob"), collections: ["theirs"])
        #expect(try store.collection(named: "ours", scope: other) == nil)
        #expect(try store.collections(scope: other).isEmpty && store.counts(of: collection.id, scope: other).documents == 0)
        #expect(try store.document(id, scope: other) == nil && store.window(of: id, start: 0, end: 9, scope: other) == nil)
        #expect(try store.pages(of: id, scope: other).isEmpty && store.chunks(of: id, scope: other).isEmpty)
        #expect(try store.documents(in: collection.id, search: nil, filter: nil, after: nil, limit: 9, scope: other).isEmpty)
        #expect(throws: DocumentStoreError.self) { try store.update(metadata: [:], of: id, scope: other) }
    }
}
