/* Runs a compiled mapping on one record. */
#include "pipeline/event/mapping_plan.h"

#include <math.h>

#define MILLION 1000000

/* ---- Time ---- */

static bool read_time(const struct value_plan *plan, const struct field_value *value,
                      struct text text, int64_t *ret_ms)
{
    for (uint32_t i = 0; i < plan->format_count; i++) {
        const struct time_format *format = &plan->formats[i];
        if (value->kind == VALUE_INTEGER ? time_from_integer(format, value->integer, ret_ms)
                                         : time_parse(format, plan->zone, text, ret_ms)) {
            return true;
        }
    }
    return false;
}

static const char *expected_time(const struct value_plan *plan)
{
    switch (plan->formats[0].notation) {
    case TIME_ISO:
        return "an ISO 8601 time";
    case TIME_EPOCH_S:
        return "seconds since 1970";
    case TIME_EPOCH_MS:
        return "milliseconds since 1970";
    case TIME_EPOCH_US:
        return "microseconds since 1970";
    case TIME_EPOCH_NS:
        return "nanoseconds since 1970";
    default:
        return "a time in the mapping's format";
    }
}

static enum mapping_result apply_time(struct mapping_context *context,
                                      const struct field_plan *field, struct event_batch *batch,
                                      uint32_t row, struct rejection *ret_rejection)
{
    struct field_value value = value_run(context, &field->value);
    struct text text = value_text(context, &value);
    int64_t time_ms = 0;
    if (!read_time(&field->value, &value, text, &time_ms)) {
        return reject(ret_rejection, REJECTION_NO_TIME, event_fields[FIELD_EVENT_TIME].name, text,
                      expected_time(&field->value));
    }
    return store_number(batch, row, FIELD_EVENT_TIME, time_ms, ret_rejection);
}

/* ---- Numbers ---- */

/* In millionths. A double goes by way of its shortest text, so that 35.79 is 35.79. */
static enum decimal_result read_millionths(struct mapping_context *context,
                                           const struct value_plan *plan,
                                           const struct field_value *value, struct text text,
                                           int64_t *ret)
{
    enum decimal_result result = DECIMAL_SYNTAX;
    if (value->kind == VALUE_INTEGER) {
        result = decimal_scale(value->integer, &plan->notation, 6, ret);
    } else if (value->kind == VALUE_TEXT) {
        result = decimal_parse(text, &plan->notation, 6, ret);
    } else if (value->kind == VALUE_NUMBER && !context->is_out_of_memory) {
        /* Written by a machine: its own notation, whatever the mapping says of texts. */
        struct decimal_notation notation = plan->notation;
        notation.point = '.';
        notation.group = 0;
        result = decimal_parse(text, &notation, 6, ret);
    }
    if (result == DECIMAL_OK && plan->is_absolute && *ret < 0) {
        *ret = -*ret;
    }
    return result;
}

static enum mapping_result apply_number(struct mapping_context *context,
                                        const struct field_plan *field, struct event_batch *batch,
                                        uint32_t row, struct rejection *ret_rejection)
{
    struct field_value value = value_run(context, &field->value);
    struct text text = value_text(context, &value);
    if (text.length == 0) {
        return MAPPING_EVENT;
    }
    const char *name = event_fields[field->field].name;
    int64_t millionths = 0;
    switch (read_millionths(context, &field->value, &value, text, &millionths)) {
    case DECIMAL_SYNTAX:
        return reject(ret_rejection, REJECTION_BAD_NUMBER, name, text,
                      field->value.notation.point == ',' ? "a number such as 12,50"
                                                         : "a number such as 12.50");
    case DECIMAL_RANGE:
        return reject(ret_rejection, REJECTION_OUT_OF_RANGE, name, text, "a smaller number");
    default:
        break;
    }
    if (field->field == FIELD_PRICE) {
        return store_number(batch, row, FIELD_PRICE, millionths, ret_rejection);
    }
    if (millionths % MILLION != 0) {
        return reject(ret_rejection, REJECTION_BAD_NUMBER, name, text, "a whole number");
    }
    return store_number(batch, row, field->field, millionths / MILLION, ret_rejection);
}

/* ---- Fields ---- */

