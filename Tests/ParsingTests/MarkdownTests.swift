import Testing

@testable import Parsing

struct MarkdownTests {
    @Test func `front matter keeps lists as lists and long texts whole`() throws {
        let document = try Support.parse(
            """
            ---
            title: "Winter storage: rules" # a remark
            tags: [storage, "winter, cold"]
            authors:
              - Anna Example
              - name: Bo Sample
                mail: bo@example.org
            categories:
            - boats
            date: 2026-02-01
            url: https://example.org/#top
            summary: >
              Boats are stored from October
              to April at 40 crowns a metre.
            poem: |
              one
              two
            long: begins
              and goes on
            multi: [a,
              b]
            contact:
              phone: 555-0142
              draft: null
            ---

            # Rules

            Batteries must be removed.
            """, name: "a.md")
        #expect(document.title == "Winter storage: rules")
        #expect(
            document.propertyLists["tags"] == ["storage", "winter, cold"]
                && document.propertyLists["authors"] == ["Anna Example", "Bo Sample"])
        #expect(document.propertyLists["categories"] == ["boats"] && document.propertyLists["multi"] == ["a", "b"])
        #expect(document.properties["summary"] == "Boats are stored from October to April at 40 crowns a metre.")
        #expect(document.properties["poem"] == "one two" && document.properties["long"] == "begins and goes on")
        #expect(document.properties["date"] == "2026-02-01" && document.properties["url"] == "https://example.org/#top")
        #expect(document.properties["contact.phone"] == "555-0142" && document.properties["contact.draft"] == nil)
        #expect(document.texts == ["Rules", "Batteries must be removed."])
    }

    @Test func `TOML front matter is read, a rule at the top is none`() throws {
        let document = try Support.parse(
            "+++\ntitle = \"Toml page\"\ndraft = false\ntags = [\n  \"a\",\n  'b', # remark\n]\n[taxonomies]\ncategories = [\"boats\"]\n[menu]\nname = \"x\"\n+++\n\nThe mast is 14 metres high.\n",
            name: "b.md")
        #expect(document.title == "Toml page" && document.texts == ["The mast is 14 metres high."])
        #expect(
            document.propertyLists == ["tags": ["a", "b"], "categories": ["boats"]]
                && document.properties == ["draft": "false", "menu.name": "x"])
        let rule = try Support.parse("---\n\nText above.\n\n---\n\nText below.\n", name: "c.md")
        #expect(rule.texts == ["Text above.", "Text below."])
    }

    @Test func `property lists survive the wire`() throws {
        let document = try Support.parse("---\ntags: [a, ö]\n---\nx\n", name: "a.md")
        guard case .document(let copy) = try WireFormat.decode(WireFormat.encode(.document(document))) else {
            throw Refusal.malformed("no document")
        }
        #expect(copy.propertyLists == ["tags": ["a", "ö"]])
    }

    @Test func `marks keep their meaning`() throws {
        let document = try Support.parse(
            """
            Report faults on the [support portal](https://support.example.org/new), see [above](#top) or <https://example.org/x>.

            The price is ~~500 crowns~~ 450 crowns, <del>plus</del> 4 x 10<sup>6</sup> litres, 10^6^ or H~2~O, m<sup>2</sup>.

            - [x] Hull insured
            - [ ] Engine insured

            ![Plan of the harbour](plan.png)
            """, name: "b.md")
        #expect(
            document.texts == [
                "Report faults on the support portal (https://support.example.org/new), see above or https://example.org/x.",
                "The price is 450 crowns, 4 x 10^6 litres, 10^6 or H2O, m^2.", "- [x] Hull insured", "- [ ] Engine insured",
                "Plan of the harbour",
            ])
    }

    @Test func `stars between digits multiply, others only shape`() throws {
        #expect(try Support.parse("2*3*4 and 2**3**2, *so* and wo*rd*s.\n", name: "a.md").text == "2*3*4 and 2**3**2, so and words.")
    }

    @Test func `footnotes stand behind what marks them`() throws {
        let document = try Support.parse(
            "Term[^1] here, other[^long].\n\n- item[^1]\n\n| a | b |\n|---|---|\n| x[^t] | 1 |\n| y | 2 |\n\nEnd.\n\n[^1]: Says 15 days.\n[^long]: Two parts.\n\n    Second part.\n[^t]: Of the table.\n",
            name: "f.md")
        #expect(
            document.texts == [
                "Term[1] here, other[2].", "Footnote 1: Says 15 days.", "Footnote 2: Two parts.\nSecond part.", "- item[1]", "a | b",
                "x[3] | 1",
                "Footnote 3: Of the table.", "y | 2", "End.",
            ])
        #expect(document.header(ofRow: "y | 2") == "a | b")
    }
}
