/// The language of a question, read off its script and its small words: enough to refuse in it.
enum QuestionLanguage: String, Sendable, CaseIterable {
    case english = "en"
    case german = "de"
    case french = "fr"
    case spanish = "es"
    case italian = "it"
    case portuguese = "pt"
    case dutch = "nl"
    case swedish = "sv"
    case danish = "da"
    case norwegian = "no"
    case finnish = "fi"
    case polish = "pl"
    case czech = "cs"
    case romanian = "ro"
    case turkish = "tr"
    case vietnamese = "vi"
    case russian = "ru"
    case ukrainian = "uk"
    case greek = "el"
    case arabic = "ar"
    case hebrew = "he"
    case hindi = "hi"
    case chinese = "zh"
    case japanese = "ja"
    case korean = "ko"
    case thai = "th"

    /// The likeliest language; English when nothing tells.
    init(of question: String) {
        var scripts: [QuestionLanguage: Int] = [:]
        var latinCount = 0
        for scalar in question.unicodeScalars {
            switch scalar.value {
            case 0x3040...0x30FF: scripts[.japanese, default: 0] += 4
            case 0x4E00...0x9FFF, 0x3400...0x4DBF: scripts[.chinese, default: 0] += 1
            case 0xAC00...0xD7AF, 0x1100...0x11FF: scripts[.korean, default: 0] += 1
            case 0x0E00...0x0E7F: scripts[.thai, default: 0] += 1
            case 0x0900...0x097F: scripts[.hindi, default: 0] += 1
            case 0x0600...0x06FF, 0xFB50...0xFDFF, 0xFE70...0xFEFF: scripts[.arabic, default: 0] += 1
            case 0x0590...0x05FF: scripts[.hebrew, default: 0] += 1
            case 0x0370...0x03FF, 0x1F00...0x1FFF: scripts[.greek, default: 0] += 1
            case 0x0404, 0x0406, 0x0407, 0x0454, 0x0456, 0x0457, 0x0490, 0x0491: scripts[.ukrainian, default: 0] += 8
            case 0x0400...0x04FF: scripts[.russian, default: 0] += 1
            case 0x41...0x5A, 0x61...0x7A, 0xC0...0x24F, 0x1E00...0x1EFF: latinCount += 1
            default: break
            }
        }
        // A name in Latin letters inside of a Chinese question does not make it English.
        if let script = scripts.max(by: { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }), script.value * 4 > latinCount {
            self = script.key == .chinese && scripts[.japanese] != nil ? .japanese : script.key
            return
        }
        let words = Words.split(question).map(\.lower)
        var best: (language: QuestionLanguage, score: Int) = (.english, 0)
        for language in Self.allCases {
            guard let small = Self.smallWords[language] else { continue }
            // A word of several languages tells little.
            var score = words.reduce(0) { $0 + (small.contains($1) ? Self.shared.contains($1) ? 1 : 2 : 0) }
            score += question.lowercased().unicodeScalars.count { Self.letters[language]?.contains($0) == true }
            if score > max(1, best.score) { best = (language, score) }
        }
        self = best.language
    }

    /// Whether names can be told by their capitals.
    var hasCapitals: Bool {
        switch self {
        case .arabic, .hebrew, .hindi, .chinese, .japanese, .korean, .thai: false
        default: true
        }
    }

    /// Whether words stand without spaces between them, or take their small words as endings.
    var isUnsegmented: Bool { Self.askingPieces[self] != nil }

    /// A question without the words that ask; what is left says what about.
    func content(_ question: String) -> String {
        if let pieces = Self.askingPieces[self] {
            return pieces.reduce(question) { $0.replacing($1, with: " ") }
        }
        guard let small = Self.smallWords[self] ?? Self.askingWords[self] else { return question }
        return Words.split(question).filter { !small.contains($0.lower) }.map(\.text).joined(separator: " ")
    }

