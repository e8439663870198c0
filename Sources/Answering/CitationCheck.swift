// Does the source say what the answer says it says?
//
// A model's answer is cut into sentences. For each sentence and each source it names, the source's units are compared with it: how many of its
// weighty words stand there, how near the meanings are, whether its numbers, codes and names stand in the source at all. A marker without support
// is removed; a sentence without a marker gets one where a source clearly supports it; a sentence that nothing supports is left out. The method
// follows attribution checks such as Rashkin et al., 2023, "Measuring attribution in natural language generation models", with word overlap and
// embeddings in place of an entailment model.

import Inference
import Retrieval

/// The part of an answer's text that a check looks at: a sentence and the markers behind it.
struct Claim: Sendable, Equatable {
    /// Without markers.
    var text: String
    var markers: [Int]
    /// White space before the sentence, as it was written.
    var lead: String
    /// A heading, a greeting, "here is the answer:": says nothing that a source could support.
    var isNeutral = false
}

enum CitationCheck {
    /// What came of a check.
    struct Outcome: Sendable {
        /// The answer with markers that hold, without sentences that nothing supports.
        var answer: String
        /// Quotes for each marker: source index and range, in the order of the answer.
        var quotes: [(source: Int, range: Range<Int>)]
        /// Share of the answer's words that are supported, 0...1.
        var supportedShare: Float
        /// True when every marker was written as `[1]` and holds, and no sentence is missing: the answer may stay as the model wrote it.
        var isUnchanged: Bool
        /// Why a sentence was not supported; nil when all were.
        var objection: String?
    }

    /// Cuts an answer into claims. `Paris [1][2]. It is big.` has two: the markers before and behind a full stop belong to its sentence.
    static func claims(_ answer: String, sourceCount: Int) -> [Claim] { read(answer, sourceCount: sourceCount).claims }

    /// - Returns: The claims, and whether every marker is of the plain form and names a source.
    private static func read(_ answer: String, sourceCount: Int) -> (claims: [Claim], isPlain: Bool) {
        let (plain, marks, isPlain) = AnswerMarkers.extract(answer, sourceCount: sourceCount)
        var claims: [Claim] = []
        let units = TextUnits.units(in: plain)
        let ranges = units.map(\.range)
        var previousEnd = 0
        for (position, range) in ranges.enumerated() {
            let next = position + 1 < ranges.count ? ranges[position + 1].lowerBound : Int.max
            // A marker at the very start of the next sentence stands behind this one's full stop.
            let own = marks.filter { mark in
                position == 0 && mark.offset <= range.lowerBound || mark.offset > range.lowerBound && mark.offset <= range.upperBound
                    || mark.offset > range.upperBound && mark.offset <= next
            }
            var seen: Set<Int> = []
            let text = String(decoding: plain[range], as: UTF8.self)
            claims.append(
                Claim(
                    text: text, markers: own.map(\.marker).filter { (1...max(1, sourceCount)).contains($0) && seen.insert($0).inserted },
                    lead: String(decoding: plain[previousEnd..<range.lowerBound], as: UTF8.self),
                    isNeutral: units[position].kind == .heading || isNeutral(text)))
            previousEnd = range.upperBound
        }
        return (claims, isPlain)
    }

    /// Sentences and openings that say nothing about the matter.
    private static func isNeutral(_ text: String) -> Bool {
        let words = Words.split(essence(text)).map(\.lower)
        if words.allSatisfy(courtesies.contains) { return true }
        return text.hasSuffix(":") && words.count <= 12 && Numbers.all(essence(text)).isEmpty
    }

    private static let courtesies: Set<String> = [
        "sure", "certainly", "of", "course", "yes", "no", "okay", "ok", "here", "is", "the", "answer", "thanks", "thank", "you", "great",
        "question",
        "based", "on", "sources", "source", "according", "to", "provided", "hope", "this", "helps", "i", "happy", "help", "ja", "nein",
        "gerne",
        "natürlich", "hier", "ist", "die", "antwort", "sí", "oui", "voici", "la", "réponse", "respuesta", "let", "me", "know", "if", "have",
        "any",
        "more", "questions", "please", "note", "that",
    ]

