import Foundation
import TestSupport
import Testing

/// A process that upserts, deletes, seals and compacts a vector index, killed without warning.
@Suite(.serialized) struct IndexCrashTests {
    private struct Line: Equatable {
        var round: Int
        var rows: Int
        var checksum: String

        /// Of `sealed <round> <rows> <checksum>` or `state ...`; nil for a line that the kill cut off.
        init?(_ line: Substring, _ word: String) {
            let parts = line.split(separator: " ")
            guard parts.count == 4, parts[0] == word, let round = Int(parts[1]), let rows = Int(parts[2]) else { return nil }
            (self.round, self.rows, checksum) = (round, rows, String(parts[3]))
        }
    }

    /// The lines of the file that ended.
    private func lines(_ path: String, _ word: String) -> [Line] {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let whole = text.hasSuffix("\n") ? Substring(text) : text[..<(text.lastIndex(of: "\n") ?? text.startIndex)]
        return whole.split(separator: "\n").compactMap { Line($0, word) }
    }

    @Test(arguments: [UInt64(2026)])
    func `an index whose writer is killed at random moments loses nothing that was acknowledged`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        let arguments = ["ann", "writer", "--index", folder.path + "/index", "--seed", "\(seed)"]
        var last = 0
        var acknowledgedCount = 0
        for kills in 1...20 {
            let output = folder.path + "/out-\(kills)"
            let process = try OutriderProcess.start(
                arguments, program: OutriderProcess.bench, output: output, errors: folder.path + "/err-\(kills)")
            // First a sign of life, so that no kill falls before the first change; then any moment.
            let limit = Date().addingTimeInterval(60)
            while lines(output, "sealed").isEmpty, process.isRunning, Date() < limit { usleep(2000) }
            usleep(UInt32.random(in: 0...250_000, using: &random))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let errors = (try? String(contentsOfFile: folder.path + "/err-\(kills)", encoding: .utf8)) ?? ""
            #expect(process.terminationReason == .uncaughtSignal && errors == "", "kill \(kills): it ended by itself: \(errors)")
            let acknowledged = lines(output, "sealed")
            let newest = try #require(acknowledged.last, "kill \(kills): no seal in a minute")
            acknowledgedCount += acknowledged.count
            #expect(newest.round > last)

            let found = try OutriderProcess.run(arguments + ["--check"], program: OutriderProcess.bench)
            #expect(found.status == 0, "seed \(seed), after \(kills) kills: \(found.output)\(found.errors)")
            let state = try #require(found.output.split(separator: "\n").compactMap { Line($0, "state") }.first)
            // The seal that was running may have come through before its acknowledgement.
            #expect(state.round == newest.round || state.round == newest.round + 1, "after \(kills) kills")
            if state.round == newest.round { #expect(state == newest, "after \(kills) kills") }
            last = state.round
        }
        #expect(acknowledgedCount >= 20)
        let leftovers = try FileManager.default.subpathsOfDirectory(atPath: folder.path + "/index").filter { $0.hasSuffix(".part") }
        #expect(leftovers.allSatisfy { $0 == "manifest.json.part" }, "\(leftovers)")
    }
}
