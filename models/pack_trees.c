#include "models/pack_trees.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/pack_kind.h"
#include "pipeline/base/hash.h"

static void trees_unload(void *given)
{
    struct pack_trees *body = given;
    if (body) {
        tree_ensemble_unload(body->ensemble);
        free(body->places);
        free(body);
    }
}

static enum status read_reasons(const struct yaml_node *node, enum tree_reasons *ret_reasons,
                                struct error *error)
{
    *ret_reasons = TREE_REASONS_SHAPLEY;
    if (!node || (node->kind == YAML_SCALAR && strcmp(node->scalar, "shapley") == 0)) {
        return STATUS_OK;
    }
    if (node->kind == YAML_SCALAR && strcmp(node->scalar, "path") == 0) {
        *ret_reasons = TREE_REASONS_PATH;
        return STATUS_OK;
    }
    return yaml_complain(node, error, "\"%s\": shapley or path expected",
                         node->kind == YAML_SCALAR ? node->scalar : "");
}

/* LightGBM writes Column_0, Column_1 ... where it was given no names. */
static bool has_names(const struct tree_facts *facts)
{
    if (!facts->feature_names) {
        return false;
    }
    for (uint32_t f = 0; f < facts->feature_count; f++) {
        if (strncmp(facts->feature_names[f], "Column_", 7) != 0) {
            return true;
        }
    }
    return false;
}

