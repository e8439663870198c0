package import Retrieval

/// What is decided per server, not per question.
package struct AnswerOptions: Sendable {
    /// Name of the generator that answers when a question names none; nil = the first one.
    package var defaultGenerator: String?
    /// Below this confidence the extractive generator refuses. Calibrated; `scripts/fit-confidence.py` prints the curve it was read off.
    package var refuseBelow: Float = ConfidenceModel.refuseBelowDefault
    /// The same for language models, which can see by themselves that sources do not hold an answer: only hopeless questions are kept from them.
    package var refuseGenerationBelow: Float = ConfidenceModel.refuseGenerationBelowDefault
    /// Passages in the prompt, in tokens, at most.
    package var contextTokensMax = 3000
    package var limits = RequestLimits()
    /// An answer comes within this time when the question sets no deadline.
    /// Shorter than the two minutes after which a server cuts a request that does not stream: an answer degrades instead.
    package var deadlineDefault: Duration = .seconds(110)
    /// The longest deadline that a question may set.
    package var deadlineMax: Duration = .seconds(900)
    /// Longest wait for a model's first token, counted from its turn; nil = 30 s and three times what reading the prompt is expected to take.
    package var firstTokenTimeMax: Duration?
    /// Passages that a refusal shows.
    package var nearestCountMax = 3
    /// Characters of a rejected text that are kept for the response.
    package var rejectedLengthMax = 4000
    /// Longest wait for a follow-up question to be rewritten.
    package var rewriteTimeMax: Duration = .seconds(5)
    /// Longest wait for a model in another step of a plan.
    package var planTimeMax: Duration = .seconds(20)
    /// Sub-questions of a question at most.
    package var subquestionCountMax = 4
    /// Follow-up searches for a question at most.
    package var hopCountMax = 2
    /// Sentences that are embedded for one answer of a language model, whose claims are compared with them.
    package var embeddedUnitCountMax = 20
    /// Sentences that are embedded at most for an answer that quotes, where those suffice that may change what is quoted.
    package var neededUnitCountMax = 8
    /// Bytes for vectors of sentences that are kept for the next question about the same passages; 0 = none.
    package var sentenceVectorSizeMax = 8 << 20
    /// Operations that ignored their cancellation and still run; beyond this many a stage is skipped without being tried.
    package var abandonedCountMax = 16

    package init() {}
}
