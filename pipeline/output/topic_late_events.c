#include "pipeline/output/topic_schemas.h"

static const struct output_field late_event_fields[] = {
    EVENT_FIELDS,
    {.name = "watermark",
     .type = OUTPUT_TIME,
     .doc = "The partition's watermark when the event came."},
    {.name = "lateness_ms",
     .type = OUTPUT_LONG,
     .doc = "How far the event time was behind the watermark, in milliseconds."},
    {.name = "type", .type = OUTPUT_TEXT, .doc = "Type of the event."},
    {.name = "item",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "Product that the event is about; null where it names none."},
    {.name = "session_id",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "Session that the event was counted to, 16 hexadecimal digits; null where it was "
            "diverted."},
    {.name = "action",
     .type = OUTPUT_TEXT,
     .doc = "What was done with the event: processed or diverted."},
};

const struct output_schema late_event_schema = {
    .name = "late_event",
    .doc = "An event that came after the watermark had passed its time.",
    .fields = late_event_fields,
    .field_count = FIELD_COUNT(late_event_fields),
};
