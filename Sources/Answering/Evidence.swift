// From sources to evidence: which sentences answer the question, and does any?
//
//     sources -> units -> features of each unit -> p(unit is evidence)      a logistic model, `UnitModel`
//                                    |
//                                    +-> features of the whole -> confidence   another one, `ConfidenceModel`
//
// Two things stand beside the models, because what they were fitted on has too little of it: a sentence about a sibling of what is asked
// (`Specifics`) is no evidence, however well its words fit; and a sentence, label or row that has the question's words and the form of an answer is
// (`Directness`), however small the collection, in which no word is rare.
//
// Lexical features come first and are cheap; the best units by them get an embedding. Without an embedder, or when the deadline leaves no time
// for it, models without the embedding's features take over.

import Inference
import Retrieval

/// One unit of one source with what was found out about it.
struct ScoredUnit: Sendable {
    var source: Int
    var unit: Int
    /// By `UnitModel.names`.
    var features: [Float]
    /// Chance that the unit is part of an answer, 0...1.
    var score: Float
    /// Unit length; empty when the unit was not embedded.
    var vector: [Float]
    var terms: Set<String>
    /// What the scores are multiplied by: less for what is like an answer and is none.
    var weight: Float = 1
    /// How plainly the unit answers, 0...1, from `Directness`.
    var directness: Float = 0
    /// It is about just what the question names.
    var isSpecific = true
    /// It names that itself.
    var isNamed = true

    /// What units are ordered by.
    var rank: Float { score + 2 * directness }
}

/// The evidence for an answer, before anything is written.
struct Evidence: Sendable {
    var analysis: QuestionAnalysis
    var sources: [Source]
    /// Best first.
    var units: [ScoredUnit]
    /// By `ConfidenceModel.names`.
    var features: [Float]
    /// Calibrated estimate that the sources hold an answer.
    var confidence: Float
    /// Empty when the question was not embedded.
    var questionVector: [Float]
    /// The sources tell of a sibling of what is asked, and of nothing that is asked.
    var isAboutSibling = false
    /// For a comparison: the best unit of each side, in the question's order; empty when a side has none.
    var sides: [ScoredUnit] = []

    /// The best unit of each source, by source index.
    var bestUnits: [Int: Int] { Dictionary(units.map { ($0.source, $0.unit) }, uniquingKeysWith: { first, _ in first }) }

