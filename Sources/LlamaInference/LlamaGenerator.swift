import CLlama
import Execution
import Foundation
package import Inference

/// A generator in a GGUF file: chat template from the file, several sequences in one context, continuous batching.
///
/// One thread of its own computes step after step. Each step carries one token of every sequence that is writing, and fills up with a piece of
/// the prompts that are still being read (Yu et al. 2022, "Orca", §3.1; Agrawal et al. 2024, "Sarathi-Serve", §4), so a long prompt delays
/// the running answers a little instead of stopping them.
///
/// ```
///  generate ──► waiting (bounded) ──► slot: reading its prompt ──► writing ──► finished / cancelled / failed
///                                        └──────── one llama_decode for all slots ────────┘
/// ```
///
/// Hold on to it while it writes: when the last reference goes, answers that are not complete fail and the model is freed.
package final class LlamaGenerator: Generator {
    package let name: String
    package let contextLength: Int
    package var tokenizer: (any Tokenizer)? { LlamaTokenizer(model: model) }
    private let model: LlamaModel
    private let format: PromptFormat
    private let core: GeneratorCore
    private let worker: WorkerThread

    /// - Parameters:
    ///   - contextLength: Longest prompt plus answer in tokens; less when the model was trained with less.
    ///   - sequences: How many answers are written at the same time.
    ///   - threads: Threads that compute one step; nil = half of the cores. More is slower beside other work: they wait for each other in a spin loop.
    ///   - queueLimit: Most requests that may wait for a slot; beyond, a generation fails with `InferenceError.overloaded`.
    ///   - cacheTokens: Size of the cache that all sequences share; nil = enough for `sequences` of full length. With less, requests wait
    ///     until their prompt and longest answer fit.
    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable`, `.wrongModelKind`.
    package init(
        modelPath: String, contextLength: Int = 4096, sequences: Int = 4, threads: Int? = nil, queueLimit: Int = 64, cacheTokens: Int? = nil
    ) throws {
        precondition(
            contextLength > 0 && sequences > 0 && queueLimit > 0,
            "contextLength \(contextLength), sequences \(sequences), queueLimit \(queueLimit)")
        let model = try LlamaModel(path: modelPath)
        let length = min(contextLength, model.contextLength)
        let cellCount = max(length, min(cacheTokens ?? length * sequences, length * sequences))
        let context = try DecoderContext(
            model: model, cellCount: cellCount, sequenceCount: sequences, batchTokenMax: max(256, sequences),
            threads: threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / 2))
        self.model = model
        self.contextLength = length
        name = "llama.cpp:" + model.name
        format = PromptFormat(model: model)
        let core = GeneratorCore(name: name, queueLimit: queueLimit)
        self.core = core
        // Only the worker touches it from here on.
        nonisolated(unsafe) let handedOver = context
        worker = WorkerThread(name: "generator", stackSize: LlamaRuntime.threadStackSize) {
            var scheduler = GeneratorScheduler(model: model, context: handedOver, core: core, sequenceCount: sequences)
            scheduler.run()
        }
    }

    deinit {
        core.stop()
        worker.join()
    }

    /// Requests that wait and sequences that run, for load decisions.
    package var load: (waiting: Int, running: Int) { core.load }

    package func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
        let (prompt, parseSpecial, stop) = format.render(request.messages)
        var tokens = model.tokenize(prompt, addSpecial: true, parseSpecial: parseSpecial)
        if tokens.isEmpty { tokens = [max(0, llama_vocab_bos(model.vocabulary))] }
        // Checked before anything is decoded: llama.cpp stops the process when a batch does not fit. One token is left for the answer.
        guard tokens.count < contextLength else {
            continuation.finish(throwing: InferenceError.promptTooLong(tokens: tokens.count, limit: contextLength - 1))
            return stream
        }
        guard request.maxTokens > 0 else {
            continuation.yield(.finished(.length, GenerationUsage(promptTokens: tokens.count, completionTokens: 0)))
            continuation.finish()
            return stream
        }
        let job = GenerationJob(
            prompt: tokens, maxTokens: min(request.maxTokens, contextLength - tokens.count), temperature: request.temperature,
            topP: request.topP,
            seed: request.seed, stop: request.stop + stop, continuation: continuation)
        let core = core
        continuation.onTermination = { if case .cancelled = $0 { core.cancel(job) } }
        core.submit(job)
        return stream
    }
}
