/// Stops asking a server that keeps failing, and lets one request at a time find out whether it is back. A value that is told the time.
///
/// ```
///              failureMax failures in a row                    openDuration has passed
///   closed ─────────────────────────────────► open ─────────────────────────────────────► half-open
///     ▲                                        ▲                                            │  │
///     │                                        └───────────── the probe fails ──────────────┘  │
///     └──────────────────────────────────────────────────────── the probe succeeds ────────────┘
/// ```
///
/// Nygard 2007, "Release It!", §5.2.
package struct CircuitBreaker: Sendable {
    /// Where in the picture above the breaker stands.
    package enum State: Sendable, Equatable {
        case closed(failures: Int)
        case open(until: Duration)
        /// One request is under way as a probe; the others are refused.
        case halfOpen
    }

    /// Whether to send a request, or when to ask again.
    package enum Permit: Sendable, Equatable {
        case allowed
        case refused(retryAfter: Duration)
    }

    /// Failures in a row that open the circuit.
    package let failureMax: Int
    /// How long it stays open.
    package let openDuration: Duration
    package private(set) var state = State.closed(failures: 0)

    package init(failureMax: Int = 5, openDuration: Duration = .seconds(15)) {
        precondition(failureMax > 0 && openDuration > .zero, "failureMax \(failureMax), openDuration \(openDuration)")
        self.failureMax = failureMax
        self.openDuration = openDuration
    }

    /// Asks whether a request may be sent. Whoever is allowed must tell the outcome by one of the calls below.
    package mutating func permit(_ now: Duration) -> Permit {
        switch state {
        case .closed: return .allowed
        case .open(let until) where now >= until:
            state = .halfOpen
            return .allowed
        case .open(let until): return .refused(retryAfter: until - now)
        case .halfOpen: return .refused(retryAfter: .seconds(1))
        }
    }

    /// The server answered, be it that it refused this one request.
    package mutating func succeeded() {
        // A request from before the circuit opened says little about the server now.
        if case .open = state { return }
        state = .closed(failures: 0)
    }

    /// The server did not answer, or not as a working server does.
    package mutating func failed(_ now: Duration) {
        switch state {
        case .closed(let failures) where failures + 1 < failureMax: state = .closed(failures: failures + 1)
        case .closed, .halfOpen: state = .open(until: now + openDuration)
        case .open: break
        }
    }

    /// The request was given up by its caller; it says nothing about the server. A probe given up lets the next request probe.
    package mutating func abandoned(_ now: Duration) {
        if case .halfOpen = state { state = .open(until: now) }
    }
}
