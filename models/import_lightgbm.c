#include "models/import_lightgbm.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/tree_builder.h"
#include "pipeline/base/number_text.h"
#include "pipeline/base/text.h"

/* Bits of decision_type. */
#define DECISION_CATEGORY 1u
#define DECISION_DEFAULT_LEFT 2u
#define DECISION_MISSING(type) ((type) >> 2 & 3u)
enum missing_type { MISSING_NONE, MISSING_ZERO, MISSING_NAN };

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

/* Fields of one tree, as they stand in the file. */
enum tree_field {
    FIELD_NUM_LEAVES,
    FIELD_NUM_CAT,
    FIELD_SPLIT_FEATURE,
    FIELD_THRESHOLD,
    FIELD_DECISION_TYPE,
    FIELD_LEFT_CHILD,
    FIELD_RIGHT_CHILD,
    FIELD_LEAF_VALUE,
    FIELD_LEAF_COUNT,
    FIELD_CAT_BOUNDARIES,
    FIELD_CAT_THRESHOLD,
    FIELD_IS_LINEAR,
    TREE_FIELD_COUNT,
};
static const char *const tree_field_names[TREE_FIELD_COUNT] = {
    "num_leaves",  "num_cat",    "split_feature", "threshold",      "decision_type", "left_child",
    "right_child", "leaf_value", "leaf_count",    "cat_boundaries", "cat_threshold", "is_linear",
};

/* A growing array of numbers. */
struct numbers {
    double *values; /* Owned. */
    uint32_t count;
    uint32_t capacity;
};

struct importer {
    const char *name;
    const char *next;
    const char *end;
    struct error *error;
    struct tree_builder *builder;
    uint32_t tree_count;
    uint32_t announced_trees;
    uint32_t trees_per_iteration;
    uint32_t feature_count;
    bool averages;
    struct text objective;
    struct text feature_names;
    struct numbers numbers[TREE_FIELD_COUNT];
    struct tree_input *nodes; /* Owned. */
    uint32_t node_capacity;
    uint32_t *sets; /* Owned; of the tree under way. */
};

static enum status refuse(const struct importer *importer, const char *field, const char *expected)
{
    return error_set(importer->error, STATUS_INVALID, "%s: %s: %s expected", importer->name, field,
                     expected);
}

static enum status refuse_tree(const struct importer *importer, enum tree_field field,
                               const char *expected)
{
    return error_set(importer->error, STATUS_INVALID, "%s: Tree=%" PRIu32 ": %s: %s expected",
                     importer->name, importer->tree_count, tree_field_names[field], expected);
}

static enum status out_of_memory(const struct importer *importer)
{
    return error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
}

static bool next_line(struct importer *importer, struct text *ret_line)
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

/* The next word of a list separated by blanks; false at its end. */
static bool next_word(struct text *list, struct text *ret_word)
{
    uint32_t from = 0;
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

static bool text_starts(struct text text, const char *start)
{
    size_t length = strlen(start);
    return text.length >= length && memcmp(text.data, start, length) == 0;
}

static bool as_count(double number, uint32_t max, uint32_t *ret_count)
{
    if (!(number >= 0 && number <= (double)max && number == floor(number))) {
        return false;
    }
    *ret_count = (uint32_t)number;
    return true;
}

static bool text_count(struct text text, uint32_t max, uint32_t *ret_count)
{
    return as_count(number_text_read_double(text.data, text.length), max, ret_count);
}

static enum status read_header_line(struct importer *importer, struct text line)
{
    struct text key;
    struct text value = split_line(line, &key);
    if (text_is(key, "max_feature_idx")) {
        if (!text_count(value, TREE_FEATURES_MAX - 1, &importer->feature_count)) {
            return refuse(importer, "max_feature_idx", "at most 65535");
        }
        importer->feature_count++;
    } else if (text_is(key, "num_tree_per_iteration")) {
        if (!text_count(value, TREE_OUTPUTS_MAX, &importer->trees_per_iteration) ||
            importer->trees_per_iteration == 0) {
            return refuse(importer, "num_tree_per_iteration", "1 to 1024");
        }
    } else if (text_is(key, "objective")) {
        importer->objective = value;
    } else if (text_is(key, "average_output")) {
        importer->averages = true;
    } else if (text_is(key, "feature_names")) {
        importer->feature_names = value;
    } else if (text_is(key, "tree_sizes")) {
        struct text word;
        while (next_word(&value, &word)) {
            importer->announced_trees++;
        }
    }
    return STATUS_OK;
}

/* Up to the first tree; `ret_line` is the line where it starts. */
static enum status read_header(struct importer *importer)
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
        return refuse(importer, "max_feature_idx", "the last feature's number");
    }
    if (importer->trees_per_iteration == 0) {
        return refuse(importer, "num_tree_per_iteration", "1 to 1024");
    }
    if (importer->announced_trees == 0 ||
        importer->announced_trees % importer->trees_per_iteration != 0) {
        return refuse(importer, "tree_sizes",
                      "a number of trees that num_tree_per_iteration divides");
    }
    return STATUS_OK;
}

