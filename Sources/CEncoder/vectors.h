/* Every vector kernel, written once over the operations of an instruction set, which the including file defines before:
 *
 * FN(name)            the name with the set's suffix.        TARGET   the function attribute of the set.
 * LANES               floats of a vector.                    ROWS     rows of a tile; FOR_EACH_ROW_COUNT(X) expands X(1) ... X(ROWS).
 * V, I                vectors of floats and of 32-bit integers.
 * v_load v_store v_set v_broadcast v_fma(a, b, c) = a * b + c, v_add v_sub v_mul v_min v_max v_round (to nearest) v_total v_greatest
 * v_scale_exponent(v, n) = v * 2^n for whole n in [-127, 0] (what would be subnormal may become 0)
 * i_zero i_load i_broadcast(const void *) (one group to all lanes) i_to_v
 * dot_i16             (sum, group of a row, groups of columns) -> sum
 * dot_i8              (sum, group of a row, groups of columns, the next group of the row, the next groups of the columns) -> sum
 * store_i16, store_u8 (pointer, V of whole numbers)
 * I8_LOW              what quantised bytes of an activation start from: 0, or -128 where the dot product takes signed bytes.
 * SHORT_SUMS          see encoder_short_sums.
 *
 * The tile: ROWS x (2 * LANES) sums in registers.
 *
 *              panel of weights, one group a step
 *              [ b0 ........ | b1 ........ ]
 *   a[0][g] -> [ sum 0,0     | sum 0,1     ]
 *   a[1][g] -> [ sum 1,0     | sum 1,1     ]     each step: two loads, ROWS broadcasts, 2 * ROWS multiply-adds
 *      ...
 */
#define PANEL (2 * LANES)
/* Weights come from the third cache or from memory, in the order in which they lie: what is needed so many bytes later is asked for now. */
#define AHEAD 4096
#define PREFETCH(pointer)                                                                                                       \
    __builtin_prefetch(pointer, 0, 2);                                                                                          \
    if (PANEL > 16) __builtin_prefetch((pointer) + 64, 0, 2);
#define INLINE static inline __attribute__((always_inline)) TARGET

/* --- Elementary functions --- */

/* e^x for x <= 0: 2^n * 2^f with a polynomial for 2^f on [-1/2, 1/2]. Relative error below 3e-7. */
INLINE V exponential(V x) {
    V scaled = v_max(v_mul(x, v_set(1.44269504f)), v_set(-126.0f));
    V whole = v_round(scaled);
    V f = v_sub(scaled, whole);
    V p = v_fma(f, v_set(1.32764664e-3f), v_set(9.67554129e-3f));
    p = v_fma(f, p, v_set(5.55071329e-2f));
    p = v_fma(f, p, v_set(0.240221197f));
    p = v_fma(f, p, v_set(0.693146967f));
    p = v_fma(f, p, v_set(1.00000007f));
    return v_scale_exponent(p, whole);
}

/* x * (1 + erf(x / sqrt 2)) / 2. erf(z) = z * P(z^2) on |z| <= 3.8325, beyond which a float cannot tell it from 1; P is a least-maximum fit
 * of degree 14 over z^2 mapped to [-1, 1], where its coefficients are small and rounding does not add up. Absolute error below 1e-6. */
INLINE V gelu(V x) {
    V z = v_max(v_min(v_mul(x, v_set(0.707106781f)), v_set(3.832506f)), v_set(-3.832506f));
    V s = v_fma(v_mul(z, z), v_set(0.13616463f), v_set(-1.0f));
    V p = v_fma(s, v_set(0.00118427472f), v_set(-0.0030822422f));
    p = v_fma(s, p, v_set(0.00255819983f));
    p = v_fma(s, p, v_set(-0.00339288119f));
    p = v_fma(s, p, v_set(0.0106629551f));
    p = v_fma(s, p, v_set(-0.0195137917f));
    p = v_fma(s, p, v_set(0.0277620107f));
    p = v_fma(s, p, v_set(-0.0399116403f));
    p = v_fma(s, p, v_set(0.0559457072f));
    p = v_fma(s, p, v_set(-0.0730469177f));
    p = v_fma(s, p, v_set(0.0908352709f));
    p = v_fma(s, p, v_set(-0.110664256f));
    p = v_fma(s, p, v_set(0.136745737f));
    p = v_fma(s, p, v_set(-0.184114667f));
    p = v_fma(s, p, v_set(0.36895812f));
    V half = v_mul(x, v_set(0.5f));
    return v_fma(half, v_mul(z, p), half);
}

