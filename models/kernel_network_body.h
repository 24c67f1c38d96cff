/*
 * The kernels in terms of 16 lanes; included by kernel_network_*.c, which define what a lane vector
 * is: VECTOR, INLINE, KERNEL, lanes_load, lanes_store, lanes_all, lanes_add, lanes_subtract,
 * lanes_multiply, lanes_divide, lanes_least, lanes_most and lanes_fused (a * b + c), and which
 * tiles of rows and blocks fit their registers: FULL_TILE_ROWS, FULL_TILE_BLOCKS and the like.
 */
#include <math.h>

/* ---- Products ---- */

/* rows and blocks are constants where this is inlined, so that the sums stay in registers. */
INLINE void product_tile(const struct network_product *p, uint32_t row, uint32_t block,
                         const uint32_t rows, const uint32_t blocks)
{
    VECTOR sums[TILE_ROWS_MAX * TILE_BLOCKS_MAX];
    const float *a = p->a + row * p->a_row;
    const size_t a_row = p->a_row;
    const size_t a_step = p->a_step;
    const size_t panel = (size_t)p->steps * NETWORK_LANES;
    const float *b = p->b + block * panel;
    float *c = p->c + row * p->c_row + (size_t)block * NETWORK_LANES;
    NETWORK_UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        NETWORK_UNROLL
        for (uint32_t j = 0; j < blocks; j++) {
            const float *from = p->bias ? p->bias + (size_t)(block + j) * NETWORK_LANES
                                        : c + i * p->c_row + (size_t)j * NETWORK_LANES;
            sums[i * blocks + j] = lanes_load(from);
        }
    }
    for (uint32_t k = 0; k < p->steps; k++) {
        VECTOR weights[TILE_BLOCKS_MAX];
        NETWORK_UNROLL
        for (uint32_t j = 0; j < blocks; j++) {
            weights[j] = lanes_load(b + j * panel + (size_t)k * NETWORK_LANES);
        }
        NETWORK_UNROLL
        for (uint32_t i = 0; i < rows; i++) {
            VECTOR x = lanes_all(a[i * a_row + k * a_step]);
            NETWORK_UNROLL
            for (uint32_t j = 0; j < blocks; j++) {
                sums[i * blocks + j] = lanes_fused(x, weights[j], sums[i * blocks + j]);
            }
        }
    }
    NETWORK_UNROLL
    for (uint32_t i = 0; i < rows; i++) {
        NETWORK_UNROLL
        for (uint32_t j = 0; j < blocks; j++) {
            lanes_store(c + i * p->c_row + (size_t)j * NETWORK_LANES, sums[i * blocks + j]);
        }
    }
}

/* All columns of `rows` rows, `blocks` blocks at a time, then the rest. */
INLINE void product_rows(const struct network_product *p, uint32_t row, const uint32_t rows,
                         const uint32_t blocks)
{
    uint32_t block = 0;
    for (; block + blocks <= p->blocks; block += blocks) {
        product_tile(p, row, block, rows, blocks);
    }
    if (blocks > 2 && block + 2 <= p->blocks) {
        product_tile(p, row, block, rows, 2);
        block += 2;
    }
    for (; block < p->blocks; block++) {
        product_tile(p, row, block, rows, 1);
    }
}

KERNEL static void product(const struct network_product *p)
{
    uint32_t row = 0;
    for (; row + TILE_ROWS_MAX <= p->rows; row += TILE_ROWS_MAX) {
        product_rows(p, row, TILE_ROWS_MAX, TILE_BLOCKS);
    }
    for (; row + HALF_TILE_ROWS <= p->rows; row += HALF_TILE_ROWS) {
        product_rows(p, row, HALF_TILE_ROWS, HALF_TILE_BLOCKS);
    }
    for (; row < p->rows; row++) {
        product_rows(p, row, 1, TILE_BLOCKS_MAX);
    }
}

/* ---- Functions ---- */