/* "binary sigmoid:1": the name, and what its words say of the link. */
static enum status read_objective(const struct importer *importer, char *ret_name, size_t size,
                                  struct tree_settings *settings)
{
    struct text words = importer->objective;
    struct text name;
    struct text word;
    (void)next_word(&words, &name);
    const struct objective *objective = NULL;
    for (size_t i = 0; i < sizeof(objectives) / sizeof(objectives[0]); i++) {
        if (text_is(name, objectives[i].name)) {
            objective = &objectives[i];
        }
    }
    if (!objective || name.length >= size) {
        return refuse(importer, "objective", "an objective of LightGBM");
    }
    memcpy(ret_name, objective->name, name.length + 1);
    settings->objective = ret_name;
    settings->link = objective->link;
    settings->link_scale = 1;
    while (next_word(&words, &word)) {
        if (text_starts(word, "sigmoid:")) {
            settings->link_scale = number_text_read_double(word.data + 8, word.length - 8);
            if (!(settings->link_scale > 0 && settings->link_scale < INFINITY)) {
                return refuse(importer, "objective: sigmoid", "a number above 0");
            }
        } else if (text_is(word, "sqrt") && objective->link == TREE_LINK_IDENTITY) {
            settings->link = TREE_LINK_SQUARE;
        }
    }
    return STATUS_OK;
}

static enum status read_names(const struct importer *importer, char ***ret_names)
{
    struct text words = importer->feature_names;
    struct text word;
    char **names = calloc(importer->feature_count + 1u, sizeof(*names));
    *ret_names = names;
    uint32_t count = 0;
    while (names && next_word(&words, &word)) {
        if (count == importer->feature_count) {
            return refuse(importer, "feature_names", "one name for each feature");
        }
        names[count] = strndup(word.data, word.length);
        if (!names[count++]) {
            names = NULL;
        }
    }
    if (!names) {
        return out_of_memory(importer);
    }
    return count == importer->feature_count || count == 0
               ? STATUS_OK
               : refuse(importer, "feature_names", "one name for each feature");
}

