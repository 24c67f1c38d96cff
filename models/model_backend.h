/*
 * Scores rows of floats with loaded models; knows nothing of events. One backend a device.
 * Implementations: backend_openblas.c, the reference, on OpenBLAS; backend_lanes.c, our own kernel
 * for linear models, with the same bits on every machine and several times as fast for them.
 */
#ifndef MODELS_MODEL_BACKEND_H
#define MODELS_MODEL_BACKEND_H

#include <stdint.h>

#include "pipeline/base/status.h"

struct model; /* Each backend defines its own. */
struct model_pack;

struct model_backend_ops {
    const char *name; /* As written in configuration: "openblas"; later "cuda". */

    /*
     * Feature i of the pack will stand in column columns[i] of the rows, which have `width` columns
     * (columns[i] < width). Copies what it needs, the pack may be unloaded afterwards.
     */
    enum status (*load)(const struct model_pack *pack, const uint32_t *columns, uint32_t width,
                        struct model **ret_model, struct error *error);

    /*
     * logits[i] = the model's output before the link for row rows[i] (NULL: row i) of `features`,
     * which is row-major with `stride` >= width floats a row, missing values as NaN. All floats up
     * to the stride may be read. The result of a row does not depend on the other rows nor on their
     * number. Blocks. Not thread-safe: one model a thread.
     */
    enum status (*score)(struct model *model, const float *features, uint32_t stride,
                         const uint32_t *rows, uint32_t count, float *logits, struct error *error);

    /*
     * Recurrent models: steps `states`[i] (bytes of model part, state_bytes each) by row i, then
     * scores. NULL for models without a state.
     */
    enum status (*step)(struct model *model, const float *features, uint32_t stride,
                        const uint32_t *rows, uint32_t count, void *const *states, float *logits,
                        struct error *error);

    void (*unload)(struct model *model); /* NULL is a no-op. */

    /* The kernels in use, for the numeric profile, such as "openblas 0.3.21 Haswell tile 32". */
    const char *(*profile)(void);
};

extern const struct model_backend_ops backend_openblas;
extern const struct model_backend_ops backend_lanes;

/* All backends, by name; NULL ends each list. */
extern const struct model_backend_ops *const model_backends[];
extern const char *const model_backend_names[];

#endif
