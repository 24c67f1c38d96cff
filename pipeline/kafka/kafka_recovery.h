/*
 * Where a partition goes on: what the group has committed of it, what the changelog has since the
 * state on disk, and from where its input is read. Refuses what does not fit together.
 */
#ifndef PIPELINE_KAFKA_KAFKA_RECOVERY_H
#define PIPELINE_KAFKA_KAFKA_RECOVERY_H

#include "pipeline/kafka/kafka_log.h"
#include "pipeline/kafka/kafka_restore.h"

struct kafka_recovery {
    const struct kafka_log_options *options; /* Their places are set. */
    struct kafka_log_range range;            /* Of the changelog. */
    uint64_t from;                           /* What the state lacks begins here. */
    const struct recovery_visitor *visitor;  /* Told of it. */
};

/*
 * Blocks until all is read. *ret_committed: what was committed last. STATUS_INVALID: offsets and
 * changelog are not of one application.
 */
MUST_CHECK enum status kafka_recovery_run(const struct kafka_recovery *self,
                                          struct kafka_committed *ret_committed,
                                          struct error *error);

#endif
