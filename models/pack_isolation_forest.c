#include "models/pack_isolation_forest.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "models/pack_kind.h"

enum { NODE_FEATURE, NODE_CUT, NODE_LEFT, NODE_PATH };

static void forest_unload(void *body)
{
    isolation_forest_destroy(body);
}

float *isolation_nodes_as_floats(const struct isolation_forest *forest)
{
    float *floats = calloc((size_t)forest->node_count * ISOLATION_NODE_FLOATS, sizeof(*floats));
    for (uint32_t i = 0; floats && i < forest->node_count; i++) {
        const struct isolation_node *node = &forest->nodes[i];
        float *to = floats + (size_t)i * ISOLATION_NODE_FLOATS;
        to[NODE_FEATURE] = (float)node->feature;
        to[NODE_CUT] = node->cut;
        to[NODE_LEFT] = (float)node->left;
        to[NODE_PATH] = node->path;
    }
    return floats;
}

float *isolation_roots_as_floats(const struct isolation_forest *forest)
{
    float *floats = calloc(forest->tree_count, sizeof(*floats));
    for (uint32_t i = 0; floats && i < forest->tree_count; i++) {
        floats[i] = (float)forest->roots[i];
    }
    return floats;
}

/* False where it is no whole number from `least` on that an index can be. */
static bool read_whole(float value, float least, float *ret_whole)
{
    *ret_whole = value;
    return value >= least && value <= (float)ISOLATION_NODES_MAX && value == floorf(value);
}

static enum status read_nodes(const char *directory, const float *floats, uint32_t count,
                              struct isolation_node *nodes, struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        const float *from = floats + (size_t)i * ISOLATION_NODE_FLOATS;
        float feature, left;
        if (!read_whole(from[NODE_FEATURE], ISOLATION_LEAF, &feature) ||
            !read_whole(from[NODE_LEFT], 0, &left)) {
            return error_set(error, STATUS_INVALID,
                             "%s/weights.safetensors: tensor nodes: node %u: feature %g and left "
                             "child %g; whole numbers from -1 and 0 on expected",
                             directory, i, (double)from[NODE_FEATURE], (double)from[NODE_LEFT]);
        }
        nodes[i] = (struct isolation_node){.cut = from[NODE_CUT],
                                           .path = from[NODE_PATH],
                                           .feature = (int32_t)feature,
                                           .left = (uint32_t)left};
    }
    return STATUS_OK;
}

static enum status read_roots(const char *directory, const float *floats, uint32_t count,
                              uint32_t *roots, struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        float root;
        if (!read_whole(floats[i], 0, &root)) {
            return error_set(error, STATUS_INVALID,
                             "%s/weights.safetensors: tensor roots: %g; a whole number expected",
                             directory, (double)floats[i]);
        }
        roots[i] = (uint32_t)root;
    }
    return STATUS_OK;
}

static enum status find_tensor(const char *directory, const struct model_pack *pack,
                               const char *name, uint32_t dimensions, uint64_t most,
                               const struct tensor **ret_tensor, struct error *error)
{
    const struct tensor *tensor = tensor_file_find(pack->tensors, name);
    bool is_good = tensor && tensor->dimension_count == dimensions && tensor->shape[0] >= 1 &&
                   tensor->shape[0] <= most &&
                   (dimensions == 1 || tensor->shape[1] == ISOLATION_NODE_FLOATS);
    if (!is_good) {
        return error_set(error, STATUS_INVALID,
                         "%s/weights.safetensors: tensor %s: [1 to %llu%s] values expected",
                         directory, name, (unsigned long long)most, dimensions == 2 ? ", 4" : "");
    }
    *ret_tensor = tensor;
    return STATUS_OK;
}

