/* What the undisturbed run has at each place, to compare others with. */
#ifndef TEST_SIMULATION_REFERENCE_H
#define TEST_SIMULATION_REFERENCE_H

#include "pipeline/base/byte_buffer.h"
#include "test/simulation/watched_log.h"

struct reference_state {
    struct run_place place;
    bool is_used;
    uint64_t meaning[ENTITY_KIND_COUNT]; /* Of the records. */
    struct task_counters counters;
    uint64_t output_bytes[TOPIC_COUNT];
};

struct reference {
    struct reference_state *states; /* Owned. A hash table with linear probing. */
    uint32_t capacity, count;
    struct byte_buffer outputs[TOPIC_COUNT]; /* As JSON lines. */
    struct committed end;                    /* Borrows nothing but the layout. */
};

void reference_release(struct reference *reference);

/* Adds what the undisturbed run has committed. */
void reference_add(struct reference *reference, struct watch *watch, const struct committed *model);

/* Complains where another run's commit is none of the undisturbed run's places. */
void reference_compare(const struct reference *reference, struct watch *watch,
                       const struct committed *model);

#endif
