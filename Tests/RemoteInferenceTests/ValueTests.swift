import Foundation
import Inference
import TestSupport
import Testing

@testable import RemoteInference

@Suite struct EventStreamParserTests {
    private func parse(_ pieces: [[UInt8]]) throws -> [String] {
        var parser = EventStreamParser()
        var events: [String] = []
        for piece in pieces { events += try parser.push(piece) }
        if let last = parser.finish() { events.append(last) }
        return events
    }

    @Test(arguments: [
        ("data: a\n\n", ["a"]), ("data:a\r\n\r\n", ["a"]), ("data: a\r\r", ["a"]), ("data:  a\n\n", [" a"]), ("data\n\n", [""]),
        (": comment\n\ndata: a\n\n", ["a"]), ("event: x\nid: 3\nretry: 5\ndata: a\n\n", ["a"]), ("data: a\ndata: b\n\n", ["a\nb"]),
        ("data: a\n\n\n\ndata: b\n\n", ["a", "b"]), ("data: a", ["a"]), ("data: a\n", ["a"]), ("\n\n", []), ("", []), ("datax: a\n\n", []),
        ("\u{FEFF}data: a\n\n", ["a"]), ("data: é漢😀\r\n\r\n", ["é漢😀"]), (":\r\n\r\ndata: a\r\n: ping\r\ndata: b\r\n\r\n", ["a\nb"]),
    ])
    func `events are read, wherever the bytes are cut`(text: String, expected: [String]) throws {
        let bytes = Array(text.utf8)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                #expect(
                    try parse([Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]) == expected,
                    "cut at \(first), \(second)")
            }
        }
        #expect(try parse(bytes.map { [$0] }) == expected)
    }

    @Test func `an endless line is refused`() throws {
        var parser = EventStreamParser()
        let block = [UInt8](repeating: 0x61, count: 1 << 20)
        for _ in 0..<4 {
            let events = try parser.push(block)
            #expect(events.isEmpty)
        }
        #expect(throws: EventStreamParser.TooLong.self) { _ = try parser.push(block) }
    }
}

@Suite struct CircuitBreakerTests {
    private func seconds(_ count: Double) -> Duration { .seconds(count) }

    @Test func `failures in a row open it`() {
        var circuit = CircuitBreaker(failureMax: 3, openDuration: .seconds(10))
        for _ in 0..<2 { circuit.failed(.zero) }
        circuit.succeeded()
        for _ in 0..<2 { circuit.failed(.zero) }
        #expect(circuit.permit(.zero) == .allowed)
        circuit.failed(seconds(1))
        #expect(circuit.permit(seconds(4)) == .refused(retryAfter: .seconds(7)))
    }

    @Test func `one probe goes out when the time is over`() {
        var circuit = CircuitBreaker(failureMax: 1, openDuration: .seconds(10))
        circuit.failed(.zero)
        let permits = [9.9, 10, 10].map { circuit.permit(seconds($0)) == .allowed }
        #expect(permits == [false, true, false])
        #expect(circuit.state == .halfOpen)
    }

    @Test func `a probe decides`() {
        var circuit = CircuitBreaker(failureMax: 1, openDuration: .seconds(10))
        circuit.failed(.zero)
        _ = circuit.permit(seconds(10))
        circuit.failed(seconds(12))
        #expect(circuit.permit(seconds(21)) == .refused(retryAfter: .seconds(1)))
        _ = circuit.permit(seconds(22))
        circuit.succeeded()
        #expect(circuit.state == .closed(failures: 0))
    }

    @Test func `a probe given up lets the next one go`() {
        var circuit = CircuitBreaker(failureMax: 1, openDuration: .seconds(10))
        circuit.failed(.zero)
        _ = circuit.permit(seconds(10))
        circuit.abandoned(seconds(11))
        #expect(circuit.permit(seconds(11)) == .allowed)
    }

    @Test func `a late answer does not close it`() {
        var circuit = CircuitBreaker(failureMax: 1, openDuration: .seconds(10))
        circuit.failed(.zero)
        circuit.succeeded()
        #expect(circuit.permit(seconds(1)) != .allowed)
    }

    /// Against the rules written as a list of what happened.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func `it never lets two probes out, nor anything while it is open`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var circuit = CircuitBreaker(failureMax: Int.random(in: 1...4, using: &random), openDuration: .seconds(5))
        var now = 0.0
        var openedAt: Double?
        var failures = 0
        var probing = false
        for _ in 0..<300 {
            now += Double.random(in: 0...3, using: &random)
            let mayPass = openedAt == nil || (!probing && now - openedAt! >= 5)
            let permit = circuit.permit(.seconds(now))
            #expect((permit == .allowed) == mayPass, "seed \(seed), time \(now)")
            guard permit == .allowed else {
                if probing && Bool.random(using: &random) {
                    circuit.succeeded()
                    (openedAt, probing, failures) = (nil, false, 0)
                }
                continue
            }
            probing = openedAt != nil
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                circuit.succeeded()
                (openedAt, probing, failures) = (nil, false, 0)
            case 1 where probing: break
            default:
                circuit.failed(.seconds(now))
                failures += 1
                if probing || failures >= circuit.failureMax { (openedAt, probing, failures) = (now, false, 0) }
            }
        }
    }
}

