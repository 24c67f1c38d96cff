#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "models/network_tape.h"
#include "test/models/network_reference.h"

#define SEQUENCES 5u
#define STEPS 7u
#define ROWS_MAX (SEQUENCES * STEPS)
#define STRIDE 32u

static const uint32_t active_steps[STEPS] = {5, 5, 4, 2, 2, 1, 1};

struct scene {
    struct network_shape shape;
    float *parameters, *gradient;
    double *exact; /* The parameters. */
    float inputs[ROWS_MAX * STRIDE];
    uint32_t table_rows[ROWS_MAX * 2];
    float h[SEQUENCES * 64], c[SEQUENCES * 64];
    float pulls[ROWS_MAX];
    struct network_batch batch;
    struct network_tape *tape;
};

static void make(struct scene *scene, uint32_t which)
{
    struct random random = {which + 1};
    *scene = (struct scene){0};
    assert_int_equal(reference_shape(which, &scene->shape), STATUS_OK);
    size_t count = scene->shape.parameter_count;
    scene->parameters = calloc(count, sizeof(float));
    scene->gradient = calloc(count, sizeof(float));
    scene->exact = calloc(count, sizeof(double));
    assert_true(scene->parameters && scene->gradient && scene->exact);
    for (size_t i = 0; i < count; i++) {
        scene->parameters[i] = reference_number(&random, 0.6f);
        scene->exact[i] = (double)scene->parameters[i];
    }
    bool has_cell = scene->shape.cell != CELL_NONE;
    uint32_t tables = scene->shape.inputs[2].rows > 0 ? 2 : 0;
    scene->batch = (struct network_batch){.inputs = scene->inputs,
                                          .input_stride = STRIDE,
                                          .table_rows = scene->table_rows,
                                          .step_count = has_cell ? STEPS : 1,
                                          .active = active_steps,
                                          .h = scene->h,
                                          .c = scene->shape.cell == CELL_LSTM ? scene->c : NULL};
    for (uint32_t t = 0; t < scene->batch.step_count; t++) {
        scene->batch.row_count += active_steps[t];
    }
    for (uint32_t row = 0; row < scene->batch.row_count; row++) {
        for (uint32_t j = 0; j < scene->shape.numeric_count + scene->shape.indicator_count; j++) {
            scene->inputs[row * STRIDE + j] = reference_number(&random, 1.5f);
        }
        for (uint32_t j = 0; j < tables; j++) {
            scene->table_rows[row * tables + j] = random_below(&random, 5);
        }
        scene->pulls[row] = reference_number(&random, 1);
    }
    for (uint32_t i = 0; i < SEQUENCES * 64; i++) {
        scene->h[i] = reference_number(&random, 0.5f);
        scene->c[i] = reference_number(&random, 0.5f);
    }
    assert_int_equal(network_tape_create(&scene->shape, ROWS_MAX, &scene->tape, NULL), STATUS_OK);
}

static void release(struct scene *scene)
{
    network_tape_destroy(scene->tape);
    network_shape_release(&scene->shape);
    free(scene->parameters);
    free(scene->gradient);
    free(scene->exact);
}

/* Outputs of all rows; returns the sum of pulls times outputs. */
static double by_reference(const struct scene *scene, double *outputs)
{
    const struct network_batch *batch = &scene->batch;
    uint32_t hidden = scene->shape.hidden;
    uint32_t tables = scene->shape.inputs[2].rows > 0 ? 2 : 0;
    double h[SEQUENCES][64];
    double c[SEQUENCES][64];
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        for (uint32_t j = 0; j < hidden; j++) {
            h[i][j] = (double)scene->h[i * hidden + j];
            c[i][j] = (double)scene->c[i * hidden + j];
        }
    }
    uint32_t row = 0;
    double sum = 0;
    for (uint32_t t = 0; t < batch->step_count; t++) {
        for (uint32_t i = 0; i < batch->active[t]; i++, row++) {
            double output =
                reference_row(&scene->shape, scene->exact, scene->inputs + (size_t)row * STRIDE,
                              scene->table_rows + (size_t)row * tables, h[i], c[i]);
            sum += output * (double)scene->pulls[row];
            if (outputs) {
                outputs[row] = output;
            }
        }
    }
    return sum;
}

static void outputs_are_those_of_the_equations(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < REFERENCE_SHAPES; which++) {
        struct scene scene;
        make(&scene, which);
        float outputs[ROWS_MAX];
        double expected[ROWS_MAX];
        network_tape_forward(scene.tape, scene.parameters, &scene.batch, outputs);
        (void)by_reference(&scene, expected);
        for (uint32_t row = 0; row < scene.batch.row_count; row++) {
            assert_true(fabs((double)outputs[row] - expected[row]) < 1e-5);
        }
        release(&scene);
    }
}

static void gradients_are_those_of_finite_differences(void **state)
{
    (void)state;
    const double step = 1e-5;
    for (uint32_t which = 0; which < REFERENCE_SHAPES; which++) {
        struct scene scene;
        make(&scene, which);
        float outputs[ROWS_MAX];
        network_tape_forward(scene.tape, scene.parameters, &scene.batch, outputs);
        network_tape_backward(scene.tape, scene.parameters, &scene.batch, scene.pulls,
                              scene.gradient, NULL);
        for (size_t i = 0; i < scene.shape.parameter_count; i++) {
            double kept = scene.exact[i];
            scene.exact[i] = kept + step;
            double above = by_reference(&scene, NULL);
            scene.exact[i] = kept - step;
            double below = by_reference(&scene, NULL);
            scene.exact[i] = kept;
            double expected = (above - below) / (2 * step);
            double off = fabs((double)scene.gradient[i] - expected);
            if (off > 2e-4 * (1 + fabs(expected))) {
                fail_msg("network %u, parameter %zu: %g, by differences %g", which, i,
                         (double)scene.gradient[i], expected);
            }
        }
        release(&scene);
    }
}