TARGET void FN(encoder_gelu_f32)(float *values, size_t count) {
    for (size_t i = 0; i < count; i += LANES) v_store(values + i, gelu(v_load(values + i)));
}

TARGET void FN(encoder_exp_f32)(float *values, size_t count) {
    for (size_t i = 0; i < count; i += LANES) v_store(values + i, exponential(v_load(values + i)));
}

size_t FN(encoder_panel_width)(void) { return PANEL; }
int FN(encoder_short_sums)(void) { return SHORT_SUMS; }

/* --- Matrix products --- */

/* One tile of a product: pointers to its first row, panel and column. */
typedef struct {
    const uint32_t *a; /* groups */
    size_t lda;
    const char *b;
    size_t step; /* bytes of the panel from one group to the next */
    size_t groups;
    const float *a_scale, *a_zero, *b_scale, *b_sum, *bias, *residual;
    size_t ldr;
    float *c;
    size_t ldc;
    int gelu;
} tile;

/* Row i of a tile. Three bases and three strides reach twelve rows with the addressing modes of one register pair each. */
#define ROW(i) (base[(i) / 4] + ((i) % 4) * lda)

INLINE void finish(const tile *t, const int i, V first, V second) {
    if (t->bias) {
        first = v_add(first, v_load(t->bias));
        second = v_add(second, v_load(t->bias + LANES));
    }
    if (t->residual) {
        first = v_add(first, v_load(t->residual + i * t->ldr));
        second = v_add(second, v_load(t->residual + i * t->ldr + LANES));
    }
    if (t->gelu) {
        first = gelu(first);
        second = gelu(second);
    }
    v_store(t->c + i * t->ldc, first);
    v_store(t->c + i * t->ldc + LANES, second);
}

#define BASES(t)                                                                                                                \
    const size_t lda = (t)->lda;                                                                                                \
    const uint32_t *base[3] = {(t)->a, (t)->a + 4 * lda, (t)->a + 8 * lda};

#define ADVANCE(rows)                                                                                                           \
    base[0]++;                                                                                                                  \
    if ((rows) > 4) base[1]++;                                                                                                  \
    if ((rows) > 8) base[2]++;

#define TILE_F32(rows)                                                                                                          \
    static TARGET void FN(tile_f32_##rows)(const tile *t) {                                                                     \
        V sums[rows][2];                                                                                                        \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = v_set(0);                             \
        BASES(t)                                                                                                                \
        const char *b = t->b;                                                                                                   \
        for (size_t g = t->groups; g > 0; g--, b += t->step) {                                                                  \
            V b0 = v_load((const float *)b), b1 = v_load((const float *)b + LANES);                                             \
            PREFETCH(b + AHEAD)                                                                                                 \
            _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {                                                           \
                V a = v_broadcast((const float *)ROW(i));                                                                       \
                sums[i][0] = v_fma(a, b0, sums[i][0]);                                                                          \
                sums[i][1] = v_fma(a, b1, sums[i][1]);                                                                          \
            }                                                                                                                   \
            ADVANCE(rows)                                                                                                       \
        }                                                                                                                       \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {                                                               \
            if (t->a_scale) {                                                                                                   \
                V scale = v_broadcast(t->a_scale + i);                                                                          \
                sums[i][0] = v_mul(sums[i][0], scale);                                                                          \
                sums[i][1] = v_mul(sums[i][1], scale);                                                                          \
            }                                                                                                                   \
            finish(t, i, sums[i][0], sums[i][1]);                                                                               \
        }                                                                                                                       \
    }

/* One group a step, or two. */
#define STEP_I16(rows)                                                                                                          \
    I b0 = i_load(b), b1 = i_load(b + 4 * LANES);                                                                               \
    PREFETCH(b + AHEAD)                                                                                                         \
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {                                                                   \
        I a = i_broadcast(ROW(i));                                                                                              \
        sums[i][0] = dot_i16(sums[i][0], a, b0);                                                                                \
        sums[i][1] = dot_i16(sums[i][1], a, b1);                                                                                \
    }                                                                                                                           \
    ADVANCE(rows)

