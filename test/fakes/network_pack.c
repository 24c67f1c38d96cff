#include "test/fakes/network_pack.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "models/network_shape.h"
#include "models/tensor_file.h"
#include "test/fakes/random.h"

#define FEATURES 5u
#define TENSORS_MAX 16u

static const char *const names[FEATURES] = {"session_events", "funnel_stage", "gap_last_s",
                                            "user_events", "cart_pieces"};

struct list {
    const float *values;
    struct network_tensor made[TENSORS_MAX];
    struct tensor tensors[TENSORS_MAX];
    uint32_t count;
};

static enum status add(void *context, const struct network_tensor *tensor, struct error *error)
{
    struct list *list = context;
    (void)error;
    assert(list->count < TENSORS_MAX);
    list->made[list->count] = *tensor;
    list->tensors[list->count] = (struct tensor){
        .name = list->made[list->count].name,
        .dimension_count = tensor->dimension_count,
        .shape = {tensor->dimensions[0], tensor->dimensions[1]},
        .count = tensor->count,
        .data = list->values + tensor->place,
    };
    list->count++;
    return STATUS_OK;
}

static void write_manifest(const char *directory, const char *kind, uint32_t hidden)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/manifest.yaml", directory);
    FILE *out = fopen(path, "wb");
    assert(out);
    (void)fprintf(out,
                  "format: 1\nkind: %s\nname: network\nversion: %u\nfeatures:\n"
                  "  - {name: session_events, transform: octaves, scale: 2}\n"
                  "  - {name: funnel_stage}\n"
                  "  - {name: gap_last_s, transform: log1p, scale: 4}\n"
                  "  - {name: user_events, transform: octaves, scale: 3}\n"
                  "  - {name: cart_pieces, transform: octaves}\n"
                  "network:\n  indicators: [gap_last_s]\n"
                  "  embeddings: [{feature: funnel_stage, rows: 8, width: 2, first: 1}]\n"
                  "  layers: [{size: 6, activation: relu}, {size: 1}]\n",
                  kind, hidden);
    if (strcmp(kind, "mlp") != 0) {
        (void)fprintf(out, "  hidden: %u\n", hidden);
    }
    assert(fclose(out) == 0);
}

void network_pack_write(const char *directory, const char *kind, uint32_t hidden, uint64_t seed)
{
    struct network_shape shape;
    struct random random = {seed};
    enum status status = network_shape_init(&shape, FEATURES, NULL);
    shape.cell = strcmp(kind, "gru") == 0 ? CELL_GRU : strcmp(kind, "lstm") == 0 ? CELL_LSTM : 0;
    shape.hidden = shape.cell == CELL_NONE ? 0 : hidden;
    shape.inputs[2].has_indicator = true;
    shape.inputs[1] = (struct network_input){.rows = 8, .width = 2, .first = 1};
    shape.layer_count = 2;
    shape.layers[0] = (struct network_layer){.size = 6, .activation = ACTIVATION_RELU};
    shape.layers[1].size = 1;
    status = status == STATUS_OK ? network_shape_finish(&shape, NULL) : status;
    assert(status == STATUS_OK);
    float *values = malloc(shape.parameter_count * sizeof(*values));
    assert(values);
    for (size_t i = 0; i < shape.parameter_count; i++) {
        values[i] = ((float)(random_next(&random) >> 40) * 0x1p-23f - 1.0f) * 0.7f;
    }
    struct list list = {.values = values};
    assert(network_shape_tensors(&shape, names, add, &list, NULL) == STATUS_OK);
    (void)mkdir(directory, 0777);
    write_manifest(directory, kind, hidden);
    char path[4096];
    struct error error;
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    status = tensor_file_write(path, list.tensors, list.count, &error);
    assert(status == STATUS_OK);
    (void)status;
    free(values);
    network_shape_release(&shape);
}
