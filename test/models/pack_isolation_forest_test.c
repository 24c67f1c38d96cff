#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/model_backend.h"
#include "models/pack_isolation_forest.h"
#include "models/pack_writer.h"
#include "models/path_scale.h"
#include "models/train_isolation.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

#define ROWS 600u
#define FEATURES 4u
#define STRIDE 9u

static const uint32_t places[FEATURES] = {7, 2, 8, 0};
static const uint32_t table_columns[FEATURES] = {0, 1, 2, 3};
static const char *const names[FEATURES] = {"price", "pieces", "pause", "visits"};

static float uniform(struct random *random)
{
    return (float)random_below(random, 1u << 24) * 0x1p-24f;
}

/* A table whose positives, one in thirty, lie far out; a tenth of the values is missing. */
static void make_table(struct row_table *table)
{
    struct error error;
    struct random random = {4};
    assert_int_equal(row_table_init(table, FEATURES, ROWS * 2, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct table_row row = {.group = i + 1, .sequence = i, .time_ms = i, .label = i % 30 == 0};
        float features[FEATURES];
        for (uint32_t f = 0; f < FEATURES; f++) {
            features[f] = uniform(&random) + uniform(&random) + uniform(&random);
            features[f] = random_below(&random, 10) == 0 ? NAN : features[f];
        }
        features[i % FEATURES] = row.label ? 7 : features[i % FEATURES];
        assert_int_equal(row_table_add(table, &row, features, &error), STATUS_OK);
    }
    row_table_weigh(table);
}

struct scene {
    struct row_table table;
    struct isolation_fit fit;
    struct isolation_train_options options;
    uint8_t parts[ROWS];
    char *directory;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct error error;
    make_table(&scene->table);
    for (uint32_t i = 0; i < ROWS; i++) {
        scene->parts[i] = i < 400 ? SPLIT_FIT : SPLIT_HELD;
    }
    scene->options =
        (struct isolation_train_options){.columns = table_columns,
                                         .column_count = FEATURES,
                                         .forest = {.trees = 60, .sample = 128, .seed = 2}};
    assert_int_equal(
        train_isolation(&scene->table, scene->parts, &scene->options, &scene->fit, &error),
        STATUS_OK);
    scene->directory = fixture_directory();
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    isolation_fit_release(&scene->fit);
    row_table_release(&scene->table);
    fixture_remove(scene->directory);
    free(scene->directory);
    free(scene);
    return 0;
}

/* What a test breaks of the tensors before they are written. */
typedef void damage_function(float *nodes, float *roots, uint64_t *node_count);

static void write_pack(const struct scene *scene, const char *path, damage_function *damage)
{
    const struct isolation_forest *forest = scene->fit.forest;
    float *nodes = isolation_nodes_as_floats(forest);
    float *roots = isolation_roots_as_floats(forest);
    uint64_t count = forest->node_count;
    if (damage) {
        damage(nodes, roots, &count);
    }
    struct tensor tensors[] = {{"nodes", 2, {count, 4}, count * 4, nodes},
                               {"roots", 1, {forest->tree_count}, forest->tree_count, roots}};
    struct pack_feature features[FEATURES] = {{.name = NULL}};
    for (uint32_t f = 0; f < FEATURES; f++) {
        features[f].name = (char *)(uintptr_t)names[f];
    }
    const struct pack_content content = {.kind = "isolation_forest",
                                         .lines = "",
                                         .features = features,
                                         .feature_count = FEATURES,
                                         .calibration = &scene->fit.calibration,
                                         .threshold = 0.5f,
                                         .tensors = tensors,
                                         .tensor_count = 2};
    const struct pack_text text = {.name = "odd", .version = "1", .training = ""};
    struct error error;
    assert_int_equal(pack_write_content(path, &text, &content, &error), STATUS_OK);
    free(nodes);
    free(roots);
}

static void spread(const struct scene *scene, uint32_t i, float *row)
{
    for (uint32_t k = 0; k < STRIDE; k++) {
        row[k] = 1e9f; /* Of other features: must not matter. */
    }
    for (uint32_t f = 0; f < FEATURES; f++) {
        row[places[f]] = row_table_features(&scene->table, i)[f];
    }
}

static void a_pack_scores_as_the_fit_and_its_reasons_sum(void **state)
{
    struct scene *scene = *state;
    char path[600];
    struct error error;
    struct model_pack *pack;
    struct model *model;
    static float rows[ROWS * STRIDE];
    float logits[ROWS], fitted[ROWS];
    uint32_t chosen[ROWS];
    (void)snprintf(path, sizeof(path), "%s/pack", scene->directory);
    write_pack(scene, path, NULL);
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_OK);
    assert_int_equal(model_load(&backend_lanes, pack, places, STRIDE, &model, &error), STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        spread(scene, i, rows + (size_t)i * STRIDE);
        chosen[i] = i;
    }
    assert_int_equal(model_score(model, rows, STRIDE, NULL, ROWS, logits, &error), STATUS_OK);
    assert_int_equal(isolation_fit_logits(&scene->fit, &scene->table, &scene->options, chosen, ROWS,
                                          fitted, &error),
                     STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        float terms[FEATURES], base, alone;
        assert_true(fabsf(logits[i] - fitted[i]) < 1e-4f);
        model_explain(model, rows + (size_t)i * STRIDE, NULL, terms, &base);
        assert_true(fabsf(base + terms[0] + terms[1] + terms[2] + terms[3] - logits[i]) < 1e-4f);
        assert_int_equal(model_score(model, rows, STRIDE, &i, 1, &alone, &error), STATUS_OK);
        assert_memory_equal(&alone, &logits[i], sizeof(alone));
    }
    model_unload(model);
    model_pack_unload(pack);
}

