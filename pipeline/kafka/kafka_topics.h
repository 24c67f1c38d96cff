/* Names of the topics of an application. */
#ifndef PIPELINE_KAFKA_KAFKA_TOPICS_H
#define PIPELINE_KAFKA_KAFKA_TOPICS_H

#include "pipeline/kafka/kafka_client.h"
#include "pipeline/kafka/kafka_places.h"
#include "pipeline/output/output.h"
#include "pipeline/state/record.h"

#define KAFKA_TOPIC_BYTES 250u
#define KAFKA_HOPS_MAX 4u

/* A hop: tasks that keep state by one kind of entity, on topics of their own, and send records on
 * to the next hop or, from the last one, to the repartition topic. */
struct kafka_hop_topics {
    enum entity_kind kind;
    char input[KAFKA_TOPIC_BYTES];
    char changelog[KAFKA_TOPIC_BYTES];
    char journal[KAFKA_TOPIC_BYTES];
};

struct kafka_topics {
    char outputs[TOPIC_COUNT][KAFKA_TOPIC_BYTES];
    char changelog[KAFKA_TOPIC_BYTES];
    char journal[KAFKA_TOPIC_BYTES];
    char repartition[KAFKA_TOPIC_BYTES];          /* A route's or a hop's: where it sends to. */
    struct kafka_hop_topics hops[KAFKA_HOPS_MAX]; /* In the order in which records take them. */
    uint32_t hop_count;
    char inputs[KAFKA_INPUTS_MAX][KAFKA_TOPIC_BYTES]; /* After kafka_topics_find_inputs(). */
    uint32_t input_count;
    /* Its assignment decides who has a partition of all inputs: where there are several, the
     * journal, which does not change with them. */
    const char *leader;
    /* Set where the one input is the repartition topic: whose inputs are sent on to it. Borrowed.
     */
    const struct kafka_topics *sources;
    bool is_framed;                   /* Output values begin with Confluent's header. */
    uint32_t schema_ids[TOPIC_COUNT]; /* For it. */
};

/* STATUS_INVALID: a name is too long, or has characters that Kafka refuses. */
MUST_CHECK enum status kafka_topics_name(const struct kafka_setup *setup,
                                         struct kafka_topics *ret_topics, struct error *error);

/*
 * Which topics the input is, and how many partitions each of them has. STATUS_INVALID: there is no
 * such topic, or the brokers do not let us in, saying why. Clients here are those of
 * kafka_admin_create() or kafka_observer_create().
 */
MUST_CHECK enum status kafka_topics_find_inputs(const struct kafka_setup *setup, rd_kafka_t *client,
                                                struct kafka_topics *topics, uint32_t *ret_count,
                                                struct error *error);

/*
 * After kafka_topics_find_inputs(): where records are sent on (kafka.repartition), `topics` becomes
 * what tasks read and `ret_sources`, which it borrows, what routes read. Else nothing changes.
 */
void kafka_topics_divide(const struct kafka_setup *setup, struct kafka_topics *topics,
                         struct kafka_topics *ret_sources);

/* After kafka_topics_divide(), what one of its hops reads, writes and sends to. */
void kafka_topics_hop(const struct kafka_topics *topics, uint32_t hop,
                      struct kafka_topics *ret_topics);
/* The entities of the hops. */
uint32_t kafka_topics_hop_mask(const struct kafka_topics *topics);

/* STATUS_INVALID: one of the inputs is not there any more. `client` may be of any kind. */
MUST_CHECK enum status kafka_topics_still_there(const struct kafka_topics *topics,
                                                rd_kafka_t *client, struct error *error);

/*
 * Makes the topics that are missing: outputs, changelog (compacted), journal and, where records are
 * sent on, the repartition topic and those of the hops, each with as many partitions as the input
 * topic. Blocks.
 */
MUST_CHECK enum status kafka_topics_create(const struct kafka_setup *setup, rd_kafka_t *client,
                                           uint32_t *ret_created, struct error *error);

/*
 * Refuses, naming the topic and what is expected: a topic that is missing, another number of
 * partitions, a changelog that is not compacted, another topic that is, a changelog or journal
 * whose brokers judge by the clocks of instances, a repartition topic that forgets records or takes
 * only short ones.
 */
MUST_CHECK enum status kafka_topics_check(const struct kafka_setup *setup, rd_kafka_t *client,
                                          struct error *error);

#endif
