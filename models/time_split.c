#include "models/time_split.h"

#include <math.h>
#include <stdlib.h>

#include "models/metrics.h"

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The times of all rows, in order; free() them. NULL: out of memory. */
static int64_t *sort_times(const struct row_table *table)
{
    int64_t *times = calloc((size_t)table->count + 1, sizeof(*times));
    for (uint32_t i = 0; times && i < table->count; i++) {
        times[i] = table->rows[i].time_ms;
    }
    if (times) {
        qsort(times, table->count, sizeof(*times), compare_times);
    }
    return times;
}

/* Divides the rows before `until_ms`, of which there are `count`; those after are left out. */
static int64_t divide(const struct row_table *table, const int64_t *times, uint32_t count,
                      int64_t until_ms, double held_share, int64_t gap_ms, uint8_t *parts)
{
    uint32_t held = (uint32_t)(held_share * (double)count);
    int64_t from_ms = held > 0 ? times[count - held] : INT64_MAX;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct table_row *row = &table->rows[i];
        if (row->time_ms >= until_ms) {
            parts[i] = SPLIT_LEFT_OUT;
        } else if (held == 0 || row->time_ms < from_ms - gap_ms) {
            parts[i] = SPLIT_FIT;
        } else {
            bool is_held = row->time_ms >= from_ms && row->group_time_ms >= from_ms;
            parts[i] = is_held ? SPLIT_HELD : SPLIT_LEFT_OUT;
        }
    }
    return from_ms;
}

enum status time_split(const struct row_table *table, double held_share, int64_t gap_ms,
                       uint8_t *ret_parts, int64_t *ret_from_ms, struct error *error)
{
    int64_t *times = sort_times(table);
    if (!times) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    *ret_from_ms = divide(table, times, table->count, INT64_MAX, held_share, gap_ms, ret_parts);
    free(times);
    return STATUS_OK;
}

enum status time_fold(const struct row_table *table, uint32_t fold, uint32_t folds,
                      double held_share, int64_t gap_ms, uint8_t *ret_parts, uint8_t *ret_is_tested,
                      int64_t *ret_from_ms, struct error *error)
{
    int64_t *times = sort_times(table);
    if (!times) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    uint32_t first = (uint32_t)((uint64_t)table->count * fold / (folds + 1));
    uint32_t last = (uint32_t)((uint64_t)table->count * (fold + 1) / (folds + 1));
    int64_t from_ms = first < table->count ? times[first] : INT64_MAX;
    int64_t to_ms = last < table->count ? times[last] : INT64_MAX;
    uint32_t before = 0;
    while (before < table->count && times[before] < from_ms - gap_ms) {
        before++;
    }
    (void)divide(table, times, before, from_ms - gap_ms, held_share, gap_ms, ret_parts);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct table_row *row = &table->rows[i];
        ret_is_tested[i] =
            row->time_ms >= from_ms && row->time_ms < to_ms && row->group_time_ms >= from_ms;
    }
    free(times);
    *ret_from_ms = from_ms;
    return STATUS_OK;
}

static uint32_t gather_negatives(const struct row_table *table, uint32_t column, float *values)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        float x = row_table_features(table, i)[column];
        if (table->rows[i].label == 0 && isfinite(x)) {
            values[count++] = x;
        }
    }
    return count;
}

enum status column_quantiles_make(const struct row_table *table, const uint32_t *columns,
                                  uint32_t count, struct column_quantiles *ret_quantiles,
                                  struct error *error)
{
    float *values = calloc((size_t)table->count + 1, sizeof(*values));
    struct column_quantiles made = {
        .p50 = calloc((size_t)count + 1, sizeof(float)),
        .p99 = calloc((size_t)count + 1, sizeof(float)),
        .p999 = calloc((size_t)count + 1, sizeof(float)),
    };
    if (!values || !made.p50 || !made.p99 || !made.p999) {
        free(values);
        column_quantiles_release(&made);
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t present = gather_negatives(table, columns[i], values);
        if (present > 0) {
            made.p50[i] = metric_quantile(values, present, 0.5);
            made.p99[i] = metric_quantile(values, present, 0.99);
            made.p999[i] = metric_quantile(values, present, 0.999);
        }
    }
    free(values);
    *ret_quantiles = made;
    return STATUS_OK;
}

void column_quantiles_release(struct column_quantiles *quantiles)
{
    free(quantiles->p50);
    free(quantiles->p99);
    free(quantiles->p999);
    *quantiles = (struct column_quantiles){0};
}