    /// The kind of answer that a word of this language asks for; nil when the question has none that we know.
    func expectation(_ question: String, _ words: [String]) -> QuestionAnalysis.Expected? {
        guard let lists = Self.expectations[self] else { return nil }
        let isUnsegmented = Self.askingPieces[self] != nil
        for (expected, list) in lists {
            if list.split(separator: " ").contains(where: { isUnsegmented ? question.contains($0) : words.contains(String($0)) }) {
                return expected
            }
        }
        return nil
    }

    private static let expectations: [QuestionLanguage: [(QuestionAnalysis.Expected, String)]] = [
        .french: [(.person, "qui"), (.time, "quand"), (.place, "où"), (.number, "combien"), (.reason, "pourquoi")],
        .italian: [(.person, "chi"), (.time, "quando"), (.place, "dove"), (.number, "quanto quanti quanta quante"), (.reason, "perché")],
        .portuguese: [
            (.person, "quem"), (.time, "quando"), (.place, "onde"), (.number, "quanto quantos quanta quantas"), (.reason, "porquê"),
        ],
        .dutch: [(.person, "wie"), (.time, "wanneer"), (.place, "waar"), (.number, "hoeveel"), (.reason, "waarom")],
        .swedish: [(.person, "vem"), (.time, "när"), (.place, "var"), (.number, "många mycket"), (.reason, "varför")],
        .danish: [(.person, "hvem"), (.time, "hvornår"), (.number, "mange meget"), (.place, "hvor"), (.reason, "hvorfor")],
        .norwegian: [(.person, "hvem"), (.time, "når"), (.number, "mange mye"), (.place, "hvor"), (.reason, "hvorfor")],
        .finnish: [
            (.person, "kuka ketkä"), (.time, "milloin koska"), (.number, "monta paljonko"), (.place, "missä mistä mihin"),
            (.reason, "miksi"),
        ],
        .polish: [(.person, "kto"), (.time, "kiedy"), (.place, "gdzie"), (.number, "ile ilu"), (.reason, "dlaczego")],
        .czech: [(.person, "kdo"), (.time, "kdy"), (.place, "kde"), (.number, "kolik"), (.reason, "proč")],
        .romanian: [(.person, "cine"), (.time, "când"), (.place, "unde"), (.number, "cât câte câți câtă"), (.reason, "de ce")],
        .turkish: [(.time, "zaman"), (.person, "kim kimdir kimin"), (.place, "nerede neresi"), (.number, "kaç"), (.reason, "neden niçin")],
        .vietnamese: [(.person, "ai"), (.number, "nhiêu mấy"), (.place, "đâu"), (.reason, "sao")],
        .russian: [(.person, "кто кого кому"), (.time, "когда"), (.place, "где куда"), (.number, "сколько"), (.reason, "почему зачем")],
        .ukrainian: [(.person, "хто кого"), (.time, "коли"), (.place, "де куди"), (.number, "скільки"), (.reason, "чому")],
        .greek: [
            (.person, "ποιος ποια ποιοι"), (.time, "πότε"), (.place, "πού"), (.number, "πόσο πόσοι πόσες πόσα πόση"), (.reason, "γιατί"),
        ],
        .arabic: [(.time, "متى"), (.place, "أين"), (.number, "كم"), (.reason, "لماذا")],
        .hindi: [(.time, "कब"), (.number, "कितने कितनी कितना"), (.place, "कहाँ कहां"), (.reason, "क्यों")],
        .chinese: [
            (.time, "何时 什么时候 哪年 哪一年"), (.number, "多少 几个 几年"), (.reason, "为什么 为何"),
        ],
        .japanese: [(.time, "いつ 何年"), (.number, "いくつ いくら 何人"), (.reason, "なぜ")],
        .korean: [(.time, "언제"), (.number, "몇 얼마"), (.reason, "왜")],
        .thai: [(.time, "เมื่อไร เมื่อใด ปีใด"), (.number, "กี่ เท่าไร เท่าใด"), (.reason, "ทำไม")],
    ]

