import Testing

@testable import Answering

@Suite struct `Sibling pairs` {
    private static let others: [(title: String, text: String)] = [
        ("Menu", "Soup is served at noon. Bread costs two crowns."), ("Trains", "The first railway in Japan opened in 1872."),
        ("Garden", "Roses are cut in March, hedges later. The shed is locked at night."),
    ]

    /// The limits are those that the project set itself.
    @Test(arguments: [false, true])
    func `siblings are refused and the thing itself is answered`(amongOthers: Bool) async throws {
        let pairs = SiblingPairs.make(count: 200, seed: 41)
        var falseAnswers: [String] = []
        var falseRefusals: [String] = []
        for pair in pairs {
            let documents = [(pair.title, pair.text)] + (amongOthers ? Self.others : [])
            let right = try await ask(pair.answerable, documents)
            if right.refused || !right.answer.contains(pair.expected) {
                falseRefusals.append("\(pair.answerable) | \(pair.text) -> \(right.answer) \(right.confidence)")
            }
            let wrong = try await ask(pair.sibling, documents)
            if !wrong.refused { falseAnswers.append("\(pair.sibling) | \(pair.text) -> \(wrong.answer) \(wrong.confidence)") }
        }
        #expect(falseAnswers.count <= pairs.count * 3 / 100, "\(falseAnswers.count):\n\(falseAnswers.joined(separator: "\n"))")
        #expect(falseRefusals.count <= pairs.count * 8 / 100, "\(falseRefusals.count):\n\(falseRefusals.joined(separator: "\n"))")
    }

    @Test func `the same seed gives the same pairs`() {
        #expect(SiblingPairs.make(count: 50, seed: 7).map(\.text) == SiblingPairs.make(count: 50, seed: 7).map(\.text))
        #expect(SiblingPairs.make(count: 50, seed: 7).map(\.text) != SiblingPairs.make(count: 50, seed: 8).map(\.text))
    }

    @Test(arguments: [
        ("The warranty lasts thirty-one months.", "How long is the warranty?", "thirty-one"),
        ("The warranty lasts 31 months.", "How long is the warranty?", "31"),
        ("The warranty is 31 months.", "How long is the warranty?", "31"),
        ("Email: support@example.org", "What is the email address?", "support@example.org"),
        ("Phone: 555-0142", "What is the phone number?", "555-0142"),
        ("Oil goes into the red tank, paper into the blue one.", "Where does used oil go?", "red tank"),
        ("Travel is paid at 6 crowns a kilometre.", "travel cost per km?", "6 crowns"),
        ("Questions go to Vera Example, head of maintenance, telephone 555-0142.", "What is the phone number of Vera Example?", "555-0142"),
        ("Memo\n\nDue: 14 May\nAttendees: Anna Example, Cy Muster\nPlace: room 12", "Who are the attendees?", "Cy Muster"),
        ("Memo\n\nDue: 14 May\nAttendees: Anna Example, Cy Muster\nPlace: room 12", "When is it due?", "14 May"),
        ("| Town | Zip code |\n|---|---|\n| Alder | 4021 |\n| Birch | 4022 |", "What is the zip code of Alder?", "Zip code: 4021"),
        (
            "| Ticket | Owner | Minutes |\n|---|---|---|\n| T-5250 | Ida Quist | 14 |\n| T-5251 | Omar Deligne | 9 |",
            "Who owns ticket T-5250?", "Ida Quist"
        ),
        ("Der Kran wird alle sechs Monate geprüft. Die Tragfähigkeit beträgt 3,2 Tonnen.", "Wie hoch ist die Tragfähigkeit?", "3,2 Tonnen"),
    ])
    func `a plain sentence, label or row answers`(text: String, question: String, expected: String) async throws {
        for documents in [[("note", text)], [("note", text)] + Self.others] {
            let response = try await ask(question, documents)
            #expect(!response.refused && response.answer.contains(expected), "\(response.answer) \(response.confidence)")
            #expect(!response.answer.contains("|"))
        }
    }

    private static let boreholes =
        "Location | Depth in metres | Moisture percent | Soil\nSite 19 | 77 | 81 | clay\nSite 23 | 89 | 77 | peat\nSite 77 | 251 | 23 | peat"
    private static let catches =
        "Harbour | 2021 | 2022 | 2023 | 2024\nPort-149 | 1149 | 2298 | 3447 | 4596\nPort-150 | 1150 | 2300 | 3450 | 4600"
    private static let sales =
        "Region | Product | January | February\nNorth | Rope | 120 | 131\nNorth | Anchor | 44 | 48\nSouth | Rope | 88 | 97\nSouth | Anchor | 61 | 59"
    private static let customers =
        "Customer | Zip | Article number | Phone\nAlder | 02035 | 0112233 | 555-0142\nBirch | 00791 | 0004711 | 555-0199"

