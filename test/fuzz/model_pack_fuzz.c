/*
 * Any bytes are a tensor file or a message; what is accepted has data inside the file. The input is
 * a file of weights; or, behind the byte M, a manifest beside good weights; or, behind N, the
 * weights of a GRU; or, behind G, its manifest; or, behind F, the weights of an isolation forest. A
 * network or a forest that is accepted scores and explains a row. Behind T stands the manifest of
 * trees, beside models of three classes and of a count.
 */
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/pack_kind.h"
#include "models/pack_logistic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64];

static void write_file(const char *name, const void *bytes, size_t length)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    assert(file);
    assert(fwrite(bytes, 1, length, file) == length);
    assert(fclose(file) == 0);
}

static const char manifest[] = "format: 1\nkind: logistic\nname: x\nversion: 1\n"
                               "features: [{name: a}, {name: b}]\n";

static void write_good_weights(void)
{
    static const float values[] = {1, 2, 3};
    struct tensor tensors[] = {
        {.name = "weight", .dimension_count = 1, .shape = {2}, .count = 2, .data = values},
        {.name = "bias", .dimension_count = 1, .shape = {1}, .count = 1, .data = values},
    };
    char path[128];
    struct error error;
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    assert(tensor_file_write(path, tensors, 2, &error) == STATUS_OK);
}

static const char network_manifest[] =
    "format: 1\nkind: gru\nname: x\nversion: 1\nfeatures: [{name: a}, {name: b}]\n"
    "network:\n  hidden: 2\n  indicators: [a]\n"
    "  embeddings: [{feature: b, rows: 2, width: 1, first: 1}]\n"
    "  layers: [{size: 2, activation: gelu, norm: true}, {size: 1}]\n";

static const char forest_manifest[] =
    "format: 1\nkind: isolation_forest\nname: x\nversion: 1\nfeatures: [{name: a}, {name: b}]\n";

static void write_network_weights(void)
{
    static const float values[18] = {1, -2, 0.5f};
    static const struct {
        const char *name;
        uint64_t rows, columns;
    } shapes[] = {
        {"embeddings.b.weight", 2, 1}, {"rnn.weight_ih_l0", 6, 3}, {"rnn.weight_hh_l0", 6, 2},
        {"rnn.bias_ih_l0", 6, 0},      {"rnn.bias_hh_l0", 6, 0},   {"layers.0.weight", 2, 2},
        {"layers.0.bias", 2, 0},       {"norms.0.weight", 2, 0},   {"norms.0.bias", 2, 0},
        {"layers.1.weight", 1, 2},     {"layers.1.bias", 1, 0}};
    enum { COUNT = sizeof(shapes) / sizeof(shapes[0]) };
    struct tensor tensors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        bool is_matrix = shapes[i].columns > 0;
        tensors[i] = (struct tensor){.name = shapes[i].name,
                                     .dimension_count = is_matrix ? 2 : 1,
                                     .shape = {shapes[i].rows, shapes[i].columns},
                                     .count = shapes[i].rows * (is_matrix ? shapes[i].columns : 1),
                                     .data = values};
    }
    char path[128];
    struct error error;
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    assert(tensor_file_write(path, tensors, COUNT, &error) == STATUS_OK);
}

#define TREE                                                                                       \
    "num_leaves=2\nnum_cat=0\nsplit_feature=1\nsplit_gain=1\nthreshold=0.5\ndecision_type=10\n"    \
    "left_child=-1\nright_child=-2\nleaf_value=0.25 -1.5\nleaf_weight=3 5\nleaf_count=3 5\n"       \
    "internal_value=0\ninternal_weight=8\ninternal_count=8\nis_linear=0\nshrinkage=1\n\n\n"
static const char classes_model[] =
    "tree\nversion=v4\nnum_class=3\nnum_tree_per_iteration=3\nlabel_index=0\nmax_feature_idx=1\n"
    "objective=multiclass num_class:3\nfeature_names=a b\nfeature_infos=[0:1] [0:1]\n"
    "tree_sizes=1 1 1\n\nTree=0\n" TREE "Tree=1\n" TREE "Tree=2\n" TREE "end of trees\n";
