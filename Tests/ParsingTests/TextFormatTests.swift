import Foundation
import Testing

@testable import Parsing

struct TextFormatTests {
    @Test(arguments: [
        ("report.pdf", "The rent is 40 crowns.", "The rent is 40 crowns."),
        ("letter.docx", "Plain words of a letter.", "Plain words of a letter."),
        ("old.xls", "One row, two rows.", "One row, two rows."), ("photo.png", "A cat on a roof.", "A cat on a roof."),
        ("12", "\u{1}\u{2}a\u{3} b\u{4} c\u{5}", "a"), ("13", "words\u{0} and\u{0} more", "words and more"),
        ("14", "Ã Â¸\u{80}Ã Â¸\u{81}Ã Â¸\u{82}Ã\u{80}\u{99}\u{80}\u{99}", "Ã Â¸"),
    ])
    func `what is given as text is text, under any name and with any signs`(name: String, text: String, words: String) throws {
        let document = try #require(try GivenText.parse(text, name: name))
        #expect(document.text.contains(words), "\(document.text.debugDescription)")
        #expect(document.mimeType == "text/plain")
    }

    @Test func `what is given as text and has a form of its own goes to the parser of that form`() throws {
        for (name, text) in [
            ("a.html", "<p>Words.</p>"), ("b.md", "# Title"), ("c.csv", "a,b\n1,2"), ("d.json", "{\"a\": 1}"), ("e", "%PDF-1.7 ..."),
            ("f", "{\\rtf1 x}"),
        ] {
            #expect(try GivenText.parse(text, name: name) == nil, "\(name)")
        }
    }

    @Test func `HTML keeps the article and leaves scripts, styles and navigation out`() throws {
        let html = """
            <!doctype html><html lang="de"><head><title>Der Titel</title><meta charset="utf-8"><style>p{color:red}</style>
            <script>var secret = "<p>script text</p>"</script></head><body>
            <nav><ul><li><a href="/">Home</a></li><li><a href="/x">Über uns</a></li></ul></nav>
            <ul><li><a href=1>One</a></li><li><a href=2>Two</a></li><li><a href=3>Three</a></li><li><a href=4>Four</a></li></ul>
            <main><h1>Große Überschrift</h1><p>Erster <b>Absatz</b> mit
              Umbruch.<br>Zweite Zeile.</p><div style="display: none">hidden words</div>
            <ol start="3"><li>drei<ul><li>innen</li></ul></li><li>vier</li></ol>
            <pre><code class="language-python">def f():
                return 1</code></pre>
            <table><caption>Preise</caption><tr><th>Ware</th><th>Preis</th></tr><tr><td rowspan=2>Brot</td><td>3</td></tr><tr><td>4</td></tr></table>
            <dl><dt>Wort</dt><dd>Bedeutung</dd></dl></main><footer>© 2024 Firma</footer></body></html>
            """
        let document = try Support.parse(html + String(repeating: " ", count: 10), name: "page.html")
        #expect(document.title == "Der Titel")
        #expect(document.properties["language"] == "de")
        #expect(document.headings == ["Große Überschrift"])
        #expect(document.texts.contains("Erster Absatz mit Umbruch.\nZweite Zeile."))
        #expect(document.texts { $0 == .listItem } == ["3. drei", "- innen", "4. vier", "- Wort: Bedeutung"])
        #expect(document.texts { $0 == .code(language: "python") } == ["def f():\n    return 1"])
        #expect(document.rows == ["Ware | Preis", "Brot | 3", "Brot | 4"])
        #expect(document.header(ofRow: "Brot | 4") == "Ware | Preis")
        #expect(document.notes == ["Preise", "© 2024 Firma"])
        for gone in ["secret", "script text", "color", "Home", "hidden words", "Three"] {
            #expect(!document.text.contains(gone), "\(gone)")
        }
    }

    @Test func `header rows that span columns and rows become one`() throws {
        let html =
            "<table><thead><tr><th rowspan=2>City<th colspan=2>People<th>Area</tr><tr><th>2020<th>2021<th>km</tr></thead><tr><td>Ulm<td>1<td>2<td>3</tr></table>"
        let document = try Support.parse("<html><body>\(html)</body></html>", name: "t.html")
        #expect(document.rows == ["City | People 2020 | People 2021 | Area km", "Ulm | 1 | 2 | 3"])
        #expect(document.header(ofRow: "Ulm | 1 | 2 | 3") == document.rows[0])
    }

