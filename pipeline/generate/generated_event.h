/*
 * One event on its way from the simulation to a file: texts put together in place, without printf,
 * which would cost more than all the rest. Texts are ASCII.
 */
#ifndef PIPELINE_GENERATE_GENERATED_EVENT_H
#define PIPELINE_GENERATE_GENERATED_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/event/event_fields.h"

/* Enough for all texts of an event that are not constants. */
#define GENERATED_STORAGE_BYTES 512

/* Not to be copied: texts point into `storage`. */
struct generated_event {
    struct text text[TEXT_FIELD_COUNT]; /* Empty where the field is null. */
    int64_t time_ms;
    int64_t order_line, price, quantity, stock;
    uint32_t numbers_present; /* Bit per enum event_field less TEXT_FIELD_COUNT. */
    uint32_t storage_used;
    char storage[GENERATED_STORAGE_BYTES];
};

/* No field is set. */
void generated_event_reset(struct generated_event *event);

/* `constant` must outlive the event. */
void generated_event_set(struct generated_event *event, enum event_field field,
                         const char *constant);

void generated_event_append(struct generated_event *event, enum event_field field,
                            const char *piece);
void generated_event_append_decimal(struct generated_event *event, enum event_field field,
                                    uint64_t number);

/* `prefix` and a number: what most ids are. */
void generated_event_set_decimal(struct generated_event *event, enum event_field field,
                                 const char *prefix, uint64_t number);
/* Lower case, at least `digits` of them. */
void generated_event_set_hex(struct generated_event *event, enum event_field field,
                             const char *prefix, uint64_t number, uint32_t digits);

static inline bool generated_event_has_number(const struct generated_event *event,
                                              enum event_field field)
{
    return field == FIELD_EVENT_TIME || (event->numbers_present >> (field - TEXT_FIELD_COUNT) & 1);
}

static inline void generated_event_mark_number(struct generated_event *event,
                                               enum event_field field)
{
    event->numbers_present |= 1u << (field - TEXT_FIELD_COUNT);
}

/* The value of a numeric field, present or not. */
int64_t generated_event_number(const struct generated_event *event, enum event_field field);

#endif
