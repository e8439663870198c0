import CLlama
import Inference

/// Continuous batching: which sequences take part in the next step, and what becomes of its tokens. Runs on the generator's own thread.
struct GeneratorScheduler {
    /// A sequence of the context and the job that uses it.
    private struct Slot {
        let sequence: Int
        let job: GenerationJob
        let sampler: Sampler
        /// How many tokens of the prompt are in the cache.
        var readCount = 0
        /// The token that was sampled last and is not yet in the cache.
        var pending: Token?
        var writtenCount = 0
        var assembler = UTF8Assembler()
        var scanner: StopScanner

        var isReading: Bool { readCount < job.prompt.count }
        var usage: GenerationUsage { GenerationUsage(promptTokens: job.prompt.count, completionTokens: writtenCount) }
    }

    private let model: LlamaModel
    private let context: DecoderContext
    private let core: GeneratorCore
    private var slots: [Slot] = []
    private var freeSequences: [Int]

    /// Tokens of prompts in one step while somebody is writing: enough to use the processor well, few enough that the writers go on.
    private static let promptTokensBesideWriters = 64

    init(model: LlamaModel, context: DecoderContext, core: GeneratorCore, sequenceCount: Int) {
        self.model = model
        self.context = context
        self.core = core
        freeSequences = Array((0..<sequenceCount).reversed())
    }

    /// Computes until the core is stopped.
    mutating func run() {
        while admit() {
            dropCancelled()
            if !slots.isEmpty { step() }
            dropCancelled()
        }
        for slot in slots { slot.job.continuation.finish(throwing: core.stopped) }
    }

    private mutating func admit() -> Bool {
        var freeSlots = freeSequences.count
        var freeCells = context.cellCount - slots.reduce(0) { $0 + $1.job.cellCount }
        let jobs = core.take(runningCount: slots.count) { job in
            guard freeSlots > 0, job.cellCount <= freeCells else { return false }
            freeSlots -= 1
            freeCells -= job.cellCount
            return true
        }
        guard let jobs else { return false }
        for job in jobs {
            job.continuation.yield(.progress(.reading(tokens: 0, of: job.prompt.count)))
            slots.append(
                Slot(
                    sequence: freeSequences.removeLast(), job: job,
                    sampler: Sampler(temperature: job.temperature, topP: job.topP, seed: job.seed),
                    scanner: StopScanner(stops: job.stop)))
        }
        return true
    }

    private mutating func dropCancelled() {
        for slot in slots where slot.job.isCancelled { free(slot.sequence) }
        slots.removeAll { $0.job.isCancelled && freeSequences.contains($0.sequence) }
    }

    private mutating func free(_ sequence: Int) {
        context.remove(sequence: sequence)
        freeSequences.append(sequence)
    }

    private mutating func step() {
        let (entries, members) = nextEntries()
        let jobs = members.map { slots[$0].job }
        // A step is given up only when nobody wants it any more.
        switch context.decode(entries, isAbandoned: { jobs.allSatisfy(\.isCancelled) }) {
        case .aborted: break
        case .failed(let reason):
            for member in members { slots[member].job.continuation.finish(throwing: core.failure(reason)) }
            remove(members)
        case .decoded(let outputs):
            var finished: [Int] = []
            for ((member, entry), output) in zip(zip(members, entries), outputs) {
                if slots[member].isReading {
                    slots[member].readCount += entry.tokens.count
                    let progress = GenerationProgress.reading(tokens: slots[member].readCount, of: slots[member].job.prompt.count)
                    slots[member].job.continuation.yield(.progress(progress))
                }
                slots[member].pending = nil
                guard let output else { continue }
                let token = context.sample(with: slots[member].sampler, output: output)
                if accept(token, in: &slots[member]) { finished.append(member) }
            }
            remove(finished)
        }
    }

    /// Every writer's pending token, then pieces of prompts, first come first served.
    private func nextEntries() -> (entries: [DecoderContext.Entry], members: [Int]) {
        var entries: [DecoderContext.Entry] = []
        var members: [Int] = []
        for (index, slot) in slots.enumerated() {
            guard let token = slot.pending else { continue }
            entries.append(
                .init(sequence: slot.sequence, tokens: [token], position: slot.job.prompt.count + slot.writtenCount - 1, wantsOutput: true))
            members.append(index)
        }
        var room = entries.isEmpty ? context.batchTokenMax : min(context.batchTokenMax - entries.count, Self.promptTokensBesideWriters)
        for (index, slot) in slots.enumerated() where slot.isReading && room > 0 {
            let end = min(slot.job.prompt.count, slot.readCount + room)
            let piece = slot.job.prompt[slot.readCount..<end]
            entries.append(
                .init(sequence: slot.sequence, tokens: piece, position: slot.readCount, wantsOutput: end == slot.job.prompt.count))
            members.append(index)
            room -= piece.count
        }
        return (entries, members)
    }

    /// Passes a new token's text on.
    /// - Returns: Whether the answer is complete; the caller has been told then.
    private func accept(_ token: Token, in slot: inout Slot) -> Bool {
        if llama_vocab_is_eog(model.vocabulary, token) { return finish(&slot, .stop) }
        slot.writtenCount += 1
        slot.pending = token
        emit(slot.scanner.push(slot.assembler.push(model.piece(token))), slot)
        if slot.scanner.isStopped { return finish(&slot, .stop) }
        if slot.writtenCount == slot.job.maxTokens { return finish(&slot, .length) }
        return false
    }

    private func finish(_ slot: inout Slot, _ reason: FinishReason) -> Bool {
        let tail = slot.scanner.push(slot.assembler.finish())
        emit(tail + slot.scanner.finish(), slot)
        slot.job.continuation.yield(.finished(slot.scanner.isStopped ? .stop : reason, slot.usage))
        slot.job.continuation.finish()
        return true
    }

    private func emit(_ text: String, _ slot: Slot) {
        if !text.isEmpty { slot.job.continuation.yield(.text(text)) }
    }

    private mutating func remove(_ members: [Int]) {
        for member in members.sorted(by: >) {
            free(slots[member].sequence)
            slots.remove(at: member)
        }
    }
}