#define STEP_I8(rows)                                                                                                           \
    I b0 = i_load(b), b1 = i_load(b + 4 * LANES);                                                                               \
    PREFETCH(b + AHEAD)                                                                                                         \
    b += t->step;                                                                                                               \
    I b2 = i_load(b), b3 = i_load(b + 4 * LANES);                                                                               \
    PREFETCH(b + AHEAD)                                                                                                         \
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {                                                                   \
        I a = i_broadcast(ROW(i)), a2 = i_broadcast(ROW(i) + 1);                                                                \
        sums[i][0] = dot_i8(sums[i][0], a, b0, a2, b2);                                                                         \
        sums[i][1] = dot_i8(sums[i][1], a, b1, a2, b3);                                                                         \
    }                                                                                                                           \
    ADVANCE(rows)                                                                                                               \
    ADVANCE(rows)

#define TILE_INTEGER(name, groups_a_step, STEP, rows)                                                                           \
    static TARGET void FN(name##_##rows)(const tile *t) {                                                                       \
        I sums[rows][2];                                                                                                        \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = i_zero();                             \
        BASES(t)                                                                                                                \
        const char *b = t->b;                                                                                                   \
        for (size_t g = t->groups / groups_a_step; g > 0; g--, b += t->step) {                                                  \
            STEP(rows)                                                                                                          \
        }                                                                                                                       \
        V scale0 = v_load(t->b_scale), scale1 = v_load(t->b_scale + LANES);                                                     \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {                                                               \
            V first = i_to_v(sums[i][0]), second = i_to_v(sums[i][1]);                                                          \
            if (t->a_zero) {                                                                                                    \
                V zero = v_set(-t->a_zero[i]);                                                                                  \
                first = v_fma(zero, v_load(t->b_sum), first);                                                                   \
                second = v_fma(zero, v_load(t->b_sum + LANES), second);                                                         \
            }                                                                                                                   \
            V scale = v_broadcast(t->a_scale + i);                                                                              \
            finish(t, i, v_mul(first, v_mul(scale, scale0)), v_mul(second, v_mul(scale, scale1)));                              \
        }                                                                                                                       \
    }

#define TILE_I16(rows) TILE_INTEGER(tile_i16, 1, STEP_I16, rows)
#define TILE_I8(rows) TILE_INTEGER(tile_i8, 2, STEP_I8, rows)
FOR_EACH_ROW_COUNT(TILE_F32)
FOR_EACH_ROW_COUNT(TILE_I16)
FOR_EACH_ROW_COUNT(TILE_I8)

typedef void (*tile_function)(const tile *);
#define ENTRY_F32(rows) FN(tile_f32_##rows),
#define ENTRY_I16(rows) FN(tile_i16_##rows),
#define ENTRY_I8(rows) FN(tile_i8_##rows),
static const tile_function tiles_f32[] = {0, FOR_EACH_ROW_COUNT(ENTRY_F32)};
static const tile_function tiles_i16[] = {0, FOR_EACH_ROW_COUNT(ENTRY_I16)};
static const tile_function tiles_i8[] = {0, FOR_EACH_ROW_COUNT(ENTRY_I8)};

/* Rows of the tile that begins at `row`: as even as possible, so that 13 rows are 7 + 6 and not 12 + 1. */
static inline size_t tile_rows(size_t row, size_t count) {
    size_t left = count - row, tiles = (left + ROWS - 1) / ROWS;
    return (left + tiles - 1) / tiles;
}

/* A block of panels that stays in the second cache meets all rows; each row tile meets the panels of the block one by one. */
static void multiply(const encoder_product *p, const tile_function *functions) {
    const size_t panel_size = p->groups * PANEL * 4;
    size_t block = (ENCODER_BLOCK_SIZE + panel_size - 1) / panel_size;
    const size_t panels = p->n / PANEL;
    /* Blocks of equal size. */
    const size_t blocks = (panels + block - 1) / block;
    block = blocks == 0 ? 1 : (panels + blocks - 1) / blocks;
    for (size_t first = 0; first < panels; first += block) {
        const size_t end = first + block < panels ? first + block : panels;
        for (size_t row = 0, rows; row < p->m; row += rows) {
            rows = tile_rows(row, p->m);
            for (size_t panel = first; panel < end; panel++) {
                const size_t column = panel * PANEL;
                tile t = {
                    .a = (const uint32_t *)p->a + row * p->lda,
                    .lda = p->lda,
                    .b = (const char *)p->b + panel * panel_size,
                    .step = PANEL * 4,
                    .groups = p->groups,
                    .a_scale = p->a_scale ? p->a_scale + row : 0,
                    .a_zero = p->a_zero ? p->a_zero + row : 0,
                    .b_scale = p->b_scale ? p->b_scale + column : 0,
                    .b_sum = p->b_sum ? p->b_sum + column : 0,
                    .bias = p->bias ? p->bias + column : 0,
                    .residual = p->residual ? p->residual + row * p->ldr + column : 0,
                    .ldr = p->ldr,
                    .c = p->c + row * p->ldc + column,
                    .ldc = p->ldc,
                    .gelu = p->gelu,
                };
                functions[rows](&t);
            }
        }
    }
}

