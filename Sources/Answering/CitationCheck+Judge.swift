import Inference
import Retrieval

extension CitationCheck {
    /// Compares claims with the units of sources.
    struct Judge {
        /// A claim, prepared for comparing.
        private struct Subject {
            var terms: [String]
            var vector: [Float]
            var numbers: [Numbers.Readings]
            var codes: Set<String>
            var names: [String]
        }
        private enum Finding {
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

        /// What supports a claim: the sources it names, else one that it should have named, on every side of a comparison.
        func verdict(_ claim: Claim, _ vector: [Float], _ outcome: inout Outcome) -> Verdict {
            let essence = CitationCheck.essence(claim.text)
            let subject = self.subject(essence, vector)
            var kept: [(marker: Int, range: Range<Int>)] = []
            for marker in claim.markers {
                switch support(subject, source: marker - 1, isNamed: true) {
                case .supported(let range): kept.append((marker, range))
                case .refused(let reason): outcome.objection = outcome.objection ?? reason
                }
            }
            if kept.count < claim.markers.count { outcome.isUnchanged = false }
            if kept.isEmpty {
                // Nothing that it names supports it; perhaps another source does.
                for source in sources.indices where !claim.markers.contains(source + 1) {
                    guard case .supported(let range) = support(subject, source: source, isNamed: false) else { continue }
                    kept.append((source + 1, range))
                    outcome.isUnchanged = false
                    break
                }
            }
            if !kept.isEmpty, let missing = missingSide(of: essence, quoted: kept.map { ($0.marker - 1, $0.range) }) {
                // The other side of a comparison may stand in a source that the sentence forgot to name.
                if let other = missing.first(where: { !$0.isEmpty }) {
                    kept += other.map { (marker: $0.source + 1, range: $0.range) }
                    outcome.isUnchanged = false
                } else {
                    kept = []
                    outcome.objection = "a comparison that does not rest on each of what it compares"
                }
            }
            return Verdict(claim: claim, support: kept, weight: subject.terms.count)
        }

        private func subject(_ claim: String, _ vector: [Float]) -> Subject {
            let claimWords = Words.split(claim)
            return Subject(
                terms: statistics.terms(of: Numbers.normalized(claim), in: collection), vector: vector, numbers: Numbers.all(claim),
                codes: Set(Identifiers.all(claim).filter(\.isCode).map(\.folded)),
                names: claimWords.dropFirst().filter { $0.isCapitalized && $0.text.count > 2 }.map(\.lower))
        }

        /// The unit, or two neighbours, that support a claim.
        ///
        /// - Parameter isNamed: The answer names this source. One that it does not name must be clearer.
        private func support(_ claim: Subject, source: Int, isNamed: Bool) -> Finding {
            guard sources.indices.contains(source), !claim.terms.isEmpty else { return .refused(unsupported) }
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
            guard let best else { return .refused(unsupported) }
            let hasVectors = !vector.isEmpty
            let isSupported =
                isNamed
                ? best.coverage >= 0.6
                    || hasVectors && (best.coverage >= 0.35 && best.cosine >= 0.5 || best.coverage >= 0.2 && best.cosine >= 0.75)
                : best.coverage >= 0.75 || hasVectors && best.coverage >= 0.5 && best.cosine >= 0.65
            return isSupported ? .supported(best.range) : .refused(unsupported)
        }

        /// Whether a comparison leaves a side without a quote.
        ///
        /// - Returns: Nil when nothing is compared or every side is quoted; else, for the sides that are missing, quotes that would complete them, or an
        ///   empty list when there are none.
        private func missingSide(of claim: String, quoted: [(source: Int, range: Range<Int>)]) -> [[(source: Int, range: Range<Int>)]]? {
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
