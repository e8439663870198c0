// The words by which the specifics of a question are told: closed sets, titles, what may stand before a year, and the like.

extension Specifics {
    static func isMonth(_ word: String) -> Bool { sets[monthSet].contains { $0.contains(word) } }

    static func month(_ values: Set<String>) -> Int? { sets[monthSet].firstIndex { !$0.isDisjoint(with: values) }.map { $0 + 1 } }

    static let monthSet = 0

    /// Closed sets; a member is all of its words.
    static let sets: [[Set<String>]] = [
        [
            ["january", "januar", "janvier", "enero"], ["february", "februar", "février", "febrero"], ["march", "märz", "mars", "marzo"],
            ["april", "avril", "abril"], ["mai", "mayo", "may"], ["june", "juni", "juin", "junio"], ["july", "juli", "juillet", "julio"],
            ["august", "août", "agosto"], ["september", "septembre", "septiembre"], ["october", "oktober", "octobre", "octubre"],
            ["november", "novembre", "noviembre"], ["december", "dezember", "décembre", "diciembre"],
        ],
        [
            ["spring", "frühling", "frühjahr", "printemps", "primavera"], ["summer", "sommer", "été", "verano"],
            ["autumn", "herbst", "automne", "otoño"], ["winter", "hiver", "invierno"],
        ],
        [
            ["monday", "mondays", "montag", "montags", "lundi", "lunes"],
            ["tuesday", "tuesdays", "dienstag", "dienstags", "mardi", "martes"],
            ["wednesday", "wednesdays", "mittwoch", "mittwochs", "mercredi", "miércoles"],
            ["thursday", "thursdays", "donnerstag", "donnerstags", "jeudi", "jueves"],
            ["friday", "fridays", "freitag", "freitags", "vendredi", "viernes"],
            ["saturday", "saturdays", "samstag", "samstags", "sonnabend", "samedi", "sábado"],
            ["sunday", "sundays", "sonntag", "sonntags", "dimanche", "domingo"],
        ],
        [
            ["daily", "täglich", "tägliche", "täglichen"], ["weekly", "wöchentlich", "wöchentliche", "wöchentlichen"],
            ["monthly", "monatlich", "monatliche", "monatlichen", "mensuel", "mensual"],
            ["quarterly", "vierteljährlich", "vierteljährliche"],
            ["yearly", "annual", "annually", "jährlich", "jährliche", "jährlichen", "annuel", "anual"],
        ],
        [
            ["senior", "leitender", "leitende"], ["junior"], ["trainee", "apprentice", "auszubildende", "lehrling"],
            ["intern", "praktikant"],
        ],
        [
            ["adult", "adults", "erwachsene", "erwachsener"], ["child", "children", "kinder", "kind"],
            ["student", "students", "studenten", "schüler"], ["pensioner", "pensioners", "rentner"],
        ],
        [
            ["red", "rote", "roten", "rot", "roter", "rotes"], ["blue", "blaue", "blauen", "blau", "blauer", "blaues"],
            ["green", "grüne", "grünen", "grün", "grüner", "grünes"], ["yellow", "gelbe", "gelben", "gelb", "gelber", "gelbes"],
            ["black", "schwarze", "schwarzen", "schwarz"], ["white", "weiße", "weißen", "weiß"], ["orange"],
            ["grey", "gray", "graue", "grauen", "grau"],
            ["brown", "braune", "braunen", "braun"], ["purple", "violet", "lila"],
        ],
        [
            ["north", "northern", "nord", "nördliche", "nördlichen"], ["south", "southern", "süd", "südliche", "südlichen"],
            ["east", "eastern", "ost", "östliche", "östlichen"], ["west", "western", "westliche", "westlichen"],
        ],
        [["morning", "morgens", "vormittags"], ["afternoon", "nachmittags"], ["evening", "abends"], ["night", "nachts"]],
        [["weekday", "weekdays", "werktags", "wochentags"], ["weekend", "weekends", "wochenende", "wochenenden"]],
        [["upper", "obere", "oberen"], ["lower", "untere", "unteren"]],
        [["minimum", "min", "mindestens"], ["maximum", "max", "höchstens"]],
        [["gross", "brutto"], ["net", "netto"]],
        [["import", "imports", "einfuhr"], ["export", "exports", "ausfuhr"]],
        [["indoor", "indoors"], ["outdoor", "outdoors"]],
        [["domestic", "inland"], ["international", "foreign", "ausland"]],
        [["petrol", "gasoline", "benzin"], ["diesel"], ["electric", "elektrisch", "elektro"]],
        [["basic"], ["premium"], ["professional"], ["enterprise"]],
        [["single", "einzelzimmer"], ["double", "doppelzimmer"], ["triple", "dreibettzimmer"]],
        [["incoming", "inbound", "eingehend", "eingehende"], ["outgoing", "outbound", "ausgehend", "ausgehende"]],
        [["arrival", "arrivals", "ankunft"], ["departure", "departures", "abfahrt", "abflug"]],
        [
            ["phone", "telephone", "tel", "telefon", "telefonnummer", "rufnummer", "mobile", "handy", "téléphone", "teléfono"],
            ["fax", "telefax", "faxnummer"], ["email", "mail", "e-mail", "emailadresse", "correo", "courriel"],
        ],
        [["breakfast", "frühstück"], ["lunch", "mittagessen"], ["dinner", "abendessen"]],
    ]

