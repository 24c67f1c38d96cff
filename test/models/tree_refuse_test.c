/* Files that are no models are refused by the name of the field, and never do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/tree_ensemble.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

static const char xgboost_model[] =
    "{\"learner\":{\"attributes\":{\"note\":\"a \\\"quoted\\\" word\"},"
    "\"feature_names\":[\"a\",\"b\"],\"feature_types\":[],"
    "\"gradient_booster\":{\"model\":{\"gbtree_model_param\":{\"num_trees\":\"1\","
    "\"size_leaf_vector\":\"0\"},\"tree_info\":[0],\"trees\":[{"
    "\"categories\":[1,3],\"categories_nodes\":[2],\"categories_segments\":[0],"
    "\"categories_sizes\":[2],\"default_left\":[true,false,0,0,0],\"id\":0,"
    "\"left_children\":[1,-1,3,-1,-1],\"right_children\":[2,-1,4,-1,-1],"
    "\"split_conditions\":[5E-1,-1.5E0,NaN,2E0,3E0],\"split_indices\":[0,0,1,0,0],"
    "\"split_type\":[0,0,1,0,0],\"sum_hessian\":[9E0,4E0,5E0,2E0,3E0],"
    "\"tree_param\":{\"num_nodes\":\"5\",\"size_leaf_vector\":\"0\"}}]},\"name\":\"gbtree\"},"
    "\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":\"0\",\"num_feature\":\"2\"},"
    "\"objective\":{\"name\":\"binary:logistic\"}},\"version\":[1,7,4]}";

static const char lightgbm_model[] =
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    "objective=binary sigmoid:1\nfeature_names=a b\nfeature_infos=[0:1] 0:1:2\ntree_sizes=300\n\n"
    "Tree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\nsplit_gain=9 8\nthreshold=0.5 0\n"
    "decision_type=2 1\nleft_child=-1 -2\nright_child=1 -3\nleaf_value=-1.5 2 3\n"
    "leaf_weight=1 1 1\nleaf_count=4 2 3\ncat_boundaries=0 1\ncat_threshold=10\n"
    "is_linear=0\nshrinkage=1\n\n\nend of trees\n\nparameters:\n[boosting: gbdt]\n";

struct change {
    const char *from, *to;
    const char *message; /* A part of it; NULL: the file is read. */
};

