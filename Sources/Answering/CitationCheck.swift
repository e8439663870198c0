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
    /// What came of one claim.
    struct Verdict: Sendable {
        var claim: Claim
        /// By marker, what supports it; empty = nothing does, or it is neutral.
        var support: [(marker: Int, range: Range<Int>)]
        /// Terms that weigh in the share of what is supported.
        var weight: Int
    }

    /// Puts an answer together again: claims with the markers that hold, and none that nothing supports.
    struct Composition: Sendable {
        private(set) var text = ""
        private var waitingLead = ""

        /// - Parameter text: What stands before.
        init(beginning text: String = "") {
            self.text = text
            waitingLead = text.isEmpty ? "" : " "
        }

        mutating func addNeutral(_ claim: Claim) {
            text += waitingLead + claim.lead + claim.text
            waitingLead = ""
        }

        /// - Parameter written: The claim as the model wrote it, when it may stay so.
        mutating func addSupported(_ claim: Claim, markers: [Int], written: String? = nil) {
            let lead = text.isEmpty ? "" : waitingLead.isEmpty ? claim.lead : waitingLead
            waitingLead = ""
            text += lead + (written ?? claim.text + " " + markers.map { "[\($0)]" }.joined())
        }

        /// A lead keeps paragraphs apart also when the sentence between them goes.
        mutating func leaveOut(_ claim: Claim) {
            if claim.lead.contains("\n"), !text.isEmpty { waitingLead = claim.lead }
        }
    }

    /// What came of a check.
    struct Outcome: Sendable {
        var verdicts: [Verdict]
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
        let judge = Judge(
            evidence: evidence, sources: Array(evidence.sources.prefix(sourceCount)), collection: collection, statistics: statistics)
        return try await check(answer, by: judge, embed: embed)
    }

    /// The same for one of several parts of an answer, by a judge that was made once.
    static func check(_ answer: String, by judge: Judge, embed: ([String]) async throws -> [[Float]]?) async throws -> Outcome {
        let (claims, isPlain) = read(answer, sourceCount: judge.sources.count)
        let claimVectors = try await embed(claims.map { essence($0.text) })
        var outcome = Outcome(verdicts: [], answer: "", quotes: [], supportedShare: 0, isUnchanged: isPlain)
        var composition = Composition()
        var supportedWords = 0
        var allWords = 0
        for (index, claim) in claims.enumerated() {
            try Task.checkCancellation()
            if claim.isNeutral {
                composition.addNeutral(claim)
                outcome.verdicts.append(Verdict(claim: claim, support: [], weight: 0))
                if !claim.markers.isEmpty { outcome.isUnchanged = false }
                continue
            }
            let verdict = judge.verdict(claim, claimVectors.map { $0[index] } ?? [], &outcome)
            outcome.verdicts.append(verdict)
            allWords += verdict.weight
            guard !verdict.support.isEmpty else {
                outcome.objection = outcome.objection ?? unsupported
                outcome.isUnchanged = false
                composition.leaveOut(claim)
                continue
            }
            supportedWords += verdict.weight
            outcome.quotes += verdict.support.map { ($0.marker - 1, $0.range) }
            composition.addSupported(claim, markers: verdict.support.map(\.marker))
        }
        outcome.answer = composition.text
        outcome.supportedShare = allWords == 0 ? 0 : Float(supportedWords) / Float(allWords)
        return outcome
    }

    static let unsupported = "its sources do not say that"
}
