/*
 * Models made by XGBoost and LightGBM predict here what they predict there. The models in
 * test/models/trees were written by make_tree_models.py, the others come with the shared data.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "models/tree_ensemble.h"

#define FOLDER "test/models/trees/"

struct made_model {
    const char *file;
    const char *rows; /* Without ".rows". */
    enum tree_link link;
    const char *prediction; /* NULL: compared. Else why the maker's is not of this kind. */
};

static const struct made_model made_models[] = {
    {"xgb_binary.json", "xgb_binary", TREE_LINK_SIGMOID, NULL},
    {"xgb_binary.ubj", "xgb_binary", TREE_LINK_SIGMOID, NULL},
    {"xgb_categories.json", "xgb_categories", TREE_LINK_SIGMOID, NULL},
    {"xgb_categories.ubj", "xgb_categories", TREE_LINK_SIGMOID, NULL},
    {"xgb_deep.json", "xgb_deep", TREE_LINK_IDENTITY, NULL},
    {"xgb_classes.json", "xgb_classes", TREE_LINK_SOFTMAX, NULL},
    {"xgb_softmax.json", "xgb_softmax", TREE_LINK_SOFTMAX, "it predicts the class"},
    {"xgb_forest.json", "xgb_forest", TREE_LINK_SIGMOID, NULL},
    {"xgb_dart.json", "xgb_dart", TREE_LINK_IDENTITY, NULL},
    {"xgb_poisson.json", "xgb_poisson", TREE_LINK_EXP, NULL},
    {"xgb_gamma.json", "xgb_gamma", TREE_LINK_EXP, NULL},
    {"xgb_raw.json", "xgb_raw", TREE_LINK_IDENTITY, NULL},
    {"xgb_hinge.json", "xgb_hinge", TREE_LINK_STEP, NULL},
    {"xgb_rank.json", "xgb_rank", TREE_LINK_IDENTITY, NULL},
    {"xgb_targets.json", "xgb_targets", TREE_LINK_IDENTITY, NULL},
    {"lgb_binary.txt", "lgb_binary", TREE_LINK_SIGMOID, NULL},
    {"lgb_zero_missing.txt", "lgb_zero_missing", TREE_LINK_SIGMOID, NULL},
    {"lgb_no_missing.txt", "lgb_no_missing", TREE_LINK_SIGMOID, NULL},
    {"lgb_categories.txt", "lgb_categories", TREE_LINK_SIGMOID, NULL},
    {"lgb_deep.txt", "lgb_deep", TREE_LINK_IDENTITY, NULL},
    {"lgb_classes.txt", "lgb_classes", TREE_LINK_SOFTMAX, NULL},
    {"lgb_one_each.txt", "lgb_one_each", TREE_LINK_SIGMOID, NULL},
    {"lgb_forest.txt", "lgb_forest", TREE_LINK_SIGMOID, NULL},
    {"lgb_forest_regression.txt", "lgb_forest_regression", TREE_LINK_IDENTITY, NULL},
    {"lgb_dart.txt", "lgb_dart", TREE_LINK_SIGMOID, NULL},
    {"lgb_poisson.txt", "lgb_poisson", TREE_LINK_EXP, NULL},
    {"lgb_root.txt", "lgb_root", TREE_LINK_SQUARE, NULL},
    {"lgb_rank.txt", "lgb_rank", TREE_LINK_IDENTITY, NULL},
    {"lgb_entropy_lambda.txt", "lgb_entropy_lambda", TREE_LINK_SOFTPLUS, NULL},
    {"xgb_tweedie.json", "xgb_tweedie", TREE_LINK_EXP, NULL},
    {"xgb_cox.json", "xgb_cox", TREE_LINK_EXP, NULL},
    {"xgb_aft.json", "xgb_aft", TREE_LINK_EXP, NULL},
    {"xgb_logistic.json", "xgb_logistic", TREE_LINK_SIGMOID, NULL},
    {"xgb_pairwise.json", "xgb_pairwise", TREE_LINK_IDENTITY, NULL},
    {"xgb_absolute.json", "xgb_absolute", TREE_LINK_IDENTITY, NULL},
    {"xgb_logarithm.json", "xgb_logarithm", TREE_LINK_IDENTITY, NULL},
    {"xgb_huber.json", "xgb_huber", TREE_LINK_IDENTITY, NULL},
    {"xgb_two_classes.json", "xgb_two_classes", TREE_LINK_SOFTMAX, NULL},
    {"xgb_many_classes.json", "xgb_many_classes", TREE_LINK_SOFTMAX, NULL},
    {"lgb_tweedie.txt", "lgb_tweedie", TREE_LINK_EXP, NULL},
    {"lgb_gamma.txt", "lgb_gamma", TREE_LINK_EXP, NULL},
    {"lgb_entropy.txt", "lgb_entropy", TREE_LINK_SIGMOID, NULL},
    {"lgb_xendcg.txt", "lgb_xendcg", TREE_LINK_IDENTITY, NULL},
    {"lgb_category_classes.txt", "lgb_category_classes", TREE_LINK_SOFTMAX, NULL},
    {"lgb_constant.txt", "lgb_constant", TREE_LINK_SIGMOID, NULL},
};

