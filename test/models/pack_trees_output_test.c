/*
 * Packs of tree models with any objective: the score is what the maker predicts, the reasons sum to
 * the logit. What the makers predict stands beside the models, see make_tree_models.py.
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

#include "models/model_backend.h"
#include "models/pack_trees.h"
#include "test/fakes/fixture.h"

#define FOLDER "test/models/trees/"
#define FEATURES_MAX 8u
#define OUTPUTS_MAX 8u
#define ROWS_MAX 64u
#define STRIDE 16u
#define COLUMN_OF(feature) (2u * (feature) + 1u) /* The features stand apart in the rows. */
#define VALUES_MAX (FEATURES_MAX + 2 * OUTPUTS_MAX + OUTPUTS_MAX * (FEATURES_MAX + 1))

/* What a maker says of some rows. */
struct predicted {
    uint32_t features, outputs, count;
    float rows[ROWS_MAX * STRIDE];
    double margins[ROWS_MAX][OUTPUTS_MAX];
    double values[ROWS_MAX][OUTPUTS_MAX];
    double reasons[ROWS_MAX][OUTPUTS_MAX][FEATURES_MAX + 1]; /* The expectation last. */
};

static void keep_row(struct predicted *made, const double *values, bool has_reasons)
{
    uint32_t row = made->count++;
    const double *next = values + made->features;
    for (uint32_t i = 0; i < STRIDE; i++) {
        made->rows[row * STRIDE + i] = 1e9f; /* Of other features: must not matter. */
    }
    for (uint32_t f = 0; f < made->features; f++) {
        made->rows[row * STRIDE + COLUMN_OF(f)] = (float)values[f];
    }
    for (uint32_t k = 0; k < made->outputs; k++) {
        made->margins[row][k] = next[k];
        made->values[row][k] = next[made->outputs + k];
    }
    next += 2u * made->outputs;
    for (uint32_t k = 0; has_reasons && k < made->outputs; k++) {
        memcpy(made->reasons[row][k], next, (made->features + 1) * sizeof(double));
        next += made->features + 1;
    }
}

