#include "models/import_xgboost.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/import_xgboost_tree.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/number_text.h"

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

static enum status read_objective(const struct xgboost_importer *importer,
                                  const struct document_value *learner,
                                  const struct objective **ret_objective)
{
    const struct document_value *name =
        document_member(document_member(learner, "objective"), "name");
    if (!name || name->kind != DOCUMENT_TEXT) {
        return xgboost_refuse(importer, "learner.objective.name", "a text");
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
static enum status read_base(const struct xgboost_importer *importer,
                             const struct document_value *parameters, enum base_scale scale,
                             double *base)
{
    static const char field[] = "learner.learner_model_param.base_score";
    const struct document_value *value = document_member(parameters, "base_score");
    if (!value || value->kind != DOCUMENT_TEXT || value->text.length == 0) {
        return xgboost_refuse(importer, field, "the text of a number");
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
            return xgboost_refuse(importer, field, "a number that the objective can give");
        }
        count++;
        next = comma ? comma + 1 : end;
    }
    if (next < end || (count != 1 && count != importer->output_count)) {
        return xgboost_refuse(importer, field, "one number, or one for each class");
    }
    for (uint32_t c = count; c < importer->output_count; c++) {
        base[c] = base[0];
    }
    return STATUS_OK;
}

static enum status read_trees(struct xgboost_importer *importer)
{
    const struct document_value *trees = document_member(importer->model, "trees");
    const struct document_value *info = document_member(importer->model, "tree_info");
    if (!trees || trees->kind != DOCUMENT_ARRAY) {
        return xgboost_refuse(importer, "learner.gradient_booster.model.trees",
                              "an array of trees");
    }
    if (!info || info->kind != DOCUMENT_NUMBERS || info->count != trees->count) {
        return xgboost_refuse(importer, "learner.gradient_booster.model.tree_info",
                              "one number for each tree");
    }
    uint32_t announced;
    if (!xgboost_parameter(document_member(importer->model, "gbtree_model_param"), "num_trees",
                           TREE_COUNT_MAX, &announced) ||
        announced != trees->count) {
        return xgboost_refuse(importer,
                              "learner.gradient_booster.model.gbtree_model_param.num_trees",
                              "the number of trees");
    }
    uint32_t index = 0;
    for (const struct document_value *tree = trees->first; tree; tree = tree->next) {
        enum status status = xgboost_read_tree(importer, tree, index, info->numbers[index]);
        if (status != STATUS_OK) {
            return status;
        }
        index++;
    }
    return STATUS_OK;
}

static enum status find_model(struct xgboost_importer *importer,
                              const struct document_value *learner)
{
    const struct document_value *booster = document_member(learner, "gradient_booster");
    const struct document_value *name = document_member(booster, "name");
    if (!name || name->kind != DOCUMENT_TEXT) {
        return xgboost_refuse(importer, "learner.gradient_booster.name", "gbtree or dart");
    }
    if (text_is(name->text, "gbtree")) {
        importer->model = document_member(booster, "model");
        return STATUS_OK;
    }
    if (!text_is(name->text, "dart")) {
        return xgboost_refuse(importer, "learner.gradient_booster.name",
                              "gbtree or dart (linear boosters are not read)");
    }
    importer->model = document_member(document_member(booster, "gbtree"), "model");
    const struct document_value *weights = document_member(booster, "weight_drop");
    const struct document_value *trees = document_member(importer->model, "trees");
    if (!weights || weights->kind != DOCUMENT_NUMBERS || !trees || weights->count < trees->count) {
        return xgboost_refuse(importer, "learner.gradient_booster.weight_drop",
                              "one number for each tree");
    }
    importer->weights = weights->numbers;
    return STATUS_OK;
}

/* Names, or NULL where the file has none; `ret_names` is to be freed with what it points to. */
static enum status read_names(const struct xgboost_importer *importer,
                              const struct document_value *learner, uint32_t feature_count,
                              char ***ret_names)
{
    const struct document_value *names = document_member(learner, "feature_names");
    *ret_names = NULL;
    if (!names || names->count == 0) {
        return STATUS_OK;
    }
    if (names->kind != DOCUMENT_ARRAY || names->count != feature_count) {
        return xgboost_refuse(importer, "learner.feature_names", "one text for each feature");
    }
    char **copies = calloc(feature_count + 1u, sizeof(*copies));
    *ret_names = copies;
    uint32_t i = 0;
    for (const struct document_value *name = names->first; copies && name; name = name->next) {
        if (name->kind != DOCUMENT_TEXT) {
            return xgboost_refuse(importer, "learner.feature_names", "one text for each feature");
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

static enum status start(struct xgboost_importer *importer, const struct document_value *learner)
{
    const struct document_value *parameters = document_member(learner, "learner_model_param");
    uint32_t features;
    uint32_t classes;
    uint32_t targets;
    if (!xgboost_parameter(parameters, "num_feature", TREE_FEATURES_MAX, &features) ||
        features == 0) {
        return xgboost_refuse(importer, "learner.learner_model_param.num_feature", "1 to 65536");
    }
    if (!xgboost_parameter(parameters, "num_class", TREE_OUTPUTS_MAX, &classes) ||
        !xgboost_parameter(parameters, "num_target", TREE_OUTPUTS_MAX, &targets)) {
        return xgboost_refuse(importer, "learner.learner_model_param.num_class", "at most 1024");
    }
    importer->output_count = classes > targets ? classes : targets;
    importer->output_count += importer->output_count == 0;
    const struct objective *objective = NULL;
    enum status status = read_objective(importer, learner, &objective);
    if (status != STATUS_OK || !objective) {
        return status;
    }
    double *base = calloc(importer->output_count, sizeof(*base));
    char **names = NULL;
    if (!base) {
        status = error_set(importer->error, STATUS_FATAL, "%s: out of memory", importer->name);
    } else {
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
    struct xgboost_importer importer = {.name = name, .error = error};
    const struct document_value *learner = document_member(document, "learner");
    if (!learner) {
        return xgboost_refuse(&importer, "learner", "the model of XGBoost's save_model()");
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
