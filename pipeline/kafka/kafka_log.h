/*
 * The commit of Kafka: one transaction holds outputs, changed records, journal and the position in
 * the input. A thread of its own carries it out, so that the worker goes on with other tasks.
 *
 * The log position of a commit is the offset of its first record in the changelog's partition, plus
 * one. So recovery from a position, or from one less, begins at that offset and reads all that the
 * store may lack. Records are keyed by kind and id.
 *
 * Each commit has a number, which stands beside the input position in the group's committed
 * offset. What became of a commit that was left in doubt (its coordinator did not answer, or a
 * connection went away meanwhile) is read from there, by a new producer whose epoch shuts out all
 * that is still under way from the old one. Source: KIP-98, KIP-447.
 */
#ifndef PIPELINE_KAFKA_KAFKA_LOG_H
#define PIPELINE_KAFKA_KAFKA_LOG_H

#include "pipeline/commit/commit_log.h"
#include "pipeline/kafka/kafka_client.h"
#include "pipeline/kafka/kafka_places.h"
#include "pipeline/kafka/kafka_topics.h"
#include "pipeline/kafka/kafka_traces.h"

struct kafka_log_options {
    const struct kafka_setup *setup;   /* Borrowed, as all here. */
    const struct kafka_topics *topics; /* Of the setup. */
    rd_kafka_t *member;                /* Of the group; offsets are committed in its name. */
    rd_kafka_t *fetcher;
    struct kafka_places *places; /* Of the task, as its input has them. */
    struct kafka_traces *traces;
    /* What the commits of a route hold, which has neither outputs nor records nor a journal, or
     * those of a hop in place of outputs, forgotten when they are done. Else NULL. */
    struct kafka_route_batch *routed;
    struct kafka_progress *progress;             /* Of reading back. */
    struct kafka_client_metrics *client_metrics; /* Of the producer. */
    int32_t partition;
    const atomic_bool *is_cancelled; /* Once it is true, recovery ends with a failure. */
};

struct kafka_log_range {
    uint64_t first; /* Log positions that the changelog reaches back to ... */
    uint64_t last;  /* ... and up to. */
};

/*
 * Blocks: shuts out an earlier owner of the partition, whose open transaction is aborted, and
 * looks what the changelog has. STATUS_RETRY: brokers do not answer.
 */
MUST_CHECK enum status kafka_log_open(const struct kafka_log_options *options,
                                      struct commit_log **ret_log,
                                      struct kafka_log_range *ret_range, struct error *error);

/* The group has assigned the partition anew: commits go on in its present generation. */
void kafka_log_rejoin(struct commit_log *log);

/* The partition was lost: nothing more is committed, and a doubtful commit is not looked into. */
void kafka_log_disown(struct commit_log *log);

#endif
