/* Which types of a writer's schema can become what a field of the event or of a mapping wants. */
#ifndef PIPELINE_EVENT_AVRO_FIT_H
#define PIPELINE_EVENT_AVRO_FIT_H

#include "pipeline/event/event_fields.h"
#include "pipeline/source/avro_schema.h"

/* True for all kinds that have a value of their own: no array, map, record or union. */
bool avro_kind_is_plain(enum avro_kind kind);

/*
 * `field`: EVENT_FIELD_COUNT is a field of a mapping, which takes whatever has a value. Of a union
 * one branch must do, and null beside others always does.
 */
bool avro_kind_fits(enum event_field field, const struct avro_node *node);

/* "a string", "an array" ... */
const char *avro_kind_name(enum avro_kind kind);

/* What avro_kind_fits() wants, in words. */
const char *avro_kind_expected(enum event_field field);

#endif
