#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "models/fit_rows.h"
#include "models/time_split.h"

#define ROWS 6u

struct made {
    struct row_table table;
    struct table_row rows[ROWS];
    double weights[ROWS];
    uint8_t parts[ROWS];
};

/* Fitted: a positive of weight 2, two negatives of 3 and 5; the others are not. */
static void make(struct made *made)
{
    static const uint8_t labels[ROWS] = {1, 0, 0, 1, 0, 1};
    static const double weights[ROWS] = {2, 3, 5, 100, 100, 100};
    static const uint8_t parts[ROWS] = {SPLIT_FIT,  SPLIT_FIT,  SPLIT_FIT,
                                        SPLIT_HELD, SPLIT_HELD, SPLIT_LEFT_OUT};
    *made = (struct made){.table = {.count = ROWS}};
    for (uint32_t i = 0; i < ROWS; i++) {
        made->rows[i].label = labels[i];
    }
    memcpy(made->weights, weights, sizeof(weights));
    memcpy(made->parts, parts, sizeof(parts));
    made->table.rows = made->rows;
    made->table.weights = made->weights;
}

static void counts_only_the_rows_to_be_fitted(void **state)
{
    (void)state;
    struct made made;
    struct fit_rows rows;
    make(&made);
    assert_int_equal(fit_rows_count(&made.table, made.parts, 3, &rows, NULL), STATUS_OK);
    assert_int_equal(rows.count, 3);
    assert_true(rows.weights[0] == 8.0 && rows.weights[1] == 2.0);
}

static void the_factor_makes_both_classes_weigh_the_same_unless_one_is_given(void **state)
{
    (void)state;
    const struct fit_rows rows = {.count = 3, .weights = {8, 2}};
    assert_true(fit_rows_factor(&rows, 0) == 4.0);
    assert_true(fit_rows_factor(&rows, 1.5) == 1.5);
}

/* Of weight 2, 3 and 5 at times 0, 10 and 20; the last of those held out is at 40. */
static void the_past_fades_and_fitted_rows_weigh_as_much_as_before(void **state)
{
    (void)state;
    struct made made;
    double weights[ROWS];
    make(&made);
    for (uint32_t i = 0; i < ROWS; i++) {
        made.rows[i].time_ms = 10 * (int64_t)i;
    }
    fit_rows_fade(&made.table, made.parts, 10, weights);
    double scale = (2 + 3 + 5) / (2 / 16.0 + 3 / 8.0 + 5 / 4.0);
    const double expected[ROWS] = {scale * 2 / 16, scale * 3 / 8, scale * 5 / 4,
                                   scale * 50,     scale * 100,   0};
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_true(fabs(weights[i] - expected[i]) <= 1e-12 * (1 + expected[i]));
    }
}

static void rows_that_nothing_can_be_fitted_to_are_refused(void **state)
{
    (void)state;
    struct made made;
    struct fit_rows rows = {.count = 77};
    struct error error;
    make(&made);
    assert_int_equal(fit_rows_count(&made.table, made.parts, 4, &rows, &error), STATUS_INVALID);
    assert_string_equal(error.message,
                        "training: 3 rows for 4 features: use fewer features or more data");
    made.rows[0].label = 0;
    assert_int_equal(fit_rows_count(&made.table, made.parts, 0, &rows, &error), STATUS_INVALID);
    assert_string_equal(error.message, "training: one class only: all 3 rows are negative");
    made.rows[0].label = made.rows[1].label = made.rows[2].label = 1;
    assert_int_equal(fit_rows_count(&made.table, made.parts, 0, &rows, &error), STATUS_INVALID);
    assert_string_equal(error.message, "training: one class only: all 3 rows are positive");
    memset(made.parts, SPLIT_HELD, ROWS);
    assert_int_equal(fit_rows_count(&made.table, made.parts, 0, &rows, &error), STATUS_INVALID);
    assert_string_equal(
        error.message,
        "training: no rows before the held-out time; see gap, held_share, from and until");
    assert_int_equal(rows.count, 77); /* Untouched. */
}

#define FEATURES 4u

struct heard {
    char text[1024];
};

static void hear(void *context, const char *message)
{
    struct heard *heard = context;
    size_t length = strlen(heard->text);
    (void)snprintf(heard->text + length, sizeof(heard->text) - length, "%s\n", message);
}

/* What varies among the rows to be fitted alone counts; being missing counts as a value. */
static void features_that_say_nothing_are_named(void **state)
{
    (void)state;
    static const char *const names[FEATURES] = {"same", "missing", "there_or_not", "varies"};
    static const uint32_t columns[FEATURES] = {0, 1, 2, 3};
    float values[ROWS][FEATURES];
    struct made made;
    struct heard heard = {""};
    struct error error;
    make(&made);
    for (uint32_t i = 0; i < ROWS; i++) {
        bool is_fitted = made.parts[i] == SPLIT_FIT;
        values[i][0] = is_fitted ? 5.0f : (float)i;
        values[i][1] = is_fitted ? NAN : (float)i;
        values[i][2] = i == 1 ? NAN : 7.0f;
        values[i][3] = (float)i;
    }
    made.table.features = values[0];
    made.table.feature_count = FEATURES;
    struct fit_features features = {names, columns, FEATURES, hear, &heard};
    assert_int_equal(fit_rows_check_features(&made.table, made.parts, &features, &error),
                     STATUS_OK);
    assert_string_equal(heard.text,
                        "3 rows for 4 features: much of what is found in so few is chance\n"
                        "feature same says nothing: it is the same in all rows\n"
                        "feature missing says nothing: it is missing in all rows\n");
    features.count = 2;
    features.warn = NULL;
    assert_int_equal(fit_rows_check_features(&made.table, made.parts, &features, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "training: no feature varies among the rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_that_say_nothing_are_named),
        cmocka_unit_test(counts_only_the_rows_to_be_fitted),
        cmocka_unit_test(the_factor_makes_both_classes_weigh_the_same_unless_one_is_given),
        cmocka_unit_test(the_past_fades_and_fitted_rows_weigh_as_much_as_before),
        cmocka_unit_test(rows_that_nothing_can_be_fitted_to_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
