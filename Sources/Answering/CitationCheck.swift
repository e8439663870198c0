// Does the source say what the answer says it says?
//
// A model's answer is cut into sentences. For each sentence and each source it names, the source's units are compared with it: how many of its
// weighty words stand there, how near the meanings are, whether its numbers and names stand in the source at all. A marker without support is
// removed; a sentence without a marker gets one where a source clearly supports it. The method follows attribution checks such as Rashkin et al.,
// 2023, "Measuring attribution in natural language generation models", with word overlap and embeddings in place of an entailment model.

import Inference
import Retrieval

/// The part of an answer's text that a check looks at: a sentence and the markers behind it.
struct Claim: Sendable, Equatable {
    /// Without markers.
    var text: String
    var markers: [Int]
    /// White space before the sentence, as it was written.
    var lead: String
}

enum CitationCheck {
    /// What came of a check.
    struct Outcome: Sendable {
        /// The answer with markers that hold.
        var answer: String
        /// Quotes for each marker: source index and range, in the order of the answer.
        var quotes: [(source: Int, range: Range<Int>)]
        /// Share of the answer's words that are supported, 0...1.
        var supportedShare: Float
    }

    /// Cuts an answer into claims. `Paris [1][2]. It is big.` has two: the markers before and behind a full stop belong to its sentence.
    static func claims(_ answer: String, sourceCount: Int) -> [Claim] {
        var claims: [Claim] = []
        let bytes = Array(answer.utf8)
        // Markers are taken out first, because they hide the ends of sentences.
        var plain: [UInt8] = []
        var marks: [(offset: Int, marker: Int)] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "["), let (numbers, end) = marker(bytes, index) {
                for number in numbers { marks.append((plain.count, number)) }
                // The space before a marker goes with it.
                while plain.last == 0x20, end < bytes.count, ".,;:!? \n".utf8.contains(bytes[end]) { plain.removeLast() }
                index = end
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        let ranges = TextUnits.units(in: plain).map(\.range)
        var previousEnd = 0
        for (position, range) in ranges.enumerated() {
            let next = position + 1 < ranges.count ? ranges[position + 1].lowerBound : Int.max
            // A marker at the very start of the next sentence stands behind this one's full stop.
            let own = marks.filter { mark in
                position == 0 && mark.offset <= range.lowerBound || mark.offset > range.lowerBound && mark.offset <= range.upperBound
                    || mark.offset > range.upperBound && mark.offset <= next
            }
            var seen: Set<Int> = []
            claims.append(
                Claim(
                    text: String(decoding: plain[range], as: UTF8.self),
                    markers: own.map(\.marker).filter { (1...max(1, sourceCount)).contains($0) && seen.insert($0).inserted },
                    lead: String(decoding: plain[previousEnd..<range.lowerBound], as: UTF8.self)))
            previousEnd = range.upperBound
        }
        return claims
    }

