import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Serving

/// Writes a `text/event-stream`: whole events in order, and comments between them while nothing happens.
struct EventStream: Sendable {
    /// Hands whole frames to the response.
    ///
    /// Invariant behind `@unchecked Sendable`: each call writes one complete frame, and the writer underneath (NIO's outbound writer) takes writes from any
    /// task, each as a unit. So a heartbeat can come between two events but never inside one.
    private final class Writer: @unchecked Sendable {
        private var writer: any ResponseBodyWriter
        init(_ writer: any ResponseBodyWriter) { self.writer = writer }
        func write(_ frame: ByteBuffer) async throws {
            var writer = writer
            try await writer.write(frame)
        }
        func finish() async throws {
            let writer = writer
            try await writer.finish(nil)
        }
    }

    private let writer: Writer

    func send(_ event: String, _ value: some Encodable) async throws {
        var frame = ByteBuffer()
        frame.writeString("event: \(event)\ndata: ")
        frame.writeBytes(JSON.data(value))
        frame.writeString("\n\n")
        try await writer.write(frame)
    }

    func comment(_ text: String) async throws { try await writer.write(ByteBuffer(string: ": \(text)\n\n")) }

    /// A response that streams what `produce` sends, until it returns, throws (the last event is then `error`), its client goes or its time is over.
    ///
    /// - Parameter permit: Released when the stream ends, however it does.
    static func response(
        context: FrontendContext, clientGone: Latch?, timeout: Duration?, heartbeat: Duration, permit: AdmissionGate.Permit,
        _ produce: @escaping @Sendable (EventStream) async throws -> Void
    ) -> Response {
        let headers: HTTPFields = [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store", .xAccelBuffering: "no"]
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { bodyWriter in
                defer { permit.release() }
                let writer = Writer(bodyWriter)
                let stream = EventStream(writer: writer)
                do {
                    try await withInterruption(clientGone: clientGone, timeout: timeout) {
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask {
                                while true {
                                    try await Task.sleep(for: heartbeat)
                                    try await stream.comment("still here")
                                }
                            }
                            group.addTask { try await produce(stream) }
                            defer { group.cancelAll() }
                            // Whichever ends first: the producer, or a heartbeat that could not be written.
                            try await group.next()
                        }
                    }
                } catch Interruption.clientGone {
                    context.facts["client_gone"] = .stringConvertible(true)
                    throw Interruption.clientGone
                } catch {
                    // Too late for a status: the error is the stream's last event. When that cannot be written either, the client has gone.
                    let failure: APIError
                    if case Interruption.timedOut(let duration) = error {
                        failure = APIError(
                            .serviceUnavailable, code: "timed_out", "the request was not done within \(duration) and was stopped")
                    } else {
                        failure = APIError(mapping: error)
                    }
                    context.facts["error_code"] = .string(failure.code)
                    if let detail = failure.detail { context.logger.error("stream failed", metadata: ["detail": .string(detail)]) }
                    try await stream.send("error", failure.body)
                }
                try await writer.finish()
            })
    }
}
