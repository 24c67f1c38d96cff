#include "models/train_isolation.h"

#include <stdlib.h>

#include "models/fit_rows.h"
#include "models/path_scale.h"

/* Rows that the trees' samples are drawn from and the scale is taken of: evenly spread ones. */
#define FIT_ROWS_MAX 20000u

static void pick(const struct row_table *table, uint32_t row,
                 const struct isolation_train_options *options, float *to)
{
    const float *features = row_table_features(table, row);
    for (uint32_t i = 0; i < options->column_count; i++) {
        to[i] = features[options->columns[i]];
    }
}

/* Copies the rows to be fitted, every k-th where they are many. */
static enum status gather(const struct row_table *table, const uint8_t *parts,
                          const struct isolation_train_options *options, float **ret_rows,
                          uint32_t *ret_count, struct error *error)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        all += parts[i] == SPLIT_FIT;
    }
    if (all < 2) {
        return error_set(error, STATUS_INVALID,
                         "training: %u rows to be fitted; at least 2 expected", all);
    }
    uint32_t step = (all + FIT_ROWS_MAX - 1) / FIT_ROWS_MAX;
    size_t most = all / step + 1;
    float *rows = calloc(most * options->column_count, sizeof(*rows));
    if (!rows) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    uint32_t seen = 0, count = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        if (parts[i] == SPLIT_FIT && seen++ % step == 0) {
            pick(table, i, options, rows + (size_t)count++ * options->column_count);
        }
    }
    *ret_rows = rows;
    *ret_count = count;
    return STATUS_OK;
}

static enum status set_scale(struct isolation_fit *fit, const float *rows, uint32_t count,
                             struct error *error)
{
    float *paths = calloc(count, sizeof(*paths));
    if (!paths) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        paths[i] =
            isolation_forest_path(fit->forest, rows + (size_t)i * fit->forest->feature_count);
    }
    struct path_scale scale = path_scale_of(paths, count);
    fit->calibration = (struct pack_calibration){
        .slope = scale.slope, .offset = PATH_LOGIT_MEDIAN + scale.slope * scale.median};
    free(paths);
    return STATUS_OK;
}

static enum status measure(struct isolation_fit *fit, const struct row_table *table,
                           const uint8_t *parts, const struct isolation_train_options *options,
                           struct error *error)
{
    struct held_out held;
    enum status status = held_out_make(table, parts, SPLIT_HELD, &held, error);
    if (status != STATUS_OK) {
        return status;
    }
    fit->held_rows = held.count;
    uint32_t *chosen = calloc((size_t)table->count + 1, sizeof(*chosen));
    uint32_t count = 0;
    for (uint32_t i = 0; chosen && i < table->count; i++) {
        if (parts[i] == SPLIT_HELD) {
            chosen[count++] = i;
        }
    }
    status = chosen ? STATUS_OK : error_set(error, STATUS_FATAL, "training: out of memory");
    if (status == STATUS_OK && held_out_has_both_classes(&held)) {
        status = isolation_fit_logits(fit, table, options, chosen, count, held.margins, error);
        if (status == STATUS_OK) { /* The margins are calibrated already. */
            held_out_apply(&held, &(struct pack_calibration){.slope = 1});
            status = held_out_measure(&held, &fit->held, error);
            fit->is_measured = status == STATUS_OK;
        }
    }
    free(chosen);
    held_out_release(&held);
    return status;
}

enum status train_isolation(const struct row_table *table, const uint8_t *parts,
                            const struct isolation_train_options *options,
                            struct isolation_fit *ret_fit, struct error *error)
{
    struct isolation_fit fit = {.forest = NULL};
    float *rows = NULL;
    uint32_t count = 0;
    const struct fit_features features = {options->names, options->columns, options->column_count,
                                          options->warn, options->context};
    enum status status = gather(table, parts, options, &rows, &count, error);
    if (status == STATUS_OK) {
        status = fit_rows_check_features(table, parts, &features, error);
    }
    if (status == STATUS_OK) {
        fit.fit_rows = count;
        status = isolation_forest_build(rows, count, options->column_count, &options->forest,
                                        &fit.forest, error);
    }
    if (status == STATUS_OK) {
        status = set_scale(&fit, rows, count, error);
    }
    if (status == STATUS_OK) {
        status = measure(&fit, table, parts, options, error);
    }
    free(rows);
    if (status != STATUS_OK) {
        isolation_fit_release(&fit);
        return status;
    }
    *ret_fit = fit;
    return STATUS_OK;
}

void isolation_fit_release(struct isolation_fit *fit)
{
    isolation_forest_destroy(fit->forest);
    *fit = (struct isolation_fit){.forest = NULL};
}

enum status isolation_fit_logits(const struct isolation_fit *fit, const struct row_table *table,
                                 const struct isolation_train_options *options,
                                 const uint32_t *chosen, uint32_t count, float *logits,
                                 struct error *error)
{
    float *row = calloc(options->column_count, sizeof(*row));
    if (!row) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        pick(table, chosen[i], options, row);
        logits[i] = pack_calibrate(&fit->calibration, -isolation_forest_path(fit->forest, row));
    }
    free(row);
    return STATUS_OK;
}
