import Foundation
import GRDB
import Testing

@testable import Documents

struct ConcurrencyTests {
    let folder = Folder()

    @Test func `a read-only store follows another one that writes`() throws {
        let writer = try folder.open()
        let id = try writer.createCollection(name: "notes").id
        let reader = try folder.open(readOnly: true)
        for index in 0..<20 {
            let commit = try writer.put(draft(id, source: "/\(index)"))
            #expect(try reader.document(commit.document)?.source == "/\(index)")
            #expect(try reader.chunkIDs(in: id).suffix(2) == commit.inserted[...])
        }
        _ = try writer.delete(.all, in: id)
        #expect(try reader.documents(in: id).isEmpty)
    }

    @Test func `reads do not wait for a write, and do not see it before its end`() throws {
        let store = try folder.open()
        let other = try folder.open(readOnly: true)
        let id = try store.createCollection(name: "notes").id
        let commit = try store.put(draft(id, source: "/a"))
        try store.write("hold") { database in
            try database.execute(sql: "UPDATE documents SET title = 'half done'")
            for reader in [store, other] {
                let start = ContinuousClock.now
                // On another thread: the pool forbids nesting, as any caller of ours does.
                let title = try onThread { try reader.document(commit.document)?.title ?? "none" }
                #expect(title == "none")
                #expect(ContinuousClock.now - start < .seconds(5), "the writer's transaction lasts until the readers are done")
            }
        }
        #expect(try store.document(commit.document)?.title == "half done" && other.document(commit.document)?.title == "half done")
    }

