/* fixed_math against libm in long double, over wide ranges; and its bits, written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "pipeline/base/fixed_math.h"

#define STEPS 200000

typedef double function(double x);
typedef long double reference(long double x);
typedef float float_function(float x);

static long double sigmoid_reference(long double x)
{
    return x < 0 ? expl(x) / (1.0L + expl(x)) : 1.0L / (1.0L + expl(-x));
}

static long double logit_reference(long double p)
{
    return logl(p) - log1pl(-p);
}

/* A scrambled walk through [low, high]; `is_geometric`: evenly in the exponent. */
static double point(double low, double high, int is_geometric, uint32_t i)
{
    double share = (double)((uint64_t)i * 2654435761u % 4294967296u) / 4294967296.0;
    if (!is_geometric) {
        return low + (high - low) * share;
    }
    double sign = low < 0 ? -1 : 1;
    return sign * exp(log(sign * low) * (1 - share) + log(sign * high) * share);
}

struct range {
    const char *name;
    function *of;
    float_function *of_float;
    reference *expected;
    double low, high;
    int is_geometric;
    double error_max; /* Relative, but never below the same of `floor`. */
    double floor;     /* Where the result is near zero by cancellation in the argument. */
};

#define ULP 2.220446049250313e-16

static const struct range ranges[] = {
    {"exp", fixed_exp, NULL, expl, -708.3, 709.7, 0, 2 * ULP, 0},
    {"exp near 0", fixed_exp, NULL, expl, 1e-300, 1, 1, 2 * ULP, 0},
    {"log", fixed_log, NULL, logl, 1e-320, 1e308, 1, 2 * ULP, 0},
    {"log near 1", fixed_log, NULL, logl, 0.5, 2, 0, 2 * ULP, 0},
    {"log1p of small", fixed_log1p, NULL, log1pl, 1e-300, 1e10, 1, 2 * ULP, 0},
    {"log1p below 0", fixed_log1p, NULL, log1pl, -0.9999, 1, 0, 2 * ULP, 0},
    {"log1p just below 0", fixed_log1p, NULL, log1pl, -1e-300, -0.1, 1, 2 * ULP, 0},
    {"sigmoid", fixed_sigmoid, NULL, sigmoid_reference, -700, 40, 0, 3 * ULP, 0},
    {"logit", fixed_logit, NULL, logit_reference, 1e-300, 0.999, 1, 3 * ULP, 1e-3},
    {"logit near 1/2", fixed_logit, NULL, logit_reference, 0.25, 0.75, 0, 3 * ULP, 1e-3},
    {"sin", fixed_sin, NULL, sinl, -10, 10, 0, 2 * ULP, 0},
    {"sin of large", fixed_sin, NULL, sinl, 1, 1.6e6, 1, 2 * ULP, 0},
    {"sin of small", fixed_sin, NULL, sinl, 1e-300, 1, 1, 2 * ULP, 0},
    {"cos", fixed_cos, NULL, cosl, -10, 10, 0, 2 * ULP, 0},
    {"cos of large", fixed_cos, NULL, cosl, 1, 1.6e6, 1, 2 * ULP, 0},
    {"expf", NULL, fixed_expf, expl, -87.3, 88.7, 0, 2e-7, 0},
    {"expf near 0", NULL, fixed_expf, expl, -1, 1, 0, 2e-7, 0},
    {"logf", NULL, fixed_logf, logl, 1e-37, 3e38, 1, 2e-7, 0},
    {"logf of subnormal", NULL, fixed_logf, logl, 1e-44, 1e-38, 1, 2e-7, 0},
    {"logf near 1", NULL, fixed_logf, logl, 0.5, 2, 0, 2e-7, 0},
    {"sigmoidf", NULL, fixed_sigmoidf, sigmoid_reference, -87, 40, 0, 2e-7, 0},
    {"log1pf", NULL, fixed_log1pf, log1pl, 1e-30, 1e10, 1, 2e-7, 0},
    {"logitf", NULL, fixed_logitf, logit_reference, 1e-6, 0.999, 1, 2e-7, 0},
};

static double worst_error(const struct range *range, double *ret_at)
{
    double worst = 0;
    for (uint32_t i = 0; i < STEPS; i++) {
        double x = point(range->low, range->high, range->is_geometric, i);
        x = range->of_float ? (double)(float)x : x;
        double value = range->of_float ? (double)range->of_float((float)x) : range->of(x);
        long double expected = range->expected((long double)x);
        long double scale = fabsl(expected) > range->floor ? fabsl(expected) : range->floor;
        double error = (double)(fabsl((long double)value - expected) / scale);
        if (expected != 0 && !(error <= worst)) {
            worst = error;
            *ret_at = x;
        }
    }
    return worst;
}

