import Foundation
import Testing

/// A person's way through the web user interface, in a real browser against the real binary.
@Suite(.serialized, .enabled(if: BrowserPrograms.missing == nil, "chromium, chromedriver or the outrider binary is missing"))
struct BrowserTests {
    /// Every kind of character width lies before the sentence that is asked for, so that byte offsets and string indices differ.
    private static let manual = """
        # Wartungshandbuch für Wärmepumpen 🔧

        Ünïcödé, “quotes”, 日本語 and 🚑 emoji come first in this manual, so that offsets in bytes and in characters differ.

        ## Filter

        The intake filter of the Zephyr heat pump must be cleaned every 90 days. A clogged filter costs up to 12 percent of the efficiency — measured at 7 °C.

        ## Refrigerant

        The Zephyr heat pump holds 1.4 kilograms of the refrigerant R290. Only certified staff may open the refrigerant circuit.

        <img src=x onerror="document.title='broken'"> and <script>document.title = 'broken'</script> are words like all others.
        """

    private func write(_ name: String, _ text: String, in server: BrowserServer) throws -> String {
        let url = server.folder.appendingPathComponent(name)
        try Data(text.utf8).write(to: url)
        return url.path
    }

    /// Runs a test with a server and a browser, and ends both whatever happens.
    private func withBrowser(_ arguments: [String] = [], _ test: (Browser, BrowserServer) async throws -> Void) async throws {
        let server = try await BrowserServer(arguments: arguments)
        defer { server.end() }
        let browser = try await Browser()
        do {
            try await test(browser, server)
        } catch {
            try? await browser.screenshot("failure")
            Issue.record("\(error)\nserver log: \(server.log.suffix(1500))")
        }
        await browser.end()
    }

    private func upload(_ paths: [String], count: Int, _ browser: Browser, _ server: BrowserServer) async throws {
        try await browser.open("\(server.address)/#/documents")
        try await browser.wait(
            "documents view",
            for: "return !document.querySelector('#view-documents').hidden && !document.querySelector('#documents-status .spinner')")
        try await browser.type(paths.joined(separator: "\n"), into: "#files")
        try await browser.wait(
            "upload ends",
            for:
                "const note = document.querySelector('#uploads .job .note'); return note !== null && /indexed|refused|failed/.test(note.textContent)",
            seconds: 120)
        try await browser.wait(
            "library lists the upload", for: "return document.querySelectorAll('#documents li').length === arguments[0]", [count])
    }

    private func ask(_ question: String, _ browser: Browser, _ server: BrowserServer) async throws {
        try await browser.run("location.hash = '#/ask'")
        try await browser.wait(
            "ask view", for: "return !document.querySelector('#view-ask').hidden && document.querySelector('#ask-hint').textContent !== ''")
        try await browser.type(question, into: "#question")
        try await browser.click("#ask-send")
        try await browser.wait(
            "answer ends",
            for:
                "const all = document.querySelectorAll('.turn'); const last = all[all.length - 1]; return last && !last.querySelector('.answer.running') && last.querySelector('.pill') !== null",
            seconds: 120)
    }

    private let markedText = "return [...document.querySelectorAll('#source-body mark')].map((mark) => mark.textContent).join('')"

