import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTPTypes
import Synchronization

/// Knows of each open connection whether its client has gone, so that work for nobody stops.
///
/// Reading the request's stream to its end would tell as well, but then the connection could not serve another request. So a channel handler
/// watches for the end of the input or of the channel, and opens the connection's latch. A client that closes its sending half counts
/// as gone, as in other servers: nobody who waits for an answer does that.
final class Connections: Sendable {
    private let latches = Mutex<[ObjectIdentifier: Latch]>([:])

    var count: Int { latches.withLock { $0.count } }

    /// The latch that opens when the client of this channel is gone; nil for a channel that is not watched (in tests).
    func latch(of channel: any Channel) -> Latch? { latches.withLock { $0[ObjectIdentifier(channel)] } }

    /// - Parameter stallTimeout: A client that takes nothing of what is sent to it for this long is cut off, so that it cannot hold a place for ever.
    func makeHandler(stallTimeout: TimeAmount) -> any RemovableChannelHandler { Watcher(connections: self, stallTimeout: stallTimeout) }

    private func add(_ channel: any Channel) { latches.withLock { $0[ObjectIdentifier(channel)] = Latch() } }

    private func open(_ channel: any Channel) { latch(of: channel)?.open() }

    private func remove(_ channel: any Channel) { latches.withLock { $0.removeValue(forKey: ObjectIdentifier(channel)) }?.open() }

    private final class Watcher: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPRequestPart
        typealias InboundOut = HTTPRequestPart
        private let connections: Connections
        private let stallTimeout: TimeAmount
        private var stall: Scheduled<Void>?

        init(connections: Connections, stallTimeout: TimeAmount) {
            self.connections = connections
            self.stallTimeout = stallTimeout
        }

        func handlerAdded(context: ChannelHandlerContext) { connections.add(context.channel) }
        func handlerRemoved(context: ChannelHandlerContext) {
            stall?.cancel()
            connections.remove(context.channel)
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            stall?.cancel()
            stall = nil
            if !context.channel.isWritable {
                let channel = context.channel
                stall = context.eventLoop.scheduleTask(in: stallTimeout) { channel.close(promise: nil) }
            }
            context.fireChannelWritabilityChanged()
        }

        func channelInactive(context: ChannelHandlerContext) {
            connections.open(context.channel)
            context.fireChannelInactive()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent { connections.open(context.channel) }
            context.fireUserInboundEventTriggered(event)
        }
    }
}

/// Why work for a request was stopped from outside.
enum Interruption: Error {
    case clientGone
    case timedOut(Duration)
}

/// Runs an operation until it ends, its client goes, or its time is over; in the last two cases the operation is cancelled and awaited.
func withInterruption<Value: Sendable>(
    clientGone: Latch?, timeout: Duration?, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    if clientGone?.isOpen == true { throw Interruption.clientGone }
    return try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask(operation: operation)
        if let clientGone {
            group.addTask {
                await clientGone.wait()
                try Task.checkCancellation()
                throw Interruption.clientGone
            }
        }
        if let timeout {
            group.addTask {
                try await Task.sleep(for: timeout)
                throw Interruption.timedOut(timeout)
            }
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { preconditionFailure("a group of at least one task is empty") }
        return value
    }
}
