/* From the configuration to what the clients are made of. */
#ifndef PIPELINE_KAFKA_KAFKA_SETUP_H
#define PIPELINE_KAFKA_KAFKA_SETUP_H

#include "pipeline/kafka/kafka_client.h"
#include "pipeline/run/config.h"

struct kafka_names {
    struct kafka_setup setup;
    char instance[64]; /* What setup.instance may point to. */
};

/* Fills `names` in place, which must not move. Borrows the configuration. */
void kafka_setup_make(const struct config *config, const char *state_directory,
                      struct kafka_names *names);

#endif
