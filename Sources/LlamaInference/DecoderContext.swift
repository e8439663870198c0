import CLlama
import Inference
import Synchronization

/// One llama.cpp context that continues several sequences at once. Belongs to one thread.
///
/// `kv_unified` keeps all sequences in one cache of `cellCount` tokens, so a long sequence may use what short ones leave free.
final class DecoderContext {
    /// What to add to one sequence in one step.
    struct Entry {
        var sequence: Int
        var tokens: ArraySlice<Token>
        /// Position of the first token.
        var position: Int
        /// Whether a token will be sampled after the last one.
        var wantsOutput: Bool
    }

    enum Outcome {
        /// For each entry: where in the batch its output stands; nil where none was wanted.
        case decoded(outputs: [Int32?])
        case aborted
        case failed(reason: String)
    }

    private let model: LlamaModel
    private let context: OpaquePointer
    private var batch: llama_batch
    private let watch = AbortWatch()
    /// Most tokens of one step.
    let batchTokenMax: Int
    /// Tokens that fit the cache, of all sequences together.
    let cellCount: Int

    init(model: LlamaModel, cellCount: Int, sequenceCount: Int, batchTokenMax: Int, threads: Int) throws {
        var parameters = llama_context_default_params()
        parameters.n_ctx = UInt32(cellCount)
        parameters.n_batch = UInt32(batchTokenMax)
        parameters.n_ubatch = UInt32(batchTokenMax)
        parameters.n_seq_max = UInt32(sequenceCount)
        parameters.n_threads = Int32(threads)
        parameters.n_threads_batch = Int32(threads)
        parameters.kv_unified = true
        parameters.no_perf = true
        let created = LlamaRuntime.explain { llama_init_from_model(model.pointer, parameters) }
        switch created {
        case .success(let pointer): context = pointer
        case .failure(let complaint): throw InferenceError.modelUnreadable(path: model.path, reason: complaint.text)
        }
        self.model = model
        self.batchTokenMax = batchTokenMax
        self.cellCount = Int(llama_n_ctx(context))
        batch = llama_batch_init(Int32(batchTokenMax), 0, 1)
        guard llama_get_memory(context) != nil, llama_get_causal_attn(context), !llama_model_has_encoder(model.pointer),
            !llama_model_is_diffusion(model.pointer)
        else { throw InferenceError.wrongModelKind(path: model.path, reason: "it does not write text; give a generative (decoder) model") }
        llama_set_abort_callback(
            context, { data in Unmanaged<AbortWatch>.fromOpaque(data!).takeUnretainedValue().shouldAbort },
            Unmanaged.passUnretained(watch).toOpaque())
    }

    deinit {
        llama_batch_free(batch)
        llama_free(context)
    }

    /// Computes one step for all entries together.
    ///
    /// - Parameter isAbandoned: Asked while the step computes; when it says true, the step is given up.
    /// - Precondition: No entry is empty; together they have at most `batchTokenMax` tokens.
    func decode(_ entries: [Entry], isAbandoned: @escaping () -> Bool) -> Outcome {
        let count = entries.reduce(0) { $0 + $1.tokens.count }
        precondition(
            count > 0 && count <= batchTokenMax && entries.allSatisfy { !$0.tokens.isEmpty },
            "\(count) tokens in a batch of at most \(batchTokenMax)")
        batch.n_tokens = 0
        var outputs: [Int32?] = []
        for entry in entries {
            for (offset, token) in entry.tokens.enumerated() {
                append(
                    token, position: entry.position + offset, sequence: entry.sequence,
                    output: entry.wantsOutput && offset == entry.tokens.count - 1)
            }
            outputs.append(entry.wantsOutput ? batch.n_tokens - 1 : nil)
        }
        watch.isAbandoned = isAbandoned
        defer { watch.isAbandoned = nil }
        var status: Int32 = 0
        let result = LlamaRuntime.explain { () -> Bool? in
            status = llama_decode(context, batch)
            return status == 0 ? true : nil
        }
        switch result {
        case .success: return .decoded(outputs: outputs)
        case .failure where status == 2: return .aborted
        case .failure(let complaint): return .failed(reason: status == 1 ? "the cache of \(cellCount) tokens is full" : complaint.text)
        }
    }

    /// Draws the next token from an output of the last step.
    func sample(with sampler: Sampler, output: Int32) -> Token { llama_sampler_sample(sampler.pointer, context, output) }

    /// What an output of the last step says of each token of the vocabulary, before any sampling; shape `[vocabularyCount]`, empty when llama.cpp has none.
    func logits(ofOutput output: Int32) -> [Float] {
        guard let values = llama_get_logits_ith(context, output) else { return [] }
        return Array(UnsafeBufferPointer(start: values, count: model.vocabularyCount))
    }

    /// Forgets a sequence; its cells are free again.
    func remove(sequence: Int) { _ = llama_memory_seq_rm(llama_get_memory(context), llama_seq_id(sequence), -1, -1) }

    private func append(_ token: Token, position: Int, sequence: Int, output: Bool) {
        let index = Int(batch.n_tokens)
        batch.token[index] = token
        batch.pos[index] = llama_pos(position)
        batch.n_seq_id[index] = 1
        batch.seq_id[index]![0] = llama_seq_id(sequence)
        batch.logits[index] = output ? 1 : 0
        batch.n_tokens += 1
    }

    /// What llama.cpp's abort callback sees. Set between steps, read during a step by the thread that computes.
    private final class AbortWatch {
        var isAbandoned: (() -> Bool)?
        var shouldAbort: Bool { isAbandoned?() ?? false }
    }
}

/// Chooses tokens: greedy at temperature 0, else temperature, then the nucleus (`topP`), then a draw (Holtzman et al. 2020, §3.1).
final class Sampler {
    fileprivate let pointer: UnsafeMutablePointer<llama_sampler>

    init(temperature: Float, topP: Float, seed: UInt32?) {
        pointer = llama_sampler_chain_init(llama_sampler_chain_default_params())
        if temperature > 0 && temperature.isFinite {
            llama_sampler_chain_add(pointer, llama_sampler_init_temp(temperature))
            if topP < 1 { llama_sampler_chain_add(pointer, llama_sampler_init_top_p(max(0, topP), 1)) }
            llama_sampler_chain_add(pointer, llama_sampler_init_dist(seed ?? UInt32.random(in: 0..<UInt32.max)))
        } else {
            llama_sampler_chain_add(pointer, llama_sampler_init_greedy())
        }
    }

    deinit { llama_sampler_free(pointer) }
}
