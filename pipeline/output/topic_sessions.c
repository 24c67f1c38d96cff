#include "pipeline/output/topic_schemas.h"

static const struct output_field session_fields[] = {
    {.name = "session_id", .type = OUTPUT_TEXT, .doc = "Id of the session, 16 hexadecimal digits."},
    {.name = "revision",
     .type = OUTPUT_LONG,
     .doc = "Number of this record of the session, from 0; a later one replaces it."},
    {.name = "user",
     .type = OUTPUT_TEXT,
     .privacy = PRIVACY_QUASI,
     .doc = "Pseudonym of the shopper, 32 hexadecimal digits."},
    {.name = "start", .type = OUTPUT_TIME, .doc = "Event time of the first event."},
    {.name = "end", .type = OUTPUT_TIME, .doc = "Event time of the last event."},
    {.name = "events", .type = OUTPUT_LONG, .doc = "Number of events."},
    {.name = "events_by_type",
     .type = OUTPUT_LONG_MAP,
     .doc = "Number of events of each type that occurred."},
    {.name = "outcome", .type = OUTPUT_TEXT, .doc = "What the session came to."},
};

const struct output_schema session_schema = {
    .name = "session",
    .doc = "A shopper's session, written when it ends by event time.",
    .fields = session_fields,
    .field_count = FIELD_COUNT(session_fields),
};