@Suite struct RetryPolicyTests {
    @Test func `delays double, with jitter, to a limit`() {
        var policy = RetryPolicy(retryMax: 10)
        policy.baseDelay = 1
        for attempt in 1...10 {
            let full = min(8, Double(1 << (attempt - 1)))
            #expect(policy.delay(afterAttempt: attempt, retryAfter: nil, random: 0) == full / 2)
            #expect(abs(policy.delay(afterAttempt: attempt, retryAfter: nil, random: 0.999999)! - full) < 0.001)
        }
        #expect(policy.delay(afterAttempt: 11, retryAfter: nil, random: 0) == nil)
        #expect(RetryPolicy(retryMax: 0).delay(afterAttempt: 1, retryAfter: nil, random: 0) == nil)
    }

    @Test func `what the server asks for is kept, if it is reasonable`() {
        let policy = RetryPolicy(retryMax: 2)
        #expect(policy.delay(afterAttempt: 1, retryAfter: 3, random: 0.5) == 3)
        #expect(policy.delay(afterAttempt: 1, retryAfter: 0, random: 0.5) == 0)
        #expect(policy.delay(afterAttempt: 1, retryAfter: 3600, random: 0.5) == nil)
    }

    @Test(
        arguments: [
            (nil, nil), ("", nil), ("7", 7.0), (" 0.5 ", 0.5), ("-3", nil), ("soon", nil), ("nan", nil),
            ("Fri, 31 Dec 1999 23:59:59 GMT", 59.0),
            ("Fri, 31 Dec 1999 23:00:00 GMT", 0.0),
        ] as [(String?, Double?)])
    func `the header is read as seconds or as a date`(header: String?, expected: Double?) {
        let now = Date(timeIntervalSince1970: 946_684_740)
        #expect(RetryPolicy.retryAfter(header: header, now: now) == expected)
    }
}

@Suite struct DialectTests {
    @Test func `each refusal is learnt once`() {
        var dialect = ChatCompletion.Dialect()
        let messages = [
            ("Unknown field: stream_options", true), ("Unknown field: stream_options", false),
            ("Use 'max_completion_tokens' instead", true),
            ("Unsupported value: 'temperature' does not support 0", true), ("this model cannot stream", true),
            ("the model is on holiday", false),
        ]
        for (message, isNew) in messages {
            let learnt = dialect.adapt(to: message)
            #expect(learnt == isNew, "\(message)")
        }
        #expect(
            dialect == .init(streams: false, takesStreamOptions: false, takesSampling: false, takesStop: true, limitsCompletionTokens: true)
        )
    }

    @Test(arguments: [
        (#"{"error":{"message":"a","type":"x"}}"#, "a"), (#"{"error":"a"}"#, "a"), (#"{"message":"a"}"#, "a"), (#"{"detail":"a"}"#, "a"),
    ])
    func `each server's form of an error is read`(json: String, expected: String) throws {
        #expect(try JSONDecoder().decode(ChatCompletion.Failure.self, from: Data(json.utf8)).message == expected)
    }
}

@Suite struct ChatCompletionTests {
    @Test func `a request is what it always was`() throws {
        var request = GenerationRequest(
            messages: [ChatMessage(role: .user, content: "Hi")], maxTokens: 9, temperature: 0.5, topP: 0.25,
            stop: ["a", "", "b", "c", "d", "e"], seed: 7)
        func json(_ dialect: ChatCompletion.Dialect) throws -> NSDictionary {
            let data = try ChatCompletion.encode(.init(request, model: "m", dialect: dialect))
            return try #require(JSONSerialization.jsonObject(with: data) as? NSDictionary)
        }
        func parsed(_ text: String) throws -> NSDictionary {
            try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary)
        }
        let messages = #""messages":[{"role":"user","content":"Hi"}],"model":"m""#
        #expect(
            try json(.init())
                == parsed(
                    "{\(messages),\"max_tokens\":9,\"temperature\":0.5,\"top_p\":0.25,\"stop\":[\"a\",\"b\",\"c\",\"d\"],\"seed\":7,"
                        + "\"stream\":true,\"stream_options\":{\"include_usage\":true}}"))
        request.stop = []
        request.seed = nil
        let sparse = ChatCompletion.Dialect(
            streams: false, takesStreamOptions: false, takesSampling: false, takesStop: false, limitsCompletionTokens: true)
        #expect(try json(sparse) == parsed("{\(messages),\"max_completion_tokens\":9,\"stream\":false}"))
    }
}
