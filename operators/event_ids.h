/*
 * The ids of the events that a user's timers go back to: of open sessions, of the cart, of
 * deadlines. A part of its own in the user's record, all zero while nothing is awaited, and then
 * not stored. An id of 32 hexadecimal digits, such as a UUID, takes 16 bytes, another one its
 * length in words. Plain data; no ownership, one thread.
 *
 * Not kept, so that a timer has no id: one that is longer, those of sessions but for the two that
 * were touched last, and of more deadlines than there are places for.
 */
#ifndef OPERATORS_EVENT_IDS_H
#define OPERATORS_EVENT_IDS_H

#include <assert.h>

#include "pipeline/base/text.h"

#define EVENT_ID_BYTES_MAX 32u /* As kept. */
#define EVENT_ID_TEXT_MAX 36u  /* As read: a UUID with its dashes. */
#define EVENT_IDS_SESSIONS 2u
#define EVENT_IDS_DEADLINES 2u

struct event_id {
    uint64_t owner; /* 56 bits of a key, and 8 that say how the bytes are to be read; 0: free. */
    unsigned char bytes[EVENT_ID_BYTES_MAX];
};

struct event_ids {
    struct event_id sessions[EVENT_IDS_SESSIONS]; /* By session id; the newest one first. */
    struct event_id cart;
    struct event_id deadlines[EVENT_IDS_DEADLINES]; /* By the rule's deadline_tag. */
};
static_assert(sizeof(struct event_ids) == 200, "written to the state store as it is");

/* The event `id` is now the one that a session, the cart or a deadline goes back to. An id that
 * cannot be kept, data NULL among them, takes the place of the one before all the same. */
void event_ids_keep_session(struct event_ids *ids, uint64_t session_id, struct text id);
void event_ids_keep_cart(struct event_ids *ids, struct text id);
void event_ids_keep_deadline(struct event_ids *ids, uint32_t tag, struct text id);

/* What is kept, written to `buffer` where it is not in `ids` as it is read; data NULL: nothing. */
struct text event_ids_session(const struct event_ids *ids, uint64_t session_id,
                              char buffer[EVENT_ID_TEXT_MAX]);
struct text event_ids_cart(const struct event_ids *ids, char buffer[EVENT_ID_TEXT_MAX]);
struct text event_ids_deadline(const struct event_ids *ids, uint32_t tag,
                               char buffer[EVENT_ID_TEXT_MAX]);

void event_ids_forget_session(struct event_ids *ids, uint64_t session_id);
void event_ids_forget_sessions(struct event_ids *ids); /* All of them. */

/* The tag of a deadline whose id is kept; 0: none at that place. */
uint32_t event_ids_tag(const struct event_ids *ids, uint32_t place);

#endif