    /// "Per month" for "monthly".
    static let periodNouns: [String: Set<String>] = [
        "daily": ["day", "tag"], "weekly": ["week", "woche"], "monthly": ["month", "monat", "months"], "quarterly": ["quarter", "quartal"],
        "yearly": ["year", "jahr", "annum"],
    ]

    static let ordinals: [String: Int] = [
        "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
        "erste": 1,
        "ersten": 1, "erster": 1, "zweite": 2, "zweiten": 2, "zweiter": 2, "dritte": 3, "dritten": 3, "dritter": 3, "vierte": 4,
        "vierten": 4,
        "fünfte": 5, "fünften": 5, "premier": 1, "première": 1, "deuxième": 2, "troisième": 3, "primero": 1, "primera": 1, "segunda": 2,
        "tercero": 3, "tercera": 3,
    ]

    /// Between them and a year the year is a bound, not the year that is asked about.
    static let comparators: Set<String> = [
        "after", "before", "since", "until", "till", "by", "from", "to", "between", "and", "than", "nach", "vor", "seit", "bis", "ab",
        "zwischen", "und",
        "après", "avant", "depuis", "desde", "hasta", "antes", "después", "over", "under", "above", "below", "about", "least", "most",
    ]
    static let yearOpeners: Set<String> = [
        "in", "during", "for", "of", "year", "im", "jahr", "für", "en", "du", "année", "año", "del", "nel", "anno", "season", "fiscal",
        "fy", "report",
        "budget", "bericht", "edition", "version", "model",
    ]
    static let legalForms: Set<String> = [
        "ltd", "limited", "inc", "llc", "llp", "plc", "corp", "corporation", "company", "co", "gmbh", "ag", "kg", "ohg", "ug", "se", "sa",
        "sarl", "srl",
        "bv", "nv", "ab", "as", "aps", "oy", "group", "holding",
    ]
    static let titles: Set<String> = [
        "mr", "mrs", "ms", "miss", "dr", "prof", "professor", "herr", "frau", "madame", "monsieur", "señor", "señora", "captain",
        "president", "sir",
        "lake", "mount", "port", "fort", "lady", "saint", "st", "street", "the",
    ]
    static let nameLinks: Set<String> = [
        "of", "the", "de", "von", "van", "der", "den", "la", "le", "du", "di", "da", "and", "&", "zu", "y",
    ]
    static let germanNameOpeners: Set<String> = ["herr", "frau", "herrn", "firma", "dr", "prof", "in", "aus", "nach"]
    /// Nouns of which there are several, told apart by the word before them.
    static let modifiable: Set<String> = [
        "department", "team", "tank", "bin", "room", "office", "door", "gate", "key", "number", "address", "fee", "rate", "period", "date",
        "deadline",
        "insurance", "policy", "contract", "account", "plan", "line", "pump", "valve", "engine", "pier", "dock", "hall", "station", "form",
        "card", "code",
        "password", "server", "printer", "committee", "council", "manager", "officer", "director", "engineer", "price", "discount",
        "allowance", "limit",
        "tax", "license", "licence", "permit", "version", "edition", "model", "meeting", "course", "exam", "class", "ticket", "route",
        "lane", "floor",
    ]
    /// Say how much or which of one, and not which kind.
    static let generalModifiers: Set<String> = [
        "total", "current", "new", "old", "exact", "main", "full", "official", "average", "normal", "usual", "actual", "same", "other",
        "next", "last",
        "previous", "first", "final", "whole", "entire", "different", "certain", "possible", "good", "best", "real", "right", "correct",
        "required",
        "allowed", "given", "general", "overall", "common", "standard", "many", "much", "more", "most", "several", "some", "each", "every",
        "this", "that",
        "what", "which", "contact", "local", "own", "correct", "valid", "used", "responsible", "type", "kind", "long", "maximum", "minimum",
        "highest",
        "lowest", "base", "basic",
    ]
    static let dayOpeners: Set<String> = [
        "during", "until", "till", "since", "before", "after", "every", "each", "next", "last", "early", "late", "mid", "jeden", "jedem",
        "bis", "ab", "seit",
        "nächsten", "letzten", "what", "which", "welchem", "meeting", "weather", "open", "between", "through", "of",
    ]
    /// Between the numbers of a list.
    static let listWords: Set<String> = [
        "and", "or", "to", "und", "oder", "bis", "et", "y", "e", "through", "no", "nr", "number", "nummer",
    ]
    static let numberWords: Set<String> = ["no", "nr", "number", "nummer", "id", "numéro", "número"]
    static let copulas: Set<String> = [
        "is", "are", "was", "were", "be", "ist", "sind", "war", "waren", "est", "sont", "es", "son", "fue",
    ]
    static let smallWords: Set<String> = [
        "the", "a", "an", "of", "in", "on", "at", "to", "for", "by", "with", "from", "and", "or", "is", "are", "was", "were", "be", "has",
        "have", "had",
        "it", "its", "this", "that", "these", "those", "as", "per", "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen",
        "einem", "einer",
        "von", "im", "am", "zu", "zum", "zur", "für", "mit", "bei", "auf", "aus", "nach", "und", "oder", "ist", "sind", "war", "le", "la",
        "les", "du",
        "de", "des", "un", "une", "el", "los", "las", "del", "en", "y", "et", "do", "does", "did", "will", "shall", "can", "may", "must",
        "should", "he",
        "she", "they", "we", "you", "i", "not", "no", "into", "about", "than", "then", "if", "when", "there", "their", "our", "your", "his",
        "her",
    ]
}
