/*
 * Which device scores: the section `models` of the configuration, and what came of it. The numeric
 * profile does not depend on it, see backend_cuda.h.
 */
#ifndef MODELS_MODEL_DEVICE_H
#define MODELS_MODEL_DEVICE_H

#include "models/model_backend.h"
#include "pipeline/config/settings.h"

enum model_device { MODEL_DEVICE_AUTO, MODEL_DEVICE_CPU, MODEL_DEVICE_CUDA };

struct model_device_options {
    int device;        /* enum model_device */
    char *cuda_plugin; /* NULL: looked for, see backend_cuda_open(). */
    int64_t cuda_rows; /* 0: measured with auto, 1 with cuda. */
};

extern const struct setting_section model_device_section;

#define MODEL_DEVICE_WHY_BYTES 512u

struct model_device_choice {
    bool is_cuda;
    char why[MODEL_DEVICE_WHY_BYTES]; /* "cpu: there is no device", for people. */
};

/*
 * Opens the GPU where it is wanted and one of the packs (NULL ones are left out) has a use for it.
 * STATUS_INVALID: `cuda` is asked for and cannot be had. Before any thread is started.
 */
MUST_CHECK enum status model_device_choose(const struct model_device_options *options,
                                           const struct model_pack *const *packs, size_t count,
                                           struct model_device_choice *ret_choice,
                                           struct error *error);

#endif
