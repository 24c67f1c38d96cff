/*
 * What a partition has committed, as a plain model: records, journal, position and outputs. The
 * watched log keeps one beside the real thing, and every recovery is compared with it.
 */
#ifndef TEST_SIMULATION_COMMITTED_H
#define TEST_SIMULATION_COMMITTED_H

#include "pipeline/commit/commit_log.h"
#include "pipeline/run/task_progress.h"
#include "test/fakes/kept_content.h"

struct committed_record {
    struct record_key key;
    uint32_t length; /* 0: a free place. */
    unsigned char *bytes;
    uint64_t meaning; /* Hash of all but where its timer entry stands. */
};

struct record_map {
    struct committed_record *places; /* Owned. A hash table with linear probing. */
    uint32_t capacity, count;
    uint64_t meaning[ENTITY_KIND_COUNT]; /* Sums of those of the records. */
};

struct committed_journal {
    struct committed_entry {
        uint64_t ordinal;
        int64_t value;
        uint64_t payload; /* Hash. */
        uint64_t log_position;
        uint8_t kind;
    } * entries; /* Owned. */
    uint32_t count, capacity;
};

struct committed {
    const struct record_layout *layout; /* Borrowed; its content is the same in every life. */
    uint32_t progress_offset;
    struct record_map records;
    struct committed_journal journal;
    struct input_position position;
    uint64_t log_position;
    uint64_t output_count[TOPIC_COUNT];
    uint64_t output_bytes[TOPIC_COUNT]; /* As JSON lines. */
    struct task_progress progress;      /* As the task's own record says. */
};

void committed_release(struct committed *committed);

/* `meaning` is worked out only where there is a layout. */
void record_map_put(struct record_map *map, const struct record_layout *layout,
                    struct record_key key, const void *bytes, uint32_t length);
const struct committed_record *record_map_find(const struct record_map *map, struct record_key key);
void record_map_release(struct record_map *map);

void committed_journal_add(struct committed_journal *journal, const struct journal_entry *entry,
                           uint64_t log_position);

/*
 * Numbers that say how far the run has come in the order of its rows. Equal places have equal
 * records, whatever the batches.
 */
struct run_place {
    uint64_t events_read, timers_fired, ticks, is_ticking, is_drained;
};
struct run_place committed_place(const struct committed *committed);

/* Adds a commit. */
void committed_add(struct committed *committed, const struct kept_content *kept,
                   uint64_t log_position);

#endif
