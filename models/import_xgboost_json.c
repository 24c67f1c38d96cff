#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "models/import_xgboost_document.h"
#include "pipeline/base/number_text.h"

struct reader {
    const char *name;
    const char *start;
    const char *next;
    const char *end;
    struct arena *arena;
    uint32_t value_count;
    enum status status;
    struct error *error;
};

static bool fail(struct reader *reader, const char *expected)
{
    reader->status = error_set(reader->error, STATUS_INVALID, "%s: JSON: %s expected at byte %zu",
                               reader->name, expected, (size_t)(reader->next - reader->start));
    return false;
}

static void *take(struct reader *reader, size_t bytes)
{
    void *piece = arena_take(reader->arena, bytes);
    if (!piece) {
        reader->status = error_set(reader->error, STATUS_FATAL, "%s: out of memory", reader->name);
    }
    return piece;
}

static void skip_space(struct reader *reader)
{
    while (reader->next < reader->end && (*reader->next == ' ' || *reader->next == '\n' ||
                                          *reader->next == '\t' || *reader->next == '\r')) {
        reader->next++;
    }
}

/* White space before the byte is skipped in any case. */
static bool accept(struct reader *reader, char byte)
{
    skip_space(reader);
    if (reader->next < reader->end && *reader->next == byte) {
        reader->next++;
        return true;
    }
    return false;
}

static bool accept_word(struct reader *reader, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->next) >= length && memcmp(reader->next, word, length) == 0) {
        reader->next += length;
        return true;
    }
    return false;
}

/* The reader stands behind the first quote. Escapes stay as they are: no field that counts has
 * any. */
static bool read_text(struct reader *reader, struct text *ret_text)
{
    const char *first = reader->next;
    while (reader->next < reader->end && *reader->next != '"') {
        reader->next += *reader->next == '\\' && reader->next + 1 < reader->end ? 2 : 1;
    }
    if (reader->next == reader->end) {
        return fail(reader, "the end of a string");
    }
    *ret_text = (struct text){first, (uint32_t)(reader->next - first)};
    reader->next++;
    return true;
}

static bool read_number(struct reader *reader, double *ret_number)
{
    static const struct {
        const char *word;
        double number;
    } words[] = {{"true", 1},   {"false", 0},           {"NaN", NAN},
                 {"-NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (accept_word(reader, words[i].word)) {
            *ret_number = words[i].number;
            return true;
        }
    }
    const char *first = reader->next;
    while (reader->next < reader->end && *reader->next != '\0' &&
           strchr("+-.0123456789eE", *reader->next)) {
        reader->next++;
    }
    double number = number_text_read_double(first, (size_t)(reader->next - first));
    if (reader->next == first || isnan(number)) {
        reader->next = first;
        return fail(reader, "a value");
    }
    *ret_number = number;
    return true;
}

/* How many elements an array of numbers has that starts here: no bracket stands within it. */
static uint32_t count_numbers(const struct reader *reader)
{
    const char *end = memchr(reader->next, ']', (size_t)(reader->end - reader->next));
    uint32_t count = 1;
    for (const char *at = reader->next; end && at < end; at++) {
        count += *at == ',';
    }
    return count;
}

static bool read_numbers(struct reader *reader, struct document_value *value)
{
    uint32_t capacity = count_numbers(reader);
    double *numbers = take(reader, capacity * sizeof(*numbers));
    if (!numbers) {
        return false;
    }
    value->kind = DOCUMENT_NUMBERS;
    value->numbers = numbers;
    do {
        skip_space(reader);
        if (value->count == capacity) {
            return fail(reader, "the end of an array of numbers");
        }
        if (!read_number(reader, &numbers[value->count])) {
            return false;
        }
        value->count++;
    } while (accept(reader, ','));
    return accept(reader, ']') || fail(reader, "a comma or ]");
}

static bool read_value(struct reader *reader, struct document_value *value, uint32_t depth);

static bool read_elements(struct reader *reader, struct document_value *value, char closing,
                          uint32_t depth)
{
    const struct document_value **link = &value->first;
    do {
        struct document_value *element = take(reader, sizeof(*element));
        if (!element) {
            return false;
        }
        *element = (struct document_value){0};
        if (closing == '}' && (!(accept(reader, '"') || fail(reader, "a name in quotes")) ||
                               !read_text(reader, &element->name) ||
                               !(accept(reader, ':') || fail(reader, "a colon")))) {
            return false;
        }
        if (!read_value(reader, element, depth + 1)) {
            return false;
        }
        *link = element;
        link = &element->next;
        value->count++;
    } while (accept(reader, ','));
    return accept(reader, closing) || fail(reader, "a comma or the closing bracket");
}

static bool read_array(struct reader *reader, struct document_value *value, uint32_t depth)
{
    if (accept(reader, ']')) {
        value->kind = DOCUMENT_NUMBERS;
        return true;
    }
    skip_space(reader);
    if (reader->next < reader->end && !strchr("{[\"n", *reader->next)) {
        return read_numbers(reader, value);
    }
    value->kind = DOCUMENT_ARRAY;
    return read_elements(reader, value, ']', depth);
}

static bool read_value(struct reader *reader, struct document_value *value, uint32_t depth)
{
    if (depth > DOCUMENT_DEPTH_MAX) {
        return fail(reader, "less nesting");
    }
    if (++reader->value_count > DOCUMENT_VALUES_MAX) {
        return fail(reader, "fewer values");
    }
    skip_space(reader);
    if (accept(reader, '{')) {
        value->kind = DOCUMENT_OBJECT;
        return accept(reader, '}') || read_elements(reader, value, '}', depth);
    }
    if (accept(reader, '[')) {
        return read_array(reader, value, depth);
    }
    if (accept(reader, '"')) {
        value->kind = DOCUMENT_TEXT;
        return read_text(reader, &value->text);
    }
    if (accept_word(reader, "null")) {
        value->kind = DOCUMENT_NULL;
        return true;
    }
    value->kind = DOCUMENT_NUMBER;
    return read_number(reader, &value->number);
}

enum status document_read_json(const char *name, const char *bytes, size_t length,
                               struct arena *arena, const struct document_value **ret_value,
                               struct error *error)
{
    struct reader reader = {
        .name = name,
        .start = bytes,
        .next = bytes,
        .end = bytes + length,
        .arena = arena,
        .error = error,
    };
    struct document_value *value = take(&reader, sizeof(*value));
    if (!value) {
        return reader.status;
    }
    *value = (struct document_value){0};
    if (!read_value(&reader, value, 0)) {
        return reader.status;
    }
    skip_space(&reader);
    if (reader.next != reader.end) {
        (void)fail(&reader, "nothing more");
        return reader.status;
    }
    *ret_value = value;
    return STATUS_OK;
}

const struct document_value *document_member(const struct document_value *value, const char *name)
{
    if (!value || value->kind != DOCUMENT_OBJECT) {
        return NULL;
    }
    for (const struct document_value *member = value->first; member; member = member->next) {
        if (text_is(member->name, name)) {
            return member;
        }
    }
    return NULL;
}
