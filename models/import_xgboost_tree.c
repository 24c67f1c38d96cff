#include "models/import_xgboost_tree.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/base/number_text.h"

#define CATEGORY_MAX ((1u << 24) - 1)
#define TREE_SET_WORDS_MAX (1u << 24)

/* One tree's arrays, each with one number a node. */
struct tree_fields {
    const struct document_value *tree;
    uint32_t index;
    uint32_t node_count;
    const double *left, *right, *feature, *condition, *default_left, *cover;
    const double *type; /* NULL: numbers only. */
};

enum status xgboost_refuse(const struct xgboost_importer *importer, const char *field,
                           const char *expected)
{
    return error_set(importer->error, STATUS_INVALID, "%s: %s: %s expected", importer->name, field,
                     expected);
}

/* True when the number is whole and in [0, max]. */
static bool read_count(double number, uint32_t max, uint32_t *ret_count)
{
    if (!(number >= 0 && number <= (double)max && number == floor(number))) {
        return false;
    }
    *ret_count = (uint32_t)number;
    return true;
}

bool xgboost_parameter(const struct document_value *object, const char *name, uint32_t max,
                       uint32_t *ret_value)
{
    const struct document_value *value = document_member(object, name);
    if (!value) {
        *ret_value = 0;
        return true;
    }
    if (value->kind == DOCUMENT_NUMBER) {
        return read_count(value->number, max, ret_value);
    }
    return value->kind == DOCUMENT_TEXT &&
           read_count(number_text_read_double(value->text.data, value->text.length), max,
                      ret_value);
}

static enum status refuse_tree(const struct xgboost_importer *importer, uint32_t tree,
                               const char *field, const char *expected)
{
    return error_set(importer->error, STATUS_INVALID,
                     "%s: learner.gradient_booster.model.trees[%" PRIu32 "].%s: %s expected",
                     importer->name, tree, field, expected);
}

static enum status tree_numbers(const struct xgboost_importer *importer,
                                const struct tree_fields *fields, const char *field, uint32_t count,
                                const double **ret_numbers)
{
    const struct document_value *value = document_member(fields->tree, field);
    if (!value || value->kind != DOCUMENT_NUMBERS) {
        return refuse_tree(importer, fields->index, field, "an array of numbers");
    }
    if (value->count != count) {
        return refuse_tree(importer, fields->index, field, "as many numbers as there are nodes");
    }
    *ret_numbers = value->numbers;
    return STATUS_OK;
}

static enum status read_fields(const struct xgboost_importer *importer, struct tree_fields *fields)
{
    const struct document_value *left = document_member(fields->tree, "left_children");
    if (!left || left->kind != DOCUMENT_NUMBERS || left->count == 0) {
        return refuse_tree(importer, fields->index, "left_children", "an array of numbers");
    }
    uint32_t leaf_values;
    if (!xgboost_parameter(document_member(fields->tree, "tree_param"), "size_leaf_vector",
                           UINT32_MAX, &leaf_values) ||
        leaf_values > 1) {
        return refuse_tree(importer, fields->index, "tree_param.size_leaf_vector",
                           "one value a leaf (multi_strategy one_output_per_tree)");
    }
    fields->node_count = left->count;
    fields->left = left->numbers;
    const struct {
        const char *name;
        const double **numbers;
    } others[] = {
        {"right_children", &fields->right},       {"split_indices", &fields->feature},
        {"split_conditions", &fields->condition}, {"default_left", &fields->default_left},
        {"sum_hessian", &fields->cover},          {"split_type", &fields->type},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i].numbers == &fields->type && !document_member(fields->tree, "split_type")) {
            continue; /* Before version 1.3. */
        }
        enum status status =
            tree_numbers(importer, fields, others[i].name, fields->node_count, others[i].numbers);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status read_node(const struct xgboost_importer *importer,
                             const struct tree_fields *fields, uint32_t i, struct tree_input *node)
{
    const uint32_t last = fields->node_count - 1;
    *node = (struct tree_input){.kind = TREE_INPUT_LEAF};
    if (fields->left[i] == -1) {
        double weight = importer->weights ? importer->weights[fields->index] : 1;
        node->value = (double)(float)fields->condition[i] * weight;
        node->cover = fields->cover[i];
        if (!(node->cover >= 0)) {
            return refuse_tree(importer, fields->index, "sum_hessian", "numbers from 0 on");
        }
        return fields->right[i] == -1
                   ? STATUS_OK
                   : refuse_tree(importer, fields->index, "right_children", "-1 at every leaf");
    }
    node->kind = TREE_INPUT_NUMBER;
    if (!read_count(fields->left[i], last, &node->left)) {
        return refuse_tree(importer, fields->index, "left_children", "-1 or a node of the tree");
    }
    if (!read_count(fields->right[i], last, &node->right)) {
        return refuse_tree(importer, fields->index, "right_children", "-1 or a node of the tree");
    }
    if (!read_count(fields->feature[i], TREE_FEATURES_MAX, &node->feature)) {
        return refuse_tree(importer, fields->index, "split_indices", "features of the model");
    }
    if (fields->default_left[i] != 0 && fields->default_left[i] != 1) {
        return refuse_tree(importer, fields->index, "default_left", "true or false");
    }
    node->missing_left = fields->default_left[i] == 1;
    double type = fields->type ? fields->type[i] : 0;
    if (type == 1) {
        node->kind = TREE_INPUT_CATEGORY;
    } else if (type != 0) {
        return refuse_tree(importer, fields->index, "split_type", "0 or 1");
    } else if (!isfinite(fields->condition[i])) {
        return refuse_tree(importer, fields->index, "split_conditions", "finite thresholds");
    }
    node->threshold = (float)fields->condition[i];
    return STATUS_OK;
}

