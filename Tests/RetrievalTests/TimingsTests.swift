import Testing

@testable import Retrieval

struct TimingsTests {
    @Test func `times add up, and are told in the order of the stages`() {
        var timings = Timings()
        timings.add(.milliseconds(5), to: .fetch)
        timings.add(.microseconds(1500), to: .embed)
        timings.add(.nanoseconds(499), to: .embed)
        #expect(timings.stages.map(\.stage) == [.embed, .fetch])
        #expect(timings.milliseconds == ["embed": 1.5, "fetch": 5])
    }

    @Test func `a part's stages are added, its total is not`() {
        var answer: Timings = [.embed: .milliseconds(1)]
        answer.addStages(of: [.embed: .milliseconds(9), .text: .milliseconds(2), .total: .milliseconds(11)])
        #expect(answer == [.embed: .milliseconds(10), .text: .milliseconds(2)])
    }
}
