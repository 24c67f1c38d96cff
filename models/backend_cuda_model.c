#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/backend_cuda_internal.h"
#include "models/pack_kind.h"
#include "pipeline/base/clock.h"
#include "pipeline/base/hash.h"

#define PROBE_ROWS (CUDA_SLOT_ROWS + 37u) /* Both slots, and one that is not full. */
#define PROBE_STEPS 3u
#define MEASURED_TIMES 5u

struct cuda_backed {
    struct model model;
    const struct cuda_kind_ops *kind;
    struct cuda_kind_model *device; /* NULL: it failed, and all goes to the CPU. */
    struct model *plain;            /* The same on the CPU. */
    uint32_t rows_min;              /* Batches of fewer rows go to the CPU. */
};

static enum status on_cpu(struct cuda_backed *model, const struct cuda_batch *batch, uint32_t first,
                          struct error *error)
{
    /* Rows that are not picked are the next in the matrix. */
    const float *features =
        batch->rows ? batch->features : batch->features + (size_t)first * batch->stride;
    const uint32_t *rows = batch->rows ? batch->rows + first : NULL;
    uint32_t count = batch->count - first;
    const struct model_ops *ops = model->plain->ops;
    return batch->states ? ops->step(model->plain, features, batch->stride, rows, count,
                                     batch->states + first, batch->logits + first, error)
                         : ops->score(model->plain, features, batch->stride, rows, count,
                                      batch->logits + first, error);
}

/*
 * One part of the batch is under way while the next is gathered. Returns the number of rows that
 * have their results; fewer than all: the device failed.
 */
static uint32_t on_device(struct cuda_backed *model, const struct cuda_batch *batch, char *message)
{
    const struct cuda_plugin *plugin = backend_cuda_plugin();
    struct cuda_model *device = model->device->device;
    uint32_t parts = (batch->count + CUDA_SLOT_ROWS - 1) / CUDA_SLOT_ROWS;
    uint32_t done = 0;
    for (uint32_t part = 0; part <= parts; part++) {
        uint32_t first = part * CUDA_SLOT_ROWS;
        if (part < parts) {
            uint32_t left = batch->count - first;
            uint32_t count = left < CUDA_SLOT_ROWS ? left : CUDA_SLOT_ROWS;
            uint32_t slot = part % CUDA_SLOTS;
            model->kind->gather(model->device, batch, first, count, plugin->slot(device, slot));
            if (plugin->submit(device, slot, count, message, CUDA_MESSAGE_BYTES) != 0) {
                return done;
            }
        }
        if (part > 0) {
            uint32_t slot = (part - 1) % CUDA_SLOTS;
            uint32_t left = batch->count - done;
            uint32_t count = left < CUDA_SLOT_ROWS ? left : CUDA_SLOT_ROWS;
            if (plugin->wait(device, slot, message, CUDA_MESSAGE_BYTES) != 0) {
                return done;
            }
            model->kind->collect(model->device, batch, done, count, plugin->slot(device, slot));
            done += count;
        }
    }
    return done;
}

static void give_up(struct cuda_backed *model, const char *message)
{
    if (model->device) {
        model->kind->destroy(model->device);
        model->device = NULL;
    }
    backend_cuda_count_failure(message);
}

static enum status score_batch(struct cuda_backed *model, const struct cuda_batch *batch,
                               struct error *error)
{
    uint32_t done = 0;
    if (model->device && batch->count >= model->rows_min) {
        char message[CUDA_MESSAGE_BYTES] = "";
        done = on_device(model, batch, message);
        backend_cuda_count_rows(done);
        if (done < batch->count) {
            give_up(model, message);
        }
    }
    return done < batch->count ? on_cpu(model, batch, done, error) : STATUS_OK;
}

static enum status score(struct model *base, const float *features, uint32_t stride,
                         const uint32_t *rows, uint32_t count, float *logits, struct error *error)
{
    const struct cuda_batch batch = {features, stride, rows, count, NULL, logits};
    return score_batch((struct cuda_backed *)base, &batch, error);
}

/* A model of several classes has several outputs, which no device takes. */
static enum status score_classes(struct model *base, const float *features, uint32_t stride,
                                 const uint32_t *rows, uint32_t count, float *logits, float *values,
                                 struct error *error)
{
    struct cuda_backed *model = (struct cuda_backed *)base;
    assert(!model->device);
    return model->plain->ops->score_classes(model->plain, features, stride, rows, count, logits,
                                            values, error);
}