    private static let hires = "Office | 2024 hired | 2024 left | 2025 hired | 2025 left\nOstby | 12 | 3 | 14 | 5\nVarde | 7 | 2 | 9 | 1"
    private static let ferries =
        "Route | Summer first | Summer last | Winter first | Winter last\nOstby to Holm | 06:10 | 22:45 | 07:30 | 19:15\nOstby to Ry | 06:40 | 23:05 | 08:00 | 19:45"

    /// A table says what its cells are by rows and columns alone.
    @Test(arguments: [
        (boreholes, "What is the moisture of Site 77?", "Location: Site 77; Moisture percent: 23"),
        (catches, "What did Port-150 catch in 2023?", "Harbour: Port-150; 2023: 3450"),
        (catches, "What was Port-149 in 2021?", "Harbour: Port-149; 2021: 1149"),
        (sales, "How many anchors were sold in the South in February?", "Region: South; Product: Anchor; February: 59"),
        (sales, "How much rope was sold in the North in January?", "Region: North; Product: Rope; January: 120"),
        (hires, "How many people left Ostby in 2025?", "Office: Ostby; 2025 left: 5"),
        (ferries, "When is the first summer ferry from Ostby to Ry?", "Route: Ostby to Ry; Summer first: 06:40"),
        (customers, "What is the zip code of Alder?", "Customer: Alder; Zip: 02035"),
        (customers, "What is the phone of Birch?", "Customer: Birch; Phone: 555-0199"),
        (
            "Site | Depth | Moisture\n19 | 77 | 81\n23 | 89 | 77\n77 | 251 | 23", "What is the moisture of site 77?",
            "Site: 77; Moisture: 23"
        ),
        ("Report faults on the support portal and read the setup guide first.", "Where do I report faults?", "support portal"),
    ])
    func `a cell is found by its row and its column`(text: String, question: String, expected: String) async throws {
        for documents in [[("note", text)], [("note", text)] + Self.others] {
            let response = try await ask(question, documents)
            #expect(response.answer == expected + " [1]" || response.answer.contains(expected) && !text.contains("|"), "\(response.answer)")
            #expect(!response.refused, "\(response.confidence)")
        }
    }

    @Test(arguments: [
        (boreholes, "What is the moisture of Site 81?"), (catches, "What did Port-151 catch in 2023?"),
        (catches, "What did Port-150 catch in 2019?"), (sales, "How many anchors were sold in the West in February?"),
        (sales, "How many lamps were sold in the South in March?"),
    ])
    func `a row or a column that is not there is refused`(text: String, question: String) async throws {
        for documents in [[("note", text)], [("note", text)] + Self.others] {
            let response = try await ask(question, documents)
            #expect(response.refused, "\(response.answer) \(response.confidence)")
        }
    }

    /// No word is shared, so only a search by meaning, or luck, brings the passage; here it is brought.
    @Test(arguments: [
        ("Die Garantie beträgt 31 Monate.", "How many months is the warranty?"),
        ("Der Preis beträgt 95 Euro je Stunde.", "What is the price per hour?"),
    ])
    func `a question in another language than the text is answered`(text: String, question: String) async throws {
        let statistics = SimpleStatistics([text] + Self.others.map(\.text))
        let sources = [Source(1, text)] + Self.others.enumerated().map { Source($0.offset + 2, $0.element.text, title: $0.element.title) }
        let evidence = try await Evidence.gather(
            QuestionAnalysis(question, collection: "", statistics: statistics), sources: sources, collection: "", statistics: statistics,
            embedding: .best(0),
            embeddingModel: nil, embed: { _ in nil })
        #expect(evidence.confidence >= AnswerOptions().refuseBelow, "\(evidence.confidence)")
        #expect(ExtractiveAnswer(evidence).pieces(sources).joined() == text + " [1]")
    }

