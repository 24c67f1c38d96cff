#include "models/import_xgboost.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/import_xgboost_document.h"
#include "models/tree_builder.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/number_text.h"

#define CATEGORY_MAX ((1u << 24) - 1)
#define TREE_SET_WORDS_MAX (1u << 24)

enum base_scale { BASE_AS_IT_IS, BASE_LOGIT, BASE_LOG };

static const struct objective {
    const char *name;
    enum tree_link link;
    enum base_scale base;
} objectives[] = {
    {"binary:logistic", TREE_LINK_SIGMOID, BASE_LOGIT},
    {"binary:logitraw", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"binary:hinge", TREE_LINK_STEP, BASE_AS_IT_IS},
    {"reg:logistic", TREE_LINK_SIGMOID, BASE_LOGIT},
    {"reg:squarederror", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"reg:linear", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"reg:squaredlogerror", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"reg:absoluteerror", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"reg:pseudohubererror", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"reg:quantileerror", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"reg:gamma", TREE_LINK_EXP, BASE_LOG},
    {"reg:tweedie", TREE_LINK_EXP, BASE_LOG},
    {"count:poisson", TREE_LINK_EXP, BASE_LOG},
    {"survival:cox", TREE_LINK_EXP, BASE_LOG},
    {"survival:aft", TREE_LINK_EXP, BASE_LOG},
    {"multi:softprob", TREE_LINK_SOFTMAX, BASE_AS_IT_IS},
    {"multi:softmax", TREE_LINK_SOFTMAX, BASE_AS_IT_IS},
    {"rank:pairwise", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"rank:ndcg", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
    {"rank:map", TREE_LINK_IDENTITY, BASE_AS_IT_IS},
};

struct importer {
    const char *name;
    struct error *error;
    struct tree_builder *builder;
    const struct document_value *model; /* Of the booster. */
    const double *weights;              /* Of DART, one a tree; else NULL. */
    uint32_t output_count;
    /* Reused from tree to tree; owned. */
    struct tree_input *nodes;
    uint32_t node_capacity;
    uint32_t *sets;
};

/* One tree's arrays, each with one number a node. */
struct tree_fields {
    const struct document_value *tree;
    uint32_t index;
    uint32_t node_count;
    const double *left, *right, *feature, *condition, *default_left, *cover;
    const double *type; /* NULL: numbers only. */
};

static enum status refuse(const struct importer *importer, const char *field, const char *expected)
{
    return error_set(importer->error, STATUS_INVALID, "%s: %s: %s expected", importer->name, field,
                     expected);
}

static enum status refuse_tree(const struct importer *importer, uint32_t tree, const char *field,
                               const char *expected)
{
    return error_set(importer->error, STATUS_INVALID,
                     "%s: learner.gradient_booster.model.trees[%" PRIu32 "].%s: %s expected",
                     importer->name, tree, field, expected);
}

/* True when the number is whole and in [0, max]. */
static bool as_count(double number, uint32_t max, uint32_t *ret_count)
{
    if (!(number >= 0 && number <= (double)max && number == floor(number))) {
        return false;
    }
    *ret_count = (uint32_t)number;
    return true;
}

/* Parameters are texts of numbers; 0 where there is none. */
static bool parameter(const struct document_value *object, const char *name, uint32_t max,
                      uint32_t *ret_value)
{
    const struct document_value *value = document_member(object, name);
    if (!value) {
        *ret_value = 0;
        return true;
    }
    if (value->kind == DOCUMENT_NUMBER) {
        return as_count(value->number, max, ret_value);
    }
    return value->kind == DOCUMENT_TEXT &&
           as_count(number_text_read_double(value->text.data, value->text.length), max, ret_value);
}

static enum status read_objective(const struct importer *importer,
                                  const struct document_value *learner,
                                  const struct objective **ret_objective)
{
    const struct document_value *name =
        document_member(document_member(learner, "objective"), "name");
    if (!name || name->kind != DOCUMENT_TEXT) {
        return refuse(importer, "learner.objective.name", "a text");
    }
    for (size_t i = 0; i < sizeof(objectives) / sizeof(objectives[0]); i++) {
        if (text_is(name->text, objectives[i].name)) {
            *ret_objective = &objectives[i];
            return STATUS_OK;
        }
    }
    return error_set(importer->error, STATUS_INVALID,
                     "%s: learner.objective.name: \"%.*s\" is not read; binary:, multi:, reg:, "
                     "rank:, count: or survival: objective expected",
                     importer->name, (int)(name->text.length < 64 ? name->text.length : 64),
                     name->text.data);
}

static bool scale_base(double score, enum base_scale scale, double *ret_base)
{
    /* XGBoost keeps it as a float. */
    double kept = (double)(float)score;
    *ret_base = scale == BASE_LOGIT ? fixed_logit(kept)
                : scale == BASE_LOG ? fixed_log(kept)
                                    : kept;
    return isfinite(*ret_base);
}

/* "5E-1", or from version 3.1 on "[5E-1]" or one number an output. */
static enum status read_base(const struct importer *importer,
                             const struct document_value *parameters, enum base_scale scale,
                             double *base)
{
    static const char field[] = "learner.learner_model_param.base_score";
    const struct document_value *value = document_member(parameters, "base_score");
    if (!value || value->kind != DOCUMENT_TEXT || value->text.length == 0) {
        return refuse(importer, field, "the text of a number");
    }
    const char *next = value->text.data;
    const char *end = next + value->text.length;
    if (*next == '[' && end[-1] == ']') {
        next++;
        end--;
    }
    uint32_t count = 0;
    while (next < end && count < importer->output_count) {
        const char *comma = memchr(next, ',', (size_t)(end - next));
        const char *stop = comma ? comma : end;
        double score = number_text_read_double(next, (size_t)(stop - next));
        if (!scale_base(score, scale, &base[count])) {
            return refuse(importer, field, "a number that the objective can give");
        }
        count++;
        next = comma ? comma + 1 : end;
    }
    if (next < end || (count != 1 && count != importer->output_count)) {
        return refuse(importer, field, "one number, or one for each class");
    }
    for (uint32_t c = count; c < importer->output_count; c++) {
        base[c] = base[0];
    }
    return STATUS_OK;
}

static enum status tree_numbers(const struct importer *importer, const struct tree_fields *fields,
                                const char *field, uint32_t count, const double **ret_numbers)
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

static enum status read_fields(const struct importer *importer, struct tree_fields *fields)
{
    const struct document_value *left = document_member(fields->tree, "left_children");
    if (!left || left->kind != DOCUMENT_NUMBERS || left->count == 0) {
        return refuse_tree(importer, fields->index, "left_children", "an array of numbers");
    }
    uint32_t leaf_values;
    if (!parameter(document_member(fields->tree, "tree_param"), "size_leaf_vector", UINT32_MAX,
                   &leaf_values) ||
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

static enum status read_node(const struct importer *importer, const struct tree_fields *fields,
                             uint32_t i, struct tree_input *node)
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
    if (!as_count(fields->left[i], last, &node->left)) {
        return refuse_tree(importer, fields->index, "left_children", "-1 or a node of the tree");
    }
    if (!as_count(fields->right[i], last, &node->right)) {
        return refuse_tree(importer, fields->index, "right_children", "-1 or a node of the tree");
    }
    if (!as_count(fields->feature[i], TREE_FEATURES_MAX, &node->feature)) {
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

static enum status read_category_fields(const struct importer *importer,
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
        *names[i].value = document_member(fields->tree, names[i].name);
        if (!*names[i].value || (*names[i].value)->kind != DOCUMENT_NUMBERS) {
            return refuse_tree(importer, fields->index, names[i].name, "an array of numbers");
        }
    }
    if (categories->first->count != categories->nodes->count ||
        categories->sizes->count != categories->nodes->count) {
        return refuse_tree(importer, fields->index, "categories_sizes",
                           "as many numbers as categories_nodes has");
    }
    return STATUS_OK;
}

/* The categories of entry `entry`: how many words its set takes, and its node. */
static enum status measure_set(const struct importer *importer, const struct tree_fields *fields,
                               const struct category_fields *categories, uint32_t entry,
                               struct tree_input **ret_node)
{
    uint32_t at;
    uint32_t first;
    uint32_t size;
    uint32_t total = categories->categories->count;
    if (!as_count(categories->nodes->numbers[entry], fields->node_count - 1, &at) ||
        importer->nodes[at].kind != TREE_INPUT_CATEGORY || importer->nodes[at].set_words != 0) {
        return refuse_tree(importer, fields->index, "categories_nodes",
                           "categorical splits, each once");
    }
    if (!as_count(categories->first->numbers[entry], total, &first) ||
        !as_count(categories->sizes->numbers[entry], total - first, &size) || size == 0) {
        return refuse_tree(importer, fields->index, "categories_segments",
                           "ranges of the categories");
    }
    uint32_t largest = 0;
    for (uint32_t i = first; i < first + size; i++) {
        uint32_t category;
        if (!as_count(categories->categories->numbers[i], CATEGORY_MAX, &category)) {
            return refuse_tree(importer, fields->index, "categories", "whole numbers below 2^24");
        }
        largest = category > largest ? category : largest;
    }
    importer->nodes[at].set_words = largest / 32 + 1;
    *ret_node = &importer->nodes[at];
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

static enum status read_categories(struct importer *importer, const struct tree_fields *fields)
{
    struct category_fields categories;
    enum status status = read_category_fields(importer, fields, &categories);
    uint64_t words = 0;
    for (uint32_t e = 0; status == STATUS_OK && e < categories.nodes->count; e++) {
        struct tree_input *node = NULL;
        status = measure_set(importer, fields, &categories, e, &node);
        words += status == STATUS_OK ? node->set_words : 0;
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

static enum status read_tree(struct importer *importer, const struct document_value *tree,
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
    if (status == STATUS_OK && !as_count(output, importer->output_count - 1, &place)) {
        status = refuse(importer, "learner.gradient_booster.model.tree_info",
                        "a class of the model for each tree");
    }
    return status == STATUS_OK ? tree_builder_add(importer->builder, importer->nodes,
                                                  fields.node_count, place, importer->error)
                               : status;
}

static enum status read_trees(struct importer *importer)
{
    const struct document_value *trees = document_member(importer->model, "trees");
    const struct document_value *info = document_member(importer->model, "tree_info");
    if (!trees || trees->kind != DOCUMENT_ARRAY) {
        return refuse(importer, "learner.gradient_booster.model.trees", "an array of trees");
    }
    if (!info || info->kind != DOCUMENT_NUMBERS || info->count != trees->count) {
        return refuse(importer, "learner.gradient_booster.model.tree_info",
                      "one number for each tree");
    }
    uint32_t announced;
    if (!parameter(document_member(importer->model, "gbtree_model_param"), "num_trees",
                   TREE_COUNT_MAX, &announced) ||
        announced != trees->count) {
        return refuse(importer, "learner.gradient_booster.model.gbtree_model_param.num_trees",
                      "the number of trees");
    }
    uint32_t index = 0;
    for (const struct document_value *tree = trees->first; tree; tree = tree->next) {
        enum status status = read_tree(importer, tree, index, info->numbers[index]);
        if (status != STATUS_OK) {
            return status;
        }
        index++;
    }
    return STATUS_OK;
}

static enum status find_model(struct importer *importer, const struct document_value *learner)
{
    const struct document_value *booster = document_member(learner, "gradient_booster");
    const struct document_value *name = document_member(booster, "name");
    if (!name || name->kind != DOCUMENT_TEXT) {
        return refuse(importer, "learner.gradient_booster.name", "gbtree or dart");
    }
    if (text_is(name->text, "gbtree")) {
        importer->model = document_member(booster, "model");
        return STATUS_OK;
    }
    if (!text_is(name->text, "dart")) {
        return refuse(importer, "learner.gradient_booster.name",
                      "gbtree or dart (linear boosters are not read)");
    }
    importer->model = document_member(document_member(booster, "gbtree"), "model");
    const struct document_value *weights = document_member(booster, "weight_drop");
    const struct document_value *trees = document_member(importer->model, "trees");
    if (!weights || weights->kind != DOCUMENT_NUMBERS || !trees || weights->count < trees->count) {
        return refuse(importer, "learner.gradient_booster.weight_drop", "one number for each tree");
    }
    importer->weights = weights->numbers;
    return STATUS_OK;
}

/* Names, or NULL where the file has none; `ret_names` is to be freed with what it points to. */
static enum status read_names(const struct importer *importer, const struct document_value *learner,
                              uint32_t feature_count, char ***ret_names)
{
    const struct document_value *names = document_member(learner, "feature_names");
    *ret_names = NULL;
    if (!names || names->count == 0) {
        return STATUS_OK;
    }
    if (names->kind != DOCUMENT_ARRAY || names->count != feature_count) {
        return refuse(importer, "learner.feature_names", "one text for each feature");
    }
    char **copies = calloc(feature_count + 1u, sizeof(*copies));
    *ret_names = copies;
    uint32_t i = 0;
    for (const struct document_value *name = names->first; copies && name; name = name->next) {
        if (name->kind != DOCUMENT_TEXT) {
            return refuse(importer, "learner.feature_names", "one text for each feature");
        }
        copies[i] = strndup(name->text.data ? name->text.data : "", name->text.length);
        if (!copies[i++]) {
            copies = NULL;
        }
    }
    return copies ? STATUS_OK
                  : error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
}

static void free_names(char **names)
{
    for (uint32_t i = 0; names && names[i]; i++) {
        free(names[i]);
    }
    free(names);
}

static enum status start(struct importer *importer, const struct document_value *learner)
{
    const struct document_value *parameters = document_member(learner, "learner_model_param");
    uint32_t features;
    uint32_t classes;
    uint32_t targets;
    if (!parameter(parameters, "num_feature", TREE_FEATURES_MAX, &features) || features == 0) {
        return refuse(importer, "learner.learner_model_param.num_feature", "1 to 65536");
    }
    if (!parameter(parameters, "num_class", TREE_OUTPUTS_MAX, &classes) ||
        !parameter(parameters, "num_target", TREE_OUTPUTS_MAX, &targets)) {
        return refuse(importer, "learner.learner_model_param.num_class", "at most 1024");
    }
    importer->output_count = classes > targets ? classes : targets;
    importer->output_count += importer->output_count == 0;
    const struct objective *objective = NULL;
    enum status status = read_objective(importer, learner, &objective);
    double *base = calloc(importer->output_count, sizeof(*base));
    char **names = NULL;
    if (status == STATUS_OK && !base) {
        status = error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
    }
    if (status == STATUS_OK) {
        status = read_base(importer, parameters, objective->base, base);
    }
    if (status == STATUS_OK) {
        status = read_names(importer, learner, features, &names);
    }
    if (status == STATUS_OK) {
        struct tree_settings settings = {
            .maker = "xgboost",
            .objective = objective->name,
            .feature_names = names,
            .feature_count = features,
            .output_count = importer->output_count,
            .link = objective->link,
            .link_scale = 1,
            .base = base,
            .divisor = 1,
        };
        status =
            tree_builder_create(importer->name, &settings, &importer->builder, importer->error);
    }
    free_names(names);
    free(base);
    return status;
}

static enum status import_document(const char *name, const struct document_value *document,
                                   struct tree_ensemble **ret_ensemble, struct error *error)
{
    struct importer importer = {.name = name, .error = error};
    const struct document_value *learner = document_member(document, "learner");
    if (!learner) {
        return refuse(&importer, "learner", "the model of XGBoost's save_model()");
    }
    enum status status = find_model(&importer, learner);
    if (status == STATUS_OK) {
        status = start(&importer, learner);
    }
    if (status == STATUS_OK) {
        status = read_trees(&importer);
    }
    if (status == STATUS_OK) {
        status = tree_builder_finish(importer.builder, ret_ensemble, error);
    }
    tree_builder_destroy(importer.builder);
    free(importer.nodes);
    free(importer.sets);
    return status;
}

enum status import_xgboost_json(const char *name, const char *bytes, size_t length,
                                struct tree_ensemble **ret_ensemble, struct error *error)
{
    struct arena arena;
    const struct document_value *document;
    arena_init(&arena, 1u << 16);
    enum status status = document_read_json(name, bytes, length, &arena, &document, error);
    if (status == STATUS_OK) {
        status = import_document(name, document, ret_ensemble, error);
    }
    arena_release(&arena);
    return status;
}

enum status import_xgboost_ubjson(const char *name, const unsigned char *bytes, size_t length,
                                  struct tree_ensemble **ret_ensemble, struct error *error)
{
    struct arena arena;
    const struct document_value *document;
    arena_init(&arena, 1u << 16);
    enum status status = document_read_ubjson(name, bytes, length, &arena, &document, error);
    if (status == STATUS_OK) {
        status = import_document(name, document, ret_ensemble, error);
    }
    arena_release(&arena);
    return status;
}
