package import Foundation

/// How long to wait before asking again: exponential backoff with jitter, or what the server asks for.
///
/// Brooker 2015, "Exponential Backoff And Jitter": without jitter, clients that failed together come back together.
package struct RetryPolicy: Sendable {
    /// Most repetitions of one request.
    package var retryMax: Int
    /// Seconds before the first repetition; doubled with each.
    package var baseDelay = 0.25
    /// Longest backoff in seconds.
    package var delayMax = 8.0
    /// A server that asks for a longer wait than this is not asked again.
    package var retryAfterMax = 20.0

    package init(retryMax: Int) { self.retryMax = retryMax }

    /// Statuses after which the same request may succeed.
    package static func isRetryable(status: Int) -> Bool { status == 408 || status == 429 || (500...599).contains(status) }

    /// - Parameters:
    ///   - attempt: How many attempts have failed, from 1.
    ///   - retryAfter: Seconds that the server asks to wait.
    ///   - random: Uniform in 0..<1.
    /// - Returns: Seconds to wait, or nil to give up.
    package func delay(afterAttempt attempt: Int, retryAfter: Double?, random: Double) -> Double? {
        guard attempt <= retryMax else { return nil }
        if let retryAfter { return retryAfter <= retryAfterMax ? retryAfter : nil }
        let full = min(delayMax, baseDelay * pow(2, Double(attempt - 1)))
        return full * (0.5 + random / 2)
    }

    /// Reads a `Retry-After` header: seconds, or a date (RFC 9110, §10.2.3).
    package static func retryAfter(header: String?, now: Date) -> Double? {
        guard let text = header?.trimmingCharacters(in: .whitespaces), !text.isEmpty else { return nil }
        if let seconds = Double(text) { return seconds.isFinite && seconds >= 0 ? seconds : nil }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
        return formatter.date(from: text).map { max(0, $0.timeIntervalSince(now)) }
    }
}
