/* Evaluates the values and conditions of a mapping for one record. */
#include "pipeline/event/mapping_plan.h"

#include <math.h>
#include <stdio.h>

#include <xxhash.h>

#include "pipeline/base/number_text.h"

static const struct field_value missing = {.kind = VALUE_MISSING};

/* Bytes of the arena; notes in the context where there are none. */
static char *take(struct mapping_context *context, size_t bytes)
{
    char *taken = arena_take(context->arena, bytes);
    context->is_out_of_memory = context->is_out_of_memory || !taken;
    return taken;
}

static struct text format_number(struct mapping_context *context, const struct field_value *value)
{
    char *text = take(context, NUMBER_TEXT_BYTES_MAX);
    if (!text) {
        return (struct text){0};
    }
    size_t length;
    if (value->kind == VALUE_INTEGER) {
        length = number_text_long(value->integer, text);
    } else if (isfinite(value->number)) {
        length = number_text_double(value->number, text);
    } else {
        length = (size_t)snprintf(text, NUMBER_TEXT_BYTES_MAX, "%g", value->number);
    }
    return (struct text){text, (uint32_t)length};
}

/* Blanks at the ends would spoil comparisons; what else is white space falls when fields are
 * cleaned. */
static struct text trim_ascii(struct text text)
{
    while (text.length > 0 && (unsigned char)text.data[0] <= ' ') {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && (unsigned char)text.data[text.length - 1] <= ' ') {
        text.length--;
    }
    return text;
}

struct text value_text(struct mapping_context *context, const struct field_value *value)
{
    switch (value->kind) {
    case VALUE_MISSING:
        return (struct text){0};
    case VALUE_BOOL:
        return text_of(value->integer ? "true" : "false");
    case VALUE_TEXT:
        return trim_ascii(value->text);
    default:
        return value->text.length > 0 ? value->text : format_number(context, value);
    }
}

static struct field_value from_text(struct text text)
{
    return text.length > 0 ? (struct field_value){.kind = VALUE_TEXT, .text = text} : missing;
}

static struct field_value run_join(struct mapping_context *context, const struct value_plan *plan)
{
    struct text pieces[MAPPING_PARTS_MAX];
    size_t bytes = 0;
    bool is_any = false;
    for (uint32_t i = 0; i < plan->part_count; i++) {
        struct field_value part = value_run(context, &plan->parts[i]);
        pieces[i] = value_text(context, &part);
        is_any = is_any || pieces[i].length > 0;
        bytes += pieces[i].length + plan->constant.length;
    }
    if (!is_any || bytes > UINT32_MAX / 2) {
        return missing;
    }
    char *joined = take(context, bytes);
    if (!joined) {
        return missing;
    }
    uint32_t length = 0;
    for (uint32_t i = 0; i < plan->part_count; i++) {
        if (i > 0 && plan->constant.length > 0) {
            memcpy(joined + length, plan->constant.data, plan->constant.length);
            length += plan->constant.length;
        }
        if (pieces[i].length > 0) {
            memcpy(joined + length, pieces[i].data, pieces[i].length);
            length += pieces[i].length;
        }
    }
    return from_text((struct text){joined, length});
}

static struct field_value run_let(struct mapping_context *context, uint32_t index)
{
    if (!(context->let_known >> index & 1)) {
        context->lets[index] = value_run(context, &context->mapping->lets[index].value);
        context->let_known |= 1u << index;
    }
    return context->lets[index];
}

static struct field_value run_origin(struct mapping_context *context, const struct value_plan *plan)
{
    switch (plan->origin) {
    case ORIGIN_SOURCE:
        return context->values[plan->index];
    case ORIGIN_LET:
        return run_let(context, plan->index);
    case ORIGIN_CAPTURE:
        return from_text(context->captures[plan->index]);
    case ORIGIN_CONSTANT:
        return from_text(plan->constant);
    case ORIGIN_FIRST:
        for (uint32_t i = 0; i < plan->part_count; i++) {
            struct field_value value = value_run(context, &plan->parts[i]);
            bool is_empty = value.kind == VALUE_TEXT && value.text.length == 0;
            if (value.kind != VALUE_MISSING && !is_empty) {
                return value;
            }
        }
        return missing;
    default:
        return run_join(context, plan);
    }
}

/* ---- Steps ---- */

static struct text extract(const struct value_plan *plan, struct text text)
{
    struct text captures[TEXT_PATTERN_CAPTURES_MAX];
    for (uint32_t i = 0; i < plan->extract_count; i++) {
        if (text_pattern_match(plan->extract[i], text, captures)) {
            return captures[0];
        }
    }
    return (struct text){0};
}

/* Where `separator` next stands in `text` from `at` on, or the text's length. */
static uint32_t find(struct text text, uint32_t at, struct text separator)
{
    for (; at + separator.length <= text.length; at++) {
        if (memcmp(text.data + at, separator.data, separator.length) == 0) {
            return at;
        }
    }
    return text.length;
}

