#include "models/fit_rows.h"

#include "models/time_split.h"

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
        return error_set(error, STATUS_INVALID, "training: no rows before the held-out time");
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

double fit_rows_factor(const struct fit_rows *rows, double given)
{
    return given > 0 ? given : rows->weights[0] / rows->weights[1];
}