static void stays_within_its_stated_error_of_libm(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        double at = 0;
        double worst = worst_error(&ranges[i], &at);
        print_message("%-20s worst %.3g at %.17g\n", ranges[i].name, worst, at);
        if (!(worst <= ranges[i].error_max)) {
            fail_msg("%s: error %.3g at %.17g, at most %.3g expected", ranges[i].name, worst, at,
                     ranges[i].error_max);
        }
    }
}

static void passes_special_values_as_stated(void **state)
{
    (void)state;
    assert_true(fixed_exp(1e9) == INFINITY && fixed_exp(-1e9) == 0.0 && fixed_exp(0.0) == 1.0);
    assert_true(fixed_exp(INFINITY) == INFINITY && fixed_exp(-INFINITY) == 0.0);
    assert_true(isnan(fixed_exp(NAN)) && isnan(fixed_log(NAN)) && isnan(fixed_log1p(NAN)));
    assert_true(fixed_log(0.0) == -INFINITY && isnan(fixed_log(-1.0)) && fixed_log(1.0) == 0.0);
    assert_true(fixed_log(INFINITY) == INFINITY && fixed_log1p(INFINITY) == INFINITY);
    assert_true(fixed_log1p(-1.0) == -INFINITY && isnan(fixed_log1p(-1.5)));
    assert_true(fixed_logit(0.0) == -INFINITY && fixed_logit(1.0) == INFINITY);
    assert_true(fixed_logit(0.5) == 0.0 && isnan(fixed_logit(1.5)) && isnan(fixed_logit(-0.5)));
    assert_true(fixed_sigmoid(0.0) == 0.5 && fixed_sigmoid(1e9) == 1.0);
    assert_true(fixed_sigmoid(-1e9) == 0.0 && isnan(fixed_sigmoid(NAN)));
    assert_true(fixed_sin(0.0) == 0.0 && fixed_cos(0.0) == 1.0);
    assert_true(isnan(fixed_sin(1e7)) && isnan(fixed_cos(INFINITY)) && isnan(fixed_sin(NAN)));

    assert_true(fixed_expf(1e9f) == INFINITY && fixed_expf(-1e9f) == 0.0f);
    assert_true(fixed_expf(INFINITY) == INFINITY && fixed_expf(-INFINITY) == 0.0f);
    assert_true(fixed_expf(0.0f) == 1.0f && isnan(fixed_expf(NAN)));
    assert_true(isfinite(fixed_expf(88.72f)) && fixed_expf(-87.33f) > 0.0f);
    assert_true(fixed_logf(0.0f) == -INFINITY && isnan(fixed_logf(-1.0f)));
    assert_true(fixed_logf(1.0f) == 0.0f && fixed_logf(INFINITY) == INFINITY);
    assert_true(isnan(fixed_logf(NAN)));
    assert_true(fixed_sigmoidf(0.0f) == 0.5f && fixed_sigmoidf(-1e9f) == 0.0f);
    assert_true(fixed_sigmoidf(1e9f) == 1.0f && isnan(fixed_sigmoidf(NAN)));
}

static uint64_t mix(uint64_t hash, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    hash = (hash ^ bits) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
}

/*
 * Every build (compiler, optimisation, machine) must give these bits. The arguments are made
 * without libm, whose pow may differ.
 */
static void gives_the_same_bits_in_every_build(void **state)
{
    (void)state;
    uint64_t doubles = 0, floats = 0;
    for (int i = -20000; i < 20000; i++) {
        double x = (double)i * 0.03125 + 0.0078125;
        double share = ((double)i + 20000.5) / 40000.0;
        doubles = mix(doubles, fixed_exp(x));
        doubles = mix(doubles, fixed_log(x * x));
        doubles = mix(doubles, fixed_log1p(share));
        doubles = mix(doubles, fixed_sigmoid(x));
        doubles = mix(doubles, fixed_logit(share));
        doubles = mix(doubles, fixed_sin(x));
        doubles = mix(doubles, fixed_cos(x));
        floats = mix(floats, (double)fixed_expf((float)(x * 0.125)));
        floats = mix(floats, (double)fixed_logf((float)(x * x)));
        floats = mix(floats, (double)fixed_sigmoidf((float)(x * 0.125)));
    }
    assert_int_equal(doubles, 0x22e8862d640b1a0au);
    assert_int_equal(floats, 0xe6dd5a1dcb305d11u);
}

static void gives_the_same_bits_in_a_vector_loop(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static float in[COUNT], out[COUNT];
    for (int i = 0; i < COUNT; i++) {
        in[i] = (float)i * 0.05f - 102.4f;
    }
    for (int i = 0; i < COUNT; i++) {
        out[i] = fixed_expf(in[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        volatile float x = in[i]; /* Keeps this loop scalar. */
        assert_int_equal(fixed_bits_of_float(out[i]), fixed_bits_of_float(fixed_expf(x)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_within_its_stated_error_of_libm),
        cmocka_unit_test(passes_special_values_as_stated),
        cmocka_unit_test(gives_the_same_bits_in_every_build),
        cmocka_unit_test(gives_the_same_bits_in_a_vector_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
