import CKernels

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
}
