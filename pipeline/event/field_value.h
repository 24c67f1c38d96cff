/* A value of a source field, as a decoder hands it to the mapping. C and C++. */
#ifndef PIPELINE_EVENT_FIELD_VALUE_H
#define PIPELINE_EVENT_FIELD_VALUE_H

#include <stdint.h>

#include "pipeline/base/text.h"

enum value_kind {
    VALUE_MISSING, /* Not there, null, or (CSV) empty. */
    VALUE_TEXT,    /* `text`, unescaped; not yet known to be valid UTF-8. */
    VALUE_INTEGER,
    VALUE_NUMBER,
    VALUE_BOOL, /* `integer` is 0 or 1. */
};

struct field_value {
    enum value_kind kind;
    struct text text; /* Also set for numbers and booleans where the source wrote them as text. */
    int64_t integer;
    double number;
};

#endif
