import CSandbox
import Foundation
import TestSupport
import Testing

@testable import Parsing

/// The pool against real children: the product beside the test bundle answers to `parse-worker`.
@Suite(
    .serialized,
    .enabled(if: FileManager.default.isExecutableFile(atPath: Support.executable), "the outrider program was not built beside the tests"))
struct ParserPoolTests {
    private func pool(_ count: Int = 2, seconds: Double = 20, executable: String = Support.executable) -> ParserPool {
        var limits = ParseLimits()
        limits.seconds = seconds
        limits.isOCREnabled = false
        return ParserPool(executable: executable, workerCount: count, limits: limits)
    }

    private func isAlive(_ process: Int32) -> Bool { kill(process, 0) == 0 }

    private func openDescriptors() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0 }

    /// A program that stands in for a worker.
    private func script(_ body: String) throws -> String {
        let path = try Support.temporaryFile(Array("#!/bin/sh\n\(body)\n".utf8), name: "worker.sh")
        chmod(path, 0o700)
        return path
    }

    @Test func `a child parses as this process does, and serves many files`() async throws {
        let pool = pool(1)
        let path = try Support.temporaryFile(Array("# Title\n\nSome ümlaut text.\n".utf8), name: "a.md")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let here = try ParseWorker.parseInProcess(path: path, name: "a.md", mimeType: nil, limits: .init())
        var processes: Set<Int32> = []
        for _ in 0..<20 {
            let there = try await pool.parse(path: path, name: "a.md")
            #expect(there.text == here.text && there.blocks == here.blocks && there.title == here.title)
            processes.formUnion(await pool.processIDs)
        }
        #expect(processes.count == 1)
        await pool.shutdown()
        #expect(processes.allSatisfy { !isAlive($0) })
    }

    @Test func `refusals cross the wire and leave the child usable`() async throws {
        let pool = pool(1)
        let path = try Support.temporaryFile([0, 1, 2, 3, 4, 5, 6, 7, 8], name: "a.bin")
        defer { try? FileManager.default.removeItem(atPath: path) }
        await #expect { try await pool.parse(path: path, name: "a.bin") } throws: {
            if case .unsupportedFormat = $0 as? Refusal { true } else { false }
        }
        await #expect { try await pool.parse(path: path + ".missing", name: "b.txt") } throws: {
            if case .unreadable = $0 as? Refusal { true } else { false }
        }
        await #expect { try await pool.parse(path: "/dev/zero", name: "zero") } throws: {
            if case .unreadable = $0 as? Refusal { true } else { false }
        }
        #expect(await pool.processIDs.count == 1)
        await pool.shutdown()
    }

    @Test func `a child that never answers is killed in time, with all that it started`() async throws {
        let marker = "31\(Int.random(in: 100_000...999_999))"
        let program = try script("sleep \(marker) & sleep \(marker)")
        defer { try? FileManager.default.removeItem(atPath: program) }
        let pool = pool(1, seconds: 1, executable: program)
        let start = ContinuousClock.now
        await #expect(throws: Refusal.timedOut(seconds: 1)) { try await pool.parse(path: "/etc/hostname", name: "a.txt") }
        #expect(ContinuousClock.now - start < .seconds(8))
        #expect(await pool.processIDs.isEmpty)
        await pool.shutdown()
        try await Task.sleep(for: .milliseconds(200))
        #expect(!runningCommands().contains { $0.contains(marker) })
    }

    @Test(arguments: [
        "exit 3", "kill -SEGV $$", "printf 'garbage garbage garbage' >&0; sleep 30",
        "cat >/dev/null <&0 & printf '\\377\\377\\377\\377' >&0; sleep 30",
    ])
    func `a child that fails or lies is reported, and the parent lives on`(body: String) async throws {
        let program = try script(body)
        defer { try? FileManager.default.removeItem(atPath: program) }
        let pool = pool(1, seconds: 5, executable: program)
        await #expect(throws: Refusal.self) { try await pool.parse(path: "/etc/hostname", name: "a.txt") }
        await pool.shutdown()
        #expect(await pool.processIDs.isEmpty)
    }

    @Test func `a program that is not there is a refusal that may be tried again`() async throws {
        let pool = pool(1, executable: "/nonexistent/outrider")
        do {
            _ = try await pool.parse(path: "/etc/hostname", name: "a.txt")
            Issue.record("parsed without a program")
        } catch { #expect(error.isRetryable) }
        await pool.shutdown()
    }

    @Test func `cancelling kills the child and frees the place`() async throws {
        let program = try script("sleep 1000")
        defer { try? FileManager.default.removeItem(atPath: program) }
        let pool = pool(1, seconds: 60, executable: program)
        // The second waits behind the first.
        let tasks = (0..<2).map { _ in Task { try await pool.parse(path: "/etc/hostname", name: "a.txt") } }
        while await pool.processIDs.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        let process = await pool.processIDs[0]
        let start = ContinuousClock.now
        for task in tasks { task.cancel() }
        for task in tasks { await #expect(throws: Refusal.self) { try await task.value } }
        #expect(ContinuousClock.now - start < .seconds(10))
        await pool.shutdown()
        #expect(!isAlive(process))
    }

    @Test(arguments: 0..<6)
    func `a child killed at any moment costs at most its own file`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let pool = pool(2)
        let path = try Support.temporaryFile(Array(String(repeating: "word and more words\n\n", count: 20_000).utf8), name: "a.txt")
        defer { try? FileManager.default.removeItem(atPath: path) }
        var crashed = 0
        for _ in 0..<4 {
            async let first = Result { () async throws(Refusal) in try await pool.parse(path: path, name: "a.txt") }
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...60, using: &random)))
            if let process = await pool.processIDs.first { kill(process, SIGKILL) }
            switch await first {
            case .success(let document): #expect(document.blocks.count == 20_000)
            case .failure(let refusal):
                crashed += 1
                #expect(refusal.isRetryable, "seed \(seed): \(refusal)")
            }
        }
        #expect(try await pool.parse(path: path, name: "a.txt").blocks.count == 20_000, "seed \(seed)")
        await pool.shutdown()
    }

    @Test func `shutting down ends running and waiting files and leaves no process and no descriptor`() async throws {
        let program = try script("sleep 1000")
        defer { try? FileManager.default.removeItem(atPath: program) }
        let before = openDescriptors()
        let pool = pool(3, seconds: 60, executable: program)
        let tasks = (0..<12).map { _ in Task { try await pool.parse(path: "/etc/hostname", name: "a.txt") } }
        while await pool.processIDs.count < 3 { try await Task.sleep(for: .milliseconds(10)) }
        let processes = await pool.processIDs
        await pool.shutdown()
        for task in tasks { await #expect(throws: Refusal.self) { try await task.value } }
        #expect(processes.count == 3 && processes.allSatisfy { !isAlive($0) })
        await #expect(throws: Refusal.self) { try await pool.parse(path: "/etc/hostname", name: "a.txt") }
        await pool.shutdown()
        #expect(openDescriptors() <= before + 2)
    }

    @Test func `a pool that is let go ends its children`() async throws {
        var processes: [Int32] = []
        do {
            let pool = pool(1)
            let path = try Support.temporaryFile(Array("text".utf8), name: "a.txt")
            _ = try await pool.parse(path: path, name: "a.txt")
            try FileManager.default.removeItem(atPath: path)
            processes = await pool.processIDs
        }
        for _ in 0..<200 where processes.contains(where: isAlive) { try await Task.sleep(for: .milliseconds(20)) }
        #expect(processes.count == 1 && !processes.contains(where: isAlive))
    }

    @Test func `too much memory is a refusal, not the end of the parent`() async throws {
        var limits = ParseLimits()
        limits.memoryBytes = 256 << 20
        limits.seconds = 60
        limits.outputBytes = 256 << 20
        let pool = ParserPool(executable: Support.executable, workerCount: 1, limits: limits)
        // A tree of ten million small elements does not fit.
        let path = try Support.temporaryFile(Array(("<r>" + String(repeating: "<a/>", count: 6_000_000) + "</r>").utf8), name: "a.xml")
        defer { try? FileManager.default.removeItem(atPath: path) }
        await #expect(throws: Refusal.self) { try await pool.parse(path: path, name: "a.xml") }
        let small = try Support.temporaryFile(Array("still here".utf8), name: "b.txt")
        defer { try? FileManager.default.removeItem(atPath: small) }
        #expect(try await pool.parse(path: small, name: "b.txt").text == "still here")
        await pool.shutdown()
    }

    @Test func `a warm child costs little for a small file`() async throws {
        let pool = pool(1)
        let path = try Support.temporaryFile(Array("# Title\n\nText.\n".utf8), name: "a.md")
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try await pool.parse(path: path, name: "a.md")
        var times: [Duration] = []
        for _ in 0..<30 {
            let start = ContinuousClock.now
            _ = try await pool.parse(path: path, name: "a.md")
            times.append(ContinuousClock.now - start)
        }
        times.sort()
        print("a small file through the pool: median \(times[15]), worst \(times[29])")
        // Far above what it takes, far below what a child started for each file would.
        #expect(times[0] < .milliseconds(30))
        await pool.shutdown()
    }

    @Test func `a thousand files at once wait their turn, and more are refused`() async throws {
        let pool = pool(2)
        let path = try Support.temporaryFile(Array("text".utf8), name: "a.txt")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let (done, refused) = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<1500 { group.addTask { (try? await pool.parse(path: path, name: "a.txt")) != nil } }
            return await group.reduce(into: (0, 0)) { if $1 { $0.0 += 1 } else { $0.1 += 1 } }
        }
        #expect(done >= 1000 && done + refused == 1500)
        await pool.shutdown()
    }

    @Test func `the confinement holds here, or says that it does not`() {
        let layers = outrider_sandbox_probe()
        #expect(layers & UInt32(OUTRIDER_LAYER_LIMITS) != 0 && layers & UInt32(OUTRIDER_LAYER_NO_PRIVILEGES) != 0)
        let reported = ParseWorker.capabilities().filter { $0.format.hasPrefix("parser confinement") }
        #expect(reported.count == 7)
        for (index, bit) in [
            OUTRIDER_LAYER_LIMITS, OUTRIDER_LAYER_NO_PRIVILEGES, OUTRIDER_LAYER_PARENT_DEATH, OUTRIDER_LAYER_SYSTEM_CALLS,
            OUTRIDER_LAYER_FILES, OUTRIDER_LAYER_SIGNALS, OUTRIDER_LAYER_PROCESSES,
        ].enumerated() {
            #expect((layers & UInt32(bit) != 0) == (reported[index].status == "available"))
        }
    }

    private func runningCommands() -> [String] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }) ?? []
        return processes.compactMap { try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8) }
    }
}

extension Result where Failure == Refusal, Success: Sendable {
    init(_ body: () async throws(Refusal) -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
