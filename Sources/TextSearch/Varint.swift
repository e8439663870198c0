/// Numbers in as few bytes as they need: seven bits a byte, low bits first, the top bit says that another byte follows.
enum Varint {
    @inline(__always)
    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Reads one number and moves the cursor behind it.
    @inline(__always)
    static func read(_ cursor: inout UnsafePointer<UInt8>) -> UInt64 {
        var value = UInt64(cursor.pointee & 0x7F)
        var shift: UInt64 = 7
        while cursor.pointee & 0x80 != 0 {
            cursor += 1
            value |= UInt64(cursor.pointee & 0x7F) &<< shift
            shift &+= 7
        }
        cursor += 1
        return value
    }
}
