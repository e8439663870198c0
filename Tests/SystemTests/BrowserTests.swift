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
