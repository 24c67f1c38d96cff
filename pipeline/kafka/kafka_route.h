/*
 * A route: sends the records of one partition of the input on to the partitions of their users, in
 * the repartition topic, or of the entity that the first hop is by. A record that cannot be decoded
 * goes to the partition of its own number. It owns its input and its log, is used by one thread at
 * a time, and is no task: no stages, no store. What it must not forget, position and time, is
 * committed with what it sends.
 */
#ifndef PIPELINE_KAFKA_KAFKA_ROUTE_H
#define PIPELINE_KAFKA_KAFKA_ROUTE_H

#include <stdatomic.h>

#include "pipeline/kafka/kafka_input.h"
#include "pipeline/kafka/kafka_log.h"

struct kafka_route_options {
    const struct kafka_setup *setup;   /* Borrowed, as all here; is_route is set in it. */
    const struct kafka_topics *topics; /* What it reads (kafka_topics_divide). */
    rd_kafka_t *member;
    rd_kafka_t *fetcher;
    enum wire_format format;
    const char *schema; /* As kafka_input_options has them. */
    struct schema_registry *registry;
    const struct mapping *mapping;
    int32_t partition;
    uint32_t partition_count;
    enum entity_kind target;    /* Whose partitions records are sent to. */
    int64_t max_ahead_ms;       /* As intake_options has it. */
    int64_t commit_interval_ms; /* It commits after it at the latest. */
    struct kafka_client_metrics *client_metrics;
    const atomic_bool *is_cancelled;
};

struct kafka_route;

/* Blocks: shuts out an earlier owner, and finds where to go on. STATUS_RETRY: try again later. */
MUST_CHECK enum status kafka_route_open(const struct kafka_route_options *options,
                                        struct kafka_route **ret_route, struct error *error);
void kafka_route_close(struct kafka_route *route); /* Commits nothing. NULL is a no-op. */

/*
 * Takes what the input has and moves commits on. Where it has taken all that the brokers have it
 * commits at once, not more often than every `haste_ns`. Failure: it is of no more use.
 */
MUST_CHECK enum status kafka_route_step(struct kafka_route *route, uint64_t haste_ns,
                                        bool *ret_waits, struct error *error);

/* Takes nothing more, but commits what it has; asked again until kafka_route_is_committed(). */
MUST_CHECK enum status kafka_route_commit_step(struct kafka_route *route, struct error *error);
bool kafka_route_is_committed(const struct kafka_route *route);

/* For kafka_log_rejoin() and kafka_log_disown(). */
struct commit_log *kafka_route_log(const struct kafka_route *route);

struct kafka_route_stats { /* Since it was opened, as committed. */
    uint64_t records;      /* Sent on, markers not counted. */
    uint64_t unread;       /* Of them, without a user that could be read. */
    uint64_t markers;
    uint64_t commits;
    int64_t newest_ms; /* Event time; 0: not known yet. */
};
struct kafka_route_stats kafka_route_stats(const struct kafka_route *route);
const struct kafka_places *kafka_route_places(const struct kafka_route *route);

#endif
