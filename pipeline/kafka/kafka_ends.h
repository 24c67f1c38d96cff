/* Opens what a task needs beside its stages where input and results are topics. */
#ifndef PIPELINE_KAFKA_KAFKA_ENDS_H
#define PIPELINE_KAFKA_KAFKA_ENDS_H

#include <stdatomic.h>

#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/kafka/kafka_hop.h"
#include "pipeline/kafka/kafka_log.h"
#include "pipeline/kafka/kafka_store.h"
#include "pipeline/run/partition.h"
#include "pipeline/wire/wire_decoder.h"

struct kafka_ends {
    struct partition_ends ends;
    const struct kafka_setup *setup; /* Borrowed, as all pointers here. */
    const struct kafka_topics *topics;
    rd_kafka_t *member;
    rd_kafka_t *fetcher;
    const char *input_schema;         /* JSON text for Avro without framing; else NULL. */
    struct schema_registry *registry; /* NULL: there is none. */
    int32_t partition;
    const struct kafka_hop_options *hop_options; /* NULL: it is no hop. */
    struct kafka_hop *hop;                       /* While its task is there. */
    struct carried_columns carried;              /* What its input's records bring along. */
    atomic_bool is_cancelled; /* Set by anyone: the opening ends soon, with a failure. */
    struct commit_log *log;   /* What was opened; the task's. */
    struct kafka_places places;
    struct kafka_traces traces;
    struct kafka_store_health health;
    struct kafka_progress progress;
    struct kafka_partition_metrics metrics;
    struct kafka_client_metrics producer_metrics;
    const char *input_topics[KAFKA_INPUTS_MAX]; /* What topics->inputs are. */
    /*
     * Reads the end of the journal, where there is almost never anything. While the input's queue
     * is full the library would sleep for up to a second; the answers to this fetch, one each few
     * milliseconds, make it look whether there is room again. So queues can be small.
     */
    struct kafka_fetch pulse;
};

/* What the input's records are. */
enum wire_format kafka_ends_format(const struct config *config,
                                   const struct schema_registry *registry);

/* Sets ends->ends; the other members are the caller's to set. */
void kafka_ends_init(struct kafka_ends *ends);
/* After its task is gone. */
void kafka_ends_release(struct kafka_ends *ends);

/* Throws away what the pulse has brought; now and then. */
void kafka_ends_serve(struct kafka_ends *ends);

/* Records that the brokers had when they were last heard of, and that are not taken yet. */
int64_t kafka_ends_behind(const struct kafka_ends *ends);

/* After its task is gone, or where opening it failed. */
void kafka_ends_close(struct kafka_ends *ends);

#endif