    /// A sentence without its dress: emphasis, list marks, a label such as "Answer:", a courtesy before it.
    static func essence(_ text: String) -> String {
        var text = text.replacing("**", with: "").replacing("__", with: "").replacing("`", with: "")
        if let match = text.prefixMatch(of: /\s*(?:#+\s+|[-*+•]\s+|\(?\d{1,3}[.)]\s+)?/) { text = String(text[match.range.upperBound...]) }
        text = text.replacing("*", with: "")
        let labels =
            #/(?i)\s*(?:final answer|short answer|answer|antwort|kurze antwort|respuesta|réponse|risposta|resposta|antwoord|result|ergebnis)\s*[:：–-]\s*/#
        if let match = text.prefixMatch(of: labels) { text = String(text[match.range.upperBound...]) }
        let openings =
            #/(?i)\s*(?:sure|certainly|of course|yes|no|okay|ok|gerne|natürlich|ja|nein)[!,.]\s+|\s*(?:according to|based on) (?:the )?(?:provided |given )?(?:sources?|documents?|text)(?: \d+)?,\s*/#
        while let match = text.prefixMatch(of: openings), !match.range.isEmpty { text = String(text[match.range.upperBound...]) }
        return text
    }

    /// Checks an answer against its sources.
    ///
    /// - Parameters:
    ///   - sources: The ones of the prompt.
    ///   - embed: Unit-length vectors, or nil when they are not to be had: then words alone decide, more strictly.
    static func check(
        _ answer: String, evidence: Evidence, sourceCount: Int, collection: String, statistics: any TermStatistics,
        embed: ([String]) async throws -> [[Float]]?
    ) async throws -> Outcome {
        let sources = Array(evidence.sources.prefix(sourceCount))
        let (claims, isPlain) = read(answer, sourceCount: sources.count)
        let judge = Judge(evidence: evidence, sources: sources, collection: collection, statistics: statistics)
        let claimVectors = try await embed(claims.map { essence($0.text) })
        var text = ""
        var quotes: [(source: Int, range: Range<Int>)] = []
        var supportedWords = 0
        var allWords = 0
        var isUnchanged = isPlain
        var objection: String?
        var waitingLead = ""
        for (index, claim) in claims.enumerated() {
            try Task.checkCancellation()
            if claim.isNeutral {
                text += waitingLead + claim.lead + claim.text
                waitingLead = ""
                if !claim.markers.isEmpty { isUnchanged = false }
                continue
            }
            let vector = claimVectors.map { $0[index] } ?? []
            let essence = essence(claim.text)
            let subject = judge.subject(essence, vector)
            var kept: [(marker: Int, range: Range<Int>)] = []
            for marker in claim.markers {
                switch judge.support(subject, source: marker - 1, isNamed: true) {
                case .supported(let range): kept.append((marker, range))
                case .refused(let reason): objection = objection ?? reason
                }
            }
            if kept.count < claim.markers.count { isUnchanged = false }
            if kept.isEmpty {
                // Nothing that it names supports it; perhaps another source does.
                for source in sources.indices where !claim.markers.contains(source + 1) {
                    guard case .supported(let range) = judge.support(subject, source: source, isNamed: false) else { continue }
                    kept.append((source + 1, range))
                    isUnchanged = false
                    break
                }
            }
            if !kept.isEmpty, let missing = judge.missingSide(of: essence, quoted: kept.map { ($0.marker - 1, $0.range) }) {
                // The other side of a comparison may stand in a source that the sentence forgot to name.
                if let other = missing.first(where: { !$0.isEmpty }) {
                    kept += other.map { (marker: $0.source + 1, range: $0.range) }
                    isUnchanged = false
                } else {
                    kept = []
                    objection = "a comparison that does not rest on each of what it compares"
                }
            }
            allWords += subject.terms.count
            guard !kept.isEmpty else {
                objection = objection ?? "its sources do not say that"
                isUnchanged = false
                // A lead keeps paragraphs apart also when the sentence between them goes.
                if claim.lead.contains("\n"), !text.isEmpty { waitingLead = claim.lead }
                continue
            }
            supportedWords += subject.terms.count
            quotes += kept.map { ($0.marker - 1, $0.range) }
            let lead = text.isEmpty ? "" : waitingLead.isEmpty ? claim.lead : waitingLead
            waitingLead = ""
            text += lead + claim.text + " " + kept.map { "[\($0.marker)]" }.joined()
        }
        return Outcome(
            answer: text, quotes: quotes, supportedShare: allWords == 0 ? 0 : Float(supportedWords) / Float(allWords),
            isUnchanged: isUnchanged,
            objection: objection)
    }

    /// Compares claims with the units of sources.
    private struct Judge {
        /// A claim, prepared for comparing.
        struct Subject {
            var terms: [String]
            var vector: [Float]
            var numbers: [Numbers.Readings]
            var codes: Set<String>
            var names: [String]
        }
        enum Verdict {
            case supported(Range<Int>)
            case refused(String)
        }

        let evidence: Evidence
        let sources: [Source]
        let collection: String
        let statistics: any TermStatistics
        /// Terms and vector of each unit, by source.
        private var units: [[(range: Range<Int>, terms: Set<String>, vector: [Float])]]
        private let texts: [String]
        private let words: [Set<String>]
        private let numbers: [Set<String>]
        private let codes: [Set<String>]
        private let questionWords: Set<String>

        init(evidence: Evidence, sources: [Source], collection: String, statistics: any TermStatistics) {
            self.evidence = evidence
            self.sources = sources
            self.collection = collection
            self.statistics = statistics
            let vectors = Dictionary(
                evidence.units.filter { !$0.vector.isEmpty }.map { ([$0.source, $0.unit], $0.vector) },
                uniquingKeysWith: { first, _ in first })
            units = sources.indices.map { source in
                sources[source].units.indices.compactMap { unit in
                    let this = sources[source].units[unit]
                    guard this.kind != .heading else { return nil }
                    var text = sources[source].text(this.range)
                    if this.kind == .row, let header = this.context { text += "\n" + sources[source].text(header) }
                    return (this.range, Set(statistics.terms(of: Numbers.normalized(text), in: collection)), vectors[[source, unit]] ?? [])
                }
            }
            texts = sources.map { $0.passage.text + "\n" + ($0.passage.title ?? "") + "\n" + $0.passage.heading + "\n" + $0.passage.source }
            words = texts.map { text in Set(Words.split(text).flatMap { [$0.lower] + ($0.number.map { [$0] } ?? []) }) }
            numbers = texts.map(Numbers.values)
            codes = texts.map { Set(Identifiers.all($0).map(\.folded)) }
            questionWords = Set(Words.split(evidence.analysis.question).map(\.lower))
        }

        func subject(_ claim: String, _ vector: [Float]) -> Subject {
            let claimWords = Words.split(claim)
            return Subject(
                terms: statistics.terms(of: Numbers.normalized(claim), in: collection), vector: vector, numbers: Numbers.all(claim),
                codes: Set(Identifiers.all(claim).filter(\.isCode).map(\.folded)),
                names: claimWords.dropFirst().filter { $0.isCapitalized && $0.text.count > 2 }.map(\.lower))
        }

        /// The unit, or two neighbours, that support a claim.
        ///
        /// - Parameter isNamed: The answer names this source. One that it does not name must be clearer.
        func support(_ claim: Subject, source: Int, isNamed: Bool) -> Verdict {
            guard sources.indices.contains(source), !claim.terms.isEmpty else { return .refused("its sources do not say that") }
            // A number or code that the source does not have cannot come from it.
            guard claim.numbers.allSatisfy({ !$0.isDisjoint(with: numbers[source]) }) else {
                return .refused("a number is not in its source")
            }
            guard claim.codes.isSubset(of: codes[source]) else { return .refused("a code is not in its source") }
            let foreign = claim.names.filter { !words[source].contains($0) && !questionWords.contains($0) }
            // A name that stands in another source only: two sources joined under one marker.
            let isJoined = foreign.contains { name in words.indices.contains { $0 != source && words[$0].contains(name) } }
            guard !isJoined, Float(foreign.count) <= 0.34 * Float(claim.names.count) else { return .refused("a name is not in its source") }

            let distinct = Set(claim.terms)
            let weights = distinct.map { ($0, max(0.1, statistics.inverseDocumentFrequency(of: $0, in: collection))) }
            let sum = weights.reduce(0) { $0 + $1.1 }
            let vector = claim.vector
            var best: (range: Range<Int>, coverage: Float, cosine: Float, value: Float)?
            for (index, unit) in units[source].enumerated() {
                let cosine = unit.vector.isEmpty || vector.isEmpty ? 0 : Evidence.dot(unit.vector, vector)
                let alone = weights.reduce(0) { $0 + (unit.terms.contains($1.0) ? $1.1 : 0) } / sum
                consider(unit.range, alone, cosine)
                guard index + 1 < units[source].count else { continue }
                let next = units[source][index + 1]
                let both = weights.reduce(0) { $0 + (unit.terms.contains($1.0) || next.terms.contains($1.0) ? $1.1 : 0) } / sum
                let nextCosine = next.vector.isEmpty || vector.isEmpty ? 0 : Evidence.dot(next.vector, vector)
                // Two sentences must be worth the longer quote.
                if both > alone + 0.2, next.range.upperBound - unit.range.lowerBound <= 700 {
                    consider(unit.range.lowerBound..<next.range.upperBound, both - 0.05, max(cosine, nextCosine))
                }
            }
            func consider(_ range: Range<Int>, _ coverage: Float, _ cosine: Float) {
                let value = coverage + cosine
                if value > best?.value ?? 0 { best = (range, coverage, cosine, value) }
            }
            guard let best else { return .refused("its sources do not say that") }
            let hasVectors = !vector.isEmpty
            let isSupported =
                isNamed
                ? best.coverage >= 0.6
                    || hasVectors && (best.coverage >= 0.35 && best.cosine >= 0.5 || best.coverage >= 0.2 && best.cosine >= 0.75)
                : best.coverage >= 0.75 || hasVectors && best.coverage >= 0.5 && best.cosine >= 0.65
            return isSupported ? .supported(best.range) : .refused("its sources do not say that")
        }

        /// Whether a comparison leaves a side without a quote.
        ///
        /// - Returns: Nil when nothing is compared or every side is quoted; else, for the sides that are missing, quotes that would complete them, or an
        ///   empty list when there are none.
        func missingSide(of claim: String, quoted: [(source: Int, range: Range<Int>)]) -> [[(source: Int, range: Range<Int>)]]? {
            let sides = evidence.analysis.alternatives
            guard sides.count > 1 else {
                // "The highest of all" cannot be read off one document, unless its sentence says so itself.
                guard evidence.analysis.isSuperlative, Set(sources.map(\.passage.documentID)).count > 1,
                    Set(quoted.map { sources[$0.source].passage.documentID }).count < 2
                else { return nil }
                let said = quoted.contains { quote in
                    Words.split(sources[quote.source].text(quote.range)).contains { QuestionAnalysis.isSuperlative($0.lower) }
                }
                let isOneTable = quoted.contains { quote in
                    sources[quote.source].units.contains { $0.range.overlaps(quote.range) && ($0.kind == .row || $0.kind == .item) }
                }
                return said || isOneTable ? nil : [[]]
            }
            let quotedWords = quoted.map { words[$0.source] }
            let missing = sides.filter { side in !quotedWords.contains { side.isSubset(of: $0) } }
            guard !missing.isEmpty else { return nil }
            var additions: [(source: Int, range: Range<Int>)] = []
            for side in missing {
                guard
                    let unit = evidence.units.first(where: { unit in
                        sources.indices.contains(unit.source) && side.isSubset(of: words[unit.source])
                            && !unit.terms.isDisjoint(with: evidence.analysis.terms.map(\.text))
                    })
                else { return [[]] }
                additions.append((unit.source, sources[unit.source].units[unit.unit].range))
            }
            return [additions]
        }
    }
}
