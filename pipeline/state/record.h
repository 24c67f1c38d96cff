/*
 * One entity's state. In memory a record is a header and the parts of all stages at fixed offsets;
 * in store and changelog it is a sequence of parts, see record_codec.h.
 */
#ifndef PIPELINE_STATE_RECORD_H
#define PIPELINE_STATE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/hash.h"
#include "pipeline/base/status.h"

enum entity_kind {
    ENTITY_USER,
    ENTITY_DEVICE,
    ENTITY_CARD,
    ENTITY_TERMINAL,
    ENTITY_ADDRESS,
    ENTITY_ITEM,
    ENTITY_TASK, /* One record a task: watermark, counters, budgets. */
    ENTITY_KIND_COUNT
};

extern const char *const entity_names[ENTITY_KIND_COUNT];

struct record_key {
    struct key128 id;
    uint8_t kind; /* enum entity_kind */
};

/* Each stage owns one timer of a user; a stage with several deadlines keeps the rest in its part.
 */
enum timer_slot {
    TIMER_SESSIONIZE,
    TIMER_FEATURES,
    TIMER_INTENT,
    TIMER_INTERVENTIONS,
    TIMER_SLOT_COUNT
};

#define TIMER_NONE INT64_MAX

struct record {
    struct record_key key;
    int64_t last_event_ms;              /* Last heard of: the newest event's time, the watermark at
                                           a late one, a timer that fired. INT64_MIN: new. */
    int64_t timer_ms[TIMER_SLOT_COUNT]; /* Event time at which it falls due; TIMER_NONE: not set. */
    int64_t index_ms;                   /* Where the key's one entry in the timer index stands. */
    void *unknown_parts;                /* Owned. Parts of other writers, carried along; or NULL. */
    uint32_t unknown_bytes;
    uint32_t epoch;                     /* Configuration epoch of the last write. */
    _Alignas(16) unsigned char parts[]; /* [record_layout_bytes(layout, kind)] */
};

/*
 * A stage's share of a record: plain data, zero bytes for a new entity, written to the store as it
 * is (little-endian, no pointers). Changing its meaning needs a new version and an upgrade.
 */
struct record_part {
    const char *name; /* For describe and logs. */
    uint16_t id;      /* Unique for all time. */
    uint16_t version;
    uint8_t kind;         /* enum entity_kind */
    uint8_t is_model;     /* Counts against USER_MODEL_BYTES_MAX instead of USER_CORE_BYTES_MAX. */
    uint32_t bytes;       /* A multiple of 8. */
    uint64_t writer_hash; /* Hash of what gives the bytes their meaning, such as a pack; a part of
                             another writer starts cold. 0: the version alone says it. */
    /*
     * Rewrites `bytes` read of an older `version` into `part`, zeroed, of the size above; NULL or
     * false: the part starts cold, which is counted.
     */
    bool (*upgrade)(uint16_t version, const void *bytes, uint32_t length, void *part);
};

/* Ids of parts, in one place so that they stay unique. Never reuse one. */
enum record_part_id {
    PART_TASK_PROGRESS = 1,
    PART_DEDUPE = 2,
    PART_SESSIONIZE = 3,
    PART_FEATURES_USER = 4,
    PART_FEATURES_ENTITY = 5, /* The same layout for device, card, terminal, address and item. */
    PART_FRAUD = 6,
    PART_INTENT = 7, /* What the purchase model remembers. */
    PART_INTERVENTIONS_USER = 8,
    PART_INTERVENTIONS_TASK = 9,
    PART_INTENT_ABANDON = 10, /* The same of the abandon model. */
    PART_ANOMALY = 11,        /* Of a user or of the task, by the detector. */
    PART_TASK_ORIGINS = 12,   /* What time it is where records were sent on from. */
    PART_INTERVENTIONS_COUNTERS = 13,
    PART_EVENT_IDS = 14,
};

/* Where each part stands in a record of each kind. Built at start, then constant and shared. */
#define RECORD_PARTS_MAX 24
struct record_layout {
    struct record_part parts[RECORD_PARTS_MAX]; /* Copies. */
    uint32_t offsets[RECORD_PARTS_MAX];
    uint32_t part_count;
    uint32_t bytes[ENTITY_KIND_COUNT]; /* Of record.parts. 0: no state is kept by this entity. */
};

/*
 * Adds a part and returns its offset from record.parts through `ret_offset`. STATUS_INVALID when
 * the id is taken for this kind or the kind's budget in limits.h is exceeded.
 */
MUST_CHECK enum status record_layout_add(struct record_layout *layout,
                                         const struct record_part *part, uint32_t *ret_offset,
                                         struct error *error);

/* The part at `offset`; valid as long as the record is in the batch. */
static inline void *record_part_at(struct record *record, uint32_t offset)
{
    return record->parts + offset;
}

/* Rows that a stage looks ahead: far enough for a line to come from memory, near enough to stay. */
#define RECORD_PREFETCH_ROWS 6u

/*
 * Asks for `bytes` of a part before they are needed; NULL is a no-op. A function that does nothing
 * but prefetch is pure to gcc, and a call of it dropped: callers of this that do no more either
 * are to be inlined as well.
 */
#define RECORD_PREFETCHES __attribute__((always_inline)) static inline
RECORD_PREFETCHES void record_prefetch(const struct record *record, uint32_t offset, uint32_t bytes)
{
    for (uint32_t at = 0; record && at < bytes + 63; at += 64) {
        __builtin_prefetch(record->parts + offset + at);
    }
}

/*
 * Sets the timer of one slot. It never falls due in the batch that sets it: the time is moved up to
 * `row_watermark_ms + floor_ms`, which the batch carries, and the task ends a batch before the
 * watermark has moved that far. So timers do not depend on how the input was cut into batches.
 */
static inline void record_set_timer(struct record *record, enum timer_slot slot, int64_t due_ms,
                                    int64_t row_watermark_ms, int64_t floor_ms)
{
    int64_t earliest_ms =
        row_watermark_ms > INT64_MAX - 1 - floor_ms ? INT64_MAX - 1 : row_watermark_ms + floor_ms;
    record->timer_ms[slot] =
        due_ms == TIMER_NONE ? TIMER_NONE : (due_ms > earliest_ms ? due_ms : earliest_ms);
}

/* The earliest timer that is set, or TIMER_NONE. */
static inline int64_t record_next_timer(const struct record *record)
{
    int64_t next_ms = TIMER_NONE;
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        next_ms = record->timer_ms[slot] < next_ms ? record->timer_ms[slot] : next_ms;
    }
    return next_ms;
}

#endif
