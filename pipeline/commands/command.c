#include "pipeline/commands/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/config/yaml.h"

#define OPTIONS_MAX 64
#define OPTION_BYTES 128 /* Of what a message shows of it. */

static struct command_option *find_option(struct command_option *options, size_t count,
                                          const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static enum status unknown_option(const struct command_option *options, size_t count,
                                  const char *argument, struct error *error)
{
    const char *names[OPTIONS_MAX];
    for (size_t i = 0; i < count && i < OPTIONS_MAX; i++) {
        names[i] = options[i].name;
    }
    char name[OPTION_BYTES];
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument, "="), argument);
    const char *near = nearest_name(name + strspn(name, "-"), names, count);
    return error_set(error, STATUS_INVALID, "%s: no such option%s%s%s", name,
                     near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static enum status add_value(struct command_option *option, const char *value, struct error *error)
{
    if (option->value_count == 1 && option->value_max == 1) {
        return error_set(error, STATUS_INVALID, "--%s: \"%s\": it was given before, as \"%s\"",
                         option->name, value, option->values[0]);
    }
    if (option->value_count == option->value_max) {
        return error_set(error, STATUS_INVALID, "--%s: at most %zu values expected", option->name,
                         option->value_max);
    }
    option->values[option->value_count++] = value;
    return STATUS_OK;
}

/* The values behind the option at argv[*index], which is moved to the last one used. */
static enum status read_values(int argc, char **argv, int *index, struct command_option *option,
                               struct error *error)
{
    bool has_any = false;
    while (*index + 1 < argc && (option->is_repeated || !has_any) &&
           (strncmp(argv[*index + 1], "--", 2) != 0)) {
        (*index)++;
        has_any = true;
        enum status status = add_value(option, argv[*index], error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return has_any ? STATUS_OK
                   : error_set(error, STATUS_INVALID, "--%s: a value expected", option->name);
}

enum status command_parse(int argc, char **argv, struct command_option *options,
                          size_t option_count, const char **positional, size_t positional_max,
                          size_t *ret_positional_count, struct error *error)
{
    *ret_positional_count = 0;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        bool is_value = argument[0] != '-' || argument[1] == '\0'; /* - is standard input. */
        if (is_value) {
            if (*ret_positional_count == positional_max) {
                return error_set(error, STATUS_INVALID,
                                 "%s: not expected here; see nudge %s --help", argument, argv[0]);
            }
            positional[(*ret_positional_count)++] = argument;
            continue;
        }
        const char *equals = strchr(argument, '=');
        size_t length = (equals ? (size_t)(equals - argument) : strlen(argument)) - 2;
        struct command_option *option =
            argument[1] == '-' ? find_option(options, option_count, argument + 2, length) : NULL;
        if (!option) {
            return unknown_option(options, option_count, argument, error);
        }
        enum status status = STATUS_OK;
        if (option->is_flag && equals) {
            status = error_set(error, STATUS_INVALID, "--%s: \"%s\": it takes no value",
                               option->name, equals + 1);
        } else if (option->is_flag) {
            option->value_count = 1;
        } else if (equals) {
            status = add_value(option, equals + 1, error);
        } else {
            status = read_values(argc, argv, &i, option, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status command_number(const char *option, const char *text, uint32_t max, uint32_t *ret_number,
                           struct error *error)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || number < 1 || number > (long)max) {
        return error_set(error, STATUS_INVALID, "--%s: \"%s\": a number from 1 to %u expected",
                         option, text, max);
    }
    *ret_number = (uint32_t)number;
    return STATUS_OK;
}
