/*
 * Handles of librdkafka, configured: a member of the consumer group, a fetcher that reads given
 * partitions from given offsets and is in no group, and a producer for each task. Why three: the
 * group decides who has a partition, but where reading goes on is known only after recovery, and
 * fetching goes on undisturbed while the group changes.
 */
#ifndef PIPELINE_KAFKA_KAFKA_CLIENT_H
#define PIPELINE_KAFKA_KAFKA_CLIENT_H

#include <stdatomic.h>

#include <librdkafka/rdkafka.h>

#include "pipeline/kafka/kafka_metrics.h"
#include "pipeline/kafka/kafka_settings.h"

/* Constant while clients exist. Borrows all texts. */
struct kafka_setup {
    const struct kafka_options *options;
    const char *application; /* Names transactional ids, changelog and journal. */
    const char *group;
    const char *instance; /* Of the process. */
    /* Hash of the topics that members read: brokers give a static member that is back what it had
     * before, also where it wants other topics; so then it has to be another member. */
    uint32_t subscription;
    uint32_t hop_mask; /* Entities that hops keep state by. */
    bool is_route;     /* Producers are of routes, which have names of their own. */
    const char *hop;   /* Producers are of a hop, by that entity. NULL: they are not. */
    bool has_metrics;  /* Clients tell statistics, every few seconds. */
};

/* `index` tells apart the members of one process. `opaque` goes to the callback. */
MUST_CHECK enum status
kafka_member_create(const struct kafka_setup *setup, uint32_t index,
                    void (*on_rebalance)(rd_kafka_t *, rd_kafka_resp_err_t,
                                         rd_kafka_topic_partition_list_t *, void *),
                    void *opaque, rd_kafka_t **ret_member, struct error *error);
/*
 * `queue_bytes` bounds the records of one partition that are fetched ahead. `metrics`, borrowed, is
 * written when the client is polled.
 */
MUST_CHECK enum status kafka_fetcher_create(const struct kafka_setup *setup, size_t queue_bytes,
                                            struct kafka_client_metrics *metrics,
                                            rd_kafka_t **ret_fetcher, struct error *error);

/* What a producer tells from its callbacks. */
struct kafka_producer_events {
    int64_t changelog_first;    /* Lowest offset of the changelog's delivered records; or -1. */
    uint64_t unplaced_count;    /* Of those, delivered at an offset that is not known. */
    uint64_t failed_count;      /* Records that were not delivered. */
    rd_kafka_resp_err_t failed; /* Why the first of them was not. */
    _Atomic uint64_t closed_connections;
    struct kafka_client_metrics *metrics; /* Borrowed; NULL: none. */
};
/* The address that a changelog record's _private has, so that its offset is taken. */
#define KAFKA_CHANGELOG_MARK ((void *)1)

/* Why brokers will not let us in, however often they are asked; text "": nothing of the kind. */
struct kafka_refusal {
    char text[256];
};

/*
 * `refusal` is written while the client is polled. Borrowed; outlives the client, whose opaque it
 * is.
 */
/* Knows of the group and does not join it. */
MUST_CHECK enum status kafka_observer_create(const struct kafka_setup *setup,
                                             struct kafka_refusal *refusal, rd_kafka_t **ret_client,
                                             struct error *error);

/* For administration. */
MUST_CHECK enum status kafka_admin_create(const struct kafka_setup *setup,
                                          struct kafka_refusal *refusal, rd_kafka_t **ret_client,
                                          struct error *error);

/* Transactional unless the setup says otherwise. `events` is borrowed and outlives the producer. */
MUST_CHECK enum status kafka_producer_create(const struct kafka_setup *setup, int32_t partition,
                                             struct kafka_producer_events *events,
                                             rd_kafka_t **ret_producer, struct error *error);

/* "RETRY" for what may pass by itself, such as a broker that is away; else "FATAL". */
enum status kafka_status_of(rd_kafka_resp_err_t code);

/* Sets the message from librdkafka's and frees it. */
enum status kafka_error(struct error *error, const char *doing, rd_kafka_error_t *cause);

#endif
