#include "pipeline/base/json_tree.h"

#include <string.h>

#include "pipeline/base/number_text.h"
#include "pipeline/base/utf8.h"

struct parser {
    struct arena *arena;
    const char *start;
    const char *next;
    const char *end;
    enum status status; /* Of the first failure. */
    struct error *error;
};

static bool fail(struct parser *parser, const char *expected)
{
    parser->status = error_set(parser->error, STATUS_INVALID, "JSON: expected %s at byte %zu",
                               expected, (size_t)(parser->next - parser->start));
    return false;
}

static void *take(struct parser *parser, size_t bytes)
{
    void *piece = arena_take(parser->arena, bytes);
    if (!piece) {
        parser->status = error_set(parser->error, STATUS_FATAL, "JSON: out of memory");
    }
    return piece;
}

static void skip_space(struct parser *parser)
{
    while (parser->next < parser->end && *parser->next != '\0' &&
           strchr(" \t\n\r", *parser->next)) {
        parser->next++;
    }
}

/* Steps over `byte`, white space before it included. */
static bool accept(struct parser *parser, char byte)
{
    skip_space(parser);
    if (parser->next < parser->end && *parser->next == byte) {
        parser->next++;
        return true;
    }
    return false;
}

static bool accept_word(struct parser *parser, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(parser->end - parser->next) >= length && memcmp(parser->next, word, length) == 0) {
        parser->next += length;
        return true;
    }
    return false;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hexadecimal digits; the parser stands behind \u. */
static bool parse_unit(struct parser *parser, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = parser->next < parser->end ? hex_digit(*parser->next) : -1;
        if (digit < 0) {
            return fail(parser, "four hexadecimal digits");
        }
        unit = unit * 16 + (uint32_t)digit;
        parser->next++;
    }
    *ret_unit = unit;
    return true;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

