import Testing

@testable import Parsing

struct RTFFormatTests {
    private func parse(_ body: String, fonts: String = "") throws -> ParsedDocument {
        try Support.parse(
            "{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fswiss Arial;}{\\f1\\fnil\\fcharset2 Symbol;}{\\f2\\fnil\\fcharset2 Wingdings{\\*\\falt X};}\\f3\\fnil Symbol;\(fonts)}\n\(body)}",
            name: "a.rtf")
    }

    @Test func `raised and lowered text keeps its meaning`() throws {
        let document = try parse(
            #"4 x 10{\super 6} litres, 1,234\super 2\nosupersub  tonnes, CO{\sub 2}, 560 m{\up6 2}, 3 x 10{\super -}{\super 9}.\par"#)
        #expect(document.texts == ["4 x 10^6 litres, 1,234[2] tonnes, CO2, 560 m^2, 3 x 10^-9."])
    }

    @Test func `symbol fonts are read as they are drawn`() throws {
        let document = try parse(
            #"5 {\f1 m}g, x {\f1 \'a3} 3, {\f1\u-3987 ?}g, {\f3 p}, {\f2 \'fe} yes {\f2 o} no, 5 mg, {\field{\*\fldinst SYMBOL 163 \\f "Symbol"}{\fldrslt }} 4, \u-3913?\par"#
        )
        #expect(document.texts == ["5 μg, x ≤ 3, μg, π, [x] yes [ ] no, 5 mg, ≤ 4, •"])
    }

    @Test func `struck, deleted and hidden text is out, a deleted mark joins`() throws {
        let document = try parse(
            #"Fee {\strike old 30}{\striked1 20}{\deleted gone}{\v secret} \strike x\strike0 45 crowns.\par One {\deleted\par}paragraph.\par"#
        )
        #expect(document.texts == ["Fee 45 crowns.", "One paragraph."])
    }

    @Test func `links and check boxes are told`() throws {
        let document = try parse(
            #"{\field{\*\fldinst HYPERLINK "https://lock.example.org/a"}{\fldrslt a {\b link}}} and {\field{\*\fldinst HYPERLINK \\l "x"}{\fldrslt here}}, "#
                + #"{\field\flddirty{\*\fldinst FORMCHECKBOX {\*\formfield{\fftype1\ffres25\ffdefres1{\*\ffname Check1}}}}{\fldrslt }} on "#
                + #"{\field{\*\fldinst FORMCHECKBOX{\*\formfield{\fftype1\ffres0\ffdefres1}}}{\fldrslt }} off\par"#)
        #expect(document.texts == ["a link (https://lock.example.org/a) and here, [x] on [ ] off"])
    }

    @Test func `notes and comments stand after their paragraph`() throws {
        let document = try parse(
            #"Seven crowns{\super\chftn}{\footnote \pard {\super\chftn} Except ferries.} a metre{\footnote Plain.}, ends{\footnote\ftnalt The end.}.\par "#
                + #"Boats raft{\*\atnid E}{\*\atnauthor Ed}{\*\annotation Really?}*{\footnote * Own mark.}.\par "#
                + #"\trowd\cellx1\cellx2\intbl A{\footnote In a cell.}\cell B\cell\row\pard Last.\par"#)
        #expect(
            document.texts == [
                "Seven crowns[1] a metre[2], ends[1].", "Footnote [1]: Except ferries.", "Footnote [2]: Plain.", "Endnote [1]: The end.",
                "Boats raft*.",
                "Comment by Ed: Really?", "Footnote: * Own mark.", "A[3] | B", "Footnote [3]: In a cell.", "Last.",
            ])
    }

    @Test func `tables have headers and their merged cells`() throws {
        let document = try parse(
            #"\trowd\trhdr\clvmgf\cellx1\clmgf\cellx2\clmrg\cellx3\intbl Route\cell Summer\cell\cell\row"#
                + #"\trowd\trhdr\clvmrg\cellx1\cellx2\cellx3\intbl \cell first\cell last\cell\row"#
                + #"\trowd\clvmgf\cellx1\cellx2\cellx3\intbl Holm\cell 06:10\cell 22:45\cell\row"#
                + #"\trowd\clvmrg\cellx1\cellx2\cellx3\intbl\cell 06:40\cell 23:05\cell\row"#
                + #"\pard Between.\par\trowd\cellx1\cellx2\intbl Gate\cell Height\cell\row\trowd\cellx1\cellx2\intbl North\cell 4.2\cell\row\pard End.\par"#
        )
        #expect(
            document.texts == [
                "Route | Summer first | Summer last", "Holm | 06:10 | 22:45", "Holm | 06:40 | 23:05", "Between.", "Gate | Height",
                "North | 4.2", "End.",
            ])
        #expect(
            document.header(ofRow: "North | 4.2") == "Gate | Height" && document.header(ofRow: "Holm | 06:40 | 23:05") == document.rows[0])
    }
}
