/* AVX-512 with BW and VNNI: four groups of signs a shuffle, products by dpbusd, twelve rows against 32 centroids at once. */
#include "include/quantized.h"

#if defined(__x86_64__)
#define SET_ATTRIBUTES __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,f16c")))
#define SET(name) name##_avx512
#include "quantized_generic.h"
#include <immintrin.h>

QUANTIZED_BUILD

#define INLINE static inline __attribute__((always_inline, target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,f16c")))

SET_ATTRIBUTES float sign_table_avx512(const float *query, size_t dimension, uint8_t *table, float *total) {
    float sum = 0, widest = 0;
    for (size_t g = 0; g < dimension; g += 4) {
        float span = __builtin_fabsf(query[g]) + __builtin_fabsf(query[g + 1]) + __builtin_fabsf(query[g + 2]) + __builtin_fabsf(query[g + 3]);
        sum += span;
        widest = span > widest ? span : widest;
    }
    *total = sum;
    float step = widest > 0 ? 2 * widest / 255 : 1;
    const __m512 scale = _mm512_set1_ps(1 / step), rounding = _mm512_set1_ps(0.5f), most = _mm512_set1_ps(255);
    for (size_t g = 0; g < dimension; g += 4) {
        /* Each coordinate counts twice its magnitude in the half of the entries whose bit agrees with its sign. */
        __m512 values = _mm512_setzero_ps();
        static const __mmask16 set[4] = {0xAAAA, 0xCCCC, 0xF0F0, 0xFF00};
        for (size_t j = 0; j < 4; j++) {
            float value = query[g + j];
            __mmask16 agrees = value >= 0 ? set[j] : (__mmask16)~set[j];
            values = _mm512_mask_add_ps(values, agrees, values, _mm512_set1_ps(2 * __builtin_fabsf(value)));
        }
        __m512 levels = _mm512_min_ps(_mm512_fmadd_ps(values, scale, rounding), most);
        _mm_storeu_si128((__m128i *)(table + g * 4), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(levels)));
    }
    return step;
}

/* Adds the four lanes of even and odd sums and puts them into row order: 16 sums of 32 bits. */
INLINE __m512i ordered(__m512i mixed, __m512i odd) {
    __m512i even = _mm512_sub_epi16(mixed, _mm512_slli_epi16(odd, 8));
    __m512i evens = _mm512_add_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(even)), _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(even, 1)));
    __m512i odds = _mm512_add_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(odd)), _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(odd, 1)));
    __m256i e = _mm256_add_epi32(_mm512_castsi512_si256(evens), _mm512_extracti64x4_epi64(evens, 1));
    __m256i o = _mm256_add_epi32(_mm512_castsi512_si256(odds), _mm512_extracti64x4_epi64(odds, 1));
    __m256i low = _mm256_unpacklo_epi32(e, o), high = _mm256_unpackhi_epi32(e, o);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_permute2x128_si256(low, high, 0x20)), _mm256_permute2x128_si256(low, high, 0x31), 1);
}

INLINE uint32_t offer(__m512i sums, const float *factors, const float *addends, __m512 step, __m512 offset, __m512 base, __m512 threshold,
                      float *upper) {
    __m512 product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), step, offset);
    __m512 score = _mm512_fmadd_ps(_mm512_loadu_ps(factors), product, _mm512_add_ps(base, _mm512_loadu_ps(addends)));
    _mm512_storeu_ps(upper, score);
    return _mm512_cmp_ps_mask(score, threshold, _CMP_GT_OQ);
}

