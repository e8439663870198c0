import Foundation
import TestSupport
import Testing

@testable import Parsing

/// Damaged files through the pool. A child may refuse, never crash or hang: every trap in our own readers is a defect.
@Suite(
    .serialized,
    .enabled(if: FileManager.default.isExecutableFile(atPath: Support.executable), "the outrider program was not built beside the tests"))
struct FuzzTests {
    /// `OUTRIDER_FUZZ=20000` for a long run by hand.
    static let count = ProcessInfo.processInfo.environment["OUTRIDER_FUZZ"].flatMap { Int($0) } ?? 240
    static let seed = ProcessInfo.processInfo.environment["OUTRIDER_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1

    static func mutate(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<(1 << Int.random(in: 0...5, using: &random)) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...64, using: &random)))
            case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + Int.random(in: 1...64, using: &random))], at: place)
            case 4:
                for offset in 0..<4 where place + offset < bytes.count {
                    bytes[place + offset] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random)!
                }
            default: if Int.random(in: 0..<4, using: &random) == 0 { bytes.removeLast(bytes.count - place) }
            }
        }
        return bytes
    }

    static func mutateMember(_ bytes: [UInt8], _ name: String, _ random: inout SeededGenerator) throws -> [UInt8] {
        guard
            let archive = try? Archive(
                ParseInput(bytes: bytes, name: name), .zip, context: ParseContext(limits: .init()), isWanted: { _ in true })
        else {
            return mutate(bytes, &random)
        }
        var members = archive.entries.compactMap { entry in archive.member(entry.name).map { (name: entry.name, bytes: $0) } }
        guard let chosen = members.indices.filter({ members[$0].bytes.count < 200_000 }).randomElement(using: &random) else { return bytes }
        members[chosen].bytes = mutate(members[chosen].bytes, &random)
        return Support.zip(members)
    }

    @Test(.enabled(if: Support.shared != nil, "the shared data folder is not on this machine"))
    func `damaged files are parsed or refused`() async throws {
        var random = SeededGenerator(seed: Self.seed)
        let root = Support.shared! + "/documents/files"
        let files = try FileManager.default.subpathsOfDirectory(atPath: root).sorted().filter {
            let attributes = try? FileManager.default.attributesOfItem(atPath: root + "/" + $0)
            return attributes?[.type] as? FileAttributeType == .typeRegular && (attributes?[.size] as? Int ?? .max) < 60_000
                && !$0.contains("droste")
        }
        var limits = ParseLimits()
        limits.seconds = 20
        limits.isOCREnabled = false
        let pool = ParserPool(executable: Support.executable, workerCount: 2, limits: limits)
        var outcomes: [String: Int] = [:]
        for round in 0..<Self.count {
            let file = files[round % files.count]
            let original = Array(try Data(contentsOf: URL(fileURLWithPath: root + "/" + file)))
            // Checksums would catch damage to a container from outside; so half of them are damaged within.
            let isInside = original.starts(with: [0x50, 0x4B]) && Bool.random(using: &random)
            let damaged = isInside ? try Self.mutateMember(original, file, &random) : Self.mutate(original, &random)
            let path = try Support.temporaryFile(damaged, name: "fuzz")
            do {
                let document = try await pool.parse(path: path, name: (file as NSString).lastPathComponent)
                #expect(document.firstInconsistency() == nil)
                outcomes["parsed", default: 0] += 1
            } catch {
                outcomes[String(error.description.prefix { $0 != ":" }), default: 0] += 1
                switch error {
                case .crashed, .timedOut, .unavailable:
                    Issue.record("\(file), round \(round), seed \(Self.seed): \(error)")
                    if let keep = ProcessInfo.processInfo.environment["OUTRIDER_FUZZ_KEEP"] {
                        try? FileManager.default.copyItem(atPath: path, toPath: "\(keep)/\(round)-\((file as NSString).lastPathComponent)")
                    }
                default: break
                }
            }
            try FileManager.default.removeItem(atPath: path)
        }
        await pool.shutdown()
        print("damaged files: \(outcomes)")
        #expect(outcomes["parsed", default: 0] * 4 > Self.count, "most small damages leave something to read: \(outcomes)")
    }
}
