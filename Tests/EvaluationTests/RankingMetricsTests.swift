import Foundation
import TestSupport
import Testing

@testable import Evaluation

@Suite struct `Ranking metrics` {
    @Test func `nDCG of a graded ranking equals the value computed by hand`() throws {
        // Gains 3, 2, 0, 0, 1, 2 at ranks 1 to 6; the best order is 3, 3, 2, 2, 2, 1.
        let judgments = ["d1": 3, "d2": 2, "d3": 3, "d4": 0, "d5": 1, "d6": 2, "d7": 2]
        let ranking = ["d1", "d2", "x", "d4", "d5", "d6"]
        let gained = 3 / 1.0 + 2 / log2(3.0) + 1 / log2(6.0) + 2 / log2(7.0)
        let best = 3 / 1.0 + 3 / log2(3.0) + 2 / log2(4.0) + 2 / log2(5.0) + 2 / log2(6.0) + 1 / log2(7.0)
        let nDCG = try #require(RankingMetrics.nDCG(at: 6, ranking: ranking, judgments: judgments))
        #expect(abs(nDCG - gained / best) < 1e-12)
        #expect(abs(nDCG - 0.679996) < 1e-6)
        // The same with 2^relevance - 1.
        let exponential = try #require(
            RankingMetrics.nDCG(at: 2, ranking: ["d2", "d1"], judgments: ["d1": 3, "d2": 2], gain: .exponential))
        #expect(abs(exponential - (3 + 7 / log2(3.0)) / (7 + 3 / log2(3.0))) < 1e-12)
    }

    @Test func `recall, reciprocal rank and hit equal the values computed by hand`() {
        let judgments = ["a": 1, "b": 2, "c": 0, "d": 1, "e": -1]
        let ranking = ["c", "e", "b", "x", "a"]
        #expect(RankingMetrics.recall(at: 3, ranking: ranking, judgments: judgments) == 1.0 / 3)
        #expect(RankingMetrics.recall(at: 5, ranking: ranking, judgments: judgments) == 2.0 / 3)
        #expect(RankingMetrics.reciprocalRank(at: 10, ranking: ranking, judgments: judgments) == 1.0 / 3)
        #expect(RankingMetrics.reciprocalRank(at: 2, ranking: ranking, judgments: judgments) == 0)
        #expect(RankingMetrics.hit(at: 2, ranking: ranking, judgments: judgments) == 0)
        #expect(RankingMetrics.hit(at: 3, ranking: ranking, judgments: judgments) == 1)
    }

    @Test func `a query without a relevant document has no score`() {
        #expect(RankingMetrics.nDCG(at: 10, ranking: ["a"], judgments: ["a": 0]) == nil)
        #expect(RankingMetrics.recall(at: 10, ranking: ["a"], judgments: [:]) == nil)
        #expect(RankingMetrics.reciprocalRank(at: 10, ranking: ["a"], judgments: ["a": -1]) == nil)
        #expect(RankingMetrics.hit(at: 10, ranking: ["a"], judgments: [:]) == nil)
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `every metric equals a brute-force oracle`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let ids = (0..<8).map { "d\($0)" }
        var judgments: [String: Int] = [:]
        for id in ids where random.next(below: 2) == 0 { judgments[id] = Int(random.next(below: 4)) }
        let ranking = Array(ids.shuffled(using: &random).prefix(Int(random.next(below: 9))))
        let k = Int(random.next(below: 9)) + 1
        let gain: RankingMetrics.Gain = random.next(below: 2) == 0 ? .linear : .exponential

        func gainOf(_ id: String) -> Double {
            let judgment = max(0, judgments[id] ?? 0)
            return gain == .linear ? Double(judgment) : pow(2, Double(judgment)) - 1
        }
        func cumulated(_ order: [String]) -> Double {
            var sum = 0.0
            for rank in 1...k where rank <= order.count { sum += gainOf(order[rank - 1]) / (log(Double(rank) + 1) / log(2)) }
            return sum
        }
        // The ideal is found by trying: no order of the documents gains more than the sorted one, so sample orders and take the sorted one as the bound.
        let ideal = cumulated(ids.sorted { gainOf($0) > gainOf($1) })
        for _ in 0..<20 { #expect(cumulated(ids.shuffled(using: &random)) <= ideal + 1e-9) }
        let nDCG = RankingMetrics.nDCG(at: k, ranking: ranking, judgments: judgments, gain: gain)
        let relevant = ids.filter { (judgments[$0] ?? 0) > 0 }
        if relevant.isEmpty {
            #expect(nDCG == nil, "seed \(seed)")
        } else {
            #expect(abs(try #require(nDCG) - cumulated(ranking) / ideal) < 1e-9, "seed \(seed)")
            let found = Set(ranking.prefix(k)).intersection(relevant)
            #expect(
                RankingMetrics.recall(at: k, ranking: ranking, judgments: judgments) == Double(found.count) / Double(relevant.count),
                "seed \(seed)")
            var reciprocal = 0.0
            for rank in (1...k).reversed() where rank <= ranking.count && relevant.contains(ranking[rank - 1]) {
                reciprocal = 1 / Double(rank)
            }
            #expect(RankingMetrics.reciprocalRank(at: k, ranking: ranking, judgments: judgments) == reciprocal, "seed \(seed)")
            #expect(RankingMetrics.hit(at: k, ranking: ranking, judgments: judgments) == (found.isEmpty ? 0 : 1), "seed \(seed)")
        }
    }

    @Test func `a summary counts unanswered queries as zero and leaves out queries without relevant documents`() {
        let judgments = ["q1": ["a": 1], "q2": ["b": 1], "q3": ["c": 0]]
        let summary = RankingSummary(rankings: ["q1": ["a"], "q3": ["c"]], judgments: judgments)
        #expect(summary.queryCount == 2)
        #expect(summary.nDCGAt10 == 0.5)
        #expect(summary.recallAt10 == 0.5)
        #expect(summary.recallAt100 == 0.5)
        #expect(summary.mrrAt10 == 0.5)
        #expect(summary.nDCGAt10ByQuery == ["q1": 1, "q2": 0])
        #expect(RankingSummary(rankings: [:], judgments: [:]).nDCGAt10 == 0)
    }
}

