#include "models/import_lightgbm.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/import_lightgbm_tree.h"
#include "pipeline/base/number_text.h"
#include "pipeline/base/text.h"

static const struct objective {
    const char *name;
    enum tree_link link;
} objectives[] = {
    {"binary", TREE_LINK_SIGMOID},
    {"multiclass", TREE_LINK_SOFTMAX},
    {"multiclassova", TREE_LINK_SIGMOID},
    {"regression", TREE_LINK_IDENTITY},
    {"regression_l1", TREE_LINK_IDENTITY},
    {"huber", TREE_LINK_IDENTITY},
    {"fair", TREE_LINK_IDENTITY},
    {"quantile", TREE_LINK_IDENTITY},
    {"mape", TREE_LINK_IDENTITY},
    {"poisson", TREE_LINK_EXP},
    {"gamma", TREE_LINK_EXP},
    {"tweedie", TREE_LINK_EXP},
    {"cross_entropy", TREE_LINK_SIGMOID},
    {"cross_entropy_lambda", TREE_LINK_SOFTPLUS},
    {"lambdarank", TREE_LINK_IDENTITY},
    {"rank_xendcg", TREE_LINK_IDENTITY},
    {"custom", TREE_LINK_IDENTITY},
    {"", TREE_LINK_IDENTITY},
};

static bool next_line(struct lightgbm_importer *importer, struct text *ret_line)
{
    if (importer->next == importer->end) {
        return false;
    }
    size_t rest = (size_t)(importer->end - importer->next);
    const char *stop = memchr(importer->next, '\n', rest);
    size_t length = stop ? (size_t)(stop - importer->next) : rest;
    *ret_line = (struct text){importer->next, (uint32_t)length};
    importer->next += length + (stop != NULL);
    while (ret_line->length > 0 && ret_line->data[ret_line->length - 1] == '\r') {
        ret_line->length--;
    }
    return true;
}

/* Splits "key=value"; without the sign the value is empty. */
static struct text split_line(struct text line, struct text *ret_key)
{
    const char *sign = line.length ? memchr(line.data, '=', line.length) : NULL;
    uint32_t key = sign ? (uint32_t)(sign - line.data) : line.length;
    *ret_key = (struct text){line.data, key};
    return (struct text){line.data + key + (sign != NULL), line.length - key - (sign != NULL)};
}

static bool text_starts(struct text text, const char *start)
{
    size_t length = strlen(start);
    return text.length >= length && memcmp(text.data, start, length) == 0;
}

static bool text_count(struct text text, uint32_t max, uint32_t *ret_count)
{
    return lightgbm_count(number_text_read_double(text.data, text.length), max, ret_count);
}

static enum status read_header_line(struct lightgbm_importer *importer, struct text line)
{
    struct text key;
    struct text value = split_line(line, &key);
    if (text_is(key, "max_feature_idx")) {
        if (!text_count(value, TREE_FEATURES_MAX - 1, &importer->feature_count)) {
            return lightgbm_refuse(importer, "max_feature_idx", "at most 65535");
        }
        importer->feature_count++;
    } else if (text_is(key, "num_tree_per_iteration")) {
        if (!text_count(value, TREE_OUTPUTS_MAX, &importer->trees_per_iteration) ||
            importer->trees_per_iteration == 0) {
            return lightgbm_refuse(importer, "num_tree_per_iteration", "1 to 1024");
        }
    } else if (text_is(key, "objective")) {
        importer->objective = value;
    } else if (text_is(key, "average_output")) {
        importer->averages = true;
    } else if (text_is(key, "feature_names")) {
        importer->feature_names = value;
    } else if (text_is(key, "tree_sizes")) {
        struct text word;
        while (lightgbm_next_word(&value, &word)) {
            importer->announced_trees++;
        }
    }
    return STATUS_OK;
}