static void gradients_by_input_are_those_of_finite_differences(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < REFERENCE_SHAPES; which++) {
        struct scene scene;
        make(&scene, which);
        float outputs[ROWS_MAX];
        float pulls[ROWS_MAX * STRIDE];
        uint32_t stride = network_padded(scene.shape.input_count);
        network_tape_forward(scene.tape, scene.parameters, &scene.batch, outputs);
        network_tape_backward(scene.tape, scene.parameters, &scene.batch, scene.pulls,
                              scene.gradient, pulls);
        uint32_t plain = scene.shape.numeric_count + scene.shape.indicator_count;
        for (uint32_t i = 0; i < scene.batch.row_count * plain; i++) {
            float *input = &scene.inputs[i / plain * STRIDE + i % plain];
            float kept = *input;
            float high = kept + 0x1p-11f;
            float low = kept - 0x1p-11f;
            *input = high;
            double above = by_reference(&scene, NULL);
            *input = low;
            double below = by_reference(&scene, NULL);
            *input = kept;
            double expected = (above - below) / ((double)high - (double)low);
            assert_true(fabs((double)pulls[i / plain * stride + i % plain] - expected) <
                        2e-4 * (1 + fabs(expected)));
        }
        release(&scene);
    }
}

static void a_sequence_goes_on_from_the_state_that_was_left(void **state)
{
    (void)state;
    static const uint32_t all[STEPS] = {5, 5, 5, 5, 5, 5, 5};
    for (uint32_t which = 2; which < REFERENCE_SHAPES; which++) {
        struct scene scene;
        make(&scene, which);
        struct network_batch whole = scene.batch;
        float expected[ROWS_MAX];
        float outputs[ROWS_MAX];
        float h[SEQUENCES * 64];
        float c[SEQUENCES * 64];
        whole.active = all;
        whole.row_count = ROWS_MAX;
        network_tape_forward(scene.tape, scene.parameters, &whole, expected);
        struct network_batch part = whole;
        part.step_count = 3;
        part.row_count = 15;
        network_tape_forward(scene.tape, scene.parameters, &part, outputs);
        network_tape_state(scene.tape, &part, h, whole.c ? c : NULL);
        part = whole;
        part.step_count = 4;
        part.row_count = 20;
        part.inputs += (size_t)15 * STRIDE;
        part.table_rows += 15 * 2;
        part.h = h;
        part.c = whole.c ? c : NULL;
        network_tape_forward(scene.tape, scene.parameters, &part, outputs + 15);
        assert_memory_equal(outputs, expected, sizeof(outputs));
        release(&scene);
    }
}

static void dropout_leaves_out_its_share_and_keeps_the_mean(void **state)
{
    (void)state;
    struct scene scene;
    make(&scene, 1);
    scene.shape.layer_count = 2;
    scene.shape.layers[0] = (struct network_layer){.size = 400, .dropout = 0.25f};
    scene.shape.layers[1] = (struct network_layer){.size = 1};
    assert_int_equal(network_shape_finish(&scene.shape, NULL), STATUS_OK);
    network_tape_destroy(scene.tape);
    assert_int_equal(network_tape_create(&scene.shape, ROWS_MAX, &scene.tape, NULL), STATUS_OK);
    float *p = calloc(scene.shape.parameter_count, sizeof(*p));
    assert_non_null(p);
    for (uint32_t i = 0; i < 400; i++) {
        p[scene.shape.layers[0].bias + i] = 1;
        p[scene.shape.layers[1].weight + i] = 1.0f / 400;
    }
    float outputs[ROWS_MAX];
    float again[ROWS_MAX];
    double sum = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        scene.batch.dropout_seed = seed;
        network_tape_forward(scene.tape, p, &scene.batch, outputs);
        network_tape_forward(scene.tape, p, &scene.batch, again);
        assert_memory_equal(outputs, again, scene.batch.row_count * sizeof(float));
        for (uint32_t row = 0; row < scene.batch.row_count; row++) {
            assert_true(outputs[row] < 1.15f && outputs[row] > 0.85f && outputs[row] != 1.0f);
            sum += (double)outputs[row];
        }
    }
    assert_true(fabs(sum / 20 / scene.batch.row_count - 1) < 0.01);
    scene.batch.dropout_seed = 0;
    network_tape_forward(scene.tape, p, &scene.batch, outputs);
    assert_true(fabs((double)outputs[0] - 1) < 1e-5);
    free(p);
    release(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_those_of_the_equations),
        cmocka_unit_test(gradients_are_those_of_finite_differences),
        cmocka_unit_test(gradients_by_input_are_those_of_finite_differences),
        cmocka_unit_test(a_sequence_goes_on_from_the_state_that_was_left),
        cmocka_unit_test(dropout_leaves_out_its_share_and_keeps_the_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
