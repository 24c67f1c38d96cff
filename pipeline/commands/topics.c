#include <stdio.h>
#include <string.h>

#include "pipeline/commands/command.h"
#include "pipeline/kafka/kafka_contents.h"
#include "pipeline/kafka/kafka_setup.h"
#include "pipeline/kafka/kafka_topics.h"

static const char help[] =
    "nudge topics create|check CONFIG\n"
    "\n"
    "create makes the topics of the application that are missing: outputs, changelog, journal\n"
    "and, with kafka.repartition, the repartition topic and three for each entity that state is\n"
    "kept by, with as many partitions as the input topic and the settings they need. check says\n"
    "what is wrong with those that are there; run does the same before it starts.\n";

static enum status check_contents(const struct kafka_setup *setup, rd_kafka_t *client,
                                  struct error *error)
{
    struct kafka_topics topics;
    struct kafka_topics sources;
    uint32_t partitions = 0;
    enum status status = kafka_topics_name(setup, &topics, error);
    if (status == STATUS_OK) {
        status = kafka_topics_find_inputs(setup, client, &topics, &partitions, error);
    }
    if (status == STATUS_OK) {
        kafka_topics_divide(setup, &topics, &sources);
    }
    return status == STATUS_OK ? kafka_contents_check(setup, client, &topics, partitions, error)
                               : status;
}

static enum status with_config(const struct config *config, bool creates, struct error *error)
{
    if (config->input.source != SOURCE_KAFKA) {
        return error_set(error, STATUS_INVALID, "%s: input.source: kafka expected", config->path);
    }
    struct kafka_names names;
    kafka_setup_make(config, ".", &names);
    rd_kafka_t *admin;
    struct kafka_refusal refusal;
    enum status status = kafka_observer_create(&names.setup, &refusal, &admin, error);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t created = 0;
    if (creates) {
        status = kafka_topics_create(&names.setup, admin, &created, error);
    }
    if (status == STATUS_OK && creates) {
        (void)printf("%u topics created\n", created);
    }
    if (status == STATUS_OK) {
        status = kafka_topics_check(&names.setup, admin, error);
    }
    if (status == STATUS_OK) {
        status = check_contents(&names.setup, admin, error);
    }
    if (status == STATUS_OK) {
        (void)printf("the topics are as they must be\n");
    }
    rd_kafka_destroy(admin);
    return status;
}

static enum status run(int argc, char **argv, struct error *error)
{
    const char *positional[2];
    size_t count;
    enum status status = command_parse(argc, argv, NULL, 0, positional, 2, &count, error);
    if (status != STATUS_OK) {
        return status;
    }
    bool creates = count == 2 && strcmp(positional[0], "create") == 0;
    if (count != 2 || (!creates && strcmp(positional[0], "check") != 0)) {
        return error_set(error, STATUS_INVALID,
                         "topics: create or check and a configuration file expected");
    }
    struct config config;
    status = config_load(positional[1], 0, &config, error);
    if (status == STATUS_OK) {
        status = with_config(&config, creates, error);
        config_release(&config);
    }
    return status;
}

const struct command command_topics = {
    .name = "topics",
    .summary = "make and check the topics of an application",
    .help = help,
    .run = run,
};
