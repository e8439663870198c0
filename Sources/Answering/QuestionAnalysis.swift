import Retrieval

/// What a question asks for, read off its words: no model is needed, and a wrong reading costs little because it only weighs sentences.
struct QuestionAnalysis: Sendable {
    /// The kind of thing that an answer must hold.
    enum Expected: Sendable, CaseIterable { case person, time, place, number, reason, definition, manner, other }

    /// A content term of the question, stemmed, with its weight.
    struct Term: Sendable {
        var text: String
        var weight: Float
    }

    let question: String
    let language: QuestionLanguage
    let expected: Expected
    /// Distinct terms, without question words; weights are inverse document frequencies.
    let terms: [Term]
    /// Sum of the terms' weights; never 0.
    let weightSum: Float
    /// Neighbouring terms, for matching phrases.
    let pairs: Set<Pair>
    /// Stemmed terms of names and numbers: what evidence must not lack.
    let anchors: Set<String>
    /// Numbers as they stand in the question, normalised.
    let numbers: Set<String>
    /// Neither English nor without a sign of a language: embeddings trained on English understand it less.
    let isOtherLanguage: Bool
    /// What is compared: the lower-case words of each side, such as of "Borne Ltd or Arlen Ltd"; empty when nothing is.
    let alternatives: [Set<String>]
    /// What tells which one of its kind is meant.
    let specifics: Specifics
    /// `Equivalents` of its words.
    let classes: Set<Int>
    /// What an answer must look like, more exactly than `expected`.
    let asked: Asked?
    /// "Is the warranty 31 months?": its own words may be the answer.
    let isYesNo: Bool
    /// "The highest", "the most": asks for one of all.
    let isSuperlative: Bool
    private let lowerWords: Set<String>

    /// The form of an answer.
    enum Asked: Sendable { case email, phone, web, clock, duration, length, weight }

    struct Pair: Hashable, Sendable {
        var first: String
        var second: String
    }

    init(_ question: String, collection: String, statistics: any TermStatistics) {
        self.question = question
        let words = Words.split(question)
        lowerWords = Set(words.map(\.lower))
        isOtherLanguage =
            lowerWords.isDisjoint(with: Self.englishWords)
            && (!lowerWords.isDisjoint(with: Self.otherWords)
                || question.unicodeScalars.contains { !$0.isASCII && $0.properties.isAlphabetic })
        let told = QuestionLanguage(of: question).expectation(question, words.map(\.lower))
        expected = told ?? Self.expectation(words, question)
        var content = words.indices.filter { index in
            !Self.questionWords.contains(words[index].lower)
                // "How long" asks for a measure; the text need not say "long".
                && !(index > 0 && Self.measureOpeners.contains(words[index - 1].lower) && Self.measures.contains(words[index].lower))
        }.map { words[$0].text }.joined(separator: " ")
        let language = QuestionLanguage(of: question)
        self.language = language
        if !language.hasCapitals || language != .english {
            let rest = language.content(content)
            if rest.unicodeScalars.contains(where: { $0.properties.isAlphabetic || $0.properties.numericType != nil }) { content = rest }
        }
        var ordered = statistics.terms(of: content, in: collection)
        if ordered.isEmpty { ordered = statistics.terms(of: question, in: collection) }
        if ordered.isEmpty { ordered = words.map(\.lower) }
        var seen: Set<String> = []
        var terms: [Term] = []
        for text in ordered where seen.insert(text).inserted {
            terms.append(Term(text: text, weight: max(0.1, statistics.inverseDocumentFrequency(of: text, in: collection))))
        }
        self.terms = terms
        weightSum = max(0.1, terms.reduce(0) { $0 + $1.weight })
        pairs = Set(zip(ordered, ordered.dropFirst()).map { Pair(first: $0, second: $1) })

        // A capital inside the question marks a name, unless the whole question is in capitals or in title case.
        let inner = words.dropFirst().filter { $0.text.first?.isLetter == true }
        // "I" has a capital of its own; "US" is no "us".
        let capitals = inner.filter {
            $0.isCapitalized && (!Self.questionWords.contains($0.lower) || $0.text.count > 1 && $0.text == $0.text.uppercased())
        }
        let names = capitals.count * 10 <= inner.count * 8 ? capitals.map(\.text) : []
        numbers = Set(words.compactMap(\.number))
        alternatives = Comparison.sides(question)
        specifics = Specifics(question, isComparison: !alternatives.isEmpty)
        classes = Equivalents.classes(words)
        let asked = Self.asked(words)
        // "How high is the deposit?" asks for an amount.
        self.asked =
            asked == .length && !classes.isDisjoint(with: Equivalents.amounts.subtracting(Equivalents.classes(of: "speed"))) ? nil : asked
        isYesNo = words.first.map { Self.yesNoOpeners.contains($0.lower) } == true && alternatives.isEmpty
        isSuperlative = words.contains { Self.isSuperlative($0.lower) }
        anchors = Set(statistics.terms(of: (names + words.filter { $0.number != nil }.map(\.text)).joined(separator: " "), in: collection))
    }

