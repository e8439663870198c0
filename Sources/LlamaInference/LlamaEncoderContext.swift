import CLlama
import Inference

/// One llama.cpp context that turns token sequences into one vector each. Belongs to one thread.
///
/// The bounds matter: an encoder batch must fit one micro-batch (`n_ubatch`), else llama.cpp stops the process; and attention is computed over
/// the whole micro-batch, so the cost grows with the square of its tokens.
final class LlamaEncoderContext {
    private let model: LlamaModel
    private let context: OpaquePointer
    private var batch: llama_batch
    private let tokenMax: Int
    private let sequenceMax: Int
    /// Numbers per sequence.
    let width: Int
    let pooling: llama_pooling_type

    /// - Parameters:
    ///   - tokenMax: Most tokens of one batch, of all sequences together.
    ///   - pooling: `LLAMA_POOLING_TYPE_UNSPECIFIED` takes what the file says.
    init(model: LlamaModel, tokenMax: Int, sequenceMax: Int, pooling: llama_pooling_type) throws {
        var parameters = llama_context_default_params()
        parameters.n_ctx = UInt32(tokenMax)
        parameters.n_batch = UInt32(tokenMax)
        parameters.n_ubatch = UInt32(tokenMax)
        parameters.n_seq_max = UInt32(sequenceMax)
        // ggml's threads wait for each other in a spin loop: beside other work, two threads are far slower than one.
        parameters.n_threads = 1
        parameters.n_threads_batch = 1
        parameters.embeddings = true
        parameters.pooling_type = pooling
        parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.kv_unified = true
        parameters.no_perf = true
        let created = LlamaRuntime.explain { llama_init_from_model(model.pointer, parameters) }
        switch created {
        case .success(let pointer): context = pointer
        case .failure(let complaint): throw InferenceError.modelUnreadable(path: model.path, reason: complaint.text)
        }
        self.model = model
        self.tokenMax = tokenMax
        self.sequenceMax = sequenceMax
        self.pooling = llama_pooling_type(context)
        width =
            self.pooling == LLAMA_POOLING_TYPE_RANK ? Int(llama_model_n_cls_out(model.pointer)) : Int(llama_model_n_embd_out(model.pointer))
        batch = llama_batch_init(Int32(tokenMax), 0, 1)
    }

    deinit {
        llama_batch_free(batch)
        llama_free(context)
    }

    /// Computes one vector for each sequence and hands it over; the memory is valid during the call only.
    ///
    /// - Precondition: No sequence is empty; together they keep the bounds of the context.
    /// - Throws: `InferenceError.failed` with llama.cpp's reason.
    func encode(_ sequences: [[Token]], receive: (_ index: Int, _ vector: UnsafeBufferPointer<Float>) -> Void) throws {
        let tokenCount = sequences.reduce(0) { $0 + $1.count }
        precondition(sequences.count <= sequenceMax, "\(sequences.count) sequences in a batch of at most \(sequenceMax)")
        precondition(
            tokenCount <= tokenMax && sequences.allSatisfy { !$0.isEmpty }, "\(tokenCount) tokens in a batch of at most \(tokenMax)")
        batch.n_tokens = 0
        for (index, tokens) in sequences.enumerated() {
            for (position, token) in tokens.enumerated() { append(token, position: position, sequence: index) }
        }
        let status = LlamaRuntime.explain { () -> Bool? in
            // A decoder that was trained to embed keeps a cache; an encoder has none.
            guard let memory = llama_get_memory(context) else { return llama_encode(context, batch) == 0 ? true : nil }
            llama_memory_clear(memory, false)
            return llama_decode(context, batch) == 0 ? true : nil
        }
        if case .failure(let complaint) = status { throw InferenceError.failed(name: model.name, reason: complaint.text) }
        for index in sequences.indices {
            guard let vector = llama_get_embeddings_seq(context, llama_seq_id(index)) else {
                throw InferenceError.failed(name: model.name, reason: "llama.cpp returned no vector")
            }
            receive(index, UnsafeBufferPointer(start: vector, count: width))
        }
    }

    private func append(_ token: Token, position: Int, sequence: Int) {
        let index = Int(batch.n_tokens)
        batch.token[index] = token
        batch.pos[index] = llama_pos(position)
        batch.n_seq_id[index] = 1
        batch.seq_id[index]![0] = llama_seq_id(sequence)
        batch.logits[index] = 1
        batch.n_tokens += 1
    }
}
