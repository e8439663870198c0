import Foundation
import Testing

/// What requests cost, beside what is recorded: `Benchmarks/gate` at toy size.
@Suite(.serialized) struct GateTests {
    static let script = OutriderProcess.packageFolder + "/Benchmarks/gate/run.py"

    @Test(.enabled(if: OutriderProcess.hasModel, "skipped: needs the embedding model"))
    func `no call of the gate allocates more than is recorded`() throws {
        let result = try OutriderProcess.run(
            [Self.script, "--outrider", OutriderProcess.executable, "--toy"], program: "/usr/bin/python3", seconds: 300)
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
        #expect(result.output.contains("nothing is dearer"), "\(result.output)")
    }

    @Test(.enabled(if: OutriderProcess.hasModel, "skipped: needs the embedding model"))
    func `the gate tells a call that is dearer than recorded`() throws {
        let file = NSTemporaryDirectory() + "gate-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let record: [String: Any] = ["processor": "another", "calls": ["health": ["allocations": 1, "kilobytes": 1, "cpu_ms": 0.001]]]
        // A record for every kind of build, so that the test does not care which one it runs.
        try JSONSerialization.data(withJSONObject: ["debug toy": record, "release toy": record]).write(to: URL(fileURLWithPath: file))
        let result = try OutriderProcess.run(
            [Self.script, "--outrider", OutriderProcess.executable, "--toy", "--only", "health", "--expected", file],
            program: "/usr/bin/python3", seconds: 300)
        #expect(result.status == 1, "\(result.output)\n\(result.errors)")
        #expect(result.output.contains("DEARER  health"), "\(result.output)")
    }
}