    /// Scores the sources of a question.
    ///
    /// - Parameters:
    ///   - embed: Gives unit-length vectors in the order of the texts; nil when they are not to be had in time.
    ///   - embedding: Which units are embedded.
    static func gather(
        _ analysis: QuestionAnalysis, sources: [Source], collection: String, statistics: any TermStatistics, embedding: Embedding,
        embeddingModel: String?, embed: ([String]) async throws -> [[Float]]?
    ) async throws -> Evidence {
        var units: [ScoredUnit] = []
        for (sourceIndex, source) in sources.enumerated() {
            try Task.checkCancellation()
            let context = Set(statistics.terms(of: (source.passage.title ?? "") + "\n" + source.passage.heading, in: collection))
            let terms = source.units.map { statistics.terms(of: source.text($0), in: collection) }
            let passageTerms = terms.reduce(into: context) { $0.formUnion($1) }
            let passageCoverage = analysis.coverage(passageTerms)
            for (unitIndex, unit) in source.units.enumerated() where unit.kind != .heading {
                var own = Set(terms[unitIndex])
                guard !own.isEmpty else { continue }
                // A row means what its header says.
                if unit.kind == .row, let header = unit.context { own.formUnion(statistics.terms(of: source.text(header), in: collection)) }
                var wide = own.union(context)
                if unitIndex > 0, unit.context == nil { wide.formUnion(terms[unitIndex - 1]) }
                if let header = unit.context { wide.formUnion(statistics.terms(of: source.text(header), in: collection)) }
                units.append(
                    ScoredUnit(
                        source: sourceIndex, unit: unitIndex,
                        features: UnitModel.features(
                            analysis, source: source, sourceRank: sourceIndex, best: sources[0], unit: unit, isFirst: unitIndex == 0,
                            ordered: terms[unitIndex], own: own, wide: wide,
                            passageCoverage: passageCoverage),
                        score: 0, vector: [], terms: own))
            }
        }

        let lexical = UnitModel.lexical
        for index in units.indices {
            units[index].weight = weight(units[index], sources)
            units[index].score = lexical.probability(units[index].features) * units[index].weight
        }
        sort(&units)

        // What is about a sibling, or says the question again, is no evidence.
        let scopes = analysis.specifics.isEmpty ? nil : SpecificScopes(analysis.specifics, sources)
        let directness = Directness(analysis, sources: sources, collection: collection, statistics: statistics)
        var isEmptyTold = false
        /// By source and unit: the specifics of which a sibling is told.
        var siblings: [[Int]: Set<Int>] = [:]
        var isKept = [Bool](repeating: false, count: units.count)
        for index in units.indices {
            let source = sources[units[index].source]
            if let scopes {
                let statuses = scopes.statuses(source: units[index].source, unit: units[index].unit)
                let conflicts = Set(statuses.indices.filter { statuses[$0] == .conflicting || statuses[$0] == .doubtful })
                if !conflicts.isEmpty {
                    siblings[[units[index].source, units[index].unit]] = conflicts
                    continue
                }
                units[index].isSpecific = zip(statuses, analysis.specifics.list).allSatisfy { $0 == .supported || $1.isSoft }
                units[index].isNamed = scopes.isNamed(source: units[index].source, unit: units[index].unit)
            }
            if directness.lacksValue(units[index]) {
                isEmptyTold = true
                continue
            }
            isKept[index] = !directness.isNameAlone(units[index]) && !Directness.isRepetition(units[index], source, analysis)
        }

        let confidenceModel = ConfidenceModel.model(forEmbeddings: embeddingModel)
        func features(_ units: [ScoredUnit]) -> [Float] {
            ConfidenceModel.features(analysis, sources: sources, units: units, collection: collection, statistics: statistics)
        }
        var questionVector: [Float] = []
        var hasDirectness = false
        if !units.isEmpty, Self.understands(embeddingModel, analysis.language) {
            let countMax: Int
            var needed: (units: NeededUnits, countMax: Int)?
            switch embedding {
            case .best(let count): countMax = count
            case .needed(let count, let others):
                countMax = others
                // In a small collection a plain answer may hang on any cosine; another model's have other ranges.
                if count > 0, directness.smallness == 0, ConfidenceModel.isFitted(forEmbeddings: embeddingModel) {
                    needed = NeededUnits(units, sources: sources).map { ($0, count) }
                }
            }
            if let needed {
                hasDirectness = true
                questionVector = try await Self.embed(
                    &units, isKept, needed.units, countMax: needed.countMax, sources, analysis, directness,
                    confidence: { units in confidenceModel.probability(features(units)) }, embed)
            } else if countMax > 0 {
                let chosen = best(units, countMax: countMax)
                let texts = [analysis.question] + chosen.map { embeddingText(sources[units[$0].source], units[$0].unit) }
                if let vectors = try await embed(texts), vectors.count == texts.count {
                    questionVector = vectors[0]
                    for (index, vector) in zip(chosen, vectors.dropFirst()) {
                        units[index].vector = vector
                        units[index].features[UnitModel.cosineIndex] = dot(vector, questionVector)
                        units[index].score = UnitModel.full.probability(units[index].features) * units[index].weight
                    }
                    for index in units.indices where units[index].vector.isEmpty { units[index].score *= 0.5 }
                }
            }
        }
        let told = units.filter { siblings[[$0.source, $0.unit]] != nil }
        units = zip(units, isKept).filter(\.1).map(\.0)
        sort(&units)

        let found = features(units)
        var confidence = units.isEmpty ? 0 : (questionVector.isEmpty ? ConfidenceModel.lexical : confidenceModel).probability(found)

        if !hasDirectness {
            for index in units.indices { units[index].directness = directness.value(units[index]) * units[index].weight }
        }
        units.sort { ($0.rank, -$0.source, -$0.unit) > ($1.rank, -$1.source, -$1.unit) }
        if let best = units.first {
            confidence = max(confidence, best.directness)
            // What a question names and a source has no word for is missing, unless the meanings are near: rarity, which tells that in a large
            // collection, tells nothing in a small one.
            let cosine = best.vector.isEmpty ? 0 : best.features[UnitModel.cosineIndex]
            if directness.smallness > 0.5, best.directness < 0.5, cosine < 0.6, directness.lacksMatter(best) {
                confidence = min(confidence, 0.4)
            }
            if directness.smallness > 0.5, best.directness < 0.5, directness.lacksHead(best) { confidence = min(confidence, 0.4) }
        }

        if let limit = directness.limitByForm(units) { confidence = min(confidence, limit) }
        // The place where the answer would stand is empty.
        if isEmptyTold, units.first.map({ $0.directness < 0.5 }) ?? true { confidence = min(confidence, 0.05) }

        var evidence = Evidence(
            analysis: analysis, sources: sources, units: units, features: found, confidence: confidence, questionVector: questionVector)
        if analysis.alternatives.count > 1 {
            let sides = analysis.alternatives.map { directness.best(side: $0, others: analysis.alternatives, units) }
            if sides.allSatisfy({ $0 != nil }) {
                evidence.sides = sides.compactMap { $0 }
                evidence.confidence = max(confidence, evidence.sides.map(\.directness).min() ?? 0)
            }
        }
        // The best sentence was a sibling's, and nothing that is left is about what was asked.
        if let worst = told.max(by: { $0.score < $1.score }), let specifics = siblings[[worst.source, worst.unit]], let scopes {
            let isTold = units.contains { unit in
                let statuses = scopes.statuses(source: unit.source, unit: unit.unit)
                return specifics.allSatisfy { statuses[$0] == .supported }
            }
            if !isTold, worst.score >= (units.first?.score ?? 0) * 0.5 {
                evidence.confidence = min(evidence.confidence, 0.05)
                evidence.isAboutSibling = true
            }
        }
        let isSiblingTold = { (index: Int) in siblings.values.contains { $0.contains(index) } }
        if let scopes,
            let missing = directness.missingSpecific(
                units.first,
                isTold: { index in units.contains { scopes.statuses(source: $0.source, unit: $0.unit)[index] == .supported } },
                isSiblingTold: isSiblingTold)
        {
            evidence.confidence = min(evidence.confidence, 0.05)
            if isSiblingTold(missing) { evidence.isAboutSibling = true }
        }
        return evidence
    }

