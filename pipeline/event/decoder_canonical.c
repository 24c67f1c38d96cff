/* Rows from values of the canonical fields, for the formats that are text. */
#include <math.h>

#include "pipeline/base/time_text.h"
#include "pipeline/event/decoder_formats.h"

/* 2^63: the first double beyond int64_t. */
#define INTEGER_LIMIT 9223372036854775808.0

static const struct time_format iso_time = {.notation = TIME_ISO};

static enum mapping_result bad_number(enum event_field field, const struct field_value *value,
                                      struct rejection *ret_rejection)
{
    int length = value->text.length > 40 ? 40 : (int)value->text.length;
    if (field == FIELD_EVENT_TIME) {
        return decoder_reject(ret_rejection, REJECTION_NO_TIME,
                              "%s: \"%.*s\", expected milliseconds since 1970 or an ISO 8601 time",
                              event_fields[field].name, length,
                              value->text.length ? value->text.data : "");
    }
    return decoder_reject(
        ret_rejection, REJECTION_BAD_NUMBER, "%s: \"%.*s\", expected %s", event_fields[field].name,
        length, value->text.length ? value->text.data : "",
        field == FIELD_PRICE ? "an integer, the price in millionths: 5500000 is 5.50"
                             : "an integer");
}

static bool integer_of(const struct field_value *value, int64_t *ret_integer)
{
    if (value->kind == VALUE_INTEGER) {
        *ret_integer = value->integer;
        return true;
    }
    if (value->kind == VALUE_NUMBER && value->number >= -INTEGER_LIMIT &&
        value->number < INTEGER_LIMIT && floor(value->number) == value->number) {
        *ret_integer = (int64_t)value->number;
        return true;
    }
    return false;
}

static int64_t *number_column(struct event_batch *batch, enum event_field field)
{
    switch (field) {
    case FIELD_EVENT_TIME:
        return batch->time_ms;
    case FIELD_ORDER_LINE:
        return batch->order_line;
    case FIELD_PRICE:
        return batch->price;
    case FIELD_QUANTITY:
        return batch->quantity;
    default:
        return batch->stock;
    }
}

enum mapping_result canonical_set_number(enum event_field field, const struct field_value *value,
                                         struct event_batch *batch, uint32_t row,
                                         struct rejection *ret_rejection)
{
    int64_t *column = number_column(batch, field);
    bool is_set = field == FIELD_EVENT_TIME && value->kind == VALUE_TEXT
                      ? time_parse(&iso_time, NULL, value->text, &column[row])
                      : integer_of(value, &column[row]);
    return is_set ? MAPPING_EVENT : bad_number(field, value, ret_rejection);
}

enum mapping_result canonical_fill_row(const struct field_value *values,
                                       struct attribute_list attributes, struct event_batch *batch,
                                       uint32_t row, struct rejection *ret_rejection)
{
    uint64_t present = 0;
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        if (values[field].kind != VALUE_MISSING) {
            batch->text[field][row] = values[field].text;
            present |= UINT64_C(1) << field;
        }
    }
    for (int i = TEXT_FIELD_COUNT; i < FIELD_ATTRIBUTES; i++) {
        enum event_field field = (enum event_field)i;
        const struct field_value *value = &values[field];
        if (value->kind == VALUE_MISSING) {
            continue;
        }
        if (canonical_set_number(field, value, batch, row, ret_rejection) != MAPPING_EVENT) {
            return MAPPING_REJECTED;
        }
        present |= UINT64_C(1) << field;
    }
    if (attributes.count > 0) {
        batch->attributes[row] = attributes;
        present |= UINT64_C(1) << FIELD_ATTRIBUTES;
    }
    batch->present[row] = present;
    return mapping_clean_row(batch, row, ret_rejection);
}