static enum status step(struct model *base, const float *features, uint32_t stride,
                        const uint32_t *rows, uint32_t count, void *const *states, float *logits,
                        struct error *error)
{
    const struct cuda_batch batch = {features, stride, rows, count, states, logits};
    return score_batch((struct cuda_backed *)base, &batch, error);
}

static void explain(struct model *base, const float *row, const void *state, float *terms,
                    float *ret_base)
{
    struct cuda_backed *model = (struct cuda_backed *)base;
    model->plain->ops->explain(model->plain, row, state, terms, ret_base);
}

static void unload(struct model *base)
{
    struct cuda_backed *model = (struct cuda_backed *)base;
    if (model->device) {
        model->kind->destroy(model->device);
    }
    model_unload(model->plain);
    free(model);
}

static const struct model_ops score_ops = {
    .score = score,
    .score_classes = score_classes,
    .explain = explain,
    .unload = unload,
};
static const struct model_ops step_ops = {.step = step, .explain = explain, .unload = unload};

/* ---- The same bits, or not at all ---- */

struct probe {
    float *rows, *logits[2], *states[2];
    void **places[2]; /* Of the states. */
    uint32_t width, state_floats;
};

static void release_probe(struct probe *probe)
{
    free(probe->rows);
    for (int i = 0; i < 2; i++) {
        free(probe->logits[i]);
        free(probe->states[i]);
        free(probe->places[i]);
    }
}

/* Values around what each feature was seen to be, some far off, zero, or missing. */
static void make_rows(struct probe *probe, const struct model_pack *pack, const uint32_t *columns)
{
    for (uint32_t row = 0; row < PROBE_ROWS; row++) {
        for (uint32_t i = 0; i < pack->feature_count; i++) {
            uint64_t chance = hash64_combine(row + 1, i + 1);
            float unit = (float)(chance >> 40) * 0x1p-23f - 1.0f;
            float spread = (chance & 7) == 0 ? 100.0f : 3.0f;
            float scale = pack->features[i].scale > 0 ? pack->features[i].scale : 1.0f;
            float value = pack->features[i].mean + unit * spread * scale;
            value = (chance & 56) == 0 ? 0.0f : value;
            value = (chance & 448) == 0 ? fixed_float_of_bits(0x7FC00000u) : value;
            probe->rows[(size_t)row * probe->width + columns[i]] = value;
        }
    }
}

static bool make_probe(struct probe *probe, const struct model_pack *pack, const uint32_t *columns,
                       uint32_t width, uint32_t state_bytes)
{
    *probe = (struct probe){.width = width, .state_floats = state_bytes / 4};
    probe->rows = calloc((size_t)PROBE_ROWS * width, sizeof(float));
    bool is_made = probe->rows != NULL;
    for (int i = 0; i < 2; i++) {
        probe->logits[i] = calloc(PROBE_ROWS, sizeof(float));
        probe->states[i] = calloc((size_t)PROBE_ROWS * probe->state_floats + 1, sizeof(float));
        probe->places[i] = calloc(PROBE_ROWS, sizeof(void *));
        is_made = is_made && probe->logits[i] && probe->states[i] && probe->places[i];
        for (uint32_t row = 0; is_made && row < PROBE_ROWS; row++) {
            probe->places[i][row] = probe->states[i] + (size_t)row * probe->state_floats;
        }
    }
    if (is_made) {
        make_rows(probe, pack, columns);
    }
    return is_made;
}