static const struct change xgboost_changes[] = {
    {"", "", NULL},
    {"\"num_class\":\"0\",", "", NULL},
    {"\"5E-1\"", "\"[5E-1]\"", NULL},
    {"true,false", "1, 0", NULL},
    {"{\"learner\"", "{ \n\"learner\"", NULL},
    {"\"learner\":", "\"lerner\":", "learner: the model"},
    {"\"gbtree\"", "\"gblinear\"", "linear boosters"},
    {"\"gbtree\"", "\"dart\"", "weight_drop"},
    {"binary:logistic", "binary:guess", "learner.objective.name: \"binary:guess\""},
    {"\"5E-1\"", "\"1.5\"", "base_score"},
    {"\"5E-1\"", "\"[5E-1,5E-1]\"", "base_score"},
    {"\"5E-1\"", "\"nan\"", "base_score"},
    {"\"5E-1\"", "\"\"", "base_score"},
    {"\"num_feature\":\"2\"", "\"num_feature\":\"0\"", "num_feature"},
    {"\"num_feature\":\"2\"", "\"num_feature\":\"99999999999\"", "num_feature"},
    {"\"num_feature\":\"2\"", "\"num_feature\":\"3\"", "feature_names"},
    {"[\"a\",\"b\"]", "[\"a\",7]", "feature_names"},
    {"\"num_class\":\"0\"", "\"num_class\":\"5000\"", "num_class"},
    {"\"num_trees\":\"1\"", "\"num_trees\":\"2\"", "num_trees"},
    {"\"tree_info\":[0]", "\"tree_info\":[1]", "tree_info"},
    {"\"tree_info\":[0]", "\"tree_info\":[0,0]", "tree_info"},
    {"\"size_leaf_vector\":\"0\"}}]", "\"size_leaf_vector\":\"3\"}}]", "size_leaf_vector"},
    {"[1,-1,3,-1,-1]", "[1,-1,9,-1,-1]", "trees[0].left_children"},
    {"[1,-1,3,-1,-1]", "[1,-1,0,-1,-1]", "two parents"},
    {"[1,-1,3,-1,-1]", "[1,-1,2,-1,-1]", "two parents"},
    {"[1,-1,3,-1,-1]", "[1,-1,4,-1,-1]", "two parents"},
    {"[1,-1,3,-1,-1]", "[1,-1,2.5,-1,-1]", "left_children"},
    {"[1,-1,3,-1,-1]", "[1,-1,NaN,-1,-1]", "left_children"},
    {"[1,-1,3,-1,-1]", "[1,-1,3,-1]", "right_children: as many numbers"},
    {"[1,-1,3,-1,-1]", "[]", "left_children"},
    {"[2,-1,4,-1,-1]", "[2,-1,1,-1,-1]", "two parents"},
    {"[2,-1,4,-1,-1]", "[2,-1,-1,-1,-1]", "right_children"},
    {"[2,-1,4,-1,-1]", "[2,3,4,-1,-1]", "right_children: -1 at every leaf"},
    {"[0,0,1,0,0],\"split_type", "[2,0,1,0,0],\"split_type", "a feature that the model has not"},
    {"[0,0,1,0,0],\"split_type", "[-1,0,1,0,0],\"split_type", "split_indices"},
    {"[5E-1,-1.5E0", "[NaN,-1.5E0", "split_conditions"},
    {"[5E-1,-1.5E0", "[5E-1,NaN", "leaf value"},
    {"[5E-1,-1.5E0", "[5E-1,1E300", "leaf value"},
    {"[5E-1,-1.5E0", "[5E-1,-Infinity", "leaf value"},
    {"[9E0,4E0", "[9E0,NaN", "sum_hessian"},
    {"[9E0,4E0", "[9E0,-4", "sum_hessian"},
    {"[9E0,4E0", "[9E0,Infinity", "cover"},
    {"[true,false", "[2,false", "default_left"},
    {"\"split_type\":[0", "\"split_type\":[7", "split_type"},
    {"\"categories_nodes\":[2]", "\"categories_nodes\":[0]", "categories_nodes"},
    {"\"categories_nodes\":[2]", "\"categories_nodes\":[]", "categories_sizes"},
    {"\"categories_nodes\":[2]", "\"category_nodes\":[2]", "categories_nodes"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[3]", "categories_segments"},
    {"\"categories\":[1,3]", "\"categories\":[1,16777216]", "categories"},
    {"\"categories\":[1,3]", "\"categories\":[1,-3]", "categories"},
    {"[1,7,4]}", "[1,7,4]", "JSON"},
    {"[1,7,4]}", "[1,7,4]}}", "nothing more"},
    {"[1,7,4]", "[1,\"7\",4]", "a value"},
    {"[1,7,4]", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "less nesting"},
};

static const struct change lightgbm_changes[] = {
    {"", "", NULL},
    {"leaf_count=4 2 3\n", "", NULL},
    {"objective=binary sigmoid:1\n", "", NULL},
    {"objective=binary", "objective=guess", "objective"},
    {"sigmoid:1", "sigmoid:-1", "sigmoid"},
    {"max_feature_idx=1", "max_feature_idx=-1", "max_feature_idx"},
    {"max_feature_idx=1\n", "", "max_feature_idx"},
    {"max_feature_idx=1", "max_feature_idx=2", "feature_names"},
    {"num_tree_per_iteration=1", "num_tree_per_iteration=0", "num_tree_per_iteration"},
    {"num_tree_per_iteration=1", "num_tree_per_iteration=2", "tree_sizes"},
    {"tree_sizes=300", "tree_sizes=300 300", "not whole"},
    {"tree_sizes=300\n", "", "tree_sizes"},
    {"num_leaves=3", "num_leaves=4", "Tree=0: split_feature"},
    {"num_leaves=3", "num_leaves=0", "num_leaves"},
    {"num_leaves=3", "num_leaves=3 3", "num_leaves"},
    {"num_leaves=3", "num_leaves=99999999999", "num_leaves"},
    {"split_feature=0 1", "split_feature=0 2", "split_feature"},
    {"split_feature=0 1", "split_feature=0", "split_feature"},
    {"threshold=0.5 0\n", "threshold=nan 0\n", "threshold"},
    {"threshold=0.5 0\n", "threshold=0.5 1\n", "threshold"},
    {"threshold=0.5 0\n", "threshold=0.5 zero\n", "threshold"},
    {"decision_type=2 1", "decision_type=2 16", "decision_type"},
    {"decision_type=2 1", "decision_type=14 1", "decision_type"},
    {"left_child=-1 -2", "left_child=-1 0", "two parents"},
    {"left_child=-1 -2", "left_child=-1 -1", "two parents"},
    {"left_child=-1 -2", "left_child=-1 -4", "left_child"},
    {"right_child=1 -3", "right_child=2 -3", "right_child"},
    {"leaf_value=-1.5", "leaf_value=inf", "leaf_value"},
    {"leaf_value=-1.5", "leaf_value=1e300", "leaf value"},
    {"leaf_value=-1.5 2", "leaf_value=2", "leaf_value"},
    {"leaf_count=4 2", "leaf_count=4", "leaf_count"},
    {"cat_boundaries=0 1", "cat_boundaries=0 2", "cat_boundaries"},
    {"cat_boundaries=0 1", "cat_boundaries=1 0", "cat_boundaries"},
    {"cat_threshold=10", "cat_threshold=-10", "cat_threshold"},
    {"cat_threshold=10", "cat_threshold=99999999999", "cat_threshold"},
    {"is_linear=0", "is_linear=1", "linear leaves"},
    {"num_cat=1\n", "num_cat=1\nthreshold=1 1\n", "threshold: one line"},
    {"feature_names=a b", "feature_names=a b c", "feature_names"},
};

static enum status read_bytes(const void *bytes, size_t length, struct error *error)
{
    struct tree_ensemble *ensemble = NULL;
    /* From a block of its own, so that reading beyond it is found. */
    void *copy = malloc(length ? length : 1);
    memcpy(copy, bytes, length);
    enum status status = tree_ensemble_read("model", copy, length, &ensemble, error);
    free(copy);
    assert_true((status == STATUS_OK) == (ensemble != NULL));
    tree_ensemble_unload(ensemble);
    return status;
}

static void check_change(const char *model, const struct change *change)
{
    char text[4096];
    struct error error = {""};
    const char *at = strstr(model, change->from);
    assert_non_null(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - model), model, change->to,
                   at + strlen(change->from));
    enum status status = read_bytes(text, strlen(text), &error);
    if (status != (change->message ? STATUS_INVALID : STATUS_OK) ||
        (change->message && !strstr(error.message, change->message))) {
        fail_msg("%s -> %s: expected \"%s\", got %d \"%s\"", change->from, change->to,
                 change->message ? change->message : "a model", (int)status, error.message);
    }
}

