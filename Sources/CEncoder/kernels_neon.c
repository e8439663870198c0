/* NEON with the byte dot products of ARMv8.2: four lanes, tiles of 12 x 8. Two int16 products take as long as two floats here, so only
 * int8 is faster than f32. The dot product takes signed bytes: quantised activations begin at -128. */
#include "CEncoder.h"

#if ENCODER_ARM
#include <arm_neon.h>

#define FN(name) name##_neon
#define TARGET __attribute__((target("+dotprod")))
#define LANES 4
#define ROWS 12
#define FOR_EACH_ROW_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define ENCODER_BLOCK_SIZE (192 << 10)
#define I8_LOW (-128)
#define SHORT_SUMS 0

typedef float32x4_t V;
typedef int32x4_t I;
#define OPERATION static inline __attribute__((always_inline)) TARGET

OPERATION V v_load(const float *p) { return vld1q_f32(p); }
OPERATION void v_store(float *p, V v) { vst1q_f32(p, v); }
OPERATION V v_set(float value) { return vdupq_n_f32(value); }
OPERATION V v_broadcast(const float *p) { return vld1q_dup_f32(p); }
OPERATION V v_fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
OPERATION V v_add(V a, V b) { return vaddq_f32(a, b); }
OPERATION V v_sub(V a, V b) { return vsubq_f32(a, b); }
OPERATION V v_mul(V a, V b) { return vmulq_f32(a, b); }
OPERATION V v_min(V a, V b) { return vminq_f32(a, b); }
OPERATION V v_max(V a, V b) { return vmaxq_f32(a, b); }
OPERATION V v_round(V a) { return vrndnq_f32(a); }
OPERATION float v_total(V a) { return vaddvq_f32(a); }
OPERATION float v_greatest(V a) { return vmaxvq_f32(a); }
OPERATION V v_scale_exponent(V a, V n) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(vcvtq_s32_f32(n), 23)));
}

OPERATION I i_zero(void) { return vdupq_n_s32(0); }
OPERATION I i_load(const void *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
OPERATION I i_broadcast(const uint32_t *p) { return vreinterpretq_s32_u32(vld1q_dup_u32(p)); }
OPERATION V i_to_v(I a) { return vcvtq_f32_s32(a); }
OPERATION I dot_i16(I sum, I a, I b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vaddq_s32(sum, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}
OPERATION I dot_i8(I sum, I a, I b, I a2, I b2) {
    sum = vdotq_s32(sum, vreinterpretq_s8_s32(b), vreinterpretq_s8_s32(a));
    return vdotq_s32(sum, vreinterpretq_s8_s32(b2), vreinterpretq_s8_s32(a2));
}
OPERATION void store_i16(int16_t *p, V v) { vst1_s16(p, vmovn_s32(vcvtnq_s32_f32(v))); }
OPERATION void store_u8(uint8_t *p, V v) {
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(v));
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    __builtin_memcpy(p, &four, 4);
}

#include "vectors.h"

TARGET void encoder_widen_f16_neon(const uint16_t *source, float *target, size_t count) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) vst1q_f32(target + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(source + i))));
    for (; i < count; i++) target[i] = vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(source[i]))), 0);
}
#endif
