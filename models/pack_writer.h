/*
 * Writes a model pack: whole or not at all. The files go into a folder beside the target, are
 * synced, and the folder takes its name last; a pack of that name is moved away first and removed
 * after.
 */
#ifndef MODELS_PACK_WRITER_H
#define MODELS_PACK_WRITER_H

#include "models/tensor_file.h"
#include "models/train_logistic.h"

struct pack_quantiles {
    const float *p50, *p99, *p999; /* [fit.feature_count] */
};

struct pack_text {
    const char *name, *version, *target;
    const char *trained_from, *trained_to, *data_hash, *seed;
    const char *training; /* Further lines for the manifest, each indented by two; may be "". */
};

/* A number that training measured, for the manifest. */
struct pack_metric {
    const char *name;
    double value;
};

struct pack_file {
    const char *name; /* One of PACK_MODEL_FILE. */
    const void *bytes;
    size_t length;
};
#define PACK_MODEL_FILE "model.ubj"

/* What the pack of any kind is written from. All is borrowed. */
struct pack_content {
    const char *kind;
    const char *lines; /* The kind's own keys for the manifest, with line ends; may be "". */
    const struct pack_feature *features;
    uint32_t feature_count;
    bool has_scales; /* Else features are names alone. */
    const struct pack_calibration *calibration;
    float threshold;
    const struct pack_metric *metrics;
    uint32_t metric_count;
    const struct tensor *tensors; /* Of weights.safetensors, not written where there are none. */
    uint32_t tensor_count;
    const struct pack_file *files;
    uint32_t file_count;
};

/* STATUS_INVALID unless nothing stands there, an empty folder, or a pack, which would be replaced.
 */
MUST_CHECK enum status pack_write_check(const char *directory, struct error *error);

/*
 * Writes beside it and puts it in its place whole. STATUS_INVALID as above; STATUS_FATAL where the
 * disk refuses; then the old pack, if any, still stands.
 */
MUST_CHECK enum status pack_write_content(const char *directory, const struct pack_text *text,
                                          const struct pack_content *content, struct error *error);

/* The same for a logistic regression. */
MUST_CHECK enum status pack_write(const char *directory, const struct pack_text *text,
                                  const struct logistic_fit *fit,
                                  const struct pack_quantiles *quantiles, struct error *error);

/* The metrics of a fit's held-out rows; returns their number, at most HELD_METRICS. */
#define HELD_METRICS 6u
uint32_t pack_held_metrics(const struct held_measures *held, struct pack_metric *ret_metrics);

#endif
