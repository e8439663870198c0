/// Reads server-sent events from bytes that arrive in any pieces (WHATWG HTML, §9.2.6).
///
/// Lines end with LF, CR LF or CR, and any of these may be cut by a piece's end. Comments (`: ping`) and other fields than `data` are skipped;
/// several `data` lines of one event are joined by LF; a blank line ends the event. The rest at the stream's end is an event too, for servers
/// that forget the last blank line.
package struct EventStreamParser: Sendable {
    /// A server that sends more than this without ending an event is not talking to us.
    package static let eventSizeMax = 4 << 20

    package struct TooLong: Error {}

    private var line: [UInt8] = []
    private var data: [UInt8] = []
    private var hasData = false
    private var lastWasReturn = false
    private var isAtStart = true

    package init() {}

    /// Adds bytes.
    /// - Returns: The data of each event that is complete now.
    /// - Throws: `TooLong`.
    package mutating func push(_ bytes: some Sequence<UInt8>) throws -> [String] {
        var events: [String] = []
        for byte in bytes {
            let followsReturn = lastWasReturn
            lastWasReturn = byte == UInt8(ascii: "\r")
            switch byte {
            case UInt8(ascii: "\n") where followsReturn: continue
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): if let event = endLine() { events.append(event) }
            default:
                line.append(byte)
                guard line.count + data.count <= Self.eventSizeMax else { throw TooLong() }
            }
        }
        return events
    }

    /// The stream has ended.
    /// - Returns: The event that was not closed by a blank line.
    package mutating func finish() -> String? {
        if !line.isEmpty, let event = endLine() { return event }
        return endEvent()
    }

    private mutating func endLine() -> String? {
        defer {
            line.removeAll(keepingCapacity: true)
            isAtStart = false
        }
        if isAtStart && line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        if line.isEmpty { return endEvent() }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        guard line[..<colon].elementsEqual("data".utf8) else { return nil }
        var value = line[min(colon + 1, line.endIndex)...]
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        if hasData { data.append(UInt8(ascii: "\n")) }
        data += value
        hasData = true
        return nil
    }

    private mutating func endEvent() -> String? {
        guard hasData else { return nil }
        defer {
            data.removeAll(keepingCapacity: true)
            hasData = false
        }
        return String(decoding: data, as: UTF8.self)
    }
}