    /// Weighted share of the question's terms in a set of terms, 0...1.
    func coverage(_ present: Set<String>) -> Float {
        terms.reduce(0) { $0 + (present.contains($1.text) ? $1.weight : 0) } / weightSum
    }

    /// Whether a text holds the kind of thing that is asked for; nil when nothing particular is.
    func holdsExpected(_ words: [Words.Word]) -> Bool? {
        if !language.hasCapitals, expected == .person || expected == .place { return nil }
        if expected == .time, language != .english, language != .german, language != .spanish {
            return words.contains { $0.number.map { !numbers.contains($0) } == true }
        }
        switch expected {
        case .person:
            // A capitalised word after the first that the question does not have.
            return words.dropFirst().contains { $0.isCapitalized && !isInQuestion($0) }
                || words.first.map { $0.isCapitalized && !isInQuestion($0) && words.dropFirst().first?.isCapitalized == true } == true
                || words.contains { Self.roleWords.contains($0.lower) && !isInQuestion($0) }
        case .place:
            return words.dropFirst().contains { $0.isCapitalized && !isInQuestion($0) }
                || words.contains { Self.placeWords.contains($0.lower) }
        case .time:
            return words.contains { word in
                word.number.map { $0.count == 4 && !numbers.contains($0) } == true || Self.timeWords.contains(word.lower)
            }
        case .number:
            return words.contains { word in word.number.map { !numbers.contains($0) } == true || Self.numberWords.contains(word.lower) }
        case .reason: return words.contains { Self.reasonWords.contains($0.lower) }
        case .definition, .manner, .other: return nil
        }
    }

