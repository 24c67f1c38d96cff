#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/kernel_network.h"
#include "models/model_pack.h"
#include "test/fakes/random.h"

#define ROWS 37u
#define STEPS 71u
#define BLOCKS 11u
#define COLUMNS (BLOCKS * NETWORK_LANES)

struct product_scene {
    float a[ROWS * STEPS], b[BLOCKS * STEPS * NETWORK_LANES], bias[COLUMNS], c[ROWS * COLUMNS];
};

#define assert_near(value, expected, tolerance)                                                    \
    assert_true(fabs((double)(value) - (double)(expected)) <= (tolerance))

static float number(struct random *random, float size)
{
    return ((float)(random_next(random) >> 40) * 0x1p-23f - 1.0f) * size;
}

static void fill(struct random *random, float *x, size_t count, float size)
{
    for (size_t i = 0; i < count; i++) {
        x[i] = number(random, size);
    }
}

static int setup(void **state)
{
    struct product_scene *scene = calloc(1, sizeof(*scene));
    struct random random = {7};
    if (scene) {
        fill(&random, scene->a, ROWS * STEPS, 2);
        fill(&random, scene->b, BLOCKS * STEPS * NETWORK_LANES, 1);
        fill(&random, scene->bias, COLUMNS, 1);
    }
    *state = scene;
    return scene ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static struct network_product whole(struct product_scene *scene)
{
    return (struct network_product){.a = scene->a,
                                    .a_row = STEPS,
                                    .a_step = 1,
                                    .b = scene->b,
                                    .bias = scene->bias,
                                    .c = scene->c,
                                    .c_row = COLUMNS,
                                    .rows = ROWS,
                                    .steps = STEPS,
                                    .blocks = BLOCKS};
}

static void products_are_right(void **state)
{
    struct product_scene *scene = *state;
    struct network_product p = whole(scene);
    for (uint32_t k = 0; network_kernels_at(k); k++) {
        memset(scene->c, 0xFF, sizeof(scene->c));
        network_kernels_at(k)->product(&p);
        for (uint32_t row = 0; row < ROWS; row++) {
            for (uint32_t j = 0; j < COLUMNS; j++) {
                double sum = (double)scene->bias[j];
                for (uint32_t i = 0; i < STEPS; i++) {
                    sum += (double)scene->a[row * STEPS + i] *
                           (double)scene->b[(j / 16 * STEPS + i) * 16 + j % 16];
                }
                assert_near(scene->c[row * COLUMNS + j], sum, 2e-5);
            }
        }
    }
}

/* The definition, one fmaf after the other. */
static float defined(const struct product_scene *scene, uint32_t row, uint32_t j)
{
    float sum = scene->bias[j];
    for (uint32_t i = 0; i < STEPS; i++) {
        sum = fmaf(scene->a[row * STEPS + i], scene->b[(j / 16 * STEPS + i) * 16 + j % 16], sum);
    }
    return sum;
}

static void products_have_the_same_bits_for_any_rows_columns_and_kernels(void **state)
{
    struct product_scene *scene = *state;
    for (uint32_t k = 0; network_kernels_at(k); k++) {
        for (uint32_t rows = 1; rows <= ROWS; rows++) {
            struct network_product p = whole(scene);
            p.rows = rows;
            p.blocks = 1 + rows % BLOCKS;
            memset(scene->c, 0, sizeof(scene->c));
            network_kernels_at(k)->product(&p);
            for (uint32_t row = 0; row < ROWS; row++) {
                for (uint32_t j = 0; j < COLUMNS; j++) {
                    bool is_made = row < rows && j < p.blocks * 16;
                    float expected = is_made ? defined(scene, row, j) : 0.0f;
                    assert_memory_equal(&scene->c[row * COLUMNS + j], &expected, sizeof(expected));
                }
            }
        }
    }
}

static void a_product_goes_on_where_another_ended(void **state)
{
    struct product_scene *scene = *state;
    float *expected = malloc(sizeof(scene->c));
    struct network_product p = whole(scene);
    assert_non_null(expected);
    network_kernels_choose()->product(&p);
    memcpy(expected, scene->c, sizeof(scene->c));
    /* One block, whose steps are cut in two. */
    p.blocks = 1;
    p.steps = 30;
    network_kernels_choose()->product(&p);
    p.a += 30;
    p.b += (size_t)30 * NETWORK_LANES;
    p.bias = NULL;
    p.steps = STEPS - 30;
    network_kernels_choose()->product(&p);
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_memory_equal(scene->c + (size_t)row * COLUMNS, expected + (size_t)row * COLUMNS, 64);
    }
    free(expected);
}

