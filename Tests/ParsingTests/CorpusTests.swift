import Foundation
import Testing

@testable import Parsing

/// Real and malformed files of every kind, when this machine has them.
@Suite(
    .serialized,
    .enabled(
        if: Support.shared != nil && FileManager.default.isExecutableFile(atPath: Support.executable),
        "the shared data folder is not on this machine"))
struct CorpusTests {
    struct Entry: Decodable {
        var file: String
        var category: String
        var expectContains: [String]?
    }

    private static func entries() throws -> [Entry] {
        let text = try String(contentsOfFile: Support.shared! + "/documents/manifest.jsonl", encoding: .utf8)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try text.split(separator: "\n").map { try decoder.decode(Entry.self, from: Data($0.utf8)) }
    }

    @Test func `every file is parsed or refused with a reason, and holds what it is known to hold`() async throws {
        var limits = ParseLimits()
        limits.seconds = 150
        limits.isOCREnabled = false
        let pool = ParserPool(executable: Support.executable, workerCount: 2, limits: limits)
        let entries = try Self.entries()
        let outcomes = await withTaskGroup(of: (Int, Result<ParsedDocument, Refusal>).self) { group in
            for (index, entry) in entries.enumerated() {
                group.addTask {
                    let path = Support.shared! + "/documents/" + entry.file
                    return (
                        index,
                        await Result { () async throws(Refusal) in
                            try await pool.parse(path: path, name: (entry.file as NSString).lastPathComponent)
                        }
                    )
                }
            }
            return await group.reduce(into: [Int: Result<ParsedDocument, Refusal>]()) { $0[$1.0] = $1.1 }
        }
        await pool.shutdown()
        var expected = 0
        var missing: [String] = []
        var parsedCount = 0
        for (index, entry) in entries.enumerated() {
            switch outcomes[index]! {
            case .success(let document):
                parsedCount += 1
                let text = squeezed(document.text)
                for string in entry.expectContains ?? [] {
                    expected += 1
                    if !text.contains(squeezed(string)) { missing.append("\(entry.file): \(string)") }
                }
            case .failure(let refusal):
                expected += entry.expectContains?.count ?? 0
                missing += (entry.expectContains ?? []).map { "\(entry.file): \($0) (\(refusal))" }
                switch refusal {
                case .crashed, .timedOut, .outOfMemory, .unreadable: Issue.record("\(entry.file): \(refusal)")
                default: #expect(!refusal.description.isEmpty)
                }
            }
        }
        #expect(entries.count == 94 && parsedCount >= 70)
        #expect(expected >= 50)
        #expect(Double(expected - missing.count) >= 0.95 * Double(expected), "missing: \(missing)")
        print(
            "corpus: \(parsedCount) of \(entries.count) parsed, \(expected - missing.count) of \(expected) expected strings found; missing: \(missing)"
        )
    }

    @Test(.enabled(if: Support.hasPoppler, "pdftotext is not installed"))
    func `a financial table keeps its rows, columns and header`() throws {
        let folder = Support.shared! + "/sec-10q-pdf/docs"
        guard FileManager.default.fileExists(atPath: folder) else { return print("skipped: no sec-10q-pdf") }
        let document = try ParseWorker.parseInProcess(
            path: folder + "/2022 Q3 AAPL.pdf", name: "2022 Q3 AAPL.pdf", mimeType: nil, limits: .init())
        let row = try #require(document.rows.first { $0.hasPrefix("Total net sales |") })
        #expect(row == "Total net sales | 82,959 | 81,434 | 304,182 | 282,457")
        #expect(
            document.header(ofRow: row)
                == " | Three Months Ended June 25, 2022 | Three Months Ended June 26, 2021 | Nine Months Ended June 25, 2022 | Nine Months Ended June 26, 2021"
        )
        let block = try #require(document.blocks.first { document.text(of: $0) == row })
        #expect(block.page == 4)
        #expect(document.headings.contains("Note 2 – Revenue"))
        // The running footer stands once, not on each page.
        #expect(document.texts.filter { $0.contains("Form 10-Q |") }.count <= 1)
    }

    @Test(.enabled(if: Support.hasPoppler, "pdftotext is not installed"))
    func `a paper in two columns reads column by column`() throws {
        let document = try ParseWorker.parseInProcess(
            path: Support.shared! + "/documents/files/pdf-two-column-paper/tracemonkey.pdf", name: "tracemonkey.pdf", mimeType: nil,
            limits: .init())
        #expect(document.title == "Trace-based Just-in-Time Type Specialization for Dynamic Languages")
        let headings = document.headings
        for heading in ["Abstract", "1. Introduction", "3. Trace Trees", "3.1 Traces", "9. Conclusions"] {
            #expect(headings.contains(heading), "\(heading)")
        }
        // A sentence that runs over a line end in one column, beside another column.
        #expect(document.text.contains("most programs spend") || document.text.contains("programs spend most of their time in hot loops"))
        #expect(
            document.header(ofRow: "3d-morph | 5 | 8 | 8 | 2 | 0 | 1.6 | 1.0 | 1.6 | 2.86x")?.contains("Loops | Trees | Traces") == true)
    }

    @Test(.enabled(if: Support.hasOCR, "tesseract is not installed"))
    func `a scanned page is recognised`() throws {
        let document = try ParseWorker.parseInProcess(
            path: Support.shared! + "/documents/files/pdf-scanned-image/testOCR.pdf", name: "testOCR.pdf", mimeType: nil, limits: .init())
        #expect(squeezed(document.text).contains("HappyNewYear2003!"))
    }

    @Test func `without text recognition a scan is refused or warned about, never silently empty`() throws {
        var limits = ParseLimits()
        limits.isOCREnabled = false
        let result = Result {
            try ParseWorker.parseInProcess(
                path: Support.shared! + "/documents/files/pdf-scanned-image/testOCR.pdf", name: "testOCR.pdf", mimeType: nil, limits: limits
            )
        }
        #expect(throws: Refusal.self) { try result.get() }
    }
}
