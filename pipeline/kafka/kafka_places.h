/*
 * Where a task stands in the partition of each of its input topics, and in what order it has taken
 * records from them. Shared by its input and its log, on the worker's thread; both outlive a
 * commit, so what is committed is known here when the input is sought back.
 *
 * With one topic a record's number is its offset. With several it is counted, from 0, over all of
 * them, and the count is kept beside the committed offsets.
 *
 * The order is by time stamp, then by place in the list, among topics that have a record. What it
 * depends on beside the records is which topics had none at the moment, since it had come to their
 * end: those are journaled whenever they change. So a replay that reads the same topics and the
 * journal takes the same order.
 */
#ifndef PIPELINE_KAFKA_KAFKA_PLACES_H
#define PIPELINE_KAFKA_KAFKA_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_INPUTS_MAX 16u
/* Changes of what is at its end, in a transaction; its end is waited for when they are all used. */
#define KAFKA_PLACES_CHANGES_MAX 512u
#define KAFKA_PLACES_TAKEN_MAX ((1u << 21) - 1)
/* Each change is two numbers of at most three bytes. */
#define KAFKA_INTERLEAVING_BYTES_MAX (6u * KAFKA_PLACES_CHANGES_MAX)

struct kafka_place {
    uint64_t ordinal;                  /* Of the next record. */
    int64_t offsets[KAFKA_INPUTS_MAX]; /* Next, by topic. */
};

struct kafka_places {
    uint32_t count;   /* Of topics. */
    bool is_counting; /* Records are numbered over several topics. */
    struct kafka_place now;
    struct kafka_place committed;
    uint32_t taken;        /* Records since then. */
    uint32_t change_count; /* Since then. */
    struct {
        uint32_t before; /* Records taken before it. */
        uint32_t at_end; /* Bit i: topic i had none. */
    } changes[KAFKA_PLACES_CHANGES_MAX];
};

/* Begins again where the last commit ended. */
void kafka_places_rewind(struct kafka_places *places);
/* What is now is what is committed. */
void kafka_places_commit(struct kafka_places *places);

/* A record of a topic was taken; false: not, it has to wait for the end of the transaction. */
bool kafka_places_take(struct kafka_places *places, uint32_t topic, int64_t offset,
                       uint32_t at_end);
/* The last record was not: its topic goes on at `offset` again. */
void kafka_places_untake(struct kafka_places *places, uint32_t topic, int64_t offset);

/* The changes as pairs of numbers, as in LEB128; returns the length. */
size_t kafka_places_write(const struct kafka_places *places,
                          unsigned char ret_bytes[KAFKA_INTERLEAVING_BYTES_MAX]);

#endif
