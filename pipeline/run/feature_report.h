/* What the features are worth: what each family adds to a model, and which ones say the same. */
#ifndef PIPELINE_RUN_FEATURE_REPORT_H
#define PIPELINE_RUN_FEATURE_REPORT_H

#include <stdio.h>

#include "pipeline/run/train_config.h"

/*
 * Fits on the earlier rows and measures on the held-out ones: with all features in use, without
 * each family, and with each family alone; prints PR-AUC and ROC-AUC and their differences.
 */
MUST_CHECK enum status family_report(const struct train_config *config,
                                     const struct row_table *table, FILE *out, struct error *error);

#define CORRELATION_BOUND 0.995

/*
 * Prints the pairs of features whose rank correlation is above the bound, with the reason that
 * `allowed` gives (a YAML file: pairs: [{features: [a, b], reason: text}]; NULL: none).
 * STATUS_FATAL where a pair is not listed there; STATUS_INVALID for a bad file, or a pair in it
 * that names no feature.
 */
MUST_CHECK enum status correlation_report(const struct train_config *config,
                                          const struct row_table *table, const char *allowed,
                                          FILE *out, struct error *error);

#endif
