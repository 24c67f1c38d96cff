/*
 * Writes a model pack: whole or not at all. The files go into a folder beside the target, are
 * synced, and the folder takes its name last; a pack of that name is moved away first and removed
 * after.
 */
#ifndef MODELS_PACK_WRITER_H
#define MODELS_PACK_WRITER_H

#include "models/train_logistic.h"

struct pack_quantiles {
    const float *p50, *p99, *p999; /* [fit.feature_count] */
};

struct pack_text {
    const char *name, *version, *target;
    const char *trained_from, *trained_to, *data_hash, *seed;
    const char *training; /* Further lines for the manifest, each indented by two; may be "". */
};

/* STATUS_FATAL where the disk refuses; then the old pack, if any, still stands. */
MUST_CHECK enum status pack_write(const char *directory, const struct pack_text *text,
                                  const struct logistic_fit *fit,
                                  const struct pack_quantiles *quantiles, struct error *error);

#endif
