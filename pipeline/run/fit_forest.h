/* Kind isolation_forest of fit.h. */
#ifndef PIPELINE_RUN_FIT_FOREST_H
#define PIPELINE_RUN_FIT_FOREST_H

#include "pipeline/run/fit.h"

MUST_CHECK enum status fit_forest_make(const struct train_config *config,
                                       const struct row_table *table, const uint8_t *parts,
                                       const struct fit_listener *listener,
                                       struct isolation_fit *ret_fit, struct error *error);

MUST_CHECK enum status fit_forest_logits(const struct isolation_fit *fit,
                                         const struct train_config *config,
                                         const struct row_table *table, const uint32_t *chosen,
                                         uint32_t count, float *logits, struct error *error);

MUST_CHECK enum status fit_forest_write(const struct isolation_fit *fit,
                                        const struct train_config *config,
                                        const struct column_quantiles *quantiles,
                                        const char *directory, const struct pack_text *text,
                                        struct error *error);

#endif
