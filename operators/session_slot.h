/*
 * One session as it is kept in a user's record: 80 bytes that say all that a session record says,
 * so that an ended session can still be revised. Every part of it can be added up, in any order: a
 * session is the same whichever of its events came first, and two of them can be merged.
 *
 * Counts by type are 12 bits wide for the five frequent types and 8 for the rare ones; page views
 * are what is left of the total. An event for which there is no room begins a new session, so all
 * counts are exact. Plain data and pure functions; no ownership, any thread.
 */
#ifndef OPERATORS_SESSION_SLOT_H
#define OPERATORS_SESSION_SLOT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline/event/event_batch.h"
#include "pipeline/event/event_fields.h"

#define SESSION_EVENTS_MAX 4095   /* 12 bits. */
#define SESSION_RARE_MAX 255      /* Of one rare type; 8 bits. */
#define SESSION_REVISIONS_MAX 255 /* A session with that many records changes no more. */
#define SESSION_RARE_TYPES 11

enum session_slot_flag {
    SLOT_CHANGED = 1, /* Since the last record of it, or never written. */
    SLOT_ENDED = 2,   /* A record said that it ended, and no event has made it go on. */
    SLOT_PRICED = 4,  /* A purchase with a price is in it: spend and currency say something. */
    SLOT_MIXED = 8,   /* Purchases in more than one currency. */
};

struct session_slot {
    uint64_t id; /* 0: free, and then all zero. */
    int64_t start_ms;
    int64_t spend;        /* Millionths of its currency, purchases only; saturates. */
    uint64_t items;       /* Linear counting: a bit for each value of an item's top 6 bits. */
    uint64_t frequent;    /* Five counts of 12 bits, then 4 of enum session_slot_flag. */
    uint32_t duration_ms; /* From the first to the last event. */
    uint32_t hint;        /* Of the hashed session hint; 0: none. */
    uint32_t cause_low;   /* Place of the event that came last, in pieces. */
    uint16_t cause_middle;
    uint16_t event_count;
    uint16_t currency;                /* Three letters of 5 bits; 0: not known. */
    uint8_t revision;                 /* Records of it written so far. */
    uint8_t entry_type;               /* enum event_type of the first event. */
    uint8_t exit_type;                /* Of the last. */
    uint8_t rare[SESSION_RARE_TYPES]; /* Counts; see session_slot.c for the types. */
    uint32_t cause_high; /* Of the place: 0 where nothing is sent on, and not stored. */
    uint32_t reserved;
};
static_assert(sizeof(struct session_slot) == 80, "stored as it is");

/* Reads a slot as it was in version 1 of sessionize's part: of the event that came last it had the
 * number in the input, which does not say where that event stood. */
#define SESSION_SLOT_BYTES_1 72u
void session_slot_upgrade(const void *bytes, struct session_slot *ret_slot);

/* What an event adds. */
struct session_event {
    int64_t time_ms;
    uint64_t place; /* See event_place.h. */
    uint64_t item;  /* Hash; 0: none. */
    int64_t spend;  /* Millionths; undefined unless is_priced. */
    uint32_t hint;
    uint16_t currency;
    uint8_t type;
    bool is_priced; /* A purchase with a price. */
};

struct session_limits {
    int64_t gap_ms;           /* An event that far away joins ... */
    int64_t hint_gap_ms;      /* ... and one with the session's hint that far away. */
    int64_t length_ms_max;    /* From the first to the last event. */
    uint32_t event_count_max; /* At most SESSION_EVENTS_MAX. */
};

/* False for types that say nothing of a shopper's presence: label, price_change, stock, erase and
 * identity_link. Such events neither open nor extend a session. */
bool session_counts_type(uint8_t type);

static inline int64_t session_last_ms(const struct session_slot *slot)
{
    return slot->start_ms + slot->duration_ms;
}

static inline bool session_is(const struct session_slot *slot, enum session_slot_flag flag)
{
    return (slot->frequent >> 60 & (unsigned)flag) != 0;
}

void session_mark(struct session_slot *slot, enum session_slot_flag flag, bool is_set);

/* Opens a session with its first event. */
void session_open(struct session_slot *slot, uint64_t id, const struct session_event *event);

/* Whether the event may be added within the limits. Time and hint are the caller's question. */
bool session_fits(const struct session_slot *slot, const struct session_event *event,
                  const struct session_limits *limits);
void session_add(struct session_slot *slot, const struct session_event *event);

/* The same for two sessions that become one, whose id and revision are those of `into`, and the
 * cause is what made them one. */
bool session_fits_session(const struct session_slot *into, const struct session_slot *from,
                          const struct session_limits *limits);
void session_merge(struct session_slot *into, const struct session_slot *from, uint64_t cause);

/* How far away an event may be that joins. */
static inline int64_t session_join_gap_ms(const struct session_limits *limits,
                                          const struct session_slot *slot)
{
    return slot->hint != 0 ? limits->hint_gap_ms : limits->gap_ms;
}

/* How far `time_ms` lies outside of the session, in milliseconds; 0 within. */
int64_t session_distance_ms(const struct session_slot *slot, int64_t time_ms);

uint32_t session_count_of(const struct session_slot *slot, enum event_type type);
uint64_t session_cause_place(const struct session_slot *slot);

/*
 * Estimated number of distinct items, by linear counting over 64 bits: about 5% off at 10 items,
 * 10% at 30, 20% at 150; 304 stands for that many or more. (Whang, Vander-Zanden, Taylor: A
 * linear-time probabilistic counting algorithm for database applications, 1990.)
 */
uint32_t session_distinct_items(const struct session_slot *slot);

/* More add_to_cart than remove_from_cart and purchase events together. */
bool session_has_cart(const struct session_slot *slot);

/* purchased: a purchase; else abandoned_cart: session_has_cart; else bounced: one event; else
 * browsed. */
enum session_outcome session_outcome_of(const struct session_slot *slot);

/* Three capital letters to 15 bits, else 0; and back: false where it is 0. */
uint16_t session_currency_pack(struct text code);
bool session_currency_unpack(uint16_t packed, char ret_code[3]);

#endif
