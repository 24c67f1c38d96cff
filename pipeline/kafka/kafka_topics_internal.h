/* What making and checking the application's topics share: which there are, and how they must be.
 */
#ifndef PIPELINE_KAFKA_KAFKA_TOPICS_INTERNAL_H
#define PIPELINE_KAFKA_KAFKA_TOPICS_INTERNAL_H

#include "pipeline/kafka/kafka_topics.h"

#define REQUEST_TIMEOUT_MS 15000
#define ASK_PAUSE_NS 20000000 /* Before brokers are asked again for what not all of them know. */
#define KAFKA_TOPICS_MAX (TOPIC_COUNT + 3 + 3 * KAFKA_HOPS_MAX)
/* What a record of the input can come to, with key and headers (kafka_route.c). */
#define REPARTITION_BYTES "4194304"
#define ANY_TIME "9223372036854775807"

/* One topic of the application and how it must be. */
struct kafka_topic_plan {
    const char *name;
    bool is_compacted;
    bool is_output;
    bool is_repartition;
};

/* Those that belong to the inputs which the brokers have, and the partitions that each is to have.
 */
MUST_CHECK enum status kafka_topics_plan(const struct kafka_setup *setup, rd_kafka_t *client,
                                         struct kafka_topics *ret_topics,
                                         struct kafka_topic_plan plans[KAFKA_TOPICS_MAX],
                                         uint32_t *ret_count, uint32_t *ret_partitions,
                                         struct error *error);

MUST_CHECK enum status kafka_topics_compare_partitions(const struct kafka_topics *topics,
                                                       const char *name, uint32_t present,
                                                       uint32_t expected, struct error *error);

#endif
