/*
 * The document of an XGBoost model file, of JSON or of UBJSON (ubjson.org, draft 12): a tree in an
 * arena. Arrays of numbers are flat; what a field means is for import_xgboost.c. JSON may say NaN
 * and Infinity, as XGBoost writes them.
 */
#ifndef MODELS_IMPORT_XGBOOST_DOCUMENT_H
#define MODELS_IMPORT_XGBOOST_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/status.h"
#include "pipeline/base/text.h"

#define DOCUMENT_DEPTH_MAX 16u
#define DOCUMENT_VALUES_MAX (1u << 22) /* An array of numbers counts as one in JSON. */

enum document_kind {
    DOCUMENT_NULL,
    DOCUMENT_NUMBER, /* Of true and false too: 1 and 0. */
    DOCUMENT_TEXT,
    DOCUMENT_NUMBERS, /* An array of numbers, or an empty array. */
    DOCUMENT_ARRAY,   /* Of other values. */
    DOCUMENT_OBJECT,
};

struct document_value {
    enum document_kind kind;
    struct text name; /* Of a member of an object; escapes as they were written. */
    struct text text;
    double number;
    const double *numbers; /* [count] */
    uint32_t count;
    const struct document_value *first;
    const struct document_value *next;
};

/*
 * `name` stands for the file. The tree lives in the arena and in `bytes`. STATUS_INVALID with the
 * byte and what was expected there. Takes at most 8 bytes a number and 100 a value.
 */
MUST_CHECK enum status document_read_json(const char *name, const char *bytes, size_t length,
                                          struct arena *arena,
                                          const struct document_value **ret_value,
                                          struct error *error);
MUST_CHECK enum status document_read_ubjson(const char *name, const unsigned char *bytes,
                                            size_t length, struct arena *arena,
                                            const struct document_value **ret_value,
                                            struct error *error);

/* The first member of that name, or NULL; `value` may be NULL or no object. */
const struct document_value *document_member(const struct document_value *value, const char *name);

#endif