/* Up to the first tree; `ret_line` is the line where it starts. */
static enum status read_header(struct lightgbm_importer *importer)
{
    struct text line;
    while (importer->next < importer->end &&
           !text_starts((struct text){importer->next, (uint32_t)(importer->end - importer->next)},
                        "Tree=") &&
           next_line(importer, &line)) {
        enum status status = read_header_line(importer, line);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (importer->feature_count == 0) {
        return lightgbm_refuse(importer, "max_feature_idx", "the last feature's number");
    }
    if (importer->trees_per_iteration == 0) {
        return lightgbm_refuse(importer, "num_tree_per_iteration", "1 to 1024");
    }
    if (importer->announced_trees == 0 ||
        importer->announced_trees % importer->trees_per_iteration != 0) {
        return lightgbm_refuse(importer, "tree_sizes",
                               "a number of trees that num_tree_per_iteration divides");
    }
    return STATUS_OK;
}

/* "binary sigmoid:1": the name, and what its words say of the link. */
static enum status read_objective(const struct lightgbm_importer *importer, char *ret_name,
                                  size_t size, struct tree_settings *settings)
{
    struct text words = importer->objective;
    struct text name = {0};
    struct text word;
    (void)lightgbm_next_word(&words, &name);
    const struct objective *objective = NULL;
    for (size_t i = 0; i < sizeof(objectives) / sizeof(objectives[0]); i++) {
        if (text_is(name, objectives[i].name)) {
            objective = &objectives[i];
        }
    }
    if (!objective || name.length >= size) {
        return lightgbm_refuse(importer, "objective", "an objective of LightGBM");
    }
    memcpy(ret_name, objective->name, (size_t)name.length + 1);
    settings->objective = ret_name;
    settings->link = objective->link;
    settings->link_scale = 1;
    while (lightgbm_next_word(&words, &word)) {
        if (text_starts(word, "sigmoid:")) {
            settings->link_scale = number_text_read_double(word.data + 8, word.length - 8);
            if (!(settings->link_scale > 0 && settings->link_scale < INFINITY)) {
                return lightgbm_refuse(importer, "objective: sigmoid", "a number above 0");
            }
        } else if (text_is(word, "sqrt") && objective->link == TREE_LINK_IDENTITY) {
            settings->link = TREE_LINK_SQUARE;
        }
    }
    return STATUS_OK;
}

static enum status read_names(const struct lightgbm_importer *importer, char ***ret_names)
{
    struct text words = importer->feature_names;
    struct text word;
    char **names = calloc(importer->feature_count + 1u, sizeof(*names));
    *ret_names = names;
    uint32_t count = 0;
    while (names && lightgbm_next_word(&words, &word)) {
        if (count == importer->feature_count) {
            return lightgbm_refuse(importer, "feature_names", "one name for each feature");
        }
        names[count] = strndup(word.data, word.length);
        if (!names[count++]) {
            names = NULL;
        }
    }
    if (!names) {
        return lightgbm_out_of_memory(importer);
    }
    return count == importer->feature_count || count == 0
               ? STATUS_OK
               : lightgbm_refuse(importer, "feature_names", "one name for each feature");
}

static enum status start(struct lightgbm_importer *importer)
{
    char objective[32];
    char **names = NULL;
    assert(importer->trees_per_iteration > 0);
    uint32_t iterations = importer->announced_trees / importer->trees_per_iteration;
    struct tree_settings settings = {
        .maker = "lightgbm",
        .feature_count = importer->feature_count,
        .output_count = importer->trees_per_iteration,
        .divisor = importer->averages ? (double)iterations : 1,
    };
    enum status status = read_objective(importer, objective, sizeof(objective), &settings);
    double *base = calloc(importer->trees_per_iteration + 1u, sizeof(*base));
    if (status == STATUS_OK && !base) {
        status = lightgbm_out_of_memory(importer);
    }
    if (status == STATUS_OK) {
        status = read_names(importer, &names);
    }
    if (status == STATUS_OK) {
        settings.base = base;
        settings.feature_names = names && names[0] ? names : NULL;
        status =
            tree_builder_create(importer->name, &settings, &importer->builder, importer->error);
    }
    for (uint32_t i = 0; names && names[i]; i++) {
        free(names[i]);
    }
    free(names);
    free(base);
    return status;
}

/* From the line "Tree=N" to the next one, or to the end of the trees. */
static enum status read_tree(struct lightgbm_importer *importer, struct text line)
{
    for (uint32_t f = 0; f < LIGHTGBM_FIELD_COUNT; f++) {
        importer->numbers[f].count = 0;
    }
    while (importer->next < importer->end) {
        struct text rest = {importer->next, (uint32_t)(importer->end - importer->next)};
        if (text_starts(rest, "Tree=") || text_starts(rest, "end of trees") ||
            text_starts(rest, "feature importances") || !next_line(importer, &line)) {
            break;
        }
        struct text key;
        struct text value = split_line(line, &key);
        enum status status = lightgbm_read_field(importer, key, value);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return lightgbm_add_tree(importer);
}

static enum status read_trees(struct lightgbm_importer *importer)
{
    struct text line;
    while (next_line(importer, &line) && text_starts(line, "Tree=")) {
        enum status status = read_tree(importer, line);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (importer->tree_count != importer->announced_trees) {
        return error_set(importer->error, STATUS_INVALID,
                         "%s: %" PRIu32 " trees, but tree_sizes lists %" PRIu32
                         ": the file is not whole",
                         importer->name, importer->tree_count, importer->announced_trees);
    }
    return STATUS_OK;
}

enum status import_lightgbm(const char *name, const char *bytes, size_t length,
                            struct tree_ensemble **ret_ensemble, struct error *error)
{
    struct lightgbm_importer importer = {
        .name = name, .next = bytes, .end = bytes + length, .error = error};
    enum status status = read_header(&importer);
    if (status == STATUS_OK) {
        status = start(&importer);
    }
    if (status == STATUS_OK) {
        status = read_trees(&importer);
    }
    if (status == STATUS_OK) {
        status = tree_builder_finish(importer.builder, ret_ensemble, error);
    }
    tree_builder_destroy(importer.builder);
    for (uint32_t f = 0; f < LIGHTGBM_FIELD_COUNT; f++) {
        free(importer.numbers[f].values);
    }
    free(importer.nodes);
    free(importer.sets);
    return status;
}
