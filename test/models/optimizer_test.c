#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>

#include "models/optimizer.h"

#define STEPS 6

/* One parameter, gradients by step; beside torch.optim's documented equations in doubles. */
static double by_definition(enum optimizer_kind kind, double x, const float *gradients)
{
    double first = 0;
    double second = 0;
    for (int t = 0; t < STEPS; t++) {
        double g = (double)gradients[t];
        if (kind == OPTIMIZER_SGD) {
            x -= 0.1 * g;
        } else if (kind == OPTIMIZER_MOMENTUM) {
            first = 0.9 * first + g;
            x -= 0.1 * first;
        } else if (kind == OPTIMIZER_RMSPROP) {
            second = 0.99 * second + 0.01 * g * g;
            x -= 0.1 * g / (sqrt(second) + 1e-8);
        } else {
            first = 0.9 * first + 0.1 * g;
            second = 0.99 * second + 0.01 * g * g;
            double a = first / (1 - pow(0.9, t + 1));
            double b = second / (1 - pow(0.99, t + 1));
            x -= 0.1 * a / (sqrt(b) + 1e-8);
        }
    }
    return x;
}

static void steps_follow_the_published_equations(void **state)
{
    (void)state;
    static const float gradients[STEPS] = {1, -0.5f, 3, 0, 0.01f, -2};
    for (int kind = 0; kind < OPTIMIZER_KIND_COUNT; kind++) {
        struct optimizer optimizer;
        float x[2] = {0.5f, 0.5f};
        assert_int_equal(optimizer_init(&optimizer, (enum optimizer_kind)kind, 0.9, 0.99, 2, NULL),
                         STATUS_OK);
        for (int t = 0; t < STEPS; t++) {
            const float g[2] = {gradients[t], 0};
            optimizer_step(&optimizer, 0.1, g, x);
        }
        double expected = by_definition((enum optimizer_kind)kind, 0.5, gradients);
        assert_true(fabs((double)x[0] - expected) < 1e-5);
        assert_true(x[1] == 0.5f);
        optimizer_release(&optimizer);
    }
}

static void schedules_fall_and_warm_up(void **state)
{
    (void)state;
    static const struct {
        enum schedule_kind kind;
        double warm_up, share, expected;
    } rows[] = {
        {SCHEDULE_CONSTANT, 0, 0, 1},     {SCHEDULE_CONSTANT, 0.1, 0.05, 0.5},
        {SCHEDULE_CONSTANT, 0.1, 0.5, 1}, {SCHEDULE_STEP, 0, 0.49, 1},
        {SCHEDULE_STEP, 0, 0.5, 0.1},     {SCHEDULE_STEP, 0, 0.75, 0.01},
        {SCHEDULE_COSINE, 0, 0, 1},       {SCHEDULE_COSINE, 0, 0.5, 0.5},
        {SCHEDULE_COSINE, 0, 1, 0},       {SCHEDULE_COSINE, 0.5, 0.25, 0.5 * 0.853553390593},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double made = schedule_factor(rows[i].kind, rows[i].warm_up, rows[i].share);
        assert_true(fabs(made - rows[i].expected) < 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_the_published_equations),
        cmocka_unit_test(schedules_fall_and_warm_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
