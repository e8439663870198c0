/* AVX-512 F, BW, DQ, VL and VNNI: sixteen lanes, tiles of 12 x 32; dot products of two int16 or four bytes in one instruction. */
#include "CEncoder.h"

#if ENCODER_X86
#include <immintrin.h>

#define FN(name) name##_avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define LANES 16
#define ROWS 12
#define FOR_EACH_ROW_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define ENCODER_BLOCK_SIZE (384 << 10)
#define I8_LOW 0
#define SHORT_SUMS 0

typedef __m512 V;
typedef __m512i I;
#define OPERATION static inline __attribute__((always_inline)) TARGET

OPERATION V v_load(const float *p) { return _mm512_loadu_ps(p); }
OPERATION void v_store(float *p, V v) { _mm512_storeu_ps(p, v); }
OPERATION V v_set(float value) { return _mm512_set1_ps(value); }
/* The empty assembly keeps one broadcast for two multiplications, where the compiler would rather load twice. */
OPERATION V v_broadcast(const float *p) {
    V v = _mm512_set1_ps(*p);
    __asm__("" : "+v"(v));
    return v;
}
OPERATION V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
OPERATION V v_add(V a, V b) { return _mm512_add_ps(a, b); }
OPERATION V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
OPERATION V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
OPERATION V v_min(V a, V b) { return _mm512_min_ps(a, b); }
OPERATION V v_max(V a, V b) { return _mm512_max_ps(a, b); }
OPERATION V v_round(V a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
OPERATION float v_total(V a) { return _mm512_reduce_add_ps(a); }
OPERATION float v_greatest(V a) { return _mm512_reduce_max_ps(a); }
OPERATION V v_scale_exponent(V a, V n) { return _mm512_scalef_ps(a, n); }

OPERATION I i_zero(void) { return _mm512_setzero_si512(); }
OPERATION I i_load(const void *p) { return _mm512_loadu_si512(p); }
OPERATION I i_broadcast(const uint32_t *p) {
    I v = _mm512_set1_epi32((int)*p);
    __asm__("" : "+v"(v));
    return v;
}
OPERATION V i_to_v(I a) { return _mm512_cvtepi32_ps(a); }
/* Assembly, because the compiler splits the intrinsic into a multiplication and an addition, for shorter chains that nobody waits for here. */
OPERATION I dot_i16(I sum, I a, I b) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
OPERATION I dot_i8(I sum, I a, I b, I a2, I b2) { return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, a, b), a2, b2); }
OPERATION void store_i16(int16_t *p, V v) { _mm256_storeu_si256((__m256i *)p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v))); }
OPERATION void store_u8(uint8_t *p, V v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(v))); }

#include "vectors.h"

TARGET void encoder_widen_f16_avx512(const uint16_t *source, float *target, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) _mm512_storeu_ps(target + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(source + i))));
    for (; i < count; i++) target[i] = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(source[i])));
}
#endif