/* Piece `take` of the text; missing where there are fewer. */
static struct text split(struct text text, struct text separator, int32_t take_index)
{
    int32_t count = 1;
    for (uint32_t at = find(text, 0, separator); at < text.length;
         at = find(text, at + separator.length, separator)) {
        count++;
    }
    int32_t wanted = take_index > 0 ? take_index - 1 : count + take_index;
    if (wanted < 0 || wanted >= count) {
        return (struct text){0};
    }
    uint32_t begin = 0;
    for (int32_t i = 0; i < wanted; i++) {
        begin = find(text, begin, separator) + separator.length;
    }
    begin = begin < text.length ? begin : text.length;
    return (struct text){text.data + begin, find(text, begin, separator) - begin};
}

static struct text change_case(struct mapping_context *context, struct text text,
                               enum letter_case letter_case)
{
    char *changed = take(context, text.length);
    if (!changed) {
        return (struct text){0};
    }
    for (uint32_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        bool is_upper = c >= 'A' && c <= 'Z';
        bool is_lower = c >= 'a' && c <= 'z';
        bool flips = letter_case == CASE_LOWER ? is_upper : is_lower;
        changed[i] = (char)(flips ? c ^ 0x20 : c);
    }
    return (struct text){changed, text.length};
}

/* 32 hexadecimal digits of XXH3's 128-bit hash. No secret: intake makes pseudonyms of identities.
 */
static struct text hash_text(struct mapping_context *context, struct text text)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = take(context, 32);
    if (!hex) {
        return (struct text){0};
    }
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.data, text.length));
    for (size_t i = 0; i < 16; i++) {
        hex[2 * i] = digits[canonical.digest[i] >> 4];
        hex[2 * i + 1] = digits[canonical.digest[i] & 15];
    }
    return (struct text){hex, 32};
}

static struct text run_steps(struct mapping_context *context, const struct value_plan *plan,
                             struct text text)
{
    if (plan->has_url_part && text.length > 0) {
        struct text part = {0};
        if (!url_part(text, plan->url_part, plan->url_name, context->arena, &part)) {
            context->is_out_of_memory = true;
        }
        text = part;
    }
    if (plan->extract_count > 0 && text.length > 0) {
        text = extract(plan, text);
    }
    if (plan->split.length > 0 && text.length > 0) {
        text = split(text, plan->split, plan->take);
    }
    if (plan->decodes_url && text.length > 0) {
        struct text decoded = {0};
        if (!url_decode(text, true, context->arena, &decoded)) {
            context->is_out_of_memory = true;
        }
        text = decoded;
    }
    if (plan->letter_case != CASE_KEPT && text.length > 0) {
        text = change_case(context, text, plan->letter_case);
    }
    if (plan->words && text.length > 0) {
        text = word_map_find(plan->words, text);
    }
    return plan->is_hashed && text.length > 0 ? hash_text(context, text) : text;
}

struct field_value value_run(struct mapping_context *context, const struct value_plan *plan)
{
    struct field_value value = run_origin(context, plan);
    if (!plan->has_steps || value.kind == VALUE_MISSING) {
        return value;
    }
    return from_text(run_steps(context, plan, value_text(context, &value)));
}

/* ---- Conditions ---- */

static bool in_range(const struct test_plan *test, const struct field_value *value,
                     struct text text)
{
    double number = 0;
    int64_t millionths = 0;
    if (value->kind == VALUE_INTEGER) {
        number = (double)value->integer;
    } else if (value->kind == VALUE_NUMBER) {
        number = value->number;
    } else if (decimal_parse(text, &decimal_plain, 6, &millionths) == DECIMAL_OK) {
        number = (double)millionths / 1e6;
    } else {
        return false;
    }
    return number >= test->min && number <= test->max;
}

static bool fits_any(struct mapping_context *context, const struct test_plan *tests, uint32_t count,
                     const struct field_value *value, struct text text)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tests[i].pattern ? text_pattern_match(tests[i].pattern, text, context->captures)
                             : in_range(&tests[i], value, text)) {
            return true;
        }
    }
    return false;
}

static bool condition_holds(struct mapping_context *context, const struct condition_plan *condition)
{
    struct field_value value = value_run(context, &condition->value);
    struct text text = value_text(context, &value);
    if (text.length == 0) {
        /* What is not there fits no pattern, and nothing is against it. */
        return condition->wants_missing || condition->any_count == 0;
    }
    if (condition->any_count == 0 && condition->wants_missing) {
        return false;
    }
    return (condition->any_count == 0 ||
            fits_any(context, condition->any, condition->any_count, &value, text)) &&
           !fits_any(context, condition->none, condition->none_count, &value, text);
}

bool rule_matches(struct mapping_context *context, const struct rule_plan *rule)
{
    if (rule->captures.count > 0) {
        memset(context->captures, 0, sizeof(context->captures)); /* Those of other rules. */
    }
    for (uint32_t i = 0; i < rule->condition_count; i++) {
        if (!condition_holds(context, &rule->conditions[i])) {
            return false;
        }
    }
    return true;
}
