/* AVX-512 F + VL: two sums of sixteen lanes a row, four rows at once; the tail is one masked load. */
#include "CKernels.h"

#if KERNELS_X86
#include "blocks.h"
#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512vl,avx2,fma,f16c")))
#define AVX512_INLINE static inline __attribute__((always_inline, target("avx512f,avx512vl,avx2,fma,f16c")))

AVX512_INLINE float total(__m512 low, __m512 high) { return _mm512_reduce_add_ps(_mm512_add_ps(low, high)); }

AVX512_INLINE __m512 add_product(__m512 sum, __m512 q, __m512 v) { return _mm512_fmadd_ps(q, v, sum); }

AVX512_INLINE __m512 add_square(__m512 sum, __m512 q, __m512 v) {
    __m512 difference = _mm512_sub_ps(q, v);
    return _mm512_fmadd_ps(difference, difference, sum);
}

AVX512_INLINE __m512 load_f32(const float *v) { return _mm512_loadu_ps(v); }

AVX512_INLINE __m512 load_tail_f32(const float *v, size_t count) { return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), v); }

AVX512_INLINE __m512 load_f16(const uint16_t *v) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)v)); }

/* Masked loads of two bytes would need AVX-512 BW. */
AVX512_INLINE __m512 load_tail_f16(const uint16_t *v, size_t count) {
    uint16_t padded[16] = {0};
    memcpy(padded, v, count * sizeof(uint16_t));
    return load_f16(padded);
}

#define AVX512_KERNELS(operation, step, element, type, load, load_tail)                                                         \
    AVX512_INLINE float operation##_##element##_one(const float *q, const type *v, size_t dimension) {                          \
        __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();                                                           \
        size_t i = 0;                                                                                                           \
        for (; i + 32 <= dimension; i += 32) {                                                                                  \
            low = step(low, _mm512_loadu_ps(q + i), load(v + i));                                                               \
            high = step(high, _mm512_loadu_ps(q + i + 16), load(v + i + 16));                                                   \
        }                                                                                                                       \
        if (i + 16 <= dimension) {                                                                                              \
            low = step(low, _mm512_loadu_ps(q + i), load(v + i));                                                               \
            i += 16;                                                                                                            \
        }                                                                                                                       \
        if (i < dimension) {                                                                                                    \
            high = step(high, load_tail_f32(q + i, dimension - i), load_tail(v + i, dimension - i));                            \
        }                                                                                                                       \
        return total(low, high);                                                                                                \
    }                                                                                                                           \
    AVX512_INLINE void operation##_##element##_four(const float *q, const type *a, const type *b, const type *c, const type *d, \
                                        size_t dimension, float *scores) {                                                      \
        __m512 a0 = _mm512_setzero_ps(), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;                         \
        size_t i = 0;                                                                                                           \
        for (; i + 32 <= dimension; i += 32) {                                                                                  \
            __m512 q0 = _mm512_loadu_ps(q + i), q1 = _mm512_loadu_ps(q + i + 16);                                               \
            a0 = step(a0, q0, load(a + i));                                                                                     \
            b0 = step(b0, q0, load(b + i));                                                                                     \
            c0 = step(c0, q0, load(c + i));                                                                                     \
            d0 = step(d0, q0, load(d + i));                                                                                     \
            a1 = step(a1, q1, load(a + i + 16));                                                                                \
            b1 = step(b1, q1, load(b + i + 16));                                                                                \
            c1 = step(c1, q1, load(c + i + 16));                                                                                \
            d1 = step(d1, q1, load(d + i + 16));                                                                                \
        }                                                                                                                       \
        if (i + 16 <= dimension) {                                                                                              \
            __m512 q0 = _mm512_loadu_ps(q + i);                                                                                 \
            a0 = step(a0, q0, load(a + i));                                                                                     \
            b0 = step(b0, q0, load(b + i));                                                                                     \
            c0 = step(c0, q0, load(c + i));                                                                                     \
            d0 = step(d0, q0, load(d + i));                                                                                     \
            i += 16;                                                                                                            \
        }                                                                                                                       \
        if (i < dimension) {                                                                                                    \
            __m512 q1 = load_tail_f32(q + i, dimension - i);                                                                    \
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
    KERNELS_ROWS(operation##_rows_##element##_avx512, AVX512, type, operation##_##element##_one, operation##_##element##_four)  \
    KERNELS_GATHER(operation##_gather_##element##_avx512, AVX512, type, operation##_##element##_one, operation##_##element##_four)

AVX512_KERNELS(inner_product, add_product, f32, float, load_f32, load_tail_f32)
AVX512_KERNELS(l2_squared, add_square, f32, float, load_f32, load_tail_f32)
AVX512_KERNELS(inner_product, add_product, f16, uint16_t, load_f16, load_tail_f16)
AVX512_KERNELS(l2_squared, add_square, f16, uint16_t, load_f16, load_tail_f16)

AVX512 float inner_product_f32_avx512(const float *a, const float *b, size_t dimension) { return inner_product_f32_one(a, b, dimension); }

AVX512 float l2_squared_f32_avx512(const float *a, const float *b, size_t dimension) { return l2_squared_f32_one(a, b, dimension); }


AVX512 void convert_f16_from_f32_avx512(const float *source, uint16_t *target, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i halves = _mm512_cvtps_ph(_mm512_loadu_ps(source + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_storeu_si256((__m256i *)(target + i), halves);
    }
    convert_f16_from_f32_scalar(source + i, target + i, count - i);
}

AVX512 void convert_f32_from_f16_avx512(const uint16_t *source, float *target, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) _mm512_storeu_ps(target + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(source + i))));
    convert_f32_from_f16_scalar(source + i, target + i, count - i);
}

AVX512 size_t select_u32_avx512(const uint32_t *values, size_t count, uint32_t bar, uint32_t *positions) {
    const __m512i bars = _mm512_set1_epi32((int)bar);
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t i = 0, found = 0;
    for (; i + 64 <= count; i += 64) {
        /* Most values are too small: 64 are compared for one branch. */
        uint32_t parts[4];
        for (size_t p = 0; p < 4; p++) parts[p] = _mm512_cmpge_epu32_mask(_mm512_loadu_si512(values + i + 16 * p), bars);
        if ((parts[0] | parts[1] | parts[2] | parts[3]) == 0) continue;
        for (size_t p = 0; p < 4; p++) {
            __m512i numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)(i + 16 * p)));
            _mm512_mask_compressstoreu_epi32(positions + found, (__mmask16)parts[p], numbers);
            found += (size_t)__builtin_popcount(parts[p]);
        }
    }
    for (; i < count; i++)
        if (values[i] >= bar) positions[found++] = (uint32_t)i;
    return found;
}
#endif
