/*
 * Labelled rows that stand in files already: CSV with a header, a line a row, numbers without
 * quotes. Columns `time` (ISO 8601) and `label` (0 or 1) must be there; `group` may be, a whole
 * number that rows that belong together share; all others are features, empty where missing.
 */
#ifndef PIPELINE_RUN_TABLE_ROWS_H
#define PIPELINE_RUN_TABLE_ROWS_H

#include "pipeline/limits.h"
#include "pipeline/run/labelled_rows.h"

struct table_names {
    char *names[FEATURES_MAX]; /* Of the features, in the order of the file. Each owned. */
    uint32_t count;
};

/* Reads the header of `path`. STATUS_INVALID names the file, and the column that is wrong. */
MUST_CHECK enum status table_names_read(const char *path, struct table_names *ret_names,
                                        struct error *error);
void table_names_release(struct table_names *names);

/*
 * Reads all files, whose features must be `names` in this order. Of `options` the times, the
 * greatest number of rows and the seed count. STATUS_INVALID names file, line and column.
 */
MUST_CHECK enum status table_rows_make(const char *const *files, uint32_t file_count,
                                       const struct table_names *names,
                                       const struct row_options *options,
                                       struct row_table *ret_table, struct row_counts *ret_counts,
                                       struct error *error);

#endif
