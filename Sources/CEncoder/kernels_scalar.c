/* The specification in plain lines, and what runs where there are no vectors. Panels are ENCODER_PAD / 4 columns wide. */
#include "CEncoder.h"

#include <math.h>
#include <string.h>

#define PANEL 8

size_t encoder_panel_width_scalar(void) { return PANEL; }
int encoder_short_sums_scalar(void) { return 0; }

static float gelu(float x) { return x * 0.5f * (1 + erff(x * 0.707106781f)); }

static float epilogue(const encoder_product *p, size_t row, size_t column, float value) {
    if (p->bias) value += p->bias[column];
    if (p->residual) value += p->residual[row * p->ldr + column];
    return p->gelu ? gelu(value) : value;
}

void encoder_matmul_f32_scalar(const encoder_product *p) {
    const float *a = p->a, *b = p->b;
    for (size_t row = 0; row < p->m; row++) {
        for (size_t panel = 0; panel < p->n; panel += PANEL) {
            float sums[PANEL] = {0};
            for (size_t g = 0; g < p->groups; g++) {
                for (size_t j = 0; j < PANEL; j++) sums[j] += a[row * p->lda + g] * b[panel * p->groups + g * PANEL + j];
            }
            for (size_t j = 0; j < PANEL; j++) p->c[row * p->ldc + panel + j] = epilogue(p, row, panel + j, sums[j]);
        }
    }
}

void encoder_matmul_i16_scalar(const encoder_product *p) {
    const int16_t *a = p->a, *b = p->b;
    for (size_t row = 0; row < p->m; row++) {
        for (size_t panel = 0; panel < p->n; panel += PANEL) {
            int32_t sums[PANEL] = {0};
            for (size_t g = 0; g < p->groups; g++) {
                const int16_t *x = a + (row * p->lda + g) * 2, *y = b + (panel * p->groups + g * PANEL) * 2;
                for (size_t j = 0; j < PANEL; j++) sums[j] += x[0] * y[2 * j] + x[1] * y[2 * j + 1];
            }
            for (size_t j = 0; j < PANEL; j++) {
                float value = (float)sums[j] * (p->a_scale[row] * p->b_scale[panel + j]);
                p->c[row * p->ldc + panel + j] = epilogue(p, row, panel + j, value);
            }
        }
    }
}

void encoder_matmul_i8_scalar(const encoder_product *p) {
    const uint8_t *a = p->a;
    const int8_t *b = p->b;
    for (size_t row = 0; row < p->m; row++) {
        for (size_t panel = 0; panel < p->n; panel += PANEL) {
            int32_t sums[PANEL] = {0};
            for (size_t g = 0; g < p->groups; g++) {
                const uint8_t *x = a + (row * p->lda + g) * 4;
                const int8_t *y = b + (panel * p->groups + g * PANEL) * 4;
                for (size_t j = 0; j < PANEL; j++) {
                    for (size_t i = 0; i < 4; i++) sums[j] += x[i] * y[4 * j + i];
                }
            }
            for (size_t j = 0; j < PANEL; j++) {
                float value = ((float)sums[j] - p->a_zero[row] * p->b_sum[panel + j]) * (p->a_scale[row] * p->b_scale[panel + j]);
                p->c[row * p->ldc + panel + j] = epilogue(p, row, panel + j, value);
            }
        }
    }
}

void encoder_attention_f32_scalar(const encoder_attention *p) {
    float *weights = p->scratch;
    for (size_t head = 0; head < p->heads; head++) {
        for (size_t row = 0; row < p->length; row++) {
            const float *query = p->qkv + row * p->ldqkv + head * p->head_size;
            const float *key = p->qkv + p->width + head * p->head_size, *value = key + p->width;
            float max = -INFINITY, total = 0;
            for (size_t j = 0; j < p->length; j++) {
                float score = 0;
                for (size_t i = 0; i < p->head_size; i++) score += query[i] * key[j * p->ldqkv + i];
                weights[j] = score;
                max = score > max ? score : max;
            }
            for (size_t j = 0; j < p->length; j++) total += weights[j] = expf(weights[j] - max);
            float *out = p->out + row * p->ldout + head * p->head_size;
            for (size_t i = 0; i < p->head_size; i++) out[i] = 0;
            for (size_t j = 0; j < p->length; j++) {
                for (size_t i = 0; i < p->head_size; i++) out[i] += weights[j] / total * value[j * p->ldqkv + i];
            }
        }
    }
}

void encoder_normalize_f32_scalar(float *rows, size_t ld, size_t count, size_t width, const float *weight, const float *bias,
                                  float epsilon) {
    for (size_t r = 0; r < count; r++) {
        float *row = rows + r * ld;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < width; i++) mean += row[i];
        mean /= (double)width;
        for (size_t i = 0; i < width; i++) variance += (row[i] - mean) * (row[i] - mean);
        const double scale = 1 / sqrt(variance / (double)width + epsilon);
        for (size_t i = 0; i < width; i++) row[i] = (float)((row[i] - mean) * scale) * weight[i] + bias[i];
    }
}

static float clamped(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

void encoder_quantize_i16_scalar(const float *rows, size_t ld, size_t count, size_t width, float limit, int16_t *out, size_t ldout,
                                 float *scale) {
    for (size_t r = 0; r < count; r++) {
        float max = 0;
        for (size_t i = 0; i < width; i++) max = fmaxf(max, fabsf(rows[r * ld + i]));
        const int tiny = !(max > 1e-30f);
        scale[r] = tiny ? 0 : max / limit;
        for (size_t i = 0; i < (width + 1) / 2 * 2; i++) {
            const float value = i < width && !tiny ? rintf(rows[r * ld + i] * (limit / max)) : 0;
            out[r * ldout * 2 + i] = (int16_t)clamped(value, -limit, limit);
        }
    }
}

void encoder_quantize_i8_scalar(const float *rows, size_t ld, size_t count, size_t width, uint8_t *out, size_t ldout, float *scale,
                                float *zero) {
    for (size_t r = 0; r < count; r++) {
        float low = 0, high = 0;
        for (size_t i = 0; i < width; i++) {
            low = fminf(low, rows[r * ld + i]);
            high = fmaxf(high, rows[r * ld + i]);
        }
        const float span = high - low;
        const int tiny = !(span > 1e-30f);
        scale[r] = tiny ? 0 : span / 255;
        zero[r] = tiny ? 0 : rintf(-low * (255 / span));
        for (size_t i = 0; i < (width + 3) / 4 * 4; i++) {
            const float value = i < width && !tiny ? rintf(fmaf(rows[r * ld + i], 255 / span, zero[r])) : zero[r];
            out[r * ldout * 4 + i] = (uint8_t)clamped(value, 0, 255);
        }
    }
}

void encoder_gelu_f32_scalar(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = gelu(values[i]);
}

void encoder_exp_f32_scalar(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = expf(values[i]);
}

void encoder_widen_f16_scalar(const uint16_t *source, float *target, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t sign = (uint32_t)(source[i] & 0x8000) << 16, exponent = (source[i] >> 10) & 31, mantissa = source[i] & 1023;
        uint32_t bits;
        if (exponent == 31) {
            bits = sign | 0x7F800000 | mantissa << 13;
        } else if (exponent > 0) {
            bits = sign | (exponent + 112) << 23 | mantissa << 13;
        } else {
            const float value = (float)mantissa * 0x1p-24f;
            memcpy(&bits, &value, 4);
            bits |= sign;
        }
        memcpy(target + i, &bits, 4);
    }
}