    /// Of languages whose words stand apart.
    private static let askingWords: [QuestionLanguage: Set<String>] = [
        .russian: [
            "кто", "кого", "кому", "что", "чего", "чем", "когда", "где", "куда", "откуда", "как", "какой", "какая", "какое", "какие",
            "каких", "каком",
            "какую", "сколько", "почему", "зачем", "который", "которая", "был", "была", "было", "были", "есть", "это", "и", "в", "на", "с",
            "по", "для",
            "из", "о", "от", "до", "у", "к", "ли",
        ],
        .ukrainian: [
            "хто", "що", "коли", "де", "куди", "як", "який", "яка", "яке", "які", "скільки", "чому", "був", "була", "було", "були", "є",
            "це", "і", "в", "у",
            "на", "з", "до", "для", "від", "за",
        ],
        .greek: [
            "ποιος", "ποια", "ποιο", "ποιοι", "ποιες", "ποιον", "τι", "πότε", "πού", "πώς", "πόσο", "πόσοι", "πόσες", "πόσα", "γιατί", "ο",
            "η", "το", "οι",
            "τα", "του", "της", "των", "τον", "την", "τους", "τις", "στο", "στη", "στην", "στον", "στα", "στις", "είναι", "ήταν", "και",
            "σε", "από", "για",
            "με", "που", "να", "ένα", "μια", "ένας",
        ],
        .arabic: [
            "من", "ما", "ماذا", "متى", "أين", "كيف", "كم", "لماذا", "أي", "هل", "هو", "هي", "كان", "كانت", "في", "على", "إلى", "عن", "مع",
            "التي", "الذي", "هذا",
            "هذه", "ذلك", "أن", "عدد", "تم", "يتم", "قبل", "بعد",
        ],
        .hebrew: [
            "מי", "מה", "מתי", "איפה", "היכן", "איך", "כיצד", "כמה", "למה", "מדוע", "איזה", "איזו", "של", "על", "את", "הוא", "היא", "היה",
            "הייתה", "עם",
        ],
        .hindi: [
            "कौन", "किसने", "किस", "किसे", "क्या", "कब", "कहाँ", "कहां", "कैसे", "कितने", "कितनी", "कितना", "क्यों", "का", "की", "के", "में", "से", "को", "ने", "है", "हैं",
            "था",
            "थे", "थी", "पर", "और", "एक", "यह", "वह", "कौनसा", "कौनसी", "लिए", "गया", "गए", "गई", "हुआ", "हुई", "किया", "तक", "या", "द्वारा", "नाम",
        ],
    ]

    /// Of languages that write without spaces, or join small words to others.
    private static let askingPieces: [QuestionLanguage: [String]] = [
        .chinese: [
            "什么时候", "为什么", "什么样", "什么", "哪一年", "哪里", "哪个", "哪些", "哪年", "哪一", "哪", "谁", "多少", "几个", "如何", "怎么", "怎样", "为何", "何时", "何处", "是否",
            "吗", "呢", "？", "?",
        ],
        .japanese: [
            "どのように", "どのような", "ですか", "でしたか", "ますか", "ましたか", "いつ", "どこ", "誰", "だれ", "なぜ", "どの", "どれ", "いくつ", "いくら", "何年", "何人", "何", "とは",
            "は", "が", "を", "の", "に", "で", "？",
        ],
        .korean: ["무엇입니까", "무엇", "누구", "누가", "언제", "어디", "어떻게", "어떤", "얼마", "왜", "몇", "입니까", "인가요", "습니까", "?", "？"],
        .thai: [
            "อะไร", "ใคร", "เมื่อไร", "เมื่อใด", "ที่ไหน", "อย่างไร", "ทำไม", "กี่", "เท่าไร", "เท่าใด", "ใด", "ไหน", "คือ", "ของ", "ใน", "ที่", "เป็น",
            "มี", "?",
        ],
    ]