    @Test func `every reader sees whole documents while writers replace and delete`() async throws {
        let store = try folder.open()
        let second = try folder.open()
        let id = try store.createCollection(name: "notes").id
        func version(_ source: Int, _ round: Int) -> DocumentDraft {
            draft(
                id, source: "/\(source)", title: "round \(round)", parts: (0..<(1 + round % 4)).map { "round \(round) part \($0). " },
                metadata: ["round": .number(Double(round))])
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (offset, writer) in [store, second].enumerated() {
                group.addTask {
                    for round in 0..<60 {
                        let source = (round * 7 + offset) % 5
                        if round % 9 == 8 {
                            _ = try writer.delete(.sources(["/\(source)"]), in: id)
                        } else {
                            try writer.put(version(source, round))
                        }
                    }
                }
            }
            for reader in [store, second] {
                group.addTask {
                    for _ in 0..<80 {
                        let passages = try reader.passages(try reader.chunkIDs(in: id))
                        for (_, passage) in passages {
                            let round = passage.document.title!
                            #expect(
                                passage.chunk.text == "\(round) part \(passage.chunk.ordinal). ", "a chunk and a document of two versions")
                        }
                        for (_, group) in Dictionary(grouping: passages.values, by: \.document.id) {
                            #expect(Set(group.map(\.document.version)).count == 1)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try store.verify() == [])
    }

    @Test func `a writer waits for another process's writer`() throws {
        let store = try folder.open()
        let second = try folder.open()
        _ = try store.createCollection(name: "notes")
        let thread = try store.write("hold") { _ in
            let thread = Background { _ = try second.createCollection(name: "later") }
            usleep(200_000)
            #expect(!thread.isDone)
            return thread
        }
        try thread.wait()
        #expect(try store.collections().map(\.name) == ["later", "notes"])
    }
}

/// Work on a thread of its own.
private final class Background: @unchecked Sendable {
    // Invariant: `result` is written before `done` is signalled and read after it.
    private var result: Result<Void, any Error>?
    private let done = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () throws -> Void) {
        Thread { [self] in
            result = Result(catching: body)
            done.signal()
        }.start()
    }

    var isDone: Bool {
        guard done.wait(timeout: .now()) == .success else { return false }
        done.signal()
        return true
    }

    func wait() throws {
        done.wait()
        done.signal()
        try result!.get()
    }
}

private final class Box<Value>: @unchecked Sendable {
    // Invariant: written on one thread before the thread that reads it is told.
    var value: Value?
}

private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let box = Box<Value>()
    try Background { box.value = try body() }.wait()
    return box.value!
}

struct PlanTests {
    /// Hot statements must find their rows by an index, in its order. Without statistics the plan does not depend on the data.
    @Test(arguments: [
        ("rows", DocumentStore.rowsSQL, ["chunks_by_collection"]),
        ("chunk ids", DocumentStore.allChunkIDsSQL, ["COVERING INDEX chunks_by_collection"]),
        ("passages", DocumentStore.passagesSQL(count: 16), ["SEARCH c USING INTEGER PRIMARY KEY", "SEARCH d USING INTEGER PRIMARY KEY"]),
        ("deletion log", DocumentStore.deletionsSQL, ["SEARCH deletions USING PRIMARY KEY"]),
        (
            "next file", DocumentStore.nextFileSQL,
            ["INDEX job_files_queued", "SEARCH o USING INDEX job_files_by_source (collection=? AND source=?"]
        ),
        ("texts that follow", DocumentStore.followingTextsSQL, ["SEARCH o USING INDEX job_files_by_source (collection=? AND source=?"]),
        ("a page of documents", DocumentStore.documentListSQL + " AND d.id < ? ORDER BY d.id DESC LIMIT ?", ["(collection=? AND id<?)"]),
        ("a document by source", "SELECT seq FROM documents WHERE collection = ? AND source = ?", ["(collection=? AND source=?)"]),
        (
            "a source tree", "SELECT seq FROM documents WHERE collection = ? AND source >= ? AND source < ?",
            ["(collection=? AND source>? AND source<?)"]
        ),
        ("chunks of a document", "SELECT id FROM chunks WHERE document = ? ORDER BY ordinal", ["COVERING INDEX chunks_by_document"]),
        ("attributes of a document", "DELETE FROM attributes WHERE document = ?", ["attributes_by_document"]),
        ("the largest id", "SELECT max(id) FROM documents", ["COVERING INDEX"]),
        (
            "files in flight", "UPDATE job_files SET stage = 'queued' WHERE stage IN ('parsing', 'chunking', 'embedding', 'committing')",
            ["job_files_in_flight"]
        ),
        ("history of a source", "UPDATE job_files SET title = NULL WHERE collection = ? AND source = ?", ["job_files_by_source"]),
        ("old audit entries", "DELETE FROM audit WHERE at < ?", ["audit_by_time"]),
    ])
    func `a hot statement searches an index`(name: String, sql: String, words: [String]) throws {
        try check(sql, words)
    }

    @Test func `filters search the attributes' key, then chunks by a covering index`() throws {
        let filters: [(Filter, [String])] = [
            (.eq("a", .string("x")), ["SEARCH attributes USING PRIMARY KEY (collection=? AND key=? AND kind=? AND value=?)"]),
            (.gte("a", .number(1)), ["SEARCH attributes USING PRIMARY KEY (collection=? AND key=? AND kind=? AND value>?)"]),
            (
                .isIn("a", [.number(1), .number(2)]),
                ["SEARCH attributes USING PRIMARY KEY (collection=? AND key=? AND kind=? AND value=?)"]
            ),
            (.eq("document_id", .string("doc_x")), ["SEARCH d USING"]),
            (.or([.ne("a", .number(1)), .and([.lt("b", .number(1)), .eq("source", .string("/x"))])]), ["SEARCH d USING"]),
        ]
        for (filter, words) in filters {
            let condition = try FilterSQL(filter, collection: CollectionID(rawValue: 1))
            try check(
                DocumentStore.matchingChunkIDsSQL(condition.sql), words + ["SEARCH c USING COVERING INDEX chunks_by_document (document=?)"])
        }
    }

    private func check(_ sql: String, _ words: [String]) throws {
        let folder = Folder()
        let store = try folder.open()
        let plan = try store.pool.writeWithoutTransaction { database in
            let arguments = StatementArguments(Array(repeating: 1, count: sql.count { $0 == "?" }))
            return try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments).map { $0["detail"] as String }
        }
        for word in words { #expect(plan.contains { $0.contains(word) }, "\(plan)") }
        for line in plan {
            #expect(!line.hasPrefix("SCAN") || line.contains("json_each") || line.contains("COVERING INDEX"), "\(plan)")
            #expect(!line.contains("TEMP B-TREE"), "\(plan)")
        }
    }
}