    private static let records: [(text: String, question: String, expected: String?)] = [
        ("Invoice number: 4711\nCustomer number: 9020\nAmount due: 310.00 EUR", "What is the customer number?", "9020"),
        ("Invoice number: 4711\nCustomer number: 9020\nAmount due: 310.00 EUR", "What is the order number?", nil),
        ("Contact: Vera Holm\nTelephone: 040 555 0142\nEmail: holm@example.org", "What is the phone number of Vera Holm?", "040 555 0142"),
        ("Contact: Vera Holm\nTelephone: 040 555 0142\nEmail: holm@example.org", "What is the fax number?", nil),
        ("Ansprechpartner: Vera Holm\nTelefon: 040 555 0142", "Wie lautet die Telefonnummer von Vera Holm?", "040 555 0142"),
        ("Opening hours\n\nMonday: 9 to 17\nTuesday: 9 to 19\nSaturday: closed", "When is it open on Tuesday?", "9 to 19"),
        ("Opening hours\n\nMonday: 9 to 17\nTuesday: 9 to 19\nSaturday: closed", "When is it open on Thursday?", nil),
        (
            "Product | Warranty | Price\nKettle K-10 | 24 months | 39\nKettle K-20 | 36 months | 59",
            "How long is the warranty of the K-20?", "Warranty: 36 months"
        ),
        (
            "Product | Warranty | Price\nKettle K-10 | 24 months | 39\nKettle K-20 | 36 months | 59",
            "How long is the warranty of the K-30?", nil
        ),
        (
            "Hotel limits per night:\n\nCity | Limit (EUR)\nBerlin | 130\nMunich | 145", "What is the hotel limit per night in Munich?",
            "City: Munich; Limit (EUR): 145"
        ),
        ("Hotel limits per night:\n\nCity | Limit (EUR)\nBerlin | 130\nMunich | 145", "What is the hotel limit per night in Cologne?", nil),
        ("Question: Can I bring my dog?\nAnswer: Yes, on a leash. Dogs pay half fare.", "Can I bring my dog?", "on a leash"),
        (
            "Heads: the sales department is led by Lena Probst, the legal department by Omar Deligne.", "Who leads the legal department?",
            "Omar Deligne"
        ),
        ("The sales department is led by Lena Probst.", "Who leads the legal department?", nil),
        ("Version 2.4 needs 8 GB of memory. Version 3.0 needs 16 GB.", "How much memory does version 4.1 need?", nil),
        ("Anna Example was born in Holm in 1971. Her deputy is Cy Muster.", "Who is the deputy of Anna Example?", "Cy Muster"),
        ("Anna Example was born in Holm in 1971. Her deputy is Cy Muster.", "Where was Bernd Example born?", nil),
        ("Das Büro in Hamburg hat 40 Plätze, das Büro in Kiel 12.", "Wie viele Plätze hat das Büro in Kiel?", "12"),
        ("Die Probezeit dauert sechs Monate. Der Urlaub beträgt 30 Tage.", "Wie viele Tage Urlaub gibt es?", "30 Tage"),
        ("Quiet hours run from 22:00 to 06:30. Visitors moor at pontoon F.", "What is the salary of the harbour master?", nil),
        (
            "Minutes\n\nDocument management system\n\nThe partners decide for Aktenfuchs and against LexVault, because LexVault stores data abroad.",
            "Which document management system did the partners choose, and why not the other one?", "Aktenfuchs"
        ),
    ]

    @Test(arguments: records.indices)
    func `records, tables and small texts are read for what they say and no more`(index: Int) async throws {
        let (text, question, expected) = Self.records[index]
        for documents in [[("note", text)], [("note", text)] + Self.others] {
            let response = try await ask(question, documents)
            if let expected {
                #expect(!response.refused && response.answer.contains(expected), "\(question): \(response.answer) \(response.confidence)")
            } else {
                #expect(response.refused, "\(question): \(response.answer) \(response.confidence)")
            }
        }
    }

    @Test func `a comparison is a sentence of each side`() async throws {
        let response = try await ask(
            "Who pays the higher partner rate, Brightwater Shipping or Koppel Bakeries?",
            [
                ("Retainer Brightwater Shipping", "Rates\n\nThe hourly rate of a partner is 410 euros. Travel is billed apart."),
                ("Retainer Koppel Bakeries", "Rates\n\nThe hourly rate of a partner is 385 euros. Travel is included."),
                ("Retainer Vantor Solar", "Rates\n\nThe hourly rate of a partner is 395 euros."),
            ])
        #expect(
            !response.refused && response.answer.contains("410") && response.answer.contains("385") && !response.answer.contains("395"),
            "\(response.answer)")
        #expect(Set(response.citations.map(\.documentID)).count == 2)
        #expect(response.answer.contains("Brightwater Shipping: ") && response.answer.contains("Koppel Bakeries: "))
    }

    @Test(arguments: [
        "On Tue, 4 March 2025 at 09:12 Ida Quist wrote:\n> The move is on 12 May. Please pack until then.",
        "-----Original Message-----\nFrom: Ida Quist\nSent: 4 March\n\nThe move is on 12 May. Please pack until then.",
        "Am 4. März 2025 schrieb Ida Quist:\n> The move is on 12 May. Please pack until then.",
    ])
    func `the newer text of a mail goes before what it quotes`(quotation: String) async throws {
        let text = "Hello all,\n\nthe move is on 19 May, not earlier. Bring boxes.\n\nRegards\nOmar\n\n\(quotation)"
        let response = try await ask("When is the move?", [("move date", text)])
        #expect(response.answer.contains("19 May") && !response.answer.contains("12 May"), "\(response.answer)")
    }

    @Test(arguments: [
        ("Flight number:\n\nName of the guest:", "What is the flight number?"),
        ("Colour of the suitcase", "What is the colour of the suitcase?"),
        ("How long is the warranty?\n\nWhat does it cost?", "How long is the warranty?"),
    ])
    func `the question's own words are no answer`(text: String, question: String) async throws {
        #expect(try await ask(question, [("form", text)] + Self.others).refused)
    }
}
