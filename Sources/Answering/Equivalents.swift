/// Words that ask for the same thing: "what does it cost" and "is paid at", "km" and "kilometre", "Miete" and "rent".
///
/// A small table of the words of contracts, invoices, manuals and letters, so that a question finds its sentence when the two use different words
/// or languages and no embedding model knows both. It only raises what words alone would rank too low; nothing is found by it.
enum Equivalents {
    /// Classes of the words of a text. A German compound belongs to the classes of its last part and of a known first part.
    static func classes(_ words: [Words.Word]) -> Set<Int> { words.reduce(into: []) { $0.formUnion(classes(of: $1.lower)) } }

    static func classes(of word: String) -> Set<Int> {
        if let known = byWord[word] { return [known] }
        let bytes = Array(word.utf8)
        for end in endings where bytes.count > end.count && bytes.suffix(end.count).elementsEqual(end) {
            if let known = byWord[String(decoding: bytes.dropLast(end.count), as: UTF8.self)] { return [known] }
        }
        guard bytes.count >= 9, word.count >= 9 else { return [] }
        var found: Set<Int> = []
        // "Directory" is no compound of "director": one letter is no other part. Each beginning and each end is looked up, which costs less than a comparison with
        // each of some hundred parts.
        for size in compoundSizes where size + 2 <= bytes.count {
            for part in [bytes[..<size], bytes[(bytes.count - size)...]] where isWhole(part, of: bytes) {
                let part = String(decoding: part, as: UTF8.self)
                if let known = compoundParts[part], word.count >= part.count + 2 { found.insert(known) }
            }
        }
        return found
    }

    /// Whether a part begins and ends between characters.
    private static func isWhole(_ part: ArraySlice<UInt8>, of bytes: [UInt8]) -> Bool {
        func isInside(_ place: Int) -> Bool { place < bytes.count && bytes[place] & 0xC0 == 0x80 }
        return !isInside(part.startIndex) && !isInside(part.endIndex)
    }

    private static let endings = ["s", "es", "en", "n", "e", "er", "ed", "d", "ing", "'s", "’s"].map { Array($0.utf8) }

    /// Classes of words that ask for an amount.
    static let amounts: Set<Int> = ["cost", "total", "weigh", "salary", "rent", "deposit", "discount", "capacity", "speed", "limit"].reduce(
        into: []) { $0.formUnion(classes(of: $1)) }

    private static let byWord: [String: Int] = {
        var byWord: [String: Int] = [:]
        for (index, list) in lists.enumerated() {
            for word in list.split(separator: " ") { byWord[String(word)] = index }
        }
        return byWord
    }()

    private static let compoundParts = byWord.filter { $0.key.count >= 5 }
    private static let compoundSizes = Set(compoundParts.keys.map(\.utf8.count)).sorted()

    private static let lists: [String] = [
        "paie paient payé payée payer paga pagan pagar pagado cost costs price prices priced pay pays paid charge charges charged fee fees rate rates tariff kostet kosten preis preise gebühr gebühren bezahlt zahlen zahlt tarif satz entgelt gebuehr coût prix tarif précio precio cuesta costo",
        "km kilometre kilometres kilometer kilometers", "kg kilogram kilograms kilogramm kilo kilos", "t tonne tonnes ton tons tonnen",
        "m metre metres meter meters", "h hour hours stunde stunden hourly stundensatz", "litre litres liter liters",
        "phone telephone tel mobile telefon telefonnummer rufnummer téléphone teléfono fon handy",
        "email e-mail mail mailadresse emailadresse correo courriel",
        "address adresse anschrift dirección", "zip postcode postal plz postleitzahl", "go goes going gehört", "put puts placed",
        "due deadline fällig fälligkeit frist payable zahlbar",
        "attended attend attends attendee attendees present participant participants anwesend anwesende teilnehmer teilgenommen",
        "rent miete mietzins loyer alquiler", "contract agreement vertrag vereinbarung contrat contrato",
        "notice kündigung kündigungsfrist terminate termination terminated cancel cancelled cancellation kündigen gekündigt préavis",
        "warranty guarantee garantie gewährleistung garantía",
        "month months monat monate monaten monthly monatlich monatliche monatlichen mois mes meses",
        "year years annual annually yearly jahr jahre jahren jährlich jährliche an année año años",
        "week weeks weekly woche wochen wöchentlich", "day days daily tag tage tagen täglich jour día",
        "insurance insured versicherung versichert versicherer assurance seguro", "liability liable haftung haftet haften responsabilité",
        "invoice bill rechnung facture factura",
        "total sum amount gesamt gesamtbetrag summe betrag montant", "salary wage wages pay gehalt lohn vergütung salaire",
        "vacation holiday holidays leave urlaub urlaubstage ferien congé vacaciones",
        "office büro bureau oficina", "employee employees staff mitarbeiter angestellte beschäftigte employé",
        "customer customers client clients kunde kunden mandant mandanten",
        "delivery delivered lieferung geliefert lieferzeit lieferfrist", "weigh weighs weight gewicht wiegt schwer",
        "length long lang länge", "height high tall hoch höhe",
        "width wide breite breit", "depth deep tiefe tief", "speed fast geschwindigkeit",
        "capacity hold holds kapazität tragfähigkeit fasst", "temperature temperatur",
        "sell sells sold sale sales verkauf verkauft verkaufen vente ventes vendu venta ventas vendido",
        "begin begins start starts started beginn beginnt anfang", "end ends ended expire expires expiry endet ende läuft",
        "open opens opened opening geöffnet öffnet öffnungszeiten",
        "close closes closed schließt geschlossen", "build built constructed gebaut erbaut errichtet",
        "repair repairs repaired reparatur repariert", "check checked inspect inspected inspection geprüft prüfung prüfen",
        "responsible verantwortlich zuständig",
        "choose chose chosen select selected decide decided decision entschieden entscheidung gewählt", "password kennwort passwort",
        "room raum zimmer", "parking parkplatz stellplatz stellplätze parken", "garage tiefgarage",
        "director ceo manager head leiter geschäftsführer direktor", "owner own owns belongs eigentümer besitzer gehört",
        "last latest recently zuletzt letzte letzten letzter letztes dernier dernière último",
        "lead leads led leader leitet leitete führt chief", "author wrote written writes verfasser autor",
        "name named called heißt heissen name", "born birth birthday geboren geburtsdatum", "tax vat steuer mwst umsatzsteuer",
        "hotel übernachtung",
        "limit maximum max up höchstens höchstbetrag obergrenze cap", "minimum min mindestens", "penalty fine strafe vertragsstrafe",
        "interest zins zinsen zinssatz", "discount rabatt skonto nachlass",
        "payment zahlung zahlungsziel", "deposit kaution anzahlung", "train zug züge", "flight flug",
        "leave leaves departs departure abfahrt abflug", "arrive arrives arrival ankunft",
        "keep kept retain retained retention store stored aufbewahrt aufbewahrung aufbewahrungsfrist", "meeting sitzung besprechung",
        "moisture humidity feuchte feuchtigkeit", "water wasser", "oil öl", "electricity power strom",
        "document documents dokument dokumente unterlagen", "law gesetz recht", "court gericht", "lawyer attorney anwalt rechtsanwalt",
        "partner partnerin", "won win wins winner winners victory gewonnen gewann sieger siegerin gewinner",
        "signed signature unterschrieben unterschrift unterzeichnet",
    ]
}