static void reads_a_transposed_matrix_by_its_steps(void **state)
{
    struct product_scene *scene = *state;
    float turned[ROWS * STEPS];
    float expected[ROWS];
    struct network_product p = whole(scene);
    network_kernels_choose()->product(&p);
    for (uint32_t row = 0; row < ROWS; row++) {
        expected[row] = scene->c[row * COLUMNS + 5];
        for (uint32_t i = 0; i < STEPS; i++) {
            turned[i * ROWS + row] = scene->a[row * STEPS + i];
        }
    }
    p.a = turned;
    p.a_row = 1;
    p.a_step = ROWS;
    memset(scene->c, 0, sizeof(scene->c));
    network_kernels_choose()->product(&p);
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_memory_equal(&scene->c[row * COLUMNS + 5], &expected[row], sizeof(float));
    }
}

#define VALUES 4096u

static double true_activation(enum activation activation, double x)
{
    switch (activation) {
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    case ACTIVATION_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    default:
        return x;
    }
}

static void activations_are_right_and_have_the_same_bits(void **state)
{
    (void)state;
    static float x[VALUES], made[VALUES], first[VALUES];
    for (uint32_t i = 0; i < VALUES; i++) {
        x[i] = ((float)i - VALUES / 2) * 0.006f;
    }
    x[0] = -INFINITY;
    x[1] = INFINITY;
    x[2] = -1e30f;
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        for (uint32_t k = 0; network_kernels_at(k); k++) {
            memcpy(made, x, sizeof(x));
            network_kernels_at(k)->activate((enum activation)a, made, VALUES);
            if (k == 0) {
                memcpy(first, made, sizeof(made));
            }
            assert_memory_equal(made, first, sizeof(made));
        }
        for (uint32_t i = 3; i < VALUES; i++) {
            assert_near(first[i], true_activation((enum activation)a, (double)x[i]), 1e-6);
        }
        if (a == ACTIVATION_TANH || a == ACTIVATION_SIGMOID) {
            assert_near(first[0], a == ACTIVATION_TANH ? -1 : 0, 1e-6);
            assert_near(first[1], 1, 1e-6);
            assert_near(first[2], first[0], 1e-6);
        }
    }
}

#define CELLS 48u

static void cells_follow_their_equations(void **state)
{
    (void)state;
    struct random random = {3};
    float gates[4 * CELLS], start[CELLS], cell[CELLS];
    fill(&random, gates, 4 * CELLS, 4);
    fill(&random, start, CELLS, 1);
    fill(&random, cell, CELLS, 1);
    float first[3][CELLS] = {{0}};
    for (uint32_t k = 0; network_kernels_at(k); k++) {
        float h[CELLS], lstm_h[CELLS], lstm_c[CELLS];
        memcpy(h, start, sizeof(h));
        memcpy(lstm_h, start, sizeof(h));
        memcpy(lstm_c, cell, sizeof(h));
        network_kernels_at(k)->gru(gates, h, CELLS);
        network_kernels_at(k)->lstm(gates, lstm_h, lstm_c, CELLS);
        for (uint32_t i = 0; i < CELLS; i++) {
            double g[4];
            for (uint32_t j = 0; j < 4; j++) {
                g[j] = (double)gates[j * CELLS + i];
            }
            double r = true_activation(ACTIVATION_SIGMOID, g[0]);
            double z = true_activation(ACTIVATION_SIGMOID, g[1]);
            double n = tanh(g[2] + r * g[3]);
            assert_near(h[i], (1 - z) * n + z * (double)start[i], 3e-6);
            double c = z * (double)cell[i] + r * tanh(g[2]);
            assert_near(lstm_c[i], c, 3e-6);
            assert_near(lstm_h[i], true_activation(ACTIVATION_SIGMOID, g[3]) * tanh(c), 3e-6);
        }
        if (k == 0) {
            memcpy(first[0], h, sizeof(h));
            memcpy(first[1], lstm_h, sizeof(h));
            memcpy(first[2], lstm_c, sizeof(h));
        }
        assert_memory_equal(first[0], h, sizeof(h));
        assert_memory_equal(first[1], lstm_h, sizeof(h));
        assert_memory_equal(first[2], lstm_c, sizeof(h));
    }
}

