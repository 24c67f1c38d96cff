/* The names and meanings of the feature columns; made by extract_features, read by all after it. */
#ifndef PIPELINE_EVENT_FEATURE_SET_H
#define PIPELINE_EVENT_FEATURE_SET_H

#include <stdint.h>

struct feature_info {
    const char *name;    /* lower_snake_case, unit last: session_duration_s */
    const char *family;  /* session, user, rate, window, gap, amount, distinct, cart, rfm, calendar,
                            funnel, device, card, address, terminal */
    const char *unit;    /* "events", "s", "currency", "1" ... */
    const char *doc;     /* One sentence. */
    const char *missing; /* When the value is missing (NaN), or "never". */
};

struct feature_set {
    const struct feature_info *features;
    uint32_t count;
    uint64_t hash; /* Of names and order; decisions quote it. */
};

/* Columns that an event brings along from the tasks that compute them. */
#define CARRIED_COLUMNS_MAX 64u
struct carried_columns {
    uint16_t columns[CARRIED_COLUMNS_MAX]; /* Of the batch's features, in the order of values. */
    uint32_t count;
    uint64_t hash; /* Of their names and order. */
};

/* Index of the feature of that name, or -1. */
int32_t feature_index(const struct feature_set *set, const char *name);

uint64_t feature_set_hash(const struct feature_info *features, uint32_t count);

#endif