static void refuses_by_the_name_of_the_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(xgboost_changes) / sizeof(xgboost_changes[0]); i++) {
        check_change(xgboost_model, &xgboost_changes[i]);
    }
    for (size_t i = 0; i < sizeof(lightgbm_changes) / sizeof(lightgbm_changes[0]); i++) {
        check_change(lightgbm_model, &lightgbm_changes[i]);
    }
}

static void refuses_other_formats_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } cases[] = {
        {"\x80\x04\x95\x10", 4, "pickle"},
        {"binf\0\0\0?", 8, "old binary"},
        {"CONFIG-offset:\1\2", 16, "old binary"},
        {"", 0, "expected"},
        {"{", 1, "UBJSON"},
        {"trees\n", 6, "expected"},
        {"tree\n", 5, "max_feature_idx"},
        {"{L\0\0\0\0\0\0\0\1aZ}", 13, "learner"},
        {"{L\xFF\0\0\0\0\0\0\1aZ}", 13, "a length that the file can hold"},
        {"{i\1a[$d#l\x7F\xFF\xFF\xFF", 13, "length"},
        {"{i\1a[$S#i\1}", 11, "an array of numbers"},
        {"{i\1a{$i#i\1i\1b\1}", 15, "without a type"},
        {"{d\0\0\0\0", 6, "a length"},
        {"{i\xFF", 3, "a length"},
        {"{i\1aH", 5, "a number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {""};
        assert_int_equal(read_bytes(cases[i].bytes, cases[i].length, &error), STATUS_INVALID);
        if (!strstr(error.message, cases[i].message)) {
            fail_msg("case %zu: expected \"%s\", got \"%s\"", i, cases[i].message, error.message);
        }
    }
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    struct tree_ensemble *ensemble = NULL;
    struct error error = {""};
    char *folder = fixture_directory();
    char path[512];
    assert_int_equal(tree_ensemble_load(folder, &ensemble, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "a file expected"));
    (void)snprintf(path, sizeof(path), "%s/none.json", folder);
    assert_int_equal(tree_ensemble_load(path, &ensemble, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "none.json"));
    (void)snprintf(path, sizeof(path), "%s/huge.json", folder);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0x7FFFFFFF, SEEK_SET), 0); /* A hole of 2 GB. */
    assert_int_equal(fputc('}', stream), '}');
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(tree_ensemble_load(path, &ensemble, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "at most") ? error.message
                                                     : strstr(error.message, "bytes; 1 to"));
    assert_null(ensemble);
    fixture_remove(folder);
    free(folder);
}

