import Documents
import Indexing
import Inference
import Storage
import Synchronization
import TextSearch

/// How far the vectors of one collection can be trusted, by the language of the passage and of the question.
///
/// A model that knows English alone gives German passages vectors that mean little, and Arabic ones vectors that mean nothing; words are found in every language. So
/// each passage's vector score is weighed by what the model can know of the passage and of the question:
///
/// ```
///   passages, by language --eight of each--> fitness of their texts ---+
///   question --its language, or its own pieces--> fitness -------------+--> min --> x the collection's vector weight
/// ```
struct LanguageFitness: Sendable {
    /// Rows of each language when it was made.
    let counts: [Language: Int]
    let values: [Language: Float]
    /// For passages whose language cannot be told: that of the collection's commonest language, where there is one.
    let unknown: Float

    static let sampleCount = 8

    /// - Parameter texts: A few passages of a language.
    init(_ counts: [Language: Int], tokenizer: any Tokenizer, texts: (Language) throws -> [String]) rethrows {
        self.counts = counts
        var values: [Language: Float] = [:]
        for language in counts.keys {
            let texts = try texts(language)
            guard !texts.isEmpty else { continue }
            values[language] = texts.reduce(0) { $0 + tokenizer.fitness(of: $1) } / Float(texts.count)
        }
        let commonest = counts.filter { $0.key != .unknown && values[$0.key] != nil }.max {
            ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue)
        }
        unknown = commonest.flatMap { values[$0.key] } ?? values[.unknown] ?? 1
        values[.unknown] = unknown
        self.values = values
    }

    /// Whether it still says what is true of rows with these counts.
    func serves(_ current: [Language: Int]) -> Bool {
        current.allSatisfy { language, count in
            guard let old = counts[language] else { return false }
            return count <= 2 * max(old, Self.sampleCount)
        }
    }

    func fitness(of language: Language?) -> Float { values[language ?? .unknown] ?? unknown }

    /// The fitness of a question: of its language, when passages are in it; else of its pieces, which are few, so that only a clear case counts.
    func fitness(ofQuery query: String, tokenizer: any Tokenizer) -> Float {
        let language = LanguageDetector.detect(query)
        if language != .unknown, let known = values[language] { return known }
        return min(1, 6 * tokenizer.fitness(of: query))
    }
}

extension Retriever {
    /// The share of the vector score for each row.
    func vectorWeights(
        _ weight: Float, _ query: String, rows: some Sequence<RowID>, _ vector: VectorSide, _ indexes: CollectionIndexes
    ) throws(RetrievalError) -> [RowID: Float] {
        guard let tokenizer = vector.tokenizer, let space = vector.served?.space else { return [:] }
        let table = try languageFitness(of: indexes, space.id, tokenizer)
        let ofQuery = table.fitness(ofQuery: query, tokenizer: tokenizer)
        let languages = indexes.text.languages(of: rows)
        return languages.mapValues { weight * min(ofQuery, table.fitness(of: $0)) }
    }

    func languageFitness(
        of indexes: CollectionIndexes, _ space: SpaceID, _ tokenizer: any Tokenizer
    ) throws(RetrievalError) -> LanguageFitness {
        let text = indexes.text
        let counts = text.languageCounts()
        if let known = fitness.withLock({ $0[space] }), known.serves(counts) { return known }
        let table: LanguageFitness
        do {
            table = try LanguageFitness(counts, tokenizer: tokenizer) { language in
                // In the order of rows: a sum of numbers depends on theirs.
                let rows = text.sample(of: language, count: LanguageFitness.sampleCount)
                let passages = try passages(of: rows)
                return rows.compactMap { passages[ChunkID(rawValue: $0.rawValue)]?.chunk.text }
            }
        } catch let error as RetrievalError {
            throw error
        } catch {
            throw .store("\(error)")
        }
        fitness.withLock { $0[space] = table }
        return table
    }
}
