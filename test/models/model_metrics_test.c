#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/metrics.h"

#define ROWS_MAX 256

struct rows {
    float scores[ROWS_MAX];
    uint8_t labels[ROWS_MAX];
    double weights[ROWS_MAX];
    uint32_t count;
};

static double unit(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

/* Scores of few values, so that they tie; weights 0 to 3. */
static void fill_random(struct rows *rows, uint32_t count, uint64_t seed)
{
    rows->count = count;
    for (uint32_t i = 0; i < count; i++) {
        rows->scores[i] = (float)((int)(unit(&seed) * 12)) / 12.0f;
        rows->labels[i] = unit(&seed) < 0.3 + 0.4 * (double)rows->scores[i];
        rows->weights[i] = (int)(unit(&seed) * 4);
    }
}

static struct ranking rank(const struct rows *rows)
{
    struct ranking ranking;
    struct error error;
    assert_int_equal(ranking_make(rows->scores, rows->count, &ranking, &error), STATUS_OK);
    return ranking;
}

static void read_rows(char *text, struct rows *rows)
{
    rows->count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        double chance;
        int label;
        double weight;
        assert_int_equal(sscanf(word, "%lf:%d:%lf", &chance, &label, &weight), 3);
        rows->scores[rows->count] = (float)chance;
        rows->labels[rows->count] = (uint8_t)label;
        rows->weights[rows->count++] = weight;
    }
}

static void agrees_with_scikit_learn_ties_and_weights_included(void **state)
{
    (void)state;
    FILE *file = fopen("test/data/metrics.tsv", "r");
    assert_non_null(file);
    static char line[16384];
    static struct rows rows;
    int cases = 0;
    while (fgets(line, sizeof(line), file)) {
        if (*line == '#') {
            continue;
        }
        char *numbers = strchr(line, '\t');
        assert_non_null(numbers);
        *numbers++ = '\0';
        double roc;
        double pr;
        double loss;
        double brier;
        assert_int_equal(sscanf(numbers, "%lf %lf %lf %lf", &roc, &pr, &loss, &brier), 4);
        read_rows(line, &rows);
        struct ranking ranking = rank(&rows);
        assert_true(fabs(metric_roc_auc(&ranking, rows.labels, rows.weights) - roc) < 1e-9);
        assert_true(fabs(metric_pr_auc(&ranking, rows.labels, rows.weights) - pr) < 1e-9);
        /* Chances are floats here: 1e-7 is what that costs. */
        assert_true(fabs(metric_log_loss(rows.scores, rows.labels, rows.weights, rows.count) -
                         loss) < 1e-6);
        assert_true(fabs(metric_brier(rows.scores, rows.labels, rows.weights, rows.count) - brier) <
                    1e-6);
        ranking_release(&ranking);
        cases++;
    }
    (void)fclose(file);
    assert_int_equal(cases, 12);
}

static void weight_counts_as_often_as_a_row_that_is_repeated(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        static struct rows rows;
        static struct rows repeated;
        fill_random(&rows, 40, seed);
        repeated.count = 0;
        for (uint32_t i = 0; i < rows.count; i++) {
            for (int k = 0; k < (int)rows.weights[i]; k++) {
                repeated.scores[repeated.count] = rows.scores[i];
                repeated.labels[repeated.count] = rows.labels[i];
                repeated.weights[repeated.count++] = 1;
            }
        }
        struct ranking a = rank(&rows);
        struct ranking b = rank(&repeated);
        double (*const areas[])(const struct ranking *, const uint8_t *, const double *) = {
            metric_roc_auc, metric_pr_auc, metric_pr_auc_reversed};
        for (size_t i = 0; i < 3; i++) {
            double x = areas[i](&a, rows.labels, rows.weights);
            double y = areas[i](&b, repeated.labels, repeated.weights);
            assert_true(fabs(x - y) < 1e-12);
        }
        double x = metric_recall_at(&a, rows.labels, rows.weights, 0.2);
        double y = metric_recall_at(&b, repeated.labels, repeated.weights, 0.2);
        assert_true(fabs(x - y) < 1e-12);
        ranking_release(&a);
        ranking_release(&b);
    }
}

static void reversed_area_is_that_of_negated_scores(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        static struct rows rows;
        fill_random(&rows, 60, seed);
        struct ranking ranking = rank(&rows);
        double reversed = metric_pr_auc_reversed(&ranking, rows.labels, rows.weights);
        ranking_release(&ranking);
        for (uint32_t i = 0; i < rows.count; i++) {
            rows.scores[i] = -rows.scores[i];
        }
        ranking = rank(&rows);
        assert_true(fabs(metric_pr_auc(&ranking, rows.labels, rows.weights) - reversed) < 1e-12);
        ranking_release(&ranking);
    }
}

