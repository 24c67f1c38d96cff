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

/* Index of the feature of that name, or -1. */
int32_t feature_index(const struct feature_set *set, const char *name);

uint64_t feature_set_hash(const struct feature_info *features, uint32_t count);

#endif
