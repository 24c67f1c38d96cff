#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "operators/rule_set.h"

#define PARTS_MAX 64u

static char *copy_bytes(const char *bytes, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy) {
        memcpy(copy, bytes, length);
        copy[length] = '\0';
    }
    return copy;
}

void rule_template_release(struct rule_template *template)
{
    for (uint32_t i = 0; i < template->count; i++) {
        free(template->parts[i].text);
    }
    free(template->parts);
    *template = (struct rule_template){0};
}

/* Identity and content stay inside unless the configuration lists the field. */
static enum status check_privacy(uint64_t fields_used, uint64_t fields_shown, struct error *error)
{
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        bool is_private = event_fields[field].privacy == PRIVACY_IDENTITY ||
                          event_fields[field].privacy == PRIVACY_CONTENT;
        if (is_private && (fields_used & ~fields_shown) >> field & 1) {
            return error_set(error, STATUS_INVALID,
                             "%s is of class %s: it is shown only where `fields` of "
                             "emit_interventions lists it",
                             event_fields[field].name,
                             event_fields[field].privacy == PRIVACY_IDENTITY ? "identity"
                                                                             : "content");
        }
    }
    return STATUS_OK;
}

/* The end of an expression in braces: the first "}" outside of quotes, or NULL. */
static const char *closing_brace(const char *at)
{
    int quote = 0;
    for (; *at; at++) {
        if (quote == 0 && *at == '}') {
            return at;
        }
        if (*at == '"' || *at == '\'') {
            quote = quote == 0 ? *at : (quote == *at ? 0 : quote);
        }
    }
    return NULL;
}

/* Takes ":.N" off the end of an expression. */
static void split_decimals(const char *start, const char **end, int *ret_decimals)
{
    *ret_decimals = -1;
    if (*end - start > 3 && (*end)[-3] == ':' && (*end)[-2] == '.' && (*end)[-1] >= '0' &&
        (*end)[-1] <= '6') {
        *ret_decimals = (*end)[-1] - '0';
        *end -= 3;
    }
}

static enum status compile_part(struct expression_program *program, const char *source,
                                const char **at, uint64_t fields_shown,
                                struct rule_template_part *part, struct error *error)
{
    const char *start = *at + 1;
    const char *end = closing_brace(start);
    if (!end) {
        return error_set(error, STATUS_INVALID, "column %d: the brace that opens here has no end",
                         (int)(*at - source) + 1);
    }
    *at = end + 1;
    split_decimals(start, &end, &part->decimals);
    struct expression expression;
    struct text inner = {start, (uint32_t)(end - start)};
    enum status status = expression_compile(program, inner, 7, &expression, error);
    if (status != STATUS_OK) {
        return error_prefix(error, status, "\"{%.*s}\"",
                            (int)(inner.length < 80 ? inner.length : 80), inner.data);
    }
    part->node = expression.node;
    return check_privacy(expression.fields_used, fields_shown, error);
}

enum status rule_template_compile(struct expression_program *program, const char *source,
                                  uint64_t fields_shown, struct rule_template *ret_template,
                                  struct error *error)
{
    struct rule_template made = {.parts = calloc(PARTS_MAX, sizeof(*made.parts))};
    enum status status = STATUS_OK;
    if (!made.parts) {
        return error_set(error, STATUS_FATAL, "rules: out of memory");
    }
    for (const char *at = source; status == STATUS_OK && *at;) {
        if (made.count == PARTS_MAX) {
            status = error_set(error, STATUS_INVALID, "more than %u pieces", PARTS_MAX);
            break;
        }
        struct rule_template_part *part = &made.parts[made.count++];
        if (*at == '{') {
            status = compile_part(program, source, &at, fields_shown, part, error);
            continue;
        }
        size_t length = strcspn(at, "{");
        part->text = copy_bytes(at, length);
        if (!part->text) {
            status = error_set(error, STATUS_FATAL, "rules: out of memory");
        }
        at += length;
    }
    if (status == STATUS_OK) {
        *ret_template = made;
    } else {
        rule_template_release(&made);
    }
    return status;
}

/* At most two decimals where none are asked for, and no zeros at the end. */
static int format_number(char *buffer, size_t bytes, float number, int decimals)
{
    if (isnan(number)) {
        return snprintf(buffer, bytes, "?");
    }
    if (decimals >= 0) {
        return snprintf(buffer, bytes, "%.*f", decimals, (double)number);
    }
    int length = snprintf(buffer, bytes, "%.2f", (double)number);
    while (buffer[length - 1] == '0') {
        buffer[--length] = '\0';
    }
    if (buffer[length - 1] == '.') {
        buffer[--length] = '\0';
    }
    return length;
}

static struct text render_value(const struct expression_value *value, int decimals, char *buffer,
                                size_t bytes)
{
    switch (value->type) {
    case EXPRESSION_NUMBER:
        return (struct text){buffer,
                             (uint32_t)format_number(buffer, bytes, value->number, decimals)};
    case EXPRESSION_TEXT:
        return value->text.data ? value->text : text_of("?");
    case EXPRESSION_BOOLEAN:
        return text_of(value->boolean ? "yes" : "no");
    }
    return text_of("");
}

/* Bytes that fit, without cutting a character of UTF-8 in two. */
static uint32_t fitting(struct text text, uint32_t room)
{
    uint32_t length = text.length < room ? text.length : room;
    while (length < text.length && length > 0 &&
           ((unsigned char)text.data[length] & 0xC0) == 0x80) {
        length--;
    }
    return length;
}

struct text rule_template_render(const struct rule_template *template,
                                 const struct expression_program *program,
                                 const struct event_batch *batch, uint32_t row,
                                 struct arena *scratch)
{
    char *bytes = arena_take(scratch, RULE_REASON_MAX);
    if (!bytes) {
        return (struct text){"", 0};
    }
    uint32_t length = 0;
    for (uint32_t i = 0; i < template->count; i++) {
        const struct rule_template_part *part = &template->parts[i];
        char buffer[64];
        struct expression_value value;
        struct text text;
        if (part->text) {
            text = text_of(part->text);
        } else {
            value = expression_evaluate(program, part->node, batch, row, scratch);
            text = render_value(&value, part->decimals, buffer, sizeof(buffer));
        }
        uint32_t taken = fitting(text, RULE_REASON_MAX - length);
        if (taken > 0) {
            memcpy(bytes + length, text.data, taken);
        }
        length += taken;
    }
    return (struct text){bytes, length};
}
