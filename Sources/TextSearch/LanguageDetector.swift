/// Tells the language of a text by its script, its function words and its letters.
///
/// ```
///  letters by script --mostly Latin--> function words: each votes for the languages that have it, the fewer the louder
///          |                           letters:        ß, ñ, ő, ș ... vote too
///          |                           the winner needs two words' worth of votes and a lead over the second
///          +--mostly Cyrillic, Arabic--> letters that only one of the languages has
///          +--any other script---------> its most common language
/// ```
///
/// About a third of running text are function words, so a sentence is enough; a line of a table, a name or a code gives `unknown`.
/// (Grefenstette, *Comparing two language identification schemes*, 1995: short words and n-grams are about equal from ten words on.)
package enum LanguageDetector {
    /// A longer text is known from its beginning.
    private static let sampleMax = 1600

    /// The language of a text; `unknown` rather than a guess.
    ///
    /// - Complexity: Reads at most the first 1,600 bytes, and not all of them when the answer is clear earlier.
    package static func detect(_ text: String) -> Language {
        var text = text
        return text.withUTF8 { detect($0) }
    }

    static func detect(_ text: UnsafeBufferPointer<UInt8>) -> Language {
        var counts = Counts()
        var words = 0
        var votes = Votes()
        var word: UInt64 = 0
        var wordSize = 0
        var position = 0
        let end = min(text.count, sampleMax)
        func finishWord() {
            guard wordSize > 0 else { return }
            words += 1
            if wordSize <= 8, let mask = FunctionWords.table[word] { votes.add(mask) }
            word = 0
            wordSize = 0
        }
        while position < end {
            let byte = text[position]
            if byte < 0x80 {
                position += 1
                let lower = byte | 0x20
                if lower >= 0x61 && lower <= 0x7A {
                    counts.latin += 1
                    wordSize += 1
                    if wordSize <= 8 { word = word << 8 | UInt64(lower) }
                } else {
                    finishWord()
                    if words >= 40, words & 7 == 0, votes.isClear { break }
                }
                continue
            }
            let scalar = decode(text, &position)
            switch scalar {
            case 0xC0...0x24F, 0x1E00...0x1EFF:
                guard scalar != 0xD7, scalar != 0xF7 else {
                    finishWord()
                    continue
                }
                counts.latin += 1
                let lower = lowercase(scalar)
                votes.addLetter(lower)
                for byte in UTF8.encode(Unicode.Scalar(lower) ?? "x")! {
                    wordSize += 1
                    if wordSize <= 8 { word = word << 8 | UInt64(byte) }
                }
            case 0x300...0x36F: votes.addMark(scalar)
            default:
                finishWord()
                counts.add(scalar)
            }
        }
        finishWord()
        return counts.language(words: words, votes: votes)
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>, _ position: inout Int) -> UInt32 {
        let first = UInt32(text[position])
        let size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard first >= 0xC2, position + size <= text.count else {
            position += 1
            return 0xFFFD
        }
        var scalar = size == 2 ? first & 0x1F : size == 3 ? first & 0xF : first & 0x7
        for offset in 1..<size { scalar = scalar << 6 | UInt32(text[position + offset] & 0x3F) }
        position += size
        return scalar
    }

    private static func lowercase(_ scalar: UInt32) -> UInt32 {
        switch scalar {
        case 0xC0...0xDE: scalar + 0x20
        case 0x218...0x21B, 0x1EA0...0x1EF9, 0x100...0x12F, 0x14A...0x177: scalar | 1
        case 0x130: 0x69
        case 0x139...0x148, 0x179...0x17E: scalar & 1 == 1 ? scalar + 1 : scalar
        case 0x1A0, 0x1AF: scalar + 1
        default: scalar
        }
    }

    // MARK: Scripts

    private struct Counts {
        var latin = 0
        private var cyrillic = 0
        private var greek = 0
        private var arabic = 0
        private var hebrew = 0
        private var devanagari = 0
        private var han = 0
        private var kana = 0
        private var hangul = 0
        private var thai = 0
        private var armenian = 0
        private var georgian = 0
        private var tamil = 0
        private var other = 0
        /// Letters that Russian, and letters that Arabic, does not have.
        private var ukrainian = 0
        private var serbian = 0
        private var russian = 0
        private var bulgarian = 0
        private var persian = 0
        private var urdu = 0

        mutating func add(_ scalar: UInt32) {
            switch scalar {
            case 0x370...0x3FF, 0x1F00...0x1FFF: greek += 1
            case 0x400...0x52F:
                cyrillic += 1
                switch scalar {
                case 0x404, 0x406, 0x407, 0x454, 0x456, 0x457, 0x490, 0x491: ukrainian += 1
                case 0x402, 0x408, 0x409, 0x40A, 0x40B, 0x40F, 0x452, 0x458...0x45B, 0x45F: serbian += 1
                case 0x42B, 0x42D, 0x44B, 0x44D, 0x401, 0x451: russian += 1
                case 0x44A: bulgarian += 1
                default: break
                }
            case 0x530...0x58F: armenian += 1
            case 0x590...0x5FF: hebrew += 1
            case 0x621...0x64A, 0x66E...0x6D3, 0x750...0x77F, 0xFB50...0xFDFF, 0xFE70...0xFEFC:
                arabic += 1
                switch scalar {
                case 0x67E, 0x686, 0x698, 0x6AF, 0x6CC, 0x6A9: persian += 1
                case 0x679, 0x688, 0x691, 0x6BA, 0x6BE, 0x6C1, 0x6D2: urdu += 1
                default: break
                }
            case 0x900...0x97F: devanagari += 1
            case 0xB80...0xBFF: tamil += 1
            case 0xE00...0xE7F: thai += 1
            case 0x10A0...0x10FF: georgian += 1
            case 0x1100...0x11FF, 0xAC00...0xD7A3: hangul += 1
            case 0x3041...0x30FF, 0x31F0...0x31FF, 0xFF66...0xFF9D: kana += 1
            case 0x3400...0x9FFF, 0xF900...0xFAFF, 0x20000...0x323AF: han += 1
            default: if Unicode.Scalar(scalar)?.properties.isAlphabetic ?? false { other += 1 }
            }
        }

        func language(words: Int, votes: Votes) -> Language {
            // A syllable or an ideograph is worth about three letters.
            let scripts: [(Int, Language)] = [
                (latin, .english), (cyrillic, .russian), (greek, .greek), (arabic, .arabic), (hebrew, .hebrew), (devanagari, .hindi),
                (3 * (han + kana), .chinese), (2 * hangul, .korean), (thai, .thai), (armenian, .armenian), (georgian, .georgian),
                (tamil, .tamil), (other, .other),
            ]
            let total = scripts.reduce(0) { $0 + $1.0 }
            guard let (most, language) = scripts.max(by: { $0.0 < $1.0 }), most > 1, 2 * most > total else { return .unknown }
            switch language {
            case .english: return votes.winner(words: words)
            case .russian:
                // Ї, є and ґ, or ј and љ, in one letter of a hundred; Russian has ы, э or ё in three.
                if ukrainian * 100 > cyrillic && ukrainian > russian { return .ukrainian }
                if serbian * 100 > cyrillic && serbian > russian { return .serbian }
                return russian == 0 && bulgarian * 100 > cyrillic ? .bulgarian : .russian
            case .arabic:
                if urdu * 50 > arabic { return .urdu }
                return persian * 50 > arabic ? .persian : .arabic
            case .chinese: return kana * 12 > han + kana ? .japanese : .chinese
            default: return language
            }
        }
    }

    // MARK: Latin

    private struct Votes {
        /// By index of `FunctionWords.languages`.
        private var scores = [Float](repeating: 0, count: FunctionWords.languages.count)
        private var hitCount = 0

        mutating func add(_ mask: UInt32) {
            hitCount += 1
            // What a word says falls with the number of languages that have it.
            let share = 1 / Float(mask.nonzeroBitCount).squareRoot()
            var rest = mask
            while rest != 0 {
                scores[rest.trailingZeroBitCount] += share
                rest &= rest - 1
            }
        }

        mutating func addLetter(_ scalar: UInt32) {
            guard let mask = FunctionWords.letters[scalar] else { return }
            let share = 0.5 / Float(mask.nonzeroBitCount)
            var rest = mask
            while rest != 0 {
                scores[rest.trailingZeroBitCount] += share
                rest &= rest - 1
            }
        }

        /// Vietnamese tones, decomposed.
        mutating func addMark(_ scalar: UInt32) {
            guard [0x309, 0x323, 0x31B].contains(scalar) else { return }
            scores[FunctionWords.index(of: .vietnamese)] += 0.5
        }

        private var firstTwo: (best: Int, score: Float, second: Float) {
            var best = (0, Float(0), Float(0))
            for (index, score) in scores.enumerated() {
                if score > best.1 { best = (index, score, best.1) } else if score > best.2 { best.2 = score }
            }
            return best
        }

        var isClear: Bool {
            let (_, score, second) = firstTwo
            return score >= 8 && score > 2 * second
        }

        func winner(words: Int) -> Language {
            let (best, score, second) = firstTwo
            // Two words that only this language has, or more that it shares; and not a few strays in a long list of names.
            guard score >= 1.4, score > 1.25 * second, score * 25 >= Float(words) else { return .unknown }
            return FunctionWords.languages[best]
        }
    }
}

