/// The trade between answering what can be answered and refusing what cannot, over every threshold of a confidence.
///
/// ```
///  answerable                 . - ' ' threshold 0
///  answered              . '
///                     .'        a good confidence bends towards the upper left
///                   /
///       threshold 1 ------------- unanswerable answered
/// ```
package struct RefusalCurve: Sendable, Equatable {
    package struct Sample: Sendable, Equatable {
        /// The system's own estimate that it can answer.
        package var confidence: Double
        package var answerable: Bool
        package init(confidence: Double, answerable: Bool) {
            self.confidence = confidence
            self.answerable = answerable
        }
    }

    /// What happens when questions with a confidence below `threshold` are refused.
    package struct Point: Sendable, Equatable {
        package var threshold: Double
        /// Share of the answerable questions that are answered.
        package var answerableAnswered: Double
        /// Share of the unanswerable questions that are refused.
        package var unanswerableRefused: Double

        package init(threshold: Double, answerableAnswered: Double, unanswerableRefused: Double) {
            self.threshold = threshold
            self.answerableAnswered = answerableAnswered
            self.unanswerableRefused = unanswerableRefused
        }
    }

    /// One point for each distinct confidence, by rising threshold, then one above all of them. Empty when a kind of question is missing.
    package let points: [Point]
    /// Area under the curve: the chance that an answerable question has a higher confidence than an unanswerable one, ties counting half.
    package let area: Double

    /// - Complexity: O(*n* log *n*).
    package init(_ samples: [Sample]) {
        let answerableCount = samples.count { $0.answerable }
        let unanswerableCount = samples.count - answerableCount
        guard answerableCount > 0, unanswerableCount > 0 else {
            points = []
            area = .nan
            return
        }
        let sorted = samples.sorted { $0.confidence < $1.confidence }
        var points: [Point] = []
        var refusedAnswerable = 0
        var refusedUnanswerable = 0
        var area = 0.0
        var index = 0
        while index < sorted.count {
            let threshold = sorted[index].confidence
            points.append(
                Point(
                    threshold: threshold, answerableAnswered: Double(answerableCount - refusedAnswerable) / Double(answerableCount),
                    unanswerableRefused: Double(refusedUnanswerable) / Double(unanswerableCount)))
            var tiedAnswerable = 0
            var tiedUnanswerable = 0
            while index < sorted.count, sorted[index].confidence == threshold {
                if sorted[index].answerable { tiedAnswerable += 1 } else { tiedUnanswerable += 1 }
                index += 1
            }
            area += Double(tiedAnswerable) * (Double(refusedUnanswerable) + Double(tiedUnanswerable) / 2)
            refusedAnswerable += tiedAnswerable
            refusedUnanswerable += tiedUnanswerable
        }
        points.append(Point(threshold: sorted[sorted.count - 1].confidence.nextUp, answerableAnswered: 0, unanswerableRefused: 1))
        self.points = points
        self.area = area / (Double(answerableCount) * Double(unanswerableCount))
    }

    /// What happens at one threshold; nil when a kind of question is missing.
    package func point(at threshold: Double) -> Point? {
        guard var point = points.first(where: { $0.threshold >= threshold }) ?? points.last else { return nil }
        point.threshold = threshold
        return point
    }
}
