/*
 * One partition, or one of a hop's, in a worker: what it is made of, its opening on a thread of its
 * own, its closing, and what a failure of it means. A slot is there for each that the worker may
 * be given. Others go on, and the group hears of us, while it opens. Used by the worker's thread
 * alone.
 */
#ifndef PIPELINE_KAFKA_KAFKA_SLOT_H
#define PIPELINE_KAFKA_KAFKA_SLOT_H

#include <pthread.h>

#include "pipeline/kafka/kafka_ends.h"
#include "pipeline/kafka/kafka_haste.h"
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
    size_t output_bytes;         /* Of one task's transaction. */
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

/* The slots of the partitions come first, then those of each hop. Borrows `shared`. */
void kafka_slot_init(struct kafka_slot *slot, const struct kafka_shared *shared, uint32_t index);

bool kafka_slot_is_hop(const struct kafka_slot *slot);
const struct config *kafka_slot_config(const struct kafka_slot *slot);

/* Its task is there, and may have come to the end of its input. */
bool kafka_slot_is_running(const struct kafka_slot *slot);

/* Of a running slot: records of all topics that were made so far. */
uint64_t kafka_slot_outputs(const struct kafka_slot *slot);

/* SLOT_OPENING, unless it has to be tried again later. */
void kafka_slot_begin_opening(struct kafka_slot *slot, rd_kafka_t *member, rd_kafka_t *fetcher);

/*
 * Of one that opens: waits for that. Afterwards it runs, or is empty. Failure: kafka_slot_failed().
 */
MUST_CHECK enum status kafka_slot_finish_opening(struct kafka_slot *slot, struct error *error);
/* Of one that opens: what was opened, if it was, is of no use. */
void kafka_slot_cancel_opening(struct kafka_slot *slot);

/*
 * Of one that runs; commits nothing. `is_last`: nobody of this process has the partition again, so
 * that what it counted is added to the result.
 */
void kafka_slot_close(struct kafka_slot *slot, struct runner_result *result, bool is_last);
void kafka_slot_close_metrics(struct kafka_slot *slot);

/*
 * Of one whose task has failed and is gone. OK: it is to be opened again, after a while. Failure:
 * trying again is of no use, and `error` says of which partition.
 */
MUST_CHECK enum status kafka_slot_failed(struct kafka_slot *slot, enum status status,
                                         const char *doing, struct error *error);

#endif
