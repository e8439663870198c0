/* Kernels of the quantised inverted lists: 1-bit codes scanned by table look-ups, finer codes by integer products.
 *
 * Gao, Long: RaBitQ (SIGMOD 2024); André, Kermarrec, Le Scouarnec: Cache locality is not enough, Quick ADC and FastScan (VLDB 2015).
 * The rules of CKernels.h hold here too. `dimension` is a multiple of 64 in all of these (vectors are padded with zeros).
 *
 * A block of 32 rows holds `dimension * 4 + 256` bytes:
 *
 *   offset                 content
 *   0                      for each group g of 4 dimensions 16 bytes: byte i holds the sign bits of row i in its low half and of row i + 16
 *                          in its high half; bit j of a half is 1 when coordinate 4 g + j is not negative
 *   dimension * 4          32 floats: factor of each row, at least 0
 *   dimension * 4 + 128    32 floats: addend of each row; minus infinity where there is no row
 *
 * So a list of 1-bit codes streams through the cache once, and 16 table look-ups are one shuffle.
 */
#ifndef OUTRIDER_QUANTIZED_H
#define OUTRIDER_QUANTIZED_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
/* Whether the processor has AVX-512 BW and VNNI beside F and VL: what the avx512 functions of this file need. 0 or 1. */
int kernels_supports_avx512_vnni(void);
#endif

/* For each instruction set:
 *
 * sign_table        Fills `table` (dimension * 4 bytes): entry v of group g is the sum of +-query[4 g + j] (plus where bit j of v is 1), shifted
 *                   to start at 0 and divided by the returned step. `*total` receives the sum of |query[i]|: an inner product of the query with a
 *                   row's signs is step * (sum of the row's entries) - total.
 * sign_scan         upper[32 b + i] = base + addend_i + factor_i * (step * sum_i - total + margin) for each row of `block_count` blocks, and
 *                   bit i of masks[b] tells whether that is more than `threshold`. While a block is read, the one after it is asked for, in the end
 *                   `next`: the first block of what will be scanned after this (or anything that may be asked for).
 * dot_u4_i8_gather  sums[i] = inner product of `query` (int8) with the 4-bit codes of row rows[i]. A row has `width / 2` bytes, width a multiple
 *                   of 128: in each 64 bytes, byte j holds coordinate j in its low half and coordinate j + 64 in its high half.
 * dot_u7_i8_rows    sums[r] = inner product of `query` (int8) with row r of unsigned bytes, each at most 127.
 * nearest_f32       For each of `count` rows the centroid with the largest inner product minus bias: best[r] and best_index[r].
 *                   Centroids come in panels of 32: panels[(p * dimension + d) * 32 + i] is coordinate d of centroid 32 p + i; biases[32 p + i].
 *                   A missing centroid of the last panel has bias infinity. `dimension` may be anything here.
 * rotate_f32        Applies a random rotation in place: `rounds` of sign flips (bit d of the round's words is 1: flip) and a normalised fast
 *                   Hadamard transform over the largest power of two that fits, at the front in even rounds and at the end in odd ones. O(n log n).
 * encode_signs_u4   Codes one residual: `signs` receives dimension / 4 half-bytes, one a byte; `codes` dimension bytes 0...15, a uniform quantiser
 *                   whose step makes the angle to the residual smallest among those tried. sums receives |r|^2, |r|_1, <v, r>, |v|^2, <c, s>, <c, v>
 *                   where v = code - 7.5, s = +-1 by sign and c is `centroid`.
 * centre_i8         Subtracts `mean` from `values` in place and rounds to int8 levels. sums receives the squared length, the size of a level and
 *                   the sum of the levels.
 * rank_lists        For each list its expected mean score, the width of its scores around it, and what it is ranked by: mean + optimism * width.
 *                   products are those of dot_u7_i8_rows, offset is 64 times the sum of the query's levels. range receives the largest, the
 *                   average and the standard deviation of the ranks.
 */
#define QUANTIZED_DECLARE(set)                                                                                                  \
    float sign_table_##set(const float *query, size_t dimension, uint8_t *table, float *total);                                 \
    void sign_scan_##set(const uint8_t *blocks, size_t block_count, size_t dimension, const uint8_t *table, float step,         \
                         float total, float base, float margin, float threshold, float *upper, uint32_t *masks,                 \
                         const uint8_t *next);                                                                                  \
    void dot_u4_i8_gather_##set(const uint8_t *codes, size_t width, const int8_t *query, const uint32_t *rows, size_t count,    \
                                int32_t *sums);                                                                                 \
    void dot_u7_i8_rows_##set(const uint8_t *rows, size_t dimension, size_t count, const int8_t *query, int32_t *sums);         \
    void nearest_f32_##set(const float *rows, size_t count, size_t dimension, const float *panels, const float *biases,         \
                           size_t panel_count, float *best, uint32_t *best_index);                                              \
    void rotate_f32_##set(float *values, size_t dimension, const uint64_t *flips, size_t rounds);                               \
    void encode_signs_u4_##set(const float *residual, const float *centroid, size_t dimension, uint8_t *signs, uint8_t *codes,  \
                               float *sums);                                                                                    \
    void centre_i8_##set(float *values, const float *mean, size_t dimension, int8_t *levels, float *sums);                      \
    void rank_lists_##set(const int32_t *products, const float *scales, const float *half_squares, const float *radii,          \
                          const float *addends, size_t count, float scale, float offset, float half_square,                     \
                          float centred_half_square, float optimism, float *means, float *widths, float *ranks,                  \
                          float *range);

QUANTIZED_DECLARE(scalar)
#if defined(__x86_64__)
QUANTIZED_DECLARE(avx2)
QUANTIZED_DECLARE(avx512)
#elif defined(__aarch64__)
QUANTIZED_DECLARE(neon)
#endif

#endif
