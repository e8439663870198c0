/* Plain loops behind the kernels of quantized.h: the specification, and what the compiler may widen for each instruction set.
 * A file defines SET_ATTRIBUTES (a function's attributes) and SET(name) before it includes this. */
#include "include/quantized.h"

#define GENERIC static inline __attribute__((always_inline, unused))

GENERIC float generic_sign_table(const float *query, size_t dimension, uint8_t *table, float *total) {
    float sum = 0, widest = 0;
    for (size_t g = 0; g < dimension; g += 4) {
        float span = __builtin_fabsf(query[g]) + __builtin_fabsf(query[g + 1]) + __builtin_fabsf(query[g + 2]) + __builtin_fabsf(query[g + 3]);
        sum += span;
        widest = span > widest ? span : widest;
    }
    *total = sum;
    float step = widest > 0 ? 2 * widest / 255 : 1;
    float scale = 1 / step;
    for (size_t g = 0; g < dimension; g += 4) {
        float a = query[g], b = query[g + 1], c = query[g + 2], d = query[g + 3];
        float lowest = __builtin_fabsf(a) + __builtin_fabsf(b) + __builtin_fabsf(c) + __builtin_fabsf(d);
        for (int v = 0; v < 16; v++) {
            float value = lowest + (v & 1 ? a : -a) + (v & 2 ? b : -b) + (v & 4 ? c : -c) + (v & 8 ? d : -d);
            float level = value * scale + 0.5f;
            table[g * 4 + (size_t)v] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
        }
    }
    return step;
}

GENERIC void generic_sign_scan(const uint8_t *blocks, size_t block_count, size_t dimension, const uint8_t *table, float step, float total,
                               float base, float margin, float threshold, float *upper, uint32_t *masks, const uint8_t *next) {
    (void)next;
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * (dimension * 4 + 256);
        const float *factors = (const float *)(const void *)(block + dimension * 4), *addends = factors + 32;
        uint32_t mask = 0;
        for (size_t i = 0; i < 32; i++) {
            uint32_t sum = 0;
            for (size_t g = 0; g < dimension / 4; g++) {
                uint8_t pair = block[g * 16 + i % 16];
                sum += table[g * 16 + (i < 16 ? pair & 15 : pair >> 4)];
            }
            upper[b * 32 + i] = base + addends[i] + factors[i] * (step * (float)sum - total + margin);
            if (upper[b * 32 + i] > threshold) mask |= 1u << i;
        }
        masks[b] = mask;
    }
}

GENERIC void generic_dot_u4_i8_gather(const uint8_t *codes, size_t width, const int8_t *query, const uint32_t *rows, size_t count,
                                      int32_t *sums) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *row = codes + (size_t)rows[i] * (width / 2);
        int32_t sum = 0;
        for (size_t g = 0; g < width; g += 128)
            for (size_t j = 0; j < 64; j++) {
                uint8_t pair = row[g / 2 + j];
                sum += (pair & 15) * query[g + j] + (pair >> 4) * query[g + 64 + j];
            }
        sums[i] = sum;
    }
}

GENERIC void generic_dot_u7_i8_rows(const uint8_t *rows, size_t dimension, size_t count, const int8_t *query, int32_t *sums) {
    for (size_t r = 0; r < count; r++) {
        int32_t sum = 0;
        for (size_t d = 0; d < dimension; d++) sum += rows[r * dimension + d] * query[d];
        sums[r] = sum;
    }
}

GENERIC void generic_nearest_f32(const float *rows, size_t count, size_t dimension, const float *panels, const float *biases,
                                 size_t panel_count, float *best, uint32_t *best_index) {
    for (size_t r = 0; r < count; r++) {
        best[r] = -__builtin_inff();
        best_index[r] = 0;
        for (size_t p = 0; p < panel_count; p++) {
            float sums[32] = {0};
            for (size_t d = 0; d < dimension; d++)
                for (size_t i = 0; i < 32; i++) sums[i] += rows[r * dimension + d] * panels[(p * dimension + d) * 32 + i];
            for (size_t i = 0; i < 32; i++) {
                float score = sums[i] - biases[p * 32 + i];
                if (score > best[r]) {
                    best[r] = score;
                    best_index[r] = (uint32_t)(p * 32 + i);
                }
            }
        }
    }
}

/* Eight numbers; the compiler splits or joins them to what the instruction set has. */
typedef uint32_t __attribute__((may_alias)) word_bits;
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
#define SWAPPED(x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)

/* Butterflies of neighbours 1, 2 and 4 apart inside eight numbers: the sum where the position's bit is 0, the difference where it is 1. */
#define BUTTERFLIES(x)                                                                                                          \
    do {                                                                                                                        \
        x = SWAPPED(x, 1, 0, 3, 2, 5, 4, 7, 6) + x * (eight){1, -1, 1, -1, 1, -1, 1, -1};                                       \
        x = SWAPPED(x, 2, 3, 0, 1, 6, 7, 4, 5) + x * (eight){1, 1, -1, -1, 1, 1, -1, -1};                                       \
        x = SWAPPED(x, 4, 5, 6, 7, 0, 1, 2, 3) + x * (eight){1, 1, 1, 1, -1, -1, -1, -1};                                       \
    } while (0)