    /// `[3]`, `[1, 2]`, `[source 2]`: the numbers and the byte after it.
    private static func marker(_ bytes: [UInt8], _ start: Int) -> (numbers: [Int], end: Int)? {
        guard let close = bytes[start...].prefix(32).firstIndex(of: UInt8(ascii: "]")) else { return nil }
        var inside = String(decoding: bytes[(start + 1)..<close], as: UTF8.self).lowercased()
        for word in ["sources", "source", "src"] where inside.hasPrefix(word) { inside.removeFirst(word.count) }
        var numbers: [Int] = []
        for part in inside.split(whereSeparator: { $0 == "," || $0 == ";" || $0 == " " || $0 == ":" }) {
            guard let number = Int(part), (0...999).contains(number) else { return nil }
            numbers.append(number)
        }
        return numbers.isEmpty ? nil : (numbers, close + 1)
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
        let claims = claims(answer, sourceCount: sources.count)
        let judge = Judge(evidence: evidence, sources: sources, collection: collection, statistics: statistics)
        let claimVectors = try await embed(claims.map(\.text))
        var text = ""
        var quotes: [(source: Int, range: Range<Int>)] = []
        var supportedWords = 0
        var allWords = 0
        for (index, claim) in claims.enumerated() {
            try Task.checkCancellation()
            let vector = claimVectors.map { $0[index] } ?? []
            let terms = statistics.terms(of: claim.text, in: collection)
            var kept: [Int] = []
            for marker in claim.markers {
                guard let range = judge.support(claim.text, terms, vector, source: marker - 1, isNamed: true) else { continue }
                kept.append(marker)
                quotes.append((marker - 1, range))
            }
            if kept.isEmpty {
                // Nothing that it names supports it; perhaps another source does.
                for source in sources.indices where !claim.markers.contains(source + 1) {
                    guard let range = judge.support(claim.text, terms, vector, source: source, isNamed: false) else { continue }
                    kept.append(source + 1)
                    quotes.append((source, range))
                    break
                }
            }
            allWords += terms.count
            if !kept.isEmpty { supportedWords += terms.count }
            text += claim.lead + claim.text + (kept.isEmpty ? "" : " " + kept.map { "[\($0)]" }.joined())
        }
        return Outcome(answer: text, quotes: quotes, supportedShare: allWords == 0 ? 0 : Float(supportedWords) / Float(allWords))
    }

    /// Compares claims with the units of sources.
    private struct Judge {
        let evidence: Evidence
        let sources: [Source]
        let collection: String
        let statistics: any TermStatistics
        /// Terms and vector of each unit, by source.
        private var units: [[(range: Range<Int>, terms: Set<String>, vector: [Float])]]
        private let words: [Set<String>]
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
                    let range = sources[source].units[unit].range
                    guard sources[source].units[unit].kind != .heading else { return nil }
                    return (range, Set(statistics.terms(of: sources[source].text(range), in: collection)), vectors[[source, unit]] ?? [])
                }
            }
            words = sources.map { source in
                Set(
                    Words.split(source.passage.text + "\n" + (source.passage.title ?? "") + "\n" + source.passage.heading).flatMap {
                        [$0.lower] + ($0.number.map { [$0] } ?? [])
                    })
            }
            questionWords = Set(Words.split(evidence.analysis.question).map(\.lower))
        }

        /// The unit, or two neighbours, that support a claim; nil when none does.
        ///
        /// - Parameter isNamed: The answer names this source. One that it does not name must be clearer.
        func support(_ claim: String, _ terms: [String], _ vector: [Float], source: Int, isNamed: Bool) -> Range<Int>? {
            guard sources.indices.contains(source), !terms.isEmpty else { return nil }
            let claimWords = Words.split(claim)
            // A number that the source does not have cannot come from it.
            for word in claimWords {
                if let number = word.number, !words[source].contains(number), !words[source].contains(word.lower) { return nil }
            }
            let names = claimWords.dropFirst().filter { $0.isCapitalized && $0.text.count > 2 }
            let foreign = names.count { !words[source].contains($0.lower) && !questionWords.contains($0.lower) }
            guard Float(foreign) <= 0.34 * Float(names.count) else { return nil }

            let distinct = Set(terms)
            let weights = distinct.map { ($0, max(0.1, statistics.inverseDocumentFrequency(of: $0, in: collection))) }
            let sum = weights.reduce(0) { $0 + $1.1 }
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
            guard let best else { return nil }
            let hasVectors = !vector.isEmpty
            let isSupported =
                isNamed
                ? best.coverage >= 0.6
                    || hasVectors && (best.coverage >= 0.35 && best.cosine >= 0.5 || best.coverage >= 0.2 && best.cosine >= 0.75)
                : best.coverage >= 0.75 || hasVectors && best.coverage >= 0.5 && best.cosine >= 0.65
            return isSupported ? best.range : nil
        }
    }
}
