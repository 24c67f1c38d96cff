/* Packs of kinds mlp, gru and lstm: beside PyTorch, in any batch, with reasons, and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "models/model_backend.h"
#include "models/network_explain.h"
#include "models/network_model.h"
#include "models/pack_kind.h"
#include "models/pack_network.h"
#include "test/fakes/fixture.h"

#define FOLDER "test/models/networks/"
#define FEATURES_MAX_HERE 48u
#define ROWS_MAX 64u
#define STRIDE 64u
#define SEQUENCES 64u

static const char *const all_packs[] = {"literature", "deep", "normed", "gru", "lstm"};
#define PACKS (sizeof(all_packs) / sizeof(all_packs[0]))

struct scene {
    struct model_pack *pack;
    struct model *model;
    uint32_t columns[FEATURES_MAX_HERE];
    float rows[ROWS_MAX * STRIDE];
    uint32_t sequences[ROWS_MAX];
    double expected[ROWS_MAX];
    uint32_t count;
    float states[SEQUENCES][MODEL_STATE_BYTES_MAX / sizeof(float)];
};

static void read_rows(struct scene *scene, const char *name)
{
    char path[256];
    unsigned features;
    (void)snprintf(path, sizeof(path), FOLDER "%s/rows.txt", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u", &features), 1);
    assert_int_equal(features, scene->pack->feature_count);
    while (scene->count < ROWS_MAX && fscanf(file, "%u", &scene->sequences[scene->count]) == 1) {
        float *row = scene->rows + (size_t)scene->count * STRIDE;
        for (uint32_t i = 0; i < features; i++) {
            assert_int_equal(fscanf(file, "%f", &row[scene->columns[i]]), 1);
        }
        assert_int_equal(fscanf(file, "%lf", &scene->expected[scene->count++]), 1);
    }
    (void)fclose(file);
    assert_true(scene->count > 30);
}

static void open_pack(struct scene *scene, const char *name)
{
    char path[256];
    struct error error = {""};
    *scene = (struct scene){0};
    (void)snprintf(path, sizeof(path), FOLDER "%s", name);
    if (model_pack_load(path, &scene->pack, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    for (uint32_t i = 0; i < scene->pack->feature_count; i++) {
        scene->columns[i] = (i * 7 + 3) % 53; /* Anywhere. */
    }
    assert_int_equal(
        model_load(&backend_lanes, scene->pack, scene->columns, STRIDE, &scene->model, &error),
        STATUS_OK);
    read_rows(scene, name);
}

static void close_pack(struct scene *scene)
{
    model_unload(scene->model);
    model_pack_unload(scene->pack);
}

/* `count` rows of different sequences in one call. */
static void run(struct scene *scene, const uint32_t *rows, uint32_t count, float *logits)
{
    void *states[ROWS_MAX];
    struct error error;
    for (uint32_t i = 0; i < count; i++) {
        states[i] = scene->states[scene->sequences[rows[i]]];
    }
    enum status status =
        scene->model->state_bytes > 0
            ? model_step(scene->model, scene->rows, STRIDE, rows, count, states, logits, &error)
            : model_score(scene->model, scene->rows, STRIDE, rows, count, logits, &error);
    assert_int_equal(status, STATUS_OK);
}

static void gives_what_pytorch_gives(void **state)
{
    (void)state;
    for (size_t i = 0; i < PACKS; i++) {
        struct scene scene;
        open_pack(&scene, all_packs[i]);
        for (uint32_t row = 0; row < scene.count; row++) {
            float logit;
            run(&scene, &row, 1, &logit);
            if (!(fabs((double)logit - scene.expected[row]) <= 1e-5)) {
                fail_msg("%s: row %u: %.7g, PyTorch %.7g", all_packs[i], row, (double)logit,
                         scene.expected[row]);
            }
        }
        close_pack(&scene);
    }
}