    /// What stands in place of an answer that the documents do not hold.
    var refusal: String {
        switch self {
        case .english: "I don't have enough information in the indexed documents to answer that."
        case .german: "Die erfassten Dokumente enthalten nicht genug, um diese Frage zu beantworten."
        case .french: "Les documents indexés ne contiennent pas de quoi répondre à cette question."
        case .spanish: "Los documentos indexados no contienen lo necesario para responder a esta pregunta."
        case .italian: "I documenti indicizzati non contengono abbastanza per rispondere a questa domanda."
        case .portuguese: "Os documentos indexados não contêm o suficiente para responder a esta pergunta."
        case .dutch: "De opgenomen documenten bevatten niet genoeg om deze vraag te beantwoorden."
        case .swedish: "De indexerade dokumenten innehåller inte tillräckligt för att besvara frågan."
        case .danish: "De indekserede dokumenter indeholder ikke nok til at besvare spørgsmålet."
        case .norwegian: "De indekserte dokumentene inneholder ikke nok til å svare på spørsmålet."
        case .finnish: "Tallennetuissa asiakirjoissa ei ole tarpeeksi tietoa tähän kysymykseen vastaamiseksi."
        case .polish: "Zindeksowane dokumenty nie zawierają informacji potrzebnych do odpowiedzi na to pytanie."
        case .czech: "Uložené dokumenty neobsahují dost informací k zodpovězení této otázky."
        case .romanian: "Documentele indexate nu conțin destule informații pentru a răspunde la această întrebare."
        case .turkish: "Dizine eklenen belgeler bu soruyu yanıtlamaya yetecek bilgiyi içermiyor."
        case .vietnamese: "Các tài liệu đã lập chỉ mục không có đủ thông tin để trả lời câu hỏi này."
        case .russian: "В проиндексированных документах недостаточно сведений, чтобы ответить на этот вопрос."
        case .ukrainian: "У проіндексованих документах недостатньо відомостей, щоб відповісти на це запитання."
        case .greek: "Τα καταχωρισμένα έγγραφα δεν περιέχουν αρκετά στοιχεία για να απαντηθεί η ερώτηση."
        case .arabic: "لا تحتوي المستندات المفهرسة على ما يكفي للإجابة عن هذا السؤال."
        case .hebrew: "במסמכים שנשמרו אין די מידע כדי לענות על השאלה."
        case .hindi: "अनुक्रमित दस्तावेज़ों में इस प्रश्न का उत्तर देने के लिए पर्याप्त जानकारी नहीं है।"
        case .chinese: "已收录的文档中没有足够的信息来回答这个问题。"
        case .japanese: "登録された文書には、この質問に答えるための十分な情報がありません。"
        case .korean: "색인된 문서에는 이 질문에 답할 만한 정보가 충분하지 않습니다."
        case .thai: "เอกสารที่จัดทำดัชนีไว้มีข้อมูลไม่เพียงพอที่จะตอบคำถามนี้"
        }
    }

    /// Letters that few other languages have.
    private static let letters: [QuestionLanguage: Set<Unicode.Scalar>] = [
        .german: ["ß", "ä", "ü"], .french: ["ç", "œ", "ê", "à"], .spanish: ["ñ", "¿", "¡"], .portuguese: ["ã", "õ", "ç"],
        .swedish: ["å", "ä"], .danish: ["æ", "ø", "å"], .norwegian: ["ø", "å"], .finnish: ["ä"],
        .polish: ["ł", "ą", "ę", "ś", "ż", "ź", "ć", "ń"],
        .czech: ["ř", "ě", "ů", "č", "ž", "š"], .romanian: ["ă", "ț", "ș", "ţ", "ş", "â"], .turkish: ["ğ", "ı", "ş"],
        .vietnamese: ["đ", "ơ", "ư", "ạ", "ả", "ế", "ệ", "ộ", "ố", "ồ", "ấ", "ầ", "ậ", "ữ", "ự", "ị", "ợ", "ể"],
    ]

    private static let shared: Set<String> = {
        var counts: [String: Int] = [:]
        for list in smallWords.values { for word in list { counts[word, default: 0] += 1 } }
        return Set(counts.filter { $0.value > 1 }.keys)
    }()