static const char count_model[] =
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    "objective=poisson\nfeature_names=a b\nfeature_infos=[0:1] [0:1]\n"
    "tree_sizes=1\n\nTree=0\n" TREE "end of trees\n";

/* What is accepted can be used; finite weights may still overflow. */
static void use_model(const struct model_pack *pack)
{
    static const float rows[2][PACK_FEATURES_MAX] = {{1, -1}, {NAN, 1e30f}};
    static uint32_t columns[PACK_FEATURES_MAX];
    static float terms[PACK_FEATURES_MAX];
    float state[MODEL_STATE_BYTES_MAX / sizeof(float)] = {0};
    struct model *model;
    struct error error;
    float logit;
    float base;
    for (uint32_t i = 0; i < PACK_FEATURES_MAX; i++) {
        columns[i] = i;
    }
    assert(model_load(&backend_lanes, pack, columns, PACK_FEATURES_MAX, &model, &error) ==
           STATUS_OK);
    for (int i = 0; i < 2; i++) {
        void *states[] = {state};
        enum status status =
            model->state_bytes > 0
                ? model_step(model, rows[i], PACK_FEATURES_MAX, NULL, 1, states, &logit, &error)
                : model_score(model, rows[i], PACK_FEATURES_MAX, NULL, 1, &logit, &error);
        assert(status == STATUS_OK);
        model_explain(model, rows[i], state, terms, &base);
    }
    model_unload(model);
}

static void make_directory(void)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/nudge-pack-fuzz-%ld", (long)getpid());
    (void)mkdir(directory, 0777);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (directory[0] == '\0') {
        make_directory();
    }
    if (size > 0 && data[0] == 'M') {
        write_file("manifest.yaml", data + 1, size - 1);
        write_good_weights();
    } else if (size > 0 && data[0] == 'G') {
        write_file("manifest.yaml", data + 1, size - 1);
        write_network_weights();
    } else if (size > 0 && data[0] == 'T') {
        write_file("manifest.yaml", data + 1, size - 1);
        write_file("classes.txt", classes_model, sizeof(classes_model) - 1);
        write_file("count.txt", count_model, sizeof(count_model) - 1);
    } else if (size > 0 && data[0] == 'N') {
        write_file("manifest.yaml", network_manifest, sizeof(network_manifest) - 1);
        write_file("weights.safetensors", data + 1, size - 1);
    } else if (size > 0 && data[0] == 'F') {
        write_file("manifest.yaml", forest_manifest, sizeof(forest_manifest) - 1);
        write_file("weights.safetensors", data + 1, size - 1);
    } else {
        write_file("manifest.yaml", manifest, sizeof(manifest) - 1);
        write_file("weights.safetensors", data, size);
    }
    struct model_pack *pack = NULL;
    struct error error = {{0}};
    enum status status = model_pack_load(directory, &pack, &error);
    if (status == STATUS_OK && pack->kind == &pack_kind_logistic) {
        float sum = pack_logistic_of(pack)->bias;
        for (uint32_t i = 0; i < pack->feature_count; i++) {
            sum += pack_logistic_term(pack, i, 1.5f) + pack_logistic_term(pack, i, NAN);
            sum += pack_logistic_term(pack, i, INFINITY);
        }
        assert(!isnan(sum) || pack->feature_count > 0);
        model_pack_unload(pack);
    } else if (status == STATUS_OK) {
        bool is_used = pack->kind == &pack_kind_isolation_forest || pack->kind == &pack_kind_mlp ||
                       pack->kind == &pack_kind_gru || pack->kind == &pack_kind_lstm ||
                       pack->kind == &pack_kind_trees;
        if (is_used) {
            use_model(pack);
        }
        model_pack_unload(pack);
    } else {
        assert(error.message[0] != '\0');
    }
    return 0;
}