@Suite struct `Sample statistics` {
    @Test func `percentiles interpolate between the nearest samples`() throws {
        let samples = [15.0, 20, 35, 40, 50]
        #expect(SampleStatistics.percentile(0.4, of: samples) == 29)
        #expect(SampleStatistics.percentile(0, of: samples) == 15)
        #expect(SampleStatistics.percentile(1, of: samples) == 50)
        #expect(SampleStatistics.percentile(0.5, of: [3, 1, 2]) == 2)
        #expect(SampleStatistics.percentile(0.99, of: [7]) == 7)
        #expect(SampleStatistics.percentile(0.5, of: []) == nil)
        #expect(try #require(SampleStatistics.percentile(0.99, of: (1...100).map(Double.init))) == 99.01)
    }

    @Test func `a bootstrap interval is repeatable, holds the mean and has the width that theory says`() throws {
        var random = SeededGenerator(seed: 5)
        let samples = (0..<400).map { _ in Double(random.next(below: 1000)) / 1000 }
        let mean = try #require(SampleStatistics.mean(of: samples))
        let interval = try #require(SampleStatistics.bootstrapInterval(ofMeanOf: samples, seed: 9))
        #expect(interval == SampleStatistics.bootstrapInterval(ofMeanOf: samples, seed: 9))
        #expect(interval != SampleStatistics.bootstrapInterval(ofMeanOf: samples, seed: 10))
        #expect(interval.contains(mean))
        // Uniform on 0...1: standard error sqrt(1/12/400) = 0.0144, so 95 % is 0.0566 wide.
        #expect(abs(interval.upperBound - interval.lowerBound - 0.0566) < 0.006)
        #expect(SampleStatistics.bootstrapInterval(ofMeanOf: [2, 2, 2]) == 2...2)
        #expect(SampleStatistics.bootstrapInterval(ofMeanOf: []) == nil)
    }
}

@Suite struct `Refusal curve` {
    @Test func `points equal counting by hand`() throws {
        let curve = RefusalCurve([
            .init(confidence: 0.9, answerable: true), .init(confidence: 0.4, answerable: true), .init(confidence: 0.4, answerable: false),
            .init(confidence: 0.1, answerable: false),
        ])
        #expect(
            curve.points == [
                .init(threshold: 0.1, answerableAnswered: 1, unanswerableRefused: 0),
                .init(threshold: 0.4, answerableAnswered: 1, unanswerableRefused: 0.5),
                .init(threshold: 0.9, answerableAnswered: 0.5, unanswerableRefused: 1),
                .init(threshold: 0.9.nextUp, answerableAnswered: 0, unanswerableRefused: 1),
            ])
        #expect(curve.area == 3.5 / 4)
        #expect(try #require(curve.point(at: 0.5)) == .init(threshold: 0.5, answerableAnswered: 0.5, unanswerableRefused: 1))
        #expect(try #require(curve.point(at: 2)).answerableAnswered == 0)
        #expect(RefusalCurve([.init(confidence: 1, answerable: true)]).points.isEmpty)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func `every point and the area equal a brute-force oracle`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let samples = (0..<40).map { _ in
            RefusalCurve.Sample(confidence: Double(random.next(below: 12)) / 10, answerable: random.next(below: 3) > 0)
        }
        let yes = samples.filter(\.answerable).map(\.confidence)
        let no = samples.filter { !$0.answerable }.map(\.confidence)
        let curve = RefusalCurve(samples)
        for threshold in stride(from: 0.0, through: 1.3, by: 0.05) {
            let point = try #require(curve.point(at: threshold))
            #expect(
                point.answerableAnswered == Double(yes.count { $0 >= threshold }) / Double(yes.count),
                "seed \(seed), threshold \(threshold)")
            #expect(
                point.unanswerableRefused == Double(no.count { $0 < threshold }) / Double(no.count), "seed \(seed), threshold \(threshold)")
        }
        var wins = 0.0
        for a in yes { for b in no { wins += a > b ? 1 : a == b ? 0.5 : 0 } }
        #expect(abs(curve.area - wins / Double(yes.count * no.count)) < 1e-12, "seed \(seed)")
    }
}

@Suite struct `Answer metrics` {
    @Test func `an answer is contained as words, not as letters`() {
        #expect(AnswerMetrics.contains("It gave up just 308 points.", anyOf: ["308"]))
        #expect(!AnswerMetrics.contains("It gave up 3080 points.", anyOf: ["308"]))
        #expect(AnswerMetrics.contains("In Tampa , Florida , in 2021", anyOf: ["Tampa, Florida"]))
        #expect(!AnswerMetrics.contains("Florida, Tampa", anyOf: ["Tampa, Florida"]))
        #expect(AnswerMetrics.contains("球队只丢了308分", anyOf: ["308分"]))
        #expect(!AnswerMetrics.contains("", anyOf: ["", "the"]))
    }
    @Test func `token F1 equals the value computed by hand`() {
        #expect(AnswerMetrics.tokenF1("the cat sat", answers: ["cat sat down", "dog"]) == 0.8)
        #expect(AnswerMetrics.tokenF1("a", answers: ["b"]) == 0)
        #expect(AnswerMetrics.tokenF1("cat cat cat", answers: ["cat"]) == 0.5)
    }
}
