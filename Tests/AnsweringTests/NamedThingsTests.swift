import Testing

@testable import Answering

/// Small documents that have nearly all of a question's words, and what must come of it, alone and among other documents.
@Suite struct `Named things and their values` {
    private static let others: [(title: String, text: String)] = [
        ("Choir", "Rehearsals are on Monday. The piano was tuned in 2019."),
        ("Shops", "Shop | Floor | 2022 | Manager\nBakery | 1 | 40 | Ada Bly\nFlorist | 2 | 51 | Tom Fey"),
        ("Bees", "Hive 3 stands by the lime tree. Honey is sold in October."),
    ]

    private func expect(_ text: String, _ question: String, _ expected: String?, not absent: String? = nil) async throws {
        for documents in [[("note", text)], [("note", text)] + Self.others] {
            let response = try await ask(question, documents)
            if let expected {
                #expect(!response.refused && response.answer.contains(expected), "\(question): \(response.answer) \(response.confidence)")
            } else {
                #expect(response.refused, "\(question): \(response.answer) \(response.confidence)")
            }
            if let absent { #expect(!response.answer.contains(absent), "\(question): \(response.answer)") }
        }
    }

    private static let parts = "Part | State | Due\nHinge 1 | good | May\nHinge 2 | worn | June\nBolt 3 | fair | July\nFrame | good |"

    @Test(arguments: [
        ("What is the state of hinge 2?", "worn"), ("What is the state of hinge 3?", nil), ("What is the state of bolt 3?", "fair"),
        ("What is the state of bolt 1?", nil), ("When is the frame due?", nil),
    ])
    func `a noun and its number are one thing, and an empty cell is no answer`(question: String, expected: String?) async throws {
        try await expect(Self.parts, question, expected)
    }

    private static let lifts = "Lift 1 carries 400 kg, lift 2 carries 900 kg. Lift 4 was painted green. The lobby is open all day."

    @Test(arguments: [
        ("How much does lift 2 carry?", "900"), ("How much does lift 3 carry?", nil), ("How much does lift 4 carry?", nil),
    ])
    func `a measure that is asked for must be there`(question: String, expected: String?) async throws {
        try await expect(Self.lifts, question, expected)
    }

    private static let history = "Head gardener until 30 April 2018 was Rosa Lind. Since 1 May 2018 the head gardener is Emil Quast."

    @Test(arguments: [
        ("Who was head gardener in 2016?", "Rosa Lind"), ("Who was head gardener in 2021?", "Emil Quast"),
    ])
    func `a year lies before or behind a bound`(question: String, expected: String?) async throws {
        try await expect(Self.history, question, expected, not: "Bakery")
    }

    private static let people =
        "Staff of the mill\n\nName: Jürgen Süßmann\nTask: Chief Miller\nPhone: 555-0171\nRoom: 12\n\nName: Jörn Süßmann\nTask: Packing\nPhone: 555-0188\nRoom: 14\n\nThe miller in charge is Aino Paju."

    @Test(arguments: [
        ("What is the phone number of Jürgen Süßmann?", "555-0171", "0188"),
        ("What is the phone number of Juergen Suessmann?", "555-0171", "0188"),
        ("What is the phone number of Joern Suessmann?", "555-0188", "0171"), ("What is the phone number of Aino Paju?", nil, nil),
        ("What is the room of Jürgen Süßmann?", "12", "14"),
    ])
    func `a line with a label belongs to the name above it`(question: String, expected: String?, absent: String?) async throws {
        try await expect(Self.people, question, expected, not: absent)
    }

    @Test(arguments: [
        ("Parcels cost 4 EUR in Spain, 5 EUR in Italy and 6 EUR in Greece.", "What does a parcel cost in Italy?", "5 EUR"),
        ("Parcels cost 4 EUR in Spain, 5 EUR in Italy and 6 EUR in Greece.", "What does a parcel cost in Finland?", nil),
        ("The toll is 9 EUR by truck and 2 EUR by bus.", "What is the toll by bus?", "2 EUR"),
        ("The toll is 9 EUR by truck and 2 EUR by bus.", "What is the toll for a tractor?", nil),
        ("Die Pauschale beträgt 3 Euro für Hunde und 2 Euro für Katzen.", "Wie hoch ist die Pauschale für Katzen?", "2 Euro"),
        ("Die Pauschale beträgt 3 Euro für Hunde und 2 Euro für Katzen.", "Wie hoch ist die Pauschale für Pferde?", nil),
        ("Varnol must not be mixed with Tersil. Varnol can be mixed with Ormid.", "Can Varnol be mixed with Ormid?", "Ormid"),
        ("Varnol must not be mixed with Tersil. Varnol can be mixed with Ormid.", "Can Varnol be mixed with Paraffin?", nil),
        ("Farbe darf nicht mit Chlor gemischt werden.", "Darf Farbe mit Essig gemischt werden?", nil),
    ])
    func `what a list leaves out is not told of`(text: String, question: String, expected: String?) async throws {
        try await expect(text, question, expected)
    }

    private static let settings = """
        {
          "device": "Teal relay",
          "limits": {"max_users": 70, "timeout_s": 15},
          "ports": {"ftp": 2121, "mqtt": 1899},
          "admin_password": null,
          "days": ["Monday", "Friday"],
          "tanks": [{"name": "east", "level": {"high": 61}}, {"name": "west", "level": {"high": 83}}]
        }
        """

    @Test(arguments: [
        ("What is the port of wavelet?", "8466"), ("Which host does wavelet listen on?", "10.4.0.9"),
        ("What is the password of wavelet?", nil),
        ("What is the colour of wavelet?", nil), ("How many days is the retention of wavelet?", "41"),
    ])
    func `an object of JSON is called by its name`(question: String, expected: String?) async throws {
        let text = """
            {"service": {"name": "wavelet", "listen": {"port": 8466, "host": "10.4.0.9"}, "retention_days": 41,
             "alerts": {"email": "gauge@pier.example"}}}
            """
        try await expect(text, question, expected)
    }

    @Test(arguments: [
        ("What is the MQTT port?", "ports.mqtt: 1899"), ("What is the SMTP port?", nil), ("What is the admin password?", nil),
        ("What is the maximum number of users?", "limits.max_users: 70"),
        ("What is the high level of the west tank?", "tanks.west.level.high: 83"),
        ("Which days are set?", "days: Monday, Friday"),
    ])
    func `a key of JSON answers with its value alone`(question: String, expected: String?) async throws {
        for documents in [[("settings", Self.settings)], [("settings", Self.settings)] + Self.others] {
            let response = try await ask(question, documents)
            #expect(response.refused == (expected == nil), "\(question): \(response.answer) \(response.confidence)")
            if let expected { #expect(response.answer == expected + " [1]") }
        }
    }

    @Test(arguments: [
        (
            "Sprint 2024\n\nWomen: 1. Una Berg 12.4, 2. Lea Thal 12.9.\nMen: 1. Ivo Kern 11.2, 2. Max Thal 11.8.",
            "Who won the women's sprint in 2024?", "Una Berg"
        ),
        (
            "Sprint 2024\n\nWomen: 1. Una Berg 12.4, 2. Lea Thal 12.9.\nMen: 1. Ivo Kern 11.2, 2. Max Thal 11.8.",
            "Who won the women's sprint in 2020?", nil
        ),
        ("Results\n\n1. Una Berg 12:04, 2. Lea Thal 12:09.", "What was Lea Thal's time?", "12:09"),
        ("Trips need approval by the head of section.", "Who approves trips?", "head of section"),
        ("A deposit of two rents is due on signing.", "How high is the deposit?", "two rents"),
        ("Storage temperature: −5 °C to +30 °C.", "What is the lowest storage temperature?", "−5 °C"),
        ("The fee is 310 EUR a month, from 1 May 2027 on 350 EUR a month.", "What is the fee in 2026?", "310"),
        (
            "The pads came back with cracks, so the pads of lot P-3 wait.\n\nThe supplier is Nordvik AS.",
            "Who is the supplier of the pads?", "Nordvik"
        ),
    ])
    func `plain answers in other forms are found`(text: String, question: String, expected: String?) async throws {
        try await expect(text, question, expected)
    }

    @Test(arguments: [
        ("Who is the head of storage?", "Role: Head of Transport\n\nName: Ina Roth\nRole: Storage clerk"),
        ("What is the phone number of Ina Roth?", "Ina Roth founded the yard in 1957 and moved it in 1994."),
    ])
    func `another role and two years are no answer`(question: String, text: String) async throws {
        try await expect(text, question, nil)
    }
}
