#include "models/import_lightgbm_tree.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/base/number_text.h"

/* Bits of decision_type. */
#define DECISION_CATEGORY 1u
#define DECISION_DEFAULT_LEFT 2u
#define DECISION_MISSING(type) ((type) >> 2 & 3u)
enum missing_type { MISSING_NONE, MISSING_ZERO, MISSING_NAN };

static const char *const lightgbm_field_names[LIGHTGBM_FIELD_COUNT] = {
    "num_leaves",  "num_cat",    "split_feature", "threshold",      "decision_type", "left_child",
    "right_child", "leaf_value", "leaf_count",    "cat_boundaries", "cat_threshold", "is_linear",
};

enum status lightgbm_refuse(const struct lightgbm_importer *importer, const char *field,
                            const char *expected)
{
    return error_set(importer->error, STATUS_INVALID, "%s: %s: %s expected", importer->name, field,
                     expected);
}

static enum status refuse_tree(const struct lightgbm_importer *importer, enum lightgbm_field field,
                               const char *expected)
{
    return error_set(importer->error, STATUS_INVALID, "%s: Tree=%" PRIu32 ": %s: %s expected",
                     importer->name, importer->tree_count, lightgbm_field_names[field], expected);
}

enum status lightgbm_out_of_memory(const struct lightgbm_importer *importer)
{
    return error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
}

bool lightgbm_next_word(struct text *list, struct text *ret_word)
{
    uint32_t from = 0;
    if (list->length == 0) {
        return false; /* Perhaps there is no list at all. */
    }
    while (from < list->length && list->data[from] == ' ') {
        from++;
    }
    uint32_t to = from;
    while (to < list->length && list->data[to] != ' ') {
        to++;
    }
    *ret_word = (struct text){list->data + from, to - from};
    *list = (struct text){list->data + to, list->length - to};
    return ret_word->length > 0;
}

bool lightgbm_count(double number, uint32_t max, uint32_t *ret_count)
{
    if (!(number >= 0 && number <= (double)max && number == floor(number))) {
        return false;
    }
    *ret_count = (uint32_t)number;
    return true;
}

static enum status read_numbers(struct lightgbm_importer *importer, enum lightgbm_field field,
                                struct text value)
{
    struct lightgbm_numbers *numbers = &importer->numbers[field];
    struct text word;
    if (numbers->count > 0) {
        return refuse_tree(importer, field, "one line");
    }
    while (lightgbm_next_word(&value, &word)) {
        if (numbers->count == numbers->capacity) {
            uint32_t capacity = numbers->capacity ? 2 * numbers->capacity : 64;
            double *values = realloc(numbers->values, capacity * sizeof(*values));
            if (!values) {
                return lightgbm_out_of_memory(importer);
            }
            numbers->values = values;
            numbers->capacity = capacity;
        }
        double number = number_text_read_double(word.data, word.length);
        if (!isfinite(number)) {
            return refuse_tree(importer, field, "finite numbers");
        }
        numbers->values[numbers->count++] = number;
    }
    return STATUS_OK;
}

enum status lightgbm_read_field(struct lightgbm_importer *importer, struct text key,
                                struct text value)
{
    for (uint32_t f = 0; f < LIGHTGBM_FIELD_COUNT; f++) {
        if (text_is(key, lightgbm_field_names[f])) {
            return read_numbers(importer, (enum lightgbm_field)f, value);
        }
    }
    return STATUS_OK;
}

/* The only number of a field, or 0. */
static bool only_number(const struct lightgbm_importer *importer, enum lightgbm_field field,
                        uint32_t max, uint32_t *ret_value)
{
    const struct lightgbm_numbers *numbers = &importer->numbers[field];
    *ret_value = 0;
    return numbers->count == 0 ||
           (numbers->count == 1 && lightgbm_count(numbers->values[0], max, ret_value));
}