/* Where each categorical node has its categories. */
struct category_fields {
    const struct document_value *nodes, *first, *sizes, *categories;
};

static enum status read_category_fields(const struct xgboost_importer *importer,
                                        const struct tree_fields *fields,
                                        struct category_fields *categories)
{
    const struct {
        const char *name;
        const struct document_value **value;
    } names[] = {
        {"categories_nodes", &categories->nodes},
        {"categories_segments", &categories->first},
        {"categories_sizes", &categories->sizes},
        {"categories", &categories->categories},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct document_value *value = document_member(fields->tree, names[i].name);
        if (!value || value->kind != DOCUMENT_NUMBERS) {
            return refuse_tree(importer, fields->index, names[i].name, "an array of numbers");
        }
        *names[i].value = value;
    }
    if (categories->first->count != categories->nodes->count ||
        categories->sizes->count != categories->nodes->count) {
        return refuse_tree(importer, fields->index, "categories_sizes",
                           "as many numbers as categories_nodes has");
    }
    return STATUS_OK;
}

/* Adds to `words` how many the set of entry `entry` takes. */
static enum status measure_set(const struct xgboost_importer *importer,
                               const struct tree_fields *fields,
                               const struct category_fields *categories, uint32_t entry,
                               uint64_t *words)
{
    uint32_t at;
    uint32_t first;
    uint32_t size;
    assert(categories->categories);
    uint32_t total = categories->categories->count;
    if (!read_count(categories->nodes->numbers[entry], fields->node_count - 1, &at) ||
        importer->nodes[at].kind != TREE_INPUT_CATEGORY || importer->nodes[at].set_words != 0) {
        return refuse_tree(importer, fields->index, "categories_nodes",
                           "categorical splits, each once");
    }
    if (!read_count(categories->first->numbers[entry], total, &first) ||
        !read_count(categories->sizes->numbers[entry], total - first, &size) || size == 0) {
        return refuse_tree(importer, fields->index, "categories_segments",
                           "ranges of the categories");
    }
    uint32_t largest = 0;
    for (uint32_t i = first; i < first + size; i++) {
        uint32_t category;
        if (!read_count(categories->categories->numbers[i], CATEGORY_MAX, &category)) {
            return refuse_tree(importer, fields->index, "categories", "whole numbers below 2^24");
        }
        largest = category > largest ? category : largest;
    }
    importer->nodes[at].set_words = largest / 32 + 1;
    *words += importer->nodes[at].set_words;
    return STATUS_OK;
}

static void fill_set(const struct category_fields *categories, uint32_t entry, uint32_t *set)
{
    uint32_t first = (uint32_t)categories->first->numbers[entry];
    uint32_t size = (uint32_t)categories->sizes->numbers[entry];
    for (uint32_t i = first; i < first + size; i++) {
        uint32_t category = (uint32_t)categories->categories->numbers[i];
        set[category / 32] |= 1u << (category % 32);
    }
}

static enum status read_categories(struct xgboost_importer *importer,
                                   const struct tree_fields *fields)
{
    struct category_fields categories = {0};
    enum status status = read_category_fields(importer, fields, &categories);
    uint64_t words = 0;
    if (status != STATUS_OK) {
        return status;
    }
    assert(categories.nodes && categories.first && categories.sizes && categories.categories);
    for (uint32_t e = 0; status == STATUS_OK && e < categories.nodes->count; e++) {
        status = measure_set(importer, fields, &categories, e, &words);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (words > TREE_SET_WORDS_MAX) {
        return refuse_tree(importer, fields->index, "categories", "smaller sets");
    }
    free(importer->sets);
    importer->sets = calloc((size_t)words + 1, sizeof(uint32_t));
    if (!importer->sets) {
        return error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
    }
    uint32_t *set = importer->sets;
    for (uint32_t e = 0; e < categories.nodes->count; e++) {
        struct tree_input *node = &importer->nodes[(uint32_t)categories.nodes->numbers[e]];
        fill_set(&categories, e, set);
        node->set = set; /* These go right, unknown ones left. */
        set += node->set_words;
    }
    return STATUS_OK;
}

enum status xgboost_read_tree(struct xgboost_importer *importer, const struct document_value *tree,
                              uint32_t index, double output)
{
    struct tree_fields fields = {.tree = tree, .index = index};
    enum status status = read_fields(importer, &fields);
    if (status != STATUS_OK) {
        return status;
    }
    if (fields.node_count > importer->node_capacity) {
        free(importer->nodes);
        importer->nodes = malloc(fields.node_count * sizeof(*importer->nodes));
        importer->node_capacity = importer->nodes ? fields.node_count : 0;
        if (!importer->nodes) {
            return error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
        }
    }
    bool has_categories = false;
    for (uint32_t i = 0; status == STATUS_OK && i < fields.node_count; i++) {
        status = read_node(importer, &fields, i, &importer->nodes[i]);
        has_categories |= importer->nodes[i].kind == TREE_INPUT_CATEGORY;
    }
    if (status == STATUS_OK && has_categories) {
        status = read_categories(importer, &fields);
    }
    for (uint32_t i = 0; status == STATUS_OK && has_categories && i < fields.node_count; i++) {
        if (importer->nodes[i].kind == TREE_INPUT_CATEGORY && !importer->nodes[i].set) {
            status = refuse_tree(importer, index, "categories_nodes", "every categorical split");
        }
    }
    uint32_t place = 0;
    if (status == STATUS_OK && !read_count(output, importer->output_count - 1, &place)) {
        status = xgboost_refuse(importer, "learner.gradient_booster.model.tree_info",
                                "a class of the model for each tree");
    }
    return status == STATUS_OK ? tree_builder_add(importer->builder, importer->nodes,
                                                  fields.node_count, place, importer->error)
                               : status;
}
