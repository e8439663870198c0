import Foundation

/// A question-answering data set: `qa.jsonl` and `corpus.jsonl`, each possibly `.gz`.
///
/// A line of `qa.jsonl` has `id`, `question`, `answers` (accepted answers), `answerable`, and `evidence` (ids of documents that hold the answer);
/// the rest of `Question`'s members are there in some sets only.
package struct QADataset: Sendable {
    package struct Question: Sendable, Equatable, Decodable {
        package var id: String
        package var question: String
        package var answers: [String]
        package var answerable: Bool
        package var evidence: [String]
        /// Sentences of the evidence that the answer rests on.
        package var evidenceSentences: [String]
        /// For unanswerable questions: documents that look right and do not hold the answer.
        package var nearMiss: [String]
        /// Related documents that do not hold the answer.
        package var negatives: [String]
        /// Documents altered to hold a false answer.
        package var counterfactualDocuments: [String]
        package var language: String?

        enum CodingKeys: String, CodingKey {
            case id, question, answers, answerable, evidence, negatives
            case evidenceSentences = "evidence_sentences"
            case nearMiss = "near_miss"
            case counterfactualDocuments = "counterfactual_docs"
            case language = "lang"
        }

        package init(
            id: String, question: String, answers: [String] = [], answerable: Bool = true, evidence: [String] = [],
            evidenceSentences: [String] = [],
            nearMiss: [String] = [], negatives: [String] = [], counterfactualDocuments: [String] = [], language: String? = nil
        ) {
            self.id = id
            self.question = question
            self.answers = answers
            self.answerable = answerable
            self.evidence = evidence
            self.evidenceSentences = evidenceSentences
            self.nearMiss = nearMiss
            self.negatives = negatives
            self.counterfactualDocuments = counterfactualDocuments
            self.language = language
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            func list(_ key: CodingKeys) throws -> [String] { try container.decodeIfPresent([String].self, forKey: key) ?? [] }
            self.init(
                id: try container.decode(String.self, forKey: .id), question: try container.decode(String.self, forKey: .question),
                answers: try list(.answers), answerable: try container.decodeIfPresent(Bool.self, forKey: .answerable) ?? true,
                evidence: try list(.evidence), evidenceSentences: try list(.evidenceSentences), nearMiss: try list(.nearMiss),
                negatives: try list(.negatives), counterfactualDocuments: try list(.counterfactualDocuments),
                language: try container.decodeIfPresent(String.self, forKey: .language))
        }
    }

    /// The folder's last path component.
    package let name: String
    package let folder: String
    package let questions: [Question]
    /// Nil when the set's documents are files, not lines of a corpus.
    private let corpusPath: String?

    /// Opens a folder and reads its questions.
    ///
    /// - Throws: `EvaluationError` naming the file and the line.
    package init(folder: String) throws {
        self.folder = folder
        name = URL(fileURLWithPath: folder).lastPathComponent
        let path = try BEIRDataset.find(["qa.jsonl", "qa.jsonl.gz"], in: folder)
        corpusPath = try? BEIRDataset.find(["corpus.jsonl", "corpus.jsonl.gz"], in: folder)
        let decoder = JSONDecoder()
        var questions: [Question] = []
        try LineReader.forEachLine(in: path) { number, line in
            do {
                questions.append(try decoder.decode(Question.self, from: Data(line)))
            } catch let error as DecodingError {
                throw EvaluationError.malformedLine(path: path, line: number, reason: Self.explain(error))
            }
        }
        self.questions = questions
    }

    /// Calls `body` with each document, in the order of the file.
    ///
    /// - Throws: `EvaluationError.missingFile` when the set has no corpus file.
    package func forEachDocument(_ body: (CorpusDocument) throws -> Void) throws {
        guard let corpusPath else { throw EvaluationError.missingFile(folder: folder, expected: ["corpus.jsonl", "corpus.jsonl.gz"]) }
        try BEIRDataset.forEachDocument(in: corpusPath, body)
    }

    package func documents() throws -> [CorpusDocument] {
        var documents: [CorpusDocument] = []
        try forEachDocument { documents.append($0) }
        return documents
    }

    private static func explain(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' has the wrong type"
        case .dataCorrupted: "the line is not valid JSON"
        @unknown default: "the line cannot be read"
        }
    }
}