/* Inner nodes come first, leaf i is node inner + i. */
static bool read_child(double child, uint32_t inner, uint32_t *ret_node)
{
    if (child >= 0) {
        return lightgbm_count(child, inner - 1, ret_node);
    }
    if (!lightgbm_count(-1 - child, inner, ret_node)) {
        return false;
    }
    *ret_node += inner;
    return true;
}

/* x <= t for a float x, as x < the least float above t. */
static float least_above(double threshold)
{
    float nearest = (float)threshold;
    return (double)nearest > threshold ? nearest : nextafterf(nearest, INFINITY);
}

static void read_number_split(const struct lightgbm_importer *importer, uint32_t i,
                              uint32_t decision, struct tree_input *node)
{
    double threshold = importer->numbers[FIELD_THRESHOLD].values[i];
    bool default_left = (decision & DECISION_DEFAULT_LEFT) != 0;
    uint32_t missing = DECISION_MISSING(decision);
    node->kind = TREE_INPUT_NUMBER;
    node->threshold = least_above(threshold);
    node->zero_is_missing = missing == MISSING_ZERO;
    /* Without a direction of its own, NaN counts as 0. */
    node->missing_left = missing == MISSING_NONE ? 0 <= threshold : default_left;
}

static enum status read_category_split(const struct lightgbm_importer *importer, uint32_t i,
                                       struct tree_input *node)
{
    const struct lightgbm_numbers *boundaries = &importer->numbers[FIELD_CAT_BOUNDARIES];
    const struct lightgbm_numbers *words = &importer->numbers[FIELD_CAT_THRESHOLD];
    uint32_t set;
    uint32_t from;
    uint32_t to;
    if (boundaries->count < 2 || !lightgbm_count(importer->numbers[FIELD_THRESHOLD].values[i],
                                                 boundaries->count - 2, &set)) {
        return refuse_tree(importer, FIELD_THRESHOLD, "numbers of cat_boundaries");
    }
    if (!lightgbm_count(boundaries->values[set], words->count, &from) ||
        !lightgbm_count(boundaries->values[set + 1], words->count, &to) || to < from) {
        return refuse_tree(importer, FIELD_CAT_BOUNDARIES, "places in cat_threshold");
    }
    node->kind = TREE_INPUT_CATEGORY;
    node->set = importer->sets + from;
    node->set_words = to - from;
    node->set_left = true;
    node->rounds_up = true;
    node->missing_left = false; /* Whatever the default says. */
    return STATUS_OK;
}

static enum status read_split(const struct lightgbm_importer *importer, uint32_t inner, uint32_t i,
                              struct tree_input *node)
{
    const struct lightgbm_numbers *numbers = importer->numbers;
    uint32_t decision;
    *node = (struct tree_input){.kind = TREE_INPUT_NUMBER};
    if (!lightgbm_count(numbers[FIELD_DECISION_TYPE].values[i], 15, &decision) ||
        DECISION_MISSING(decision) > MISSING_NAN) {
        return refuse_tree(importer, FIELD_DECISION_TYPE, "0 to 11");
    }
    if (!lightgbm_count(numbers[FIELD_SPLIT_FEATURE].values[i], importer->feature_count - 1,
                        &node->feature)) {
        return refuse_tree(importer, FIELD_SPLIT_FEATURE, "features of the model");
    }
    if (!read_child(numbers[FIELD_LEFT_CHILD].values[i], inner, &node->left)) {
        return refuse_tree(importer, FIELD_LEFT_CHILD, "nodes or leaves of the tree");
    }
    if (!read_child(numbers[FIELD_RIGHT_CHILD].values[i], inner, &node->right)) {
        return refuse_tree(importer, FIELD_RIGHT_CHILD, "nodes or leaves of the tree");
    }
    if (decision & DECISION_CATEGORY) {
        return read_category_split(importer, i, node);
    }
    read_number_split(importer, i, decision, node);
    return STATUS_OK;
}

