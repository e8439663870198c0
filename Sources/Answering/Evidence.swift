// From sources to evidence: which sentences answer the question, and does any?
//
//     sources -> units -> features of each unit -> p(unit is evidence)      a logistic model, `UnitModel`
//                                    |
//                                    +-> features of the whole -> confidence   another one, `ConfidenceModel`
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

    /// The best unit of each source, by source index.
    var bestUnits: [Int: Int] { Dictionary(units.map { ($0.source, $0.unit) }, uniquingKeysWith: { first, _ in first }) }

    /// Scores the sources of a question.
    ///
    /// - Parameters:
    ///   - embed: Gives unit-length vectors in the order of the texts; nil when they are not to be had in time.
    ///   - unitCountMax: Units that are embedded at most, the question not counted.
    static func gather(
        _ analysis: QuestionAnalysis, sources: [Source], collection: String, statistics: any TermStatistics, unitCountMax: Int,
        embeddingModel: String?, embed: ([String]) async throws -> [[Float]]?
    ) async throws -> Evidence {
        var units: [ScoredUnit] = []
        for (sourceIndex, source) in sources.enumerated() {
            try Task.checkCancellation()
            let context = Set(statistics.terms(of: (source.passage.title ?? "") + "\n" + source.passage.heading, in: collection))
            let terms = source.units.map { statistics.terms(of: source.text($0.range), in: collection) }
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
        for index in units.indices { units[index].score = lexical.probability(units[index].features) * weight(units[index], sources) }
        units.sort { ($0.score, -$0.source, -$0.unit) > ($1.score, -$1.source, -$1.unit) }
        var questionVector: [Float] = []
        // Each source's best unit is embedded, then the best of all: a passage that is right in other words must get its chance.
        var chosen: [Int] = []
        var seenSources: Set<Int> = []
        for index in units.indices where seenSources.insert(units[index].source).inserted { chosen.append(index) }
        let firsts = Set(chosen)
        for index in units.indices where !firsts.contains(index) { chosen.append(index) }
        chosen = Array(chosen.prefix(unitCountMax)).sorted()
        if !units.isEmpty, unitCountMax > 0 {
            let texts = [analysis.question] + chosen.map { embeddingText(sources[units[$0].source], units[$0].unit) }
            if let vectors = try await embed(texts), vectors.count == texts.count {
                questionVector = vectors[0]
                for (index, vector) in zip(chosen, vectors.dropFirst()) {
                    units[index].vector = vector
                    units[index].features[UnitModel.cosineIndex] = dot(vector, questionVector)
                    units[index].score = UnitModel.full.probability(units[index].features) * weight(units[index], sources)
                }
                for index in units.indices where units[index].vector.isEmpty { units[index].score *= 0.5 }
                units.sort { ($0.score, -$0.source, -$0.unit) > ($1.score, -$1.source, -$1.unit) }
            }
        }

        let features = ConfidenceModel.features(analysis, sources: sources, units: units, collection: collection, statistics: statistics)
        let model = questionVector.isEmpty ? ConfidenceModel.lexical : ConfidenceModel.model(forEmbeddings: embeddingModel)
        return Evidence(
            analysis: analysis, sources: sources, units: units, features: features,
            confidence: units.isEmpty ? 0 : model.probability(features),
            questionVector: questionVector)
    }

    /// A question is like the question that is asked, and no answer to it.
    private static func weight(_ unit: ScoredUnit, _ sources: [Source]) -> Float {
        let source = sources[unit.source]
        let end = source.text(source.units[unit.unit].range).unicodeScalars.suffix(4)
        return end.contains { $0 == "?" || $0 == "？" || $0 == "؟" } ? 0.3 : 1
    }

    /// A unit as it is embedded: with the title when it says little by itself.
    static func embeddingText(_ source: Source, _ unit: Int) -> String {
        let unit = source.units[unit]
        var text = source.text(unit.range)
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