void FN(encoder_matmul_f32)(const encoder_product *product) {
    encoder_product p = *product;
    p.a_scale = 0;
    multiply(&p, tiles_f32);
}

void FN(encoder_matmul_i16)(const encoder_product *product) {
    encoder_product p = *product;
    p.a_zero = 0;
    multiply(&p, tiles_i16);
}

void FN(encoder_matmul_i8)(const encoder_product *product) { multiply(product, tiles_i8); }

/* --- Attention --- */

/* Scores of up to ROWS queries to numbers that sum to 1 over the first `length` columns, but for the division: its divisor goes to `inverse`. */
INLINE void soften(float *scores, size_t padded, size_t length, size_t rows, float *inverse) {
    for (size_t i = 0; i < rows; i++) {
        float *row = scores + i * padded;
        for (size_t j = length; j < padded; j++) row[j] = -1e30f;
        V max = v_load(row);
        for (size_t j = LANES; j < padded; j += LANES) max = v_max(max, v_load(row + j));
        V greatest = v_set(v_greatest(max)), sum = v_set(0);
        for (size_t j = 0; j < padded; j += LANES) {
            V e = exponential(v_sub(v_load(row + j), greatest));
            v_store(row + j, e);
            sum = v_add(sum, e);
        }
        /* Columns beyond the length hold 2^-126 or 0: nothing beside the 1 of the greatest. */
        inverse[i] = 1 / v_total(sum);
    }
}

TARGET void FN(encoder_attention_f32)(const encoder_attention *p) {
    const size_t length = p->length, size = p->head_size;
    const size_t padded = (length + PANEL - 1) / PANEL * PANEL, wide = (size + PANEL - 1) / PANEL * PANEL;
    float *keys = p->scratch;
    float *values = keys + padded * size;
    float *scores = values + padded * wide;
    float *results = scores + ROWS * padded;
    float inverse[ROWS];
    for (size_t head = 0; head < p->heads; head++) {
        const float *query = p->qkv + head * size, *key = query + p->width, *value = key + p->width;
        /* The keys as a packed matrix: panels of PANEL texts' tokens. */
        for (size_t panel = 0; panel < padded; panel += PANEL) {
            const size_t count = length - panel < PANEL ? length - panel : PANEL;
            float *out = keys + panel * size;
            for (size_t i = 0; i < size; i++) {
                size_t j = 0;
                for (; j < count; j++) out[i * PANEL + j] = key[(panel + j) * p->ldqkv + i];
                for (; j < PANEL; j++) out[i * PANEL + j] = 0;
            }
        }
        /* The values lie as a panel needs them where a head is as wide as panels. */
        const float *columns = value;
        size_t step = p->ldqkv;
        if (wide != size) {
            for (size_t j = 0; j < length; j++) {
                size_t i = 0;
                for (; i < size; i++) values[j * wide + i] = value[j * p->ldqkv + i];
                for (; i < wide; i++) values[j * wide + i] = 0;
            }
            columns = values;
            step = wide;
        }
        for (size_t row = 0, rows; row < length; row += rows) {
            rows = tile_rows(row, length);
            tile t = {.a = (const uint32_t *)(query + row * p->ldqkv), .lda = p->ldqkv, .step = PANEL * 4, .groups = size, .ldc = padded};
            for (size_t panel = 0; panel < padded; panel += PANEL) {
                t.b = (const char *)(keys + panel * size);
                t.c = scores + panel;
                tiles_f32[rows](&t);
            }
            soften(scores, padded, length, rows, inverse);
            float *out = p->out + row * p->ldout + head * size;
            tile u = {.a = (const uint32_t *)scores, .lda = padded, .step = step * 4, .groups = length, .a_scale = inverse};
            u.ldc = wide == size ? p->ldout : wide;
            for (size_t column = 0; column < wide; column += PANEL) {
                u.b = (const char *)(columns + column);
                u.c = (wide == size ? out : results) + column;
                tiles_f32[rows](&u);
            }
            if (wide != size) {
                for (size_t i = 0; i < rows; i++) {
                    for (size_t j = 0; j < size; j++) out[i * p->ldout + j] = results[i * wide + j];
                }
            }
        }
    }
}

