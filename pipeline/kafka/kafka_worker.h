/*
 * One worker: a member of the group with the tasks of its partitions: assignment, revocation, and
 * who of them runs and commits when. Used by its own thread alone.
 */
#ifndef PIPELINE_KAFKA_KAFKA_WORKER_H
#define PIPELINE_KAFKA_KAFKA_WORKER_H

#include "pipeline/kafka/kafka_membership.h"
#include "pipeline/kafka/kafka_slot.h"

struct kafka_worker {
    const struct kafka_shared *shared;
    uint32_t index;
    struct kafka_membership membership;
    rd_kafka_t *fetcher;
    struct kafka_slot *slots; /* [slot_count]: first those of the partitions, then hop by hop. */
    uint32_t slot_count;
    struct kafka_client_metrics fetcher_metrics;
    uint64_t polled_ns;      /* When the fetcher was last asked for its statistics. */
    uint64_t open_count;     /* Slots that ran in the last round. */
    uint32_t under_way;      /* Hastened commits, as of this round. */
    uint32_t finished_count; /* Partitions whose end was reached, of a run that ends there. */
    bool has_assignment;     /* False while the group is being rearranged: no task runs. */
    enum status failure_status;
    struct error failure;
    struct runner_result result;
};

MUST_CHECK enum status kafka_worker_init(struct kafka_worker *worker,
                                         const struct kafka_shared *shared, uint32_t index,
                                         struct error *error);
/* Leaves the group, if it can. */
void kafka_worker_release(struct kafka_worker *worker);

/* One round over group and tasks. *ret_waits: nothing was to do; *ret_ended: all has ended. */
MUST_CHECK enum status kafka_worker_round(struct kafka_worker *worker, bool *ret_waits,
                                          bool *ret_ended, struct error *error);

/* True while it has an assignment, and all partitions of it are open. */
bool kafka_worker_is_ready(const struct kafka_worker *worker);

/* Commits what is processed and closes the tasks. */
MUST_CHECK enum status kafka_worker_stop(struct kafka_worker *worker, struct error *error);

#endif
