/*
 * The fields of one CSV record (RFC 4180): quotes count only where a field starts with one, and a
 * doubled quote inside stands for one. Fields are found in place and copied never.
 */
#ifndef PIPELINE_SOURCE_CSV_RECORD_H
#define PIPELINE_SOURCE_CSV_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/base/text.h"

struct csv_field {
    struct text text;       /* Without its quotes. */
    bool has_doubled_quote; /* csv_unquote() is needed to read it. */
};

struct csv_cursor {
    const char *next; /* NULL: no field is left. */
    const char *end;
    char delimiter;
};

enum csv_result {
    CSV_FIELD,
    CSV_END,
    CSV_NOT_CLOSED,  /* A quoted field without its closing quote. */
    CSV_AFTER_QUOTE, /* Something other than the delimiter behind a closing quote. */
};

static inline struct csv_cursor csv_cursor_of(struct text record, char delimiter)
{
    const char *data = record.length ? record.data : "";
    return (struct csv_cursor){data, data + record.length, delimiter};
}

enum csv_result csv_next_field(struct csv_cursor *cursor, struct csv_field *ret_field);

/* Writes the field with single quotes to `out`, which has room for it; returns the length. */
size_t csv_unquote(struct text field, char *out);

/*
 * True where a quoted field is still open at the end of `line`, a piece of a record that begins
 * inside of a quoted field or where a field starts.
 */
bool csv_is_open_after(const char *line, size_t length, char delimiter, bool is_open_before);

#endif
