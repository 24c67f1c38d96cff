#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "models/model_backend.h"
#include "test/models/model_packs.h"

#define ROWS 200u
#define COLUMNS 140u
#define STRIDE 144u

struct scene {
    struct made_pack made;
    float rows[ROWS * STRIDE];
    struct model *models[4];
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    make_rows(scene->rows, (size_t)ROWS * STRIDE, 3);
    *state = scene;
    return scene ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static struct model *load(const struct model_backend_ops *backend, const struct made_pack *made)
{
    struct model *model = NULL;
    struct error error;
    assert_int_equal(model_load(backend, &made->pack, made->columns, COLUMNS, &model, &error),
                     STATUS_OK);
    return model;
}

static void score(struct model *model, const float *rows, const uint32_t *chosen, uint32_t count,
                  float *logits)
{
    struct error error;
    assert_int_equal(model_score(model, rows, STRIDE, chosen, count, logits, &error), STATUS_OK);
}

static void result_of_a_row_does_not_depend_on_its_batch(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; model_backends[i]; i++) {
        const struct model_backend_ops *backend = model_backends[i];
        make_pack(&scene->made, 131, 1, i, 9);
        struct model *model = load(backend, &scene->made);
        float alone[ROWS];
        for (uint32_t row = 0; row < ROWS; row++) {
            score(model, scene->rows, &row, 1, &alone[row]);
        }
        uint64_t seed = 5;
        for (uint32_t count = 1; count <= ROWS; count++) {
            uint32_t chosen[ROWS];
            float logits[ROWS];
            for (uint32_t k = 0; k < count; k++) {
                chosen[k] = (uint32_t)(made_unit(&seed) * ROWS);
            }
            score(model, scene->rows, chosen, count, logits);
            for (uint32_t k = 0; k < count; k++) {
                if (memcmp(&logits[k], &alone[chosen[k]], sizeof(float)) != 0) {
                    fail_msg("%s: row %u in a batch of %u: %a, alone %a", backend->name, chosen[k],
                             count, (double)logits[k], (double)alone[chosen[k]]);
                }
            }
        }
        model_unload(model);
    }
}

/* The definition in model_pack.h, in double precision. */
static double plain_logit(const struct made_pack *made, const float *row)
{
    const struct model_pack *pack = &made->pack;
    double sum = (double)made->body.bias;
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        const struct pack_feature *feature = &pack->features[i];
        double x = (double)row[made->columns[i]];
        if (isnan(x)) {
            sum += (double)made->missing[i];
            continue;
        }
        if (feature->transform == TRANSFORM_LOG1P) {
            x = copysign(log1p(fabs(x)), x);
        } else if (feature->transform == TRANSFORM_OCTAVES && isfinite(x)) {
            double magnitude = (double)(1.0f + fabsf((float)x));
            double power = floor(log2(magnitude));
            x = copysign(power + magnitude / exp2(power) - 1, x);
        }
        double z = (x - (double)feature->mean) / (double)feature->scale;
        z = fmax(-(double)feature->limit, fmin((double)feature->limit, z));
        sum += (double)made->weights[i] * z;
    }
    return (double)pack->calibration.slope * sum + (double)pack->calibration.offset;
}

static void backends_agree_with_the_definition(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; model_backends[i]; i++) {
        for (uint32_t features = 1; features <= 131; features += 13) {
            make_pack(&scene->made, features, features < 60 ? 2 : 1, features % 2, features);
            struct model *model = load(model_backends[i], &scene->made);
            float logits[ROWS];
            score(model, scene->rows, NULL, ROWS, logits);
            for (uint32_t row = 0; row < ROWS; row++) {
                double expected = plain_logit(&scene->made, scene->rows + (size_t)row * STRIDE);
                if (!(fabs((double)logits[row] - expected) < 2e-4)) {
                    fail_msg("%s, %u features, row %u: %g, %g expected", model_backends[i]->name,
                             features, row, (double)logits[row], expected);
                }
            }
            model_unload(model);
        }
    }
}

/* Lane by lane in the written order, with nothing but float additions and multiplications. */
static float lane_logit(const struct made_pack *made, const float *row)
{
    float sums[16] = {0};
    for (uint32_t i = 0; i < made->pack.feature_count; i++) {
        sums[made->columns[i] % 16] += pack_logistic_term(&made->pack, i, row[made->columns[i]]);
    }
    for (int half = 8; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
            sums[lane] += sums[lane + half];
        }
    }
    return pack_calibrate(&made->pack.calibration, sums[0] + made->body.bias);
}

static void lanes_have_the_bits_of_a_plain_loop(void **state)
{
    struct scene *scene = *state;
    for (int has_log = 0; has_log < 2; has_log++) {
        make_pack(&scene->made, 131, 1, has_log, 77);
        struct model *model = load(&backend_lanes, &scene->made);
        float logits[ROWS];
        score(model, scene->rows, NULL, ROWS, logits);
        for (uint32_t row = 0; row < ROWS; row++) {
            float expected = lane_logit(&scene->made, scene->rows + (size_t)row * STRIDE);
            assert_memory_equal(&logits[row], &expected, sizeof(expected));
        }
        model_unload(model);
    }
}

static void rows_narrower_than_a_block_are_not_read_beyond(void **state)
{
    struct scene *scene = *state;
    make_pack(&scene->made, 3, 1, 0, 4);
    struct model *model = load(&backend_lanes, &scene->made);
    float *narrow = malloc(2 * 3 * sizeof(float)); /* The sanitizer stands behind it. */
    assert_non_null(narrow);
    memcpy(narrow, scene->rows, 3 * sizeof(float));
    memcpy(narrow + 3, scene->rows + STRIDE, 3 * sizeof(float));
    struct model *exact = NULL;
    struct error error;
    assert_int_equal(
        model_load(&backend_lanes, &scene->made.pack, scene->made.columns, 3, &exact, &error),
        STATUS_OK);
    float a[2];
    float b[2];
    assert_int_equal(model_score(exact, narrow, 3, NULL, 2, a, &error), STATUS_OK);
    score(model, scene->rows, NULL, 2, b);
    assert_memory_equal(a, b, sizeof(a));
    model_unload(model);
    model_unload(exact);
    free(narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(result_of_a_row_does_not_depend_on_its_batch, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(backends_agree_with_the_definition, setup, teardown),
        cmocka_unit_test_setup_teardown(lanes_have_the_bits_of_a_plain_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_narrower_than_a_block_are_not_read_beyond, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