    @Test func `upload, ask, open a citation at its sentence, delete`() async throws {
        try await withBrowser { browser, server in
            // Upload one good and one empty file: the second is refused with its reason.
            let manual = try write("zephyr-manual.md", Self.manual, in: server)
            let empty = try write("empty.txt", "", in: server)
            try await upload([manual, empty], count: 1, browser, server)
            #expect(try await browser.string("return document.querySelector('#uploads .reasons').textContent").contains("empty.txt"))
            try await browser.screenshot("documents")

            // Ask.
            try await ask("How often must the intake filter be cleaned?", browser, server)
            let answer = try await browser.string("return document.querySelector('.answer-text').textContent")
            #expect(answer.contains("90 days"), "\(answer)")
            try await browser.screenshot("answer")

            // Each marker opens its source: the marked text is the quote, and it is visible.
            let markers = try #require(try await browser.run("return document.querySelectorAll('.answer .marker').length") as? Int)
            #expect(markers >= 1)
            let cards = try #require(
                try await browser.run(
                    "return [...document.querySelectorAll('.turn-extra > .sources .source-card')].map((card) => card.querySelector('.quote').textContent)"
                ) as? [String])
            for (index, quote) in cards.enumerated() {
                try await browser.run("document.querySelectorAll('.turn-extra > .sources .source-card')[arguments[0]].click()", [index])
                try await browser.wait(
                    "source opens",
                    for:
                        "const marks = [...document.querySelectorAll('#source-body mark')]; return marks.map((mark) => mark.textContent).join('') === arguments[0]",
                    [quote])
            }
            try await browser.click(".answer .marker")
            try await browser.wait("source of the first marker", for: "return document.querySelector('#source-body mark') !== null")
            let marked = try await browser.string(markedText)
            #expect(cards.contains(marked) && Self.manual.contains(marked), "'\(marked)' is not one of \(cards)")
            #expect(marked.contains("90 days"))
            let isVisible = try await browser.run(
                "const m = document.querySelector('#source-body mark').getBoundingClientRect(), p = document.querySelector('#source-body').getBoundingClientRect(); return m.top >= p.top && m.bottom <= p.bottom && m.height > 0"
            )
            #expect(isVisible as? Bool == true)
            try await browser.screenshot("citation")

            // Escape closes it and gives the focus back to the marker.
            try await browser.press("\u{e00c}")
            try await browser.wait("source closes", for: "return document.querySelector('#source').hidden")
            #expect(try await browser.run("return document.activeElement.classList.contains('marker')") as? Bool == true)

            // Search.
            try await browser.run("location.hash = '#/search'")
            try await browser.type("refrigerant circuit", into: "#query")
            try await browser.click("#search-form button[type=submit]")
            try await browser.wait("results", for: "return document.querySelectorAll('.result').length > 0")
            try await browser.wait(
                "highlights",
                for: "return [...document.querySelectorAll('.result mark')].some((mark) => /refrigerant/i.test(mark.textContent))")
            try await browser.screenshot("search")

            // Markup in a document is text.
            #expect(try await browser.string("return document.title").hasSuffix("Outrider"))
            #expect(try await browser.run("return document.querySelectorAll('main img[src=x], .source img[src=x]').length") as? Int == 0)

            // Status.
            try await browser.run("location.hash = '#/status'")
            try await browser.wait("timings", for: "return document.querySelectorAll('.timing').length > 0")
            try await browser.screenshot("status")

            // Delete.
            try await browser.run("location.hash = '#/documents'")
            try await browser.wait("library", for: "return document.querySelectorAll('#documents li').length === 1")
            try await browser.click("#documents li .remove")
            try await browser.wait("confirmation", for: "return document.querySelector('#confirm-dialog').open")
            try await browser.screenshot("confirm")
            try await browser.click("#confirm-dialog .secondary")
            #expect(try await browser.run("return document.querySelectorAll('#documents li').length") as? Int == 1)
            try await browser.click("#documents li .remove")
            try await browser.wait("confirmation again", for: "return document.querySelector('#confirm-dialog').open")
            try await browser.click("#confirm-dialog .danger")
            try await browser.wait("library is empty", for: "return document.querySelectorAll('#documents li').length === 0")
            #expect(try await server.get("/v1/documents").1["total"] as? Int == 0)

            // It is gone from answers.
            try await ask("How often must the intake filter be cleaned?", browser, server)
            let after = try await browser.string(
                "const all = document.querySelectorAll('.answer-text'); return all[all.length - 1].textContent")
            #expect(!after.contains("90 days"), "\(after)")
            #expect(
                try await browser.run(
                    "const all = document.querySelectorAll('.turn'); return all[all.length - 1].querySelectorAll('.source-card').length")
                    as? Int == 0)
            let complaints = try await browser.complaints()
            #expect(complaints.isEmpty, "\(complaints)")
        }
    }

    @Test func `everything fits a phone, and text is readable in both colour schemes`() async throws {
        try await withBrowser { browser, server in
            try await browser.resize(width: 360, height: 740, isPhone: true)
            try await upload(
                [try write("zephyr-manual-with-a-rather-long-file-name-that-does-not-fit-a-phone.md", Self.manual, in: server)], count: 1,
                browser, server)
            try await ask("How much refrigerant does the Zephyr heat pump hold?", browser, server)
            try await browser.run("location.hash = '#/search'")
            try await browser.type("intake filter", into: "#query")
            try await browser.click("#search-form button[type=submit]")
            try await browser.wait("results", for: "return document.querySelectorAll('.result').length > 0")
            for scheme in ["light", "dark"] {
                try await browser.prefer(colorScheme: scheme)
                try await browser.wait("\(scheme) scheme", for: "return document.documentElement.dataset.theme === arguments[0]", [scheme])
                for view in ["ask", "search", "documents", "status"] {
                    try await browser.run("location.hash = '#/' + arguments[0]", [view])
                    try await browser.wait("\(view) view", for: "return !document.querySelector('#view-' + arguments[0]).hidden", [view])
                    if view == "status" {
                        try await browser.wait("status cards", for: "return document.querySelectorAll('#status-cards .card').length > 2")
                    }
                    try await check(view, scheme, browser)
                    try await browser.screenshot("phone-\(scheme)-\(view)")
                }
                try await browser.run("location.hash = '#/ask'")
                try await browser.wait("ask view", for: "return !document.querySelector('#view-ask').hidden")
                try await browser.run("document.querySelector('.answer .marker').click()")
                try await browser.wait("source opens", for: "return document.querySelector('#source-body mark') !== null")
                #expect(
                    try await browser.run(
                        "const box = document.querySelector('#source').getBoundingClientRect(); return box.left >= 0 && box.width <= innerWidth && box.width > 300"
                    ) as? Bool == true)
                try await check("source", scheme, browser)
                try await browser.screenshot("phone-\(scheme)-citation")
                try await browser.click("#source-close")
            }
        }
    }

    /// Nothing wider than the screen, a name for every control, and a contrast of 4.5:1 (3:1 for large text) for every visible text.
    private func check(_ view: String, _ scheme: String, _ browser: Browser) async throws {
        let widths = try await browser.string("return document.documentElement.scrollWidth + ' of ' + innerWidth")
        #expect(
            try await browser.run("return document.documentElement.scrollWidth <= innerWidth") as? Bool == true,
            "\(view), \(scheme): \(widths)")
        let nameless = try await browser.run(
            """
            return [...document.querySelectorAll('button, a, input, select, textarea')].filter((each) => each.offsetParent !== null && !(each.textContent.trim() && each.tagName !== 'SELECT')
              && !each.getAttribute('aria-label') && !(each.labels && [...each.labels].some((label) => label.textContent.trim()))).map((each) => each.outerHTML.slice(0, 80))
            """)
        #expect(nameless as? [String] == [], "\(view), \(scheme)")
        let faint = try await browser.run(
            """
            const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return { r: n[0], g: n[1], b: n[2], a: n.length > 3 ? n[3] : 1 }; };
            const light = (c) => [c.r, c.g, c.b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const found = [];
            for (const element of document.querySelectorAll('body *')) {
              if (element.offsetParent === null || element.closest('.hidden, .skip, [inert]') || element.disabled) continue;
              const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
              if (!own) continue;
              const style = getComputedStyle(element);
              let back = null;
              for (let each = element; each && !back; each = each.parentElement) { const c = parse(getComputedStyle(each).backgroundColor); if (c.a > 0.99) back = c; }
              if (!back) continue;
              const [a, b] = [light(parse(style.color)), light(back)];
              const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
              const size = parseFloat(style.fontSize);
              const need = size >= 24 || (size >= 18.7 && style.fontWeight >= 700) ? 3 : 4.5;
              if (ratio < need) found.push(element.tagName + '.' + element.className + ' ' + ratio.toFixed(2) + ' ' + element.textContent.trim().slice(0, 30));
            }
            return found;
            """)
        #expect(faint as? [String] == [], "\(view), \(scheme)")
    }

    // MARK: Conversation

    /// Every `fetch` of the page goes through here: `window.mode` is "away" for a server that cannot be reached, or a text that answers the next question.
    private static let interception = """
        const real = window.fetch;
        window.fetch = (path, options) => {
          if (window.mode === 'away') return Promise.reject(new TypeError('Failed to fetch'));
          if (path === '/v1/answer' && window.mode) return Promise.resolve(new Response(window.mode, { headers: { 'Content-Type': 'text/event-stream' } }));
          return real(path, options);
        };
        """

    private static func stream(_ events: [(String, String)]) -> String { events.map { "event: \($0.0)\ndata: \($0.1)\n\n" }.joined() }

    private static let places = """
        const last = [...document.querySelectorAll('.turn')].pop();
        const box = (element) => element.getBoundingClientRect();
        return { bar: box(document.querySelector('.top')).bottom, question: box(last.querySelector('.turn-question')).top,
          answer: box(last.querySelector('.answer-text')).bottom, composer: box(document.querySelector('#ask-form')).top,
          width: document.documentElement.scrollWidth, screen: innerWidth };
        """

    @Test(arguments: [(390, 844, true), (1280, 900, false)])
    func `a new answer stands in sight, and a reload keeps the conversation`(width: Int, height: Int, isPhone: Bool) async throws {
        try await withBrowser { browser, server in
            try await browser.resize(width: width, height: height, isPhone: isPhone)
            try await browser.prefer(colorScheme: "light")
            try await upload([try write("zephyr.md", Self.manual, in: server)], count: 1, browser, server)
            let questions = [
                "How often must the intake filter be cleaned?", "How much refrigerant does the Zephyr heat pump hold?",
                "Who may open the refrigerant circuit?",
                "What is the capital of the moon?",
            ]
            for question in questions {
                try await ask(question, browser, server)
                try await browser.wait(
                    "the question is at the top",
                    for:
                        "const b = document.querySelector('.top').getBoundingClientRect().bottom, q = [...document.querySelectorAll('.turn-question')].pop().getBoundingClientRect().top; return q >= b && q - b < 40"
                )
                let places = try #require(try await browser.run(Self.places) as? [String: Double])
                #expect(places["answer"]! <= places["composer"]!, "\(question): \(places)")
                #expect(places["width"]! <= places["screen"]!)
                try await browser.screenshot("conversation-\(width)-\(questions.firstIndex(of: question)!)")
            }
            let texts =
                "return [...document.querySelectorAll('.turn')].map((turn) => turn.querySelector('.turn-question').textContent + '|' + turn.querySelector('.answer-text').textContent)"
            let before = try #require(try await browser.run(texts) as? [String])
            #expect(before.count == questions.count)
            try await browser.open("\(server.address)/?again#/ask")
            try await browser.wait(
                "the conversation is back", for: "return document.querySelectorAll('.turn').length === arguments[0]", [questions.count])
            #expect(try await browser.run(texts) as? [String] == before)
            // Its markers still open their places.
            try await browser.run("document.querySelector('.answer .marker').click()")
            try await browser.wait("source opens", for: "return document.querySelector('#source-body mark') !== null")
            try await browser.click("#source-close")
            // Other views do not scroll sideways either, with a source open beside them.
            try await browser.run("location.hash = '#/search'")
            try await browser.type("refrigerant", into: "#query")
            try await browser.click("#search-form button[type=submit]")
            try await browser.wait("results", for: "return document.querySelectorAll('.result').length > 0")
            try await browser.run("document.querySelector('.result h3 button').click()")
            try await browser.wait("source opens", for: "return document.querySelector('#source-body mark') !== null")
            let widths = try await browser.string("return document.documentElement.scrollWidth + ' of ' + innerWidth")
            #expect(try await browser.run("return document.documentElement.scrollWidth <= innerWidth") as? Bool == true, "\(widths)")
            try await browser.click("#source-close")
            // And it can be forgotten.
            try await browser.run("location.hash = '#/ask'")
            try await browser.run("document.querySelector('#question').focus()")
            try await browser.click("#new-conversation")
            #expect(try await browser.run("return document.querySelectorAll('.turn').length") as? Int == 0)
            #expect(try await browser.run("return JSON.stringify(localStorage)") as? String == "{}")
        }
    }

    @Test func `a server that goes away and comes back loses no question, and nothing loads for ever`() async throws {
        try await withBrowser { browser, server in
            try await browser.resize(width: 390, height: 844, isPhone: true)
            try await upload([try write("zephyr.md", Self.manual, in: server)], count: 1, browser, server)
            try await browser.run("location.hash = '#/ask'")
            try await browser.wait("ask view", for: "return document.querySelector('#ask-hint').textContent !== ''")
            try await browser.run(Self.interception + "window.mode = 'away';")
            try await browser.type("How often must the intake filter be cleaned?", into: "#question")
            try await browser.click("#ask-send")
            try await browser.wait("the question can be asked again", for: "return document.querySelector('.turn .retry') !== null")
            #expect(try await browser.string("return document.querySelector('.turn-question').textContent").contains("intake filter"))
            try await browser.run("location.hash = '#/documents'")
            try await browser.wait("the banner says so", for: "return !document.querySelector('#banner').hidden")
            try await browser.wait("nothing loads", for: "return document.querySelector('#documents-status .spinner') === null")
            try await browser.screenshot("away")
            try await browser.run("window.mode = null")
            try await browser.wait("the banner goes", for: "return document.querySelector('#banner').hidden")
            try await browser.wait("the library is there", for: "return document.querySelectorAll('#documents li').length === 1")
            try await browser.run("location.hash = '#/ask'")
            try await browser.run("document.querySelector('.turn .retry').click()")
            try await browser.wait("the answer comes", for: "return document.querySelector('.turn .pill') !== null")
            #expect(try await browser.string("return document.querySelector('.answer-text').textContent").contains("90 days"))
            #expect(try await browser.run("return document.querySelectorAll('.turn').length") as? Int == 1)
        }
    }

    @Test func `text that was taken back disappears, tables are tables, and one place has one card`() async throws {
        func citation(_ marker: Int, _ quote: String) -> String {
            #"{"marker":\#(marker),"document_id":"d1","chunk_id":\#(marker),"source":"/srv/files/Limits.pdf","title":null,"page":1,"span":{"start":0,"end":9},"quote":"\#(quote)"}"#
        }
        let citations = [citation(1, "Munich | 145"), citation(2, "Hamburg | 130"), citation(1, "Munich | 145")]
        let answer = #"These hold:\n\n| City | Limit |\n|---|---|\n| Munich <b>x</b> | 145 | [1]\n| Hamburg | 130 [2] |\n\nSee above [1]."#
        let done =
            #"{"answer":"\#(answer)","refused":false,"confidence":0.84,"citations":[\#(citations.joined(separator: ","))],"generator":"llama","degradation":["vector_unavailable: no model"],"timings_ms":{"total":12},"question":"q","rejected":[{"generator":"llama","reason":"its sources do not say that","text":"Forty <i>words</i>."}]}"#
        let events =
            [("sources", #"{"sources":[]}"#), ("progress", #"{"stage":"reading","generator":"llama","share":0.4,"elapsed_ms":4000}"#)]
            + [
                ("token", #"{"text":"Wrong words [1]. "}"#), ("reset", #"{"reason":"not supported"}"#),
                ("token", #"{"text":"\#(answer)"}"#), ("done", done),
            ]
        try await withBrowser { browser, server in
            try await browser.resize(width: 390, height: 844, isPhone: true)
            try await browser.open("\(server.address)/#/ask")
            try await browser.wait("ask view", for: "return document.querySelector('#ask-hint').textContent !== ''")
            // First without an end: what is on the page then was streamed.
            try await browser.run(Self.interception + "window.mode = arguments[0];", [Self.stream(Array(events.dropLast()))])
            try await browser.type("What are the limits?", into: "#question")
            try await browser.click("#ask-send")
            try await browser.wait("the stream breaks off", for: "return document.querySelector('.turn .retry') !== null")
            #expect(!(try await browser.string("return document.querySelector('.answer').textContent").contains("Wrong words")))
            try await browser.run("window.mode = arguments[0]; document.querySelector('.turn .retry').click()", [Self.stream(events)])
            try await browser.wait("the answer ends", for: "return document.querySelector('.turn .pill') !== null")
            #expect(!(try await browser.string("return document.querySelector('.turn').textContent").contains("Wrong words")))
            let rows = try await browser.run(
                "return [...document.querySelectorAll('.answer tr')].map((row) => [...row.children].map((cell) => cell.textContent.replace(/\\s+/g, ' ').trim()).join(';'))"
            )
            #expect(rows as? [String] == ["City;Limit", "Munich <b>x</b>;145 1", "Hamburg;130 2"])
            #expect(try await browser.run("return document.querySelectorAll('.answer-text b, .rejected i').length") as? Int == 0)
            #expect(try await browser.run("return document.querySelectorAll('.answer .marker').length") as? Int == 3)
            let cards = try await browser.run(
                "return [...document.querySelectorAll('.source-card')].map((card) => card.querySelector('.number').textContent + '|' + card.querySelectorAll('.quote').length)"
            )
            #expect(cards as? [String] == ["1, 2|2"])
            let facts = try await browser.string("return document.querySelector('.facts').textContent")
            #expect(facts.contains("Searched by words only") && !facts.contains("%") && !facts.contains("_"), "\(facts)")
            let why = try await browser.string("return document.querySelector('.why').textContent")
            #expect(why.contains("its sources do not say that") && why.contains("Forty <i>words</i>."))
            try await browser.screenshot("table")

            // A refusal shows what came nearest, opened.
            let nearest =
                #"{"document_id":"d2","chunk_id":7,"source":"/srv/files/Moon.txt","title":null,"page":null,"span":{"start":0,"end":9},"heading":"","text":"The moon is far.","score":0.4,"scores":{},"highlights":[],"metadata":{}}"#
            let refusal =
                #"{"answer":"Die erfassten Dokumente enthalten nicht genug.","refused":true,"confidence":0.1,"citations":[],"generator":"extractive","degradation":[],"timings_ms":{"total":12},"question":"q","rejected":[],"nearest":[\#(nearest)]}"#
            try await browser.run("window.mode = arguments[0];", [Self.stream([("sources", #"{"sources":[]}"#), ("done", refusal)])])
            try await browser.type("Wie weit ist der Mond?", into: "#question")
            try await browser.click("#ask-send")
            try await browser.wait("the refusal comes", for: "return document.querySelector('.answer.refused') !== null")
            let shown = try await browser.string(
                "return document.querySelector('.turn:last-child .sources.nearest .source-card').textContent + document.querySelector('h3.nearest').textContent"
            )
            #expect(shown.contains("The moon is far.") && shown.contains("Stellen"), "\(shown)")
            let complaints = try await browser.complaints()
            #expect(complaints.isEmpty, "\(complaints)")
        }
    }

    @Test func `a folder is uploaded with its files' paths, and each file's progress is shown`() async throws {
        try await withBrowser { browser, server in
            try await browser.resize(width: 390, height: 844, isPhone: true)
            let folder = server.folder.appendingPathComponent("dossier")
            for part in ["a", "b-with-a-very-long-name-that-no-telephone-can-show-in-one-line-and-that-has-no-blanks"] {
                try FileManager.default.createDirectory(at: folder.appendingPathComponent(part), withIntermediateDirectories: true)
                try Data("The harbour \(part) is deep.".utf8).write(to: folder.appendingPathComponent(part + "/readme.txt"))
            }
            try await browser.open("\(server.address)/#/documents")
            try await browser.wait("documents view", for: "return !document.querySelector('#documents-status .spinner')")
            try await browser.run(
                "const append = FormData.prototype.append; window.names = []; FormData.prototype.append = function (name, value, file) { if (file) window.names.push(file); return append.apply(this, arguments); };"
            )
            try await browser.type(folder.path, into: "#folder")
            try await browser.wait("files are listed", for: "return document.querySelectorAll('#uploads .job-files li').length === 2")
            try await browser.wait(
                "upload ends",
                for:
                    "const note = document.querySelector('#uploads .job .note'); return note !== null && /indexed|refused|failed/.test(note.textContent)",
                seconds: 120)
            let names = try #require(try await browser.run("return window.names.sort()") as? [String])
            #expect(names.count == 2 && names[0] == "dossier/a/readme.txt" && names[1].hasPrefix("dossier/b-with"))
            #expect(try await browser.run("return document.documentElement.scrollWidth <= innerWidth") as? Bool == true)
            try await browser.screenshot("folder")
        }
    }

    @Test func `a server with a key asks for it, once`() async throws {
        try await withBrowser(["--api-key", "browser-test-key"]) { browser, server in
            try await browser.open("\(server.address)/")
            try await browser.wait("the key is asked for", for: "return document.querySelector('#key-dialog').open")
            try await browser.screenshot("key")
            try await browser.type("not-the-right-key\u{e007}", into: "#key")
            try await browser.wait(
                "the wrong key is refused",
                for: "return document.querySelector('#key-dialog').open && !document.querySelector('#key-error').hidden")
            try await browser.type("browser-test-key\u{e007}", into: "#key")
            try await browser.wait(
                "the page works",
                for: "return !document.querySelector('#key-dialog').open && document.querySelector('#ask-hint').textContent !== ''")
            try await browser.open("\(server.address)/#/status")
            try await browser.wait(
                "the key is remembered",
                for: "return document.querySelectorAll('#status-cards .card').length > 2 && !document.querySelector('#key-dialog').open")
            // Not beyond the tab.
            #expect(try await browser.run("return JSON.stringify(localStorage)") as? String == "{}")
        }
    }
}
