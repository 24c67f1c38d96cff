/*
 * Deletes from the repartition topic what is processed and committed, as its retention deletes
 * nothing. Asked for now and then, and not waited for: what was not deleted is with the next.
 */
#ifndef PIPELINE_KAFKA_KAFKA_PURGE_H
#define PIPELINE_KAFKA_KAFKA_PURGE_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "pipeline/base/status.h"

struct kafka_purge {
    rd_kafka_queue_t *answers; /* NULL: nothing was asked for yet. */
    uint64_t asked_ns;         /* When last; 0: not yet. */
    int64_t offset;            /* Deleted up to there, as far as was asked. */
    bool is_asking;
    bool has_complained;
};

/* Where `interval_ms`, not 0, has passed: the records before `offset`. */
void kafka_purge_run(struct kafka_purge *purge, rd_kafka_t *client, const char *topic,
                     int32_t partition, int64_t offset, int64_t interval_ms);
/* Before its client is gone. */
void kafka_purge_release(struct kafka_purge *purge);

#endif
