/* Family distinct: how many different things a user touches, and whether this one is new. */
#ifndef OPERATORS_FEATURE_DISTINCT_H
#define OPERATORS_FEATURE_DISTINCT_H

#include "operators/feature_event.h"
#include "operators/feature_sketch.h"

#define DISTINCT_EPOCH_MS INT64_C(2592000000) /* 30 days */

struct user_distinct {
    uint64_t items[2];
    uint64_t categories;
    struct sketch_epochs devices, addresses, cards;
};

void distinct_advance(struct user_distinct *distinct, int64_t from_ms, int64_t to_ms);
void distinct_observe(struct user_distinct *distinct, const struct feature_event *event,
                      float *row);
void distinct_write(const struct user_distinct *distinct, const struct sketch_table *sketches,
                    float *row);

#endif
