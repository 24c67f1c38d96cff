#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>

#include "models/loss.h"

#define ROWS 9u

static const float logits[ROWS] = {-40, -3, -1, -0.25f, 0, 0.5f, 2, 6, 40};
static const uint8_t labels[ROWS] = {0, 1, 0, 1, 1, 0, 1, 0, 1};
static const float weights[ROWS] = {1, 2, 0.5f, 1, 0, 3, 1, 1, 1};

/* From the papers' formulas, in the C library's doubles. */
static double by_definition(const struct loss *loss, const double *x)
{
    double sum = 0;
    double pairs = 0;
    double pair_weight = 0;
    double weight = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        double p = 1 / (1 + exp(-(labels[i] ? x[i] : -x[i])));
        double w = (double)weights[i];
        weight += w;
        if (loss->kind == LOSS_SQUARED) {
            sum += w * (1 - p) * (1 - p);
        } else if (loss->kind == LOSS_FOCAL) {
            sum += -w * pow(1 - p, loss->gamma) * log(p);
        } else {
            sum += -w * log(p);
        }
        for (uint32_t j = 0; j < ROWS; j++) {
            if (labels[i] && !labels[j]) {
                double pair = w * (double)weights[j];
                pairs += pair * log1p(exp(x[j] - x[i]));
                pair_weight += pair;
            }
        }
    }
    return loss->kind == LOSS_PAIRWISE ? pairs / pair_weight * weight : sum;
}

static const struct loss losses[] = {{LOSS_CROSS_ENTROPY, 0},
                                     {LOSS_FOCAL, 2},
                                     {LOSS_FOCAL, 0.5},
                                     {LOSS_SQUARED, 0},
                                     {LOSS_PAIRWISE, 0}};

static void losses_and_pulls_are_those_of_the_formulas(void **state)
{
    (void)state;
    for (size_t l = 0; l < sizeof(losses) / sizeof(losses[0]); l++) {
        float pulls[ROWS];
        double x[ROWS];
        for (uint32_t i = 0; i < ROWS; i++) {
            x[i] = (double)logits[i];
        }
        double made = loss_sum(&losses[l], logits, labels, weights, ROWS, pulls);
        double expected = by_definition(&losses[l], x);
        assert_true(fabs(made - expected) < 1e-6 * (1 + fabs(expected)));
        for (uint32_t i = 0; i < ROWS; i++) {
            double kept = x[i];
            x[i] = kept + 1e-5;
            double above = by_definition(&losses[l], x);
            x[i] = kept - 1e-5;
            double below = by_definition(&losses[l], x);
            x[i] = kept;
            assert_true(fabs((double)pulls[i] - (above - below) / 2e-5) < 1e-5);
        }
    }
}

static void far_logits_give_finite_losses(void **state)
{
    (void)state;
    static const float far[2] = {-3e4f, 3e4f};
    static const uint8_t wrong[2] = {1, 0};
    static const float ones[2] = {1, 1};
    for (size_t l = 0; l < sizeof(losses) / sizeof(losses[0]); l++) {
        float pulls[2];
        assert_true(isfinite(loss_sum(&losses[l], far, wrong, ones, 2, pulls)));
        assert_true(isfinite(pulls[0]) && isfinite(pulls[1]));
    }
}

static void one_class_alone_has_no_pairs(void **state)
{
    (void)state;
    static const uint8_t same[ROWS] = {0};
    float pulls[ROWS];
    assert_true(loss_sum(&losses[4], logits, same, weights, ROWS, pulls) == 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_true(pulls[i] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_pulls_are_those_of_the_formulas),
        cmocka_unit_test(far_logits_give_finite_losses),
        cmocka_unit_test(one_class_alone_has_no_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
