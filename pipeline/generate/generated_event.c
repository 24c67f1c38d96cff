#include "pipeline/generate/generated_event.h"

#include <assert.h>
#include <stddef.h>

#define DECIMAL_DIGITS_MAX 20
#define HEX_DIGITS_MAX 16

void generated_event_reset(struct generated_event *event)
{
    memset(event, 0, offsetof(struct generated_event, storage));
}

void generated_event_set(struct generated_event *event, enum event_field field,
                         const char *constant)
{
    event->text[field] = text_of(constant);
}

static void append_bytes(struct generated_event *event, enum event_field field, const char *bytes,
                         uint32_t length)
{
    assert(length <= GENERATED_STORAGE_BYTES - event->storage_used);
    memcpy(event->storage + event->storage_used, bytes, length);
    event->storage_used += length;
    event->text[field].length += length;
}

/* The field's text is what is appended to it before the next begin. */
static void begin(struct generated_event *event, enum event_field field)
{
    event->text[field] = (struct text){event->storage + event->storage_used, 0};
}

void generated_event_append(struct generated_event *event, enum event_field field,
                            const char *piece)
{
    append_bytes(event, field, piece, (uint32_t)strlen(piece));
}

void generated_event_append_decimal(struct generated_event *event, enum event_field field,
                                    uint64_t number)
{
    char digits[DECIMAL_DIGITS_MAX];
    uint32_t first = DECIMAL_DIGITS_MAX;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    append_bytes(event, field, digits + first, DECIMAL_DIGITS_MAX - first);
}

static void append_hex(struct generated_event *event, enum event_field field, uint64_t number,
                       uint32_t digits)
{
    char text[HEX_DIGITS_MAX];
    uint32_t first = HEX_DIGITS_MAX;
    assert(digits >= 1 && digits <= HEX_DIGITS_MAX);
    while (number > 0 || HEX_DIGITS_MAX - first < digits) {
        text[--first] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
    append_bytes(event, field, text + first, HEX_DIGITS_MAX - first);
}

void generated_event_set_decimal(struct generated_event *event, enum event_field field,
                                 const char *prefix, uint64_t number)
{
    begin(event, field);
    generated_event_append(event, field, prefix);
    generated_event_append_decimal(event, field, number);
}

void generated_event_set_hex(struct generated_event *event, enum event_field field,
                             const char *prefix, uint64_t number, uint32_t digits)
{
    begin(event, field);
    generated_event_append(event, field, prefix);
    append_hex(event, field, number, digits);
}

int64_t generated_event_number(const struct generated_event *event, enum event_field field)
{
    switch (field) {
    case FIELD_EVENT_TIME:
        return event->time_ms;
    case FIELD_ORDER_LINE:
        return event->order_line;
    case FIELD_PRICE:
        return event->price;
    case FIELD_QUANTITY:
        return event->quantity;
    default:
        assert(field == FIELD_STOCK);
        return event->stock;
    }
}