    @Test func `rows of a table that unfolds stay rows`() throws {
        let rows = (1...5).map { "<tr><td>r\($0)</td><td>\($0)</td></tr><tr><td colspan=2><pre>command \($0)</pre></td></tr>" }.joined()
        let document = try Support.parse("<html><body><table><tr><th>name</th><th>n</th></tr>\(rows)</table></body></html>", name: "t.html")
        #expect(document.rows == ["name | n", "r1 | 1", "r2 | 2", "r3 | 3", "r4 | 4", "r5 | 5"])
        #expect(document.header(ofRow: "r5 | 5") == "name | n")
        #expect(document.texts { $0 == .code(language: nil) }.count == 5)
    }

    @Test func `a page that is all links keeps them`() throws {
        let html = "<html><body><ul>" + (1...6).map { "<li><a href='\($0)'>Entry \($0)</a></li>" }.joined() + "</ul></body></html>"
        #expect(try Support.parse(html, name: "index.html").texts.count == 6)
    }

    @Test func `deep nesting of HTML neither crashes nor loses the text`() throws {
        for tag in ["div", "ul><li", "table><tr><td", "b", "blockquote"] {
            let html = "<html><body>" + String(repeating: "<\(tag)>", count: 5000) + "needle"
            #expect(try Support.parse(html, name: "deep.html").text.contains("needle"), "\(tag)")
        }
    }

    @Test func `Markdown gives headings, lists, tables, code and front matter`() throws {
        let source = """
            ---
            title: "Notes"
            author: Ada
            ---
            # One
            A [link](http://x) and `code`
            goes on.

            2. two
            3. three
               - inner

            | a | b |
            |---|---|
            | 1 | **2** |

            ```swift
            let x = 1
            ```
            <div>html <b>block</b></div>
            """
        let document = try Support.parse(source, name: "a.md")
        #expect(document.title == "Notes")
        #expect(document.properties["author"] == "Ada")
        #expect(document.headings == ["One"])
        #expect(document.texts.contains("A link (http://x) and code goes on."))
        #expect(document.texts { $0 == .listItem } == ["2. two", "3. three", "- inner"])
        #expect(document.rows == ["a | b", "1 | 2"])
        #expect(document.header(ofRow: "1 | 2") == "a | b")
        #expect(document.texts { $0 == .code(language: "swift") } == ["let x = 1"])
        #expect(document.texts.last == "html block")
    }

    @Test func `CSV dialects are told apart`() throws {
        let cases: [(String, [String])] = [
            ("name,age\n\"Doe, Jane\",42\n\"He said \"\"hi\"\"\",7\n", ["name | age", "Doe, Jane | 42", "He said \"hi\" | 7"]),
            ("name;age\r\nA;1,5\r\nB;2,5\r\n", ["name | age", "A | 1,5", "B | 2,5"]),
            ("name\tage\nA\t1\nB\t2", ["name | age", "A | 1", "B | 2"]),
            ("name|age\nA|1\n\"two\nlines\"|2", ["name | age", "A | 1", "two lines | 2"]),
        ]
        for (source, rows) in cases {
            let document = try Support.parse(source, name: "t.csv")
            #expect(document.rows == rows)
            #expect(document.header(ofRow: rows[2]) == rows[0])
        }
        #expect(try Support.parse("1,2\n3,4\n5,6", name: "numbers.csv").header(ofRow: "3 | 4") == nil)
    }