static enum status start(struct importer *importer)
{
    char objective[32];
    char **names = NULL;
    struct tree_settings settings = {
        .maker = "lightgbm",
        .feature_count = importer->feature_count,
        .output_count = importer->trees_per_iteration,
        .divisor = importer->averages
                       ? (double)(importer->announced_trees / importer->trees_per_iteration)
                       : 1,
    };
    enum status status = read_objective(importer, objective, sizeof(objective), &settings);
    double *base = calloc(importer->trees_per_iteration, sizeof(*base));
    if (status == STATUS_OK && !base) {
        status = out_of_memory(importer);
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

static enum status read_numbers(struct importer *importer, enum tree_field field, struct text value)
{
    struct numbers *numbers = &importer->numbers[field];
    struct text word;
    if (numbers->count > 0) {
        return refuse_tree(importer, field, "one line");
    }
    while (next_word(&value, &word)) {
        if (numbers->count == numbers->capacity) {
            uint32_t capacity = numbers->capacity ? 2 * numbers->capacity : 64;
            double *values = realloc(numbers->values, capacity * sizeof(*values));
            if (!values) {
                return out_of_memory(importer);
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

/* The only number of a field, or 0. */
static bool only_number(const struct importer *importer, enum tree_field field, uint32_t max,
                        uint32_t *ret_value)
{
    const struct numbers *numbers = &importer->numbers[field];
    *ret_value = 0;
    return numbers->count == 0 ||
           (numbers->count == 1 && as_count(numbers->values[0], max, ret_value));
}

/* Inner nodes come first, leaf i is node inner + i. */
static bool read_child(double child, uint32_t inner, uint32_t *ret_node)
{
    if (child >= 0) {
        return as_count(child, inner - 1, ret_node);
    }
    if (!as_count(-1 - child, inner, ret_node)) {
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

static void read_number_split(const struct importer *importer, uint32_t i, uint32_t decision,
                              struct tree_input *node)
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

static enum status read_category_split(const struct importer *importer, uint32_t i,
                                       struct tree_input *node)
{
    const struct numbers *boundaries = &importer->numbers[FIELD_CAT_BOUNDARIES];
    const struct numbers *words = &importer->numbers[FIELD_CAT_THRESHOLD];
    uint32_t set;
    uint32_t from;
    uint32_t to;
    if (boundaries->count < 2 ||
        !as_count(importer->numbers[FIELD_THRESHOLD].values[i], boundaries->count - 2, &set)) {
        return refuse_tree(importer, FIELD_THRESHOLD, "numbers of cat_boundaries");
    }
    if (!as_count(boundaries->values[set], words->count, &from) ||
        !as_count(boundaries->values[set + 1], words->count, &to) || to < from) {
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

static enum status read_split(const struct importer *importer, uint32_t inner, uint32_t i,
                              struct tree_input *node)
{
    const struct numbers *numbers = importer->numbers;
    uint32_t decision;
    *node = (struct tree_input){.kind = TREE_INPUT_NUMBER};
    if (!as_count(numbers[FIELD_DECISION_TYPE].values[i], 15, &decision) ||
        DECISION_MISSING(decision) > MISSING_NAN) {
        return refuse_tree(importer, FIELD_DECISION_TYPE, "0 to 11");
    }
    if (!as_count(numbers[FIELD_SPLIT_FEATURE].values[i], importer->feature_count - 1,
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

static enum status check_counts(const struct importer *importer, uint32_t leaves)
{
    static const enum tree_field by_split[] = {FIELD_SPLIT_FEATURE, FIELD_THRESHOLD,
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

static enum status read_sets(struct importer *importer)
{
    const struct numbers *words = &importer->numbers[FIELD_CAT_THRESHOLD];
    free(importer->sets);
    importer->sets = malloc((words->count + 1u) * sizeof(*importer->sets));
    if (!importer->sets) {
        return out_of_memory(importer);
    }
    for (uint32_t i = 0; i < words->count; i++) {
        if (!as_count(words->values[i], UINT32_MAX, &importer->sets[i])) {
            return refuse_tree(importer, FIELD_CAT_THRESHOLD, "words of 32 bits");
        }
    }
    return STATUS_OK;
}

static bool reserve_nodes(struct importer *importer, uint32_t count)
{
    if (count > importer->node_capacity) {
        free(importer->nodes);
        importer->nodes = malloc(count * sizeof(*importer->nodes));
        importer->node_capacity = importer->nodes ? count : 0;
    }
    return count <= importer->node_capacity;
}

/* All fields of the tree have been read. */
static enum status add_tree(struct importer *importer)
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
        status = out_of_memory(importer);
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

/* From the line "Tree=N" to the next one, or to the end of the trees. */
static enum status read_tree(struct importer *importer, struct text line)
{
    for (uint32_t f = 0; f < TREE_FIELD_COUNT; f++) {
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
        for (uint32_t f = 0; f < TREE_FIELD_COUNT; f++) {
            if (text_is(key, tree_field_names[f])) {
                enum status status = read_numbers(importer, (enum tree_field)f, value);
                if (status != STATUS_OK) {
                    return status;
                }
            }
        }
    }
    return add_tree(importer);
}

static enum status read_trees(struct importer *importer)
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
    struct importer importer = {.name = name, .next = bytes, .end = bytes + length, .error = error};
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
    for (uint32_t f = 0; f < TREE_FIELD_COUNT; f++) {
        free(importer.numbers[f].values);
    }
    free(importer.nodes);
    free(importer.sets);
    return status;
}
