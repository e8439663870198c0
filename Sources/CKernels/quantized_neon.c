/* NEON: the scan's look-ups are one TBL each; the rest are plain loops that the compiler widens. */
#include "include/quantized.h"

#if defined(__aarch64__)
#define SET_ATTRIBUTES
#define SET(name) name##_neon
#include "quantized_generic.h"
#include <arm_neon.h>

QUANTIZED_TABLE
QUANTIZED_U4
QUANTIZED_U7
QUANTIZED_NEAREST
QUANTIZED_BUILD

static inline void offer(uint16x8_t sums, const float *factors, const float *addends, float step, float offset, float base, float *upper) {
    float32x4_t low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(sums))), high = vcvtq_f32_u32(vmovl_u16(vget_high_u16(sums)));
    float32x4_t steps = vdupq_n_f32(step), offsets = vdupq_n_f32(offset), bases = vdupq_n_f32(base);
    vst1q_f32(upper, vfmaq_f32(vaddq_f32(bases, vld1q_f32(addends)), vld1q_f32(factors), vfmaq_f32(offsets, steps, low)));
    vst1q_f32(upper + 4, vfmaq_f32(vaddq_f32(bases, vld1q_f32(addends + 4)), vld1q_f32(factors + 4), vfmaq_f32(offsets, steps, high)));
}

void sign_scan_neon(const uint8_t *blocks, size_t block_count, size_t dimension, const uint8_t *table, float step, float total, float base,
                    float margin, float threshold, float *upper, uint32_t *masks, const uint8_t *next) {
    if (dimension / 4 > 257) { /* a sum of 16 bits could overflow */
        generic_sign_scan(blocks, block_count, dimension, table, step, total, base, margin, threshold, upper, masks, next);
        return;
    }
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * (dimension * 4 + 256);
        uint16x8_t sums[4] = {vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0)};
        for (size_t g = 0; g < dimension / 4; g++) {
            uint8x16_t pairs = vld1q_u8(block + g * 16), entries = vld1q_u8(table + g * 16);
            uint8x16_t low = vqtbl1q_u8(entries, vandq_u8(pairs, vdupq_n_u8(15))), high = vqtbl1q_u8(entries, vshrq_n_u8(pairs, 4));
            sums[0] = vaddw_u8(sums[0], vget_low_u8(low));
            sums[1] = vaddw_u8(sums[1], vget_high_u8(low));
            sums[2] = vaddw_u8(sums[2], vget_low_u8(high));
            sums[3] = vaddw_u8(sums[3], vget_high_u8(high));
        }
        const float *factors = (const float *)(const void *)(block + dimension * 4), *addends = factors + 32;
        uint32_t mask = 0;
        for (size_t part = 0; part < 4; part++)
            offer(sums[part], factors + part * 8, addends + part * 8, step, margin - total, base, upper + b * 32 + part * 8);
        for (size_t i = 0; i < 32; i++) mask |= (uint32_t)(upper[b * 32 + i] > threshold) << i;
        masks[b] = mask;
    }
}
#endif