SET_ATTRIBUTES void sign_scan_avx512(const uint8_t *blocks, size_t block_count, size_t dimension, const uint8_t *table, float step,
                                     float total, float base, float margin, float threshold, float *upper, uint32_t *masks,
                                     const uint8_t *next) {
    const __m512i half = _mm512_set1_epi8(15);
    const __m512 steps = _mm512_set1_ps(step), offset = _mm512_set1_ps(margin - total), bases = _mm512_set1_ps(base);
    const __m512 limit = _mm512_set1_ps(threshold);
    size_t size = dimension * 4;
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * (size + 256), *ahead = b + 1 < block_count ? block + size + 256 : next;
        for (size_t line = size; line < size + 256; line += 64) __builtin_prefetch(ahead + line);
        __m512i low_sums = _mm512_setzero_si512(), high_sums = low_sums;
        /* 256 entries fit in a sum of 16 bits. */
        for (size_t start = 0; start < size; start += 256 * 64) {
            size_t end = size - start < 256 * 64 ? size : start + 256 * 64;
            __m512i low_mixed = _mm512_setzero_si512(), low_odd = low_mixed, high_mixed = low_mixed, high_odd = low_mixed;
            for (size_t i = start; i < end; i += 64) {
                __builtin_prefetch(ahead + i);
                __m512i pairs = _mm512_loadu_si512(block + i), entries = _mm512_loadu_si512(table + i);
                __m512i low = _mm512_shuffle_epi8(entries, _mm512_and_si512(pairs, half));
                __m512i high = _mm512_shuffle_epi8(entries, _mm512_and_si512(_mm512_srli_epi16(pairs, 4), half));
                low_mixed = _mm512_add_epi16(low_mixed, low);
                low_odd = _mm512_add_epi16(low_odd, _mm512_srli_epi16(low, 8));
                high_mixed = _mm512_add_epi16(high_mixed, high);
                high_odd = _mm512_add_epi16(high_odd, _mm512_srli_epi16(high, 8));
            }
            low_sums = _mm512_add_epi32(low_sums, ordered(low_mixed, low_odd));
            high_sums = _mm512_add_epi32(high_sums, ordered(high_mixed, high_odd));
        }
        const float *factors = (const float *)(const void *)(block + size), *addends = factors + 32;
        uint32_t first = offer(low_sums, factors, addends, steps, offset, bases, limit, upper + b * 32);
        uint32_t second = offer(high_sums, factors + 16, addends + 16, steps, offset, bases, limit, upper + b * 32 + 16);
        masks[b] = first | second << 16;
    }
}

SET_ATTRIBUTES void dot_u4_i8_gather_avx512(const uint8_t *codes, size_t width, const int8_t *query, const uint32_t *rows, size_t count,
                                            int32_t *sums) {
    const __m512i half = _mm512_set1_epi8(15);
    for (size_t i = 0; i < 4 && i < count; i++)
        for (size_t line = 0; line < width / 2; line += 64) __builtin_prefetch(codes + (size_t)rows[i] * (width / 2) + line);
    for (size_t i = 0; i < count; i++) {
        if (i + 4 < count) {
            const uint8_t *ahead = codes + (size_t)rows[i + 4] * (width / 2);
            for (size_t line = 0; line < width / 2; line += 64) __builtin_prefetch(ahead + line);
        }
        const uint8_t *row = codes + (size_t)rows[i] * (width / 2);
        __m512i low = _mm512_setzero_si512(), high = low;
        for (size_t g = 0; g < width; g += 128) {
            __m512i pairs = _mm512_loadu_si512(row + g / 2);
            low = _mm512_dpbusd_epi32(low, _mm512_and_si512(pairs, half), _mm512_loadu_si512(query + g));
            high = _mm512_dpbusd_epi32(high, _mm512_and_si512(_mm512_srli_epi16(pairs, 4), half), _mm512_loadu_si512(query + g + 64));
        }
        sums[i] = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
    }
}