/* `count` is a power of two, at least 64. */
GENERIC void generic_hadamard(float *values, size_t count) {
    float scale = 1 / __builtin_sqrtf((float)count);
    for (size_t i = 0; i < count; i += 8) {
        eight x = *(eight *)(values + i);
        BUTTERFLIES(x);
        *(eight *)(values + i) = x * scale;
    }
    size_t half = 8;
    /* Two levels in one pass over the numbers. */
    for (; half * 4 <= count; half *= 4)
        for (size_t start = 0; start < count; start += 4 * half)
            for (size_t i = start; i < start + half; i += 8) {
                eight a = *(eight *)(values + i), b = *(eight *)(values + i + half);
                eight c = *(eight *)(values + i + 2 * half), d = *(eight *)(values + i + 3 * half);
                eight ab = a + b, ba = a - b, cd = c + d, dc = c - d;
                *(eight *)(values + i) = ab + cd;
                *(eight *)(values + i + half) = ba + dc;
                *(eight *)(values + i + 2 * half) = ab - cd;
                *(eight *)(values + i + 3 * half) = ba - dc;
            }
    for (; half < count; half *= 2)
        for (size_t start = 0; start < count; start += 2 * half)
            for (size_t i = start; i < start + half; i += 8) {
                eight a = *(eight *)(values + i), b = *(eight *)(values + i + half);
                *(eight *)(values + i) = a + b;
                *(eight *)(values + i + half) = a - b;
            }
}

GENERIC void generic_rotate_f32(float *values, size_t dimension, const uint64_t *flips, size_t rounds) {
    size_t span = 1;
    while (span * 2 <= dimension) span *= 2;
    for (size_t round = 0; round < rounds; round++) {
        const uint64_t *words = flips + round * (dimension / 64);
        word_bits *bits = (word_bits *)(void *)values;
        for (size_t word = 0; word < dimension / 32; word++) {
            uint32_t signs = (uint32_t)(words[word / 2] >> (word % 2 * 32));
            for (uint32_t i = 0; i < 32; i++) bits[word * 32 + i] ^= (signs << (31 - i)) & 0x80000000u;
        }
        generic_hadamard(round % 2 ? values + dimension - span : values, span);
    }
}

/* Sums may be taken in any order here: they are stored once, by the machine that builds the index, or are estimates. */
#define ANY_ORDER _Pragma("clang fp reassociate(on)")

GENERIC void generic_encode_signs_u4(const float *residual, const float *centroid, size_t dimension, uint8_t *signs, uint8_t *codes,
                                     float *sums) {
    ANY_ORDER
    float square = 0, absolute = 0, along_signs = 0;
    for (size_t d = 0; d < dimension; d++) {
        square += residual[d] * residual[d];
        absolute += __builtin_fabsf(residual[d]);
        along_signs += residual[d] >= 0 ? centroid[d] : -centroid[d];
    }
    for (size_t g = 0; g < dimension / 4; g++) {
        const float *r = residual + g * 4;
        signs[g] = (uint8_t)((r[0] >= 0) | (r[1] >= 0) << 1 | (r[2] >= 0) << 2 | (r[3] >= 0) << 3);
    }
    float deviation = __builtin_sqrtf(square / (float)dimension);
    float best = -1, chosen = 1;
    for (int attempt = 0; attempt < 6; attempt++) {
        float step = deviation * (0.27f + 0.03f * (float)attempt);
        if (!(step > 0)) break;
        float scale = 1 / step, along = 0, length = 0;
        for (size_t d = 0; d < dimension; d++) {
            float level = residual[d] * scale + 8;
            level = level < 0 ? 0 : level;
            level = level > 15 ? 15 : level;
            float value = (float)(int)level - 7.5f;
            along += value * residual[d];
            length += value * value;
        }
        float quality = along * along / length;
        if (quality > best) {
            best = quality;
            chosen = scale;
        }
    }
    float product = 0, norm = 0, along_code = 0;
    for (size_t d = 0; d < dimension; d++) {
        float level = residual[d] * chosen + 8;
        level = level < 0 ? 0 : level;
        level = level > 15 ? 15 : level;
        codes[d] = (uint8_t)(int)level;
        float value = (float)(int)level - 7.5f;
        product += value * residual[d];
        norm += value * value;
        along_code += value * centroid[d];
    }
    sums[0] = square;
    sums[1] = absolute;
    sums[2] = product;
    sums[3] = norm;
    sums[4] = along_signs;
    sums[5] = along_code;
}

