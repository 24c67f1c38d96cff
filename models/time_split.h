/* Divides labelled rows by time into those to be fitted, those held out, and those left out. */
#ifndef MODELS_TIME_SPLIT_H
#define MODELS_TIME_SPLIT_H

#include "models/row_table.h"

enum split_part { SPLIT_FIT, SPLIT_HELD, SPLIT_LEFT_OUT };

/*
 * ret_parts [table.count]: the last `held_share` of the rows by time are held out. Left out are
 * rows of the gap before, and rows whose group began before the held-out time and reaches into it.
 * Returns the time from which rows are held out; INT64_MAX: none are.
 */
MUST_CHECK enum status time_split(const struct row_table *table, double held_share, int64_t gap_ms,
                                  uint8_t *ret_parts, int64_t *ret_from_ms, struct error *error);

/*
 * Forward chaining: span `fold` (from 1) of `folds` + 1 spans with as many rows each. Of the rows
 * before it, less the gap, ret_parts says as above which are fitted and which held out;
 * ret_is_tested [table.count] marks the span's own, whose groups began in it. Returns where the
 * span begins.
 */
enum status time_fold(const struct row_table *table, uint32_t fold, uint32_t folds,
                      double held_share, int64_t gap_ms, uint8_t *ret_parts, uint8_t *ret_is_tested,
                      int64_t *ret_from_ms, struct error *error);

/* The quantiles of the chosen columns over the negatives, NaN left out; 0 where nothing is left. */
struct column_quantiles {
    float *p50, *p99, *p999; /* [count], each owned. */
};
MUST_CHECK enum status column_quantiles_make(const struct row_table *table, const uint32_t *columns,
                                             uint32_t count, struct column_quantiles *ret_quantiles,
                                             struct error *error);
void column_quantiles_release(struct column_quantiles *quantiles);

#endif
