/* AVX2: two groups of signs a shuffle, products by maddubs, six rows against sixteen centroids at once. */
#include "include/quantized.h"

#if defined(__x86_64__)
#define SET_ATTRIBUTES __attribute__((target("avx2,fma,f16c")))
#define SET(name) name##_avx2
#include "quantized_generic.h"
#include <immintrin.h>

QUANTIZED_TABLE
QUANTIZED_BUILD

#define INLINE static inline __attribute__((always_inline, target("avx2,fma,f16c")))

/* Adds the two lanes of even and odd sums and puts them into row order: 16 sums of 32 bits. */
INLINE void ordered(__m256i mixed, __m256i odd, __m256i *first, __m256i *second) {
    __m256i even = _mm256_sub_epi16(mixed, _mm256_slli_epi16(odd, 8));
    __m256i evens = _mm256_add_epi32(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(even)), _mm256_cvtepu16_epi32(_mm256_extracti128_si256(even, 1)));
    __m256i odds = _mm256_add_epi32(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(odd)), _mm256_cvtepu16_epi32(_mm256_extracti128_si256(odd, 1)));
    __m256i low = _mm256_unpacklo_epi32(evens, odds), high = _mm256_unpackhi_epi32(evens, odds);
    *first = _mm256_permute2x128_si256(low, high, 0x20);
    *second = _mm256_permute2x128_si256(low, high, 0x31);
}

INLINE uint32_t offer(__m256i sums, const float *factors, const float *addends, __m256 step, __m256 offset, __m256 base, __m256 threshold,
                      float *upper) {
    __m256 product = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), step, offset);
    __m256 score = _mm256_fmadd_ps(_mm256_loadu_ps(factors), product, _mm256_add_ps(base, _mm256_loadu_ps(addends)));
    _mm256_storeu_ps(upper, score);
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(score, threshold, _CMP_GT_OQ));
}

SET_ATTRIBUTES void sign_scan_avx2(const uint8_t *blocks, size_t block_count, size_t dimension, const uint8_t *table, float step, float total,
                                   float base, float margin, float threshold, float *upper, uint32_t *masks, const uint8_t *next) {
    const __m256i half = _mm256_set1_epi8(15);
    const __m256 steps = _mm256_set1_ps(step), offset = _mm256_set1_ps(margin - total), bases = _mm256_set1_ps(base);
    const __m256 limit = _mm256_set1_ps(threshold);
    size_t size = dimension * 4;
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * (size + 256), *ahead = b + 1 < block_count ? block + size + 256 : next;
        for (size_t line = size; line < size + 256; line += 64) __builtin_prefetch(ahead + line);
        __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
        /* 256 entries fit in a sum of 16 bits. */
        for (size_t start = 0; start < size; start += 256 * 32) {
            size_t end = size - start < 256 * 32 ? size : start + 256 * 32;
            __m256i low_mixed = _mm256_setzero_si256(), low_odd = low_mixed, high_mixed = low_mixed, high_odd = low_mixed;
            for (size_t i = start; i < end; i += 32) {
                __builtin_prefetch(ahead + i);
                __m256i pairs = _mm256_loadu_si256((const __m256i *)(block + i)), entries = _mm256_loadu_si256((const __m256i *)(table + i));
                __m256i low = _mm256_shuffle_epi8(entries, _mm256_and_si256(pairs, half));
                __m256i high = _mm256_shuffle_epi8(entries, _mm256_and_si256(_mm256_srli_epi16(pairs, 4), half));
                low_mixed = _mm256_add_epi16(low_mixed, low);
                low_odd = _mm256_add_epi16(low_odd, _mm256_srli_epi16(low, 8));
                high_mixed = _mm256_add_epi16(high_mixed, high);
                high_odd = _mm256_add_epi16(high_odd, _mm256_srli_epi16(high, 8));
            }
            __m256i part[4];
            ordered(low_mixed, low_odd, &part[0], &part[1]);
            ordered(high_mixed, high_odd, &part[2], &part[3]);
            for (size_t i = 0; i < 4; i++) sums[i] = _mm256_add_epi32(sums[i], part[i]);
        }
        const float *factors = (const float *)(const void *)(block + size), *addends = factors + 32;
        uint32_t mask = 0;
        for (size_t part = 0; part < 4; part++)
            mask |= offer(sums[part], factors + part * 8, addends + part * 8, steps, offset, bases, limit, upper + b * 32 + part * 8)
                    << (part * 8);
        masks[b] = mask;
    }
}

