/*
 * Scores rows of floats with loaded models; knows nothing of events. A backend is a device or a set
 * of kernels; which kinds of models it has kernels of its own for is its matter, and what it has
 * none for is scored by the kind's plain implementation on the CPU (pack_kind.h). A model carries
 * its operations, so who scores never asks what kind it is.
 *
 * Backends: backend_lanes.c, our own kernels, with the same bits on every machine; and
 * backend_openblas.c, the reference for linear models, on OpenBLAS. One that is opened at run time,
 * such as a GPU's, fills in the same struct.
 */
#ifndef MODELS_MODEL_BACKEND_H
#define MODELS_MODEL_BACKEND_H

#include <stdint.h>

#include "models/model_pack.h"
#include "pipeline/base/status.h"

/* The most that a recurrent model may keep of a shopper. */
#define MODEL_STATE_BYTES_MAX 512u

struct model;
struct model_backend_ops;

/*
 * What a kind's model does. Implementations embed struct model as their first member. All of them
 * see logits before the pack's calibration, which the functions model_*() below apply; the rest of
 * the contract stands there.
 */
struct model_ops {
    /* Of models without a state, else NULL. */
    enum status (*score)(struct model *model, const float *features, uint32_t stride,
                         const uint32_t *rows, uint32_t count, float *logits, struct error *error);
    /*
     * Of packs with classes, else NULL: the same, and in values[count][classes] of those that are
     * disjoint each one's share of what the pack's own class leaves, of others the margins in the
     * scale of a logit. What stands in the place of the pack's own does not matter.
     */
    enum status (*score_classes)(struct model *model, const float *features, uint32_t stride,
                                 const uint32_t *rows, uint32_t count, float *logits, float *values,
                                 struct error *error);
    /* Of models with a state, else NULL. */
    enum status (*step)(struct model *model, const float *features, uint32_t stride,
                        const uint32_t *rows, uint32_t count, void *const *states, float *logits,
                        struct error *error);
    void (*explain)(struct model *model, const float *row, const void *state, float *terms,
                    float *ret_base);
    void (*unload)(struct model *model); /* Not NULL; also of half-built ones. */
};

struct model {
    const struct model_ops *ops;
    const struct model_pack *pack; /* Borrowed. */
    uint32_t state_bytes;          /* 0: none; a multiple of 4, at most MODEL_STATE_BYTES_MAX. */
};

/* See model_load(), which sets model.pack; a kind made of other packs loads them by `backend`. */
typedef enum status model_load_function(const struct model_backend_ops *backend,
                                        const struct model_pack *pack, const uint32_t *columns,
                                        uint32_t width, struct model **ret_model,
                                        struct error *error);

/* A kind that a backend has kernels of its own for. */
struct model_loader {
    const struct pack_kind_ops *kind; /* NULL ends a list. */
    model_load_function *load;
};

struct model_backend_ops {
    const char *name;                   /* As written in configuration. */
    const struct model_loader *loaders; /* Ends with a kind of NULL. */
    /* The kernels in use, for the numeric profile, such as "openblas Haswell tile 32". */
    const char *(*profile)(void);
};

extern const struct model_backend_ops backend_openblas;
extern const struct model_backend_ops backend_lanes;

/* All backends, by name; NULL ends each list. */
extern const struct model_backend_ops *const model_backends[];
extern const char *const model_backend_names[];

/*
 * Feature i of the pack will stand in column columns[i] of the rows, which have `width` columns
 * (columns[i] < width). Borrows `pack`, copies `columns`. One model a thread; the pack is shared.
 */
MUST_CHECK enum status model_load(const struct model_backend_ops *backend,
                                  const struct model_pack *pack, const uint32_t *columns,
                                  uint32_t width, struct model **ret_model, struct error *error);
void model_unload(struct model *model); /* NULL is a no-op. */

/*
 * logits[i] = the model's calibrated logit for row rows[i] (NULL: row i) of `features`, which is
 * row-major with `stride` >= width floats a row, missing values as NaN. All floats up to the stride
 * may be read. The result of a row depends neither on the other rows nor on their number. Blocks.
 * Models without a state only.
 */
MUST_CHECK enum status model_score(struct model *model, const float *features, uint32_t stride,
                                   const uint32_t *rows, uint32_t count, float *logits,
                                   struct error *error);

/*
 * The same for a pack with classes, and in values[count][pack.classes.count] the score of each
 * class. The pack's own has its score, calibrated; disjoint classes share what it leaves, so that
 * they sum to 1 and without a calibration are what the maker predicts. Others are the maker's.
 */
MUST_CHECK enum status model_score_classes(struct model *model, const float *features,
                                           uint32_t stride, const uint32_t *rows, uint32_t count,
                                           float *logits, float *values, struct error *error);

/*
 * The same for a model with a state: steps states[i] (state_bytes each, aligned to 4, all zero at
 * first) by row i, then scores it. No state twice in one call: who has several rows of one shopper
 * sends them in waves.
 */
MUST_CHECK enum status model_step(struct model *model, const float *features, uint32_t stride,
                                  const uint32_t *rows, uint32_t count, void *const *states,
                                  float *logits, struct error *error);

/*
 * Why `row` [width] has its logit: terms[pack.feature_count], in the order of the pack's features,
 * and ret_base sum to the calibrated logit within 1e-4. `state` is as it stood before the row's
 * step, NULL for models without one; it is not changed.
 */
void model_explain(struct model *model, const float *row, const void *state, float *terms,
                   float *ret_base);

#endif
