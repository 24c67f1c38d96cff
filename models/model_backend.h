/*
 * Scores rows of floats with loaded models; knows nothing of events. One backend a device.
 * Implementations: backend_openblas.c, the reference.
 */
#ifndef MODELS_MODEL_BACKEND_H
#define MODELS_MODEL_BACKEND_H

#include <stdint.h>

#include "pipeline/base/status.h"

struct model; /* Each backend defines its own. */
struct model_pack;

struct model_backend_ops {
    const char *name; /* As written in configuration: "openblas"; later "cuda". */

    /* Copies what it needs of `pack`, which may be unloaded afterwards. */
    enum status (*load)(const struct model_pack *pack, struct model **ret_model,
                        struct error *error);

    /*
     * logits[i] = the model's output for row i before the link, in [rows] floats; `features` is
     * row-major [rows][stride], in the order of the pack's features, missing values as NaN. The
     * result of a row does not depend on the other rows nor on their number. Blocks. Not
     * thread-safe: one model a thread.
     */
    enum status (*score)(struct model *model, const float *features, uint32_t rows, uint32_t stride,
                         float *logits, struct error *error);

    /*
     * Recurrent models: steps `states`[i] (bytes of model part, state_bytes each) by row i, then
     * scores. NULL for models without a state.
     */
    enum status (*step)(struct model *model, const float *features, uint32_t rows, uint32_t stride,
                        void *const *states, float *logits, struct error *error);

    void (*unload)(struct model *model); /* NULL is a no-op. */

    /* The kernels in use, for the numeric profile, such as "openblas 0.3.21 Haswell tile 32". */
    const char *(*profile)(void);
};

extern const struct model_backend_ops backend_openblas;

#endif
