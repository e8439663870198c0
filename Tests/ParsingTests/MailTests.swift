import Foundation
import TestSupport
import Testing

@testable import Parsing

struct MailTests {
    private func mail(_ lines: String, subject: String = "Plan") throws -> ParsedDocument {
        let head = "From: a@example.org\nTo: b@example.org\nSubject: \(subject)\nDate: Mon, 2 Feb 2026 09:00:00 +0100\nMIME-Version: 1.0\n"
        return try Support.parse((head + lines).replacingOccurrences(of: "\n", with: "\r\n"), name: "m.eml")
    }

    private func alternative(_ plain: String, _ html: String) throws -> ParsedDocument {
        try mail(
            """
            Content-Type: multipart/alternative; boundary="a1"

            --a1
            Content-Type: text/plain; charset=utf-8

            \(plain)
            --a1
            Content-Type: text/html; charset=utf-8

            \(html)
            --a1--
            """)
    }

    // MARK: - Which side

    @Test func `a plain part that is a stub gives way to the HTML`() throws {
        let html =
            "<html><body><p>Your mooring account ended January with a balance of 4,812 crowns, and the next bill comes in March.</p></body></html>"
        for stub in [
            "Your program cannot show HTML messages. View it in a browser: https://example.org/v/1", "See HTML.", "   ", "Siehe unten.",
        ] {
            let document = try alternative(stub, html)
            #expect(document.text.contains("balance of 4,812 crowns"), "\(stub)")
            if !stub.isBlank { #expect(!document.text.contains(stub), "\(stub)") }
        }
    }

    @Test func `a plain part without the table of the HTML gives way to it`() throws {
        let table =
            "<table><tr><th>Date</th><th>Amount</th></tr><tr><td>3 Jan</td><td>-75</td></tr><tr><td>9 Jan</td><td>900</td></tr></table>"
        let document = try alternative(
            "Dear member, your balance is 4,812 crowns.", "<p>Dear member, your balance is 4,812 crowns.</p>\(table)")
        #expect(document.header(ofRow: "9 Jan | 900") == "Date | Amount")
        #expect(document.text.components(separatedBy: "4,812").count == 2)
    }

    @Test func `a plain part that says as much is taken`() throws {
        let document = try alternative(
            "The berth is free from May.", "<div style='color:red'>The berth is free from May.</div><img src=cid:1>")
        #expect(document.texts.last == "The berth is free from May.")
    }

    // MARK: - Headers and lines

    @Test(arguments: [
        ("=?UTF-8?Q?K=C3?= =?UTF-8?Q?=B6ln_heute?=", "Köln heute"), ("=?utf-8?B?R3LDvA==?= =?UTF-8?B?w59l?=", "Grüße"),
        ("=?UTF-8?B?w?= =?UTF-8?Q?=C3=A4?=", "ä"), ("=?ISO-8859-1?Q?J=FCrgen?= =?UTF-8?Q?_=C3=A4?=", "Jürgen ä"),
        ("=?windows-1251?B?z/Do4uXy?=", "Привет"), ("a =?utf-8?q?b?= c", "a b c"), ("=?x", "=?x"), ("=?iso-8859-1?q?don=92t?=", "don’t"),
        ("=?shift_jis?B?k/qWe4zq?=", "日本語"),
    ])
    func `encoded words are joined before they are decoded, in their own charset`(raw: String, text: String) {
        #expect(MailParser.decodeWords(Array(raw.utf8)) == text)
    }

    @Test func `flowed lines are joined as RFC 3676 says`() {
        #expect(MailParser.joinFlowed("The berth is \nfree.\n\nNext \nline", dropsBlanks: false) == "The berth is free.\n\nNext line")
        #expect(MailParser.joinFlowed("twelve hun \ndred", dropsBlanks: true) == "twelve hundred")
        #expect(MailParser.joinFlowed("> old \n> words\nnew", dropsBlanks: false) == "> old words\nnew")
        #expect(MailParser.joinFlowed("text\n-- \nVera", dropsBlanks: false) == "text\n-- \nVera")
        #expect(MailParser.joinFlowed(" >no quote", dropsBlanks: false) == ">no quote")
    }

    @Test func `a flowed body is read so`() throws {
        let document = try mail("Content-Type: text/plain; format=flowed; delsp=yes\n\nThe berth costs twelve hun \ndred crowns.\n")
        #expect(document.texts.last == "The berth costs twelve hundred crowns.")
    }

    // MARK: - Older mail

    @Test(arguments: [
        "On Mon, 2 Feb 2026 at 09:00, Vera Example <v@example.org> wrote:\nThe fee is 500 crowns.",
        "On Mon, 2 Feb 2026 at 09:00, Vera Example\n<v@example.org> wrote:\n\n> The fee is 500 crowns.",
        "-----Original Message-----\nFrom: Vera\nSent: Monday\n\nThe fee is 500 crowns.",
        "-----Ursprüngliche Nachricht-----\nThe fee is 500 crowns.", "Am 02.02.2026 um 09:00 schrieb Vera Example:\nThe fee is 500 crowns.",
        "From: Vera Example\nSent: Monday, 2 February 2026 09:00\nTo: Bo\nSubject: Fee\n\nThe fee is 500 crowns.",
        "Von: Vera Example\nGesendet: Montag, 2. Februar 2026\nAn: Bo\nBetreff: Fee\n\nThe fee is 500 crowns.",
    ])
    func `older text in a mail stands behind marks of quotation`(older: String) throws {
        let document = try mail("Content-Type: text/plain; charset=utf-8\n\nThe fee is 450 crowns now.\n\n\(older)\n", subject: "Re: Fee")
        #expect(document.texts.contains("The fee is 450 crowns now."))
        let line = document.text.split(separator: "\n").first { $0.contains("500") }
        #expect(line == "> The fee is 500 crowns.")
        #expect(document.blocks.count { document.text(of: $0).contains("450") && document.text(of: $0).contains("500") } == 0)
    }

    @Test func `answers between quoted lines are no quotation`() throws {
        let document = try mail(
            "Content-Type: text/plain\n\nOn 2 Feb 2026 Vera wrote:\n> What is the fee?\n450 crowns.\n> And when?\nIn May.\n")
        #expect(document.texts.suffix(4) == ["> What is the fee?", "450 crowns.", "> And when?", "In May."])
    }

    @Test func `a forwarded mail is what the mail is about`() throws {
        let text = "Content-Type: text/plain\n\nSee below.\n\nFrom: Vera\nSent: Monday\nTo: Bo\nSubject: Fee\n\nThe fee is 500 crowns.\n"
        #expect(try mail(text, subject: "Fwd: Fee").texts.contains("The fee is 500 crowns."))
        #expect(try mail(text, subject: "Re: Fee").texts.contains { $0.contains("> The fee is 500 crowns.") })
    }

    @Test(arguments: [
        "<blockquote type=\"cite\"><p>The fee is 500 crowns.</p></blockquote>",
        "<div class=\"gmail_quote\">On Monday Vera wrote:<blockquote>The fee is 500 crowns.</blockquote></div>",
        "<div id=\"divRplyFwdMsg\"><b>From:</b> Vera<br><b>Sent:</b> Monday</div><div>The fee is 500 crowns.</div>",
        "<div style=\"border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0 0 0\"><p>From: Vera</p></div><p>The fee is 500 crowns.</p>",
    ])
    func `older text in an HTML mail stands behind marks of quotation`(older: String) throws {
        let document = try mail(
            "Content-Type: text/html\n\n<html><body><p>The fee is 450 crowns now.</p>\(older)</body></html>\n", subject: "Re: Fee")
        #expect(document.texts.contains("The fee is 450 crowns now."))
        #expect(document.text.split(separator: "\n").contains("> The fee is 500 crowns."), "\(document.text)")
    }

    // MARK: - Calendars

    private static let event = """
        BEGIN:VCALENDAR
        VERSION:2.0
        METHOD:REQUEST
        BEGIN:VTIMEZONE
        TZID:Europe/Oslo
        END:VTIMEZONE
        BEGIN:VEVENT
        UID:1
        DTSTART;TZID=Europe/Oslo:20260317T130000
        DTEND;TZID=Europe/Oslo:20260317T143000
        SUMMARY:Dry dock planning
        LOCATION:Room Kattegat\\, second floor
        DESCRIPTION:Bring the hull report.\\nThe yard of
         fers two slots in May.
        ORGANIZER;CN=Vera Example:mailto:vera@example.org
        ATTENDEE;CN="Sample, Bo";PARTSTAT=ACCEPTED:mailto:bo@example.org
        RRULE:FREQ=WEEKLY;COUNT=4
        BEGIN:VALARM
        DESCRIPTION:Reminder
        END:VALARM
        END:VEVENT
        END:VCALENDAR
        """

    @Test func `an invitation is told as what, when, where and who`() throws {
        let expected = [
            """
            Dry dock planning, 2026-03-17 13:00 to 14:30 Europe/Oslo, Room Kattegat, second floor
            Repeats: weekly, four times
            Organizer: Vera Example <vera@example.org>
            Attendees: Sample, Bo <bo@example.org> (accepted)
            """, "Bring the hull report. The yard offers two slots in May.",
        ]
        let file = try Support.parse(Self.event.replacingOccurrences(of: "\n", with: "\r\n"), name: "plan.ics")
        #expect(file.texts == expected && file.title == "Dry dock planning" && file.mimeType == "text/calendar")
        let mail = try mail(
            """
            Content-Type: multipart/mixed; boundary="m"

            --m
            Content-Type: multipart/alternative; boundary="a1"

            --a1
            Content-Type: text/plain

            You are invited.
            --a1
            Content-Type: text/calendar; method=REQUEST; charset=utf-8

            \(Self.event)
            --a1--
            --m
            Content-Type: application/ics; name="invite.ics"
            Content-Disposition: attachment; filename="invite.ics"

            \(Self.event)
            --m--
            """)
        #expect(Array(mail.texts.suffix(3)) == ["You are invited."] + expected)
    }

    @Test(arguments: [
        ("DTSTART;VALUE=DATE:20260317", "Dive, 2026-03-17, all day"),
        ("DTSTART;VALUE=DATE:20260317\nDTEND;VALUE=DATE:20260320", "Dive, 2026-03-17 to 2026-03-19, all day"),
        ("DTSTART:20260317T120000Z\nDURATION:PT1H30M", "Dive, 2026-03-17 12:00 to 13:30 UTC"),
        ("DTSTART:20261231T223000\nDTEND:20270101T010000", "Dive, 2026-12-31 22:30 to 2027-01-01 01:00"),
        ("DTSTART:20240228T230000\nDURATION:PT2H", "Dive, 2024-02-28 23:00 to 2024-02-29 01:00"),
        ("DTSTART:20260317T120000\nSTATUS:CANCELLED", "Cancelled: Dive, 2026-03-17 12:00"),
        (
            "DTSTART:20260317T120000\nRRULE:FREQ=MONTHLY;BYDAY=2TU;UNTIL=20261231T000000Z",
            "Dive, 2026-03-17 12:00\nRepeats: monthly on the second Tuesday, until 2026-12-31"
        ),
        (
            "DTSTART:20260317T120000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH\nEXDATE:20260331T120000",
            "Dive, 2026-03-17 12:00\nRepeats: every two weeks on Monday and Thursday\nExcept: 2026-03-31 12:00"
        ),
        ("DTSTART:nonsense", "Dive"),
    ])
    func `times and repetitions of events are told in words`(lines: String, text: String) throws {
        let document = try Support.parse(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Dive\n\(lines)\nEND:VEVENT\nEND:VCALENDAR\n", name: "c.ics")
        #expect(document.texts == [text])
    }

    @Test func `address cards are read with their own encodings`() throws {
        let document = try Support.parse(
            "BEGIN:VCARD\nVERSION:3.0\nFN;ENCODING=QUOTED-PRINTABLE:J=C3=BCrgen Muster\nitem1.TEL;TYPE=WORK,VOICE:555-0142\nADR;HOME:;;Kai 3;Ostby;;4321;\nEMAIL:j@example.org\nPHOTO;ENCODING=b:AAAA\n  BBBB\nEND:VCARD\n",
            name: "card.vcf")
        #expect(
            document.texts == ["Name: Jürgen Muster\nPhone (work): 555-0142\nAddress (home): Kai 3, Ostby, 4321\nE-mail: j@example.org"])
        #expect(document.title == "Jürgen Muster")
    }

    // MARK: - TNEF

    private func little(_ value: Int, _ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }

    private func attribute(_ level: UInt8, _ id: Int, _ type: Int, _ data: [UInt8]) -> [UInt8] {
        [level] + little(id, 2) + little(type, 2) + little(data.count, 4) + data + little(data.reduce(0) { $0 + Int($1) } & 0xFFFF, 2)
    }

    private func property(_ id: Int, _ type: Int, _ data: [UInt8]) -> [UInt8] {
        little(type, 2) + little(id, 2) + little(1, 4) + little(data.count, 4) + data
            + [UInt8](repeating: 0, count: (4 - data.count % 4) % 4)
    }

    private func wrapped(body: [UInt8]) -> [UInt8] {
        let name = property(0x3707, 0x001F, Array("kran-genehmigung.txt".utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] } + [0, 0])
        // A named property and a list of values stand before it, to be stepped over.
        let others =
            little(0x0003, 2) + little(0x8001, 2) + [UInt8](repeating: 7, count: 16) + little(1, 4) + little(6, 4) + [
                65, 0, 66, 0, 0, 0, 0, 0,
            ]
            + little(5, 4) + little(0x1003, 2) + little(0x6001, 2) + little(2, 4) + little(1, 4) + little(2, 4)
        return [0x78, 0x9F, 0x3E, 0x22, 1, 0] + attribute(1, 0x9007, 6, little(1252, 4) + little(0, 4))
            + attribute(1, 0x8004, 1, Array("Spare rotor\0".utf8))
            + body + attribute(2, 0x9002, 6, [UInt8](repeating: 0, count: 14)) + attribute(2, 0x8010, 1, Array("KRAN~1.TXT\0".utf8))
            + attribute(2, 0x800F, 6, Array("Crane permit 77-1203 is valid until June.".utf8))
            + attribute(2, 0x9005, 6, little(3, 4) + others + name)
    }