    /// Whether a text looks like an answer: by the form that is asked for, else by the kind; nil when nothing particular is asked for.
    func holdsAsked(_ text: String) -> Bool? {
        switch asked {
        case .email?: return text.contains("@")
        case .phone?:
            // Digits in one stretch, which is no date.
            guard text.utf8.count(where: { (0x30...0x39).contains($0) }) >= 5 else { return false }
            return text.matches(of: #/[\d+(][\d\s()\/.-]{3,}\d/#).contains { match in
                match.0.count(where: \.isNumber) >= 5 && match.0.wholeMatch(of: #/\d{1,4}[-.\/]\s?\d{1,2}[-.\/]\s?\d{1,4}/#) == nil
            }
        case .clock?: if text.contains(":"), text.contains(#/\d{1,2}:\d{2}/#) { return true }
        case .web?: return text.contains("www.") || text.contains("http") || text.contains(#/\w\.[a-z]{2,}/#)
        case let measure?:
            let numbers = Numbers.all(text)
            guard
                numbers.contains(where: { $0.isDisjoint(with: self.numbers) })
                    || !text.lowercased().ranges(of: #/\b(?:an?|one|eine?n?)\b/#).isEmpty
            else { return false }
            let words = Words.split(text)
            return words.contains { word in
                let unit = word.number == nil ? word.lower : String(word.lower.unicodeScalars.drop { !$0.properties.isAlphabetic })
                return Self.units[measure]!.contains(unit)
            }
        case nil: break
        }
        let words = Words.split(text)
        switch expected {
        case .number: return Numbers.all(text).contains { $0.isDisjoint(with: numbers) } || holdsExpected(words) == true
        case .time:
            return holdsExpected(words) == true
                || text.utf8.contains(where: { (0x30...0x39).contains($0) }) && text.contains(#/\d{1,2}[:.]\d{2}|\d{1,2}\.\s?\d{1,2}\./#)
                || words.contains { Self.clockWords.contains($0.lower) }
        case .place:
            return holdsExpected(words) == true || words.contains { Self.placePrepositions.contains($0.lower) }
        case .definition, .manner, .other:
            // "What does it cost?"
            return classes.isDisjoint(with: Equivalents.amounts) ? nil : Numbers.all(text).contains { $0.isDisjoint(with: numbers) }
        case .person, .reason: return holdsExpected(words)
        }
    }

    private static func asked(_ words: [Words.Word]) -> Asked? {
        let lower = words.map(\.lower)
        for (index, word) in lower.enumerated() {
            switch word {
            case "email", "e-mail", "mailadresse", "e-mail-adresse", "emailadresse", "correo", "courriel": return .email
            case "phone", "telephone", "telefonnummer", "rufnummer", "telefon", "fax", "faxnummer", "mobile", "handynummer", "téléphone",
                "teléfono":
                // "The price of the phone" asks for no number.
                return index + 1 == lower.count || ["number", "nummer"].contains(lower[index + 1]) || word.hasSuffix("nummer")
                    ? .phone : nil
            case "website", "homepage", "url", "webseite": return .web
            // "What was her time?", not "how many times" and not "the time limit".
            case "uhrzeit": return .clock
            case "time": if index + 1 == lower.count { return .clock }
            case "weigh", "weighs", "weight", "heavy", "wiegt", "schwer", "gewicht": return .weight
            case "long" where index > 0 && lower[index - 1] == "how", "lange" where index > 0 && lower[index - 1] == "wie",
                "lang" where index > 0 && lower[index - 1] == "wie":
                return .duration
            case "tall", "far", "high", "deep", "wide", "hoch", "weit", "tief", "breit":
                if index > 0, lower[index - 1] == "how" || lower[index - 1] == "wie" { return word == "hoch" ? nil : .length }
            default: break
            }
        }
        return nil
    }

    private static let lengthUnits: Set<String> = [
        "m", "metre", "metres", "meter", "meters", "metern", "cm", "mm", "km", "kilometre", "kilometres", "kilometer", "kilometers", "mile",
        "miles", "foot",
        "feet", "ft", "inch", "inches", "yard", "yards", "centimetres", "centimeter", "millimetres", "pages", "seiten",
    ]
    private static let units: [Asked: Set<String>] = [
        .duration: lengthUnits.union([
            "second", "seconds", "minute", "minutes", "min", "hour", "hours", "h", "day", "days", "week", "weeks", "month", "months",
            "year", "years",
            "decade", "decades", "century", "centuries", "night", "nights", "quarter", "quarters", "sekunde", "sekunden", "minuten",
            "stunde", "stunden",
            "tag", "tage", "tagen", "woche", "wochen", "monat", "monate", "monaten", "jahr", "jahre", "jahren", "until", "bis", "mois",
            "an", "ans", "jours",
            "meses", "años", "días", "working", "s", "ms", "lifetime", "forever", "unlimited", "indefinitely", "permanent", "permanently",
            "unbegrenzt", "unbefristet", "lebenslang", "dauerhaft",
        ]),
        .length: lengthUnits.union(["hours", "minutes", "storeys", "stories", "floors"]),
        .weight: [
            "kg", "g", "mg", "t", "kilogram", "kilograms", "kilogramme", "kilogrammes", "gram", "grams", "gramme", "grammes", "tonne",
            "tonnes", "ton", "tons",
            "tonnen", "kilo", "kilos", "lb", "lbs", "pound", "pounds", "ounce", "ounces", "oz", "kilogramm", "gramm", "zentner",
        ],
    ]
    /// Who may stand for a person.
    private static let roleWords: Set<String> = [
        "head", "manager", "director", "department", "team", "board", "committee", "council", "officer", "chair", "leader", "supervisor",
        "landlord", "tenant", "caretaker", "secretary", "treasurer", "owner", "employer", "captain", "clerk",
    ]
    private static let clockWords: Set<String> = [
        "noon", "midnight", "o'clock", "am", "pm", "uhr", "mittag", "mitternacht", "daily", "weekly", "monthly", "morning", "evening",
        "tomorrow", "today",
        "immediately", "sofort", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "montag", "dienstag",
        "mittwoch",
        "donnerstag", "freitag", "samstag", "sonntag", "april", "august", "september", "november", "weeks", "months", "days", "week",
        "month",
    ]
    private static let placePrepositions: Set<String> = [
        "in", "into", "at", "on", "under", "behind", "beside", "near", "inside", "outside", "opposite", "between", "next", "above", "below",
        "to", "im", "am",
        "auf", "unter", "hinter", "neben", "bei", "zum", "zur", "an", "dans", "sur", "à", "en",
    ]
    private static let measureOpeners: Set<String> = ["how", "wie", "so"]
    private static let measures: Set<String> = [
        "long", "much", "many", "often", "far", "old", "tall", "big", "high", "heavy", "deep", "wide", "large", "fast", "late", "early",
        "soon", "lange",
        "lang", "viel", "viele", "oft", "weit", "alt", "hoch", "groß", "schwer", "tief", "breit", "schnell", "teuer", "expensive",
    ]
    private static let yesNoOpeners: Set<String> = [
        "is", "are", "was", "were", "does", "do", "did", "can", "may", "must", "has", "have", "will", "should", "ist", "sind", "war", "hat",
        "haben", "kann",
        "darf", "muss", "gibt", "wird", "est-ce", "es", "son", "puede",
    ]

    private func isInQuestion(_ word: Words.Word) -> Bool { lowerWords.contains(word.lower) }

    static func isRole(_ lower: String) -> Bool { roleWords.contains(lower) }
    static func isMeasure(_ lower: String) -> Bool { measures.contains(lower) }
    static func isSuperlative(_ lower: String) -> Bool { Comparison.superlatives.contains(lower) }

    static func isQuestionWord(_ lower: String) -> Bool { questionWords.contains(lower) }

    // MARK: - Reading the question

    private static func expectation(_ words: [Words.Word], _ question: String) -> Expected {
        let lower = words.map(\.lower)
        for (index, word) in lower.enumerated() {
            let next = index + 1 < lower.count ? lower[index + 1] : ""
            switch word {
            case "who", "whom", "whose", "wer", "wen", "wem", "wessen", "quién", "quien", "quiénes", "qui": return .person
            case "when", "wann", "cuándo", "cuando", "quand":
                return index == 0 || word == "wann" || word == "cuándo" || lower.count <= 12 ? .time : .other
            case "where", "wo", "woher", "wohin", "dónde", "donde", "où": return .place
            case "why", "warum", "weshalb", "wieso": return .reason
            case "por" where next == "qué": return .reason
            case "how", "wie":
                if [
                    "many", "much", "long", "old", "far", "tall", "big", "high", "large", "often", "fast", "deep", "wide", "heavy", "viele",
                    "viel", "lange", "alt", "hoch", "groß",
                ].contains(next) {
                    return .number
                }
                return .manner
            case "cuánto", "cuánta", "cuántos", "cuántas", "cuantos", "combien", "wieviel", "wieviele": return .number
            case "what", "which", "whats", "welches", "welche", "welcher", "welchem", "welchen", "qué", "cuál", "que":
                let following = lower[(index + 1)...].prefix(3)
                if following.contains(where: {
                    ["year", "date", "day", "month", "century", "decade", "time", "jahr", "jahrhundert", "datum", "año", "siglo", "fecha"]
                        .contains($0)
                }) {
                    return .time
                }
                if following.contains(where: {
                    [
                        "percentage", "percent", "number", "amount", "population", "age", "price", "cost", "size", "prozent", "anzahl",
                        "porcentaje", "número",
                    ].contains($0)
                }) {
                    return .number
                }
                if following.contains(where: {
                    [
                        "city", "country", "state", "place", "town", "location", "county", "continent", "region", "stadt", "land", "ciudad",
                        "país",
                    ].contains($0)
                }) {
                    return .place
                }
                if following.contains(where: {
                    ["person", "actor", "actress", "author", "president", "singer", "director", "player", "artist"].contains($0)
                }) {
                    return .person
                }
                if ["is", "are", "does", "was", "were", "means", "s"].contains(next) { return .definition }
                return .other
            default: continue
            }
        }
        let isHan = question.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) }
        if isHan {
            if question.contains("谁") { return .person }
            if question.contains("何时") || question.contains("什么时候") || question.contains("哪一年") || question.contains("哪年") { return .time }
            if question.contains("哪里") || question.contains("何处") || question.contains("哪个国家") || question.contains("哪个城市") {
                return .place
            }
            if question.contains("多少") || question.contains("几") { return .number }
            if question.contains("为什么") || question.contains("为何") { return .reason }
        }
        return .other
    }

    /// Words that ask and say nothing about the topic.
    private static let questionWords: Set<String> = [
        "who", "whom", "whose", "what", "whats", "which", "when", "where", "why", "how", "many", "much", "did", "does", "do", "done",
        "please", "tell", "me", "about",
        "explain", "describe", "give", "show", "can", "could", "would", "should", "you", "your", "i", "my", "we", "our", "us", "is", "are",
        "was", "were", "be", "been",
        "am", "has", "have", "had", "wer", "wen", "wem", "wann", "wo", "warum", "wie", "viele", "viel", "welche", "welcher", "welches",
        "welchem", "welchen", "was", "ist",
        "sind", "war", "waren", "wurde", "wurden", "hat", "haben", "quién", "quiénes", "qué", "cuál", "cuáles", "cuándo", "dónde", "cómo",
        "cuánto", "cuántos", "cuánta",
        "cuántas", "es", "son", "fue", "fueron", "era", "eran", "there", "from", "he", "she", "his", "her", "him", "they", "them", "out",
        "so", "than", "then",
    ]

    private static let englishWords: Set<String> = [
        "the", "of", "is", "are", "were", "what", "who", "how", "when", "where", "which", "why", "did", "does", "do", "to", "and", "for",
        "an", "on", "by",
        "with",
    ]
    private static let otherWords: Set<String> = [
        "der", "die", "das", "den", "dem", "wer", "wann", "wie", "wo", "ist", "sind", "wurde", "und", "von", "mit", "für", "el", "la",
        "los", "las", "que",
        "qué", "quién", "cuál", "en", "es", "de", "del", "por", "para", "fue", "le", "les", "des", "est", "qui", "quand", "il", "che", "di",
        "een", "het",
        "och", "om", "na", "se",
    ]

    private static let timeWords: Set<String> = [
        "january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december", "monday",
        "tuesday", "wednesday", "thursday",
        "friday", "saturday", "sunday", "century", "year", "years", "day", "days", "decade", "annually", "season", "spring", "summer",
        "autumn", "winter", "januar",
        "februar", "märz", "mai", "juni", "juli", "oktober", "dezember", "jahrhundert", "jahr", "enero", "febrero", "marzo", "abril",
        "mayo", "junio", "julio", "agosto",
        "septiembre", "octubre", "noviembre", "diciembre", "siglo", "año",
    ]
    private static let numberWords: Set<String> = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
        "fifteen", "sixteen",
        "seventeen", "eighteen", "nineteen", "sixty", "seventy", "eighty", "ninety", "dozen", "twenty", "thirty",
        "forty", "fifty", "hundred",
        "hundreds", "thousand", "thousands", "million", "millions", "billion", "billions", "half", "percent", "several", "twice", "zwei",
        "drei", "vier", "fünf", "sechs",
        "sieben", "acht", "neun", "zehn", "hundert", "tausend", "millionen", "prozent", "dos", "tres", "cuatro", "cinco", "seis", "siete",
        "ocho", "nueve", "diez", "cien",
        "mil", "millones",
    ]
    private static let placeWords: Set<String> = [
        "north", "south", "east", "west", "coast", "island", "city", "country", "near", "located", "river", "border", "valley", "mountains",
    ]
    private static let reasonWords: Set<String> = [
        "because", "due", "since", "therefore", "reason", "reasons", "cause", "causes", "caused", "so", "as", "result", "owing", "thus",
        "order", "to", "weil", "wegen",
        "aufgrund", "da", "grund", "porque", "debido", "causa", "razón",
    ]
}