INLINE VECTOR tanh_of(VECTOR x)
{
    x = lanes_most(lanes_least(x, lanes_all(7.90531110763549805f)),
                   lanes_all(-7.90531110763549805f));
    VECTOR square = lanes_multiply(x, x);
    VECTOR p = lanes_all(-2.76076847742355e-16f);
    p = lanes_fused(p, square, lanes_all(2.00018790482477e-13f));
    p = lanes_fused(p, square, lanes_all(-8.60467152213735e-11f));
    p = lanes_fused(p, square, lanes_all(5.12229709037114e-08f));
    p = lanes_fused(p, square, lanes_all(1.48572235717979e-05f));
    p = lanes_fused(p, square, lanes_all(6.37261928875436e-04f));
    p = lanes_fused(p, square, lanes_all(4.89352455891786e-03f));
    p = lanes_multiply(p, x);
    VECTOR q = lanes_all(1.19825839466702e-06f);
    q = lanes_fused(q, square, lanes_all(1.18534705686654e-04f));
    q = lanes_fused(q, square, lanes_all(2.26843463243900e-03f));
    q = lanes_fused(q, square, lanes_all(4.89352518554385e-03f));
    return lanes_divide(p, q);
}

INLINE VECTOR sigmoid_of(VECTOR x)
{
    VECTOR half = lanes_all(0.5f);
    return lanes_fused(tanh_of(lanes_multiply(x, half)), half, half);
}

INLINE VECTOR erf_of(VECTOR x)
{
    x = lanes_most(lanes_least(x, lanes_all(4.0f)), lanes_all(-4.0f));
    VECTOR square = lanes_multiply(x, x);
    VECTOR p = lanes_all(-2.72614225801306e-10f);
    p = lanes_fused(p, square, lanes_all(2.77068142495902e-08f));
    p = lanes_fused(p, square, lanes_all(-2.10102402082508e-06f));
    p = lanes_fused(p, square, lanes_all(-5.69250639462346e-05f));
    p = lanes_fused(p, square, lanes_all(-7.34990630326855e-04f));
    p = lanes_fused(p, square, lanes_all(-2.95459980854025e-03f));
    p = lanes_fused(p, square, lanes_all(-1.60960333262415e-02f));
    p = lanes_multiply(p, x);
    VECTOR q = lanes_all(-1.45660718464996e-05f);
    q = lanes_fused(q, square, lanes_all(-2.13374055278905e-04f));
    q = lanes_fused(q, square, lanes_all(-1.68282697438203e-03f));
    q = lanes_fused(q, square, lanes_all(-7.37332916720468e-03f));
    q = lanes_fused(q, square, lanes_all(-1.42647390514189e-02f));
    return lanes_divide(p, q);
}

INLINE VECTOR gelu_of(VECTOR x)
{
    VECTOR half = lanes_multiply(x, lanes_all(0.5f));
    VECTOR e = erf_of(lanes_multiply(x, lanes_all(0.70710678118654752f)));
    return lanes_fused(half, e, half);
}

#define EACH_LANES(RESULT)                                                                         \
    for (size_t i = 0; i < count; i += NETWORK_LANES) {                                            \
        VECTOR v = lanes_load(x + i);                                                              \
        lanes_store(x + i, RESULT);                                                                \
    }                                                                                              \
    return

KERNEL static void activate(enum activation activation, float *x, size_t count)
{
    switch (activation) {
    case ACTIVATION_RELU:
        EACH_LANES(lanes_most(v, lanes_all(0.0f)));
    case ACTIVATION_TANH:
        EACH_LANES(tanh_of(v));
    case ACTIVATION_SIGMOID:
        EACH_LANES(sigmoid_of(v));
    case ACTIVATION_GELU:
        EACH_LANES(gelu_of(v));
    default:
        return;
    }
}

/* ---- Cells ---- */

KERNEL static void gru(const float *gates, float *h, uint32_t padded)
{
    for (uint32_t i = 0; i < padded; i += NETWORK_LANES) {
        VECTOR r = sigmoid_of(lanes_load(gates + i));
        VECTOR z = sigmoid_of(lanes_load(gates + padded + i));
        VECTOR inner = lanes_load(gates + (size_t)3 * padded + i);
        VECTOR n = tanh_of(lanes_fused(r, inner, lanes_load(gates + (size_t)2 * padded + i)));
        lanes_store(h + i, lanes_fused(z, lanes_subtract(lanes_load(h + i), n), n));
    }
}

