/*
 * Runs a configuration on Kafka: each worker thread is a member of the consumer group and runs the
 * tasks of the partitions that the group assigns to it. Workers share nothing.
 */
#ifndef PIPELINE_KAFKA_KAFKA_RUNNER_H
#define PIPELINE_KAFKA_KAFKA_RUNNER_H

#include "pipeline/run/runner.h"

struct kafka_run_options {
    const struct config *config; /* Borrowed. */
    const char *state_directory;
    uint32_t workers;
    bool shows_progress;
};

/* Partitions of the input topic, which is what the configuration is loaded for. */
MUST_CHECK enum status kafka_run_partitions(const struct config *config, uint32_t *ret_count,
                                            struct error *error);

/* Blocks until runner_stop(), or until all has ended where kafka.ends says so, or a failure. */
MUST_CHECK enum status kafka_run(const struct kafka_run_options *options,
                                 struct runner_result *ret_result, struct error *error);

#endif
