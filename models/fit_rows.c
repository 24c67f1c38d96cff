#include "models/fit_rows.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "models/time_split.h"
#include "pipeline/base/fixed_math.h"

#define LN2 0.693147180559945309417

enum status fit_rows_count(const struct row_table *table, const uint8_t *parts, uint32_t least,
                           struct fit_rows *ret_rows, struct error *error)
{
    struct fit_rows rows = {0};
    uint32_t positives = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        if (parts[i] == SPLIT_FIT) {
            uint8_t label = table->rows[i].label;
            rows.count++;
            positives += label;
            rows.weights[label] += table->weights[i];
        }
    }
    if (rows.count == 0) {
        return error_set(
            error, STATUS_INVALID,
            "training: no rows before the held-out time; see gap, held_share, from and until");
    }
    if (positives == 0 || positives == rows.count) {
        return error_set(error, STATUS_INVALID, "training: one class only: all %u rows are %s",
                         rows.count, positives ? "positive" : "negative");
    }
    if (rows.count < least) {
        return error_set(error, STATUS_INVALID,
                         "training: %u rows for %u features: use fewer features or more data",
                         rows.count, least);
    }
    *ret_rows = rows;
    return STATUS_OK;
}

static int64_t last_time(const struct row_table *table, const uint8_t *parts)
{
    int64_t last = INT64_MIN;
    for (uint32_t i = 0; i < table->count; i++) {
        if (parts[i] != SPLIT_LEFT_OUT && table->rows[i].time_ms > last) {
            last = table->rows[i].time_ms;
        }
    }
    return last;
}

void fit_rows_fade(const struct row_table *table, const uint8_t *parts, int64_t half_life_ms,
                   double *ret_weights)
{
    int64_t last_ms = last_time(table, parts);
    double before = 0;
    double after = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        double age = (double)(last_ms - table->rows[i].time_ms) / (double)half_life_ms;
        ret_weights[i] = parts[i] == SPLIT_LEFT_OUT ? 0 : table->weights[i] * fixed_exp(-age * LN2);
        before += parts[i] == SPLIT_FIT ? table->weights[i] : 0;
        after += parts[i] == SPLIT_FIT ? ret_weights[i] : 0;
    }
    for (uint32_t i = 0; after > 0 && i < table->count; i++) {
        ret_weights[i] *= before / after;
    }
}

/* Missing is a value of its own here: a feature that is there for some alone can tell them apart.
 */
static bool varies(const struct row_table *table, const uint8_t *parts, uint32_t column,
                   bool *ret_is_missing)
{
    bool is_first = true;
    float first = NAN;
    for (uint32_t i = 0; i < table->count; i++) {
        float x = row_table_features(table, i)[column];
        if (parts[i] != SPLIT_FIT) {
            continue;
        }
        if (is_first) {
            first = x;
            is_first = false;
        } else if (isnan(x) ? !isnan(first) : x != first) {
            return true;
        }
    }
    *ret_is_missing = isnan(first);
    return false;
}

static void warn_of_few(const struct row_table *table, const uint8_t *parts,
                        const struct fit_features *features)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        rows += parts[i] == SPLIT_FIT;
    }
    if (rows < features->count && features->warn) {
        char message[128];
        (void)snprintf(message, sizeof(message),
                       "%u rows for %u features: much of what is found in so few is chance", rows,
                       features->count);
        features->warn(features->context, message);
    }
}

enum status fit_rows_check_features(const struct row_table *table, const uint8_t *parts,
                                    const struct fit_features *features, struct error *error)
{
    uint32_t varying = 0;
    warn_of_few(table, parts, features);
    for (uint32_t i = 0; i < features->count; i++) {
        bool is_missing;
        if (varies(table, parts, features->columns[i], &is_missing)) {
            varying++;
        } else if (features->warn) {
            char message[256];
            (void)snprintf(
                message, sizeof(message), "feature %s says nothing: it is %s in all rows",
                features->names[features->columns[i]], is_missing ? "missing" : "the same");
            features->warn(features->context, message);
        }
    }
    return varying > 0
               ? STATUS_OK
               : error_set(error, STATUS_INVALID, "training: no feature varies among the rows");
}

double fit_rows_factor(const struct fit_rows *rows, double given)
{
    return given > 0 ? given : rows->weights[0] / rows->weights[1];
}
