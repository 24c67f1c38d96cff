/* A user's state and its features: all families that are kept by user, put together. */
#ifndef OPERATORS_FEATURE_USER_H
#define OPERATORS_FEATURE_USER_H

#include <assert.h>

#include "operators/feature_amount.h"
#include "operators/feature_calendar.h"
#include "operators/feature_cart.h"
#include "operators/feature_counts.h"
#include "operators/feature_distinct.h"
#include "operators/feature_funnel.h"
#include "operators/feature_gap.h"
#include "operators/feature_recency.h"
#include "operators/feature_session.h"

/* Part PART_FEATURES_USER: stored as it is. A new user is all zeros. */
struct user_features {
    int64_t newest_ms; /* Of the activity so far, and what windows, rates and epochs stand at. */
    struct user_rates rates;
    struct user_gaps gaps;
    struct user_amounts amounts;
    struct user_session session;
    struct user_cart cart;
    struct user_distinct distinct;
    struct user_windows windows;
    struct user_totals totals;
    struct user_recency recency;
    struct user_calendar calendar;
};
#define USER_FEATURES_BYTES 440
static_assert(sizeof(struct user_features) == USER_FEATURES_BYTES, "written to the store as it is");
#define USER_FEATURES_VERSION 3

/*
 * Reads what version 2 wrote, which had no session.earlier_types: of a session that was open then
 * it is as if its last event had been its first. See record.h.
 */
bool user_features_upgrade(uint16_t version, const void *bytes, uint32_t length, void *part);

/* What the features are computed with; built once, then constant. */
struct feature_tables {
    struct sketch_table sketches;
    struct calendar_table calendar;
    struct funnel_table funnel;
    int64_t cart_lifetime_ms;
};

/*
 * Takes the event into the state and writes the features of the user's families as of after it.
 * Fills in the members of `event` that depend on the state: newest_ms, now_ms, is_forward,
 * session_step. `row` holds NaN in every place.
 */
void user_features_observe(struct user_features *user, const struct feature_tables *tables,
                           struct feature_event *event, float *row);

/* The features as of the row's time, for rows that are no activity; the state stays as it is. */
void user_features_peek(const struct user_features *user, const struct feature_tables *tables,
                        struct feature_event *event, float *row);

#endif
