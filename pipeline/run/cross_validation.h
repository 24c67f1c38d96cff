/*
 * Forward-chaining cross-validation: each span of time is measured by a model fitted, stopped and
 * calibrated on what came before it alone.
 */
#ifndef PIPELINE_RUN_CROSS_VALIDATION_H
#define PIPELINE_RUN_CROSS_VALIDATION_H

#include <stdio.h>

#include "pipeline/run/train_config.h"

/* Prints a line a span, the mean and the standard deviation. Spans that cannot be fitted, or have
 * one class only, say so. */
MUST_CHECK enum status cross_validate(const struct train_config *config,
                                      const struct row_table *table, FILE *out,
                                      struct error *error);

#endif
