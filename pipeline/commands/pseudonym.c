/* Whom an output is about: pseudonyms cannot be turned back, but who knows the identities can ask.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/hash.h"
#include "pipeline/base/unicode_text.h"
#include "pipeline/commands/command.h"
#include "pipeline/config/yaml.h"
#include "pipeline/event/event_fields.h"
#include "pipeline/limits.h"
#include "pipeline/run/config.h"
#include "pipeline/run/intake_records.h"

#define IDENTITIES_MAX 1024u /* On the command line; standard input takes any number. */
#define ARENA_BLOCK_BYTES (256u << 10)

static const char help[] =
    "nudge pseudonym CONFIG [IDENTITY...] [--by user_id|device_id|ip]\n"
    "\n"
    "Prints each identity and, behind a tab, the pseudonym that CONFIG's secret makes of it, as "
    "it\n"
    "stands in the field `user` of alerts, promotions, sessions and decisions. Without identities\n"
    "they come from standard input, one a line: a file of all customers makes the table that\n"
    "promotions are joined with to reach them.\n"
    "\n"
    "  --by FIELD   what the shopper was known by: user_id (default), or device_id or ip for "
    "those\n"
    "               whose events have no user id\n";

static const enum event_field user_fields[] = {FIELD_USER_ID, FIELD_DEVICE_ID, FIELD_IP};

#define USER_FIELD_COUNT (sizeof(user_fields) / sizeof(user_fields[0]))

static enum status find_field(const char *name, enum event_field *ret_field, struct error *error)
{
    const char *names[USER_FIELD_COUNT];
    for (size_t i = 0; i < USER_FIELD_COUNT; i++) {
        names[i] = event_fields[user_fields[i]].name;
        if (strcmp(names[i], name) == 0) {
            *ret_field = user_fields[i];
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(name, names, USER_FIELD_COUNT);
    return error_set(error, STATUS_INVALID, "--by: \"%s\": user_id, device_id or ip expected%s%s%s",
                     name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Identities are cleaned as those of events are, else the same one would get two pseudonyms. */
static enum status print_one(const struct config *config, enum event_field field, struct text given,
                             struct arena *arena, struct error *error)
{
    struct text clean;
    arena_reset(arena);
    enum unicode_form form = event_field_is_compared(field) ? UNICODE_NFC : UNICODE_AS_WRITTEN;
    switch (text_clean(given, form, arena, &clean)) {
    case UNICODE_INVALID:
        return error_set(error, STATUS_INVALID, "pseudonym: \"%.*s\": valid UTF-8 expected",
                         (int)(given.length < 64 ? given.length : 64), given.data);
    case UNICODE_NO_MEMORY:
        return error_set(error, STATUS_FATAL, "pseudonym: out of memory");
    case UNICODE_OK:
        break;
    }
    if (clean.length == 0) {
        return STATUS_OK; /* An event without one has no identity of this kind. */
    }
    char hex[33];
    key128_format(intake_pseudonym(&config->key, field, clean), hex);
    (void)printf("%.*s\t%s\n", (int)clean.length, clean.data, hex);
    return STATUS_OK;
}

static enum status print_lines(const struct config *config, enum event_field field,
                               struct arena *arena, struct error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (length = getline(&line, &capacity, stdin)) >= 0) {
        status =
            length > EVENT_TEXT_BYTES_MAX
                ? error_set(error, STATUS_INVALID,
                            "pseudonym: standard input: a line of %zd bytes; at most %u expected",
                            length, EVENT_TEXT_BYTES_MAX)
                : print_one(config, field, (struct text){line, (uint32_t)length}, arena, error);
    }
    if (status == STATUS_OK && ferror(stdin)) {
        status = error_set(error, STATUS_FATAL, "pseudonym: standard input: %s", strerror(errno));
    }
    free(line);
    return status;
}

static enum status print_all(const struct config *config, enum event_field field,
                             const char *const *identities, size_t count, struct error *error)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    enum status status = STATUS_OK;
    if (count == 0) {
        status = print_lines(config, field, &arena, error);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = print_one(config, field, text_of(identities[i]), &arena, error);
    }
    arena_release(&arena);
    return status;
}

static enum status run(int argc, char **argv, struct error *error)
{
    const char *by = event_fields[FIELD_USER_ID].name;
    struct command_option options[] = {{.name = "by", .values = &by, .value_max = 1}};
    const char *words[1 + IDENTITIES_MAX];
    size_t count;
    enum status status =
        command_parse(argc, argv, options, 1, words, 1 + IDENTITIES_MAX, &count, error);
    enum event_field field;
    if (status == STATUS_OK) {
        status = find_field(by, &field, error);
    }
    if (status == STATUS_OK && count == 0) {
        status = error_set(error, STATUS_INVALID, "pseudonym: a configuration file expected");
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct config config;
    status = config_load(words[0], 0, &config, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!config.has_own_key) {
        (void)fputs("nudge: made with the built-in key, as long as privacy.key_file is not set\n",
                    stderr);
    }
    status = print_all(&config, field, words + 1, count - 1, error);
    config_release(&config);
    return status;
}

const struct command command_pseudonym = {
    .name = "pseudonym",
    .summary = "print what an identity is called in the outputs",
    .help = help,
    .run = run,
};