static enum status make_forest(const char *directory, const struct tensor *nodes,
                               const struct tensor *roots, struct model_pack *pack,
                               struct error *error)
{
    struct isolation_forest given = {
        .tree_count = (uint32_t)roots->shape[0],
        .feature_count = pack->feature_count,
        .node_count = (uint32_t)nodes->shape[0],
    };
    given.roots = calloc(given.tree_count, sizeof(*given.roots));
    given.nodes = calloc(given.node_count, sizeof(*given.nodes));
    enum status status =
        given.roots && given.nodes
            ? read_nodes(directory, nodes->data, given.node_count, given.nodes, error)
            : error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    if (status == STATUS_OK) {
        status = read_roots(directory, roots->data, given.tree_count, given.roots, error);
    }
    if (status == STATUS_OK) {
        struct isolation_forest *forest = NULL;
        status = isolation_forest_make(&given, &forest, error);
        pack->body = forest;
        status = status == STATUS_OK
                     ? status
                     : error_prefix(error, status, "%s/weights.safetensors", directory);
    }
    free(given.roots);
    free(given.nodes);
    return status;
}

static enum status forest_read(const char *directory, const struct yaml_node *root,
                               struct model_pack *pack, struct error *error)
{
    (void)root;
    const struct tensor *nodes, *roots;
    enum status status =
        find_tensor(directory, pack, "nodes", 2, ISOLATION_NODES_MAX, &nodes, error);
    if (status == STATUS_OK) {
        status = find_tensor(directory, pack, "roots", 1, ISOLATION_TREES_MAX, &roots, error);
    }
    return status == STATUS_OK ? make_forest(directory, nodes, roots, pack, error) : status;
}

struct forest_model {
    struct model model;
    uint32_t *columns; /* [feature_count] in the rows. */
    float *row;        /* [feature_count] */
};

static const float *pick(const struct forest_model *model, const float *row)
{
    for (uint32_t f = 0; f < model->model.pack->feature_count; f++) {
        model->row[f] = row[model->columns[f]];
    }
    return model->row;
}

static enum status forest_score(struct model *base, const float *features, uint32_t stride,
                                const uint32_t *rows, uint32_t count, float *logits,
                                struct error *error)
{
    (void)error;
    struct forest_model *model = (struct forest_model *)base;
    const struct isolation_forest *forest = base->pack->body;
    for (uint32_t i = 0; i < count; i++) {
        const float *row = features + (size_t)(rows ? rows[i] : i) * stride;
        logits[i] = -isolation_forest_path(forest, pick(model, row));
    }
    return STATUS_OK;
}

static void forest_explain(struct model *base, const float *row, const void *state, float *terms,
                           float *ret_base)
{
    (void)state;
    struct forest_model *model = (struct forest_model *)base;
    *ret_base = -isolation_forest_explain(base->pack->body, pick(model, row), terms);
    for (uint32_t f = 0; f < base->pack->feature_count; f++) {
        terms[f] = -terms[f];
    }
}

static void forest_model_unload(struct model *base)
{
    struct forest_model *model = (struct forest_model *)base;
    free(model->columns);
    free(model->row);
    free(model);
}

static const struct model_ops forest_ops = {
    .score = forest_score,
    .explain = forest_explain,
    .unload = forest_model_unload,
};

static enum status forest_load(const struct model_backend_ops *backend,
                               const struct model_pack *pack, const uint32_t *columns,
                               uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    (void)width;
    struct forest_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    model->model.ops = &forest_ops;
    model->columns = calloc(pack->feature_count, sizeof(*model->columns));
    model->row = calloc(pack->feature_count, sizeof(*model->row));
    if (!model->columns || !model->row) {
        forest_model_unload(&model->model);
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    for (uint32_t f = 0; f < pack->feature_count; f++) {
        model->columns[f] = columns[f];
    }
    *ret_model = &model->model;
    return STATUS_OK;
}

const struct pack_kind_ops pack_kind_isolation_forest = {
    .name = "isolation_forest",
    .features = PACK_FEATURES_REQUIRED,
    .needs_tensors = true,
    .read = forest_read,
    .unload = forest_unload,
    .load = forest_load,
};
