/* Reading back what an application has committed: positions, records and journal. */
#ifndef PIPELINE_KAFKA_KAFKA_RESTORE_H
#define PIPELINE_KAFKA_KAFKA_RESTORE_H

#include "pipeline/commit/commit_log.h"
#include "pipeline/kafka/kafka_client.h"
#include "pipeline/kafka/kafka_topics.h"
#include "pipeline/run/partition_time.h"

/* What the group has committed for a partition of each of the input's topics. */
struct kafka_committed {
    bool is_new;      /* Nothing. */
    bool is_counting; /* Records are counted; the next one is `ordinal`. */
    bool is_routed;   /* By a route, which keeps the partition's time here. */
    uint64_t number;  /* Of the commit. */
    uint64_t ordinal;
    int64_t offsets[KAFKA_INPUTS_MAX]; /* The next record; negative: nothing of this topic. */
    struct partition_time time;        /* is_routed */
    uint32_t hop_mask;                 /* Likewise: the entities of the hops behind it. */
};

MUST_CHECK enum status kafka_read_committed(rd_kafka_t *member, const struct kafka_topics *topics,
                                            int32_t partition,
                                            struct kafka_committed *ret_committed,
                                            struct error *error);

/*
 * STATUS_INVALID: the group has read the input with kafka.repartition, and now is to without, or
 * the other way round; then users' state would be in other partitions. Or it has sent on by other
 * entities; then records that are on their way would stay where nobody reads them. `topics` are a
 * task's, a hop's or a route's.
 */
MUST_CHECK enum status kafka_check_way(rd_kafka_t *member, const struct kafka_setup *setup,
                                       const struct kafka_topics *topics, int32_t partition,
                                       struct error *error);

/* The offsets to commit, with what else is to be known at the next start beside them. Owned. */
rd_kafka_topic_partition_list_t *kafka_committed_list(const struct kafka_topics *topics,
                                                      int32_t partition,
                                                      const struct kafka_committed *committed);

/* The offset at which a partition of which nothing was committed begins. */
MUST_CHECK enum status kafka_start_offset(rd_kafka_t *fetcher, const struct kafka_options *options,
                                          const char *topic, int32_t partition, int64_t *ret_offset,
                                          struct error *error);

struct kafka_restore_options {
    rd_kafka_t *fetcher;
    const char *changelog;
    int32_t partition;
    uint64_t from;                   /* Offset. */
    uint64_t to;                     /* Behind the last; no transaction is open before it. */
    const atomic_bool *is_cancelled; /* Once it is true, reading ends with STATUS_RETRY. */
    struct kafka_progress *progress;
};

/* Visits what the changelog's partition has. Logs how far it has come. Borrows everything. */
MUST_CHECK enum status kafka_restore(const struct kafka_restore_options *options,
                                     const struct recovery_visitor *visitor, uint64_t *ret_records,
                                     struct error *error);

#endif