static void scores_do_not_depend_on_how_rows_are_cut_into_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < PACKS; i++) {
        struct scene scene;
        float alone[ROWS_MAX];
        float together[ROWS_MAX];
        open_pack(&scene, all_packs[i]);
        for (uint32_t row = 0; row < scene.count; row++) {
            run(&scene, &row, 1, &alone[row]);
        }
        memset(scene.states, 0, sizeof(scene.states));
        uint32_t position[ROWS_MAX]; /* Of a row in its sequence. */
        uint32_t longest = 0;
        for (uint32_t row = 0; row < scene.count; row++) {
            bool goes_on = row > 0 && scene.sequences[row] == scene.sequences[row - 1];
            position[row] = goes_on ? position[row - 1] + 1 : 0;
            longest = position[row] > longest ? position[row] : longest;
        }
        for (uint32_t wave = 0; wave <= longest; wave++) {
            uint32_t rows[ROWS_MAX];
            float logits[ROWS_MAX];
            uint32_t count = 0;
            for (uint32_t row = scene.count; row-- > 0;) {
                if (position[row] == wave) {
                    rows[count++] = row;
                }
            }
            run(&scene, rows, count, logits);
            for (uint32_t j = 0; j < count; j++) {
                together[rows[j]] = logits[j];
            }
        }
        assert_memory_equal(alone, together, scene.count * sizeof(float));
        close_pack(&scene);
    }
}

static void every_kernel_gives_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < PACKS; i++) {
        struct scene scene;
        float first[ROWS_MAX];
        float outputs[ROWS_MAX];
        open_pack(&scene, all_packs[i]);
        const struct pack_network *body = pack_network_of(scene.pack);
        for (uint32_t k = 0; network_kernels_at(k); k++) {
            const struct network_source source = {&body->shape, body->parameters,
                                                  scene.pack->features, scene.columns,
                                                  network_kernels_at(k)};
            const struct network_rows rows = {scene.rows, STRIDE, NULL, scene.count};
            struct network_model *network;
            assert_int_equal(network_model_create(&source, &network, NULL), STATUS_OK);
            network_model_score(network, &rows, NULL, outputs);
            memcpy(k == 0 ? first : outputs, outputs, sizeof(outputs));
            assert_memory_equal(first, outputs, scene.count * sizeof(float));
            network_model_destroy(network);
        }
        close_pack(&scene);
    }
}

static void reasons_sum_to_the_logit(void **state)
{
    (void)state;
    for (size_t i = 0; i < PACKS; i++) {
        struct scene scene;
        open_pack(&scene, all_packs[i]);
        for (uint32_t row = 0; row < scene.count; row++) {
            float terms[FEATURES_MAX_HERE];
            float before[MODEL_STATE_BYTES_MAX / sizeof(float)];
            float *kept = scene.states[scene.sequences[row]];
            float base;
            float logit;
            memcpy(before, kept, sizeof(before));
            model_explain(scene.model, scene.rows + (size_t)row * STRIDE, kept, terms, &base);
            assert_memory_equal(before, kept, sizeof(before));
            run(&scene, &row, 1, &logit);
            double sum = (double)base;
            for (uint32_t f = 0; f < scene.pack->feature_count; f++) {
                sum += (double)terms[f];
            }
            assert_true(fabs(sum - (double)logit) < 1e-4);
        }
        close_pack(&scene);
    }
}

/* The terms of `row` and the base, by an explainer of the shape alone; releases the shape. */
static void explain_by_shape(struct network_shape *shape, const float *parameters,
                             const struct pack_feature *features, const float *row,
                             const void *kept, float *terms, float *ret_base)
{
    static const uint32_t columns[] = {0, 1, 2};
    const struct network_source source = {shape, parameters, features, columns, NULL};
    struct network_model *model;
    struct network_explainer *explainer;
    assert_int_equal(network_shape_finish(shape, NULL), STATUS_OK);
    assert_int_equal(network_model_create(&source, &model, NULL), STATUS_OK);
    assert_int_equal(network_explainer_create(&source, model, &explainer, NULL), STATUS_OK);
    network_explain(explainer, row, kept, terms, ret_base);
    network_explainer_destroy(explainer);
    network_model_destroy(model);
    network_shape_release(shape);
}

/* With one layer all is known: a term is the weight times the value. */
static void reasons_of_a_linear_network_are_its_products(void **state)
{
    (void)state;
    struct network_shape shape;
    const float parameters[] = {2, -3, 0.5f, 0.25f};
    const struct pack_feature features[3] = {
        {.scale = 1, .limit = 9, .mean = 1}, {.scale = 2, .limit = 9}, {.scale = 1, .limit = 9}};
    assert_int_equal(network_shape_init(&shape, 3, NULL), STATUS_OK);
    shape.layer_count = 1;
    shape.layers[0].size = 1;
    const float row[] = {3, 5, NAN};
    float terms[3];
    float base;
    explain_by_shape(&shape, parameters, features, row, NULL, terms, &base);
    assert_true(fabsf(terms[0] - 4.0f) < 1e-4f && fabsf(terms[1] + 7.5f) < 1e-4f);
    assert_true(terms[2] == 0 && base == 0.25f);
}