static enum status refuse_feature(const char *file, const struct model_pack *pack, const char *name,
                                  struct error *error)
{
    const char *names[PACK_FEATURES_MAX];
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        names[i] = pack->features[i].name;
    }
    const char *near = nearest_name(name, names, pack->feature_count);
    return error_set(error, STATUS_INVALID,
                     "%s: feature %s is not among the manifest's features%s%s%s", file, name,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum status place_features(const char *file, const struct model_pack *pack,
                                  const struct tree_facts *facts, uint32_t *places,
                                  struct error *error)
{
    if (facts->feature_count != pack->feature_count) {
        return error_set(error, STATUS_INVALID, "%s: %u features; the manifest has %u", file,
                         facts->feature_count, pack->feature_count);
    }
    bool is_by_name = has_names(facts);
    for (uint32_t f = 0; f < facts->feature_count; f++) {
        uint32_t place = is_by_name ? 0 : f;
        while (is_by_name && place < pack->feature_count &&
               strcmp(pack->features[place].name, facts->feature_names[f]) != 0) {
            place++;
        }
        if (place == pack->feature_count) {
            return refuse_feature(file, pack, facts->feature_names[f], error);
        }
        for (uint32_t before = 0; before < f; before++) {
            if (places[before] == place) {
                return error_set(error, STATUS_INVALID, "%s: feature %s stands there twice", file,
                                 facts->feature_names[f]);
            }
        }
        places[f] = place;
    }
    return STATUS_OK;
}

static enum status match_features(const char *file, struct model_pack *pack,
                                  const struct tree_facts *facts, uint32_t **ret_places,
                                  struct error *error)
{
    enum status status = STATUS_OK;
    if (pack->feature_count == 0) {
        if (!has_names(facts)) {
            return error_set(error, STATUS_INVALID,
                             "%s: it does not name its features; features expected in the manifest",
                             file);
        }
        status = pack_set_features(pack, facts->feature_names, facts->feature_count, error);
        status = status == STATUS_OK ? status : error_prefix(error, status, "%s", file);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *ret_places = calloc((size_t)facts->feature_count + 1, sizeof(**ret_places));
    return *ret_places ? place_features(file, pack, facts, *ret_places, error)
                       : error_set(error, STATUS_FATAL, "out of memory");
}

static enum status read_file(const char *file, const struct yaml_node *root,
                             struct model_pack *pack, struct pack_trees *body, struct error *error)
{
    enum status status = tree_ensemble_load(file, &body->ensemble, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct tree_facts *facts = tree_ensemble_facts(body->ensemble);
    if (!facts->has_covers) {
        return error_set(error, STATUS_INVALID,
                         "%s: it does not say how many training rows reached each leaf, without "
                         "which there are no reasons",
                         file);
    }
    status = pack_trees_output_read(file, root, facts, pack, &body->output, error);
    pack->body_hash =
        body->output.hash == 0 ? facts->hash : hash64_combine(facts->hash, body->output.hash);
    return status == STATUS_OK ? match_features(file, pack, facts, &body->places, error) : status;
}

static enum status trees_read(const char *directory, const struct yaml_node *root,
                              struct model_pack *pack, struct error *error)
{
    struct pack_trees *body = calloc(1, sizeof(*body));
    if (!body) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    pack->body = body;
    const struct yaml_node *model = yaml_find(root, "model");
    if (!model || model->kind != YAML_SCALAR || !*model->scalar) {
        return yaml_complain(model ? model : root, error,
                             "model: a file of XGBoost or LightGBM expected");
    }
    enum status status = read_reasons(yaml_find(root, "reasons"), &body->reasons, error);
    if (status != STATUS_OK) {
        return status;
    }
    char *file = yaml_resolve_path(model, model->scalar);
    if (!file) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    status = read_file(file, root, pack, body, error);
    free(file);
    return status;
}

/* Margins of a model with several outputs are made for so many at once: a block of rows. */
#define MARGINS_MAX 16384u
static_assert(MARGINS_MAX >= TREE_OUTPUTS_MAX, "room for one row");

struct trees_model {
    struct model model;
    const struct pack_trees *body; /* Borrowed. */
    struct tree_scratch *scratch;
    uint32_t *columns; /* [file's features] in the rows. */
    float *row;        /* [file's features] */
    float *reasons;    /* [outputs][file's features] */
    float *terms;      /* [file's features] */
    float *bases;      /* [outputs] */
    double *weights;   /* [outputs] */
    float *margins;    /* [MARGINS_MAX]; NULL: one output. */
};

static void model_unload_trees(struct model *base)
{
    struct trees_model *model = (struct trees_model *)base;
    tree_scratch_destroy(model->scratch);
    free(model->columns);
    free(model->row);
    free(model->reasons);
    free(model->terms);
    free(model->bases);
    free(model->weights);
    free(model->margins);
    free(model);
}

static enum status trees_score_classes(struct model *base, const float *features, uint32_t stride,
                                       const uint32_t *rows, uint32_t count, float *logits,
                                       float *values, struct error *error)
{
    (void)error;
    struct trees_model *model = (struct trees_model *)base;
    const struct pack_trees *body = model->body;
    uint32_t block = model->margins ? MARGINS_MAX / body->output.count : count;
    for (uint32_t first = 0; first < count; first += block) {
        uint32_t some = count - first < block ? count - first : block;
        float *margins = model->margins ? model->margins : logits;
        tree_ensemble_score_picked(body->ensemble, model->scratch,
                                   rows ? features : features + (size_t)first * stride, stride,
                                   model->columns, rows ? rows + first : NULL, some, margins);
        pack_trees_output_logits(&body->output, margins, some, logits + first,
                                 values ? values + (size_t)first * body->output.count : NULL);
    }
    return STATUS_OK;
}

static enum status trees_score(struct model *base, const float *features, uint32_t stride,
                               const uint32_t *rows, uint32_t count, float *logits,
                               struct error *error)
{
    return trees_score_classes(base, features, stride, rows, count, logits, NULL, error);
}

static void explain_output(struct trees_model *model, uint32_t output)
{
    const struct pack_trees *body = model->body;
    uint32_t count = tree_ensemble_facts(body->ensemble)->feature_count;
    enum status status =
        tree_ensemble_explain(body->ensemble, model->scratch, body->reasons, model->row, output,
                              model->reasons + (size_t)output * count, &model->bases[output], NULL);
    assert(status == STATUS_OK); /* The covers were checked at load. */
}

static void trees_explain(struct model *base, const float *row, const void *state, float *terms,
                          float *ret_base)
{
    (void)state;
    struct trees_model *model = (struct trees_model *)base;
    const struct pack_trees *body = model->body;
    uint32_t count = tree_ensemble_facts(body->ensemble)->feature_count;
    for (uint32_t f = 0; f < count; f++) {
        model->row[f] = row[model->columns[f]];
    }
    for (uint32_t k = 0; k < body->output.count; k++) {
        if (body->output.is_softmax || k == body->output.chosen) {
            explain_output(model, k);
        }
    }
    pack_trees_output_reasons(&body->output, count, model->reasons, model->bases, model->weights,
                              model->terms, ret_base);
    for (uint32_t f = 0; f < count; f++) {
        terms[body->places[f]] = model->terms[f];
    }
}

static const struct model_ops trees_ops = {
    .score = trees_score,
    .score_classes = trees_score_classes,
    .explain = trees_explain,
    .unload = model_unload_trees,
};

static enum status trees_load(const struct model_backend_ops *backend,
                              const struct model_pack *pack, const uint32_t *columns,
                              uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    (void)width;
    struct trees_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    const struct pack_trees *body = pack_trees_of(pack);
    uint32_t count = pack->feature_count;
    model->model.ops = &trees_ops;
    model->body = body;
    model->columns = calloc(count, sizeof(*model->columns));
    model->row = calloc(count, sizeof(float));
    uint32_t outputs = body->output.count;
    model->reasons = calloc((size_t)outputs * count, sizeof(float));
    model->terms = calloc(count, sizeof(float));
    model->bases = calloc(outputs, sizeof(float));
    model->weights = calloc(outputs, sizeof(double));
    model->margins = outputs > 1 ? calloc(MARGINS_MAX, sizeof(float)) : NULL;
    bool is_made = model->columns && model->row && model->reasons && model->terms && model->bases &&
                   model->weights && (model->margins || outputs == 1);
    enum status status = is_made ? tree_scratch_create(body->ensemble, &model->scratch, error)
                                 : error_set(error, STATUS_FATAL, "out of memory");
    if (status != STATUS_OK) {
        model_unload_trees(&model->model);
        return status;
    }
    for (uint32_t f = 0; f < count; f++) {
        model->columns[f] = columns[body->places[f]];
    }
    *ret_model = &model->model;
    return STATUS_OK;
}

static const char *const keys[] = {"model", "reasons", "class", "classes", "output", NULL};

const struct pack_kind_ops pack_kind_trees = {
    .name = "trees",
    .keys = keys,
    .features = PACK_FEATURES_OPTIONAL,
    .read = trees_read,
    .unload = trees_unload,
    .load = trees_load,
};
