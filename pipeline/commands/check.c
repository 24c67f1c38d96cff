#include <stdio.h>

#include "pipeline/commands/command.h"
#include "pipeline/run/config.h"

static const char help[] =
    "nudge check CONFIG [--partitions N]\n"
    "\n"
    "Validates the configuration, its mapping, rules and packs, and that they fit together,\n"
    "without running anything, and prints what was understood.\n"
    "\n"
    "  --partitions N   as if the input had N files, or its topic N partitions; by default the\n"
    "                   files that the configuration names, and of a topic 2 partitions\n";

static enum status check(int argc, char **argv, struct error *error)
{
    const char *partitions_text = NULL;
    const char *path = NULL;
    struct command_option options[] = {
        {.name = "partitions", .values = &partitions_text, .value_max = 1},
    };
    size_t positional_count;
    enum status status = command_parse(argc, argv, options, 1, &path, 1, &positional_count, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (positional_count == 0) {
        return error_set(error, STATUS_INVALID,
                         "check: a configuration file expected; see nudge check --help");
    }
    uint32_t partitions = 0;
    status = partitions_text ? command_number("partitions", partitions_text, COMMAND_FILES_MAX,
                                              &partitions, error)
                             : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    struct config config;
    status = config_load(path, partitions, &config, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (config.input.source == SOURCE_KAFKA && !partitions_text) {
        /* How many a topic has is not known here; what is good for several is good for one. */
        config_release(&config);
        status = config_load(path, 2, &config, error);
        if (status != STATUS_OK) {
            return error_prefix(error, status,
                                "as if the topic had 2 partitions (see --partitions)");
        }
    }
    config_describe(&config, stdout);
    (void)printf("ok\n");
    config_release(&config);
    return STATUS_OK;
}

const struct command command_check = {
    .name = "check",
    .summary = "validate a configuration and say what was understood",
    .help = help,
    .run = check,
};