static enum status check_counts(const struct lightgbm_importer *importer, uint32_t leaves)
{
    static const enum lightgbm_field by_split[] = {FIELD_SPLIT_FEATURE, FIELD_THRESHOLD,
                                                   FIELD_DECISION_TYPE, FIELD_LEFT_CHILD,
                                                   FIELD_RIGHT_CHILD};
    for (size_t f = 0; f < sizeof(by_split) / sizeof(by_split[0]); f++) {
        if (importer->numbers[by_split[f]].count != leaves - 1) {
            return refuse_tree(importer, by_split[f], "one number for each split");
        }
    }
    if (importer->numbers[FIELD_LEAF_VALUE].count != leaves) {
        return refuse_tree(importer, FIELD_LEAF_VALUE, "one number for each leaf");
    }
    uint32_t counts = importer->numbers[FIELD_LEAF_COUNT].count;
    return counts == leaves || counts == 0
               ? STATUS_OK
               : refuse_tree(importer, FIELD_LEAF_COUNT, "one number for each leaf");
}

static enum status read_sets(struct lightgbm_importer *importer)
{
    const struct lightgbm_numbers *words = &importer->numbers[FIELD_CAT_THRESHOLD];
    free(importer->sets);
    importer->sets = malloc((words->count + 1u) * sizeof(*importer->sets));
    if (!importer->sets) {
        return lightgbm_out_of_memory(importer);
    }
    for (uint32_t i = 0; i < words->count; i++) {
        if (!lightgbm_count(words->values[i], UINT32_MAX, &importer->sets[i])) {
            return refuse_tree(importer, FIELD_CAT_THRESHOLD, "words of 32 bits");
        }
    }
    return STATUS_OK;
}

static bool reserve_nodes(struct lightgbm_importer *importer, uint32_t count)
{
    if (count > importer->node_capacity) {
        free(importer->nodes);
        importer->nodes = malloc(count * sizeof(*importer->nodes));
        importer->node_capacity = importer->nodes ? count : 0;
    }
    return count <= importer->node_capacity;
}

enum status lightgbm_add_tree(struct lightgbm_importer *importer)
{
    uint32_t leaves;
    uint32_t is_linear;
    if (!only_number(importer, FIELD_NUM_LEAVES, TREE_NODES_MAX / 2, &leaves) || leaves == 0) {
        return refuse_tree(importer, FIELD_NUM_LEAVES, "a number of leaves");
    }
    if (!only_number(importer, FIELD_IS_LINEAR, 1, &is_linear) || is_linear) {
        return refuse_tree(importer, FIELD_IS_LINEAR, "0 (linear leaves are not read)");
    }
    enum status status = check_counts(importer, leaves);
    if (status == STATUS_OK) {
        status = read_sets(importer);
    }
    if (status == STATUS_OK && !reserve_nodes(importer, 2 * leaves - 1)) {
        status = lightgbm_out_of_memory(importer);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < leaves - 1; i++) {
        status = read_split(importer, leaves - 1, i, &importer->nodes[i]);
    }
    bool has_counts = importer->numbers[FIELD_LEAF_COUNT].count == leaves;
    for (uint32_t i = 0; status == STATUS_OK && i < leaves; i++) {
        /* The only leaf of a constant tree carries no count, and needs none. */
        importer->nodes[leaves - 1 + i] = (struct tree_input){
            .kind = TREE_INPUT_LEAF,
            .value = importer->numbers[FIELD_LEAF_VALUE].values[i],
            .cover = has_counts    ? importer->numbers[FIELD_LEAF_COUNT].values[i]
                     : leaves == 1 ? 1
                                   : -1,
        };
    }
    if (status == STATUS_OK) {
        status =
            tree_builder_add(importer->builder, importer->nodes, 2 * leaves - 1,
                             importer->tree_count % importer->trees_per_iteration, importer->error);
    }
    importer->tree_count++;
    return status;
}
