/* Reading back what an application has committed: positions, records and journal. */
#ifndef PIPELINE_KAFKA_KAFKA_RESTORE_H
#define PIPELINE_KAFKA_KAFKA_RESTORE_H

#include "pipeline/commit/commit_log.h"
#include "pipeline/kafka/kafka_client.h"

/* What the group has committed for a partition. */
struct kafka_committed {
    bool is_new;     /* Nothing. */
    int64_t offset;  /* The next record of the input. */
    uint64_t number; /* Of the commit. */
};

MUST_CHECK enum status kafka_read_committed(rd_kafka_t *member, const char *topic,
                                            int32_t partition,
                                            struct kafka_committed *ret_committed,
                                            struct error *error);

/* The offset at which a partition of which nothing was committed begins. */
MUST_CHECK enum status kafka_start_offset(rd_kafka_t *fetcher, const struct kafka_options *options,
                                          int32_t partition, int64_t *ret_offset,
                                          struct error *error);

struct kafka_restore_options {
    rd_kafka_t *fetcher;
    const char *changelog;
    int32_t partition;
    uint64_t from;                   /* Offset. */
    uint64_t to;                     /* Behind the last; no transaction is open before it. */
    const atomic_bool *is_cancelled; /* Once it is true, reading ends with STATUS_RETRY. */
};

/* Visits what the changelog's partition has. Logs how far it has come. Borrows everything. */
MUST_CHECK enum status kafka_restore(const struct kafka_restore_options *options,
                                     const struct recovery_visitor *visitor, uint64_t *ret_records,
                                     struct error *error);

#endif