/*
 * Each rectifier is open on a known share of the path: (1, 2) from (0, 0) passes 2a + b = 1 after a
 * quarter, a + b = 2 after two thirds and a = 0.5 halfway. A term is the sum of weights times value
 * times share.
 */
static void reasons_of_rectifiers_are_exact_between_their_kinks(void **state)
{
    (void)state;
    struct network_shape shape;
    const float parameters[] = {2, 1, -1, -1,  1, 0, -1, 2, -0.5f, /* To the rectifiers. */
                                1, 2, -3, 0.5f};
    const struct pack_feature features[2] = {{.scale = 1, .limit = 9}, {.scale = 1, .limit = 9}};
    assert_int_equal(network_shape_init(&shape, 2, NULL), STATUS_OK);
    shape.layer_count = 2;
    shape.layers[0] = (struct network_layer){.size = 3, .activation = ACTIVATION_RELU};
    shape.layers[1].size = 1;
    const float row[] = {1, 2};
    float terms[2];
    float base;
    explain_by_shape(&shape, parameters, features, row, NULL, terms, &base);
    assert_true(base == 4.5f);
    assert_true(fabs((double)terms[0] - (1.5 - 4.0 / 3 - 1.5)) < 1e-4);
    assert_true(fabs((double)terms[1] - (1.5 - 8.0 / 3)) < 1e-4);
}

#define CELL_HIDDEN 5u
#define CELL_INPUTS 3u
#define CELL_PARAMETERS_MAX 256u

static double sigmoid_by_libm(double x)
{
    return 1 / (1 + exp(-x));
}

/* The sums of a gate's unit by x and by h, each with its bias. */
static void cell_sums(const struct network_shape *shape, const float *parameters, uint32_t unit,
                      const double *x, const float *h, double *ret_by_x, double *ret_by_h)
{
    *ret_by_x = (double)parameters[shape->bias_ih + unit];
    *ret_by_h = (double)parameters[shape->bias_hh + unit];
    for (uint32_t i = 0; i < CELL_INPUTS; i++) {
        *ret_by_x += (double)parameters[shape->weight_ih + (size_t)unit * CELL_INPUTS + i] * x[i];
    }
    for (uint32_t i = 0; i < CELL_HIDDEN; i++) {
        *ret_by_h +=
            (double)parameters[shape->weight_hh + (size_t)unit * CELL_HIDDEN + i] * (double)h[i];
    }
}

/* One step from `kept`, h and then c, by the formulas in PyTorch's documentation, in doubles. */
static double logit_by_formula(const struct network_shape *shape, const float *parameters,
                               const double *x, const float *kept)
{
    double logit = (double)parameters[shape->layers[0].bias];
    for (uint32_t j = 0; j < CELL_HIDDEN; j++) {
        double by_x[4] = {0};
        double by_h[4] = {0};
        double h;
        for (uint32_t gate = 0; gate < network_gates(shape); gate++) {
            cell_sums(shape, parameters, gate * CELL_HIDDEN + j, x, kept, &by_x[gate], &by_h[gate]);
        }
        if (shape->cell == CELL_GRU) {
            double r = sigmoid_by_libm(by_x[0] + by_h[0]);
            double z = sigmoid_by_libm(by_x[1] + by_h[1]);
            double n = tanh(by_x[2] + r * by_h[2]);
            h = (1 - z) * n + z * (double)kept[j];
        } else {
            double c = sigmoid_by_libm(by_x[1] + by_h[1]) * (double)kept[CELL_HIDDEN + j] +
                       sigmoid_by_libm(by_x[0] + by_h[0]) * tanh(by_x[2] + by_h[2]);
            h = sigmoid_by_libm(by_x[3] + by_h[3]) * tanh(c);
        }
        logit += (double)parameters[shape->layers[0].weight + j] * h;
    }
    return logit;
}

