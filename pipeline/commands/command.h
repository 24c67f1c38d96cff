/* A command of the program: one file each in this folder. */
#ifndef PIPELINE_COMMANDS_COMMAND_H
#define PIPELINE_COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

struct command {
    const char *name;
    const char *summary; /* One line for the list of commands. */
    const char *help;    /* The whole --help text. */
    /*
     * argv[0] is the command's name. STATUS_INVALID: wrong usage or configuration (exit 2);
     * other failures: exit 1. The caller prints the error, once.
     */
    enum status (*run)(int argc, char **argv, struct error *error);
};

extern const struct command command_run;
extern const struct command command_check;
extern const struct command command_generate;
extern const struct command command_describe;
extern const struct command command_train;
extern const struct command command_eval;
extern const struct command command_explain;
extern const struct command command_topics;
extern const struct command command_lag;
extern const struct command command_pseudonym;

/*
 * Options of the form --name VALUE, --name=VALUE or, for flags, --name. Every command parses with
 * this, so that all of them complain alike.
 */
struct command_option {
    const char *name; /* Without the dashes. */
    bool is_flag;
    bool is_repeated;    /* All following arguments up to the next option are values. */
    const char **values; /* [value_max], borrowed from argv; written by the parse. */
    size_t value_max;
    size_t value_count;
};

/*
 * Fills `options`; other arguments go to `positional` (at most `positional_max`, in order).
 * STATUS_INVALID names the option and the nearest one that exists.
 */
MUST_CHECK enum status command_parse(int argc, char **argv, struct command_option *options,
                                     size_t option_count, const char **positional,
                                     size_t positional_max, size_t *ret_positional_count,
                                     struct error *error);

#define COMMAND_FILES_MAX 1024u /* Input files of a run, which are its partitions. */

/* The value of an option that is a whole number from 1 to `max`. */
MUST_CHECK enum status command_number(const char *option, const char *text, uint32_t max,
                                      uint32_t *ret_number, struct error *error);

#endif