/* What the maker says of some rows. */
struct expected {
    uint32_t features, outputs, has_contributions, rows;
    float *x;              /* [rows][features] */
    double *margins;       /* [rows][outputs] */
    double *predictions;   /* [rows][outputs], where there are any */
    double *contributions; /* [rows][outputs][features + 1] */
};

#define ROWS_MAX 2048u

static void read_expected(const char *path, bool has_predictions, struct expected *expected)
{
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    assert_int_equal(fscanf(stream, "%u %u %u", &expected->features, &expected->outputs,
                            &expected->has_contributions),
                     3);
    size_t shape = (size_t)expected->outputs * (expected->features + 1);
    expected->x = calloc(ROWS_MAX, expected->features * sizeof(float));
    expected->margins = calloc(ROWS_MAX, expected->outputs * sizeof(double));
    expected->predictions = calloc(ROWS_MAX, expected->outputs * sizeof(double));
    expected->contributions = calloc(ROWS_MAX, shape * sizeof(double));
    uint32_t row = 0;
    while (row < ROWS_MAX &&
           fscanf(stream, "%f", &expected->x[(size_t)row * expected->features]) == 1) {
        for (uint32_t f = 1; f < expected->features; f++) {
            assert_int_equal(fscanf(stream, "%f", &expected->x[row * expected->features + f]), 1);
        }
        for (uint32_t c = 0; c < expected->outputs; c++) {
            assert_int_equal(fscanf(stream, "%lf", &expected->margins[row * expected->outputs + c]),
                             1);
        }
        for (uint32_t c = 0; has_predictions && c < expected->outputs; c++) {
            assert_int_equal(
                fscanf(stream, "%lf", &expected->predictions[row * expected->outputs + c]), 1);
        }
        for (size_t i = 0; expected->has_contributions && i < shape; i++) {
            assert_int_equal(fscanf(stream, "%lf", &expected->contributions[row * shape + i]), 1);
        }
        row++;
    }
    expected->rows = row;
    (void)fclose(stream);
    assert_true(row >= 40);
}

static void free_expected(struct expected *expected)
{
    free(expected->x);
    free(expected->margins);
    free(expected->predictions);
    free(expected->contributions);
}

/* To 1e-5, of the value where that is larger than 1: scores are floats. */
static bool is_near(double value, double wanted)
{
    double size = fabs(wanted) > 1 ? fabs(wanted) : 1;
    return fabs(value - wanted) <= 1e-5 * size;
}

static void check_values(const char *model, const char *what, const float *values,
                         const double *wanted, uint32_t rows, uint32_t outputs)
{
    for (uint32_t i = 0; i < rows * outputs; i++) {
        if (!is_near((double)values[i], wanted[i])) {
            fail_msg("%s: row %u, output %u: %s %.9g, by its maker %.9g", model, i / outputs,
                     i % outputs, what, (double)values[i], wanted[i]);
        }
    }
}

