/*
 * What of an evaluation by slice the training file and the command line ask for, and the rows'
 * chances with the slices that they are in as a file.
 */
#ifndef PIPELINE_RUN_EVAL_PREPARE_H
#define PIPELINE_RUN_EVAL_PREPARE_H

#include "pipeline/run/train_config.h"

/* What the command line puts in place of the file's. NULL: as in the file. */
struct eval_overrides {
    const char *attribute, *threshold;
};

/*
 * Fills what rows are divided by, and of `slices` attribute and options; `pack` is NULL where the
 * scores are none of a pack: then the threshold is 0.5 unless one was asked for. STATUS_INVALID
 * with the option or file and line. What `overrides` points to, and `config`, must outlive both.
 */
MUST_CHECK enum status eval_prepare_slices(const struct train_config *config,
                                           const struct eval_overrides *overrides,
                                           const struct model_pack *pack, uint32_t replicates,
                                           struct row_slices *words, struct eval_slices *slices,
                                           struct error *error);

/*
 * Writes time, label, chance and slices of each row, and the chance that `reference` gives unless
 * it is NULL, as CSV (RFC 4180), in order of processing.
 */
MUST_CHECK enum status eval_write_scores(const struct row_table *table, const float *chances,
                                         const struct row_slices *words, bool has_attribute,
                                         const float *reference, const char *path,
                                         struct error *error);

#endif
