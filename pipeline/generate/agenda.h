/* What is to happen next: a binary heap by time, and by order of insertion at equal times. */
#ifndef PIPELINE_GENERATE_AGENDA_H
#define PIPELINE_GENERATE_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agenda_item {
    int64_t time_ms;
    uint64_t sequence; /* Written by agenda_add. */
    int kind;          /* The owner's. */
    void *object;      /* The owner's. */
};

struct agenda {
    struct agenda_item *items; /* Owned. */
    size_t count, capacity;
    uint64_t next_sequence;
};

/* False: out of memory. */
bool agenda_add(struct agenda *agenda, int64_t time_ms, int kind, void *object);
/* False: empty. */
bool agenda_take(struct agenda *agenda, struct agenda_item *ret_item);
void agenda_release(struct agenda *agenda);

#endif
