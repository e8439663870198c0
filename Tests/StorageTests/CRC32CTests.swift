import TestSupport
import Testing

@testable import Storage

struct CRC32CTests {
    /// The definition, one bit at a time: the oracle of the table version.
    private func bitwise(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return crc ^ 0xFFFF_FFFF
    }

    private func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.checksum(of: $0) } }

    /// RFC 3720, appendix B.4, and the check value of the catalogue of CRC algorithms.
    @Test func `known answers`() {
        #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(checksum([]) == 0)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `equals the bitwise definition at every length, alignment and split`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for length in 0..<100 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let expected = bitwise(bytes)
            #expect(checksum(bytes) == expected, "seed \(seed), length \(length)")
            let split = Int.random(in: 0...length, using: &generator)
            var crc = CRC32C()
            bytes.withUnsafeBytes { bytes in
                crc.update(UnsafeRawBufferPointer(rebasing: bytes[..<split]))
                crc.update(UnsafeRawBufferPointer(rebasing: bytes[split...]))
            }
            #expect(crc.value == expected, "seed \(seed), length \(length), split \(split)")
        }
    }
}
