// The one place that says which settings a collection may have. It is asked where settings come in (`IndexCatalog.indexes(creating:)`) and where stored
// ones are read (when a collection's indexes are opened), so that no value outside these ranges reaches the chunker, the indexes or the fusion.

import Documents
import TextSearch

/// One setting with a value that a collection cannot have.
package struct SettingProblem: Sendable, Equatable, CustomStringConvertible {
    /// The setting as users write it, such as `chunk_tokens`.
    package var setting: String
    package var value: String
    package var allowed: String

    package var description: String { "setting '\(setting)' is \(value); use \(allowed)" }

    var error: DocumentStoreError { .invalidSetting(setting: setting, value: value, allowed: allowed) }
}

extension CollectionSettings {
    /// Chunks below are crumbs of sentences; above, no embedding model reads to their end.
    package static let chunkTokensRange = 16...8192
    package static let dimensionRange = 1...65_536

    /// What is wrong with these settings, in their order; empty when they can be used.
    package var problems: [SettingProblem] {
        var problems: [SettingProblem] = []
        func check(_ isRight: Bool, _ setting: String, _ value: String, _ allowed: String) {
            if !isRight { problems.append(SettingProblem(setting: setting, value: String(value.prefix(100)), allowed: allowed)) }
        }
        func checkNumber(_ number: Float, in range: ClosedRange<Float>, _ setting: String) {
            // A NaN is in no range.
            check(range.contains(number), setting, "\(number)", "a number from \(short(range.lowerBound)) to \(short(range.upperBound))")
        }
        if let embeddingModel {
            check(!embeddingModel.isEmpty, "embedding_model", "empty", "the name of an embedding model, or leave it out")
        }
        if let dimension {
            let range = Self.dimensionRange
            check(
                range.contains(dimension), "dimension", "\(dimension)",
                "a whole number from \(range.lowerBound) to \(range.upperBound), or leave it out")
        }
        let tokens = Self.chunkTokensRange
        check(
            tokens.contains(chunkTokens), "chunk_tokens", "\(chunkTokens)",
            "a whole number from \(tokens.lowerBound) to \(tokens.upperBound)")
        // Beside a wrong chunk_tokens the overlap is judged by the widest bound, so that one mistake is one problem.
        let overlapMax = (tokens.contains(chunkTokens) ? chunkTokens : tokens.upperBound) / 2
        check(
            (0...overlapMax).contains(chunkOverlapTokens), "chunk_overlap_tokens", "\(chunkOverlapTokens)",
            "a whole number from 0 to \(overlapMax), half of chunk_tokens")
        let text = CollectionIndexes.textConfiguration(self)
        for problem in text.problems { check(false, problem.setting, problem.value, problem.allowed) }
        checkNumber(vectorWeight, in: 0...1, "vector_weight")
        check(["minmax", "rrf"].contains(fusion), "fusion", "'\(fusion)'", "'minmax' or 'rrf'")
        return problems
    }

    private func short(_ number: Float) -> String { Int(exactly: number).map(String.init) ?? "\(number)" }
}

extension CollectionRecord {
    /// Why this collection cannot be used as it is stored; nil when nothing is known against it.
    package var obstacle: String? {
        if let settingsFlaw { return settingsFlaw }
        let problems = settings.problems
        return problems.isEmpty ? nil : problems.map(\.description).joined(separator: "; ")
    }
}
