import TestSupport

/// Pairs of questions about one small text: one that it answers, and the same one about a sibling of what the text is about.
///
/// Templates times invented entities, drawn with a seed, so that the same seed gives the same pairs.
struct SiblingPairs {
    struct Pair: Sendable {
        var title: String
        var text: String
        var answerable: String
        var sibling: String
        /// What a right answer holds.
        var expected: String
        var template: Int
    }

    /// What a template draws its two entities from.
    private enum Kind {
        case code, flight, room, letter, company, person, town, year, season, month, weekday, color, wind, seniority, period, ordinal,
            invoice, lake, ticket
    }

    /// `{A}` is the entity of the text or of the question, `{N}` a number, `{V}` a value of its own.
    private struct Template {
        var kind: Kind
        var text: String
        var question: String
        var expected: String
    }

    private static let templates: [Template] = [
        .init(
            kind: .code, text: "Model {A} weighs {N} kg. It is painted grey.", question: "How much does model {A} weigh?",
            expected: "{N} kg"),
        .init(
            kind: .code, text: "The {A} pump moves {N} litres a minute. The filter is cleaned weekly.",
            question: "How many litres a minute does the {A} move?", expected: "{N}"),
        .init(
            kind: .code, text: "| Part | Price | Stock |\n|---|---|---|\n| {A} | {N} crowns | 7 |\n| Q-9 | 811 crowns | 2 |",
            question: "What is the price of part {A}?", expected: "{N}"),
        .init(
            kind: .flight, text: "Flight {A} leaves at 10:{M}. Boarding ends a quarter of an hour before.",
            question: "When does flight {A} leave?", expected: "10:{M}"),
        .init(
            kind: .flight, text: "Train {A} stops in {T} for {N} minutes.", question: "How long does train {A} stop in {T}?",
            expected: "{N}"),
        .init(
            kind: .room, text: "Room {A} seats {N} people. Coffee is served outside.", question: "How many people does room {A} seat?",
            expected: "{N}"),
        .init(
            kind: .room, text: "Building {A} was inspected by {P}. The roof needs paint.", question: "Who inspected building {A}?",
            expected: "{P}"),
        .init(
            kind: .letter, text: "Visitors moor at pontoon {A}. It holds {N} boats of up to eleven metres.",
            question: "How many boats does pontoon {A} hold?", expected: "{N}"),
        .init(
            kind: .letter, text: "Hall {A} was built in 19{M} by the Ostby yard.", question: "When was hall {A} built?", expected: "19{M}"),
        .init(
            kind: .company, text: "The CEO of {A} is {P}. The office stands by the river.", question: "Who is the CEO of {A}?",
            expected: "{P}"),
        .init(kind: .company, text: "{A} employs {N} people in {T}.", question: "How many people does {A} employ?", expected: "{N}"),
        .init(
            kind: .company, text: "The contract with {A} ends after {N} months. Notice must be given by letter.",
            question: "When does the contract with {A} end?", expected: "{N} months"),
        .init(
            kind: .person, text: "{A} has the telephone number 555-01{M}. Questions are welcome.",
            question: "What is the telephone number of {A}?", expected: "555-01{M}"),
        .init(
            kind: .person, text: "{A} is responsible for the archive since 20{S}.", question: "What is {A} responsible for?",
            expected: "archive"),
        .init(
            kind: .town, text: "The population of {A} is {N} thousand. Most live by the harbour.",
            question: "What is the population of {A}?", expected: "{N}"),
        .init(
            kind: .town, text: "| Town | Hotel limit |\n|---|---|\n| {A} | {N} crowns |\n| Brekkum | 999 crowns |",
            question: "What is the hotel limit in {A}?", expected: "{N}"),
        .init(
            kind: .year, text: "In {A} the fee for members was {N} crowns.", question: "What was the fee for members in {A}?",
            expected: "{N}"),
        .init(
            kind: .year, text: "| Year | Catch |\n|---|---|\n| {A} | {N} tonnes |\n| 1987 | 3 tonnes |",
            question: "What was the catch in {A}?", expected: "{N}"),
        .init(kind: .season, text: "A berth costs {N} crowns in {A}.", question: "What does a berth cost in {A}?", expected: "{N}"),
        .init(
            kind: .month, text: "The {A} meeting takes place in {T}.", question: "Where does the {A} meeting take place?", expected: "{T}"),
        .init(
            kind: .weekday, text: "On {A} the library opens at {N} o'clock.", question: "When does the library open on {A}?",
            expected: "{N}"),
        .init(
            kind: .color, text: "Oil goes into the {A} tank, which holds {N} litres.", question: "How many litres does the {A} tank hold?",
            expected: "{N}"),
        .init(kind: .wind, text: "The {A} pier is {N} metres long.", question: "How long is the {A} pier?", expected: "{N}"),
        .init(kind: .seniority, text: "A {A} fitter earns {N} crowns an hour.", question: "What does a {A} fitter earn?", expected: "{N}"),
        .init(kind: .period, text: "The {A} plan costs {N} crowns.", question: "What does the {A} plan cost?", expected: "{N}"),
        .init(
            kind: .ordinal, text: "The {A} instalment of {N} crowns is due on delivery.", question: "How much is the {A} instalment?",
            expected: "{N}"),
        .init(
            kind: .invoice, text: "Invoice {A}\n\nDate: 3 May\nTotal: {N}.50 crowns", question: "What is the total of invoice {A}?",
            expected: "{N}.50"),
        .init(kind: .lake, text: "Lake {A} is {N} metres deep and full of pike.", question: "How deep is Lake {A}?", expected: "{N}"),
        .init(
            kind: .ticket, text: "Ticket {A}: {P} replaces the valve on the upper deck.", question: "Who works on ticket {A}?",
            expected: "{P}"),
        .init(
            kind: .letter, text: "Halle {A} hat {N} Tore. Sie werden jährlich geprüft.", question: "Wie viele Tore hat Halle {A}?",
            expected: "{N}"),
        .init(
            kind: .company, text: "Die Miete der {A} beträgt {N} Euro im Monat.", question: "Wie hoch ist die Miete der {A}?",
            expected: "{N}"),
    ]

