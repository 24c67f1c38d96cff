#include "pipeline/source/csv_record.h"

/* Behind the closing quote of a field whose text starts at `from`, or NULL. */
static const char *skip_quoted(const char *from, const char *end, bool *ret_has_doubled)
{
    *ret_has_doubled = false;
    for (;;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (!quote) {
            return NULL;
        }
        if (quote + 1 == end || quote[1] != '"') {
            return quote + 1;
        }
        *ret_has_doubled = true;
        from = quote + 2;
    }
}

enum csv_result csv_next_field(struct csv_cursor *cursor, struct csv_field *ret_field)
{
    const char *start = cursor->next;
    const char *end = cursor->end;
    if (!start) {
        return CSV_END;
    }
    ret_field->has_doubled_quote = false;
    if (start < end && *start == '"') {
        const char *behind = skip_quoted(start + 1, end, &ret_field->has_doubled_quote);
        if (!behind) {
            return CSV_NOT_CLOSED;
        }
        if (behind < end && *behind != cursor->delimiter) {
            return CSV_AFTER_QUOTE;
        }
        ret_field->text = (struct text){start + 1, (uint32_t)(behind - start - 2)};
        cursor->next = behind < end ? behind + 1 : NULL;
        return CSV_FIELD;
    }
    /* Fields are short: a plain loop beats the call of memchr(). */
    const char *stop = start;
    while (stop < end && *stop != cursor->delimiter) {
        stop++;
    }
    ret_field->text = (struct text){start, (uint32_t)(stop - start)};
    cursor->next = stop < end ? stop + 1 : NULL;
    return CSV_FIELD;
}

size_t csv_unquote(struct text field, char *out)
{
    size_t length = 0;
    for (uint32_t i = 0; i < field.length; i++) {
        out[length++] = field.data[i];
        if (field.data[i] == '"') {
            i++; /* Its double. */
        }
    }
    return length;
}

bool csv_is_open_after(const char *line, size_t length, char delimiter, bool is_open_before)
{
    const char *end = line + length;
    const char *at = line;
    bool is_open = is_open_before;
    bool has_doubled;
    for (;;) {
        if (is_open) {
            at = skip_quoted(at, end, &has_doubled);
            if (!at) {
                return true;
            }
        }
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (!quote) {
            return false;
        }
        is_open = quote == line || quote[-1] == delimiter; /* Only there does a field start. */
        at = quote + 1;
    }
}
