/* Family session, and what funnel and gap keep for as long as a session: one state, reset at once.
 */
#ifndef OPERATORS_FEATURE_SESSION_H
#define OPERATORS_FEATURE_SESSION_H

#include "operators/feature_event.h"
#include "operators/feature_sketch.h"

struct user_session {
    uint64_t id;    /* As in column session_id. */
    uint64_t items; /* Sketch. */
    uint32_t start_s;
    uint32_t categories; /* Sketch. */
    float spend;
    float view_price_sum;
    float surprise_sum;
    uint16_t events;
    uint16_t views, searches, cart_adds;
    uint16_t priced_views;
    uint16_t categorised, category_repeats; /* Events with a category; those like the one before. */
    uint16_t last_category;                 /* 16 bits of its hash. */
    uint16_t gaps, fast_gaps;
    uint16_t transitions; /* Steps that surprise_sum is of. */
    uint8_t removes, checkouts, purchases, failures;
    uint8_t last_type; /* Of the last forward event, from 1; 0: none yet. */
    uint8_t stage;
    uint8_t requests, pages, direct_pages, referred, page_run; /* See feature_table.c. */
    uint8_t earlier_types[2]; /* Of the forward events before that one, the newest first. */
    uint8_t unused;
};

/* How the event stands to the newest session, which `session` holds. */
enum session_step session_step(const struct user_session *session,
                               const struct feature_event *event);

/* Resets at SESSION_STEP_OPENS; leaves the session alone at SESSION_STEP_OLDER. */
void session_observe(struct user_session *session, const struct feature_event *event);

/* `newest_ms`: of the user's activity, this row included; -1: none. */
void session_write(const struct user_session *session, int64_t newest_ms,
                   const struct sketch_table *sketches, float *row);

#endif