static void layer_norm_has_the_stated_mean_and_variance(void **state)
{
    (void)state;
    struct random random = {5};
    float x[80], weight[80], bias[80], first[80];
    fill(&random, weight, 80, 2);
    fill(&random, bias, 80, 2);
    for (uint32_t count = 1; count <= 80; count++) {
        float start[80];
        fill(&random, start, 80, 3);
        for (uint32_t k = 0; network_kernels_at(k); k++) {
            memcpy(x, start, sizeof(x));
            network_kernels_at(k)->normalize(weight, bias, 1e-5f, x, count);
            if (k == 0) {
                memcpy(first, x, sizeof(x));
            }
            assert_memory_equal(x, first, sizeof(x));
        }
        double mean = 0;
        double squares = 0;
        for (uint32_t i = 0; i < count; i++) {
            mean += (double)start[i] / count;
        }
        for (uint32_t i = 0; i < count; i++) {
            squares += ((double)start[i] - mean) * ((double)start[i] - mean) / count;
        }
        for (uint32_t i = 0; i < 80; i++) {
            double expected = (double)start[i];
            if (i < count) {
                expected =
                    (expected - mean) / sqrt(squares + 1e-5) * (double)weight[i] + (double)bias[i];
            }
            assert_near(x[i], expected, 1e-5);
        }
    }
}

static void inputs_are_scaled_as_those_of_every_pack(void **state)
{
    (void)state;
    float raw[64], mean[64], inverse[64], limit[64], filler[64], octaves[64], x[64], first[64];
    struct random random = {11};
    struct pack_feature features[64];
    for (uint32_t i = 0; i < 64; i++) {
        features[i] = (struct pack_feature){
            .transform = i % 2 ? TRANSFORM_OCTAVES : TRANSFORM_NONE,
            .mean = number(&random, 2),
            .scale = 1.5f + number(&random, 1),
            .limit = 3,
        };
        mean[i] = features[i].mean;
        inverse[i] = 1.0f / features[i].scale;
        limit[i] = 3;
        filler[i] = number(&random, 1);
        octaves[i] = fixed_float_of_bits(i % 2 ? UINT32_MAX : 0);
        raw[i] = i % 7 == 0 ? NAN : number(&random, i % 3 ? 5 : 1e6f);
    }
    raw[1] = INFINITY;
    raw[2] = -INFINITY;
    const struct network_scaling scaling = {mean, inverse, limit, filler, octaves, 64};
    for (uint32_t k = 0; network_kernels_at(k); k++) {
        memcpy(x, raw, sizeof(x));
        network_kernels_at(k)->standardise(&scaling, x);
        if (k == 0) {
            memcpy(first, x, sizeof(x));
        }
        assert_memory_equal(x, first, sizeof(x));
        for (uint32_t i = 0; i < 64; i++) {
            float expected = isnan(raw[i]) ? filler[i] : pack_feature_scale(&features[i], raw[i]);
            assert_true(x[i] == expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(products_are_right, setup, teardown),
        cmocka_unit_test_setup_teardown(
            products_have_the_same_bits_for_any_rows_columns_and_kernels, setup, teardown),
        cmocka_unit_test_setup_teardown(a_product_goes_on_where_another_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_a_transposed_matrix_by_its_steps, setup, teardown),
        cmocka_unit_test(activations_are_right_and_have_the_same_bits),
        cmocka_unit_test(cells_follow_their_equations),
        cmocka_unit_test(layer_norm_has_the_stated_mean_and_variance),
        cmocka_unit_test(inputs_are_scaled_as_those_of_every_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
