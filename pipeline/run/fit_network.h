/* Kinds mlp, gru and lstm of fit.h. */
#ifndef PIPELINE_RUN_FIT_NETWORK_H
#define PIPELINE_RUN_FIT_NETWORK_H

#include "pipeline/run/fit.h"

/* Steps an epoch of which a listener is told. */
double fit_network_steps(void);

MUST_CHECK enum status fit_network_make(const struct train_config *config,
                                        const struct row_table *table, const uint8_t *parts,
                                        const struct fit_listener *listener,
                                        struct network_fit *ret_fit, struct error *error);

MUST_CHECK enum status fit_network_logits(const struct network_fit *fit,
                                          const struct row_table *table, const uint32_t *chosen,
                                          uint32_t count, float *logits, struct error *error);

#endif
