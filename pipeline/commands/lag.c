#include <stdio.h>

#include "pipeline/commands/command.h"
#include "pipeline/kafka/kafka_lag.h"
#include "pipeline/kafka/kafka_setup.h"

static const char help[] =
    "nudge lag CONFIG\n"
    "\n"
    "Prints for each partition of the input topic what the group has committed, where the\n"
    "partition ends, and how many records lie in between; with kafka.repartition of the topics\n"
    "as well that records are sent on by, where the end of each transaction counts too.\n";

static enum status run(int argc, char **argv, struct error *error)
{
    const char *path;
    size_t count;
    enum status status = command_parse(argc, argv, NULL, 0, &path, 1, &count, error);
    if (status == STATUS_OK && count == 0) {
        return error_set(error, STATUS_INVALID, "lag: a configuration file expected");
    }
    struct config config;
    if (status == STATUS_OK) {
        status = config_load(path, 0, &config, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct kafka_names names;
    kafka_setup_make(&config, ".", &names);
    status = config.input.source == SOURCE_KAFKA
                 ? kafka_lag_print(&names.setup, stdout, error)
                 : error_set(error, STATUS_INVALID, "%s: input.source: kafka expected", path);
    config_release(&config);
    return status;
}

const struct command command_lag = {
    .name = "lag",
    .summary = "print how far a group is behind its topic",
    .help = help,
    .run = run,
};