    @Test func `JSON records become a table, other JSON keeps its text, cut off JSON is not lost`() throws {
        let table = try Support.parse(#"[{"id": 1, "name": "Ä"}, {"id": 2, "name": "B"}]"#, name: "a.json")
        #expect(table.rows == ["id | name", "1 | Ä", "2 | B"])
        let lines = try Support.parse("{\"a\": \"x\"}\n{\"a\": \"y\"}\n", name: "a.jsonl")
        #expect(lines.rows == ["a", "x", "y"])
        let nested = try Support.parse(#"{"a":{"b":["deep value"]}}"#, name: "b.json")
        #expect(nested.text.contains("deep value"))
        #expect(try Support.parse(#"{"a": "cut o"#, name: "c.json").text.contains("cut o"))
        let deep = String(repeating: "[", count: 200_000)
        #expect(try Support.parse(deep, name: "d.json").warnings.count == 1)
    }

    @Test func `XML external entities are never read`() throws {
        let path = try Support.temporaryFile(Array("TOPSECRET".utf8))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let xml =
            "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY x SYSTEM \"file://\(path)\"><!ENTITY b \"inner\">]><r><t>before &x; after &b;</t></r>"
        let document = try Support.parse(xml, name: "x.xml")
        #expect(document.text.contains("before"))
        #expect(!document.text.contains("TOPSECRET"))
    }

    @Test func `billions of laughs stay unlaughed`() throws {
        var xml = "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a \"ha ha ha\">"
        for index in 1...30 { xml += "<!ENTITY a\(index) \"\(String(repeating: index == 1 ? "&a;" : "&a\(index - 1);", count: 10))\">" }
        xml += "]><r>x &a30; y</r>"
        let start = ContinuousClock.now
        _ = try? Support.parse(xml, name: "x.xml")
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test func `RTF groups, code pages, Unicode, tables and notes are read`() throws {
        let rtf = #"""
            {\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial;}}{\stylesheet{\s1 heading 1;}}{\info{\title My Title}{\author Ann}}
            {\*\generator secret;}\pard\s1 The Heading\par\pard Caf\'e9 {\f1\'cf\'f0\'e8} \u8364?\u-10179?\u-8704? \{x\}{\footnote note text}\par
            {\pict 89504e470d0a1a0a}\trowd\cellx1000\cellx2000\pard\intbl A\cell B\cell\row\trowd\pard\intbl 1\cell 2\cell\row
            \pard{\listtext\'b7\tab}\ls1 item\par\pard{\v hidden}after\par}
            """#
        let document = try Support.parse(rtf, name: "a.rtf")
        #expect(document.title == "My Title")
        #expect(document.properties["author"] == "Ann")
        #expect(document.headings == ["The Heading"])
        #expect(document.texts.contains("Café При €😀 {x}[1]"))
        #expect(document.rows == ["A | B", "1 | 2"])
        #expect(document.texts { $0 == .listItem } == ["- item"])
        #expect(document.notes == ["Footnote [1]: note text"])
        for gone in ["Arial", "secret", "89504e47", "hidden"] { #expect(!document.text.contains(gone)) }
    }

    @Test func `a million open groups of RTF end well`() throws {
        let rtf = "{\\rtf1 " + String(repeating: "{", count: 1_000_000) + "needle"
        #expect(try Support.parse(rtf, name: "a.rtf").text.contains("needle"))
    }

    @Test func `mail is decoded, alternatives chosen, attachments parsed`() throws {
        let mail = """
            From: =?iso-8859-1?Q?J=F6rg_M=FCller?= <j@example.org>\r
            To: b@example.org\r
            Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r
             =?UTF-8?Q?_weiter?=\r
            Date: Thu, 1 Feb 2024 10:00:00 +0100\r
            Message-ID: <1@example.org>\r
            MIME-Version: 1.0\r
            Content-Type: multipart/mixed; boundary="b1"\r
            \r
            preamble\r
            --b1\r
            Content-Type: multipart/alternative; boundary=b2\r
            \r
            --b2\r
            Content-Type: text/plain; charset=iso-8859-1\r
            Content-Transfer-Encoding: quoted-printable\r
            \r
            Sch=F6ne Gr=FC=\r
            =DFe\r
            --b2\r
            Content-Type: text/html\r
            \r
            <p>html side</p>\r
            --b2--\r
            --b1\r
            Content-Type: application/octet-stream; name="=?utf-8?q?t=C3=A4st.csv?="\r
            Content-Disposition: attachment; filename*=utf-8''t%C3%A4st.csv\r
            Content-Transfer-Encoding: base64\r
            \r
            \(Data("name,n\nAda,1\nBob,2\n".utf8).base64EncodedString())\r
            --b1\r
            Content-Type: application/x-thing; name=tool.bin\r
            Content-Disposition: attachment\r
            Content-Transfer-Encoding: base64\r
            \r
            AAECAwQFBgcICQ==\r
            --b1--\r
            """
        let document = try Support.parse(mail, name: "m.eml")
        #expect(document.title == "Grüße weiter")
        #expect(document.properties["author"] == "Jörg Müller <j@example.org>")
        #expect(document.texts.contains("Schöne Grüße"))
        #expect(!document.text.contains("html side"))
        #expect(document.headings == ["Grüße weiter", "täst.csv"])
        #expect(document.rows == ["name | n", "Ada | 1", "Bob | 2"])
        #expect(document.notes.contains("Attachment: tool.bin"))
        #expect(document.warnings.count == 1)
    }

    @Test func `mail nested in mail ends`() throws {
        var mail = "Subject: innermost\r\nMIME-Version: 1.0\r\nFrom: a@b\r\n\r\nneedle\r\n"
        for index in 0..<100 { mail = "Subject: \(index)\r\nMIME-Version: 1.0\r\nFrom: a@b\r\nContent-Type: message/rfc822\r\n\r\n" + mail }
        let document = try Support.parse(mail, name: "m.eml")
        #expect(document.headings.count >= 10)
        #expect(document.warnings.count == 1)
    }

    @Test func `source code is cut at top-level blank lines`() throws {
        let functions = (0..<20).map { index in
            "func f\(index)() {\n    let x = \(index)\n\n    print(x, \"some words to make this longer than a line\")\n    print(x, \"and some more words for the next line of it\")\n    // A comment that fills the function up to its size.\n}"
        }
        let document = try Support.parse("import Foundation\n\n" + functions.joined(separator: "\n\n"), name: "a.swift")
        #expect(document.blocks.count >= 20)
        #expect(document.blocks.allSatisfy { $0.kind == .code(language: "swift") })
        #expect(document.texts.dropFirst().allSatisfy { $0.hasPrefix("func f") && $0.hasSuffix("}") })
    }

    @Test func `plain text has paragraphs, headings and lists`() throws {
        let document = try Support.parse(
            "Main Title\n==========\n\nFirst line\nsecond line\n\n2.1 Results of it\n\n- one\n  more\n- two\n", name: "a.txt")
        #expect(document.headings == ["Main Title", "2.1 Results of it"])
        #expect(document.texts == ["Main Title", "First line\nsecond line", "2.1 Results of it", "- one more", "- two"])
    }

    @Test(arguments: [
        ("a.txt", "The mark %PDF-1.4 is mentioned here, in plain words, and that is all.", "text/plain"),
        ("a.unknown", "<!DOCTYPE html><p>x", "text/html"),
        ("noext", "<?xml version='1.0'?><a>text</a>", "application/xml"), ("x.html", "# not markdown <p>x", "text/html"),
        ("a.md", "<div>x</div>\n\n# h", "text/markdown"), ("Makefile", "all:\n\techo", "text/x-make"),
        ("run", "#!/usr/bin/env python3\nprint(1)", "text/x-python"),
        ("q.sql", "SELECT 1;", "text/x-sql"),
    ])
    func `content and name decide the format`(name: String, text: String, mimeType: String) throws {
        #expect(try Support.parse(text, name: name).mimeType == mimeType)
    }

    @Test(arguments: [
        ("a.txt", [UInt8](repeating: 0, count: 500)), ("a.docx", Array("no zip at all".utf8)),
        ("a.bin", [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0]), ("a.mp3", Array("ID3\u{4}".utf8)),
        ("a.xls", [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]), ("a.zip", Array("PK\u{3}\u{4}".utf8)),
        ("a.html", Array("<html><body></body></html>".utf8)), ("a.txt", [0x20, 0x0A]),
    ])
    func `what is no text is refused with a reason`(name: String, bytes: [UInt8]) {
        #expect(throws: Refusal.self) { try Support.parse(bytes, name: name) }
    }
}
