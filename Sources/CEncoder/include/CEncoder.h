/* Kernels of a BERT encoder: matrix products over packed weights, attention, normalisation, quantisation.
 *
 * A batch is one tall matrix: the tokens of all its texts one after the other, without padding between texts. Every operation but
 * attention works on rows and does not know where a text ends; attention is called once for each text.
 *
 * Shared rules
 * - Pointers and counts in. No allocation, locks, logging, globals or errors.
 * - Matrices are row-major with a stride (`ld...`, in elements of 4 bytes). A stride is a multiple of ENCODER_PAD, and the elements
 *   between a row's width and that multiple are zero, on input and on output: so no kernel has a tail. All pointers are 64-byte aligned
 *   except where told.
 * - Weights are packed once (`encoder_pack_*`) into panels of `encoder_panel_width_*` output columns:
 *   panel, then group of inputs, then column, then the inputs of the group. A group is four bytes: one float, two int16, four int8.
 *   Groups of int8 are an even number: they go by twos.
 * - The scalar functions are the specification. The others are tested against them.
 *
 * What bounds the speed: `encoder_matmul_*` keeps a tile of 12 x 32 (AVX-512), 6 x 16 (AVX2) or 8 x 8 (NEON) sums in registers; each step
 * loads one group of the panel's columns and broadcasts one group of each row. Panels come from the second cache, rows from the first.
 *
 * An `_avx2` function needs AVX2, FMA and F16C; `_avx512` needs AVX-512 F, BW, DQ, VL and VNNI; `_neon` needs AArch64 with DOTPROD for int8.
 */
#ifndef OUTRIDER_CENCODER_H
#define OUTRIDER_CENCODER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define ENCODER_X86 1
#elif defined(__aarch64__)
#define ENCODER_ARM 1
#endif

/* Widths and strides are padded to this many elements: the widest panel. */
#define ENCODER_PAD 32

/* Whether this processor and operating system run the set. 0 or 1. */
int encoder_supports_avx2(void);
int encoder_supports_avx512(void);
int encoder_supports_neon(void);

/* One matrix product: c = epilogue(a * b).
 *
 * a        [m, groups * (elements of a group)], rows `lda` groups apart. Need not be aligned beyond 4 bytes.
 * b        packed weights of n columns.
 * a_scale  [m]; a_zero [m]; b_scale, b_sum [n]: what turns sums of integers into numbers:
 *          (sum - a_zero[row] * b_sum[column]) * a_scale[row] * b_scale[column]. Not read by the f32 kernels;
 *          a_zero and b_sum are not read by the i16 kernels.
 * bias     [n] or null. residual [m, n], rows `ldr` apart, or null; it may be c.
 * gelu     non-zero: x * (1 + erf(x / sqrt 2)) / 2 is applied after the bias. Not together with a residual.
 * c        [m, n], rows `ldc` apart.
 * n        a multiple of ENCODER_PAD.
 */
typedef struct encoder_product {
    const void *a;
    size_t lda;
    const float *a_scale;
    const float *a_zero;
    const void *b;
    const float *b_scale;
    const float *b_sum;
    const float *bias;
    const float *residual;
    size_t ldr;
    float *c;
    size_t ldc;
    size_t m, n, groups;
    int gelu;
} encoder_product;

/* Self-attention of one text.
 *
 * qkv      [length, ...], rows `ldqkv` apart; the queries of head h begin at column h * head_size, the keys at `width` and the values
 *          at 2 * width further on. The queries are already divided by the square root of head_size. Aligned to 4 bytes.
 * out      [length, heads * head_size], rows `ldout` apart. The padding columns are not written.
 * scratch  encoder_attention_scratch(length, head_size) floats, 64-byte aligned.
 */
typedef struct encoder_attention {
    const float *qkv;
    size_t ldqkv;
    size_t width;
    size_t length, heads, head_size;
    float *out;
    size_t ldout;
    float *scratch;
} encoder_attention;

/* Floats of scratch memory that attention needs, for every instruction set. */
size_t encoder_attention_scratch(size_t length, size_t head_size);

