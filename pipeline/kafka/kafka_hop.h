/*
 * What makes a task a hop: around its input, which it notes the records of, and in place of its
 * outputs. A task that keeps state by one kind of entity reads the topic that records are keyed to
 * by it, and each record goes on as it came, to the partition of the next hop's entity or of its
 * user, with the entity's features as of the event in a header more (kafka_hop_mark.h). That is
 * part of the task's own commit, so it is exactly once as its state is.
 *
 * Time goes along: a record carries what time it is in the hop, which is the earliest of its
 * origins (origin_clock.h), and partitions that got no record are told by markers, as a route does.
 *
 * Used by the task's thread; `routed` is the log's while a commit is on its way.
 */
#ifndef PIPELINE_KAFKA_KAFKA_HOP_H
#define PIPELINE_KAFKA_KAFKA_HOP_H

#include "pipeline/event/feature_set.h"
#include "pipeline/kafka/kafka_route_batch.h"
#include "pipeline/run/input.h"
#include "pipeline/run/task.h"

struct kafka_hop_options {
    const char *topic; /* That it reads; borrowed. */
    int32_t partition;
    uint32_t partition_count;
    enum entity_kind kind;
    enum entity_kind target; /* What the next topic is keyed by; ENTITY_USER: it is the last. */
    struct carried_columns carried; /* What records bring along to the next topic: that of the hops
                                       before, and then its own. */
    uint32_t brought_count;         /* Of them, those of the hops before. */
};

struct kafka_hop;

/* Before the log, whose commits are to hold kafka_hop_routed(). */
MUST_CHECK enum status kafka_hop_create(const struct kafka_hop_options *options,
                                        struct kafka_hop **ret_hop, struct error *error);
/* For where it was not attached; else it goes with its input. NULL is a no-op. */
void kafka_hop_destroy(struct kafka_hop *hop);

struct kafka_route_batch *kafka_hop_routed(struct kafka_hop *hop);

/* Takes the place of an input of kafka_input_open(), which it closes with itself. */
struct input *kafka_hop_attach(struct kafka_hop *hop, struct input *input);
struct task_sender *kafka_hop_sender(struct kafka_hop *hop);

/* Takes no more before a commit. */
bool kafka_hop_is_full(const struct kafka_hop *hop);
/* Records and markers so far, committed or not. */
uint64_t kafka_hop_sent(const struct kafka_hop *hop);

#endif