static enum mapping_result apply_attribute(struct mapping_context *context,
                                           const struct field_plan *field,
                                           struct event_batch *batch, struct attribute *items,
                                           uint32_t *count, struct rejection *ret_rejection)
{
    struct field_value value = value_run(context, &field->value);
    struct text text = value_text(context, &value);
    assert(items); /* There is room for every attribute of the plans. */
    enum mapping_result result = clean_attribute(batch, field->name, &text, ret_rejection);
    if (result != MAPPING_EVENT || text.length == 0) {
        return result;
    }
    for (uint32_t i = 0; i < *count; i++) {
        if (text_equal(items[i].name, field->name)) {
            return MAPPING_EVENT; /* The rule's own goes first. */
        }
    }
    items[(*count)++] = (struct attribute){field->name, text};
    return MAPPING_EVENT;
}

static enum mapping_result apply_field(struct mapping_context *context,
                                       const struct field_plan *field, struct event_batch *batch,
                                       uint32_t row, struct rejection *ret_rejection)
{
    if (field->field == FIELD_EVENT_TIME) {
        return apply_time(context, field, batch, row, ret_rejection);
    }
    if ((int)field->field >= (int)TEXT_FIELD_COUNT) {
        return apply_number(context, field, batch, row, ret_rejection);
    }
    struct field_value value = value_run(context, &field->value);
    struct text text = value_text(context, &value);
    return field->field == FIELD_TYPE_WORD
               ? store_type(batch, row, text, ret_rejection)
               : store_text(batch, row, field->field, text, ret_rejection);
}

/* Applies the fields of `plans` but those in `done`. Attributes go to `items`. */
static enum mapping_result apply_fields(struct mapping_context *context,
                                        const struct field_plans *plans, uint64_t done,
                                        struct event_batch *batch, uint32_t row,
                                        struct attribute *items, uint32_t *count,
                                        struct rejection *ret_rejection)
{
    for (uint32_t i = 0; i < plans->count; i++) {
        const struct field_plan *field = &plans->items[i];
        enum mapping_result result = MAPPING_EVENT;
        if (field->field == FIELD_ATTRIBUTES) {
            result = apply_attribute(context, field, batch, items, count, ret_rejection);
        } else if (!(done >> field->field & 1)) {
            result = apply_field(context, field, batch, row, ret_rejection);
        }
        if (context->is_out_of_memory) {
            return MAPPING_FAILED;
        }
        if (result != MAPPING_EVENT) {
            return result;
        }
    }
    return MAPPING_EVENT;
}

/* The first rule that holds, or NULL. */
static const struct rule_plan *find_rule(struct mapping_context *context)
{
    for (uint32_t i = 0; i < context->mapping->rule_count; i++) {
        if (rule_matches(context, &context->mapping->rules[i])) {
            return &context->mapping->rules[i];
        }
    }
    return NULL;
}

static enum mapping_result apply_all(struct mapping_context *context, const struct rule_plan *rule,
                                     struct event_batch *batch, uint32_t row,
                                     struct rejection *ret_rejection)
{
    static const struct field_plans none = {0};
    const struct field_plans *own = rule ? &rule->fields : &none;
    const struct field_plans *shared = &context->mapping->fields;
    uint32_t attributes_max = own->attribute_count + shared->attribute_count;
    struct attribute *items = NULL;
    uint32_t count = 0;
    if (attributes_max > 0) {
        items = arena_array(context->arena, struct attribute, attributes_max);
        if (!items) {
            return MAPPING_FAILED;
        }
    }
    if (!((own->mask | shared->mask) >> FIELD_TYPE_WORD & 1)) {
        return reject(ret_rejection, REJECTION_NO_TYPE, event_fields[FIELD_TYPE_WORD].name,
                      (struct text){0}, "a rule of the mapping to give it");
    }
    enum mapping_result result =
        apply_fields(context, own, 0, batch, row, items, &count, ret_rejection);
    if (result == MAPPING_EVENT) {
        result = apply_fields(context, shared, own->mask, batch, row, items, &count, ret_rejection);
    }
    batch->attributes[row] = (struct attribute_list){items, count};
    batch->present[row] |= (uint64_t)(count > 0) << FIELD_ATTRIBUTES;
    return result;
}

enum mapping_result mapping_apply(const struct mapping *mapping, const struct field_value *values,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection)
{
    struct mapping_context context;
    context.mapping = mapping;
    context.values = values;
    context.arena = &batch->arena;
    context.let_known = 0;
    context.is_out_of_memory = false;
    batch->present[row] = 0;
    const struct rule_plan *rule = find_rule(&context);
    if (context.is_out_of_memory) {
        return MAPPING_FAILED;
    }
    if (rule && rule->is_skip) {
        return MAPPING_SKIPPED;
    }
    enum mapping_result result = apply_all(&context, rule, batch, row, ret_rejection);
    return result == MAPPING_EVENT ? check_row(batch, row, ret_rejection) : result;
}
