import Foundation
import Testing

@testable import Parsing

struct HTMLTests {
    private func body(_ html: String, head: String = "") throws -> ParsedDocument {
        try Support.parse("<!doctype html><html><head>\(head)</head><body><main>\(html)</main></body></html>", name: "page.html")
    }

    @Test(arguments: [
        ("<p>It holds 4 x 10<sup>6</sup> litres.</p>", "It holds 4 x 10^6 litres."),
        ("<p>A leak of 3 x 10<sup>-9</sup> mbar.</p>", "A leak of 3 x 10^-9 mbar."),
        ("<p>A hall of 560 m<sup>2</sup>.</p>", "A hall of 560 m^2."),
        ("<p>It sold 1,234<sup>2</sup> tonnes.</p>", "It sold 1,234[2] tonnes."),
        ("<p>It took 87<sup><a href=\"#n3\">3</a></sup> days.</p>", "It took 87[3] days."),
        ("<p>It took 10<a href=\"#n3\"><sup>3</sup></a> days.</p>", "It took 10[3] days."),
        ("<p>Water is H<sub>2</sub>O.</p>", "Water is H2O."), ("<p>The 3<sup>rd</sup> pier.</p>", "The 3rd pier."),
        ("<p>A sum of 2<span style=\"vertical-align: super\">10</span> bytes.</p>", "A sum of 2^10 bytes."),
        ("<p>E = <math><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></math>.</p>", "E = mc^2."),
        ("<p>Cited<sup id=\"c\"><a href=\"#cite\">[7]</a></sup> here.</p>", "Cited[7] here."),
    ])
    func `a raised number never melts into the number before it`(html: String, text: String) throws {
        #expect(try body(html).texts == [text])
    }

    @Test func `raised numbers in cells, items and headings keep their value`() throws {
        let document = try body(
            "<h2>Flow in m<sup>3</sup></h2><ul><li>10<sup>6</sup> l</li></ul><table><tr><th>What<th>Value</tr><tr><td>Sales<td>1,234<sup>2</sup></tr></table>"
        )
        #expect(document.texts == ["Flow in m^3", "- 10^6 l", "What | Value", "Sales | 1,234[2]"])
    }

    @Test func `struck text is out, inserted text stays`() throws {
        let document = try body(
            """
            <p>The price is <del>500 crowns</del> <ins>450 crowns</ins> now; <s>free delivery</s> <strike>twice</strike> \
            <span style="text-decoration: line-through">a week</span>.</p><ul><li><del>Old item</del> New item</li></ul>
            <table><tr><th>What<th>Price</tr><tr><td>Berth<td><s>30</s> 40</tr></table><del><p>Gone paragraph</p></del>
            """)
        for gone in ["500", "free delivery", "twice", "a week", "Old item", "30", "Gone"] {
            #expect(!document.text.contains(gone), "\(gone)")
        }
        for kept in ["450 crowns", "- New item", "Berth | 40"] { #expect(document.text.contains(kept), "\(kept)") }
    }

    @Test func `boxes and fields keep their state`() throws {
        let document = try body(
            """
            <ul><li><input type="checkbox" checked> Hull insured</li><li><input type="checkbox"> Engine insured</li></ul>
            <p><label><input type=radio name=a checked>Mooring</label> <label><input type=radio name=a>Trailer</label></p>
            <p>Boat: <input name=b value="Vesla"> in <select><option>Ostby</option><option selected>Holm</option></select></p>
            <p><input type="hidden" value="secret"><input type="submit" value="Send"></p>
            <p><span role="checkbox" aria-checked="true"></span>Fuel paid</p>
            """)
        #expect(
            document.texts == [
                "- [x] Hull insured", "- [ ] Engine insured", "[x] Mooring [ ] Trailer", "Boat: Vesla in Holm", "[x] Fuel paid",
            ])
    }

