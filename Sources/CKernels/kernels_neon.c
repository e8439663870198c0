/* NEON (AArch64): two sums of four lanes a row, four rows at once; the tail of at most three elements goes through a zeroed vector. */
#include "CKernels.h"

#if KERNELS_ARM
#include "blocks.h"
#include <arm_neon.h>
#include <string.h>

#define NEON_INLINE static inline __attribute__((always_inline))

NEON_INLINE float32x4_t load_tail_f32(const float *values, size_t count) {
    float padded[4] = {0, 0, 0, 0};
    memcpy(padded, values, count * sizeof(float));
    return vld1q_f32(padded);
}

NEON_INLINE float total(float32x4_t low, float32x4_t high) { return vaddvq_f32(vaddq_f32(low, high)); }

NEON_INLINE float32x4_t add_product(float32x4_t sum, float32x4_t q, float32x4_t v) { return vfmaq_f32(sum, q, v); }

NEON_INLINE float32x4_t add_square(float32x4_t sum, float32x4_t q, float32x4_t v) {
    float32x4_t difference = vsubq_f32(q, v);
    return vfmaq_f32(sum, difference, difference);
}

NEON_INLINE float32x4_t load_f32(const float *v) { return vld1q_f32(v); }

NEON_INLINE float32x4_t load_f16(const uint16_t *v) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(v))); }

NEON_INLINE float32x4_t load_tail_f16(const uint16_t *v, size_t count) {
    uint16_t padded[4] = {0, 0, 0, 0};
    memcpy(padded, v, count * sizeof(uint16_t));
    return load_f16(padded);
}

#define NEON_KERNELS(operation, step, element, type, load, load_tail)                                                           \
    NEON_INLINE float operation##_##element##_one(const float *q, const type *v, size_t dimension) {                            \
        float32x4_t low = vdupq_n_f32(0), high = low;                                                                           \
        size_t i = 0;                                                                                                           \
        for (; i + 8 <= dimension; i += 8) {                                                                                    \
            low = step(low, vld1q_f32(q + i), load(v + i));                                                                     \
            high = step(high, vld1q_f32(q + i + 4), load(v + i + 4));                                                           \
        }                                                                                                                       \
        if (i + 4 <= dimension) {                                                                                               \
            low = step(low, vld1q_f32(q + i), load(v + i));                                                                     \
            i += 4;                                                                                                             \
        }                                                                                                                       \
        if (i < dimension) high = step(high, load_tail_f32(q + i, dimension - i), load_tail(v + i, dimension - i));             \
        return total(low, high);                                                                                                \
    }                                                                                                                           \
    NEON_INLINE void operation##_##element##_four(const float *q, const type *a, const type *b, const type *c, const type *d,   \
                                      size_t dimension, float *scores) {                                                        \
        float32x4_t a0 = vdupq_n_f32(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;                         \
        size_t i = 0;                                                                                                           \
        for (; i + 8 <= dimension; i += 8) {                                                                                    \
            float32x4_t q0 = vld1q_f32(q + i), q1 = vld1q_f32(q + i + 4);                                                       \
            a0 = step(a0, q0, load(a + i));                                                                                     \
            b0 = step(b0, q0, load(b + i));                                                                                     \
            c0 = step(c0, q0, load(c + i));                                                                                     \
            d0 = step(d0, q0, load(d + i));                                                                                     \
            a1 = step(a1, q1, load(a + i + 4));                                                                                 \
            b1 = step(b1, q1, load(b + i + 4));                                                                                 \
            c1 = step(c1, q1, load(c + i + 4));                                                                                 \
            d1 = step(d1, q1, load(d + i + 4));                                                                                 \
        }                                                                                                                       \
        if (i + 4 <= dimension) {                                                                                               \
            float32x4_t q0 = vld1q_f32(q + i);                                                                                  \
            a0 = step(a0, q0, load(a + i));                                                                                     \
            b0 = step(b0, q0, load(b + i));                                                                                     \
            c0 = step(c0, q0, load(c + i));                                                                                     \
            d0 = step(d0, q0, load(d + i));                                                                                     \
            i += 4;                                                                                                             \
        }                                                                                                                       \
        if (i < dimension) {                                                                                                    \
            size_t rest = dimension - i;                                                                                        \
            float32x4_t q1 = load_tail_f32(q + i, rest);                                                                        \
            a1 = step(a1, q1, load_tail(a + i, rest));                                                                          \
            b1 = step(b1, q1, load_tail(b + i, rest));                                                                          \
            c1 = step(c1, q1, load_tail(c + i, rest));                                                                          \
            d1 = step(d1, q1, load_tail(d + i, rest));                                                                          \
        }                                                                                                                       \
        scores[0] = total(a0, a1);                                                                                              \
        scores[1] = total(b0, b1);                                                                                              \
        scores[2] = total(c0, c1);                                                                                              \
        scores[3] = total(d0, d1);                                                                                              \
    }                                                                                                                           \
    KERNELS_ROWS(operation##_rows_##element##_neon, , type, operation##_##element##_one, operation##_##element##_four)          \
    KERNELS_GATHER(operation##_gather_##element##_neon, , type, operation##_##element##_one, operation##_##element##_four)

NEON_KERNELS(inner_product, add_product, f32, float, load_f32, load_tail_f32)
NEON_KERNELS(l2_squared, add_square, f32, float, load_f32, load_tail_f32)
NEON_KERNELS(inner_product, add_product, f16, uint16_t, load_f16, load_tail_f16)
NEON_KERNELS(l2_squared, add_square, f16, uint16_t, load_f16, load_tail_f16)

float inner_product_f32_neon(const float *a, const float *b, size_t dimension) { return inner_product_f32_one(a, b, dimension); }

float l2_squared_f32_neon(const float *a, const float *b, size_t dimension) { return l2_squared_f32_one(a, b, dimension); }


void convert_f16_from_f32_neon(const float *source, uint16_t *target, size_t count) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) vst1_u16(target + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(source + i))));
    convert_f16_from_f32_scalar(source + i, target + i, count - i);
}

void convert_f32_from_f16_neon(const uint16_t *source, float *target, size_t count) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) vst1q_f32(target + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(source + i))));
    convert_f32_from_f16_scalar(source + i, target + i, count - i);
}

size_t select_u32_neon(const uint32_t *values, size_t count, uint32_t bar, uint32_t *positions) {
    const uint32x4_t bars = vdupq_n_u32(bar);
    size_t i = 0, found = 0;
    for (; i + 16 <= count; i += 16) {
        uint32x4_t a = vcgeq_u32(vld1q_u32(values + i), bars), b = vcgeq_u32(vld1q_u32(values + i + 4), bars);
        uint32x4_t c = vcgeq_u32(vld1q_u32(values + i + 8), bars), d = vcgeq_u32(vld1q_u32(values + i + 12), bars);
        if (vmaxvq_u32(vorrq_u32(vorrq_u32(a, b), vorrq_u32(c, d))) == 0) continue;
        for (size_t j = i; j < i + 16; j++)
            if (values[j] >= bar) positions[found++] = (uint32_t)j;
    }
    for (; i < count; i++)
        if (values[i] >= bar) positions[found++] = (uint32_t)i;
    return found;
}
#endif