static void labels_are_measured_by_but_not_learnt_from(void **state)
{
    struct scene *scene = *state;
    struct error error;
    struct isolation_fit other;
    assert_true(scene->fit.is_measured && scene->fit.held.roc_auc > 0.9);
    for (uint32_t i = 0; i < ROWS; i++) {
        scene->table.rows[i].label = i < 400 && i % 2;
    }
    assert_int_equal(train_isolation(&scene->table, scene->parts, &scene->options, &other, &error),
                     STATUS_OK);
    assert_false(other.is_measured);
    assert_int_equal(other.forest->node_count, scene->fit.forest->node_count);
    assert_memory_equal(other.forest->nodes, scene->fit.forest->nodes,
                        other.forest->node_count * sizeof(struct isolation_node));
    isolation_fit_release(&other);
}

static void the_median_row_and_the_hundredth_have_their_logits(void **state)
{
    struct scene *scene = *state;
    struct error error;
    uint32_t chosen[400], below = 0, above = 0;
    float logits[400];
    for (uint32_t i = 0; i < 400; i++) {
        chosen[i] = i;
    }
    assert_int_equal(isolation_fit_logits(&scene->fit, &scene->table, &scene->options, chosen, 400,
                                          logits, &error),
                     STATUS_OK);
    for (uint32_t i = 0; i < 400; i++) {
        below += logits[i] < PATH_LOGIT_MEDIAN - 1e-3f;
        above += logits[i] > PATH_LOGIT_P99 + 1e-3f;
    }
    assert_true(below > 180 && below < 205);
    assert_true(above <= 4);
}

static void too_few_rows_are_refused(void **state)
{
    struct scene *scene = *state;
    struct error error;
    struct isolation_fit fit;
    memset(scene->parts, SPLIT_HELD, sizeof(scene->parts));
    scene->parts[3] = SPLIT_FIT;
    assert_int_equal(train_isolation(&scene->table, scene->parts, &scene->options, &fit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "1 rows"));
}

static void half_a_feature(float *nodes, float *roots, uint64_t *count)
{
    (void)roots;
    (void)count;
    nodes[0] = 0.5f;
}
static void a_feature_too_many(float *nodes, float *roots, uint64_t *count)
{
    (void)roots;
    (void)count;
    nodes[0] = FEATURES;
}
static void a_child_before_its_parent(float *nodes, float *roots, uint64_t *count)
{
    (void)roots;
    (void)count;
    nodes[2] = 0;
}
static void a_child_beyond_the_end(float *nodes, float *roots, uint64_t *count)
{
    (void)roots;
    nodes[2] = (float)*count - 1;
}
static void a_huge_child(float *nodes, float *roots, uint64_t *count)
{
    (void)roots;
    (void)count;
    nodes[2] = 1e30f;
}
static void a_root_beyond_the_end(float *nodes, float *roots, uint64_t *count)
{
    (void)nodes;
    roots[1] = (float)*count;
}
static void a_root_below_zero(float *nodes, float *roots, uint64_t *count)
{
    (void)nodes;
    (void)count;
    roots[1] = -1;
}
static void nodes_cut_off(float *nodes, float *roots, uint64_t *count)
{
    (void)nodes;
    (void)roots;
    *count /= 2;
}

static void damaged_packs_are_refused_by_name(void **state)
{
    struct scene *scene = *state;
    static const struct {
        damage_function *damage;
        const char *words;
    } table[] = {
        {half_a_feature, "node 0: feature 0.5"},
        {a_feature_too_many, "node 0: feature 4 of 4"},
        {a_child_before_its_parent, "node 0: children at 0"},
        {a_child_beyond_the_end, "node 0: children at"},
        {a_huge_child, "node 0: feature"},
        {a_root_beyond_the_end, "tree 1: root at"},
        {a_root_below_zero, "tensor roots: -1"},
        {nodes_cut_off, "root at"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char path[600];
        struct error error;
        struct model_pack *pack = NULL;
        (void)snprintf(path, sizeof(path), "%s/bad%zu", scene->directory, i);
        write_pack(scene, path, table[i].damage);
        assert_int_equal(model_pack_load(path, &pack, &error), STATUS_INVALID);
        assert_null(pack);
        assert_non_null(strstr(error.message, "weights.safetensors"));
        if (!strstr(error.message, table[i].words)) {
            fail_msg("\"%s\" expected in \"%s\"", table[i].words, error.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pack_scores_as_the_fit_and_its_reasons_sum, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(labels_are_measured_by_but_not_learnt_from, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_median_row_and_the_hundredth_have_their_logits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(too_few_rows_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_packs_are_refused_by_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