/* The class that multi:softmax predicts is left out of its file. */
static void read_predicted(const char *name, bool has_values, struct predicted *made)
{
    char path[256];
    unsigned features;
    unsigned outputs;
    unsigned has_reasons;
    (void)snprintf(path, sizeof(path), FOLDER "%.*s.rows", (int)strcspn(name, "."), name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u %u %u", &features, &outputs, &has_reasons), 3);
    assert_true(features <= FEATURES_MAX - 1 && outputs <= OUTPUTS_MAX);
    *made = (struct predicted){.features = features, .outputs = outputs};
    uint32_t width = features + outputs + (has_reasons ? outputs * (features + 1) : 0);
    double values[VALUES_MAX];
    bool is_there = true;
    while (is_there && made->count < ROWS_MAX) {
        for (uint32_t i = 0; is_there && i < width + (has_values ? outputs : 0); i++) {
            uint32_t gap = !has_values && i >= features + outputs ? outputs : 0;
            is_there = fscanf(file, "%lf", &values[i + gap]) == 1;
        }
        if (is_there) {
            keep_row(made, values, has_reasons != 0);
        }
    }
    (void)fclose(file);
    assert_true(made->count > 40);
}

static int setup(void **state)
{
    *state = fixture_directory();
    return 0;
}

static int teardown(void **state)
{
    fixture_remove(*state);
    free(*state);
    return 0;
}

static enum status try_pack(const char *directory, const char *file, const char *keys,
                            struct model_pack **ret_pack, struct error *error)
{
    char path[4096];
    char here[2048];
    (void)snprintf(path, sizeof(path), "%s/manifest.yaml", directory);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_non_null(getcwd(here, sizeof(here)));
    (void)fprintf(out, "format: 1\nkind: trees\nname: x\nversion: 1\nmodel: %s/" FOLDER "%s\n",
                  here, file);
    (void)fprintf(out, "features: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}%s]\n%s",
                  strstr(file, "many_classes") || strstr(file, "category_classes")
                      ? ", {name: f}, {name: g}"
                      : "",
                  keys);
    assert_int_equal(fclose(out), 0);
    return model_pack_load(directory, ret_pack, error);
}

static struct model *load(const char *directory, const char *file, const char *keys,
                          struct model_pack **ret_pack)
{
    static const uint32_t columns[FEATURES_MAX] = {COLUMN_OF(0), COLUMN_OF(1), COLUMN_OF(2),
                                                   COLUMN_OF(3), COLUMN_OF(4), COLUMN_OF(5),
                                                   COLUMN_OF(6)};
    struct model *model = NULL;
    struct error error = {""};
    if (try_pack(directory, file, keys, ret_pack, &error) != STATUS_OK) {
        fail_msg("%s, %s: %s", file, keys, error.message);
    }
    assert_int_equal(model_load(&backend_lanes, *ret_pack, columns, STRIDE, &model, &error),
                     STATUS_OK);
    return model;
}

static void score(struct model *model, const struct predicted *made, float *logits)
{
    struct error error;
    assert_int_equal(model_score(model, made->rows, STRIDE, NULL, made->count, logits, &error),
                     STATUS_OK);
}

/* The logits of a pack, which the caller unloads. */
static struct model_pack *score_with(const char *directory, const char *file, const char *keys,
                                     const struct predicted *made, float *logits)
{
    struct model_pack *pack;
    struct model *model = load(directory, file, keys, &pack);
    score(model, made, logits);
    model_unload(model);
    return pack;
}

/* log(p / (1 - p)) of class `chosen`, where p is the softmax of the margins, in plain doubles. */
static double log_odds(const double *margins, uint32_t count, uint32_t chosen)
{
    double sum = 0;
    for (uint32_t k = 0; k < count; k++) {
        sum += k == chosen ? 0 : exp(margins[k]);
    }
    return margins[chosen] - log(sum);
}

static const char *const models_of_classes[] = {
    "xgb_classes.json",      "lgb_classes.txt",          "xgb_two_classes.json",
    "xgb_many_classes.json", "lgb_category_classes.txt",
};
#define MODELS_OF_CLASSES (sizeof(models_of_classes) / sizeof(models_of_classes[0]))

static void a_class_has_the_chance_that_its_maker_predicts(void **state)
{
    static struct predicted made;
    for (size_t i = 0; i < MODELS_OF_CLASSES; i++) {
        read_predicted(models_of_classes[i], true, &made);
        for (uint32_t k = 0; k < made.outputs; k++) {
            char keys[32];
            float logits[ROWS_MAX];
            (void)snprintf(keys, sizeof(keys), "class: %u\n", k);
            struct model_pack *pack = score_with(*state, models_of_classes[i], keys, &made, logits);
            for (uint32_t row = 0; row < made.count; row++) {
                double odds = log_odds(made.margins[row], made.outputs, k);
                double chance = (double)model_pack_score(pack, logits[row]);
                if (!(fabs((double)logits[row] - odds) < 1e-5 &&
                      fabs(chance - made.values[row][k]) < 1e-5)) {
                    fail_msg("%s, class %u, row %u: chance %g, logit %g; %g, %g expected",
                             models_of_classes[i], k, row, chance, (double)logits[row],
                             made.values[row][k], odds);
                }
            }
            model_pack_unload(pack);
        }
    }
}

static void a_model_that_predicts_the_class_gives_its_chance(void **state)
{
    static struct predicted made;
    float logits[ROWS_MAX];
    read_predicted("xgb_softmax", false, &made);
    struct model_pack *pack = score_with(*state, "xgb_softmax.json", "class: 2\n", &made, logits);
    for (uint32_t row = 0; row < made.count; row++) {
        assert_true(fabs((double)logits[row] - log_odds(made.margins[row], 3, 2)) < 1e-5);
    }
    model_pack_unload(pack);
}

static void one_model_a_class_keeps_its_own_chances(void **state)
{
    static struct predicted made;
    read_predicted("lgb_one_each", true, &made);
    for (uint32_t k = 0; k < 3; k++) {
        char keys[64];
        float logits[ROWS_MAX];
        (void)snprintf(keys, sizeof(keys), "class: %c\nclasses: [x, y, z]\n", 'x' + (int)k);
        struct model_pack *pack = score_with(*state, "lgb_one_each.txt", keys, &made, logits);
        for (uint32_t row = 0; row < made.count; row++) {
            assert_true(fabs((double)logits[row] - made.margins[row][k]) < 1e-5);
            assert_true(fabs((double)model_pack_score(pack, logits[row]) - made.values[row][k]) <
                        1e-6);
        }
        model_pack_unload(pack);
    }
}

static void a_value_is_what_the_maker_predicts(void **state)
{
    static struct predicted made;
    static const char *const table[] = {
        "xgb_deep.json",      "xgb_poisson.json",   "xgb_gamma.json",    "xgb_tweedie.json",
        "xgb_cox.json",       "xgb_aft.json",       "xgb_absolute.json", "xgb_logarithm.json",
        "xgb_huber.json",     "xgb_rank.json",      "xgb_pairwise.json", "xgb_hinge.json",
        "xgb_dart.json",      "lgb_deep.txt",       "lgb_poisson.txt",   "lgb_gamma.txt",
        "lgb_tweedie.txt",    "lgb_rank.txt",       "lgb_xendcg.txt",    "lgb_root.txt",
        "xgb_targets.json 2", "xgb_targets.json 0",
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        float logits[ROWS_MAX];
        char file[64];
        char keys[64];
        unsigned output = 0;
        bool has_many = sscanf(table[i], "%63s %u", file, &output) == 2;
        read_predicted(file, true, &made);
        (void)snprintf(keys, sizeof(keys), "output: value\n%s%u\n", has_many ? "class: " : "# ",
                       output);
        struct model_pack *pack = score_with(*state, file, keys, &made, logits);
        for (uint32_t row = 0; row < made.count; row++) {
            double wanted = made.values[row][output];
            double value = (double)model_pack_score(pack, logits[row]);
            if (!(fabs(value - wanted) < 1e-5 * fmax(1, fabs(wanted)))) {
                fail_msg("%s, row %u: %g, %g expected", table[i], row, value, wanted);
            }
        }
        model_pack_unload(pack);
    }
}

struct scored_classes {
    struct model_pack *pack;
    float logits[ROWS_MAX];
    float values[ROWS_MAX * OUTPUTS_MAX];
};

static void score_classes(const char *directory, const char *file, const char *keys,
                          const struct predicted *made, struct scored_classes *ret_scored)
{
    struct error error;
    struct model *model = load(directory, file, keys, &ret_scored->pack);
    assert_int_equal(ret_scored->pack->classes.count, made->outputs);
    assert_int_equal(model_score_classes(model, made->rows, STRIDE, NULL, made->count,
                                         ret_scored->logits, ret_scored->values, &error),
                     STATUS_OK);
    model_unload(model);
}

static void every_class_has_what_its_maker_predicts_whichever_is_the_packs_own(void **state)
{
    static struct predicted made;
    static struct scored_classes scored;
    static const char *const others[] = {"lgb_one_each.txt", "xgb_targets.json"};
    for (size_t i = 0; i < MODELS_OF_CLASSES + 2; i++) {
        const char *file =
            i < MODELS_OF_CLASSES ? models_of_classes[i] : others[i - MODELS_OF_CLASSES];
        read_predicted(file, true, &made);
        for (uint32_t own = 0; own < made.outputs; own++) {
            char keys[48];
            (void)snprintf(keys, sizeof(keys), "class: %u\n%s", own,
                           strstr(file, "targets") ? "output: value\n" : "");
            score_classes(*state, file, keys, &made, &scored);
            for (uint32_t at = 0; at < made.count * made.outputs; at++) {
                uint32_t row = at / made.outputs;
                uint32_t k = at % made.outputs;
                if (!(fabs((double)scored.values[at] - made.values[row][k]) < 1e-5)) {
                    fail_msg("%s, own %u, row %u, class %u: %g, %g expected", file, own, row, k,
                             (double)scored.values[at], made.values[row][k]);
                }
            }
            model_pack_unload(scored.pack);
        }
    }
}

static void a_calibrated_class_leaves_the_others_their_shares_of_the_rest(void **state)
{
    static struct predicted made;
    static struct scored_classes scored;
    read_predicted("xgb_classes", true, &made);
    score_classes(*state, "xgb_classes.json",
                  "class: buy\nclasses: [browse, buy, leave]\n"
                  "calibration: {slope: 0.5, offset: -1}\n",
                  &made, &scored);
    assert_string_equal(scored.pack->classes.names[2], "leave");
    for (uint32_t row = 0; row < made.count; row++) {
        const float *values = scored.values + (size_t)row * 3;
        double odds = 0.5 * log_odds(made.margins[row], 3, 1) - 1;
        double own = 1 / (1 + exp(-odds));
        assert_true(fabs((double)values[1] - own) < 1e-5);
        for (uint32_t k = 0; k < 3; k += 2) {
            double share = made.values[row][k] / (made.values[row][0] + made.values[row][2]);
            assert_true(fabs((double)values[k] - (1 - own) * share) < 1e-5);
        }
    }
    model_pack_unload(scored.pack);
}

static void entropy_gives_the_chance_of_a_row_of_weight_one(void **state)
{
    static struct predicted made;
    float logits[ROWS_MAX];
    read_predicted("lgb_entropy_lambda", true, &made);
    struct model_pack *pack = score_with(*state, "lgb_entropy_lambda.txt", "", &made, logits);
    for (uint32_t row = 0; row < made.count; row++) {
        double chance = 1 - exp(-made.values[row][0]); /* Of an intensity. */
        assert_true(fabs((double)model_pack_score(pack, logits[row]) - chance) < 1e-6);
    }
    model_pack_unload(pack);
}

/*
 * The terms as their definition says, from the maker's own: the gradient of the log odds by the
 * margins, averaged over the line from the expected margins to the row's, in many small steps.
 */
static void terms_by_definition(const struct predicted *made, uint32_t row, uint32_t chosen,
                                double *terms)
{
    enum { STEPS = 4000 };
    memset(terms, 0, made->features * sizeof(*terms));
    for (int step = 0; step < STEPS; step++) {
        double along = (step + 0.5) / STEPS;
        double powers[OUTPUTS_MAX];
        double sum = 0;
        for (uint32_t k = 0; k < made->outputs; k++) {
            double base = made->reasons[row][k][made->features];
            powers[k] = k == chosen ? 0 : exp(base + along * (made->margins[row][k] - base));
            sum += powers[k];
        }
        for (uint32_t k = 0; k < made->outputs; k++) {
            double slope = k == chosen ? 1 : -powers[k] / sum;
            for (uint32_t f = 0; f < made->features; f++) {
                terms[f] += slope * made->reasons[row][k][f] / STEPS;
            }
        }
    }
}

static void check_reasons(struct model *model, const struct predicted *made, uint32_t chosen,
                          const char *what)
{
    float logits[ROWS_MAX];
    score(model, made, logits);
    for (uint32_t row = 0; row < made->count; row++) {
        double wanted[FEATURES_MAX];
        float terms[FEATURES_MAX];
        float base = NAN;
        model_explain(model, made->rows + (size_t)row * STRIDE, NULL, terms, &base);
        terms_by_definition(made, row, chosen, wanted);
        double sum = (double)base;
        for (uint32_t f = 0; f < made->features; f++) {
            sum += (double)terms[f];
            if (!(fabs((double)terms[f] - wanted[f]) < 1e-4)) {
                fail_msg("%s, class %u, row %u, feature %u: %g, %g expected", what, chosen, row, f,
                         (double)terms[f], wanted[f]);
            }
        }
        if (!(fabs(sum - (double)logits[row]) < 1e-4)) {
            fail_msg("%s, class %u, row %u: terms sum to %g, the logit is %g", what, chosen, row,
                     sum, (double)logits[row]);
        }
    }
}

static void reasons_of_a_class_sum_to_its_log_odds(void **state)
{
    static struct predicted made;
    for (size_t i = 0; i < MODELS_OF_CLASSES; i++) {
        read_predicted(models_of_classes[i], true, &made);
        for (uint32_t k = 0; k < made.outputs; k++) {
            char keys[32];
            struct model_pack *pack;
            (void)snprintf(keys, sizeof(keys), "class: %u\n", k);
            struct model *model = load(*state, models_of_classes[i], keys, &pack);
            check_reasons(model, &made, k, models_of_classes[i]);
            model_unload(model);
            model_pack_unload(pack);
        }
    }
}

/* More rows than a block has room for, and rows by number. */
static void a_class_does_not_depend_on_the_batch(void **state)
{
    static struct predicted made;
    struct model_pack *pack;
    struct error error;
    uint32_t count = 3000;
    read_predicted("xgb_many_classes", true, &made);
    struct model *model = load(*state, "xgb_many_classes.json", "class: 3\n", &pack);
    float alone[ROWS_MAX];
    for (uint32_t row = 0; row < made.count; row++) {
        assert_int_equal(model_score(model, made.rows, STRIDE, &row, 1, &alone[row], &error),
                         STATUS_OK);
    }
    float *rows = malloc((size_t)count * STRIDE * sizeof(*rows));
    uint32_t *chosen = malloc(count * sizeof(*chosen));
    float *logits = malloc(2u * count * sizeof(*logits));
    assert_true(rows && chosen && logits);
    for (uint32_t i = 0; i < count; i++) {
        chosen[i] = 7 * i % made.count;
        memcpy(rows + (size_t)i * STRIDE, made.rows + (size_t)chosen[i] * STRIDE,
               STRIDE * sizeof(float));
    }
    assert_int_equal(model_score(model, rows, STRIDE, NULL, count, logits, &error), STATUS_OK);
    assert_int_equal(model_score(model, made.rows, STRIDE, chosen, count, logits + count, &error),
                     STATUS_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_memory_equal(&logits[i], &alone[chosen[i]], sizeof(float));
        assert_memory_equal(&logits[count + i], &alone[chosen[i]], sizeof(float));
    }
    free(rows);
    free(chosen);
    free(logits);
    model_unload(model);
    model_pack_unload(pack);
}

static void what_is_chosen_is_part_of_the_label(void **state)
{
    static const char *const keys[] = {"class: 0\n", "class: 1\n", "class: 2\n"};
    uint64_t hashes[3];
    for (size_t i = 0; i < 3; i++) {
        struct model_pack *pack;
        model_unload(load(*state, "xgb_classes.json", keys[i], &pack));
        hashes[i] = pack->hash;
        model_pack_unload(pack);
    }
    assert_true(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
}

static void refuses_what_cannot_be_chosen(void **state)
{
    static const struct {
        const char *file, *keys, *complaint;
    } table[] = {
        {"xgb_classes.json", "", "multi:softprob: 3 outputs; class expected in the manifest"},
        {"xgb_classes.json", "class: 3\n", "class: \"3\": 0 to 2 expected"},
        {"xgb_classes.json", "class: -1\n", "class: \"-1\": 0 to 2 expected"},
        {"xgb_classes.json", "class: buy\n", "class"},
        {"xgb_classes.json", "class: [1]\n", "class: one class expected"},
        {"xgb_classes.json", "class: bui\nclasses: [buy, leave, browse]\n",
         "\"bui\" is not among classes; did you mean \"buy\"?"},
        {"xgb_classes.json", "class: buy\nclasses: [buy, leave]\n",
         "classes: the names of the model's 3 outputs"},
        {"xgb_classes.json", "class: buy\nclasses: [buy, leave, buy]\n", "class buy stands"},
        {"xgb_classes.json", "class: 0\noutput: value\n", "multi:softprob gives a chance"},
        {"xgb_classes.json", "class: 0\noutput: [1]\n", "output: \"\": chance or value"},
        {"xgb_binary.json", "class: 0\n", "class: objective binary:logistic: the model has one"},
        {"xgb_binary.json", "classes: [a]\n", "the model has one output"},
        {"xgb_targets.json", "class: 1\n", "reg:squarederror: it gives no chance; output: value"},
        {"xgb_hinge.json", "", "binary:hinge: it gives no chance"},
        {"xgb_hinge.json", "calibration: {slope: 2}\noutput: value\n",
         "calibration makes a chance"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct model_pack *pack = NULL;
        struct error error = {"accepted"};
        enum status status = try_pack(*state, table[i].file, table[i].keys, &pack, &error);
        model_pack_unload(pack);
        if (status != STATUS_INVALID || !strstr(error.message, table[i].complaint)) {
            fail_msg("row %zu: \"%s\", %s expected", i, error.message, table[i].complaint);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_class_has_the_chance_that_its_maker_predicts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_model_that_predicts_the_class_gives_its_chance, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_model_a_class_keeps_its_own_chances, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_is_what_the_maker_predicts, setup, teardown),
        cmocka_unit_test_setup_teardown(
            every_class_has_what_its_maker_predicts_whichever_is_the_packs_own, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_calibrated_class_leaves_the_others_their_shares_of_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(entropy_gives_the_chance_of_a_row_of_weight_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reasons_of_a_class_sum_to_its_log_odds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_class_does_not_depend_on_the_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_chosen_is_part_of_the_label, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_chosen, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