KERNEL static void lstm(const float *gates, float *h, float *c, uint32_t padded)
{
    for (uint32_t j = 0; j < padded; j += NETWORK_LANES) {
        VECTOR i = sigmoid_of(lanes_load(gates + j));
        VECTOR f = sigmoid_of(lanes_load(gates + padded + j));
        VECTOR g = tanh_of(lanes_load(gates + (size_t)2 * padded + j));
        VECTOR o = sigmoid_of(lanes_load(gates + (size_t)3 * padded + j));
        VECTOR cell = lanes_fused(f, lanes_load(c + j), lanes_multiply(i, g));
        lanes_store(c + j, cell);
        lanes_store(h + j, lanes_multiply(o, tanh_of(cell)));
    }
}

/* ---- Layer norm ---- */

INLINE float lanes_sum(VECTOR v)
{
    _Alignas(64) float lane[NETWORK_LANES];
    lanes_store(lane, v);
    for (uint32_t half = NETWORK_LANES / 2; half > 0; half /= 2) {
        for (uint32_t i = 0; i < half; i++) {
            lane[i] += lane[i + half];
        }
    }
    return lane[0];
}

/* The last lanes, those beyond `count` as `otherwise`. */
INLINE VECTOR lanes_load_some(const float *x, uint32_t count, float otherwise)
{
    _Alignas(64) float lane[NETWORK_LANES];
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        lane[i] = i < count ? x[i] : otherwise;
    }
    return lanes_load(lane);
}

KERNEL static void normalize(const float *weight, const float *bias, float epsilon, float *x,
                             uint32_t count)
{
    uint32_t whole = count & ~(NETWORK_LANES - 1);
    uint32_t rest = count - whole;
    VECTOR sum = lanes_load_some(x + whole, rest, 0.0f);
    for (uint32_t i = 0; i < whole; i += NETWORK_LANES) {
        sum = lanes_add(sum, lanes_load(x + i));
    }
    float mean = lanes_sum(sum) / (float)count;
    VECTOR middle = lanes_all(mean);
    VECTOR off = lanes_subtract(lanes_load_some(x + whole, rest, mean), middle);
    VECTOR squares = lanes_multiply(off, off);
    for (uint32_t i = 0; i < whole; i += NETWORK_LANES) {
        off = lanes_subtract(lanes_load(x + i), middle);
        squares = lanes_fused(off, off, squares);
    }
    float scale = 1.0f / sqrtf(lanes_sum(squares) / (float)count + epsilon);
    for (uint32_t i = 0; i < whole; i += NETWORK_LANES) {
        off = lanes_multiply(lanes_subtract(lanes_load(x + i), middle), lanes_all(scale));
        lanes_store(x + i, lanes_fused(off, lanes_load(weight + i), lanes_load(bias + i)));
    }
    for (uint32_t i = whole; i < count; i++) {
        x[i] = fmaf((x[i] - mean) * scale, weight[i], bias[i]);
    }
}

/* ---- Inputs ---- */

KERNEL static void standardise(const struct network_scaling *scaling, float *x)
{
    for (uint32_t i = 0; i < scaling->count; i += NETWORK_LANES) {
        VECTOR raw = lanes_load(x + i);
        VECTOR sign = lanes_and(raw, lanes_all(-0.0f));
        VECTOR size = lanes_add(lanes_all(1.0f), lanes_without(raw, lanes_all(-0.0f)));
        VECTOR octaves = lanes_or(lanes_multiply(lanes_steps(size), lanes_all(0x1p-23f)), sign);
        VECTOR mask = lanes_load(scaling->octaves + i);
        VECTOR t = lanes_or(lanes_and(octaves, mask), lanes_without(raw, mask));
        VECTOR z = lanes_multiply(lanes_subtract(t, lanes_load(scaling->mean + i)),
                                  lanes_load(scaling->inverse + i));
        VECTOR limit = lanes_load(scaling->limit + i);
        z = lanes_most(lanes_least(z, limit), lanes_subtract(lanes_all(0.0f), limit));
        lanes_store(x + i, lanes_or_missing(raw, z, lanes_load(scaling->fill + i)));
    }
}

#define NETWORK_KERNELS(NAME)                                                                      \
    {                                                                                              \
        .name = NAME, .product = product, .activate = activate, .gru = gru, .lstm = lstm,          \
        .normalize = normalize, .standardise = standardise                                         \
    }
