/* Numeric kernels: one function per operation, element type and instruction set.
 *
 * Shared rules
 * - Pointers and counts in. No allocation, locks, logging, globals or errors.
 * - Rows are row-major: row i starts at rows + i * dimension. No alignment is needed; 64 bytes is fastest.
 * - Outputs never overlap inputs. A count or dimension of zero is allowed (sums are 0).
 * - The tail that does not fill a vector is computed exactly like the rest (masked loads), never read past the end.
 * - One instruction set adds the products of a row always in the same order: `inner_product_f32_x(q, row)` gives the same bits as
 *   the row's score from `inner_product_rows_f32_x` and `inner_product_gather_f32_x`. Different sets differ in the last bits.
 * - The scalar functions are the specification. The others are tested against them.
 *
 * What bounds the speed: the block forms take four rows at once, so that the query is loaded once for four rows and eight sums
 * are in flight; above the caches they run at memory bandwidth (1 536 bytes a row at 384 dimensions).
 *
 * An `_avx2` function needs AVX2, FMA and F16C; `_avx512` needs AVX-512 F and VL. Ask `kernels_supports_*` before calling.
 */
#ifndef OUTRIDER_CKERNELS_H
#define OUTRIDER_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "quantized.h"

#if defined(__x86_64__)
#define KERNELS_X86 1
#elif defined(__aarch64__)
#define KERNELS_ARM 1
#endif

/* Whether this processor and operating system run the set. 0 or 1. */
int kernels_supports_avx2(void);
int kernels_supports_avx512(void);
int kernels_supports_neon(void);

/* For each instruction set:
 *
 * inner_product_f32         sum of a[i] * b[i] over `dimension` elements.
 * inner_product_rows_f32    scores[r] = inner product of `query` with row r, for `count` rows.
 * inner_product_gather_f32  scores[i] = inner product of `query` with row indices[i], for `count` indices. Prefetches a few rows ahead.
 * l2_squared_f32, l2_squared_rows_f32, l2_squared_gather_f32
 *                           the same for the sum of (a[i] - b[i])^2: smaller is closer.
 * inner_product_rows_f16, inner_product_gather_f16, l2_squared_rows_f16, l2_squared_gather_f16
 *                           the same for rows in half precision: each score has the bits that it has for the widened row.
 * convert_f16_from_f32      rounds to nearest, ties to even; too large becomes infinity; subnormals are kept. Needs no table.
 * convert_f32_from_f16      exact.
 * select_u32                positions, ascending, of those of `count` values that are at least `bar`; returns how many. `positions` has room for
 *                           `count`; nothing is written past the last one found.
 */
#define KERNELS_DECLARE(set)                                                                                                    \
    float inner_product_f32_##set(const float *a, const float *b, size_t dimension);                                            \
    void inner_product_rows_f32_##set(const float *query, const float *rows, size_t dimension, size_t count, float *scores);    \
    void inner_product_gather_f32_##set(const float *query, const float *rows, size_t dimension, const uint32_t *indices,       \
                                        size_t count, float *scores);                                                           \
    float l2_squared_f32_##set(const float *a, const float *b, size_t dimension);                                               \
    void l2_squared_rows_f32_##set(const float *query, const float *rows, size_t dimension, size_t count, float *scores);       \
    void l2_squared_gather_f32_##set(const float *query, const float *rows, size_t dimension, const uint32_t *indices,          \
                                     size_t count, float *scores);                                                              \
    void inner_product_rows_f16_##set(const float *query, const uint16_t *rows, size_t dimension, size_t count, float *scores); \
    void inner_product_gather_f16_##set(const float *query, const uint16_t *rows, size_t dimension, const uint32_t *indices,    \
                                        size_t count, float *scores);                                                           \
    void l2_squared_rows_f16_##set(const float *query, const uint16_t *rows, size_t dimension, size_t count, float *scores);    \
    void l2_squared_gather_f16_##set(const float *query, const uint16_t *rows, size_t dimension, const uint32_t *indices,       \
                                     size_t count, float *scores);                                                              \
    void convert_f16_from_f32_##set(const float *source, uint16_t *target, size_t count);                                       \
    void convert_f32_from_f16_##set(const uint16_t *source, float *target, size_t count);                                       \
    size_t select_u32_##set(const uint32_t *values, size_t count, uint32_t bar, uint32_t *positions);

KERNELS_DECLARE(scalar)
#if KERNELS_X86
KERNELS_DECLARE(avx2)
KERNELS_DECLARE(avx512)
#elif KERNELS_ARM
KERNELS_DECLARE(neon)
#endif

/* Scales a vector to length 1 in place and returns its former length.
 *
 * Sums in double, so that no finite input overflows or vanishes. A zero vector has no direction: it stays zero, and 0 is returned.
 * One version for all processors, because its result is stored: the same input gives the same bytes on any machine.
 */
double normalize_f32(float *values, size_t dimension);

/* The position of the first NaN or infinity, or `count` when all values are finite. */
size_t first_not_finite_f32(const float *values, size_t count);

#endif