/* --- Rows --- */

TARGET void FN(encoder_normalize_f32)(float *rows, size_t ld, size_t count, size_t width, const float *weight, const float *bias,
                                      float epsilon) {
    const size_t padded = (width + LANES - 1) / LANES * LANES;
    for (size_t r = 0; r < count; r++) {
        float *row = rows + r * ld;
        V sum = v_set(0);
        for (size_t i = 0; i < padded; i += LANES) sum = v_add(sum, v_load(row + i));
        const float mean = v_total(sum) / (float)width;
        V m = v_set(mean), squares = v_set(0);
        for (size_t i = 0; i < padded; i += LANES) {
            V d = v_sub(v_load(row + i), m);
            squares = v_fma(d, d, squares);
        }
        /* Each padding element has added the square of the mean. */
        float variance = (v_total(squares) - (float)(padded - width) * mean * mean) / (float)width;
        if (variance < 0) variance = 0;
        V scale = v_set(1 / __builtin_sqrtf(variance + epsilon));
        for (size_t i = 0; i < padded; i += LANES) {
            V d = v_mul(v_sub(v_load(row + i), m), scale);
            v_store(row + i, v_fma(d, v_load(weight + i), v_load(bias + i)));
        }
    }
}

TARGET void FN(encoder_quantize_i16)(const float *rows, size_t ld, size_t count, size_t width, float limit, int16_t *out,
                                     size_t ldout, float *scale) {
    const size_t padded = (width + LANES - 1) / LANES * LANES;
    for (size_t r = 0; r < count; r++) {
        const float *row = rows + r * ld;
        V high = v_set(0), low = v_set(0);
        for (size_t i = 0; i < padded; i += LANES) {
            V value = v_load(row + i);
            high = v_max(high, value);
            low = v_max(low, v_sub(v_set(0), value));
        }
        const float max = v_greatest(v_max(high, low));
        const int tiny = !(max > 1e-30f);
        scale[r] = tiny ? 0 : max / limit;
        V inverse = v_set(tiny ? 0 : limit / max), bound = v_set(limit), bound2 = v_set(-limit);
        int16_t *target = out + r * ldout * 2;
        for (size_t i = 0; i < padded; i += LANES) {
            V value = v_round(v_mul(v_load(row + i), inverse));
            store_i16(target + i, v_max(v_min(value, bound), bound2));
        }
    }
}

TARGET void FN(encoder_quantize_i8)(const float *rows, size_t ld, size_t count, size_t width, uint8_t *out, size_t ldout, float *scale,
                                    float *zero) {
    const size_t padded = (width + LANES - 1) / LANES * LANES;
    for (size_t r = 0; r < count; r++) {
        const float *row = rows + r * ld;
        V high = v_set(0), low = v_set(0);
        for (size_t i = 0; i < padded; i += LANES) {
            V value = v_load(row + i);
            high = v_max(high, value);
            low = v_max(low, v_sub(v_set(0), value));
        }
        const float least = -v_greatest(low), span = v_greatest(high) - least;
        const int tiny = !(span > 1e-30f);
        const float start = tiny ? 0 : __builtin_rintf(-least * (255 / span));
        scale[r] = tiny ? 0 : span / 255;
        zero[r] = start + I8_LOW;
        V inverse = v_set(tiny ? 0 : 255 / span), offset = v_set(start + I8_LOW);
        V bottom = v_set(I8_LOW), top = v_set(I8_LOW + 255);
        uint8_t *target = out + r * ldout * 4;
        for (size_t i = 0; i < padded; i += LANES) {
            V value = v_round(v_fma(v_load(row + i), inverse, offset));
            store_u8(target + i, v_max(v_min(value, top), bottom));
        }
    }
}
