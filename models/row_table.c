#include "models/row_table.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/base/hash.h"

#define FIRST_CAPACITY 1024u

enum status row_table_init(struct row_table *table, uint32_t feature_count, uint32_t rows_max,
                           uint64_t seed, struct error *error)
{
    *table = (struct row_table){
        .feature_count = feature_count,
        .rows_max = rows_max,
        .seed = seed,
        .hash_limit = UINT64_MAX,
    };
    (void)error;
    return STATUS_OK;
}

void row_table_release(struct row_table *table)
{
    free(table->features);
    free(table->rows);
    free(table->weights);
    *table = (struct row_table){0};
}

static bool grow(struct row_table *table)
{
    uint64_t wanted = table->capacity ? 2ull * table->capacity : FIRST_CAPACITY;
    uint32_t capacity = wanted < table->rows_max ? (uint32_t)wanted : table->rows_max;
    float *features =
        realloc(table->features, (size_t)capacity * table->feature_count * sizeof(float));
    table->features = features ? features : table->features;
    struct table_row *rows = realloc(table->rows, capacity * sizeof(*rows));
    table->rows = rows ? rows : table->rows;
    double *weights = realloc(table->weights, capacity * sizeof(*weights));
    table->weights = weights ? weights : table->weights;
    if (!features || !rows || !weights) {
        return false;
    }
    table->capacity = capacity;
    return true;
}

static bool is_thinned_out(const struct row_table *table, const struct table_row *row)
{
    return !row->is_kept_whole && hash64_combine(table->seed, row->group) > table->hash_limit;
}

void row_table_filter(struct row_table *table,
                      bool (*keeps)(void *context, const struct table_row *row), void *context)
{
    uint32_t kept = 0;
    size_t width = table->feature_count;
    for (uint32_t i = 0; i < table->count; i++) {
        if (keeps(context, &table->rows[i])) {
            table->rows[kept] = table->rows[i];
            memmove(table->features + kept * width, table->features + i * width,
                    width * sizeof(float));
            kept++;
        }
    }
    table->count = kept;
}

static bool stays(void *context, const struct table_row *row)
{
    return !is_thinned_out(context, row);
}

enum status row_table_add(struct row_table *table, const struct table_row *row,
                          const float *features, struct error *error)
{
    while (table->count == table->rows_max && table->hash_limit > 0) {
        table->hash_limit /= 2;
        row_table_filter(table, stays, table);
    }
    if (table->count == table->rows_max) {
        return error_set(error, STATUS_INVALID,
                         "rows_max: %u: more rows than that are positive or have to be kept",
                         table->rows_max);
    }
    if (is_thinned_out(table, row)) {
        return STATUS_OK;
    }
    if (table->count == table->capacity && !grow(table)) {
        return error_set(error, STATUS_FATAL, "rows: out of memory at %u", table->count);
    }
    table->rows[table->count] = *row;
    memcpy(table->features + (size_t)table->count * table->feature_count, features,
           table->feature_count * sizeof(float));
    table->weights[table->count] = 1.0;
    table->count++;
    return STATUS_OK;
}

void row_table_weigh(struct row_table *table)
{
    double share = (double)table->hash_limit / (double)UINT64_MAX;
    for (uint32_t i = 0; i < table->count; i++) {
        table->weights[i] = table->rows[i].is_kept_whole ? 1.0 : 1.0 / share;
    }
}

uint64_t row_table_weights_hash(const struct row_table *table)
{
    uint32_t length = table->count * (uint32_t)sizeof(table->weights[0]);
    return hash64((struct text){(const char *)table->weights, length});
}

uint64_t row_table_hash(const struct row_table *table)
{
    uint64_t hash = hash64_combine(table->count, table->feature_count);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct table_row *row = &table->rows[i];
        uint64_t words = hash64_combine((uint64_t)row->time_ms, row->label);
        const char *bytes = (const char *)row_table_features(table, i);
        uint32_t length = table->feature_count * (uint32_t)sizeof(float);
        hash = hash64_combine(hash, words);
        hash = hash64_combine(hash, hash64((struct text){bytes, length}));
    }
    return hash;
}
