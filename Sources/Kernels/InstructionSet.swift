import CKernels
import Glibc

/// A family of processor instructions that the kernels are written for.
package enum InstructionSet: String, Sendable, CaseIterable, Comparable {
    case scalar, neon, avx2, avx512

    /// Whether this machine runs it.
    package var isSupported: Bool {
        switch self {
        case .scalar: true
        case .neon: kernels_supports_neon() != 0
        case .avx2: kernels_supports_avx2() != 0
        case .avx512: kernels_supports_avx512() != 0
        }
    }

    /// Those this machine runs, the fastest last.
    package static var supported: [InstructionSet] { allCases.filter(\.isSupported) }

    /// By speed.
    package static func < (left: InstructionSet, right: InstructionSet) -> Bool {
        allCases.firstIndex(of: left)! < allCases.firstIndex(of: right)!
    }

    /// What the environment variable `OUTRIDER_KERNELS` asks for.
    package static let wish = getenv("OUTRIDER_KERNELS").map { String(cString: $0) }

    /// The set that is used: the one that was wished for, when it is known and among those that run; else the fastest.
    ///
    /// - Returns: `note` says why a wish was not obeyed; nil when all is as asked.
    package static func choose(wish: String?, among supported: [InstructionSet]) -> (set: InstructionSet, note: String?) {
        guard let fastest = supported.max() else { preconditionFailure("no instruction set is supported, not even scalar") }
        guard let wish, !wish.isEmpty else { return (fastest, nil) }
        guard let set = InstructionSet(rawValue: wish) else {
            let names = allCases.map(\.rawValue).joined(separator: ", ")
            return (fastest, "OUTRIDER_KERNELS is '\(wish)', expected one of \(names); using \(fastest.rawValue)")
        }
        guard supported.contains(set) else {
            return (fastest, "OUTRIDER_KERNELS is '\(wish)', which this processor does not run; using \(fastest.rawValue)")
        }
        return (set, nil)
    }
}
