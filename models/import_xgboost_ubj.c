#include <string.h>

#include "models/import_xgboost_reader.h"

static bool is_next(const struct document_reader *reader, char marker)
{
    return reader->next < reader->end && *reader->next == marker;
}

static bool accept(struct document_reader *reader, char marker)
{
    if (is_next(reader, marker)) {
        reader->next++;
        return true;
    }
    return false;
}

static bool read_marker(struct document_reader *reader, char *ret_marker)
{
    while (accept(reader, 'N')) {
        /* A no-op. */
    }
    if (reader->next == reader->end) {
        return document_fail(reader, "a marker");
    }
    *ret_marker = *reader->next++;
    return true;
}

static uint32_t number_bytes(char marker)
{
    switch (marker) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static double real_of(uint64_t word, char marker)
{
    if (marker == 'd') {
        uint32_t half = (uint32_t)word;
        float value;
        memcpy(&value, &half, sizeof(value));
        return (double)value;
    }
    double value;
    memcpy(&value, &word, sizeof(value));
    return value;
}

/* The number of `width` bytes that starts at `bytes`, the highest byte first. */
static double decode_number(const char *bytes, char marker, uint32_t width)
{
    uint64_t word = 0;
    for (uint32_t i = 0; i < width; i++) {
        word = word << 8 | (unsigned char)bytes[i];
    }
    switch (marker) {
    case 'U':
        return (double)word;
    case 'i':
        return (double)(int8_t)word;
    case 'I':
        return (double)(int16_t)word;
    case 'l':
        return (double)(int32_t)word;
    case 'L':
        return (double)(int64_t)word;
    default:
        return real_of(word, marker);
    }
}

static bool read_number(struct document_reader *reader, char marker, double *ret_number)
{
    uint32_t width = number_bytes(marker);
    if (width == 0) {
        return document_fail(reader, "a number");
    }
    if ((size_t)(reader->end - reader->next) < width) {
        return document_fail(reader, "more bytes of a number");
    }
    *ret_number = decode_number(reader->next, marker, width);
    reader->next += width;
    return true;
}

/* A length or a count: a whole number with its marker. */
static bool read_length(struct document_reader *reader, uint64_t *ret_length)
{
    char marker;
    double number;
    if (!read_marker(reader, &marker)) {
        return false;
    }
    if (marker == 'd' || marker == 'D') {
        return document_fail(reader, "a length");
    }
    if (!read_number(reader, marker, &number)) {
        return false;
    }
    if (!(number >= 0 && number <= (double)(reader->end - reader->start))) {
        return document_fail(reader, "a length that the file can hold");
    }
    *ret_length = (uint64_t)number;
    return true;
}

static bool read_text(struct document_reader *reader, struct text *ret_text)
{
    uint64_t length;
    if (!read_length(reader, &length)) {
        return false;
    }
    if ((uint64_t)(reader->end - reader->next) < length) {
        return document_fail(reader, "more bytes of a text");
    }
    *ret_text = (struct text){reader->next, (uint32_t)length};
    reader->next += length;
    return true;
}

static bool read_typed_numbers(struct document_reader *reader, struct document_value *value,
                               char marker, uint64_t count)
{
    uint32_t width = number_bytes(marker);
    if (width == 0) {
        return document_fail(reader, "an array of numbers");
    }
    if (count > (uint64_t)(reader->end - reader->next) / width) {
        return document_fail(reader, "as many numbers as the array announces");
    }
    double *numbers = document_take(reader, (size_t)count * sizeof(*numbers) + 1);
    if (!numbers) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = decode_number(reader->next, marker, width);
        reader->next += width;
    }
    value->kind = DOCUMENT_NUMBERS;
    value->numbers = numbers;
    value->count = (uint32_t)count;
    return true;
}

/* An array whose elements each have a marker, all of them numbers so far, becomes a flat one. */
static bool flatten(struct document_reader *reader, struct document_value *value)
{
    for (const struct document_value *element = value->first; element; element = element->next) {
        if (element->kind != DOCUMENT_NUMBER) {
            return true;
        }
    }
    double *numbers = document_take(reader, value->count * sizeof(*numbers) + 1);
    if (!numbers) {
        return false;
    }
    uint32_t i = 0;
    for (const struct document_value *element = value->first; element; element = element->next) {
        numbers[i++] = element->number;
    }
    value->kind = DOCUMENT_NUMBERS;
    value->numbers = numbers;
    value->first = NULL;
    return true;
}

static bool read_value(struct document_reader *reader, char marker, struct document_value *value,
                       uint32_t depth);

/* Elements up to the closing bracket, or `count` of them where that was announced. */
static bool read_elements(struct document_reader *reader, struct document_value *value,
                          char closing, const uint64_t *count, uint32_t depth)
{
    const struct document_value **link = &value->first;
    while (count ? value->count < *count : !accept(reader, closing)) {
        char marker;
        struct document_value *element = document_make_value(reader);
        if (!element) {
            return false;
        }
        if ((closing == '}' && !read_text(reader, &element->name)) ||
            !read_marker(reader, &marker) || !read_value(reader, marker, element, depth + 1)) {
            return false;
        }
        *link = element;
        link = &element->next;
        value->count++;
    }
    return true;
}

/* The reader stands behind [ or {. */
static bool read_container(struct document_reader *reader, struct document_value *value,
                           char closing, uint32_t depth)
{
    bool is_array = closing == ']';
    char type = 0;
    uint64_t count = 0;
    value->kind = is_array ? DOCUMENT_ARRAY : DOCUMENT_OBJECT;
    if (accept(reader, '$')) {
        if (!is_array) {
            return document_fail(reader, "an object without a type");
        }
        if (!read_marker(reader, &type)) {
            return false;
        }
        if (!is_next(reader, '#')) {
            return document_fail(reader, "a count");
        }
    }
    bool has_count = accept(reader, '#');
    if (has_count && !read_length(reader, &count)) {
        return false;
    }
    if (type) {
        return read_typed_numbers(reader, value, type, count);
    }
    return read_elements(reader, value, closing, has_count ? &count : NULL, depth) &&
           (!is_array || flatten(reader, value));
}

static bool read_value(struct document_reader *reader, char marker, struct document_value *value,
                       uint32_t depth)
{
    if (!document_count_value(reader, depth)) {
        return false;
    }
    switch (marker) {
    case '{':
        return read_container(reader, value, '}', depth);
    case '[':
        return read_container(reader, value, ']', depth);
    case 'S':
        value->kind = DOCUMENT_TEXT;
        return read_text(reader, &value->text);
    case 'Z':
        value->kind = DOCUMENT_NULL;
        return true;
    case 'T':
    case 'F':
        value->kind = DOCUMENT_NUMBER;
        value->number = marker == 'T' ? 1 : 0;
        return true;
    default:
        value->kind = DOCUMENT_NUMBER;
        return read_number(reader, marker, &value->number);
    }
}

static bool read_root(struct document_reader *reader, struct document_value *value)
{
    char marker;
    return read_marker(reader, &marker) && read_value(reader, marker, value, 0);
}

enum status document_read_ubjson(const char *name, const unsigned char *bytes, size_t length,
                                 struct arena *arena, const struct document_value **ret_value,
                                 struct error *error)
{
    const char *start = (const char *)bytes;
    struct document_reader reader = {
        .name = name,
        .format = "UBJSON",
        .start = start,
        .next = start,
        .end = start + length,
        .arena = arena,
        .error = error,
    };
    return document_read(&reader, read_root, ret_value);
}
