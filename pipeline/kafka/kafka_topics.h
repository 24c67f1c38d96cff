/* Names of the topics of an application. */
#ifndef PIPELINE_KAFKA_KAFKA_TOPICS_H
#define PIPELINE_KAFKA_KAFKA_TOPICS_H

#include "pipeline/kafka/kafka_client.h"
#include "pipeline/output/output.h"

#define KAFKA_TOPIC_BYTES 250u

struct kafka_topics {
    char outputs[TOPIC_COUNT][KAFKA_TOPIC_BYTES];
    char changelog[KAFKA_TOPIC_BYTES];
    char journal[KAFKA_TOPIC_BYTES];
    bool is_framed;                   /* Output values begin with Confluent's header. */
    uint32_t schema_ids[TOPIC_COUNT]; /* For it. */
};

/* STATUS_INVALID: a name is too long, or has characters that Kafka refuses. */
MUST_CHECK enum status kafka_topics_name(const struct kafka_setup *setup,
                                         struct kafka_topics *ret_topics, struct error *error);

/*
 * Partitions of the input topic. STATUS_INVALID: there is no such topic, or the brokers do not let
 * us in, saying why. Clients here are those of kafka_admin_create() or kafka_observer_create().
 */
MUST_CHECK enum status kafka_topics_count(rd_kafka_t *client, const char *topic,
                                          uint32_t *ret_count, struct error *error);

/*
 * Makes the topics that are missing: outputs, changelog (compacted) and journal, each with as many
 * partitions as the input topic. Blocks.
 */
MUST_CHECK enum status kafka_topics_create(const struct kafka_setup *setup, rd_kafka_t *client,
                                           uint32_t *ret_created, struct error *error);

/*
 * Refuses, naming the topic and what is expected: a topic that is missing, another number of
 * partitions, a changelog that is not compacted.
 */
MUST_CHECK enum status kafka_topics_check(const struct kafka_setup *setup, rd_kafka_t *client,
                                          struct error *error);

#endif
