import Answering
import Documents
import Execution
import Hummingbird
import Inference
import Logging
import Retrieval
import Serving

import struct Foundation.Date

extension Frontend {
    /// `POST /v1/search`.
    func search(_ request: Request, _ context: Context, _ permit: AdmissionGate.Permit) async throws -> Response {
        defer { permit.release() }
        let body = try await jsonBody(of: request)
        let question = try SearchBody.plain(body) ?? JSON.decode(SearchBody.self, from: body).request
        let found = try await services.searching.search(question, scope: scope(of: context))
        context.facts.note(found.results.map(\.chunkID))
        note(found.degradation, context)
        record(.search, found.collection, nil, found.degradation, found.timings, context)
        return JSON.response(SearchResponseBody(found))
    }

    /// `POST /v1/answer`: one JSON object, or a stream of events when the client asks for one.
    func answer(_ request: Request, _ context: Context, _ permit: AdmissionGate.Permit) async throws -> Response {
        let start = ContinuousClock.now
        let body = try await decode(AnswerBody.self, from: request)
        var asked = body.request
        let isStream = body.stream ?? request.headers[values: .accept].contains { $0.lowercased().contains("text/event-stream") }
        // What comes whole was checked whole.
        if !isStream { asked.delivery = .immediate }
        let question = asked
        let events = services.answering.answer(question, scope: scope(of: context))
        if !isStream {
            defer { permit.release() }
            for try await event in events {
                observe(event, question, start, context)
                if case .done(let answer) = event { return JSON.response(AnswerResponseBody(answer)) }
            }
            try Task.checkCancellation()
            throw AnsweringError.failed("the answer ended without a result")
        }

        // The first event comes before the response's head, so that a request that cannot be served at all gets its proper status.
        var iterator = events.makeAsyncIterator()
        let first = try await iterator.next()
        // A question that sets a longer deadline than requests have is given it.
        let timeout = question.deadlineMilliseconds.map {
            max(configuration.requestTimeout, Duration(clampingMilliseconds: min($0, 3.6e6)) + .seconds(10))
        }
        return EventStream.response(
            context: context, clientGone: connections.latch(of: context.channel), timeout: timeout ?? configuration.requestTimeout,
            heartbeat: configuration.heartbeat,
            permit: permit
        ) { [self] stream in
            var isDone = false
            func send(_ event: AnswerEvent) async throws {
                observe(event, question, start, context)
                if case .done = event { isDone = true }
                try await Self.send(event, to: stream)
            }
            if let first { try await send(first) }
            for try await event in events { try await send(event) }
            try Task.checkCancellation()
            if !isDone { throw AnsweringError.failed("the answer ended without a result") }
        }
    }

    private static func send(_ event: AnswerEvent, to stream: EventStream) async throws {
        switch event {
        case .plan(let plan): try await stream.send("plan", PlanBody(plan))
        case .step(let step): try await stream.send("step", PlanStepBody(step))
        case .sources(let sources): try await stream.send("sources", ["sources": sources.map(PassageBody.init)])
        case .progress(let progress): try await stream.send("progress", ProgressBody(progress))
        case .token(let text): try await stream.send("token", ["text": text])
        case .reset(let reason): try await stream.send("reset", ["reason": reason])
        case .citation(let citation): try await stream.send("citation", CitationBody(citation))
        case .timings(let timings): try await stream.send("timings", ["timings_ms": timings.milliseconds])
        case .done(let answer): try await stream.send("done", AnswerResponseBody(answer))
        }
    }

    /// Leaves in log and metrics what an event says about the request.
    private func observe(_ event: AnswerEvent, _ question: AnswerRequest, _ start: ContinuousClock.Instant, _ context: Context) {
        switch event {
        case .sources(let sources): context.facts.note(sources.map(\.chunkID))
        case .token:
            guard context.facts["ttft_ms"] == nil else { return }
            let milliseconds = (ContinuousClock.now - start).inMilliseconds
            context.facts["ttft_ms"] = .stringConvertible((milliseconds * 100).rounded() / 100)
            metrics.observe("outrider_time_to_first_token_ms", milliseconds)
        case .done(let answer):
            context.facts["generator"] = .string(answer.generator)
            context.facts["refused"] = .stringConvertible(answer.refused)
            note(answer.degradation, context)
            record(.answer, question.collection, answer.generator, answer.degradation, answer.timings, context)
        case .plan, .step, .progress, .reset, .citation, .timings: break
        }
    }

    private func note(_ degradation: [Degradation], _ context: Context) {
        // Only the rung's name: the reason may be long.
        if !degradation.isEmpty { context.facts["degradation"] = .array(degradation.map { .string($0.rung.rawValue) }) }
    }

    private func record(
        _ kind: RecentTimings.Entry.Kind, _ collection: String, _ generator: String?, _ degradation: [Degradation], _ timings: Timings,
        _ context: Context
    ) {
        recent.add(
            .init(
                requestID: context.requestID, kind: kind, at: Date().timeIntervalSince1970, collection: collection, generator: generator,
                degradation: degradation,
                timings: timings))
    }
}