/// The commonest words and the tell-tale letters of languages in Latin script.
enum FunctionWords {
    private static let words: [(Language, String)] = [
        (
            .english,
            "the of and to in is was for that with as on by at from it are this which be an or were had has have their not but they he she his her its who what when where how why does did do many much can will would been also into than after between during these there one first most you we i my your if no all about more such"
        ),
        (
            .german,
            "der die das und in den von zu mit ist des dem ein eine einer einem einen eines im auf für sich nicht auch als an es war wurde wurden werden wird aus bei nach durch über unter sind oder zum zur was wer wie wo wann warum welche welcher welches viele hat haben hatte dass sie er ihre seine vor bis kann nur noch aber wenn ich wir man am um beim vom keine liegt wohnt"
        ),
        (
            .french,
            "le la les de des du et en un une est dans que qui pour par sur au aux avec ce cette ces son sa ses ne pas plus ou été était sont ont il elle ils comme mais leur quel quelle quels quelles quand où combien comment pourquoi à y se nous vous je l d qu"
        ),
        (
            .spanish,
            "el la los las de del y en un una que es por con para se su al lo como más fue son está era qué cuál cuáles cuándo dónde cómo quién cuántos cuántas cuánto entre sobre también pero sus este esta desde hasta no o han había durante muy según ser fueron"
        ),
        (
            .portuguese,
            "o a os as de do da dos das e em um uma que é por com para se na no nas nos ao à como mais foi são está não qual quais quando onde quem quantos quantas sobre também mas seu sua pelo pela entre ou foram até pelos desde era"
        ),
        (
            .italian,
            "il lo la i gli le di del della dei delle degli e in un una che è per con si da dal dalla nel nella nei al alla come più fu sono non quale quali quando dove chi quanti quante sono stato anche ma su sul sulla tra o ha hanno cosa era suo sua ed"
        ),
        (
            .catalan,
            "el la els les de del dels i en un una que és per amb a al als com més va són no quin quina quins quan on qui quants seu seva aquest aquesta entre o ha han també però pel ser era des fins sobre"
        ),
        (
            .romanian,
            "și în de la a al ale cu pe un o din este sunt că se pentru care nu mai prin au fost ce cum când unde cine câte câți care lui iar dar după între sau ca ei era către fi această acest avea"
        ),
        (
            .dutch,
            "de het een en van in is op te dat die voor met zijn aan niet door als bij ook werd worden wordt uit naar om of over was wat wie waar wanneer hoe hoeveel welke waarom deze dit er maar meer heeft hebben tot nog kan hij zij ze haar"
        ),
        (
            .swedish,
            "och i att det som en på är av för med den till ett var om de har inte från vid han hade kan ska vad vem när hur många vilken vilket var eller men så efter under sig sin mot där blev också detta ut mer"
        ),
        (
            .danish,
            "og i at det som en på er af for med den til et var om de har ikke fra ved han havde kan skal hvad hvem hvornår hvor hvordan mange hvilken hvilket eller men så efter under sig sin mod der blev også dette ud mere blevet"
        ),
        (
            .norwegian,
            "og i å det som en på er av for med den til et var om de har ikke fra ved han hadde kan skal hva hvem når hvor hvordan mange hvilken hvilket eller men så etter under seg sin mot der ble også dette ut mer blitt"
        ),
        (
            .finnish,
            "ja on ei se että oli hän joka ovat myös kun mutta sen sekä tai kuin vuonna mukaan olivat jonka ole mikä kuka missä milloin miten kuinka monta miksi sitä siitä hänen ne joita jossa voi nyt niin"
        ),
        (
            .estonian,
            "ja on ei see et oli ta mis kes ka kui aga selle või tema ning nende kus millal kuidas mitu miks olid kuni pärast enne tuleb seda"
        ),
        (
            .hungarian,
            "a az és hogy nem is egy van volt meg ez de mint csak már vagy amely aki mi mikor hol ki hány milyen miért melyik el ki után között szerint lehet minden azt ezt volna voltak"
        ),
        (
            .turkish,
            "ve bir bu da de için ile olarak çok daha olan ne kim nerede zaman nasıl kaç hangi gibi kadar en değil sonra göre ise ya veya oldu olduğu ancak var her kadar tarafından neden"
        ),
        (
            .polish,
            "i w z na do nie się jest to że od po za przez dla o jak ale był była było są oraz który która które co kto kiedy gdzie ile jaki jaka jakie dlaczego lub jego jej ich tego tym przy może tylko"
        ),
        (
            .czech,
            "a v se na je že s z do o k i ve pro jako za by byl byla bylo jsou který která které co kdo kdy kde kolik jaký jaká proč nebo po od při ale jeho její také není tento podle až"
        ),
        (
            .slovak,
            "a v sa na je že s z do o k i vo pre ako za by bol bola bolo sú ktorý ktorá ktoré čo kto kedy kde koľko aký aká prečo alebo po od pri ale jeho jej tiež nie tento podľa až"
        ),
        (
            .croatian,
            "i u je se na da su za od s iz kao koji koja koje što tko kada gdje koliko zašto ili ali bio bila bilo nije po do te sve kako o prema nakon između biti"
        ),
        (
            .slovenian,
            "in v je se na da so za od s z iz kot ki kaj kdo kdaj kje koliko zakaj ali pa bil bila bilo ni po do ter tudi kako o pri med biti"
        ),
        (
            .lithuanian, "ir yra kad į iš su bet kaip ar tai buvo nuo dėl per apie po už jis ji kas kur kada kiek kodėl taip pat jo jų arba"
        ),
        (
            .latvian, "un ir ka no ar uz par kas bet kā vai tas tā bija pēc pie līdz kur kad cik kāpēc arī viņš viņa to tika kurš nav"
        ),
        (
            .indonesian,
            "yang dan di dari untuk dengan pada ini itu dalam adalah tidak ke oleh sebagai juga atau akan telah ada mereka apa siapa kapan mana bagaimana berapa mengapa karena bahwa dapat lebih antara setelah"
        ),
        (
            .vietnamese,
            "và của là có các trong cho được những một với không này đã người về từ ở khi để đến như vào theo tại bởi gì ai nào bao nhiêu đâu sao nhưng cũng hay ra còn năm"
        ),
        (.basque, "eta da ez bat dira du zen ere hau zuen baina zer nor non noiz nola zenbat dute izan egin oso ziren"),
        (.irish, "agus an na ar is ag go le tá bhí sé sí do leis a i cé cad conas ní nach mar ach seo sin faoi"),
    ]

