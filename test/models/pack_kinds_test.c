/* Packs of every kind: what they score, why, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "models/model_backend.h"
#include "models/pack_kind.h"
#include "models/tensor_file.h"
#include "pipeline/base/byte_buffer.h"
#include "test/fakes/fixture.h"

#define FOLDER "test/models/trees/"
#define FEATURES 5u
#define ROWS_MAX 64u
#define STRIDE 16u

/* What a maker predicts, with each feature in a column of another number. */
struct predicted {
    float rows[ROWS_MAX * STRIDE];
    double margins[ROWS_MAX];
    uint32_t count;
};
static const uint32_t columns[FEATURES] = {7, 2, 11, 0, 9};

static void read_predicted(const char *name, struct predicted *ret)
{
    char path[256];
    (void)snprintf(path, sizeof(path), FOLDER "%s.rows", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    unsigned features;
    unsigned outputs;
    unsigned has_reasons;
    assert_int_equal(fscanf(file, "%u %u %u", &features, &outputs, &has_reasons), 3);
    assert_int_equal(features, FEATURES);
    assert_int_equal(outputs, 1);
    uint32_t width = FEATURES + 2 + (has_reasons ? FEATURES + 1 : 0);
    double values[2 * FEATURES + 3];
    bool is_there = true;
    for (ret->count = 0; ret->count < ROWS_MAX; ret->count++) {
        for (uint32_t i = 0; is_there && i < width; i++) {
            is_there = fscanf(file, "%lf", &values[i]) == 1;
        }
        if (!is_there) {
            break;
        }
        for (uint32_t i = 0; i < STRIDE; i++) {
            ret->rows[ret->count * STRIDE + i] = 1e9f; /* Of other features: must not matter. */
        }
        for (uint32_t f = 0; f < FEATURES; f++) {
            ret->rows[ret->count * STRIDE + columns[f]] = (float)values[f];
        }
        ret->margins[ret->count] = values[FEATURES];
    }
    assert_true(ret->count > 40);
    (void)fclose(file);
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

static void write_bytes(const char *directory, const char *name, const void *bytes, size_t length)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static char *read_text(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1u << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1u << 20) - 1, file) > 0);
    (void)fclose(file);
    return text;
}

/* The model `source` with the line feature_names=Column_0 ... replaced, unless NULL. */
static void write_model(const char *directory, const char *source, const char *name,
                        const char *feature_names)
{
    char *text = read_text(source);
    static const char usual[] = "Column_0 Column_1 Column_2 Column_3 Column_4";
    const char *place = strstr(text, usual);
    if (feature_names) {
        assert_non_null(place);
        struct byte_buffer made = {0};
        byte_buffer_append(&made, text, (size_t)(place - text));
        byte_buffer_append(&made, feature_names, strlen(feature_names));
        place += sizeof(usual) - 1;
        byte_buffer_append(&made, place, strlen(place));
        write_bytes(directory, name, made.bytes, made.length);
        byte_buffer_release(&made);
    } else {
        write_bytes(directory, name, text, strlen(text));
    }
    free(text);
}

#define HEAD "format: 1\nkind: trees\nname: x\nversion: 1\n"
#define FIVE "features: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n"