static char *read_whole(const char *path, size_t *ret_length)
{
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    char *bytes = malloc(1u << 17);
    *ret_length = fread(bytes, 1, 1u << 17, stream);
    (void)fclose(stream);
    return bytes;
}

static void survives_every_truncation_and_many_damages(void **state)
{
    (void)state;
    static const char *const files[] = {
        "test/models/trees/xgb_softmax.json", "test/models/trees/xgb_categories.ubj",
        "test/models/trees/lgb_categories.txt", "test/models/trees/lgb_constant.txt"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct random random = {i};
        size_t length;
        char *bytes = read_whole(files[i], &length);
        bool is_text = strstr(files[i], ".txt") != NULL;
        for (size_t end = 0; end < length; end += 1 + length / 400) {
            /* A text is whole from the end of its trees on. */
            enum status status = read_bytes(bytes, end, NULL);
            assert_true(is_text || status == STATUS_INVALID);
        }
        for (uint32_t round = 0; round < 500; round++) {
            uint32_t at = random_below(&random, (uint32_t)length);
            char kept = bytes[at];
            bytes[at] = (char)random_next(&random);
            (void)read_bytes(bytes, length, NULL);
            bytes[at] = kept;
        }
        assert_int_equal(read_bytes(bytes, length, NULL), STATUS_OK);
        free(bytes);
    }
}

static void refuses_a_tree_that_is_too_deep(void **state)
{
    (void)state;
    uint32_t splits = TREE_DEPTH_MAX + 1;
    char *text = malloc(1u << 16);
    int used = snprintf(text, 1u << 16,
                        "tree\nnum_tree_per_iteration=1\nmax_feature_idx=0\ntree_sizes=1\n"
                        "Tree=0\nnum_leaves=%u\n",
                        splits + 1);
    static const char *const fields[] = {"split_feature", "threshold",   "decision_type",
                                         "left_child",    "right_child", "leaf_value"};
    for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
        used += sprintf(text + used, "%s=", fields[f]);
        for (uint32_t i = 0; i < splits + (f == 5); i++) {
            int child = f == 3 ? -1 - (int)i : f == 4 && i + 1 < splits ? (int)i + 1 : 0;
            child = f == 4 && i + 1 == splits ? -1 - (int)splits : child;
            used += sprintf(text + used, " %d", child);
        }
        used += sprintf(text + used, "\n");
    }
    struct error error = {""};
    assert_int_equal(read_bytes(text, (size_t)used, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "deeper than 256"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_by_the_name_of_the_field),
        cmocka_unit_test(refuses_other_formats_with_the_reason),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(survives_every_truncation_and_many_damages),
        cmocka_unit_test(refuses_a_tree_that_is_too_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