/* By the definition: the middle of a thousand pieces of the path, slopes by differences. */
static double term_by_definition(const struct network_shape *shape, const float *parameters,
                                 const double *end, const float *kept, uint32_t input)
{
    const uint32_t pieces = 1000;
    const double step = 1e-5;
    double sum = 0;
    for (uint32_t piece = 0; piece < pieces; piece++) {
        double x[CELL_INPUTS];
        for (uint32_t i = 0; i < CELL_INPUTS; i++) {
            x[i] = end[i] * (piece + 0.5) / pieces;
        }
        x[input] += step;
        double above = logit_by_formula(shape, parameters, x, kept);
        x[input] -= 2 * step;
        sum += (above - logit_by_formula(shape, parameters, x, kept)) / (2 * step);
    }
    return sum / pieces * end[input];
}

static void reasons_of_cells_are_integrated_gradients(void **state)
{
    (void)state;
    const struct pack_feature features[CELL_INPUTS] = {
        {.scale = 1, .limit = 9}, {.scale = 1, .limit = 9}, {.scale = 1, .limit = 9}};
    const double end[CELL_INPUTS] = {1.5, -2, 0.75};
    const float row[CELL_INPUTS] = {1.5f, -2, 0.75f};
    const enum network_cell cells[] = {CELL_GRU, CELL_LSTM};
    for (size_t i = 0; i < 2; i++) {
        struct network_shape shape;
        float parameters[CELL_PARAMETERS_MAX];
        float kept[2 * CELL_HIDDEN];
        double expected[CELL_INPUTS];
        float terms[CELL_INPUTS];
        float base;
        assert_int_equal(network_shape_init(&shape, CELL_INPUTS, NULL), STATUS_OK);
        shape.cell = cells[i];
        shape.hidden = CELL_HIDDEN;
        shape.layer_count = 1;
        shape.layers[0].size = 1;
        assert_int_equal(network_shape_finish(&shape, NULL), STATUS_OK);
        assert_true(shape.parameter_count <= CELL_PARAMETERS_MAX);
        for (uint32_t j = 0; j < shape.parameter_count; j++) {
            parameters[j] = (float)((j * 37 + 11) % 101) / 50 - 1;
        }
        for (uint32_t j = 0; j < 2 * CELL_HIDDEN; j++) {
            kept[j] = (float)((j * 29 + 5) % 13) / 8 - 0.75f;
        }
        for (uint32_t j = 0; j < CELL_INPUTS; j++) {
            expected[j] = term_by_definition(&shape, parameters, end, kept, j);
        }
        explain_by_shape(&shape, parameters, features, row, kept, terms, &base);
        for (uint32_t j = 0; j < CELL_INPUTS; j++) {
            assert_true(fabs(expected[j]) > 0.01);
            assert_true(fabs((double)terms[j] - expected[j]) < 1e-4);
        }
    }
}

/* ---- Refused ---- */

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    fixture_write(path, text);
}

#define START "format: 1\nname: x\nversion: 1\nfeatures: [{name: a}, {name: b}]\n"
#define MLP START "kind: mlp\nnetwork:\n"
#define GRU START "kind: gru\nnetwork:\n"