    @Test func `link targets follow their words once`() throws {
        let document = try body(
            """
            <p>Report faults on the <a href="https://support.example.org/tickets/new">support portal</a>, read the
            <a href="guide/setup.html">setup guide</a>, see <a href="#rules">the rules</a> or
            <a href="https://www.example.org/">example.org</a>.</p>
            <p>Mail <a href="mailto:desk@example.org?subject=x">the desk</a>, not <a href="mailto:a@example.org">a@example.org</a>;
            <a href="javascript:void(0)">open</a>. Again the <a href="https://support.example.org/tickets/new">portal</a>.</p>
            """, head: "<base href=\"https://docs.example.org/v2/\">")
        #expect(
            document.texts[0]
                == "Report faults on the support portal (https://support.example.org/tickets/new), read the setup guide (https://docs.example.org/v2/guide/setup.html), see the rules or example.org."
        )
        #expect(document.texts[1] == "Mail the desk (desk@example.org), not a@example.org; open. Again the portal.")
    }

    @Test func `targets of navigation are not shown`() throws {
        let document = try Support.parse(
            "<html><body><main><p>Read <a href='/r.html'>the rules</a>.</p></main><footer><a href='https://example.org/imprint'>Imprint</a></footer></body></html>",
            name: "p.html")
        #expect(document.texts == ["Read the rules (/r.html).", "Imprint"])
    }

    @Test(arguments: [
        "hidden", "style=\"display: none\"", "aria-hidden=\"true\"", "hidden=\"until-found\"", "style='visibility:hidden'",
    ])
    func `an answer that its question opens is text`(hiding: String) throws {
        let forms = [
            "<h2><button aria-expanded=\"false\">How long?</button></h2><div \(hiding)><p>Thirty-one months.</p></div>",
            "<h2><button>How long?</button></h2><div \(hiding)><p>Thirty-one months.</p></div>",
            "<button aria-expanded=\"false\" aria-controls=\"a1\">How long?</button><p>Other.</p><div id=\"a1\" \(hiding)>Thirty-one months.</div>",
            "<h3><a href=\"#a1\">How long?</a></h3><p>Other.</p><div id=\"a1\" \(hiding)>Thirty-one months.</div>",
            "<h3 data-bs-target=\"#a1\">How long?</h3><p>Other.</p><div id=\"a1\" \(hiding)>Thirty-one months.</div>",
            "<h3 id=\"q1\">How long?</h3><p>Other.</p><div aria-labelledby=\"q1\" \(hiding)>Thirty-one months.</div>",
            "<label for=\"a1\">How long?</label><p>Other.</p><div id=\"a1\" \(hiding)>Thirty-one months.</div>",
            "<h3>How long?</h3><div \(hiding)>Thirty-one months.</div><h3>How far?</h3><div \(hiding)>Nine miles.</div>",
            "<dl><dt><button>How long?</button></dt><dd \(hiding)>Thirty-one months.</dd></dl>",
            "<ul><li><button aria-expanded=false>How long?</button><div \(hiding)>Thirty-one months.</div></li></ul>",
            "<div role=\"button\" aria-expanded=\"false\">How long?</div><div \(hiding)>Thirty-one months.</div>",
        ]
        for form in forms {
            let text = try body("<p>Questions and answers.</p>" + form).text
            #expect(text.contains("How long?") && text.contains("Thirty-one months."), "\(form): \(text)")
            #expect(text.firstRange(of: "How long?")!.lowerBound < text.firstRange(of: "Thirty-one")!.lowerBound)
        }
    }

    @Test func `what nothing opens stays hidden, and menus, dialogs and templates are no text`() throws {
        let document = try body(
            """
            <p>The harbour is open all year for boats of members and guests from other clubs.</p><div hidden>left over</div>
            <template><p>pattern</p></template>
            <button aria-expanded="false" aria-controls="menu">Menu</button><ul id="menu" role="menu" hidden><li>Exit</li></ul>
            <a href="#box">Look</a><div id="box" role="dialog" hidden>Lightbox</div><div role="alertdialog">Accept all?</div>
            <div class="cookie-banner">We use cookies.</div><dialog open>Sign up</dialog><button>Send</button>
            <button data-bs-toggle="modal" data-bs-target="#m">Contact</button><div class="modal fade" id="m" aria-hidden="true">Modal text</div>
            """)
        for gone in ["left over", "pattern", "Menu", "Exit", "Lightbox", "Accept", "cookies", "Sign up", "Send", "Contact", "Modal text"] {
            #expect(!document.text.contains(gone), "\(gone)")
        }
    }

    @Test(arguments: [
        """
        <div role="tablist"><button role="tab" aria-controls="m" aria-selected="true">Monthly</button><button role="tab" aria-controls="y">Yearly</button></div>
        <div id="m" role="tabpanel"><p>The plan costs 30 crowns.</p></div><div id="y" role="tabpanel" hidden><p>The plan costs 310 crowns.</p></div>
        """,
        """
        <ul class="nav"><li><a data-toggle="tab" href="#m">Monthly</a></li><li><a data-toggle="tab" href="#y">Yearly</a></li></ul>
        <div id="m" class="tab-pane active">The plan costs 30 crowns.</div><div id="y" class="tab-pane" style="display:none">The plan costs 310 crowns.</div>
        """,
        """
        <div role="tablist"><button role="tab" id="tm">Monthly</button><button role="tab" id="ty">Yearly</button></div>
        <section role="tabpanel" aria-labelledby="tm">The plan costs 30 crowns.</section><section role="tabpanel" aria-labelledby="ty" hidden>The plan costs 310 crowns.</section>
        """,
        """
        <div role="tablist"><span role="tab">Monthly</span><span role="tab">Yearly</span></div>
        <div role="tabpanel">The plan costs 30 crowns.</div><div role="tabpanel" aria-hidden="true">The plan costs 310 crowns.</div>
        """,
    ])
    func `the text of each tab stands under the tab's name`(tabs: String) throws {
        let document = try body("<h1>Plans</h1>" + tabs)
        #expect(document.texts == ["Plans", "Monthly", "The plan costs 30 crowns.", "Yearly", "The plan costs 310 crowns."])
        #expect(document.headings == ["Plans", "Monthly", "Yearly"])
    }

    @Test func `an empty shell tells what it says about itself, and that it is one`() throws {
        let html = """
            <!doctype html><html><head><title>Harbour app</title><meta name="description" content="Book a berth online; 22 crowns a night.">
            <script type="application/ld+json">{"@context":"https://schema.org","@graph":[{"@type":"FAQPage","mainEntity":[{"@type":"Question","name":"May dogs stay on board?",
            "acceptedAnswer":{"@type":"Answer","text":"<p>Dogs may stay &amp; bark.</p>"}}]},{"@type":"LocalBusiness","name":"Ostby harbour","telephone":"555-0142"}]}</script>
            </head><body><div id="root"></div><noscript>You need to enable JavaScript to run this app.</noscript><script src="/main.js"></script></body></html>
            """
        let document = try Support.parse(html, name: "app.html")
        #expect(document.title == "Harbour app")
        for kept in ["Book a berth online; 22 crowns a night.", "May dogs stay on board?", "Dogs may stay & bark.", "telephone: 555-0142"] {
            #expect(document.text.contains(kept), "\(kept): \(document.text)")
        }
        #expect(!document.text.contains("JavaScript"))
        #expect(document.warnings.count == 1 && document.warnings[0].contains("shell"))
        let microdata = """
            <html><head><title>App</title></head><body><div id="app"></div><script src="x.js"></script>
            <div itemscope itemtype="https://schema.org/Question"><meta itemprop="name" content="Who pays?">
            <div itemprop="acceptedAnswer" itemscope itemtype="https://schema.org/Answer"><meta itemprop="text" content="The sender."></div></div></body></html>
            """
        let other = try Support.parse(microdata, name: "app.html")
        #expect(other.text.contains("Who pays?") && other.text.contains("The sender."))
    }

    @Test func `a page that is all navigation is no shell, and a shell without a word is refused as one`() throws {
        let links = (1...6).map { "<li><a href='\($0)'>Entry \($0) of the long list</a></li>" }.joined()
        let index = try Support.parse(
            "<html><head><title>T</title><script src=a.js></script></head><body><nav><ul>\(links)\(links)\(links)</ul></nav></body></html>",
            name: "i.html")
        #expect(index.texts.count == 18 && index.warnings.isEmpty)
        let refusal = #expect(throws: Refusal.self) {
            try Support.parse(
                "<html><body><div id=root></div><noscript>Please enable JavaScript.</noscript><script src=a.js></script></body></html>",
                name: "s.html")
        }
        #expect(refusal?.description.contains("shell") == true)
    }

    @Test func `a short page with a script is no shell`() throws {
        let document = try Support.parse(
            "<html><head><title>T</title><meta name=description content='About.'><script src=a.js></script></head><body><p>The bridge opens at nine.</p></body></html>",
            name: "p.html")
        #expect(document.texts == ["The bridge opens at nine."] && document.warnings.isEmpty)
    }

    @Test func `text outside of cells and terms is not lost`() throws {
        let document = try body(
            """
            <table>Berths in summer<tr><th>Berth<th>Length</tr><tr><td>B1<td>6</tr></table>
            <dl>Words first<dt>Bow<dd>Front<p>of the boat</p></dd><div><dt>Stern</dt><dd>Back</dd></div><p>Words after</p></dl>
            """)
        for kept in ["Berths in summer", "Words first", "- Bow: Front of the boat", "- Stern: Back", "Words after", "B1 | 6"] {
            #expect(document.text.contains(kept), "\(kept): \(document.text)")
        }
        #expect(document.header(ofRow: "B1 | 6") == "Berth | Length")
    }

    @Test func `a table in a cell leaves its row a row`() throws {
        let document = try body(
            """
            <table><tr><th>Club</th><th>Boats</th></tr><tr><td>Ostby</td><td><table><tr><th>Class</th><th>Count</th></tr><tr><td>Dinghy</td><td>31</td></tr>
            <tr><td>Yawl</td><td>4</td></tr></table></td></tr><tr><td>Holm</td><td>12 yawls</td></tr></table>
            """)
        #expect(document.rows == ["Club | Boats", "Ostby | Class Dinghy, Count 31; Class Yawl, Count 4", "Holm | 12 yawls"])
        #expect(document.header(ofRow: "Holm | 12 yawls") == "Club | Boats")
    }

    @Test func `a first row of words over numbers, or in bold, is a header without th`() throws {
        let numbers = try body("<table><tr><td>Port<td>2021<td>2022</tr><tr><td>A<td>5<td>6</tr><tr><td>B<td>7<td>8</tr></table>")
        #expect(numbers.header(ofRow: "B | 7 | 8") == "Port | 2021 | 2022")
        let bold = try body("<table><tr><td><b>Port</b><td><b>Owner</b></tr><tr><td>A<td>Ann</tr><tr><td>B<td>Bo</tr></table>")
        #expect(bold.header(ofRow: "B | Bo") == "Port | Owner")
        let words = try body("<table><tr><td>Port<td>Ostby</tr><tr><td>Owner<td>Ann</tr><tr><td>Guard<td>Bo</tr></table>")
        #expect(words.header(ofRow: "Guard | Bo") == nil)
    }

    @Test func `marked notes stand behind the paragraph that marks them`() throws {
        let document = try body(
            """
            <p>It pays seven crowns a metre<a href="#fn1" role="doc-noteref">1</a>, in summer.</p><p>Ferries go daily.</p>
            <section class="footnotes"><ol><li id="fn1"><p>Except ferries. <a href="#r1">↩</a></p></li></ol></section>
            """)
        #expect(document.texts == ["It pays seven crowns a metre[1], in summer.", "Footnote 1: Except ferries.", "Ferries go daily."])
    }

    @Test func `a page of ten thousand links and marks is read in one pass`() throws {
        let items = (0..<10_000).map { "<p>Word <a href='p\($0).html'>page \($0)</a> x<sup>\($0)</sup> <del>old</del></p>" }.joined()
        let document = try body(items)
        #expect(document.blocks.count == 10_000)
        #expect(!document.text.contains("p77.html"), "a page that is dense with links shows none of its own")
        let wiki = try body(
            "<p>The blobfish is a <a href='/wiki/Deep_sea_fish'>deep sea fish</a> of the <a href='/wiki/Family_(biology)'>family</a>.</p>")
        #expect(wiki.text == "The blobfish is a deep sea fish of the family.")
    }
}