static struct tree_ensemble *load(const char *path, struct tree_scratch **ret_scratch)
{
    struct tree_ensemble *ensemble = NULL;
    struct error error = {""};
    if (tree_ensemble_load(path, &ensemble, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(tree_scratch_create(ensemble, ret_scratch, &error), STATUS_OK);
    return ensemble;
}

static void check_contributions(const struct made_model *model, struct tree_ensemble *ensemble,
                                struct tree_scratch *scratch, const struct expected *expected)
{
    uint32_t features = expected->features;
    float *values = calloc(features, sizeof(*values));
    for (uint32_t i = 0; i < expected->rows * expected->outputs; i++) {
        float base;
        const double *wanted = &expected->contributions[(size_t)i * (features + 1)];
        assert_int_equal(
            tree_ensemble_explain(ensemble, scratch, TREE_REASONS_SHAPLEY,
                                  &expected->x[(size_t)(i / expected->outputs) * features],
                                  i % expected->outputs, values, &base, NULL),
            STATUS_OK);
        for (uint32_t f = 0; f <= features; f++) {
            double value = f < features ? (double)values[f] : (double)base;
            double size = fabs(expected->margins[i]) > 1 ? fabs(expected->margins[i]) : 1;
            if (!(fabs(value - wanted[f]) <= 1e-4 * size)) {
                fail_msg("%s: row %u, feature %u: contribution %.9g, by its maker %.9g",
                         model->file, i / expected->outputs, f, value, wanted[f]);
            }
        }
    }
    free(values);
}

static void check_model(const struct made_model *model)
{
    char path[256];
    struct expected expected = {0};
    struct tree_scratch *scratch = NULL;
    (void)snprintf(path, sizeof(path), FOLDER "%s.rows", model->rows);
    read_expected(path, model->prediction == NULL, &expected);
    (void)snprintf(path, sizeof(path), FOLDER "%s", model->file);
    struct tree_ensemble *ensemble = load(path, &scratch);
    const struct tree_facts *facts = tree_ensemble_facts(ensemble);
    assert_int_equal(facts->feature_count, expected.features);
    assert_int_equal(facts->output_count, expected.outputs);
    assert_int_equal(facts->link, model->link);

    float *values = calloc((size_t)expected.rows * expected.outputs + 1, sizeof(*values));
    for (enum tree_kernel kernel = TREE_KERNEL_PLAIN; kernel < TREE_KERNEL_COUNT; kernel++) {
        if (tree_kernel_is_available(kernel)) {
            tree_ensemble_score_by(ensemble, scratch, kernel, expected.x, expected.rows,
                                   expected.features, values);
            check_values(model->file, tree_kernel_names[kernel], values, expected.margins,
                         expected.rows, expected.outputs);
        }
    }
    if (!model->prediction) {
        tree_ensemble_link(ensemble, values, expected.rows, values);
        check_values(model->file, "prediction", values, expected.predictions, expected.rows,
                     expected.outputs);
    }
    if (expected.has_contributions) {
        check_contributions(model, ensemble, scratch, &expected);
    }
    free(values);
    tree_scratch_destroy(scratch);
    tree_ensemble_unload(ensemble);
    free_expected(&expected);
}

static void agrees_with_the_makers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(made_models) / sizeof(made_models[0]); i++) {
        check_model(&made_models[i]);
    }
}

/* NULL, with a line that says so, where the shared data are not there and need not be. */
static const char *shared_path(const char *below, char *path, size_t size)
{
    const char *folder = getenv("NUDGE_DATA");
    (void)snprintf(path, size, "%s/models_treelite/%s", folder ? folder : "../shared/data", below);
    if (access(path, R_OK) == 0) {
        return path;
    }
    if (getenv("CI")) {
        fail_msg("%s is missing", path);
    }
    (void)printf("skipped: %s is missing\n", path);
    return NULL;
}

/* One value a line. */
static uint32_t read_column(const char *path, double *values)
{
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    uint32_t count = 0;
    while (count < ROWS_MAX && fscanf(stream, "%lf", &values[count]) == 1) {
        count++;
    }
    (void)fclose(stream);
    return count;
}

