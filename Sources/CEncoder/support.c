/* What all instruction sets share: which sets the processor runs, and the packing of weights, which happens once per model. */
#include "CEncoder.h"

#include <math.h>
#include <string.h>

#if ENCODER_ARM && defined(__linux__)
#include <sys/auxv.h>
#endif

int encoder_supports_avx2(void) {
#if ENCODER_X86
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
    return 0;
#endif
}

int encoder_supports_avx512(void) {
#if ENCODER_X86
    __builtin_cpu_init();
    return encoder_supports_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#else
    return 0;
#endif
}

int encoder_supports_neon(void) {
#if ENCODER_ARM && defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 20)) != 0; /* HWCAP_ASIMDDP: the dot products of bytes. */
#elif ENCODER_ARM
    return 1; /* Every Apple processor of this architecture has them. */
#else
    return 0;
#endif
}

static size_t rounded_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

size_t encoder_attention_scratch(size_t length, size_t head_size) {
    size_t padded = rounded_up(length, ENCODER_PAD);
    /* Keys turned round, values of one head padded, a block of up to 12 rows of scores and of results. */
    return padded * head_size + padded * rounded_up(head_size, ENCODER_PAD) + 12 * padded + 12 * rounded_up(head_size, ENCODER_PAD) + 64;
}

size_t encoder_packed_size(size_t n, size_t k, size_t element_size) {
    return rounded_up(n, ENCODER_PAD) * rounded_up(k * element_size, element_size == 1 ? 8 : 4);
}

void encoder_pack_f32(const float *weights, size_t n, size_t k, size_t width, float *packed) {
    memset(packed, 0, encoder_packed_size(n, k, 4));
    for (size_t column = 0; column < n; column++) {
        float *out = packed + column / width * width * k + column % width;
        for (size_t i = 0; i < k; i++) out[i * width] = weights[column * k + i];
    }
}

static float greatest(const float *values, size_t count) {
    float greatest = 0;
    for (size_t i = 0; i < count; i++) {
        float value = fabsf(values[i]);
        if (value > greatest) greatest = value;
    }
    return greatest;
}

static int rounded(float value, int limit) {
    long whole = lrintf(value);
    return whole > limit ? limit : whole < -limit ? -limit : (int)whole;
}

int64_t encoder_pack_i16(const float *weights, size_t n, size_t k, size_t width, int weight_limit, int16_t *packed, float *scale) {
    size_t groups = rounded_up(k, 2) / 2, padded = rounded_up(n, ENCODER_PAD);
    int64_t sum_max = 0;
    memset(packed, 0, encoder_packed_size(n, k, 2));
    for (size_t column = 0; column < padded; column++) scale[column] = 0;
    for (size_t column = 0; column < n; column++) {
        const float *row = weights + column * k;
        float max = greatest(row, k);
        if (!(max > 1e-30f)) continue;
        scale[column] = max / (float)weight_limit;
        float inverse = (float)weight_limit / max;
        int16_t *out = packed + (column / width * width * groups + column % width) * 2;
        int64_t sum = 0;
        for (size_t i = 0; i < k; i++) {
            int value = rounded(row[i] * inverse, weight_limit);
            sum += value < 0 ? -value : value;
            out[i / 2 * width * 2 + i % 2] = (int16_t)value;
        }
        if (sum > sum_max) sum_max = sum;
    }
    return sum_max;
}

/* The greatest sum of weights of one sign among those whose products meet in 16 bits, when weights are rounded to +-limit. */
static int short_sum(const float *row, size_t k, float inverse, int limit) {
    int greatest = 0;
    for (size_t first = 0; first < k; first += 8) {
        int sums[2][2] = {{0}};
        for (size_t i = first; i < k && i < first + 8; i++) {
            const int value = rounded(row[i] * inverse, limit);
            sums[i / 2 % 2][value < 0] += value < 0 ? -value : value;
        }
        for (int i = 0; i < 4; i++) greatest = sums[i / 2][i % 2] > greatest ? sums[i / 2][i % 2] : greatest;
    }
    return greatest;
}

void encoder_pack_i8(const float *weights, size_t n, size_t k, size_t width, int short_sums, int8_t *packed, float *scale, float *sum) {
    size_t groups = rounded_up(k, 8) / 4, padded = rounded_up(n, ENCODER_PAD);
    memset(packed, 0, encoder_packed_size(n, k, 1));
    for (size_t column = 0; column < padded; column++) scale[column] = sum[column] = 0;
    for (size_t column = 0; column < n; column++) {
        const float *row = weights + column * k;
        float max = greatest(row, k);
        if (!(max > 1e-30f)) continue;
        int limit = 127;
        if (short_sums) {
            /* Four weights of at most 32 always fit, so the search ends. */
            for (int found; (found = short_sum(row, k, (float)limit / max, limit)) > 128;) {
                const int next = limit * 128 / found;
                limit = next < limit ? next : limit - 1;
            }
        }
        scale[column] = max / (float)limit;
        float inverse = (float)limit / max;
        int8_t *out = packed + (column / width * width * groups + column % width) * 4;
        int total = 0;
        for (size_t i = 0; i < k; i++) {
            int value = rounded(row[i] * inverse, limit);
            total += value;
            out[i / 4 * width * 4 + i % 4] = (int8_t)value;
        }
        sum[column] = (float)total;
    }
}