/* A character written as \uXXXX, or as two of them (RFC 8259, section 7). */
static bool parse_code(struct parser *parser, char **to)
{
    uint32_t code;
    if (!parse_unit(parser, &code)) {
        return false;
    }
    if (code >= 0xD800 && code <= 0xDFFF) {
        uint32_t low;
        if (code > 0xDBFF || !accept_word(parser, "\\u")) {
            return fail(parser, "both halves of a surrogate pair");
        }
        if (!parse_unit(parser, &low)) {
            return false;
        }
        if (low < 0xDC00 || low > 0xDFFF) {
            return fail(parser, "both halves of a surrogate pair");
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    *to = put_utf8(*to, code);
    return true;
}

static bool parse_escape(struct parser *parser, char **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (parser->next == parser->end) {
        return fail(parser, "an escape");
    }
    char name = *parser->next++;
    if (name == 'u') {
        return parse_code(parser, to);
    }
    const char *found = name ? strchr(names, name) : NULL;
    if (!found) {
        parser->next--;
        return fail(parser, "an escape");
    }
    *(*to)++ = meanings[found - names];
    return true;
}

/* Copies one piece of a string: an escape or a sequence of bytes. Text never gets longer by it. */
static bool parse_piece(struct parser *parser, char **to)
{
    if (*parser->next == '\\') {
        parser->next++;
        return parse_escape(parser, to);
    }
    bool is_valid;
    uint32_t length = utf8_sequence(parser->next, (size_t)(parser->end - parser->next), &is_valid);
    if (!is_valid || (unsigned char)*parser->next < 0x20) {
        return fail(parser, "UTF-8 without control characters");
    }
    memcpy(*to, parser->next, length);
    *to += length;
    parser->next += length;
    return true;
}

/* How many bytes at most the string takes that starts here. */
static size_t string_bytes_max(const struct parser *parser)
{
    const char *next = parser->next;
    while (next < parser->end && *next != '"') {
        next += *next == '\\' && next + 1 < parser->end ? 2 : 1;
    }
    return (size_t)(next - parser->next);
}

/* The parser stands behind the first quote. */
static bool parse_string(struct parser *parser, struct text *ret_text)
{
    char *bytes = take(parser, string_bytes_max(parser) + 1);
    char *to = bytes;
    if (!bytes) {
        return false;
    }
    while (parser->next < parser->end && *parser->next != '"') {
        if (!parse_piece(parser, &to)) {
            return false;
        }
    }
    if (parser->next == parser->end) {
        return fail(parser, "the end of a string");
    }
    parser->next++;
    *to = '\0';
    *ret_text = (struct text){bytes, (uint32_t)(to - bytes)};
    return true;
}

static bool accept_digits(struct parser *parser)
{
    const char *first = parser->next;
    while (parser->next < parser->end && *parser->next >= '0' && *parser->next <= '9') {
        parser->next++;
    }
    return parser->next > first;
}

static bool parse_number(struct parser *parser, struct json_value *value)
{
    const char *first = parser->next;
    (void)accept_word(parser, "-");
    if (!accept_word(parser, "0") && !accept_digits(parser)) {
        return fail(parser, "a value");
    }
    if (accept_word(parser, ".") && !accept_digits(parser)) {
        return fail(parser, "digits after the point");
    }
    if (accept_word(parser, "e") || accept_word(parser, "E")) {
        if (!accept_word(parser, "+")) {
            (void)accept_word(parser, "-");
        }
        if (!accept_digits(parser)) {
            return fail(parser, "digits of the exponent");
        }
    }
    value->kind = JSON_NUMBER;
    value->text = (struct text){first, (uint32_t)(parser->next - first)};
    value->number = number_text_read_double(first, value->text.length);
    return true;
}

static bool parse_value(struct parser *parser, struct json_value *value, uint32_t depth);

/* The elements of an array or the members of an object; the parser stands behind the bracket. */
static bool parse_elements(struct parser *parser, struct json_value *value, uint32_t depth)
{
    char closing = value->kind == JSON_ARRAY ? ']' : '}';
    if (depth == JSON_DEPTH_MAX) {
        return fail(parser, "less nesting");
    }
    if (accept(parser, closing)) {
        return true;
    }
    const struct json_value **link = &value->first;
    do {
        struct json_value *element = take(parser, sizeof(*element));
        if (!element) {
            return false;
        }
        *element = (struct json_value){0};
        if (value->kind == JSON_OBJECT) {
            if (!accept(parser, '"')) {
                return fail(parser, "a name in quotes");
            }
            if (!parse_string(parser, &element->name)) {
                return false;
            }
            if (!accept(parser, ':')) {
                return fail(parser, "a colon");
            }
        }
        if (!parse_value(parser, element, depth + 1)) {
            return false;
        }
        *link = element;
        link = &element->next;
        value->count++;
    } while (accept(parser, ','));
    return accept(parser, closing) || fail(parser, "a comma or the closing bracket");
}

static bool parse_value(struct parser *parser, struct json_value *value, uint32_t depth)
{
    skip_space(parser);
    if (accept(parser, '{')) {
        value->kind = JSON_OBJECT;
        return parse_elements(parser, value, depth);
    }
    if (accept(parser, '[')) {
        value->kind = JSON_ARRAY;
        return parse_elements(parser, value, depth);
    }
    if (accept(parser, '"')) {
        value->kind = JSON_TEXT;
        return parse_string(parser, &value->text);
    }
    if (accept_word(parser, "null")) {
        value->kind = JSON_NULL;
        return true;
    }
    value->kind = JSON_BOOL;
    value->flag = accept_word(parser, "true");
    if (value->flag || accept_word(parser, "false")) {
        return true;
    }
    return parse_number(parser, value);
}

enum status json_tree_parse(struct text json, struct arena *arena,
                            const struct json_value **ret_value, struct error *error)
{
    struct parser parser = {
        .arena = arena,
        .start = json.data,
        .next = json.data,
        .end = json.length > 0 ? json.data + json.length : json.data,
        .error = error,
    };
    struct json_value *value = take(&parser, sizeof(*value));
    if (!value) {
        return parser.status;
    }
    *value = (struct json_value){0};
    if (!parse_value(&parser, value, 0)) {
        return parser.status;
    }
    skip_space(&parser);
    if (parser.next != parser.end) {
        (void)fail(&parser, "nothing more");
        return parser.status;
    }
    *ret_value = value;
    return STATUS_OK;
}

const struct json_value *json_member(const struct json_value *value, const char *name)
{
    if (!value || value->kind != JSON_OBJECT) {
        return NULL;
    }
    for (const struct json_value *member = value->first; member; member = member->next) {
        if (text_is(member->name, name)) {
            return member;
        }
    }
    return NULL;
}

struct text json_member_text(const struct json_value *value, const char *name)
{
    const struct json_value *member = json_member(value, name);
    return member && member->kind == JSON_TEXT ? member->text : (struct text){0};
}

double json_member_number(const struct json_value *value, const char *name, double otherwise)
{
    const struct json_value *member = json_member(value, name);
    return member && member->kind == JSON_NUMBER ? member->number : otherwise;
}

bool json_as_long(const struct json_value *value, int64_t *ret_value)
{
    return value && value->kind == JSON_NUMBER &&
           number_text_read_long(value->text.data, value->text.length, ret_value);
}
