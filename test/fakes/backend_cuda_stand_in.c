#include "test/fakes/backend_cuda_stand_in.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/backend_cuda_kernels.h"

/* Of an older device, so that large networks get smaller tiles. */
#define SHARED_BYTES (48u * 1024u)

struct cuda_model {
    bool is_trees;
    struct cuda_network network; /* Its arrays are copies, below. */
    struct cuda_trees trees;
    void *copies[4 * CUDA_LAYERS_MAX + 8];
    uint32_t copy_count;
    struct cuda_slot slots[CUDA_SLOTS];
    uint32_t submitted[CUDA_SLOTS]; /* Rows under way. */
};

struct stand_in_faults stand_in_faults;

static bool is_due(uint32_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

static int fail(char *message, size_t size, const char *why)
{
    (void)snprintf(message, size, "%s", why);
    return 1;
}

static int open_device(char *device, size_t device_size, char *message, size_t size)
{
    if (stand_in_faults.has_no_device) {
        return fail(message, size, "there is no device");
    }
    const char *wait = getenv("STAND_IN_FAILS_AT"); /* For tests of the whole program. */
    if (wait) {
        stand_in_faults.wait = (uint32_t)strtoul(wait, NULL, 10);
    }
    (void)snprintf(device, device_size, "stand-in");
    return 0;
}

/* A copy of exactly this size, so that a sanitizer sees what reads beyond. */
static const void *keep(struct cuda_model *model, const void *from, size_t bytes)
{
    if (!from) {
        return NULL;
    }
    void *copy = malloc(bytes);
    memcpy(copy, from, bytes);
    model->copies[model->copy_count++] = copy;
    return copy;
}

static const float *keep_floats(struct cuda_model *model, const float *from, size_t count)
{
    return keep(model, from, count * sizeof(*from));
}

static int create_network(const struct cuda_network *network, struct cuda_model **ret_model,
                          char *message, size_t size)
{
    if (is_due(&stand_in_faults.create)) {
        return fail(message, size, "memory of the device: out of memory");
    }
    if (network_tile_rows(network, SHARED_BYTES) == 0) {
        return fail(message, size, "the network needs more shared memory than there is");
    }
    struct cuda_model *model = calloc(1, sizeof(*model));
    struct cuda_network *own = &model->network;
    *own = *network;
    size_t columns = (size_t)(network->cell == CUDA_CELL_GRU ? 3 : 4) * network->hidden_padded;
    own->input_panels = keep_floats(model, own->input_panels, columns * own->input_count);
    own->hidden_panels = keep_floats(model, own->hidden_panels, columns * own->hidden);
    own->gate_bias = keep_floats(model, own->gate_bias, columns);
    own->inner_bias = keep_floats(model, own->inner_bias, own->hidden_padded);
    for (uint32_t i = 0; i < own->layer_count; i++) {
        struct cuda_layer *layer = &own->layers[i];
        layer->panels = keep_floats(model, layer->panels, (size_t)layer->padded * layer->inputs);
        layer->bias = keep_floats(model, layer->bias, layer->padded);
        layer->norm_weight = keep_floats(model, layer->norm_weight, layer->padded);
        layer->norm_bias = keep_floats(model, layer->norm_bias, layer->padded);
    }
    for (uint32_t i = 0; i < CUDA_SLOTS; i++) {
        size_t hidden = (size_t)CUDA_SLOT_ROWS * network->hidden_padded * sizeof(float);
        model->slots[i].inputs =
            malloc((size_t)CUDA_SLOT_ROWS * network->input_padded * sizeof(float));
        model->slots[i].outputs = malloc(CUDA_SLOT_ROWS * sizeof(float));
        model->slots[i].h = hidden > 0 ? malloc(hidden) : NULL;
        model->slots[i].c = network->cell == CUDA_CELL_LSTM ? malloc(hidden) : NULL;
    }
    *ret_model = model;
    return 0;
}

static int create_trees(const struct cuda_trees *trees, struct cuda_model **ret_model,
                        char *message, size_t size)
{
    if (is_due(&stand_in_faults.create)) {
        return fail(message, size, "memory of the device: out of memory");
    }
    struct cuda_model *model = calloc(1, sizeof(*model));
    model->is_trees = true;
    model->trees = *trees;
    model->trees.nodes = keep(model, trees->nodes, trees->node_count * sizeof(*trees->nodes));
    model->trees.roots = keep(model, trees->roots, trees->tree_count * sizeof(*trees->roots));
    for (uint32_t i = 0; i < CUDA_SLOTS; i++) {
        model->slots[i].inputs =
            malloc((size_t)CUDA_SLOT_ROWS * trees->column_count * sizeof(float));
        model->slots[i].sums = malloc(CUDA_SLOT_ROWS * sizeof(double));
    }
    *ret_model = model;
    return 0;
}

static void destroy(struct cuda_model *model)
{
    if (!model) {
        return;
    }
    for (uint32_t i = 0; i < CUDA_SLOTS; i++) {
        free(model->slots[i].inputs);
        free(model->slots[i].h);
        free(model->slots[i].c);
        free(model->slots[i].outputs);
        free(model->slots[i].sums);
    }
    for (uint32_t i = 0; i < model->copy_count; i++) {
        free(model->copies[i]);
    }
    free(model);
}

static struct cuda_slot *slot_of(struct cuda_model *model, uint32_t slot)
{
    return &model->slots[slot];
}

static int submit(struct cuda_model *model, uint32_t slot, uint32_t rows, char *message,
                  size_t size)
{
    if (is_due(&stand_in_faults.submit)) {
        return fail(message, size, "starting the kernel: unspecified launch failure");
    }
    model->submitted[slot] = rows;
    return 0;
}

static void run_network(struct cuda_model *model, struct cuda_slot *slot, uint32_t rows)
{
    uint32_t tile_rows = network_tile_rows(&model->network, SHARED_BYTES);
    const struct network_work work = {
        .network = &model->network,
        .room = network_room_of(&model->network, tile_rows),
        .tile_rows = tile_rows,
        .inputs = slot->inputs,
        .h = slot->h,
        .c = slot->c,
        .outputs = slot->outputs,
        .rows = rows,
    };
    float *shared = malloc(work.room.total * sizeof(float));
    for (uint32_t block = (rows + tile_rows - 1) / tile_rows; block-- > 0;) {
        /* What a block finds in shared memory is what another left there. */
        memset(shared, 0xFF, work.room.total * sizeof(float));
        network_block(&work, block, shared);
    }
    free(shared);
}

static void run_trees(struct cuda_model *model, struct cuda_slot *slot, uint32_t rows)
{
    float *values = malloc((size_t)rows * model->trees.tree_count * sizeof(float));
    const struct trees_work work = {model->trees, slot->inputs, values, slot->sums};
    for (uint32_t block = rows; block-- > 0;) {
        trees_block(&work, block);
    }
    free(values);
}

/* The work is done as late as may be, so that who reads results too early reads old ones. */
static int wait_for(struct cuda_model *model, uint32_t slot, char *message, size_t size)
{
    if (is_due(&stand_in_faults.wait)) {
        return fail(message, size, "scoring a batch: an illegal memory access was encountered");
    }
    uint32_t rows = model->submitted[slot];
    if (model->is_trees) {
        run_trees(model, &model->slots[slot], rows);
    } else {
        run_network(model, &model->slots[slot], rows);
        if (stand_in_faults.is_inexact) {
            model->slots[slot].outputs[rows - 1] *= 1.0f + 0x1p-23f;
        }
    }
    return 0;
}

const struct cuda_plugin stand_in_plugin = {
    .version = CUDA_PLUGIN_VERSION,
    .open = open_device,
    .create_network = create_network,
    .create_trees = create_trees,
    .destroy = destroy,
    .slot = slot_of,
    .submit = submit,
    .wait = wait_for,
};

const struct cuda_plugin *nudge_cuda_plugin(void);
const struct cuda_plugin *nudge_cuda_plugin(void)
{
    return &stand_in_plugin;
}
