/* The row loops, which are the same for every instruction set: four rows at once, then what is left one by one.
 *
 * `type` is what a row consists of: `float`, or `uint16_t` for half precision, which is widened (exactly) on the way to the multiplication.
 * `one(query, row, dimension)` and `four(query, row0, row1, row2, row3, dimension, scores)` must add in the same order.
 */
#ifndef OUTRIDER_BLOCKS_H
#define OUTRIDER_BLOCKS_H

/* Rows this far ahead are fetched while gathering: jumps are not foreseen by the processor, consecutive rows are. */
#define GATHER_AHEAD 8

#define KERNELS_ROWS(name, attribute, type, one, four)                                                                          \
    attribute void name(const float *query, const type *rows, size_t dimension, size_t count, float *scores) {                  \
        size_t r = 0;                                                                                                           \
        for (; r + 4 <= count; r += 4) {                                                                                        \
            const type *row = rows + r * dimension;                                                                             \
            four(query, row, row + dimension, row + 2 * dimension, row + 3 * dimension, dimension, scores + r);                 \
        }                                                                                                                       \
        for (; r < count; r++) scores[r] = one(query, rows + r * dimension, dimension);                                         \
    }

#define KERNELS_GATHER(name, attribute, type, one, four)                                                                        \
    attribute void name(const float *query, const type *rows, size_t dimension, const uint32_t *indices, size_t count,          \
                        float *scores) {                                                                                        \
        size_t i = 0;                                                                                                           \
        for (; i + 4 <= count; i += 4) {                                                                                        \
            for (size_t j = i + GATHER_AHEAD; j < i + GATHER_AHEAD + 4 && j < count; j++) {                                     \
                const type *ahead = rows + (size_t)indices[j] * dimension;                                                      \
                for (size_t b = 0; b < 4 * 64 / sizeof(type) && b < dimension; b += 64 / sizeof(type)) __builtin_prefetch(ahead + b); \
            }                                                                                                                   \
            four(query, rows + (size_t)indices[i] * dimension, rows + (size_t)indices[i + 1] * dimension,                       \
                 rows + (size_t)indices[i + 2] * dimension, rows + (size_t)indices[i + 3] * dimension, dimension, scores + i);  \
        }                                                                                                                       \
        for (; i < count; i++) scores[i] = one(query, rows + (size_t)indices[i] * dimension, dimension);                        \
    }

#endif