static void refuses_a_shape_that_is_wrong_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *manifest, *message;
    } rows[] = {
        {START "kind: mlp\n", "network: the network's shape expected"},
        {START "kind: mlp\nnetwork: 7\n", "network: the network's shape expected"},
        {MLP "  layers: []\n", "0 layers: 1 to 8 expected"},
        {MLP "  layers: [{size: 2}]\n", "the last layer: size 1"},
        {MLP "  layers: [{size: 1, activation: relu}]\n", "the last layer: size 1"},
        {MLP "  layers: [{size: 0}]\n", "size: a number from 1 to 1024 expected"},
        {MLP "  layers: [{size: 99999999}]\n", "size: a number from 0 to 1024 expected"},
        {MLP "  layers: [{size: 4, activation: swish}, {size: 1}]\n", "gelu expected"},
        {MLP "  layer: [{size: 1}]\n", "did you mean"},
        {MLP "  hidden: 8\n  layers: [{size: 1}]\n", "an mlp has no cell"},
        {GRU "  layers: [{size: 1}]\n", "hidden: a number expected"},
        {GRU "  hidden: 129\n  layers: [{size: 1}]\n", "hidden: a number from 0 to 128"},
        {START "kind: lstm\nnetwork: {hidden: 65, layers: [{size: 1}]}\n", "at most 512 bytes"},
        {MLP "  layers: [{size: 1}]\n  indicators: [c]\n", "\"c\": not among the features"},
        {MLP "  layers: [{size: 1}]\n  fill: {a: x}\n", "expected a number such as 0.5"},
        {MLP "  layers: [{size: 1}]\n  epsilon: 0\n", "epsilon"},
        {MLP "  layers: [{size: 1}]\n  embeddings: [{feature: a, width: 2}]\n", "rows"},
        {MLP "  layers: [{size: 1}]\n  embeddings: [{feature: a, rows: 3, width: 2, first: 3}]\n",
         "first: a number from 0 to 2"},
        {MLP "  layers: [{size: 1}]\n"
             "  embeddings: [{feature: a, rows: 3, width: 2, bins: [1, 2, 3]}]\n",
         "3 rows: 3 bins from row 0 on need 4"},
        {MLP "  layers: [{size: 1}]\n"
             "  embeddings: [{feature: a, rows: 9, width: 2, bins: [1, 1]}]\n",
         "rising numbers expected"},
        {MLP "  layers: [{size: 1}]\n"
             "  embeddings: [{feature: a, rows: 9, width: 2}, {feature: a, rows: 9, width: 2}]\n",
         "has an embedding already"},
        {MLP "  layers: [{size: 1, tensor: none}]\n", "tensor none.weight is missing"},
        {MLP "  layers: [{size: 3}, {size: 1}]\n", "layers.0.weight: 1 x 2 values, 3 x 2 expected"},
        {GRU "  hidden: 4\n  layers: [{size: 1}]\n", "rnn.weight_ih_l0 is missing"},
    };
    char *directory = fixture_directory();
    static const float values[] = {1, 2, 3};
    const struct tensor tensors[] = {
        {.name = "layers.0.weight",
         .dimension_count = 2,
         .shape = {1, 2},
         .count = 2,
         .data = values},
        {.name = "layers.0.bias", .dimension_count = 1, .shape = {1}, .count = 1, .data = values},
    };
    char path[4096];
    struct error error;
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    assert_int_equal(tensor_file_write(path, tensors, 2, &error), STATUS_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct model_pack *pack = NULL;
        error.message[0] = '\0';
        write_text(directory, "manifest.yaml", rows[i].manifest);
        enum status status = model_pack_load(directory, &pack, &error);
        if (status != STATUS_INVALID || !strstr(error.message, rows[i].message)) {
            fail_msg("row %zu: \"%s\", expected \"%s\"", i, error.message, rows[i].message);
        }
    }
    struct model_pack *pack = NULL;
    write_text(directory, "manifest.yaml", MLP "  layers: [{size: 1}]\n");
    assert_int_equal(model_pack_load(directory, &pack, &error), STATUS_OK);
    model_pack_unload(pack);
    fixture_remove(directory);
    free(directory);
}

static void another_activation_is_another_pack(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    static const float values[12] = {1};
    const struct tensor tensors[] = {
        {.name = "layers.0.weight",
         .dimension_count = 2,
         .shape = {2, 2},
         .count = 4,
         .data = values},
        {.name = "layers.0.bias", .dimension_count = 1, .shape = {2}, .count = 2, .data = values},
        {.name = "layers.1.weight",
         .dimension_count = 2,
         .shape = {1, 2},
         .count = 2,
         .data = values},
        {.name = "layers.1.bias", .dimension_count = 1, .shape = {1}, .count = 1, .data = values},
    };
    char path[4096];
    struct error error;
    uint64_t hashes[2];
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    assert_int_equal(tensor_file_write(path, tensors, 4, &error), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        struct model_pack *pack = NULL;
        write_text(directory, "manifest.yaml",
                   i ? MLP "  layers: [{size: 2, activation: relu}, {size: 1}]\n"
                     : MLP "  layers: [{size: 2, activation: tanh}, {size: 1}]\n");
        assert_int_equal(model_pack_load(directory, &pack, &error), STATUS_OK);
        hashes[i] = pack->hash;
        model_pack_unload(pack);
    }
    assert_true(hashes[0] != hashes[1]);
    fixture_remove(directory);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_pytorch_gives),
        cmocka_unit_test(scores_do_not_depend_on_how_rows_are_cut_into_calls),
        cmocka_unit_test(every_kernel_gives_the_same_bits),
        cmocka_unit_test(reasons_sum_to_the_logit),
        cmocka_unit_test(reasons_of_a_linear_network_are_its_products),
        cmocka_unit_test(reasons_of_rectifiers_are_exact_between_their_kinks),
        cmocka_unit_test(reasons_of_cells_are_integrated_gradients),
        cmocka_unit_test(refuses_a_shape_that_is_wrong_by_name),
        cmocka_unit_test(another_activation_is_another_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
