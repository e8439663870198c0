import Retrieval
import Synchronization

/// What words are worth, as the parts of one answer ask for it: evidence, directness, checks and prompts want the terms of the same sentences again and again, and each
/// text is analysed once.
///
/// It lives as long as its answer, so that it holds a few passages' sentences and can never be out of date.
final class RunStatistics: TermStatistics {
    private let base: any TermStatistics
    private let collection: String
    private let known = Mutex(Known())

    private struct Known {
        var terms: [String: [String]] = [:]
        var rarity: [String: Float] = [:]
    }

    init(_ base: any TermStatistics, collection: String) {
        self.base = base
        self.collection = collection
    }

    func terms(of text: String, in collection: String) -> [String] {
        precondition(collection == self.collection, "terms of '\(collection)' in an answer from '\(self.collection)'")
        if let found = known.withLock({ $0.terms[text] }) { return found }
        let terms = base.terms(of: text, in: collection)
        known.withLock { $0.terms[text] = terms }
        return terms
    }

    func inverseDocumentFrequency(of term: String, in collection: String) -> Float {
        precondition(collection == self.collection, "a term of '\(collection)' in an answer from '\(self.collection)'")
        if let found = known.withLock({ $0.rarity[term] }) { return found }
        let rarity = base.inverseDocumentFrequency(of: term, in: collection)
        known.withLock { $0.rarity[term] = rarity }
        return rarity
    }
}
