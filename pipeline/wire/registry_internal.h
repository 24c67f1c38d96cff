/* Inside of the schema registry's client: what its files share. */
#ifndef PIPELINE_WIRE_REGISTRY_INTERNAL_H
#define PIPELINE_WIRE_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "pipeline/wire/http_client.h"
#include "pipeline/wire/schema_registry.h"

#define NS_PER_MS UINT64_C(1000000)

struct entry;

struct schema_registry {
    struct schema_registry_options options; /* Texts not kept: only numbers are used later. */
    struct http_client *fetcher;            /* Used by the thread alone. */
    struct http_client *caller;             /* For the calls that wait. */
    pthread_mutex_t caller_lock;
    pthread_t thread;
    bool has_thread;
    atomic_bool stop;

    pthread_mutex_t lock; /* Guards all below. */
    pthread_cond_t wake;
    struct entry **entries; /* Owned, each owned. */
    uint32_t count;
    uint32_t room;
    uint32_t found;
    uint32_t failures_in_row; /* Of requests: the registry is away. */
    uint64_t not_before_ns;   /* No request of the thread before, while it is away. */
    struct schema_registry_stats stats;
};

/* The pause after `attempt` (from 1) has failed. Any thread. */
uint64_t registry_backoff_ms(const struct schema_registry *registry, uint32_t attempt);

#endif