/* For each instruction set:
 *
 * encoder_panel_width    columns of a panel.
 * encoder_matmul_f32     as above, a and b are floats.
 * encoder_matmul_i16     a and b are int16; the caller keeps the sums within 32 bits (see encoder_pack_i16).
 * encoder_matmul_i8      a are bytes from encoder_quantize_i8 of the same set, b int8 packed for encoder_short_sums of the same set.
 * encoder_short_sums     whether products of bytes are added up in 16 bits within two groups (AVX2), which the packing has to allow. 0 or 1.
 * encoder_attention_f32  as above.
 * encoder_normalize_f32  rows[i] = (rows[i] - mean) / sqrt(variance + epsilon) * weight + bias, in place; weight and bias are padded with zeros.
 * encoder_quantize_i16   out = round(row / scale) with scale = max|row| / limit; writes columns rounded up to a whole group. ldout in groups.
 * encoder_quantize_i8    out = round(row / scale) + zero over 8 bits between the row's least (at most 0) and greatest (at least 0) value.
 * encoder_gelu_f32, encoder_exp_f32   of `count` values in place, count a multiple of ENCODER_PAD; exp is for values <= 0.
 * encoder_widen_f16      half precision to float, exact; any count, any alignment.
 */
#define ENCODER_DECLARE(set)                                                                                                    \
    size_t encoder_panel_width_##set(void);                                                                                     \
    int encoder_short_sums_##set(void);                                                                                         \
    void encoder_matmul_f32_##set(const encoder_product *product);                                                              \
    void encoder_matmul_i16_##set(const encoder_product *product);                                                              \
    void encoder_matmul_i8_##set(const encoder_product *product);                                                               \
    void encoder_attention_f32_##set(const encoder_attention *attention);                                                       \
    void encoder_normalize_f32_##set(float *rows, size_t ld, size_t count, size_t width, const float *weight,                   \
                                     const float *bias, float epsilon);                                                         \
    void encoder_quantize_i16_##set(const float *rows, size_t ld, size_t count, size_t width, float limit, int16_t *out,        \
                                    size_t ldout, float *scale);                                                                \
    void encoder_quantize_i8_##set(const float *rows, size_t ld, size_t count, size_t width, uint8_t *out, size_t ldout,        \
                                   float *scale, float *zero);                                                                  \
    void encoder_gelu_f32_##set(float *values, size_t count);                                                                   \
    void encoder_exp_f32_##set(float *values, size_t count);                                                                    \
    void encoder_widen_f16_##set(const uint16_t *source, float *target, size_t count);

ENCODER_DECLARE(scalar)
#if ENCODER_X86
ENCODER_DECLARE(avx2)
ENCODER_DECLARE(avx512)
#elif ENCODER_ARM
ENCODER_DECLARE(neon)
#endif

/* Packs weights [n, k] (row-major, one row for each output) into panels of `width` columns; columns beyond n and inputs beyond k are zero.
 *
 * encoder_packed_size   bytes of the packed matrix: n is rounded up to ENCODER_PAD, k to a whole group, with int8 to two groups.
 * encoder_pack_i16      scale[column] = max|w| / weight_limit. Returns the greatest sum of |quantised weight| over a column: an input
 *                       of at most (2^31 - 1) / that sum cannot overflow the 32-bit sums.
 * encoder_pack_i8       scale[column] = max|w| / limit; sum[column] = sum of the quantised weights. The limit is 127. With `short_sums` it
 *                       is the greatest up to 127 with which no input overflows 16 bits: of each four products that meet there (the
 *                       first or the last two inputs of both groups), the weights of one sign add up to at most 128 = 32767 / 255.
 */
size_t encoder_packed_size(size_t n, size_t k, size_t element_size);
void encoder_pack_f32(const float *weights, size_t n, size_t k, size_t width, float *packed);
int64_t encoder_pack_i16(const float *weights, size_t n, size_t k, size_t width, int weight_limit, int16_t *packed, float *scale);
void encoder_pack_i8(const float *weights, size_t n, size_t k, size_t width, int short_sums, int8_t *packed, float *scale, float *sum);

#endif