static struct model_pack *load_pack(const char *directory, const char *manifest)
{
    struct model_pack *pack = NULL;
    struct error error = {""};
    write_bytes(directory, "manifest.yaml", manifest, strlen(manifest));
    if (model_pack_load(directory, &pack, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return pack;
}

static struct model *make_model(const struct model_pack *pack, const uint32_t *places)
{
    struct model *model = NULL;
    struct error error;
    assert_int_equal(model_load(&backend_lanes, pack, places, STRIDE, &model, &error), STATUS_OK);
    return model;
}

static void score(struct model *model, const float *rows, const uint32_t *chosen, uint32_t count,
                  float *logits)
{
    struct error error;
    assert_int_equal(model_score(model, rows, STRIDE, chosen, count, logits, &error), STATUS_OK);
}

static void trees_score_as_their_maker_predicts(void **state)
{
    static const struct {
        const char *file, *rows;
        double scale; /* Of the link. */
    } table[] = {{"xgb_binary.json", "xgb_binary", 1},
                 {"lgb_binary.txt", "lgb_binary", 1},
                 {"lgb_forest.txt", "lgb_forest", 1},
                 {"xgb_raw.json", "xgb_raw", 1}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        static struct predicted made;
        char manifest[512];
        read_predicted(table[i].rows, &made);
        write_model(*state, table[i].file, "made", NULL);
        (void)snprintf(manifest, sizeof(manifest), HEAD FIVE "model: made\n");
        struct model_pack *pack = load_pack(*state, manifest);
        struct model *model = make_model(pack, columns);
        float logits[ROWS_MAX];
        score(model, made.rows, NULL, made.count, logits);
        for (uint32_t row = 0; row < made.count; row++) {
            double expected = table[i].scale * made.margins[row];
            if (!(fabs((double)logits[row] - expected) < 1e-5)) {
                fail_msg("%s, row %u: %g, %g expected", table[i].file, row, (double)logits[row],
                         expected);
            }
        }
        model_unload(model);
        model_pack_unload(pack);
    }
}

static void features_that_the_file_names_are_found_by_name(void **state)
{
    static struct predicted made;
    static const char *const manifests[] = {
        HEAD "features: [{name: e}, {name: b}, {name: d}, {name: a}, {name: c}]\nmodel: made\n",
        HEAD "model: made\n", /* The file's own: a b c d e. */
    };
    static const char *const names[] = {"x", "e", "b", "d", "a", "c"};
    /* In the rows feature f of the file stands in columns[f]. */
    static const uint32_t order[][FEATURES] = {{9, 2, 0, 7, 11}, {7, 2, 11, 0, 9}};
    read_predicted("lgb_binary", &made);
    write_model(*state, "lgb_binary.txt", "made", "a b c d e");
    for (size_t i = 0; i < 2; i++) {
        struct model_pack *pack = load_pack(*state, manifests[i]);
        uint32_t found[FEATURES];
        struct error error;
        assert_int_equal(model_pack_match(pack, names, 6, found, &error), STATUS_OK);
        assert_int_equal(found[0], i == 0 ? 1 : 4);
        struct model *model = make_model(pack, order[i]);
        float logits[ROWS_MAX];
        score(model, made.rows, NULL, made.count, logits);
        for (uint32_t row = 0; row < made.count; row++) {
            assert_true(fabs((double)logits[row] - made.margins[row]) < 1e-5);
        }
        model_unload(model);
        model_pack_unload(pack);
    }
}

static void expect_reasons_that_sum(struct model *model, const struct predicted *made)
{
    float logits[ROWS_MAX];
    score(model, made->rows, NULL, made->count, logits);
    for (uint32_t row = 0; row < made->count; row++) {
        float terms[16];
        float base = NAN;
        double moved = 0;
        model_explain(model, made->rows + (size_t)row * STRIDE, NULL, terms, &base);
        double sum = (double)base;
        for (uint32_t i = 0; i < model->pack->feature_count; i++) {
            sum += (double)terms[i];
            moved += fabs((double)terms[i]);
        }
        if (!(fabs(sum - (double)logits[row]) < 1e-4)) {
            fail_msg("%s, row %u: terms sum to %g, the logit is %g", model->pack->name, row, sum,
                     (double)logits[row]);
        }
        assert_true(moved > 1e-3);
    }
}

static void write_logistic(const char *directory, const char *name)
{
    static const float weights[] = {0.5f, -0.25f, 1.0f};
    struct tensor tensors[] = {
        {.name = "weight", .dimension_count = 1, .shape = {3}, .count = 3, .data = weights},
        {.name = "bias", .dimension_count = 1, .shape = {1}, .count = 1, .data = weights},
    };
    static const char manifest[] = "format: 1\nkind: logistic\nname: line\nversion: 1\n"
                                   "features: [{name: c, limit: 5}, {name: f, limit: 2}, "
                                   "{name: a, limit: 3}]\n"
                                   "calibration: {slope: 0.5, offset: -1}\n";
    char path[4096];
    struct error error;
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(mkdir(path, 0777), 0);
    write_bytes(path, "manifest.yaml", manifest, sizeof(manifest) - 1);
    (void)snprintf(path, sizeof(path), "%s/%s/weights.safetensors", directory, name);
    assert_int_equal(tensor_file_write(path, tensors, 2, &error), STATUS_OK);
}

static void write_trees(const char *directory, const char *name, const char *more)
{
    char path[4096];
    char manifest[1024];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(mkdir(path, 0777), 0);
    (void)snprintf(manifest, sizeof(manifest), HEAD "model: made\n%s", more);
    write_bytes(path, "manifest.yaml", manifest, strlen(manifest));
    write_model(path, "lgb_binary.txt", "made", "a b c d e");
}

#define MEAN "format: 1\nkind: mean\nname: mean\nversion: 1\n"
#define BENT "calibration: {points: [[-0.5, -4], [0, -1], [0.1, -1], [0.6, 2]]}\n"

static void reasons_of_every_kind_sum_to_the_calibrated_logit(void **state)
{
    static struct predicted made;
    read_predicted("lgb_binary", &made);
    write_model(*state, "lgb_binary.txt", "made", "a b c d e");
    write_logistic(*state, "line");
    write_trees(*state, "trees", BENT);
    static const char *const manifests[] = {
        HEAD "model: made\n",
        HEAD "model: made\nreasons: path\ncalibration: {slope: 1.5, offset: -2}\n",
        HEAD "model: made\n" BENT,
        HEAD "model: made\nreasons: path\n" BENT,
        MEAN "packs: [line, trees]\n",
        MEAN "packs: [line, trees]\n" BENT,
    };
    static const uint32_t places[] = {7, 2, 11, 0, 9, 4};
    for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
        struct model_pack *pack = load_pack(*state, manifests[i]);
        struct model *model = make_model(pack, places);
        expect_reasons_that_sum(model, &made);
        model_unload(model);
        model_pack_unload(pack);
    }
}

static void a_mean_is_the_mean_of_calibrated_logits(void **state)
{
    static struct predicted made;
    read_predicted("lgb_binary", &made);
    write_logistic(*state, "line");
    write_trees(*state, "trees", "calibration: {slope: 2, offset: 1}\n");
    struct model_pack *pack = load_pack(*state, MEAN "packs: [line, trees]\n");
    static const char *const expected[] = {"c", "f", "a", "b", "d", "e"};
    assert_int_equal(pack->feature_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(pack->features[i].name, expected[i]);
    }
    static const uint32_t places[] = {11, 4, 7, 2, 0, 9};
    for (uint32_t row = 0; row < made.count; row++) {
        made.rows[row * STRIDE + 4] = NAN;
    }
    struct model *model = make_model(pack, places);
    float logits[ROWS_MAX];
    score(model, made.rows, NULL, made.count, logits);
    for (uint32_t row = 0; row < made.count; row++) {
        double c = (double)made.rows[row * STRIDE + 11];
        double a = (double)made.rows[row * STRIDE + 7];
        double sum = 0.5 + (isnan(c) ? 0 : 0.5 * fmax(-5, fmin(5, c))) +
                     (isnan(a) ? 0 : fmax(-3, fmin(3, a)));
        double mean = 0.5 * (0.5 * sum - 1) + 0.5 * (2 * made.margins[row] + 1);
        assert_true(fabs((double)logits[row] - mean) < 1e-5);
    }
    model_unload(model);
    model_pack_unload(pack);
}

static void result_of_a_row_does_not_depend_on_its_batch(void **state)
{
    static struct predicted made;
    read_predicted("lgb_binary", &made);
    write_logistic(*state, "line");
    write_trees(*state, "trees", BENT);
    struct model_pack *pack = load_pack(*state, MEAN "packs: [trees, line]\n");
    static const uint32_t places[] = {7, 2, 11, 0, 9, 4};
    struct model *model = make_model(pack, places);
    float alone[ROWS_MAX];
    for (uint32_t row = 0; row < made.count; row++) {
        score(model, made.rows, &row, 1, &alone[row]);
    }
    for (uint32_t count = 1; count <= made.count; count++) {
        uint32_t chosen[ROWS_MAX];
        float logits[ROWS_MAX];
        for (uint32_t k = 0; k < count; k++) {
            chosen[k] = (7 * k + 3 * count) % made.count;
        }
        score(model, made.rows, chosen, count, logits);
        for (uint32_t k = 0; k < count; k++) {
            assert_memory_equal(&logits[k], &alone[chosen[k]], sizeof(float));
        }
    }
    model_unload(model);
    model_pack_unload(pack);
}

static void points_bend_a_logit_and_keep_its_order(void **state)
{
    write_model(*state, "lgb_binary.txt", "made", "a b c d e");
    struct model_pack *pack = load_pack(*state, HEAD "model: made\n" BENT);
    static const float table[][2] = {{-0.5f, -4}, {-0.25f, -2.5f},   {0, -1},
                                     {0.05f, -1}, {0.1f, -1},        {0.35f, 0.5f},
                                     {0.6f, 2},   {-0.7f, -5.0909f}, {1.15f, 5.0f}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        float logit = pack_calibrate(&pack->calibration, table[i][0]);
        if (!(fabsf(logit - table[i][1]) < 1e-4f)) {
            fail_msg("%g: %g, %g expected", (double)table[i][0], (double)logit,
                     (double)table[i][1]);
        }
    }
    float last = -INFINITY;
    for (float margin = -3; margin < 3; margin += 0.01f) {
        float logit = pack_calibrate(&pack->calibration, margin);
        assert_true(logit >= last);
        last = logit;
    }
    model_pack_unload(pack);
}

static void refuses_by_name_what_is_wrong(void **state)
{
    static const struct {
        const char *manifest, *model, *names, *complaint;
    } table[] = {
        {HEAD FIVE, "lgb_binary.txt", NULL, "model: a file of XGBoost or LightGBM expected"},
        {HEAD FIVE "model: [1]\n", "lgb_binary.txt", NULL, "model: a file"},
        {HEAD FIVE "modle: made\n", "lgb_binary.txt", NULL, "did you mean \"model\"?"},
        {HEAD FIVE "model: other\n", "lgb_binary.txt", NULL, "other: No such file"},
        {HEAD FIVE "model: .\n", "lgb_binary.txt", NULL, "a file expected"},
        {HEAD FIVE "model: made\nreasons: best\n", "lgb_binary.txt", NULL,
         "reasons: \"best\": shapley or path expected"},
        {HEAD "model: made\n", "lgb_binary.txt", NULL, "it does not name its features"},
        {HEAD "features: [{name: a}]\nmodel: made\n", "lgb_binary.txt", NULL,
         "5 features; the manifest has 1"},
        {HEAD FIVE "model: made\n", "lgb_binary.txt", "a b c d session_events",
         "feature session_events is not among the manifest's"},
        {HEAD "features: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e, mean: 2}]\n"
              "model: made\n",
         "lgb_binary.txt", NULL, "e: a model of kind trees takes features as they are"},
        {HEAD FIVE "model: made\n", "lgb_classes.txt", NULL, "objective multiclass: 3 outputs"},
        {HEAD FIVE "model: made\n", "lgb_rank.txt", NULL, "objective lambdarank: it gives no"},
        {HEAD FIVE "model: made\ncalibration: {slope: 1}\n", "lgb_rank.txt", NULL, NULL},
        {HEAD FIVE "model: made\ncalibration: {slop: 1}\n", "lgb_binary.txt", NULL, "slop"},
        {HEAD FIVE "model: made\ncalibration: {points: [[0, 0]]}\n", "lgb_binary.txt", NULL,
         "points: 2 to 256 points"},
        {HEAD FIVE "model: made\ncalibration: {points: [[0, 0], [0, 1]]}\n", "lgb_binary.txt", NULL,
         "points in rising order"},
        {HEAD FIVE "model: made\ncalibration: {points: [[0, 1], [1, 0]]}\n", "lgb_binary.txt", NULL,
         "points in rising order"},
        {HEAD FIVE "model: made\ncalibration: {points: [[0, 1], [1, 1]]}\n", "lgb_binary.txt", NULL,
         "rise on the whole"},
        {HEAD FIVE "model: made\ncalibration: {points: [[0, 0], [1, 1]], slope: 1}\n",
         "lgb_binary.txt", NULL, "either points, or"},
        {MEAN "packs: [made]\n", "lgb_binary.txt", NULL, "packs: 2 to 8 folders"},
        {MEAN "packs: [., .]\n", "lgb_binary.txt", NULL, "cannot be a part of another pack"},
        {MEAN "packs: [a, b]\nfeatures: [{name: a}]\n", "lgb_binary.txt", NULL,
         "features: a pack of kind mean has the features of its parts"},
        {MEAN "packs: [nothing, here]\n", "lgb_binary.txt", NULL, "nothing/manifest.yaml"},
        {"format: 1\nkind: [a]\nname: x\nversion: 1\n", "lgb_binary.txt", NULL, "one of logistic"},
        {"format: 1\nkind: tree\nname: x\nversion: 1\n", "lgb_binary.txt", NULL, "trees expected"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        write_bytes(*state, "manifest.yaml", table[i].manifest, strlen(table[i].manifest));
        write_model(*state, table[i].model, "made", table[i].names);
        struct model_pack *pack = NULL;
        struct error error = {"accepted"};
        enum status status = model_pack_load(*state, &pack, &error);
        model_pack_unload(pack);
        bool is_right = table[i].complaint
                            ? status == STATUS_INVALID && strstr(error.message, table[i].complaint)
                            : status == STATUS_OK;
        if (!is_right) {
            fail_msg("row %zu: \"%s\", %s expected", i, error.message,
                     table[i].complaint ? table[i].complaint : "success");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trees_score_as_their_maker_predicts, setup, teardown),
        cmocka_unit_test_setup_teardown(features_that_the_file_names_are_found_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reasons_of_every_kind_sum_to_the_calibrated_logit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_mean_is_the_mean_of_calibrated_logits, setup, teardown),
        cmocka_unit_test_setup_teardown(result_of_a_row_does_not_depend_on_its_batch, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(points_bend_a_logit_and_keep_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_by_name_what_is_wrong, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
