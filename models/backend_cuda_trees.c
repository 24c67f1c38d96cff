#include <assert.h>
#include <stdlib.h>

#include "models/backend_cuda_internal.h"
#include "models/pack_trees.h"
#include "models/tree_layout.h"

/* Of the leaves that a slot has room for: 64 MiB. */
#define TREES_MAX 65536u

static_assert(sizeof(struct cuda_tree_node) == sizeof(struct tree_node), "passed on as it is");

struct cuda_trees_model {
    struct cuda_kind_model base;
    const struct cuda_plugin *plugin;
    const struct pack_trees *body; /* Borrowed. */
    uint32_t *columns;             /* [file's features] in the rows. */
};

static void destroy(struct cuda_kind_model *base)
{
    struct cuda_trees_model *model = (struct cuda_trees_model *)base;
    model->plugin->destroy(model->base.device);
    free(model->columns);
    free(model);
}

static enum status create(const struct cuda_plugin *plugin, const struct model_pack *pack,
                          const uint32_t *columns, struct cuda_kind_model **ret_model,
                          struct error *error)
{
    const struct pack_trees *body = pack_trees_of(pack);
    const struct tree_ensemble *ensemble = body->ensemble;
    if (ensemble->facts.tree_count > TREES_MAX) {
        return error_set(error, STATUS_INVALID, "device cuda: %u trees; at most %u expected",
                         ensemble->facts.tree_count, TREES_MAX);
    }
    if (body->output.count > 1) {
        return error_set(error, STATUS_INVALID,
                         "device cuda: a model with %u outputs; one expected", body->output.count);
    }
    struct cuda_trees_model *model = calloc(1, sizeof(*model));
    uint32_t *places = calloc(pack->feature_count, sizeof(*places));
    if (!model || !places) {
        free(model);
        free(places);
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    model->plugin = plugin;
    model->body = body;
    model->columns = places;
    for (uint32_t f = 0; f < pack->feature_count; f++) {
        places[f] = columns[body->places[f]];
    }
    const struct cuda_trees trees = {
        .nodes = (const struct cuda_tree_node *)(const void *)ensemble->nodes,
        .roots = ensemble->roots,
        .node_count = ensemble->facts.node_count,
        .tree_count = ensemble->facts.tree_count,
        .column_count = ensemble->column_count,
    };
    char message[CUDA_MESSAGE_BYTES] = "";
    if (plugin->create_trees(&trees, &model->base.device, message, sizeof(message)) != 0) {
        free(places);
        free(model);
        return error_set(error, STATUS_INVALID, "device cuda: %s", message);
    }
    *ret_model = &model->base;
    return STATUS_OK;
}

static void gather(struct cuda_kind_model *base, const struct cuda_batch *batch, uint32_t first,
                   uint32_t count, struct cuda_slot *slot)
{
    struct cuda_trees_model *model = (struct cuda_trees_model *)base;
    const struct tree_ensemble *ensemble = model->body->ensemble;
    const struct tree_rows rows = {batch->features, batch->stride, model->columns, batch->rows};
    float *tile = slot->inputs;
    for (uint32_t i = 0; i < count; i += TREE_TILE_ROWS) {
        uint32_t some = count - i < TREE_TILE_ROWS ? count - i : TREE_TILE_ROWS;
        tree_columns_fill(ensemble, &rows, first + i, some, tile);
        tile += (size_t)ensemble->column_count * TREE_TILE_ROWS;
    }
}

static void collect(struct cuda_kind_model *base, const struct cuda_batch *batch, uint32_t first,
                    uint32_t count, const struct cuda_slot *slot)
{
    const struct cuda_trees_model *model = (const struct cuda_trees_model *)base;
    const struct tree_ensemble *ensemble = model->body->ensemble;
    for (uint32_t i = 0; i < count; i++) {
        float margin = (float)(ensemble->base[0] + slot->sums[i] / ensemble->divisor);
        batch->logits[first + i] = margin * model->body->output.scale;
    }
}

const struct cuda_kind_ops cuda_trees_kind = {create, destroy, gather, collect};
