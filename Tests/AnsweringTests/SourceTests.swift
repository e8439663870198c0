import Documents
import Retrieval
import Testing

@testable import Answering

struct SourceTests {
    private func source(_ text: String, heading: String) -> Source {
        let passage = SearchResult(
            documentID: DocumentID(rawValue: "doc_1"), chunkID: ChunkID(rawValue: 1), source: "/t.csv", title: "Tickets", page: nil,
            heading: heading, span: TextSpan(start: 1000, end: 1000 + text.utf8.count), text: text, score: 1, scores: .init(),
            highlights: [],
            metadata: [:])
        return Source(marker: 1, passage: passage, members: [.init(chunkID: passage.chunkID, span: passage.span, page: nil)], rank: 0)
    }

    private let rows = "T-5249 | open | Bo | 747\nT-5250 | closed | Cy | 750\nT-5251 | closed | Dee | 753"

    @Test(arguments: ["ticket | status | owner | minutes", "Year 2026 > Tickets > ticket | status | owner | minutes"])
    func `rows in the middle of a table are read under the header that their chunk carries`(heading: String) {
        let source = source(rows, heading: heading)
        #expect(source.units.map(\.kind) == [.row, .row, .row])
        #expect(source.units.map { source.text($0.range) } == rows.split(separator: "\n").map(String.init))
        #expect(source.units.allSatisfy { $0.context.map(source.text) == "| ticket | status | owner | minutes |" })
        let unit = source.units[1]
        #expect(source.told(unit.range, question: nil) == "ticket: T-5250; status: closed; owner: Cy; minutes: 750")
        let citation = source.citation(unit.range)
        #expect(citation.quote == "T-5250 | closed | Cy | 750" && citation.span == TextSpan(start: 1025, end: 1051))
    }

    @Test func `a column's name may hold what parts headings`() {
        let source = source("a | 1 | 2", heading: "Top > name | weight > 3 kg | count")
        #expect(source.told(source.units[0].range, question: nil) == "name: a; weight > 3 kg: 1; count: 2")
    }

    @Test func `a row lacks its last cells where they are empty`() {
        let source = source("T-1 | open\nT-2 | closed | Cy\nT-3", heading: "ticket | status | owner | note")
        #expect(source.told(source.units[0].range, question: nil) == "ticket: T-1; status: open")
        #expect(source.told(source.units[1].range, question: nil) == "ticket: T-2; status: closed; owner: Cy")
    }

    @Test func `a row and a header may begin with an empty cell`() {
        let source = source("| 7 | 8\nHarbour B | 9 | 10", heading: "Catches > | 2022 | 2021")
        #expect(source.told(source.units[0].range, question: nil) == "2022: 7; 2021: 8")
        #expect(source.told(source.units[1].range, question: nil) == "Harbour B; 2022: 9; 2021: 10")
    }

    @Test func `of a header that was cut the whole names count`() {
        let source = source("a | 1 | 2 | 3", heading: "name | weight | cou…")
        #expect(source.told(source.units[0].range, question: nil) == "name: a; weight: 1; 2; 3")
    }

    @Test(arguments: ["", "Tickets", "Tickets > one | two", "T-5249 | open | Bo | 747"])
    func `without a header of as many columns the rows stand for themselves`(heading: String) {
        let source = source(rows, heading: heading)
        #expect(source.text(source.units[0].range) == "T-5249 | open | Bo | 747")
        #expect(source.units.allSatisfy { $0.context.map { $0.upperBound <= rows.utf8.count } ?? true })
    }

    @Test func `a passage that begins with the header itself, or with text, has its own`() {
        let header = "ticket | status | owner | minutes"
        let whole = source(header + "\n" + rows, heading: header)
        #expect(whole.units.count == 4 && whole.units[1].context == whole.units[0].range)
        let text = source("Tickets of May.\n\n" + header + "\n" + rows, heading: header)
        #expect(text.units.first?.kind != .row && text.units.last?.context.map(text.text) == header)
    }
}
