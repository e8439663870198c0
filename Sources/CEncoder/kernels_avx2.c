/* AVX2, FMA and F16C: eight lanes, tiles of 6 x 16. Bytes are multiplied in pairs, and two pairs are summed in 16 bits before they are widened:
 * the packing keeps the weights so small that this is exact. */
#include "CEncoder.h"

#if ENCODER_X86
#include <immintrin.h>

#define FN(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES 8
#define ROWS 6
#define FOR_EACH_ROW_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define ENCODER_BLOCK_SIZE (192 << 10)
#define I8_LOW 0
#define SHORT_SUMS 1

typedef __m256 V;
typedef __m256i I;
#define OPERATION static inline __attribute__((always_inline)) TARGET

OPERATION V v_load(const float *p) { return _mm256_loadu_ps(p); }
OPERATION void v_store(float *p, V v) { _mm256_storeu_ps(p, v); }
OPERATION V v_set(float value) { return _mm256_set1_ps(value); }
OPERATION V v_broadcast(const float *p) { return _mm256_broadcast_ss(p); }
OPERATION V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
OPERATION V v_add(V a, V b) { return _mm256_add_ps(a, b); }
OPERATION V v_sub(V a, V b) { return _mm256_sub_ps(a, b); }
OPERATION V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
OPERATION V v_min(V a, V b) { return _mm256_min_ps(a, b); }
OPERATION V v_max(V a, V b) { return _mm256_max_ps(a, b); }
OPERATION V v_round(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
OPERATION float v_total(V a) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
OPERATION float v_greatest(V a) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
OPERATION V v_scale_exponent(V a, V n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}

OPERATION I i_zero(void) { return _mm256_setzero_si256(); }
OPERATION I i_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
OPERATION I i_broadcast(const uint32_t *p) { return _mm256_set1_epi32((int)*p); }
OPERATION V i_to_v(I a) { return _mm256_cvtepi32_ps(a); }
OPERATION I dot_i16(I sum, I a, I b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
OPERATION I dot_i8(I sum, I a, I b, I a2, I b2) {
    const I words = _mm256_add_epi16(_mm256_maddubs_epi16(a, b), _mm256_maddubs_epi16(a2, b2));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
}
OPERATION void store_i16(int16_t *p, V v) {
    I wide = _mm256_cvtps_epi32(v);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1)));
}
OPERATION void store_u8(uint8_t *p, V v) {
    I wide = _mm256_cvtps_epi32(v);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}

#include "vectors.h"

TARGET void encoder_widen_f16_avx2(const uint16_t *source, float *target, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + i))));
    for (; i < count; i++) target[i] = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(source[i])));
}
#endif
