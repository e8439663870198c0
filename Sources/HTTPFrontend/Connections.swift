import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Serving
import Synchronization

/// One open connection: who is at its other end, whether that client has gone, and what its requests looked like on the wire.
final class Connection: Sendable {
    /// What the connection may be used for.
    enum Standing: Sendable {
        case full
        /// All places are taken by requests that run: only `/health/` is answered here.
        case healthOnly
        /// Even those are taken: the client gets a 503 and the connection ends.
        case refused
    }

    /// What a request's first line and fields said that the shared HTTP types do not carry on.
    struct Head: Sendable {
        var isHTTP10 = false
        /// Why the request cannot be served as it stands.
        var fault: APIError?
    }

    private struct State {
        /// Heads that have been read, and not been handled yet: clients may send several requests at once.
        var heads: [Head] = []
        var current = Head()
        var requestsInFlight = 0
        var lastUse: ContinuousClock.Instant
    }

    let channel: any Channel
    /// The other end's address without its port; empty when it has none.
    let address: String
    /// Opens when the client has gone.
    let gone = Latch()
    private let state: Mutex<State>

    init(channel: any Channel, address: String) {
        self.channel = channel
        self.address = address
        state = Mutex(State(lastUse: .now))
    }

    /// Nothing was asked that is not answered yet.
    var isIdle: Bool { state.withLock { $0.requestsInFlight == 0 } }
    var lastUse: ContinuousClock.Instant { state.withLock { $0.lastUse } }
    /// The head of the request that is being handled.
    var head: Head { state.withLock { $0.current } }

    func requestBegins(_ head: Head) {
        state.withLock { state in
            state.heads.append(head)
            state.requestsInFlight += 1
            state.lastUse = .now
        }
    }

    func requestEnds() {
        state.withLock { state in
            state.requestsInFlight -= 1
            state.lastUse = .now
        }
    }

    /// The next request, in the order in which they came, is handled now.
    func handleNext() -> Head {
        state.withLock { state in
            state.current = state.heads.isEmpty ? Head() : state.heads.removeFirst()
            return state.current
        }
    }
}

/// All open connections, and who may open another one.
///
/// An idle connection costs a place that another client may need, so it is closed, the longest idle one first, when all places are taken. What is left is
/// connections on which requests run; beyond them a few more are kept for `/health/`, so that a busy server is not taken for a dead one.
///
/// Reading the request's stream to its end would tell that a client has gone as well, but then the connection could not serve another request. So a channel
/// handler watches for the end of the input or of the channel. A client that closes its sending half counts as gone, as in other servers: nobody who
/// waits for an answer does that.
final class Connections: Sendable {
    struct Limits: Sendable {
        var count: Int
        /// Connections beyond `count` that serve `/health/` only.
        var reserve: Int
        /// For one client address; nil = no limit.
        var perAddress: Int?
        /// Addresses that speak for many clients: proxies.
        var exemptAddresses: Set<String> = []
    }

    private struct State {
        var open: [ObjectIdentifier: Connection] = [:]
        var standings: [ObjectIdentifier: Connection.Standing] = [:]
        var perAddress: [String: Int] = [:]
        var fullCount = 0
        var reserveCount = 0
        var refusedCount = 0
    }

    private let limits: Limits
    private let state = Mutex(State())

    init(limits: Limits) { self.limits = limits }

    var count: Int { state.withLock { $0.open.count } }

    /// The connection of a channel; nil for a channel that is not watched (in tests).
    func connection(of channel: any Channel) -> Connection? { state.withLock { $0.open[ObjectIdentifier(channel)] } }

    /// The latch that opens when the client of this channel is gone; nil for a channel that is not watched.
    func latch(of channel: any Channel) -> Latch? { connection(of: channel)?.gone }

    func standing(of connection: Connection) -> Connection.Standing {
        state.withLock { $0.standings[ObjectIdentifier(connection.channel)] ?? .refused }
    }

    /// Takes a new connection in, closing idle ones where it must.
    ///
    /// - Returns: Nil when there is not even a place to tell it so.
    func admit(_ connection: Connection) -> Connection.Standing? {
        let (standing, evicted) = state.withLock { state -> (Connection.Standing?, [Connection]) in
            var evicted: [Connection] = []
            let key = ObjectIdentifier(connection.channel)
            func evict(_ isCandidate: (Connection, Connection.Standing) -> Bool) -> Bool {
                let idle = state.open.values.filter { each in
                    guard let standing = state.standings[ObjectIdentifier(each.channel)] else { return false }
                    return isCandidate(each, standing) && each.isIdle
                }
                guard let oldest = idle.min(by: { $0.lastUse < $1.lastUse }) else { return false }
                Self.remove(oldest, from: &state)
                evicted.append(oldest)
                return true
            }
            var standing = Connection.Standing.full
            if let limit = limits.perAddress, !limits.exemptAddresses.contains(connection.address),
                state.perAddress[connection.address, default: 0] >= limit,
                !evict({ each, _ in each.address == connection.address })
            {
                standing = .healthOnly
            }
            if standing == .full, state.fullCount >= limits.count,
                !evict({ $1 == .full })
            {
                standing = .healthOnly
            }
            if standing == .healthOnly, state.reserveCount >= limits.reserve, !evict({ $1 == .healthOnly }) {
                standing = .refused
            }
            if standing == .refused, state.refusedCount >= limits.reserve * 4 { return (nil, evicted) }
            state.open[key] = connection
            state.standings[key] = standing
            switch standing {
            case .full:
                state.fullCount += 1
                state.perAddress[connection.address, default: 0] += 1
            case .healthOnly: state.reserveCount += 1
            case .refused: state.refusedCount += 1
            }
            return (standing, evicted)
        }
        for each in evicted { each.channel.close(promise: nil) }
        return standing
    }

    private static func remove(_ connection: Connection, from state: inout State) {
        let key = ObjectIdentifier(connection.channel)
        guard state.open.removeValue(forKey: key) != nil else { return }
        switch state.standings.removeValue(forKey: key) {
        case .full:
            state.fullCount -= 1
            let left = state.perAddress[connection.address, default: 1] - 1
            state.perAddress[connection.address] = left > 0 ? left : nil
        case .healthOnly: state.reserveCount -= 1
        case .refused: state.refusedCount -= 1
        case nil: break
        }
    }

    func remove(_ connection: Connection) {
        state.withLock { Self.remove(connection, from: &$0) }
        connection.gone.open()
    }
}
