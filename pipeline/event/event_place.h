/*
 * Where an event's record stands in the input, in one word: in which of the topics, in which
 * partition, at which offset. It is what state keeps of an event that something may go back to,
 * and what outputs name.
 *
 * Of a file a place is the record's number alone. Of a topic it is the record's offset and the
 * topic's number in a table that the task keeps; of a record that was sent on, offset, topic and
 * partition are those that it came from.
 *
 * 56 bits, low to high: one more than the offset (43), the topic's number (4), one more than the
 * partition that it was sent on from (9; 0: it was not). What does not fit is PLACE_UNKNOWN, or
 * the topic PLACE_TOPIC_OTHER: it is never named wrongly.
 */
#ifndef PIPELINE_EVENT_EVENT_PLACE_H
#define PIPELINE_EVENT_EVENT_PLACE_H

#include <stdbool.h>

#include "pipeline/base/text.h"

#define PLACE_UNKNOWN UINT64_C(0)
#define PLACE_BITS 56u
#define PLACE_OFFSET_MAX ((UINT64_C(1) << 43) - 2) /* 8.8 million million records. */
#define PLACE_ORIGINS_MAX 511u                     /* Partitions that records are sent on from. */
#define PLACE_TOPICS_MAX 15u                       /* Topics that a task can name. */
#define PLACE_TOPIC_OTHER PLACE_TOPICS_MAX         /* One more than those, or none at all. */
#define PLACE_TOPIC_BYTES 256u

/* Which topics records have come from, in the order in which the first of each was read; state of
 * the task. A name of length 0 ends the list. */
struct event_topics {
    char names[PLACE_TOPICS_MAX][PLACE_TOPIC_BYTES];
};

/* The number of a topic, new ones added; PLACE_TOPIC_OTHER: there are too many, or data is NULL. */
uint32_t event_topics_number(struct event_topics *topics, struct text name);

/* A place in the task's own partition of a topic or file. */
uint64_t place_make(uint32_t topic, uint64_t offset);
/* A place in the partition that a record was sent on from. */
uint64_t place_of_origin(uint32_t topic, uint32_t partition, uint64_t offset);

/* What the numbers in the places of a batch stand for. */
struct event_places {
    const char *partition;             /* Borrowed, as is `topics`: the task's own. */
    const struct event_topics *topics; /* NULL: none has a name. */
};

/* Of a place that is known. */
uint64_t place_offset(uint64_t place);
/* data NULL: it has no name, as a file's partition has none. */
struct text place_topic(const struct event_places *places, uint64_t place);
/* What is not the task's own partition is written to `buffer`. */
struct text place_partition(const struct event_places *places, uint64_t place, char buffer[12]);

#endif