GENERIC void generic_centre_i8(float *restrict values, const float *restrict mean, size_t dimension, int8_t *restrict levels, float *sums) {
    ANY_ORDER
    float square = 0, largest;
    uint32_t most = 0; /* Magnitudes are ordered as their bits are. */
    for (size_t d = 0; d < dimension; d++) {
        union {
            float number;
            uint32_t bits;
        } value = {.number = values[d] - mean[d]};
        values[d] = value.number;
        square += value.number * value.number;
        value.bits &= 0x7FFFFFFFu;
        most = value.bits > most ? value.bits : most;
    }
    __builtin_memcpy(&largest, &most, sizeof largest);
    float scale = largest > 0 ? largest / 127 : 1, inverse = 1 / scale;
    int32_t sum = 0;
    for (size_t d = 0; d < dimension; d++) {
        /* Rounds half away from zero. */
        float level = values[d] * inverse;
        int32_t rounded = (int32_t)(level + (level < 0 ? -0.5f : 0.5f));
        levels[d] = (int8_t)rounded;
        sum += rounded;
    }
    sums[0] = square;
    sums[1] = scale;
    sums[2] = (float)sum;
}

GENERIC void generic_rank_lists(const int32_t *restrict products, const float *restrict scales, const float *restrict half_squares,
                                const float *restrict radii, const float *restrict addends, size_t count, float scale, float offset,
                                float half_square, float centred_half_square, float optimism, float *restrict means,
                                float *restrict widths, float *restrict ranks, float *range) {
    ANY_ORDER
    float largest = -__builtin_inff(), sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        float product = scales[i] * scale * ((float)products[i] - offset);
        float half_distance = centred_half_square + half_squares[i] - product;
        half_distance = half_distance > 1e-12f ? half_distance : 1e-12f;
        means[i] = half_square - half_distance + addends[i];
        widths[i] = __builtin_sqrtf(2 * half_distance) * radii[i] + 1e-9f;
        ranks[i] = means[i] + optimism * widths[i];
        sum += ranks[i];
    }
    float average = count ? sum / (float)count : 0;
    for (size_t i = 0; i < count; i++) {
        squares += (ranks[i] - average) * (ranks[i] - average);
        largest = ranks[i] > largest ? ranks[i] : largest;
    }
    range[0] = largest;
    range[1] = average;
    range[2] = count ? __builtin_sqrtf(squares / (float)count) : 0;
}

#define QUANTIZED_TABLE                                                                                                         \
    SET_ATTRIBUTES float SET(sign_table)(const float *query, size_t dimension, uint8_t *table, float *total) {                  \
        return generic_sign_table(query, dimension, table, total);                                                              \
    }
#define QUANTIZED_SCAN                                                                                                          \
    SET_ATTRIBUTES void SET(sign_scan)(const uint8_t *blocks, size_t block_count, size_t dimension, const uint8_t *table,       \
                                       float step, float total, float base, float margin, float threshold, float *upper,        \
                                       uint32_t *masks, const uint8_t *next) {                                                  \
        generic_sign_scan(blocks, block_count, dimension, table, step, total, base, margin, threshold, upper, masks, next);     \
    }
#define QUANTIZED_U4                                                                                                            \
    SET_ATTRIBUTES void SET(dot_u4_i8_gather)(const uint8_t *codes, size_t width, const int8_t *query, const uint32_t *rows,    \
                                              size_t count, int32_t *sums) {                                                    \
        generic_dot_u4_i8_gather(codes, width, query, rows, count, sums);                                                       \
    }
#define QUANTIZED_U7                                                                                                            \
    SET_ATTRIBUTES void SET(dot_u7_i8_rows)(const uint8_t *rows, size_t dimension, size_t count, const int8_t *query,           \
                                            int32_t *sums) {                                                                    \
        generic_dot_u7_i8_rows(rows, dimension, count, query, sums);                                                            \
    }
#define QUANTIZED_NEAREST                                                                                                       \
    SET_ATTRIBUTES void SET(nearest_f32)(const float *rows, size_t count, size_t dimension, const float *panels,                \
                                         const float *biases, size_t panel_count, float *best, uint32_t *best_index) {          \
        generic_nearest_f32(rows, count, dimension, panels, biases, panel_count, best, best_index);                             \
    }
#define QUANTIZED_BUILD                                                                                                         \
    SET_ATTRIBUTES void SET(rotate_f32)(float *values, size_t dimension, const uint64_t *flips, size_t rounds) {                \
        generic_rotate_f32(values, dimension, flips, rounds);                                                                   \
    }                                                                                                                           \
    SET_ATTRIBUTES void SET(encode_signs_u4)(const float *residual, const float *centroid, size_t dimension, uint8_t *signs,    \
                                             uint8_t *codes, float *sums) {                                                     \
        generic_encode_signs_u4(residual, centroid, dimension, signs, codes, sums);                                             \
    }                                                                                                                           \
    SET_ATTRIBUTES void SET(centre_i8)(float *values, const float *mean, size_t dimension, int8_t *levels, float *sums) {       \
        generic_centre_i8(values, mean, dimension, levels, sums);                                                               \
    }                                                                                                                           \
    SET_ATTRIBUTES void SET(rank_lists)(const int32_t *products, const float *scales, const float *half_squares,                \
                                        const float *radii, const float *addends, size_t count, float scale, float offset,      \
                                        float half_square, float centred_half_square, float optimism, float *means,             \
                                        float *widths, float *ranks, float *range) {                                            \
        generic_rank_lists(products, scales, half_squares, radii, addends, count, scale, offset, half_square,                   \
                           centred_half_square, optimism, means, widths, ranks, range);                                         \
    }
