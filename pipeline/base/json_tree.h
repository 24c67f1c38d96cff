/*
 * JSON text as a tree, for the few places that read our own records back, such as `nudge explain`
 * and tests. Strict (RFC 8259); not meant for the stream of events.
 */
#ifndef PIPELINE_BASE_JSON_TREE_H
#define PIPELINE_BASE_JSON_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/status.h"
#include "pipeline/base/text.h"

#define JSON_DEPTH_MAX 32

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_kind kind;
    bool flag;        /* JSON_BOOL. */
    struct text name; /* Of a member of an object. */
    struct text text; /* JSON_TEXT: without escapes. JSON_NUMBER: as it was written. */
    double number;    /* JSON_NUMBER: the nearest double. */
    uint32_t count;   /* JSON_ARRAY, JSON_OBJECT: elements. */
    const struct json_value *first;
    const struct json_value *next; /* The element after this one. */
};

/*
 * The tree and its texts live in the arena or in `json`. STATUS_INVALID, with the byte and what was
 * expected there; STATUS_FATAL when memory is exhausted.
 */
MUST_CHECK enum status json_tree_parse(struct text json, struct arena *arena,
                                       const struct json_value **ret_value, struct error *error);

/* The first member of that name; NULL when there is none, or when `value` is NULL or no object. */
const struct json_value *json_member(const struct json_value *value, const char *name);

/* The text of a member; data NULL when there is none, or when it is no text. */
struct text json_member_text(const struct json_value *value, const char *name);

/* The number of a member, or `otherwise` when there is none, or when it is no number. */
double json_member_number(const struct json_value *value, const char *name, double otherwise);

/* True when the value is a whole number that fits. */
bool json_as_long(const struct json_value *value, int64_t *ret_value);

#endif
