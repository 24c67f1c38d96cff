/*
 * One worker: a member of the group with the tasks of its partitions. Assignment, revocation,
 * opening (on a thread each, so that the other tasks go on and the group hears of us), running,
 * closing. Used by its own thread alone.
 */
#ifndef PIPELINE_KAFKA_KAFKA_WORKER_H
#define PIPELINE_KAFKA_KAFKA_WORKER_H

#include <pthread.h>

#include "pipeline/kafka/kafka_ends.h"
#include "pipeline/kafka/kafka_haste.h"
#include "pipeline/kafka/kafka_membership.h"
#include "pipeline/kafka/kafka_purge.h"
#include "pipeline/kafka/kafka_route_slot.h"
#include "pipeline/run/held_partition.h"
#include "pipeline/run/runner.h"

/* What the workers of a process have in common; constant. */
struct kafka_shared {
    const struct config *config;
    const struct kafka_setup *setup;
    const struct kafka_setup *route_setup; /* Where topics->sources are sent on. */
    const struct kafka_topics *topics;
    const char *state_directory;
    const char *input_schema;
    struct schema_registry *registry;
    struct rocksdb_budget *budget;
    struct run_metrics *metrics; /* NULL: there are none. */
    size_t cache_bytes;          /* Of one task. */
    size_t queue_bytes;          /* Likewise. */
    uint32_t partition_count;
    /* Hops, see kafka_topics.h; below, what their tasks have in place of the above. */
    uint32_t hop_count;
    const struct config *hop_config;
    const struct kafka_hop_share *hops; /* [hop_count] */
};

/* What the tasks of one hop have in common. */
struct kafka_hop_share {
    struct kafka_setup setup;
    struct kafka_topics topics;
    struct kafka_hop_options options; /* Less the partition. */
};

enum slot_state { SLOT_EMPTY, SLOT_OPENING, SLOT_OPEN, SLOT_FINISHED };

struct kafka_slot {
    const struct kafka_shared *shared;
    struct kafka_hop_options hop; /* Where ends.hop_options point to: the task is one of a hop. */
    struct held_partition held;
    struct kafka_ends ends;
    struct kafka_route_slot route; /* Where topics->sources are sent on. */
    struct kafka_purge purge;
    enum slot_state state;
    bool is_wanted;    /* The group says that the partition is ours. */
    uint32_t failures; /* Since the last commit. */
    uint64_t retry_ns; /* Not opened before then. */
    struct kafka_haste haste;
    bool has_asked;       /* For a commit, which its next step begins. */
    pthread_t opener;     /* SLOT_OPENING */
    atomic_bool is_ready; /* The opener is done; then what follows is set. */
    enum status open_status;
    struct error open_error;
};

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
