/// How near an answer comes to accepted ones: SQuAD's measures (Rajpurkar et al., 2016), on lower-cased words without punctuation and English articles.
///
/// Text without spaces between words, such as Chinese, is compared character by character.
package enum AnswerMetrics {
    /// True when the words of one accepted answer stand in the text, side by side and in order.
    package static func contains(_ text: String, anyOf answers: [String]) -> Bool {
        let words = normalized(text)
        return answers.contains { answer in
            let wanted = normalized(answer)
            guard !wanted.isEmpty, wanted.count <= words.count else { return false }
            return (0...(words.count - wanted.count)).contains { words[$0..<($0 + wanted.count)].elementsEqual(wanted) }
        }
    }

    /// The best F1 of shared words over the accepted answers, 0...1.
    package static func tokenF1(_ text: String, answers: [String]) -> Double {
        let words = normalized(text)
        return answers.map { answer in
            var wanted: [String: Int] = [:]
            let answerWords = normalized(answer)
            for word in answerWords { wanted[word, default: 0] += 1 }
            var shared = 0
            for word in words where wanted[word, default: 0] > 0 {
                wanted[word]! -= 1
                shared += 1
            }
            return shared == 0 ? 0 : 2 * Double(shared) / Double(words.count + answerWords.count)
        }.max() ?? 0
    }

    static func normalized(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        func finish() {
            if !word.isEmpty, word != "a", word != "an", word != "the" { words.append(word) }
            word = ""
        }
        for scalar in text.lowercased().unicodeScalars {
            switch scalar.value {
            case 0x3040...0x30FF, 0x3400...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2FA1F:
                finish()
                words.append(String(scalar))
            default:
                if scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                    || scalar.properties.generalCategory == .nonspacingMark
                {
                    word.unicodeScalars.append(scalar)
                } else if scalar != "'" && scalar != "\u{2019}" {
                    finish()
                }
            }
        }
        finish()
        return words
    }
}
