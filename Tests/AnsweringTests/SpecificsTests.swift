import Testing

@testable import Answering

@Suite struct `Specifics of a question` {
    private func judge(_ question: String, _ text: String, isRow: Bool = false) -> [Specific.Status] {
        Specifics(question, isComparison: !Comparison.sides(question).isEmpty).statuses(in: SpecificText(text), isRow: isRow)
    }

    private static let siblings: [(question: String, text: String)] = [
        ("How much does model X-300 weigh?", "Model X-200 weighs 14 kg."),
        ("When does flight ZX 4472 leave?", "Flight ZX 4471 leaves at 10:05."),
        ("When does flight 4472 leave?", "Flight ZX 4471 leaves at 10:05."),
        ("Who is the CEO of Borne Ltd?", "The CEO of Arlen Ltd is Anna Example."),
        ("When was pontoon G built?", "Pontoon F was built in 1998."),
        ("What does a berth cost in spring?", "A berth costs 31 crowns in summer."),
        ("What was the fee in 2025?", "The fee in 2024 was 40 crowns."), ("Who manages room 14?", "Room 12 is managed by Ada."),
        ("What does the yearly plan cost?", "The monthly plan costs 30 crowns."),
        ("What goes into the green tank?", "Oil goes into the red tank."),
        ("How deep is Lake Holm?", "Lake Arlen is 40 metres deep."),
        ("What does a senior fitter earn?", "A junior fitter earns 50 crowns."),
        ("What is the capital of Borne?", "The capital of Arlen is Holm."),
        ("When is the third instalment due?", "The second instalment is due in May."),
        ("How long is the north pier?", "The south pier is 80 metres long."), ("Wann wurde Halle B gebaut?", "Halle A wurde 1998 gebaut."),
        ("Was kostet ein Liegeplatz im Winter?", "Ein Liegeplatz kostet im Sommer 31 Kronen."),
        ("Who is Bernd Example?", "Anna Example is the head."),
        ("What is the price of part T-5251?", "Part T-5250 costs 9 crowns."),
        ("When does the office open on Sunday?", "On Monday the office opens at 9."),
        ("Where does train IC 204 stop?", "Train IC 203 stops in Holm."),
    ]

    @Test(arguments: siblings.indices)
    func `a sibling in the place of what is asked conflicts`(pair: Int) {
        let (question, text) = Self.siblings[pair]
        #expect(judge(question, text).contains(.conflicting), "\(question) | \(text): \(Specifics(question, isComparison: false).list)")
    }

    private static let same: [(question: String, text: String)] = [
        ("How much does model X-300 weigh?", "Model X300 weighs 14 kg."),
        ("How much does model X-300 weigh?", "The X 300 weighs 14 kg, the X-200 12 kg."),
        ("When does flight ZX 4472 leave?", "ZX4472 leaves at 10:05."), ("Who is the CEO of Borne Ltd?", "Anna leads Borne Ltd."),
        ("When was pontoon G built?", "Pontoon G was built in 1998."), ("What does a berth cost in spring?", "31 crowns in spring"),
        ("What was the fee in 2025?", "2025: 41 crowns"), ("What is the total of invoice 2025-0418?", "Invoice 2025-0418, total 12"),
        ("What happened at the meeting in March 2025?", "Minutes of 2025-03-12"),
        ("When is the third instalment due?", "the 3rd instalment"),
        ("What does the yearly plan cost?", "30 crowns a year"), ("Who is Anna Example?", "Anna Example's office"),
    ]

    @Test(arguments: same.indices)
    func `what is asked about is found in its forms`(pair: Int) {
        let (question, text) = Self.same[pair]
        #expect(judge(question, text).allSatisfy { $0 == .supported }, "\(question) | \(text): \(judge(question, text))")
    }

    private static let others: [(question: String, text: String)] = [
        ("系统创建于哪一年？", "这是二战以后的第三个系统。"),
        ("price of ps3 when it came out", "The PlayStation 3, unlike the PS2, cost 499."),
        ("where do the ashes for ash wednesday come from", "They are made of palms of the last Palm Sunday."),
        ("How long is the warranty?", "The warranty lasts 31 months."),
        ("When was the museum renovated after 2010?", "It was renovated in 2014."),
        ("Who wrote the report?", "Anna Example wrote it in 2014."),
        ("How many days of vacation do employees have per year?", "28 working days"),
        ("What is the limit per night in Munich?", "City | Limit"),
        ("Who pays more, Borne Ltd or Arlen Ltd?", "Borne Ltd pays 410 crowns."),
        ("Which country does the Rhine flow through?", "The river ends in the North Sea."),
        ("Wie hoch ist die Miete im Monat?", "Die Miete beträgt 95 Euro."),
    ]

    @Test(arguments: others.indices)
    func `no sibling is seen where none is`(pair: Int) {
        let (question, text) = Self.others[pair]
        #expect(!judge(question, text).contains(.conflicting), "\(question) | \(text): \(judge(question, text))")
    }

    @Test func `a row of another name is doubtful, which a heading may settle`() {
        let seen = judge("What is the hotel limit in Munich?", "Berlin | 120", isRow: true)
        #expect(seen.contains(.doubtful) && !seen.contains(.supported) && !seen.contains(.conflicting), "\(seen)")
        #expect(judge("What does Borne Ltd pay for a partner?", "Partner | 410", isRow: true).contains(.doubtful) == false)
    }

    @Test(arguments: [
        ("Site 19 | 77 | 81 | clay", false), ("Site 23 | 89 | 77 | peat", false), ("Site 77 | 251 | 23 | peat", true),
        ("Sites 75, 76 and 77 | 251 | 23", true), ("Site no. 77 | 12", true), ("77 | 251 | 23", true), ("Site 12 has 77 holes.", false),
        ("At site 12, layer 77 is clay.", false),
    ])
    func `a number belongs to the label before it`(text: String, isSaid: Bool) {
        let seen = judge("What is the moisture of site 77?", text, isRow: text.contains("|"))
        #expect(isSaid ? seen == [.supported] : seen == [.conflicting], "\(text): \(seen)")
    }

    @Test(arguments: [
        ("19 | 77 | 81", "Site | Depth | Moisture", Specific.Status.conflicting), ("77 | 251 | 23", "Site | Depth | Moisture", .supported),
        ("77 | 251 | 23", "Site no. | Depth | Moisture", .supported), ("Holm | 77 | 12", "Town | Number of sites | Site", .conflicting),
        ("Holm | 12 | 77", "Town | Number of sites | Site", .supported), ("clay | 77", "Soil | Depth", nil),
    ])
    func `a number belongs to the column that is named after its label`(row: String, header: String, status: Specific.Status?) {
        let specifics = Specifics("What is the moisture of site 77?", isComparison: false)
        #expect(specifics.list.indices.map { specifics.status($0, row: row, header: header) } == [status])
    }

    @Test(arguments: [
        ("Who pays the higher rate, Brightwater Shipping or Koppel Bakeries?", [["brightwater", "shipping"], ["koppel", "bakeries"]]),
        ("What is the difference between X-200 and X-300?", [["x-200"], ["x-300"]]),
        ("Does Borne Ltd pay more than Arlen Ltd?", [["borne", "ltd"], ["arlen", "ltd"]]),
        ("Is it red or blue?", []), ("Who works for Borne and Arlen?", []), ("How long is the warranty?", []),
    ])
    func `the sides of a comparison are read`(question: String, sides: [[String]]) {
        #expect(Comparison.sides(question) == sides.map(Set.init))
    }
}