    /// By score, best first.
    static func sort(_ units: inout [ScoredUnit]) { units.sort { ($0.score, -$0.source, -$0.unit) > ($1.score, -$1.source, -$1.unit) } }

    /// Whether a model's vectors say anything in a language. The default one has read English; what it makes of other languages is as near to
    /// anything in them as to the answer.
    static func understands(_ embeddingModel: String?, _ language: QuestionLanguage) -> Bool {
        embeddingModel.map { !$0.hasPrefix("all-MiniLM") || language == .english } ?? true
    }

    /// A question is like the question that is asked, and no answer to it.
    private static func weight(_ unit: ScoredUnit, _ sources: [Source]) -> Float {
        let source = sources[unit.source]
        let end = source.text(source.units[unit.unit].range).unicodeScalars.suffix(4)
        // What a mail repeats of an earlier one may be out of date.
        let age: Float = source.units[unit.unit].isQuoted ? 0.3 : 1
        // A table's header answers nothing by itself.
        let this = source.units[unit.unit]
        if this.kind == .row, this.context == nil, unit.unit + 1 < source.units.count, source.units[unit.unit + 1].context == this.range {
            return 0.2
        }
        return end.contains { $0 == "?" || $0 == "？" || $0 == "؟" || $0 == ";" && isGreek(source, unit) } ? 0.3 * age : age
    }

    /// Greek asks with what looks like a semicolon.
    private static func isGreek(_ source: Source, _ unit: ScoredUnit) -> Bool {
        source.text(source.units[unit.unit].range).unicodeScalars.contains { (0x370...0x3FF).contains($0.value) }
    }

    /// A unit as it is embedded: with the title when it says little by itself.
    static func embeddingText(_ source: Source, _ unit: Int) -> String {
        let unit = source.units[unit]
        var text = source.text(unit)
        if let header = unit.context { text = source.text(header) + "\n" + text }
        let title = source.passage.title ?? ""
        return title.isEmpty ? text : title + ". " + text
    }

    static func dot(_ left: [Float], _ right: [Float]) -> Float {
        var sum: Float = 0
        for index in 0..<min(left.count, right.count) { sum += left[index] * right[index] }
        return sum
    }
}
