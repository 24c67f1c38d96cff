/* What brokers say of topics, waited for. */
#ifndef PIPELINE_KAFKA_KAFKA_ASK_H
#define PIPELINE_KAFKA_KAFKA_ASK_H

#include "pipeline/kafka/kafka_client.h"

/*
 * Waits for the brokers' answer in small portions, since a client that is not let in would wait in
 * vain: STATUS_INVALID, with what they say. STATUS_RETRY: the run is being stopped. `topic` NULL:
 * of all. *ret_metadata may be NULL, *ret_code says why. `client` is of kafka_admin_create() or
 * kafka_observer_create().
 */
MUST_CHECK enum status kafka_ask_metadata(rd_kafka_t *client, rd_kafka_topic_t *topic,
                                          const rd_kafka_metadata_t **ret_metadata,
                                          rd_kafka_resp_err_t *ret_code, struct error *error);

/* 0 partitions: there is no such topic. */
MUST_CHECK enum status kafka_ask_partitions(rd_kafka_t *client, const char *topic,
                                            uint32_t *ret_count, struct error *error);

/*
 * STATUS_INVALID: the topic was deleted. Asked more than once, since brokers that have just started
 * may not know it yet. A client of any kind.
 */
MUST_CHECK enum status kafka_ask_is_there(rd_kafka_t *client, const char *name,
                                          struct error *error);

#endif