/* Scores the rows on both, recurrent models a few times, and compares. */
static enum status compare(struct cuda_backed *model, struct probe *probe, struct error *error)
{
    uint32_t steps = probe->state_floats > 0 ? PROBE_STEPS : 1;
    for (uint32_t i = 0; i < steps; i++) {
        struct cuda_batch batch = {probe->rows, probe->width, NULL, PROBE_ROWS, NULL, NULL};
        char message[CUDA_MESSAGE_BYTES] = "";
        batch.states = probe->state_floats > 0 ? probe->places[0] : NULL;
        batch.logits = probe->logits[0];
        if (on_device(model, &batch, message) < PROBE_ROWS) {
            return error_set(error, STATUS_INVALID, "device cuda: %s", message);
        }
        batch.states = probe->state_floats > 0 ? probe->places[1] : NULL;
        batch.logits = probe->logits[1];
        enum status status = on_cpu(model, &batch, 0, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    size_t state_bytes = (size_t)PROBE_ROWS * probe->state_floats * sizeof(float);
    for (uint32_t row = 0; row < PROBE_ROWS; row++) {
        if (fixed_bits_of_float(probe->logits[0][row]) !=
            fixed_bits_of_float(probe->logits[1][row])) {
            return error_set(error, STATUS_INVALID,
                             "device cuda: it has a logit of %.9g where the CPU has %.9g; the same "
                             "bits expected",
                             (double)probe->logits[0][row], (double)probe->logits[1][row]);
        }
    }
    return memcmp(probe->states[0], probe->states[1], state_bytes) == 0
               ? STATUS_OK
               : error_set(error, STATUS_INVALID, "device cuda: its states differ from the CPU's");
}

/* ---- Where the device is faster ---- */

static uint64_t time_of(struct cuda_backed *model, const struct cuda_batch *batch, bool is_device)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < MEASURED_TIMES; i++) {
        struct error error;
        char message[CUDA_MESSAGE_BYTES];
        uint64_t begin = clock_monotonic_ns();
        bool is_done = is_device ? on_device(model, batch, message) == batch->count
                                 : on_cpu(model, batch, 0, &error) == STATUS_OK;
        uint64_t time = clock_monotonic_ns() - begin;
        best = is_done && time < best ? time : best;
    }
    return best;
}

/*
 * The fewest rows, of the powers of two that the probe has rows for, from which on the device is
 * the faster one. Time decides only where bits are made, not what they are.
 */
static uint32_t measure(struct cuda_backed *model, struct probe *probe)
{
    uint32_t rows_min = UINT32_MAX;
    for (uint32_t count = 256; count > 0; count /= 2) {
        const struct cuda_batch batch = {.features = probe->rows,
                                         .stride = probe->width,
                                         .count = count,
                                         .states =
                                             probe->state_floats > 0 ? probe->places[0] : NULL,
                                         .logits = probe->logits[0]};
        if (time_of(model, &batch, true) >= time_of(model, &batch, false)) {
            break;
        }
        rows_min = count;
    }
    return rows_min;
}

/* ---- Loading ---- */

static enum status prepare_device(struct cuda_backed *model, const struct model_pack *pack,
                                  const uint32_t *columns, uint32_t width, struct error *error)
{
    struct probe probe;
    enum status status =
        model->kind->create(backend_cuda_plugin(), pack, columns, &model->device, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = make_probe(&probe, pack, columns, width, model->model.state_bytes)
                 ? compare(model, &probe, error)
                 : error_set(error, STATUS_FATAL, "out of memory");
    model->rows_min = backend_cuda_rows_min();
    if (status == STATUS_OK && model->rows_min == 0) {
        model->rows_min = measure(model, &probe);
    }
    release_probe(&probe);
    return status;
}

static enum status load(const struct cuda_kind_ops *kind, const struct model_pack *pack,
                        const uint32_t *columns, uint32_t width, struct model **ret_model,
                        struct error *error)
{
    assert(backend_cuda_plugin());
    struct cuda_backed *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    model->kind = kind;
    enum status status = model_load(&backend_lanes, pack, columns, width, &model->plain, error);
    if (status == STATUS_OK) {
        model->model.state_bytes = model->plain->state_bytes;
        model->model.ops = model->plain->state_bytes > 0 ? &step_ops : &score_ops;
        struct error why = {""};
        status = prepare_device(model, pack, columns, width, &why);
        if (status == STATUS_INVALID && !backend_cuda_is_required()) {
            give_up(model, why.message);
            status = STATUS_OK;
        } else if (status != STATUS_OK) {
            *error = why;
        }
    }
    if (status != STATUS_OK) {
        unload(&model->model);
        return status;
    }
    *ret_model = &model->model;
    return STATUS_OK;
}

enum status backend_cuda_load_network(const struct model_backend_ops *backend,
                                      const struct model_pack *pack, const uint32_t *columns,
                                      uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    return load(&cuda_networks, pack, columns, width, ret_model, error);
}

enum status backend_cuda_load_trees(const struct model_backend_ops *backend,
                                    const struct model_pack *pack, const uint32_t *columns,
                                    uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    return load(&cuda_trees_kind, pack, columns, width, ret_model, error);
}
