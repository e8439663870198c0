import Foundation

/// A folder that lives as long as the value does.
final class TemporaryFolder: Sendable {
    let path: String

    /// In memory where there is room: these tests sync thousands of times, and a disk that others use too would make them minutes long.
    private static let parent: String = {
        var status = statvfs()
        let hasRoom =
            statvfs("/dev/shm", &status) == 0 && UInt64(status.f_bavail) * UInt64(status.f_frsize) > 1 << 30
            && access("/dev/shm", W_OK) == 0
        return hasRoom ? "/dev/shm" : FileManager.default.temporaryDirectory.path
    }()

    init() {
        path = Self.parent + "/outrider-storage-\(UUID().uuidString)"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? [] }

    func read(_ name: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path + "/" + name) ?? Data()) }

    func write(_ bytes: [UInt8], to name: String) {
        precondition(FileManager.default.createFile(atPath: path + "/" + name, contents: Data(bytes)), "cannot write \(name)")
    }

    /// Changes bytes of a file where it lies: much quicker than writing it anew thousands of times.
    func overwrite(_ name: String, at offset: Int, with bytes: [UInt8]) {
        let descriptor = open(path + "/" + name, O_WRONLY)
        defer { close(descriptor) }
        precondition(pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count, "cannot write \(name)")
    }

    func cut(_ name: String, to size: Int) {
        precondition(truncate(path + "/" + name, off_t(size)) == 0, "cannot cut \(name)")
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014): small, seedable, and the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
