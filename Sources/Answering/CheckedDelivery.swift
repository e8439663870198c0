// An answer of which nothing is ever taken back.
//
// A client that speaks the answer aloud, or hands it on, cannot unsay a token. So a sentence is sent when it has ended, its citations have passed the check
// and its quotes are what is stored now. What was sent stays: the answer is the joined sentences, whatever the model writes after them.
//
//     model   "The tower is 330 metres tall [1]. "  "It weighs 900 tons [1]. "  "It opened in 1889 [1]."
//     sent    "The tower is 330 metres tall [1]."         (its source                 " It opened in 1889 [1]."
//                                                         does not say that)
//
// The rules are those of the whole answer (`CitationCheck`), read from the beginning:
//
// - What supports nothing itself ("Sure!", a heading) waits for a sentence that holds.
// - A sentence that holds waits while less than half of the words so far are supported, since an answer that is mostly made up is rejected. The share counts
//   from the first sentence, so it is a matter of what has been read, not of what will come.
// - An answer of which nothing was sent may still be rejected, and the next generator takes over; one that was begun may not, and ends early.

import Inference
import Retrieval

/// Sends a model's answer sentence by sentence, each after its check. It lives in the task of its question.
final class CheckedDelivery {
    /// How an answer ended.
    enum Result {
        /// What was sent is the answer. `isWhole`: all that holds was sent.
        case answer(String, isWhole: Bool)
        /// Nothing was sent, and nothing will be.
        case rejected(String)
    }

    private let evidence: Evidence
    /// Checks a stretch of the answer.
    private let check: (String) async throws -> CitationCheck.Outcome
    /// Whether quotes are what is stored now.
    private let verify: ([Citation]) async throws -> [Bool]
    private let send: (String) -> Void

    private var cutter: SentenceCutter
    /// All that was accepted; its beginning was sent.
    private var composition = CitationCheck.Composition()
    private var sent = ""
    /// Of what was accepted and not sent.
    private var waiting: [Citation] = []
    private var supportedWeight = 0
    private var weight = 0
    private var objection: String?
    /// As far as it was looked at.
    private var read = ""
    private var isRefusing = false
    /// Sentences that were sent before the model's text turned out to be reasoning; it will say them again.
    private var repeated: Set<String> = []
    private var accepted: Set<String> = []
    /// Of what was sent, each once.
    private(set) var citations: [Citation] = []

    init(
        _ evidence: Evidence, sourceCount: Int, check: @escaping (String) async throws -> CitationCheck.Outcome,
        verify: @escaping ([Citation]) async throws -> [Bool], send: @escaping (String) -> Void
    ) {
        self.evidence = evidence
        self.check = check
        self.verify = verify
        self.send = send
        cutter = SentenceCutter(sourceCount: sourceCount)
    }

    var hasSent: Bool { !sent.isEmpty }
    /// Of the words that were looked at, 0...1.
    var supportedShare: Float { weight == 0 ? 0 : Float(supportedWeight) / Float(weight) }

    /// Takes what a model writes.
    func push(_ text: String) async throws {
        for piece in cutter.push(text) { try await take(piece) }
    }

    /// What came so far was no answer. What was sent of it holds, and stays.
    func reset() {
        cutter.reset()
        composition = CitationCheck.Composition(beginning: sent)
        waiting = []
        (supportedWeight, weight) = (0, 0)
        objection = nil
        read = ""
        isRefusing = false
        repeated = hasSent ? accepted : []
        accepted = []
    }

    /// Takes the rest, and says what the answer is.
    ///
    /// - Parameter isCut: The model did not end by itself; of its last sentence nothing is kept unless it ends.
    func finish(isCut: Bool) async throws -> Result {
        if var rest = cutter.finish() {
            if isCut { rest.text = AnswerRun.wholeSentences(rest.text) ?? "" }
            if !rest.text.isEmpty { try await take(rest) }
        }
        if supportedShare >= 0.5, !composition.text.isEmpty, hasSent || !waiting.isEmpty {
            sendAll()
            return .answer(sent, isWhole: true)
        }
        return hasSent ? .answer(sent, isWhole: weight == 0) : .rejected(objection ?? CitationCheck.unsupported)
    }

    private func take(_ piece: SentenceCutter.Piece) async throws {
        // A refusal is told by an answer's opening.
        if read.utf8.count < 1000 { read += piece.lead + piece.text }
        if !hasSent, AnswerRun.isRefusal(read) { isRefusing = true }
        guard !isRefusing else { return }
        let outcome = try await check(piece.text)
        objection = objection ?? outcome.objection
        let quotes = outcome.verdicts.flatMap(\.support)
        let candidates = quotes.map { evidence.sources[$0.marker - 1].citation($0.range) }
        let flags = candidates.isEmpty ? [] : try await verify(candidates)
        // As it was written, when all of it holds.
        let isAsWritten =
            outcome.isUnchanged && flags.allSatisfy { $0 }
            && outcome.verdicts.allSatisfy { !$0.support.isEmpty && !repeated.contains($0.claim.text) }
        var next = 0
        var hasSupport = false
        for (index, verdict) in outcome.verdicts.enumerated() {
            var claim = verdict.claim
            claim.lead = (index == 0 ? piece.lead : "") + claim.lead
            let own = next..<(next + verdict.support.count)
            next = own.upperBound
            if claim.isNeutral {
                composition.addNeutral(claim)
                continue
            }
            let held = own.filter { flags[$0] }
            if repeated.contains(claim.text) { continue }
            weight += verdict.weight
            guard !held.isEmpty else {
                objection = objection ?? (own.isEmpty ? CitationCheck.unsupported : "no quote could be verified")
                composition.leaveOut(claim)
                continue
            }
            supportedWeight += verdict.weight
            hasSupport = true
            accepted.insert(claim.text)
            waiting += held.map { candidates[$0] }
            if !isAsWritten {
                composition.addSupported(claim, markers: held.map { quotes[$0].marker })
            } else if index == 0 {
                composition.addSupported(claim, markers: [], written: piece.text)
            }
        }
        if hasSupport, supportedShare >= 0.5 { sendAll() }
    }

    private func sendAll() {
        let text = String(decoding: composition.text.utf8.dropFirst(sent.utf8.count), as: UTF8.self)
        guard !text.isEmpty else { return }
        sent = composition.text
        for citation in waiting where !citations.contains(citation) { citations.append(citation) }
        waiting = []
        send(text)
    }
}
