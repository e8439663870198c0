/* AVX2 + FMA: two sums of eight lanes a row, so that four rows keep eight independent additions in flight (latency 4, two a cycle). */
#include "CKernels.h"

#if KERNELS_X86
#include "blocks.h"
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma,f16c")))

AVX2_INLINE __m256i tail_mask(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

AVX2_INLINE float total(__m256 low, __m256 high) {
    __m256 sum = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

AVX2_INLINE __m256 add_product(__m256 sum, __m256 q, __m256 v) { return _mm256_fmadd_ps(q, v, sum); }

AVX2_INLINE __m256 add_square(__m256 sum, __m256 q, __m256 v) {
    __m256 difference = _mm256_sub_ps(q, v);
    return _mm256_fmadd_ps(difference, difference, sum);
}

AVX2_INLINE __m256 load_f32(const float *v) { return _mm256_loadu_ps(v); }

AVX2_INLINE __m256 load_tail_f32(const float *v, size_t count) { return _mm256_maskload_ps(v, tail_mask(count)); }

AVX2_INLINE __m256 load_f16(const uint16_t *v) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)v)); }

AVX2_INLINE __m256 load_tail_f16(const uint16_t *v, size_t count) {
    uint16_t padded[8] = {0};
    memcpy(padded, v, count * sizeof(uint16_t));
    return load_f16(padded);
}

#define AVX2_KERNELS(operation, step, element, type, load, load_tail)                                                           \
    AVX2_INLINE float operation##_##element##_one(const float *q, const type *v, size_t dimension) {                            \
        __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();                                                           \
        size_t i = 0;                                                                                                           \
        for (; i + 16 <= dimension; i += 16) {                                                                                  \
            low = step(low, _mm256_loadu_ps(q + i), load(v + i));                                                               \
            high = step(high, _mm256_loadu_ps(q + i + 8), load(v + i + 8));                                                     \
        }                                                                                                                       \
        if (i + 8 <= dimension) {                                                                                               \
            low = step(low, _mm256_loadu_ps(q + i), load(v + i));                                                               \
            i += 8;                                                                                                             \
        }                                                                                                                       \
        if (i < dimension) {                                                                                                    \
            high = step(high, load_tail_f32(q + i, dimension - i), load_tail(v + i, dimension - i));                            \
        }                                                                                                                       \
        return total(low, high);                                                                                                \
    }                                                                                                                           \
    AVX2_INLINE void operation##_##element##_four(const float *q, const type *a, const type *b, const type *c, const type *d,   \
                                      size_t dimension, float *scores) {                                                        \
        __m256 a0 = _mm256_setzero_ps(), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;                         \
        size_t i = 0;                                                                                                           \
        for (; i + 16 <= dimension; i += 16) {                                                                                  \
            __m256 q0 = _mm256_loadu_ps(q + i), q1 = _mm256_loadu_ps(q + i + 8);                                                \
            a0 = step(a0, q0, load(a + i));                                                                                     \
            b0 = step(b0, q0, load(b + i));                                                                                     \
            c0 = step(c0, q0, load(c + i));                                                                                     \
            d0 = step(d0, q0, load(d + i));                                                                                     \
            a1 = step(a1, q1, load(a + i + 8));                                                                                 \
            b1 = step(b1, q1, load(b + i + 8));                                                                                 \
            c1 = step(c1, q1, load(c + i + 8));                                                                                 \
            d1 = step(d1, q1, load(d + i + 8));                                                                                 \
        }                                                                                                                       \
        if (i + 8 <= dimension) {                                                                                               \
            __m256 q0 = _mm256_loadu_ps(q + i);                                                                                 \
            a0 = step(a0, q0, load(a + i));                                                                                     \
            b0 = step(b0, q0, load(b + i));                                                                                     \
            c0 = step(c0, q0, load(c + i));                                                                                     \
            d0 = step(d0, q0, load(d + i));                                                                                     \
            i += 8;                                                                                                             \
        }                                                                                                                       \
        if (i < dimension) {                                                                                                    \
            __m256 q1 = load_tail_f32(q + i, dimension - i);                                                                    \
            a1 = step(a1, q1, load_tail(a + i, dimension - i));                                                                 \
            b1 = step(b1, q1, load_tail(b + i, dimension - i));                                                                 \
            c1 = step(c1, q1, load_tail(c + i, dimension - i));                                                                 \
            d1 = step(d1, q1, load_tail(d + i, dimension - i));                                                                 \
        }                                                                                                                       \
        scores[0] = total(a0, a1);                                                                                              \
        scores[1] = total(b0, b1);                                                                                              \
        scores[2] = total(c0, c1);                                                                                              \
        scores[3] = total(d0, d1);                                                                                              \
    }                                                                                                                           \
    KERNELS_ROWS(operation##_rows_##element##_avx2, AVX2, type, operation##_##element##_one, operation##_##element##_four)      \
    KERNELS_GATHER(operation##_gather_##element##_avx2, AVX2, type, operation##_##element##_one, operation##_##element##_four)

AVX2_KERNELS(inner_product, add_product, f32, float, load_f32, load_tail_f32)
AVX2_KERNELS(l2_squared, add_square, f32, float, load_f32, load_tail_f32)
AVX2_KERNELS(inner_product, add_product, f16, uint16_t, load_f16, load_tail_f16)
AVX2_KERNELS(l2_squared, add_square, f16, uint16_t, load_f16, load_tail_f16)

AVX2 float inner_product_f32_avx2(const float *a, const float *b, size_t dimension) { return inner_product_f32_one(a, b, dimension); }

AVX2 float l2_squared_f32_avx2(const float *a, const float *b, size_t dimension) { return l2_squared_f32_one(a, b, dimension); }


AVX2 void convert_f16_from_f32_avx2(const float *source, uint16_t *target, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(source + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)(target + i), halves);
    }
    convert_f16_from_f32_scalar(source + i, target + i, count - i);
}

AVX2 void convert_f32_from_f16_avx2(const uint16_t *source, float *target, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + i))));
    convert_f32_from_f16_scalar(source + i, target + i, count - i);
}

AVX2 size_t select_u32_avx2(const uint32_t *values, size_t count, uint32_t bar, uint32_t *positions) {
    const __m256i bars = _mm256_set1_epi32((int)bar);
    size_t i = 0, found = 0;
    for (; i + 32 <= count; i += 32) {
        /* Most values are too small: 32 are compared for one branch. */
        uint32_t mask = 0;
        for (size_t p = 0; p < 4; p++) {
            __m256i part = _mm256_loadu_si256((const __m256i *)(values + i + 8 * p));
            __m256i reached = _mm256_cmpeq_epi32(_mm256_max_epu32(part, bars), part);
            mask |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(reached)) << (8 * p);
        }
        for (; mask; mask &= mask - 1) positions[found++] = (uint32_t)i + (uint32_t)__builtin_ctz(mask);
    }
    for (; i < count; i++)
        if (values[i] >= bar) positions[found++] = (uint32_t)i;
    return found;
}
#endif