    @Test func `what Outlook wraps is unwrapped, in a mail and alone`() throws {
        let bodies: [[UInt8]] = [
            attribute(1, 0x800C, 2, Array("The rotor is stored in hall nine.\r\n\0".utf8)),
            attribute(
                1, 0x9003, 6,
                little(1, 4) + property(0x1013, 0x0102, Array("<html><body><p>The rotor is stored in hall nine.</p></body></html>".utf8))),
            attribute(
                1, 0x9003, 6,
                little(1, 4)
                    + property(
                        0x1009, 0x0102,
                        little(0, 4) + little(60, 4) + Array("MELA".utf8) + little(0, 4)
                            + Array("{\\rtf1\\ansi The rotor is stored in hall nine.\\par}".utf8))),
        ]
        for body in bodies {
            let file = wrapped(body: body)
            let document = try Support.parse(file, name: "winmail.dat")
            #expect(document.title == "Spare rotor")
            #expect(document.texts.contains("The rotor is stored in hall nine."), "\(document.text)")
            #expect(document.headings.last == "kran-genehmigung.txt" && document.texts.last == "Crane permit 77-1203 is valid until June.")
            let mail = try mail(
                """
                Content-Type: multipart/mixed; boundary="b"

                --b
                Content-Type: text/plain

                See attachment.
                --b
                Content-Type: application/ms-tnef; name="winmail.dat"
                Content-Transfer-Encoding: base64

                \(Data(file).base64EncodedString())
                --b--
                """)
            #expect(
                mail.texts.contains("The rotor is stored in hall nine.") && mail.texts.last == "Crane permit 77-1203 is valid until June.")
        }
    }

    @Test(arguments: 0..<200)
    func `damaged TNEF and calendars never trap`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let file = wrapped(body: attribute(1, 0x800C, 2, Array("Body\0".utf8)))
        _ = try? Support.parse(FuzzTests.mutate(file, &random), name: "winmail.dat")
        _ = try? Support.parse(FuzzTests.mutate(Array(Self.event.utf8), &random), name: "a.ics")
    }
}
