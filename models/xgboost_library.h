/*
 * libxgboost, opened at run time where training asks for it, so that neither building nor serving
 * needs it. Only what training calls; see xgboost/c_api.h, whose functions these are. Threads: one
 * training at a time.
 */
#ifndef MODELS_XGBOOST_LIBRARY_H
#define MODELS_XGBOOST_LIBRARY_H

#include <stdint.h>

#include "pipeline/base/status.h"

/* A handle of the library's: DMatrixHandle or BoosterHandle. Each call returns 0, or -1. */
struct xgboost_library {
    void *file; /* From dlopen(). */
    int version[3];
    const char *(*last_error)(void);
    int (*log_callback)(void (*callback)(const char *message));
    int (*matrix_create)(const float *data, uint64_t rows, uint64_t columns, float missing,
                         void **ret_matrix);
    int (*matrix_free)(void *matrix);
    int (*matrix_set_floats)(void *matrix, const char *field, const float *values, uint64_t count);
    int (*matrix_set_texts)(void *matrix, const char *field, const char **values, uint64_t count);
    int (*booster_create)(void *const *matrices, uint64_t count, void **ret_booster);
    int (*booster_free)(void *booster);
    int (*booster_set)(void *booster, const char *name, const char *value);
    int (*booster_update)(void *booster, int round, void *matrix);
    int (*booster_predict)(void *booster, void *matrix, int options, unsigned trees, int training,
                           uint64_t *ret_count, const float **ret_values);
    int (*booster_slice)(void *booster, int begin, int end, int step, void **ret_booster);
    int (*booster_save)(void *booster, const char *config, uint64_t *ret_length,
                        const char **ret_bytes);
    int (*booster_load)(void *booster, const void *bytes, uint64_t length);
    int (*booster_set_texts)(void *booster, const char *field, const char **values, uint64_t count);
};

/*
 * Opens the library, whose file is named by the environment's NUDGE_XGBOOST_LIBRARY or is the
 * distribution's. STATUS_INVALID where there is none, one older than 1.6, or one that lacks a
 * function, saying what to install.
 */
MUST_CHECK enum status xgboost_library_open(struct xgboost_library *ret_library,
                                            struct error *error);
void xgboost_library_close(struct xgboost_library *library);

#endif
