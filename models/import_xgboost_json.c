#include <math.h>
#include <string.h>

#include "models/import_xgboost_reader.h"
#include "pipeline/base/number_text.h"

static void skip_space(struct document_reader *reader)
{
    while (reader->next < reader->end && (*reader->next == ' ' || *reader->next == '\n' ||
                                          *reader->next == '\t' || *reader->next == '\r')) {
        reader->next++;
    }
}

/* White space before the byte is skipped in any case. */
static bool accept(struct document_reader *reader, char byte)
{
    skip_space(reader);
    if (reader->next < reader->end && *reader->next == byte) {
        reader->next++;
        return true;
    }
    return false;
}

static bool accept_word(struct document_reader *reader, const char *word)
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
static bool read_text(struct document_reader *reader, struct text *ret_text)
{
    const char *first = reader->next;
    while (reader->next < reader->end && *reader->next != '"') {
        reader->next += *reader->next == '\\' && reader->next + 1 < reader->end ? 2 : 1;
    }
    if (reader->next == reader->end) {
        return document_fail(reader, "the end of a string");
    }
    *ret_text = (struct text){first, (uint32_t)(reader->next - first)};
    reader->next++;
    return true;
}

static bool read_number(struct document_reader *reader, double *ret_number)
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
        return document_fail(reader, "a value");
    }
    *ret_number = number;
    return true;
}

/* How many elements an array of numbers has that starts here: no bracket stands within it. */
static uint32_t count_numbers(const struct document_reader *reader)
{
    const char *end = memchr(reader->next, ']', (size_t)(reader->end - reader->next));
    uint32_t count = 1;
    for (const char *at = reader->next; end && at < end; at++) {
        count += *at == ',';
    }
    return count;
}

static bool read_numbers(struct document_reader *reader, struct document_value *value)
{
    uint32_t capacity = count_numbers(reader);
    double *numbers = document_take(reader, capacity * sizeof(*numbers));
    if (!numbers) {
        return false;
    }
    value->kind = DOCUMENT_NUMBERS;
    value->numbers = numbers;
    do {
        skip_space(reader);
        if (value->count == capacity) {
            return document_fail(reader, "the end of an array of numbers");
        }
        if (!read_number(reader, &numbers[value->count])) {
            return false;
        }
        value->count++;
    } while (accept(reader, ','));
    return accept(reader, ']') || document_fail(reader, "a comma or ]");
}

static bool read_value(struct document_reader *reader, struct document_value *value,
                       uint32_t depth);

static bool read_elements(struct document_reader *reader, struct document_value *value,
                          char closing, uint32_t depth)
{
    const struct document_value **link = &value->first;
    do {
        struct document_value *element = document_make_value(reader);
        if (!element) {
            return false;
        }
        if (closing == '}' &&
            (!(accept(reader, '"') || document_fail(reader, "a name in quotes")) ||
             !read_text(reader, &element->name) ||
             !(accept(reader, ':') || document_fail(reader, "a colon")))) {
            return false;
        }
        if (!read_value(reader, element, depth + 1)) {
            return false;
        }
        *link = element;
        link = &element->next;
        value->count++;
    } while (accept(reader, ','));
    return accept(reader, closing) || document_fail(reader, "a comma or the closing bracket");
}

static bool read_array(struct document_reader *reader, struct document_value *value, uint32_t depth)
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

static bool read_value(struct document_reader *reader, struct document_value *value, uint32_t depth)
{
    if (!document_count_value(reader, depth)) {
        return false;
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

static bool read_root(struct document_reader *reader, struct document_value *value)
{
    if (!read_value(reader, value, 0)) {
        return false;
    }
    skip_space(reader);
    return true;
}

enum status document_read_json(const char *name, const char *bytes, size_t length,
                               struct arena *arena, const struct document_value **ret_value,
                               struct error *error)
{
    struct document_reader reader = {
        .name = name,
        .format = "JSON",
        .start = bytes,
        .next = bytes,
        .end = bytes + length,
        .arena = arena,
        .error = error,
    };
    return document_read(&reader, read_root, ret_value);
}
