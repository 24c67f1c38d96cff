/*
 * Settings are declared in tables beside the code that uses them; parser, defaults, check and
 * reference documentation all run on the tables.
 */
#ifndef PIPELINE_CONFIG_SETTINGS_H
#define PIPELINE_CONFIG_SETTINGS_H

#include <stdio.h>

#include "pipeline/config/yaml.h"

enum setting_type {
    SETTING_BOOL,     /* bool */
    SETTING_INTEGER,  /* int64_t */
    SETTING_NUMBER,   /* double */
    SETTING_DURATION, /* int64_t, milliseconds */
    SETTING_SIZE,     /* int64_t, bytes */
    SETTING_TEXT,     /* char *, owned */
    SETTING_PATH,     /* char *, owned, resolved against the configuration file */
    SETTING_CHOICE,   /* int: index into choices */
    SETTING_LIST,     /* struct text_list, owned: a sequence of texts, or one text */
    SETTING_CUSTOM,   /* const struct yaml_node *: read by its owner; borrowed from the document */
};

struct text_list {
    char **items; /* Owned, each owned. */
    size_t count;
};

struct setting {
    const char *name;
    size_t offset;              /* Of the member in the options struct. */
    const char *fallback;       /* Written as in YAML; NULL: unset (NULL, 0, empty list). */
    double min, max;            /* For numbers, in the unit of the member; both 0: no bounds, but
                                   durations and sizes are never negative then. */
    const char *const *choices; /* SETTING_CHOICE: NULL-terminated. */
    const char *doc;            /* One sentence, unit included. */
    enum setting_type type;
    bool is_required;
    bool is_secret; /* Never printed. Of texts and paths only. */
    bool is_folder; /* Of paths only: names a folder, not a file. */
};

#define SETTINGS_MAX 128u /* Of one section. */

struct setting_section {
    const char *name; /* Key in the configuration file. */
    const char *doc;
    const struct setting *settings;
    size_t setting_count; /* At most SETTINGS_MAX. */
    size_t options_bytes; /* sizeof the options struct */
};

/*
 * Fills `options` (zeroed by the call) from `node`, which may be NULL for all defaults. Unknown
 * keys, wrong types, values out of range and missing required settings are refused with file, line,
 * key, value, what was expected and the nearest right name. On failure nothing is left to release.
 */
MUST_CHECK enum status settings_read(const struct setting_section *section,
                                     const struct yaml_node *node, void *options,
                                     struct error *error);

/* Frees what settings_read allocated, and zeroes `options`. */
void settings_release(const struct setting_section *section, void *options);

/* Prints name, type, default, bounds or choices, and doc of each; as a table in Markdown, or text.
 */
void settings_describe(const struct setting_section *section, bool markdown, FILE *out);

#endif
