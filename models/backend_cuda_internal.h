/* What the files backend_cuda*.c share. */
#ifndef MODELS_BACKEND_CUDA_INTERNAL_H
#define MODELS_BACKEND_CUDA_INTERNAL_H

#include "models/backend_cuda.h"

/* Rows of one call of score or step. */
struct cuda_batch {
    const float *features;
    uint32_t stride;
    const uint32_t *rows; /* NULL: row i is i. */
    uint32_t count;
    void *const *states; /* NULL without a state. */
    float *logits;
};

struct cuda_kind_model;

/* What a kind does on the host: its layout for the device, and what goes into and out of a slot. */
struct cuda_kind_ops {
    /* On failure nothing is left. `message` says what the plug-in was told. */
    enum status (*create)(const struct cuda_plugin *plugin, const struct model_pack *pack,
                          const uint32_t *columns, struct cuda_kind_model **ret_model,
                          struct error *error);
    void (*destroy)(struct cuda_kind_model *model);
    void (*gather)(struct cuda_kind_model *model, const struct cuda_batch *batch, uint32_t first,
                   uint32_t count, struct cuda_slot *slot);
    void (*collect)(struct cuda_kind_model *model, const struct cuda_batch *batch, uint32_t first,
                    uint32_t count, const struct cuda_slot *slot);
};

/* Kinds embed it as their first member. */
struct cuda_kind_model {
    struct cuda_model *device; /* Owned by the plug-in. */
};

extern const struct cuda_kind_ops cuda_networks;
extern const struct cuda_kind_ops cuda_trees_kind;

const struct cuda_plugin *backend_cuda_plugin(void); /* NULL: none is open. */
bool backend_cuda_is_required(void);
uint32_t backend_cuda_rows_min(void); /* 0: to be measured. */
void backend_cuda_count_rows(uint32_t rows);
void backend_cuda_count_failure(const char *message);

/* backend_cuda.loaders; see model_backend.h. */
model_load_function backend_cuda_load_network;
model_load_function backend_cuda_load_trees;

#endif