static void calibration_error_is_worked_out_by_hand(void **state)
{
    (void)state;
    /* Twenty rows: ten bins of two; in bin k both rows say k/10, and one of two is positive. */
    static struct rows rows;
    rows.count = 20;
    double expected = 0;
    for (uint32_t i = 0; i < 20; i++) {
        rows.scores[i] = (float)(i / 2) / 10.0f;
        rows.labels[i] = i % 2;
        rows.weights[i] = 1;
        expected += fabs((double)rows.scores[i] - 0.5) / 20;
    }
    struct ranking ranking = rank(&rows);
    struct calibration_bin bins[CALIBRATION_BINS];
    double error = metric_calibration_error(&ranking, rows.scores, rows.labels, rows.weights, bins);
    assert_true(fabs(error - expected) < 1e-9);
    for (int i = 0; i < CALIBRATION_BINS; i++) {
        assert_true(bins[i].weight == 2 && bins[i].observed == 0.5);
    }
    ranking_release(&ranking);
}

static void recall_stands_where_negatives_are_few_enough(void **state)
{
    (void)state;
    static struct rows rows = {
        .scores = {0.9f, 0.8f, 0.8f, 0.7f, 0.6f, 0.1f},
        .labels = {1, 1, 0, 1, 0, 0},
        .weights = {1, 1, 1, 1, 1, 1},
        .count = 6,
    };
    const struct {
        double rate, recall;
    } table[] = {{0.0, 1 / 3.0}, {0.3, 1 / 3.0}, {0.34, 1.0}, {1.0, 1.0}};
    struct ranking ranking = rank(&rows);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        double recall = metric_recall_at(&ranking, rows.labels, rows.weights, table[i].rate);
        if (fabs(recall - table[i].recall) > 1e-12) {
            fail_msg("rate %g: recall %g, %g expected", table[i].rate, recall, table[i].recall);
        }
    }
    ranking_release(&ranking);
}

static void rank_correlation_knows_order_and_passes_by_missing(void **state)
{
    (void)state;
    const float a[] = {1, 2, 3, 4, NAN, 5};
    const float rising[] = {10, 20, 25, 1000, 3, 2000};
    const float falling[] = {5, 4, 3, 2, NAN, 1};
    const float constant[] = {1, 1, 1, 1, 1, 1};
    const float mixed[] = {2, 1, 4, 3, 9, 5}; /* Spearman with 1..5: 0.8. */
    struct error error;
    double r;
    assert_int_equal(metric_rank_correlation(a, rising, 6, &r, &error), STATUS_OK);
    assert_true(fabs(r - 1) < 1e-12);
    assert_int_equal(metric_rank_correlation(a, falling, 6, &r, &error), STATUS_OK);
    assert_true(fabs(r + 1) < 1e-12);
    assert_int_equal(metric_rank_correlation(a, mixed, 6, &r, &error), STATUS_OK);
    assert_true(fabs(r - 0.8) < 1e-12);
    assert_int_equal(metric_rank_correlation(a, constant, 6, &r, &error), STATUS_OK);
    assert_true(isnan(r));
}

static void one_class_has_no_area(void **state)
{
    (void)state;
    static struct rows rows = {.scores = {1, 2}, .labels = {0, 0}, .weights = {1, 1}, .count = 2};
    struct ranking ranking = rank(&rows);
    assert_true(isnan(metric_roc_auc(&ranking, rows.labels, rows.weights)));
    assert_true(isnan(metric_pr_auc(&ranking, rows.labels, rows.weights)));
    ranking_release(&ranking);
}

static void quantile_lies_between_its_neighbours(void **state)
{
    (void)state;
    float values[] = {5, 1, 3, 2, 4};
    assert_true(metric_quantile(values, 5, 0.5) == 3.0f);
    assert_true(metric_quantile(values, 5, 0.125) == 1.5f);
    assert_true(metric_quantile(values, 5, 1.0) == 5.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_scikit_learn_ties_and_weights_included),
        cmocka_unit_test(weight_counts_as_often_as_a_row_that_is_repeated),
        cmocka_unit_test(reversed_area_is_that_of_negated_scores),
        cmocka_unit_test(calibration_error_is_worked_out_by_hand),
        cmocka_unit_test(recall_stands_where_negatives_are_few_enough),
        cmocka_unit_test(rank_correlation_knows_order_and_passes_by_missing),
        cmocka_unit_test(one_class_has_no_area),
        cmocka_unit_test(quantile_lies_between_its_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
