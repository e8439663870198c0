/// What can be wrong with a data set on disk.
package enum EvaluationError: Error, Sendable, Equatable, CustomStringConvertible {
    case missingFile(folder: String, expected: [String])
    case unreadable(path: String, reason: String)
    /// A line that is not what the format says; lines count from 1.
    case malformedLine(path: String, line: Int, reason: String)
    case unknownSplit(folder: String, split: String, available: [String])
    /// The judgments and the queries have no query in common.
    case noJudgedQueries(folder: String, split: String)

    package var description: String {
        switch self {
        case .missingFile(let folder, let expected):
            "'\(folder)' holds none of \(expected.joined(separator: ", ")); give the folder of a data set in BEIR's layout"
        case .unreadable(let path, let reason): "'\(path)' cannot be read: \(reason)"
        case .malformedLine(let path, let line, let reason): "'\(path)' line \(line): \(reason)"
        case .unknownSplit(let folder, let split, let available):
            "'\(folder)' has no judgments '\(split)'; there are: \(available.isEmpty ? "none" : available.joined(separator: ", "))"
        case .noJudgedQueries(let folder, let split):
            "'\(folder)': none of the queries in '\(split)' is in queries.jsonl; the files are of different sets"
        }
    }
}
