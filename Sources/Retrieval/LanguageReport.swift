package import Documents
import Indexing
import Inference
import TextSearch

/// The languages of a collection's passages, and how well its embedding model knows them.
package struct LanguageReport: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        /// ISO 639-1; `und` for passages that are too short to tell.
        package var code: String
        package var passages: Int
        /// How far the vectors of this language are trusted, 0...1; nil without an embedding model.
        package var fitness: Float?
    }

    /// Most passages first.
    package var languages: [Entry]
    /// A sentence for the operator; nil when the model fits.
    package var advice: String?

    /// Vectors that are trusted less than this find little that words do not.
    private static let fitnessMin: Float = 0.5
    /// So large a share of the passages is worth a word.
    private static let shareMin = 0.2

    init(_ counts: [Language: Int], fitness: LanguageFitness?, model: String?) {
        let ordered = counts.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
        languages = ordered.map { Entry(code: $0.key.code, passages: $0.value, fitness: fitness?.fitness(of: $0.key)) }
        guard let fitness, let model else { return }
        let known = ordered.filter { $0.key != .unknown }
        // What is too short to tell, such as rows of codes, is no passage in a language that the model lacks.
        let total = ordered.reduce(0) { $0 + $1.value }
        let unfit = known.filter { fitness.fitness(of: $0.key) < Self.fitnessMin }
        let count = unfit.reduce(0) { $0 + $1.value }
        guard total > 0, Double(count) >= Self.shareMin * Double(total) else { return }
        let names = unfit.prefix(3).map(\.key.name).joined(separator: ", ") + (unfit.count > 3 ? " and others" : "")
        advice =
            "\(100 * count / total) % of the passages are in languages that the embedding model '\(model)' knows little of (\(names)): there, searches go by words "
            + "more than by meaning; a multilingual embedding model finds more"
    }
}

extension Retriever {
    /// The languages of a collection; nil when there is none of that name, or it cannot be read.
    package func languages(of collection: String, scope: RequestScope) async -> LanguageReport? {
        guard scope.includes(collection: collection), let indexes = try? catalog.indexes(named: collection) else { return nil }
        var fitness: LanguageFitness?
        let space = indexes.served?.space
        if let space, let tokenizer = (try? await embedders.embedder(named: space.model))?.tokenizer {
            fitness = try? languageFitness(of: indexes, space.id, tokenizer)
        }
        return LanguageReport(indexes.text.languageCounts(), fitness: fitness, model: space?.model)
    }
}
