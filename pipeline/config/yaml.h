/*
 * A YAML file as a tree that knows where each node stands, so that every complaint can name file,
 * line and key. Parsed by libyaml. JSON is read as well, being a subset.
 */
#ifndef PIPELINE_CONFIG_YAML_H
#define PIPELINE_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/base/status.h"

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    const char *key;            /* In a mapping: this node's key; else NULL. */
    const char *scalar;         /* YAML_SCALAR: terminated text, "" where nothing was written. */
    bool is_quoted;             /* A quoted scalar is never a number, a boolean or null. */
    struct yaml_node *children; /* Of a sequence or mapping, in file order. */
    size_t child_count;
    const char *file; /* For messages. */
    uint32_t line;    /* From 1; in a mapping, the line of the key. */
};

struct yaml_document;

/*
 * Refuses, with file and line: unreadable files, files over 16 MiB or with over 1,048,576 keys and
 * values, nesting over 64, duplicate keys, anchors, aliases and tags, several documents, NUL bytes.
 * An empty file is an empty mapping.
 */
MUST_CHECK enum status yaml_load(const char *path, struct yaml_document **ret_document,
                                 struct error *error);
/* The same from memory; `name` stands for the file in messages. */
MUST_CHECK enum status yaml_parse(const char *name, const char *bytes, size_t length,
                                  struct yaml_document **ret_document, struct error *error);
void yaml_unload(struct yaml_document *document); /* NULL is a no-op. */

/* Nodes live as long as the document. */
const struct yaml_node *yaml_root(const struct yaml_document *document);

/* The child of that key, or NULL. `node` may be NULL. */
const struct yaml_node *yaml_find(const struct yaml_node *node, const char *key);

bool yaml_is_null(const struct yaml_node *node); /* NULL, empty, ~ or null. */

/*
 * Readers of scalars. The message reads `FILE:LINE: KEY: "VALUE": expected ...`. Durations are a
 * number with ms, s, m, h or d; sizes with B, KiB, MiB or GiB (KB, MB, GB mean the same); zero
 * needs no unit, fractions such as 1.5h are exact.
 */
MUST_CHECK enum status yaml_bool(const struct yaml_node *node, bool *ret, struct error *error);
MUST_CHECK enum status yaml_integer(const struct yaml_node *node, int64_t *ret,
                                    struct error *error);
MUST_CHECK enum status yaml_number(const struct yaml_node *node, double *ret, struct error *error);
MUST_CHECK enum status yaml_float(const struct yaml_node *node, float *ret, struct error *error);
MUST_CHECK enum status yaml_duration_ms(const struct yaml_node *node, int64_t *ret,
                                        struct error *error);
MUST_CHECK enum status yaml_size_bytes(const struct yaml_node *node, int64_t *ret,
                                       struct error *error);

/* The float that `map` has under `key`; `fallback` where it has none. */
MUST_CHECK enum status yaml_float_of(const struct yaml_node *map, const char *key, float fallback,
                                     float *ret, struct error *error);

/* Sets "FILE:LINE: KEY: " and the formatted rest. `node` may be NULL: then the rest alone. */
void yaml_complain_format(const struct yaml_node *node, struct error *error, const char *format,
                          ...) __attribute__((format(printf, 3, 4)));

/* The same; its value is STATUS_INVALID. */
#define yaml_complain(node, error, ...)                                                            \
    (yaml_complain_format((node), (error), __VA_ARGS__), (enum status)STATUS_INVALID)

/*
 * Writes a line `KEY: "TEXT"` that is read back as the text less its control characters; nothing
 * where the text is NULL.
 */
void yaml_print_text(FILE *out, const char *key, const char *text);

/*
 * Complains of the first key of `mapping` that is not in `names` (NULL-terminated), naming the
 * nearest one that is.
 */
MUST_CHECK enum status yaml_known_keys(const struct yaml_node *mapping, const char *const *names,
                                       struct error *error);

/* The nearest of `names` to `name` by edit distance, or NULL where none is near. */
const char *nearest_name(const char *name, const char *const *names, size_t count);

/*
 * Resolves a path written in a configuration file: relative ones are relative to the file that
 * `node` stands in. Returns a string to free(), or NULL when out of memory.
 */
char *yaml_resolve_path(const struct yaml_node *node, const char *path);

#endif