/* LIBSVM text: a label, then "feature:value", what is not there is missing. */
static uint32_t read_sparse(const char *path, float *rows, uint32_t features)
{
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    char line[4096];
    uint32_t count = 0;
    while (count < ROWS_MAX && fgets(line, sizeof(line), stream)) {
        float *row = &rows[(size_t)count++ * features];
        for (uint32_t f = 0; f < features; f++) {
            row[f] = NAN;
        }
        char *next = strchr(line, ' ');
        while (next && *next == ' ') {
            unsigned long feature = strtoul(next, &next, 10);
            assert_int_equal(*next, ':');
            float value = strtof(next + 1, &next);
            if (feature < features) {
                row[feature] = value;
            }
        }
    }
    (void)fclose(stream);
    return count;
}

static void agrees_with_shared_predictions(void **state)
{
    (void)state;
    static const struct {
        const char *model, *rows, *predictions;
        uint32_t row_count;
    } cases[] = {
        {"xgb_toy_categorical/xgb_toy_categorical_model.json",
         "xgb_toy_categorical/xgb_toy_categorical.test",
         "xgb_toy_categorical/xgb_toy_categorical.test.pred", 20},
        {"toy_categorical/toy_categorical_model.txt", "toy_categorical/toy_categorical.test",
         "toy_categorical/toy_categorical.test.pred", 180},
    };
    double *wanted = calloc(ROWS_MAX, sizeof(*wanted));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[512];
        struct tree_scratch *scratch = NULL;
        if (!shared_path(cases[i].model, path, sizeof(path))) {
            break;
        }
        struct tree_ensemble *ensemble = load(path, &scratch);
        uint32_t features = tree_ensemble_facts(ensemble)->feature_count;
        float *rows = calloc((size_t)ROWS_MAX * features, sizeof(*rows));
        float *margins = calloc(ROWS_MAX, sizeof(*margins));
        uint32_t row_count =
            read_sparse(shared_path(cases[i].rows, path, sizeof(path)), rows, features);
        assert_int_equal(row_count, cases[i].row_count);
        assert_int_equal(read_column(shared_path(cases[i].predictions, path, sizeof(path)), wanted),
                         row_count);
        tree_ensemble_score(ensemble, scratch, rows, row_count, features, margins);
        check_values(cases[i].model, "margin", margins, wanted, row_count, 1);
        free(rows);
        free(margins);
        tree_scratch_destroy(scratch);
        tree_ensemble_unload(ensemble);
    }
    free(wanted);
}

static void reads_a_tree_that_is_one_leaf(void **state)
{
    (void)state;
    char path[512];
    struct tree_scratch *scratch = NULL;
    if (!shared_path("lightgbm_constant_tree/model_with_constant_tree.txt", path, sizeof(path))) {
        return;
    }
    struct tree_ensemble *ensemble = load(path, &scratch);
    const struct tree_facts *facts = tree_ensemble_facts(ensemble);
    assert_int_equal(facts->tree_count, 2);
    assert_string_equal(facts->feature_names[125], "Column_125");
    float row[126] = {0};
    float margin;
    tree_ensemble_score(ensemble, scratch, row, 1, 126, &margin);
    /* By hand: 28, 55, 59 are zero and go left, then 22 and 23 too, then left to leaf 4. */
    tree_ensemble_score_by(ensemble, scratch, TREE_KERNEL_PLAIN, row, 1, 126, &margin);
    assert_true(isfinite(margin));
    float again;
    row[28] = 1;
    tree_ensemble_score(ensemble, scratch, row, 1, 126, &again);
    assert_true(again != margin);
    tree_scratch_destroy(scratch);
    tree_ensemble_unload(ensemble);
}

static void refuses_the_old_binary_and_says_what_to_do(void **state)
{
    (void)state;
    static const char *const files[] = {"mushroom/mushroom.model", "dermatology/dermatology.model"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[512];
        struct tree_ensemble *ensemble = NULL;
        struct error error = {""};
        if (!shared_path(files[i], path, sizeof(path))) {
            return;
        }
        assert_int_equal(tree_ensemble_load(path, &ensemble, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "save_model"));
        assert_null(ensemble);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_makers),
        cmocka_unit_test(agrees_with_shared_predictions),
        cmocka_unit_test(reads_a_tree_that_is_one_leaf),
        cmocka_unit_test(refuses_the_old_binary_and_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