    private static let towns = [
        "Arlen", "Borne", "Holm", "Tessel", "Quarnby", "Ostvik", "Lindau", "Maravel", "Sundby", "Perrin", "Castlow", "Dunmere",
    ]
    private static let people = [
        "Anna Example", "Vera Sample", "Cy Muster", "Lena Probst", "Omar Deligne", "Petra Holt", "Ravi Sonder", "Ida Quist", "Tomas Verne",
        "Nora Blum",
    ]

    private static func entity(_ kind: Kind, _ random: inout SeededGenerator) -> String {
        func number(_ range: ClosedRange<Int>) -> String { String(Int.random(in: range, using: &random)) }
        func pick(_ list: [String]) -> String { list.randomElement(using: &random)! }
        switch kind {
        case .code: return pick(["X-", "P-", "GT", "SR-"]) + number(100...980)
        case .flight: return pick(["ZX ", "IC ", "RB "]) + number(1000...9800)
        case .room, .ticket: return kind == .room ? number(11...480) : "T-" + number(1000...9900)
        case .letter: return pick(["B", "C", "D", "E", "F", "G", "H", "K"])
        case .company: return pick(["Arlen", "Borne", "Tessel", "Quarnby", "Ostvik", "Perrin"]) + " " + pick(["Ltd", "GmbH"])
        case .person: return pick(people)
        case .town, .lake: return pick(towns)
        case .year: return number(1990...2029)
        case .season: return pick(["spring", "summer", "autumn", "winter"])
        case .month:
            return pick(["January", "February", "April", "June", "July", "August", "September", "October", "November", "December"])
        case .weekday: return pick(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"])
        case .color: return pick(["red", "blue", "green", "yellow", "black"])
        case .wind: return pick(["north", "south", "east", "west"])
        case .seniority: return pick(["senior", "junior"])
        case .period: return pick(["weekly", "monthly", "yearly", "quarterly"])
        case .ordinal: return pick(["first", "second", "third", "fourth"])
        case .invoice: return "20" + number(24...26) + "-" + number(1000...9999)
        }
    }

    static func make(count: Int, seed: UInt64) -> [Pair] {
        var random = SeededGenerator(seed: seed)
        var pairs: [Pair] = []
        for index in 0..<count {
            let template = templates[index % templates.count]
            let told = entity(template.kind, &random)
            var other = entity(template.kind, &random)
            // "Borne Ltd" and "Borne GmbH" may be the same to a reader.
            while other == told || other.split(separator: " ").first == told.split(separator: " ").first && template.kind == .company {
                other = entity(template.kind, &random)
            }
            // A flight of the same line: only the number differs.
            if template.kind == .flight { other = String(told.prefix(3)) + String(other.dropFirst(3)) }
            if other == told { other = String(told.dropLast()) + (told.last == "7" ? "3" : "7") }
            let values: [(String, String)] = [
                ("{N}", String(Int.random(in: 12...890, using: &random))), ("{M}", String(Int.random(in: 10...59, using: &random))),
                ("{S}", String(Int.random(in: 10...24, using: &random))),
                ("{P}", people.filter { $0 != told && $0 != other }.randomElement(using: &random)!),
                ("{T}", towns.filter { !told.contains($0) && !other.contains($0) }.randomElement(using: &random)!),
            ]
            func fill(_ text: String, _ entity: String) -> String {
                values.reduce(text.replacing("{A}", with: entity)) { $0.replacing($1.0, with: $1.1) }
            }
            pairs.append(
                Pair(
                    title: "note \(index)", text: fill(template.text, told), answerable: fill(template.question, told),
                    sibling: fill(template.question, other), expected: fill(template.expected, told), template: index % templates.count))
        }
        return pairs
    }
}
