import CEncoder
import Foundation
package import Kernels

/// How the matrix products of an encoder are computed. Everything else (normalisation, attention, softmax, GELU) is in 32-bit floats.
package enum EncoderPrecision: String, Sendable, CaseIterable {
    /// 32-bit floats.
    case float32
    /// 16-bit whole numbers with a scale for each weight row and each token, sums in 32 bits that cannot overflow. About five digits:
    /// the cosine to `float32` is above 0.9999. Twice as fast where the processor has VNNI.
    case int16
    /// 8-bit whole numbers with a scale for each weight row and each token. The fastest; the cosine to `float32` is about 0.998.
    case int8

    var elementSize: Int {
        switch self {
        case .float32: 4
        case .int16: 2
        case .int8: 1
        }
    }
}

extension InstructionSet {
    /// Whether this machine runs the encoder's kernels of this set, which ask for more than the others: dot products of small whole numbers.
    package var isSupportedByEncoder: Bool {
        switch self {
        case .scalar: true
        case .neon: encoder_supports_neon() != 0
        case .avx2: encoder_supports_avx2() != 0
        case .avx512: encoder_supports_avx512() != 0
        }
    }

    /// The encoder's sets that this machine runs, the fastest last.
    package static var supportedByEncoder: [InstructionSet] { allCases.filter(\.isSupportedByEncoder) }

    /// The fastest of them, or the one that the environment variable `OUTRIDER_KERNELS` names, if this machine runs it.
    package static let bestForEncoder = choose(wish: wish, among: supportedByEncoder).set
}

/// The C functions of one instruction set. Pointers are handed through: the callers, ``EncoderWeights`` and ``EncoderContext``, allocate
/// what the contracts in `CEncoder.h` ask for.
struct EncoderKernels: Sendable {
    typealias Product = @Sendable @convention(c) (UnsafePointer<encoder_product>?) -> Void
    typealias Attention = @Sendable @convention(c) (UnsafePointer<encoder_attention>?) -> Void
    typealias Normalize =
        @Sendable @convention(c) (UnsafeMutablePointer<Float>?, Int, Int, Int, UnsafePointer<Float>?, UnsafePointer<Float>?, Float) -> Void
    typealias QuantizeI16 =
        @Sendable @convention(c) (
            UnsafePointer<Float>?, Int, Int, Int, Float, UnsafeMutablePointer<Int16>?, Int, UnsafeMutablePointer<Float>?
        ) -> Void
    typealias QuantizeI8 =
        @Sendable @convention(c) (
            UnsafePointer<Float>?, Int, Int, Int, UnsafeMutablePointer<UInt8>?, Int, UnsafeMutablePointer<Float>?,
            UnsafeMutablePointer<Float>?
        ) -> Void
    typealias InPlace = @Sendable @convention(c) (UnsafeMutablePointer<Float>?, Int) -> Void
    typealias Widen = @Sendable @convention(c) (UnsafePointer<UInt16>?, UnsafeMutablePointer<Float>?, Int) -> Void

    let instructionSet: InstructionSet
    let panelWidth: Int
    /// Whether products of bytes are added up in 16 bits, which the packing of weights has to allow. 0 or 1.
    let shortSums: Int32
    let productF32: Product
    let productI16: Product
    let productI8: Product
    let attention: Attention
    let normalize: Normalize
    let quantizeI16: QuantizeI16
    let quantizeI8: QuantizeI8
    let gelu: InPlace
    let exponential: InPlace
    let widen: Widen

    /// - Precondition: This machine runs the set.
    init(_ set: InstructionSet = .bestForEncoder) {
        precondition(set.isSupportedByEncoder, "this processor does not run \(set.rawValue)")
        instructionSet = set
        switch set {
        #if arch(x86_64)
            case .avx512:
                (panelWidth, shortSums) = (encoder_panel_width_avx512(), encoder_short_sums_avx512())
                (productF32, productI16, productI8) = (encoder_matmul_f32_avx512, encoder_matmul_i16_avx512, encoder_matmul_i8_avx512)
                (attention, normalize) = (encoder_attention_f32_avx512, encoder_normalize_f32_avx512)
                (quantizeI16, quantizeI8) = (encoder_quantize_i16_avx512, encoder_quantize_i8_avx512)
                (gelu, exponential, widen) = (encoder_gelu_f32_avx512, encoder_exp_f32_avx512, encoder_widen_f16_avx512)
            case .avx2:
                (panelWidth, shortSums) = (encoder_panel_width_avx2(), encoder_short_sums_avx2())
                (productF32, productI16, productI8) = (encoder_matmul_f32_avx2, encoder_matmul_i16_avx2, encoder_matmul_i8_avx2)
                (attention, normalize) = (encoder_attention_f32_avx2, encoder_normalize_f32_avx2)
                (quantizeI16, quantizeI8) = (encoder_quantize_i16_avx2, encoder_quantize_i8_avx2)
                (gelu, exponential, widen) = (encoder_gelu_f32_avx2, encoder_exp_f32_avx2, encoder_widen_f16_avx2)
        #elseif arch(arm64)
            case .neon:
                (panelWidth, shortSums) = (encoder_panel_width_neon(), encoder_short_sums_neon())
                (productF32, productI16, productI8) = (encoder_matmul_f32_neon, encoder_matmul_i16_neon, encoder_matmul_i8_neon)
                (attention, normalize) = (encoder_attention_f32_neon, encoder_normalize_f32_neon)
                (quantizeI16, quantizeI8) = (encoder_quantize_i16_neon, encoder_quantize_i8_neon)
                (gelu, exponential, widen) = (encoder_gelu_f32_neon, encoder_exp_f32_neon, encoder_widen_f16_neon)
        #endif
        default:
            (panelWidth, shortSums) = (encoder_panel_width_scalar(), encoder_short_sums_scalar())
            (productF32, productI16, productI8) = (encoder_matmul_f32_scalar, encoder_matmul_i16_scalar, encoder_matmul_i8_scalar)
            (attention, normalize) = (encoder_attention_f32_scalar, encoder_normalize_f32_scalar)
            (quantizeI16, quantizeI8) = (encoder_quantize_i16_scalar, encoder_quantize_i8_scalar)
            (gelu, exponential, widen) = (encoder_gelu_f32_scalar, encoder_exp_f32_scalar, encoder_widen_f16_scalar)
        }
    }
}

/// Widths and strides are multiples of this.
let encoderPadding = Int(ENCODER_PAD)

func padded(_ width: Int) -> Int { (width + encoderPadding - 1) / encoderPadding * encoderPadding }
