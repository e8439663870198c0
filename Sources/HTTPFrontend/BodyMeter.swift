import Execution
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

/// Watches how fast a request's body comes.
///
/// A client earns patience with the bytes it sends, at `rateMin` bytes per second, and spends it while we wait for more. So a body that stops is given up after
/// a few seconds from its beginning on, and not at the end of the request's own time; a slow but steady one is not, however large it is.
/// Only waiting for the client counts: not the wait for a place, nor the time it takes to write a file.
final class BodyMeter: Sendable {
    /// Bytes per second; who sends slower on average is given up.
    static let rateMin = 16 << 10

    private struct State {
        var patience: Duration
        var waitingSince: ContinuousClock.Instant?
        var alarm: Alarm.Ticket?
    }

    /// Nobody may save up for a longer pause than this.
    private let patienceMax: Duration
    private let state: Mutex<State>
    private let stalled: @Sendable () -> Void

    /// - Parameters:
    ///   - patience: What a client has before its first byte.
    ///   - stalled: Called when the client's patience is used up while it is waited for.
    init(patience: Duration, stalled: @escaping @Sendable () -> Void) {
        patienceMax = patience * 4
        state = Mutex(State(patience: patience))
        self.stalled = stalled
    }

    /// What is left; for tests.
    var patience: Duration { state.withLock { $0.patience } }

    func waitBegins() {
        state.withLock { state in
            state.waitingSince = .now
            state.alarm = Alarm.shared.set(after: max(state.patience, .zero), stalled)
        }
    }

    func waitEnds(received: Int) {
        let alarm = state.withLock { state in
            if let since = state.waitingSince { state.patience -= ContinuousClock.now - since }
            state.waitingSince = nil
            state.patience = min(patienceMax, state.patience + .seconds(Double(received) / Double(Self.rateMin)))
            defer { state.alarm = nil }
            return state.alarm
        }
        if let alarm { Alarm.shared.cancel(alarm) }
    }
}

/// A request's body whose beginning has been read, and whose rest is metered.
///
/// Invariant behind `@unchecked Sendable`: a body is read by one task at a time, first by `Frontend.receive`, then by the handler, as the stream under it demands.
final class MeteredBody: AsyncSequence, @unchecked Sendable {
    typealias Element = ByteBuffer

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let body: MeteredBody
        mutating func next() async throws -> ByteBuffer? { try await body.next() }
    }

    private var iterator: RequestBody.AsyncIterator
    private var beginning: ByteBuffer?
    private let meter: BodyMeter

    init(_ body: RequestBody, meter: BodyMeter) {
        iterator = body.makeAsyncIterator()
        self.meter = meter
    }

    func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    /// Gives back what was read: it comes first when the body is read again.
    func putBack(_ bytes: ByteBuffer) { beginning = bytes }

    func next() async throws -> ByteBuffer? {
        if let bytes = beginning {
            beginning = nil
            return bytes
        }
        meter.waitBegins()
        do {
            let bytes = try await iterator.next()
            meter.waitEnds(received: bytes?.readableBytes ?? 0)
            return bytes
        } catch {
            meter.waitEnds(received: 0)
            throw error
        }
    }
}

/// Memory for bodies that have been read, whose requests wait or run: all together are bounded.
final class BodyBudget: Sendable {
    private let limit: Int
    private let used = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// - Throws: `APIError` 503 when all of it is in use.
    func take(_ bytes: Int) throws(APIError) {
        let isTaken = used.withLock { used in
            guard used + bytes <= limit else { return false }
            used += bytes
            return true
        }
        guard isTaken else {
            throw APIError(
                .serviceUnavailable, code: "overloaded",
                "the server is busy: the bodies of other requests use all memory that is meant for them; try again after the time in Retry-After"
            )
        }
    }

    func give(_ bytes: Int) { used.withLock { $0 -= bytes } }
}

extension Frontend {
    /// How much of a multipart body comes before its request asks for a place.
    private static let beginning = 256 << 10

    /// Reads a request's body before the request asks for a place among those that run, so that clients who send nothing hold no places: all of a JSON body, the
    /// beginning of an upload (its files go to disk while it has a place).
    ///
    /// - Returns: The bytes taken from `bodies`; the caller gives them back.
    func receive(_ request: inout Request, meter: BodyMeter) async throws -> Int {
        switch request.method {
        case .get, .head, .options: return 0
        default: break
        }
        let length = request.headers[.contentLength].flatMap { Int($0) }
        if request.headers[.transferEncoding] == nil && (length ?? 0) == 0 { return 0 }
        let isUpload = HeaderParameters(request.headers[.contentType] ?? "").value.lowercased() == "multipart/form-data"
        let limit = isUpload ? configuration.maxBodyBytes : configuration.maxJSONBytes
        if let length, length > limit { throw APIError.bodyTooLarge(limit: limit) }
        let body = MeteredBody(request.body, meter: meter)
        var taken = 0
        var bytes = ByteBuffer()
        do {
            while let next = try await body.next() {
                try bodies.take(next.readableBytes)
                taken += next.readableBytes
                if taken > limit { throw APIError.bodyTooLarge(limit: limit) }
                bytes.writeImmutableBuffer(next)
                if isUpload && taken >= Self.beginning {
                    body.putBack(bytes)
                    request.body = RequestBody(asyncSequence: body)
                    return taken
                }
            }
            // A stream that was cancelled ends as if it were complete.
            try Task.checkCancellation()
        } catch {
            bodies.give(taken)
            throw error
        }
        request.body = RequestBody(buffer: bytes)
        return taken
    }
}