SET_ATTRIBUTES void dot_u7_i8_rows_avx512(const uint8_t *rows, size_t dimension, size_t count, const int8_t *query, int32_t *sums) {
    size_t r = 0;
    for (; r + 4 <= count; r += 4) {
        const uint8_t *a = rows + r * dimension, *b = a + dimension, *c = b + dimension, *e = c + dimension;
        __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
        for (size_t d = 0; d < dimension; d += 64) {
            __m512i values = _mm512_loadu_si512(query + d);
            s0 = _mm512_dpbusd_epi32(s0, _mm512_loadu_si512(a + d), values);
            s1 = _mm512_dpbusd_epi32(s1, _mm512_loadu_si512(b + d), values);
            s2 = _mm512_dpbusd_epi32(s2, _mm512_loadu_si512(c + d), values);
            s3 = _mm512_dpbusd_epi32(s3, _mm512_loadu_si512(e + d), values);
        }
        /* Four sums at once: pairs of registers are added crosswise until one holds a sum in each lane of four. */
        __m512i x = _mm512_add_epi32(_mm512_unpacklo_epi32(s0, s1), _mm512_unpackhi_epi32(s0, s1));
        __m512i y = _mm512_add_epi32(_mm512_unpacklo_epi32(s2, s3), _mm512_unpackhi_epi32(s2, s3));
        __m512i z = _mm512_add_epi32(_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
        __m256i w = _mm256_add_epi32(_mm512_castsi512_si256(z), _mm512_extracti64x4_epi64(z, 1));
        _mm_storeu_si128((__m128i *)(sums + r), _mm_add_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
    }
    for (; r < count; r++) {
        __m512i sum = _mm512_setzero_si512();
        for (size_t d = 0; d < dimension; d += 64)
            sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(rows + r * dimension + d), _mm512_loadu_si512(query + d));
        sums[r] = _mm512_reduce_add_epi32(sum);
    }
}

/* `height` rows (a constant after inlining) against one panel. */
INLINE void tile(const float *rows, size_t height, size_t dimension, const float *panel, const float *biases, uint32_t first, float *best,
                 uint32_t *best_index) {
    __m512 sums[12][2];
    for (size_t r = 0; r < height; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    for (size_t d = 0; d < dimension; d++) {
        __m512 left = _mm512_loadu_ps(panel + d * 32), right = _mm512_loadu_ps(panel + d * 32 + 16);
        for (size_t r = 0; r < height; r++) {
            __m512 value = _mm512_set1_ps(rows[r * dimension + d]);
            sums[r][0] = _mm512_fmadd_ps(value, left, sums[r][0]);
            sums[r][1] = _mm512_fmadd_ps(value, right, sums[r][1]);
        }
    }
    for (size_t r = 0; r < height; r++) {
        for (uint32_t part = 0; part < 2; part++) {
            __m512 scores = _mm512_sub_ps(sums[r][part], _mm512_loadu_ps(biases + part * 16));
            float top = _mm512_reduce_max_ps(scores);
            if (top > best[r]) {
                best[r] = top;
                __mmask16 equal = _mm512_cmp_ps_mask(scores, _mm512_set1_ps(top), _CMP_EQ_OQ);
                best_index[r] = first + part * 16 + (uint32_t)__builtin_ctz(equal);
            }
        }
    }
}

SET_ATTRIBUTES void nearest_f32_avx512(const float *rows, size_t count, size_t dimension, const float *panels, const float *biases,
                                       size_t panel_count, float *best, uint32_t *best_index) {
    for (size_t r = 0; r < count; r++) {
        best[r] = -__builtin_inff();
        best_index[r] = 0;
    }
    for (size_t p = 0; p < panel_count; p++) {
        const float *panel = panels + p * dimension * 32;
        size_t r = 0;
        for (; r + 12 <= count; r += 12)
            tile(rows + r * dimension, 12, dimension, panel, biases + p * 32, (uint32_t)p * 32, best + r, best_index + r);
        for (; r < count; r++) tile(rows + r * dimension, 1, dimension, panel, biases + p * 32, (uint32_t)p * 32, best + r, best_index + r);
    }
}
#endif
