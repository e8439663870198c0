import Foundation
import Testing

@testable import Parsing

struct DelimitedTextTests {
    private func headers(_ document: ParsedDocument) -> Set<String?> {
        Set(document.blocks.dropFirst().map { document.header(ofRow: document.text(of: $0)) })
    }

    @Test(arguments: [
        "Country,2019,2020,2021\nArlen,11,14,9\nBorne,21,24,29\n", "Harbour;2021;2022\nPort-1;1001;2002\nPort-2;1002;2004\n",
        ",2021,2022\nPort-1,1001,2002\nPort-2,1002,2004\n", "Item,2026-01-01,2026-02-01\nRope,5,6\nBuoy,7,8\n",
        "Item,01/2026,02/2026\nRope,5,6\nBuoy,7,8\n", "Item,Jan,Feb\nRope,5,6\nBuoy,7,8\n", "Port,1,2,3,4\nA,9,7,7,1\nB,4,8,8,2\n",
        "date,value,date,value\n2026-01-01,5,2026-02-01,6\n2026-01-02,7,2026-02-02,8\n", "name,city\nAda,Ulm\nBo,Ry\n",
        "Item,2023/24,2024/25\nRope,5,6\nBuoy,7,8\n",
    ])
    func `a first row of names, years, dates or steps is the header of all rows`(text: String) throws {
        let document = try Support.parse(text, name: "t.csv")
        let rows = document.rows
        for row in rows.dropFirst() { #expect(document.header(ofRow: row) == rows[0], "\(row)") }
    }

    @Test(arguments: [
        "1,2\n3,4\n5,6", "Port-1,1001,2002\nPort-2,1002,2004\nPort-3,1003,2006\n", "2026-01-01,5\n2026-01-02,7\n2026-01-03,9\n",
        "A,2019,2020\nB,2018,2021\nC,2017,2022\n",
    ])
    func `a first row like the others is no header`(text: String) throws {
        let document = try Support.parse(text, name: "t.csv")
        for row in document.rows { #expect(document.header(ofRow: row) == nil, "\(row)") }
    }

    @Test(arguments: [
        "Export of 2026-02-01\n\nberth,length,owner\nB1,6,Ann\nB2,7,Bo\n",
        "Export of 2026-02-01,,\nberth,length,owner\nB1,6,Ann\nB2,7,Bo\n",
        "Harbour Ostby\nAll berths\n\nberth;length;owner\nB1;6;Ann\nB2;7;Bo\n", "sep=;\nberth;length;owner\nB1;6;Ann\nB2;7;Bo\n",
    ])
    func `lines above the header are text, not the header`(text: String) throws {
        let document = try Support.parse(text, name: "t.csv")
        #expect(document.rows == ["berth | length | owner", "B1 | 6 | Ann", "B2 | 7 | Bo"])
        #expect(document.header(ofRow: "B2 | 7 | Bo") == "berth | length | owner")
        if text.hasPrefix("Export") { #expect(document.texts[0] == "Export of 2026-02-01" && document.blocks[0].kind == .paragraph) }
    }

    @Test func `a wide row is told with the names of its columns`() throws {
        let names = (1...20).map { "name \($0)" }
        let rows = (1...3).map { row in (1...20).map { $0 == 5 ? "" : "v\(row).\($0)" }.joined(separator: ",") }
        let document = try Support.parse(([names.joined(separator: ",")] + rows).joined(separator: "\n"), name: "wide.csv")
        #expect(document.rows[2].hasPrefix("name 1: v2.1 | name 2: v2.2 | name 3: v2.3 | name 4: v2.4 | name 6: v2.6 | "))
    }

    @Test func `quotes that open no cell leave the rows around them alone`() throws {
        let document = try Support.parse("id,text\n1,\"open\n2,\"closed, here\"\n3,6\" pipe\n4,\"a \"b\" c\"\n5,x\n", name: "q.csv")
        #expect(document.rows == ["id | text", "1 | \"open", "2 | closed, here", "3 | 6\" pipe", "4 | a \"b\" c", "5 | x"])
        let unclosed = try Support.parse("id,text\n1,\"open\n2,b\n3,c\n", name: "q.csv")
        #expect(unclosed.rows == ["id | text", "1 | \"open", "2 | b", "3 | c"])
    }

    @Test func `a cell of megabytes and a row of many columns stay whole`() throws {
        let cell = String(repeating: "word, \"\"x\"\" ", count: 200_000)
        let document = try Support.parse("id,text\n1,\"\(cell)\"\n2,b\n", name: "huge.csv")
        #expect(document.rows.count == 3 && document.rows[1].utf8.count > 2_000_000)
        let names = (0..<20_000).map { "n\($0)" }.joined(separator: ",")
        let values = (0..<20_000).map { "v\($0)" }.joined(separator: ",")
        let wide = try Support.parse(names + "\n" + values + "\n", name: "wide.csv")
        #expect(wide.rows[1].hasSuffix("n19999: v19999"))
    }

    @Test func `combining marks without end are read`() throws {
        let text = "a" + String(repeating: "\u{301}", count: 300_000)
        for name in ["marks.csv", "marks.txt", "marks.html", "marks.md"] {
            #expect(try Support.parse(text, name: name).text.utf8.count >= 600_000, "\(name)")
        }
    }
}
