/*
 * Labelled rows of features, for training and evaluation: what a model saw at that moment and what
 * became of it. Bounded: beyond its maximum, whole groups of rows are thinned out by hash, and
 * those that stay weigh more. One thread.
 */
#ifndef MODELS_ROW_TABLE_H
#define MODELS_ROW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define NO_KIND UINT8_MAX
#define ROW_DIMENSIONS 5u

struct table_row {
    int64_t time_ms;       /* Event time. */
    int64_t group_time_ms; /* When its group began. */
    uint64_t group;        /* Session, visit or user; rows of a group are not independent. */
    uint64_t sequence;     /* Place in the order of processing. */
    uint64_t event;        /* Hash of the event's id; 0: none. */
    uint32_t prefix;       /* Events of the session so far, this one included. */
    float score;           /* As served, NaN: not scored. */
    uint8_t label;
    uint8_t kind; /* Index of a kind of truth, NO_KIND: none. */
    /* The row's slice in each dimension that evaluation divides rows by; see row_slices.h. */
    uint16_t slice[ROW_DIMENSIONS];
    bool is_first_cart;  /* The group's first row with a filled cart. */
    bool is_kept_whole;  /* Thinning passes by. */
    bool is_on_schedule; /* Its prefix is one of those asked for. */
};

struct row_table {
    uint32_t feature_count;
    uint32_t count;
    uint32_t capacity;
    uint32_t rows_max;
    uint64_t seed;
    uint64_t hash_limit;    /* Groups whose hash is above it are thinned out. */
    float *features;        /* [count][feature_count]. Owned. */
    struct table_row *rows; /* [count]. Owned. */
    double *weights;        /* [count]; written by row_table_weigh. Owned. */
};

MUST_CHECK enum status row_table_init(struct row_table *table, uint32_t feature_count,
                                      uint32_t rows_max, uint64_t seed, struct error *error);
void row_table_release(struct row_table *table);

/* Copies the row, unless its group is thinned out. STATUS_INVALID where even rows that are kept
 * whole are too many. */
MUST_CHECK enum status row_table_add(struct row_table *table, const struct table_row *row,
                                     const float *features, struct error *error);

/* Keeps the rows that `keeps` says, in order. */
void row_table_filter(struct row_table *table,
                      bool (*keeps)(void *context, const struct table_row *row), void *context);

/* Sets the weights: 1 for rows kept whole, and for others what thinning left them to stand for. */
void row_table_weigh(struct row_table *table);

/* Hash of all that the rows hold; says whether two trainings saw the same. */
uint64_t row_table_hash(const struct row_table *table);
/* And of what they weigh. */
uint64_t row_table_weights_hash(const struct row_table *table);

static inline const float *row_table_features(const struct row_table *table, uint32_t row)
{
    return table->features + (size_t)row * table->feature_count;
}

#endif
