import Answering
import ArgumentParser
import Foundation
import ModelFiles

struct DataOptions: ParsableArguments {
    @Option(name: .long, help: "The data folder (or environment OUTRIDER_DATA).")
    var data: String = ProcessInfo.processInfo.environment["OUTRIDER_DATA"] ?? "outrider-data"

    @Option(name: .long, help: "The collection.")
    var collection: String = "default"
}

struct ModelOptions: ParsableArguments {
    @Option(
        name: .long,
        help: """
            GGUF file of the embedding model, the name of one in the model folder, or 'none' (or OUTRIDER_EMBEDDING_MODEL). Default: the one that the data \
            folder was made with, else all-MiniLM-L6-v2, which knows English; multilingual-e5-small knows about a hundred languages.
            """)
    var embeddingModel: String?

    @Option(
        name: .long,
        help: """
            How a BERT model is computed: float32, int16 (the same vectors to five digits), or int8, which is fastest and changes vectors a little; \
            a collection keeps to int8 or to the others.
            """)
    var embeddingPrecision: EmbedderFile.Precision = .standard

    @Option(
        name: .long,
        help: """
            Keep only the first so many coordinates of each embedding, for models trained for that (Matryoshka); a collection keeps to one number.
            """)
    var embeddingDimensions: Int?

    @Option(name: .long, help: "GGUF file of a cross-encoder that reranks search results (or OUTRIDER_RERANKER).")
    var reranker: String?

    @Option(name: .long, help: "GGUF file of a language model to answer with, in this process (or OUTRIDER_LLM).")
    var llm: String?

    @Option(
        name: .long,
        help:
            "Base URL of an OpenAI-compatible server to answer with, such as http://127.0.0.1:8000/v1 (or OUTRIDER_OPENAI_URL). Its key is read from OUTRIDER_OPENAI_API_KEY."
    )
    var openaiUrl: String?

    @Option(name: .long, help: "Model name at that server (or OUTRIDER_OPENAI_MODEL).")
    var openaiModel: String?

    @Option(name: .long, help: "Context length of the language model, in tokens.")
    var contextLength: Int = 4096

    /// The options of a command that takes none of them. Made by the parser, as the properties of a value that was not parsed must not be read.
    static var standard: ModelOptions { (try? ModelOptions.parse([])) ?? ModelOptions() }

    /// What the data folder's collections were made with; set by `Engine`.
    var rememberedEmbeddingModel: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Longest wait for a language model's first token, counted from its turn. Default: 30 s and more the longer the prompt is.",
            valueName: "seconds"))
    var firstTokenTimeout: Double?

    private func value(_ option: String?, _ variable: String) -> String? {
        let value = option ?? ProcessInfo.processInfo.environment[variable]
        return value.flatMap { $0.isEmpty ? nil : $0 }
    }

    func validate() throws {
        if let seconds = firstTokenTimeout, !(seconds > 0 && seconds <= 86_400) {
            throw ValidationError("--first-token-timeout is \(seconds); give seconds from 0 to 86400")
        }
        try check("--context-length", contextLength, 256...1 << 24)
        if let embeddingDimensions { try check("--embedding-dimensions", embeddingDimensions, 1...65_536) }
    }

    /// How answers are made under these options.
    var answerOptions: AnswerOptions {
        var options = AnswerOptions()
        options.firstTokenTimeMax = firstTokenTimeout.map { .seconds($0) }
        return options
    }

    var resolvedReranker: String? { value(reranker, "OUTRIDER_RERANKER") }
    var resolvedLLM: String? { value(llm, "OUTRIDER_LLM") }
    var resolvedOpenAIURL: String? { value(openaiUrl, "OUTRIDER_OPENAI_URL") }
    var resolvedOpenAIModel: String { value(openaiModel, "OUTRIDER_OPENAI_MODEL") ?? "default" }

    /// The embedding model's file; nil when it was switched off.
    var resolvedEmbeddingModel: String? {
        let chosen = value(embeddingModel, "OUTRIDER_EMBEDDING_MODEL") ?? rememberedEmbeddingModel ?? ModelFolder.defaultEmbeddingModel
        return chosen == "none" ? nil : ModelFolder.file(chosen)
    }
}

/// `--filter 'year >= 2024 and lang in (en, de)'` or the same as JSON.
struct FilterOptions: ParsableArguments {
    @Option(name: .long, help: "Only documents whose metadata match, such as 'year >= 2024 and lang in (en, de)'.")
    var filter: String?
}

extension EmbedderFile.Precision: ExpressibleByArgument {}

/// - Throws: `ValidationError` that names the option, its value and what is allowed.
func check(_ option: String, _ value: Int, _ allowed: ClosedRange<Int>) throws {
    if !allowed.contains(value) { throw ValidationError("\(option) is \(value); give \(allowed.lowerBound) to \(allowed.upperBound)") }
}
