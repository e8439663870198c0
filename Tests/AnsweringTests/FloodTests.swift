import Execution
import Inference
import TestSupport
import Testing

@testable import Answering

/// A model that writes without end.
struct FloodTests {
    @Test(arguments: [(16, 4096), (512, 16_384), (1 << 20, 1 << 20)])
    func `a model that does not keep to its number of tokens is left at what they could hold`(tokensMax: Int, sizeMax: Int) async throws {
        let piece = String(repeating: "It is so. ", count: 200)
        let model = ScriptedGenerator([ScriptedGenerator.Step](repeating: .text(piece), count: 2 * sizeMax / piece.utf8.count))
        var taken = 0
        let run = try await GenerationRun.run(
            model, GenerationRequest(messages: [], maxTokens: tokensMax), limit: TimeLimit(abandonedCountMax: 4),
            patience: .init(firstToken: .seconds(60)), deadline: .now + .seconds(60)
        ) { if case .text(let text) = $0 { taken += text.utf8.count } }
        #expect(taken > sizeMax && taken <= sizeMax + 2 * piece.utf8.count, "\(taken) bytes")
        #expect(run.text.utf8.count <= taken)
        guard case .length = run.end else {
            Issue.record("it ended by \(run.end)")
            return
        }
    }
}
