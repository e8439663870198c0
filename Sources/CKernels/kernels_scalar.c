/* The specification: a few plain lines for each operation. */
#include "CKernels.h"

#include <math.h>
#include <string.h>

float inner_product_f32_scalar(const float *a, const float *b, size_t dimension) {
    float sum = 0;
    for (size_t i = 0; i < dimension; i++) sum += a[i] * b[i];
    return sum;
}

float l2_squared_f32_scalar(const float *a, const float *b, size_t dimension) {
    float sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        float difference = a[i] - b[i];
        sum += difference * difference;
    }
    return sum;
}

void inner_product_rows_f32_scalar(const float *query, const float *rows, size_t dimension, size_t count, float *scores) {
    for (size_t r = 0; r < count; r++) scores[r] = inner_product_f32_scalar(query, rows + r * dimension, dimension);
}

void inner_product_gather_f32_scalar(const float *query, const float *rows, size_t dimension, const uint32_t *indices, size_t count,
                                     float *scores) {
    for (size_t i = 0; i < count; i++) scores[i] = inner_product_f32_scalar(query, rows + (size_t)indices[i] * dimension, dimension);
}

void l2_squared_rows_f32_scalar(const float *query, const float *rows, size_t dimension, size_t count, float *scores) {
    for (size_t r = 0; r < count; r++) scores[r] = l2_squared_f32_scalar(query, rows + r * dimension, dimension);
}

void l2_squared_gather_f32_scalar(const float *query, const float *rows, size_t dimension, const uint32_t *indices, size_t count,
                                  float *scores) {
    for (size_t i = 0; i < count; i++) scores[i] = l2_squared_f32_scalar(query, rows + (size_t)indices[i] * dimension, dimension);
}

/* binary32: 1 sign, 8 exponent (bias 127), 23 fraction bits. binary16: 1, 5 (bias 15), 10. */
static uint16_t f16_from_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return sign | 0x7E00 | (uint16_t)((magnitude >> 13) & 0x3FF); /* NaN, made quiet */
    if (magnitude >= 0x477FF000) return sign | 0x7C00;                                        /* rounds above the largest: infinity */
    if (magnitude < 0x33000000) return sign;                                                  /* below half of the smallest subnormal */
    if (magnitude < 0x38800000) {                                                             /* subnormal in binary16 */
        uint32_t shift = 126 - (magnitude >> 23);
        uint32_t fraction = (magnitude & 0x7FFFFF) | 0x800000;
        uint32_t kept = fraction >> shift;
        uint32_t rest = fraction & ((1u << shift) - 1);
        uint32_t half = 1u << (shift - 1);
        return sign | (uint16_t)(kept + (rest > half || (rest == half && (kept & 1))));
    }
    uint32_t rebiased = magnitude - (112u << 23);
    return sign | (uint16_t)((rebiased + 0xFFF + ((rebiased >> 13) & 1)) >> 13);
}

static float f32_from_f16(uint16_t value) {
    uint32_t sign = (uint32_t)(value & 0x8000) << 16;
    uint32_t exponent = (value >> 10) & 0x1F;
    uint32_t fraction = value & 0x3FF;
    uint32_t bits;
    if (exponent == 0x1F) {
        bits = sign | 0x7F800000 | (fraction << 13) | (fraction ? 0x400000 : 0);
    } else if (exponent != 0) {
        bits = sign | ((exponent + 112) << 23) | (fraction << 13);
    } else {
        float magnitude = (float)fraction * 0x1p-24f;
        memcpy(&bits, &magnitude, sizeof bits);
        bits |= sign;
    }
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

void convert_f16_from_f32_scalar(const float *source, uint16_t *target, size_t count) {
    for (size_t i = 0; i < count; i++) target[i] = f16_from_f32(source[i]);
}

void convert_f32_from_f16_scalar(const uint16_t *source, float *target, size_t count) {
    for (size_t i = 0; i < count; i++) target[i] = f32_from_f16(source[i]);
}

static float inner_product_f16(const float *query, const uint16_t *row, size_t dimension) {
    float sum = 0;
    for (size_t i = 0; i < dimension; i++) sum += query[i] * f32_from_f16(row[i]);
    return sum;
}

static float l2_squared_f16(const float *query, const uint16_t *row, size_t dimension) {
    float sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        float difference = query[i] - f32_from_f16(row[i]);
        sum += difference * difference;
    }
    return sum;
}

void inner_product_rows_f16_scalar(const float *query, const uint16_t *rows, size_t dimension, size_t count, float *scores) {
    for (size_t r = 0; r < count; r++) scores[r] = inner_product_f16(query, rows + r * dimension, dimension);
}

void inner_product_gather_f16_scalar(const float *query, const uint16_t *rows, size_t dimension, const uint32_t *indices, size_t count,
                                     float *scores) {
    for (size_t i = 0; i < count; i++) scores[i] = inner_product_f16(query, rows + (size_t)indices[i] * dimension, dimension);
}

void l2_squared_rows_f16_scalar(const float *query, const uint16_t *rows, size_t dimension, size_t count, float *scores) {
    for (size_t r = 0; r < count; r++) scores[r] = l2_squared_f16(query, rows + r * dimension, dimension);
}

void l2_squared_gather_f16_scalar(const float *query, const uint16_t *rows, size_t dimension, const uint32_t *indices, size_t count,
                                  float *scores) {
    for (size_t i = 0; i < count; i++) scores[i] = l2_squared_f16(query, rows + (size_t)indices[i] * dimension, dimension);
}

size_t select_u32_scalar(const uint32_t *values, size_t count, uint32_t bar, uint32_t *positions) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i] >= bar) positions[found++] = (uint32_t)i;
    return found;
}

double normalize_f32(float *values, size_t dimension) {
    double sum = 0;
    for (size_t i = 0; i < dimension; i++) sum += (double)values[i] * (double)values[i];
    double length = sqrt(sum);
    if (length > 0) {
        for (size_t i = 0; i < dimension; i++) values[i] = (float)((double)values[i] / length);
    }
    return length;
}

size_t first_not_finite_f32(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        if ((bits & 0x7F800000) == 0x7F800000) return i;
    }
    return count;
}
