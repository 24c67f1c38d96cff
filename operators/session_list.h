/*
 * The sessions of one user that can still change: the newest by last event, as they stand in the
 * user's record. Plain data and pure functions; no ownership, any thread. What joins what is said
 * in sessionize.h.
 */
#ifndef OPERATORS_SESSION_LIST_H
#define OPERATORS_SESSION_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "operators/session_slot.h"

#define SESSIONS_KEPT 3 /* The newest and two before it. */

struct session_list {
    uint32_t opened; /* Sessions this user has had; only ids depend on it. */
    uint32_t reserved;
    struct session_slot slots[SESSIONS_KEPT]; /* By last event, newest first; then free ones. */
};
static_assert(sizeof(struct session_list) == 248, "stored as it is");

/* Reads a list of an older version; see struct record_part. */
bool session_list_upgrade(uint16_t version, const void *bytes, uint32_t length, void *list);

static inline uint32_t session_list_count(const struct session_list *list)
{
    uint32_t count = 0;
    while (count < SESSIONS_KEPT && list->slots[count].id != 0) {
        count++;
    }
    return count;
}

void session_list_remove(struct session_list *list, uint32_t index);

/* Puts a slot where its last event belongs, before those of the same time. Returns its index. */
uint32_t session_list_resort(struct session_list *list, uint32_t index);

/* The session that the event joins, or the count. */
uint32_t session_list_find(const struct session_list *list, const struct session_event *event,
                           const struct session_limits *limits);

/* A kept session that the one at `index` now is one with, or the count. */
uint32_t session_list_neighbour(const struct session_list *list, uint32_t index,
                                const struct session_limits *limits);

/* The changed session that is due first, the older of equal ones, or the count. */
uint32_t session_list_first_due(const struct session_list *list);

#endif