INLINE int32_t sum_i32(__m256i sums) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    return _mm_cvtsi128_si32(half);
}

SET_ATTRIBUTES void dot_u4_i8_gather_avx2(const uint8_t *codes, size_t width, const int8_t *query, const uint32_t *rows, size_t count,
                                          int32_t *sums) {
    const __m256i half = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    for (size_t i = 0; i < count; i++) {
        if (i + 4 < count) {
            const uint8_t *ahead = codes + (size_t)rows[i + 4] * (width / 2);
            for (size_t line = 0; line < width / 2; line += 64) __builtin_prefetch(ahead + line);
        }
        const uint8_t *row = codes + (size_t)rows[i] * (width / 2);
        __m256i sum = _mm256_setzero_si256();
        for (size_t g = 0; g < width; g += 128) {
            for (size_t part = 0; part < 64; part += 32) {
                __m256i pairs = _mm256_loadu_si256((const __m256i *)(row + g / 2 + part));
                __m256i low = _mm256_and_si256(pairs, half), high = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), half);
                __m256i products = _mm256_add_epi16(
                    _mm256_maddubs_epi16(low, _mm256_loadu_si256((const __m256i *)(query + g + part))),
                    _mm256_maddubs_epi16(high, _mm256_loadu_si256((const __m256i *)(query + g + 64 + part))));
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, ones));
            }
        }
        sums[i] = sum_i32(sum);
    }
}

SET_ATTRIBUTES void dot_u7_i8_rows_avx2(const uint8_t *rows, size_t dimension, size_t count, const int8_t *query, int32_t *sums) {
    const __m256i ones = _mm256_set1_epi16(1);
    for (size_t r = 0; r < count; r++) {
        const uint8_t *row = rows + r * dimension;
        __m256i low = _mm256_setzero_si256(), high = low;
        for (size_t d = 0; d < dimension; d += 64) {
            __m256i a = _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i *)(row + d)), _mm256_loadu_si256((const __m256i *)(query + d)));
            __m256i b =
                _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i *)(row + d + 32)), _mm256_loadu_si256((const __m256i *)(query + d + 32)));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(a, ones));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(b, ones));
        }
        sums[r] = sum_i32(_mm256_add_epi32(low, high));
    }
}

/* `height` rows (a constant after inlining) against one half of a panel. */
INLINE void tile(const float *rows, size_t height, size_t dimension, const float *panel, const float *biases, uint32_t first, float *best,
                 uint32_t *best_index) {
    __m256 sums[6][2];
    for (size_t r = 0; r < height; r++) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
    for (size_t d = 0; d < dimension; d++) {
        __m256 left = _mm256_loadu_ps(panel + d * 32), right = _mm256_loadu_ps(panel + d * 32 + 8);
        for (size_t r = 0; r < height; r++) {
            __m256 value = _mm256_broadcast_ss(rows + r * dimension + d);
            sums[r][0] = _mm256_fmadd_ps(value, left, sums[r][0]);
            sums[r][1] = _mm256_fmadd_ps(value, right, sums[r][1]);
        }
    }
    for (size_t r = 0; r < height; r++) {
        float scores[16];
        _mm256_storeu_ps(scores, _mm256_sub_ps(sums[r][0], _mm256_loadu_ps(biases)));
        _mm256_storeu_ps(scores + 8, _mm256_sub_ps(sums[r][1], _mm256_loadu_ps(biases + 8)));
        for (uint32_t i = 0; i < 16; i++)
            if (scores[i] > best[r]) {
                best[r] = scores[i];
                best_index[r] = first + i;
            }
    }
}

SET_ATTRIBUTES void nearest_f32_avx2(const float *rows, size_t count, size_t dimension, const float *panels, const float *biases,
                                     size_t panel_count, float *best, uint32_t *best_index) {
    for (size_t r = 0; r < count; r++) {
        best[r] = -__builtin_inff();
        best_index[r] = 0;
    }
    for (size_t p = 0; p < panel_count * 2; p++) {
        const float *panel = panels + (p / 2) * dimension * 32 + (p % 2) * 16;
        size_t r = 0;
        for (; r + 6 <= count; r += 6)
            tile(rows + r * dimension, 6, dimension, panel, biases + p * 16, (uint32_t)p * 16, best + r, best_index + r);
        for (; r < count; r++) tile(rows + r * dimension, 1, dimension, panel, biases + p * 16, (uint32_t)p * 16, best + r, best_index + r);
    }
}
#endif
