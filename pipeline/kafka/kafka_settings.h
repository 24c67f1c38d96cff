/* The section `kafka` of the configuration. */
#ifndef PIPELINE_KAFKA_KAFKA_SETTINGS_H
#define PIPELINE_KAFKA_KAFKA_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/config/settings.h"

enum kafka_start { KAFKA_START_EARLIEST, KAFKA_START_LATEST, KAFKA_START_TIME };

struct kafka_options {
    struct text_list brokers;
    char *topic; /* One of these three. */
    struct text_list topics;
    char *topic_pattern;
    struct text_list trace_headers;
    char *group;         /* NULL: the application's name. */
    char *output_prefix; /* Before the name of each output topic. */
    char *instance;      /* Static membership; NULL: made from host and state directory. */
    char *start_time;    /* ISO 8601, for KAFKA_START_TIME. */
    char *input_schema;  /* Path of the writer's schema of raw Avro. */
    int start;           /* enum kafka_start */
    bool ends;           /* The run ends where the topic ended; for backfills and tests. */
    bool is_exactly_once;
    bool is_repartitioned; /* Records are sent on to the partition of their user. */
    int64_t repartition_idle_ms;
    int64_t repartition_purge_ms; /* 0: nothing is deleted. */
    int64_t transaction_timeout_ms;
    int64_t session_timeout_ms;
    int64_t replication;
    const struct yaml_node *properties; /* Borrowed from the document, as is secrets. */
    const struct yaml_node *secrets;
};

extern const struct setting_section kafka_section;

/* What the table cannot say: topic and brokers are there, properties are not ours to set. */
MUST_CHECK enum status kafka_options_check(const struct kafka_options *options,
                                           const struct yaml_node *node, struct error *error);

#endif
