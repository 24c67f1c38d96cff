/*
 * A worker's hold on the route of one partition: opened on a thread of its own, tried again where
 * it failed, closed when the partition is not ours any more. Used by the worker's own thread alone.
 */
#ifndef PIPELINE_KAFKA_KAFKA_ROUTE_SLOT_H
#define PIPELINE_KAFKA_KAFKA_ROUTE_SLOT_H

#include <pthread.h>

#include "pipeline/kafka/kafka_route.h"

#define KAFKA_ROUTE_METRICS 7
extern const struct metric_info kafka_route_metric_infos[KAFKA_ROUTE_METRICS];

enum route_state { ROUTE_CLOSED, ROUTE_OPENING, ROUTE_OPEN };

struct kafka_route_slot {
    struct kafka_route_options options; /* The worker's to set. */
    struct metrics *registry;           /* Likewise; NULL: no metrics. */
    struct kafka_route *route;          /* ROUTE_OPEN */
    enum route_state state;
    uint32_t failures; /* Since the last commit. */
    uint64_t retry_ns; /* Not opened before then. */
    pthread_t opener;  /* ROUTE_OPENING; then what follows is the opener's until it is ready. */
    atomic_bool is_ready;
    atomic_bool is_cancelled;
    enum status open_status;
    struct error open_error;
    struct kafka_client_metrics client_metrics;
    struct metric_series *series[KAFKA_ROUTE_METRICS];
    bool has_series;
    uint64_t counted_commits;
    uint64_t published_ns;
};

/*
 * One round, while the worker has an assignment: brings the slot to where it is to be, and moves
 * its route on. Failure: trying again is of no use.
 */
MUST_CHECK enum status kafka_route_slot_run(struct kafka_route_slot *slot, bool is_wanted,
                                            uint64_t haste_ns, bool *ret_waits,
                                            struct error *error);

/* The group has assigned the partition anew. */
void kafka_route_slot_rejoin(struct kafka_route_slot *slot);

/* Moves the commit of what was taken on; true: there is nothing more to commit. */
bool kafka_route_slot_settle(struct kafka_route_slot *slot);

/* Closes it, or waits for the end of its opening; nothing is committed in the group's name. */
void kafka_route_slot_drop(struct kafka_route_slot *slot);

bool kafka_route_slot_is_open(const struct kafka_route_slot *slot);

#endif