    private static let letterWords: [(Language, String)] = [
        (.german, "ßäöü"), (.swedish, "åäö"), (.danish, "æøå"), (.norwegian, "æøå"), (.finnish, "äö"), (.estonian, "õäöü"), (.spanish, "ñ"),
        (.portuguese, "ãõç"), (.french, "çèêœàûîë"), (.italian, "èìòù"), (.catalan, "çòèï"), (.romanian, "șțăâîşţ"), (.turkish, "ğışçöüİ"),
        (.hungarian, "őűáéöü"), (.polish, "łąężźćńśó"), (.czech, "ěřůčšžýá"), (.slovak, "ľĺŕôčšžý"), (.croatian, "đčćšž"),
        (.slovenian, "čšž"),
        (.lithuanian, "ėįųūąęčšž"), (.latvian, "āēīūģķļņčšž"),
        (.vietnamese, "đơưạảấầẩậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹăâêô"), (.irish, "áíúé"),
    ]

    /// Languages in Latin script, in the order of the bits of a mask.
    static let languages = words.map(\.0)

    static func index(of language: Language) -> Int { languages.firstIndex(of: language) ?? 0 }

    /// The languages that have a word of at most eight bytes; its bytes are the number's, the last one lowest.
    static let table: [UInt64: UInt32] = {
        var table: [UInt64: UInt32] = [:]
        for (index, entry) in words.enumerated() {
            for word in entry.1.split(separator: " ") where word.utf8.count <= 8 {
                table[word.utf8.reduce(0) { $0 << 8 | UInt64($1) }, default: 0] |= 1 << UInt32(index)
            }
        }
        return table
    }()

    static let letters: [UInt32: UInt32] = {
        var letters: [UInt32: UInt32] = [:]
        for (language, signs) in letterWords {
            for sign in signs.unicodeScalars { letters[sign.value, default: 0] |= 1 << UInt32(index(of: language)) }
        }
        return letters
    }()
}