    private static let smallWords: [QuestionLanguage: Set<String>] = [
        .english: [
            "the", "of", "is", "are", "was", "were", "what", "who", "how", "when", "where", "which", "why", "did", "does", "do", "to",
            "and",
            "for", "in", "on", "by", "with", "many", "much", "long", "per", "at", "from", "a", "an",
        ],
        .german: [
            "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "wer", "wann", "wie", "wo", "was", "welche", "welcher",
            "welches",
            "wohin", "warum", "ist", "sind", "war", "hat", "wird", "wurde", "und", "von", "mit", "für", "im", "viel", "viele", "hoch",
            "lange", "zu",
            "nach", "bei",
        ],
        .french: [
            "le", "la", "les", "des", "du", "de", "un", "une", "est", "sont", "qui", "que", "quel", "quelle", "quels", "quelles", "quand",
            "où",
            "comment", "combien", "pourquoi", "et", "dans", "pour", "sur", "au", "aux",
        ],
        .spanish: [
            "el", "la", "los", "las", "de", "del", "un", "una", "es", "son", "qué", "quién", "cuál", "cuándo", "dónde", "cómo", "cuánto",
            "cuánta",
            "cuántos", "cuántas", "por", "para", "en", "con", "y", "fue", "que",
        ],
        .italian: [
            "il", "lo", "la", "gli", "di", "del", "della", "dei", "delle", "un", "una", "è", "sono", "che", "chi", "quale", "quali",
            "quando",
            "dove", "come", "quanto", "quanti", "quante", "quanta", "perché", "per", "con", "nel", "nella", "cosa", "qual",
        ],
        .portuguese: [
            "o", "os", "as", "de", "do", "da", "dos", "das", "um", "uma", "é", "são", "que", "quem", "qual", "quais", "quando", "onde",
            "como",
            "a", "quanto", "quantos", "quantas", "tempo", "por", "para", "em", "no", "na", "com", "foi",
        ],
        .dutch: [
            "de", "het", "een", "van", "is", "zijn", "wie", "wat", "wanneer", "waar", "hoe", "hoeveel", "welke", "waarom", "en", "voor",
            "met",
            "op", "naar", "aan", "wordt", "werd", "lang",
        ],
        .swedish: [
            "den", "det", "en", "ett", "är", "av", "vem", "vad", "när", "var", "hur", "vilken", "vilket", "varför", "och", "för", "med",
            "på",
            "till", "som", "många", "mycket",
        ],
        .danish: [
            "den", "det", "en", "et", "er", "af", "hvem", "hvad", "hvornår", "hvor", "hvordan", "hvilken", "hvilket", "hvorfor", "og",
            "for",
            "med", "på", "til", "som", "mange", "meget",
        ],
        .norwegian: [
            "den", "det", "en", "et", "er", "av", "hvem", "hva", "når", "hvor", "hvordan", "hvilken", "hvilket", "hvorfor", "og", "for",
            "med",
            "på", "til", "som", "mange", "mye",
        ],
        .finnish: [
            "on", "ovat", "oli", "kuka", "mikä", "mitä", "milloin", "missä", "mistä", "mihin", "kuinka", "miten", "miksi", "ja", "paljonko",
            "monta",
            "kauanko", "koska", "pitkä",
        ],
        .polish: [
            "jest", "są", "był", "była", "kto", "co", "kiedy", "gdzie", "jak", "ile", "jaki", "jaka", "jakie", "który", "która", "dlaczego",
            "i",
            "w", "z", "na", "do", "dla", "się", "od",
        ],
        .czech: [
            "je", "jsou", "byl", "byla", "kdo", "co", "kdy", "kde", "jak", "kolik", "jaký", "jaká", "který", "která", "proč", "a", "v",
            "na", "do",
            "se", "od",
        ],
        .romanian: [
            "este", "sunt", "era", "cine", "ce", "când", "unde", "cum", "cât", "câte", "câți", "care", "și", "în", "de", "la", "pentru",
            "cu",
            "din", "a", "al", "ale",
        ],
        .turkish: [
            "kim", "ne", "nedir", "kaç", "nerede", "nasıl", "hangi", "neden", "niçin", "ve", "için", "ile", "bir", "bu", "mi", "mı",
            "kadar",
            "zaman",
        ],
        .vietnamese: [
            "là", "của", "ai", "gì", "khi", "nào", "đâu", "bao", "nhiêu", "tại", "sao", "và", "cho", "với", "trong", "có", "được", "lâu",
        ],
    ]
}
