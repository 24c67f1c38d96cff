#include "pipeline/output/topic_schemas.h"

static const struct output_field session_fields[] = {
    {.name = "session_id", .type = OUTPUT_TEXT, .doc = "Id of the session, 16 hexadecimal digits."},
    {.name = "revision",
     .type = OUTPUT_LONG,
     .doc = "Number of this record of the session, from 1; a later one replaces it."},
    {.name = "is_retracted",
     .type = OUTPUT_BOOL,
     .doc = "The session is no more: a late event showed that it is part of an older one."},
    {.name = "cause",
     .type = OUTPUT_TEXT,
     .doc =
         "Why the record was written: ended, late (events came after it had ended), bridged "
         "(joined to an older session), or crowded (the user has more sessions within reach than "
         "are kept; written before its end)."},
    {.name = "merged_into",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "For a retracted session, the id of the one that took its events; else null."},
    {.name = "user",
     .type = OUTPUT_TEXT,
     .privacy = PRIVACY_QUASI,
     .doc = "Pseudonym of the shopper, 32 hexadecimal digits."},
    {.name = "start", .type = OUTPUT_TIME, .doc = "Event time of the first event."},
    {.name = "end", .type = OUTPUT_TIME, .doc = "Event time of the last event."},
    {.name = "duration_ms",
     .type = OUTPUT_LONG,
     .doc = "From the first to the last event, in milliseconds."},
    {.name = "events", .type = OUTPUT_LONG, .doc = "Number of events."},
    {.name = "events_by_type",
     .type = OUTPUT_LONG_MAP,
     .doc = "Number of events of each type that occurred."},
    {.name = "distinct_items",
     .type = OUTPUT_LONG,
     .doc =
         "Number of distinct products, estimated by linear counting over 64 bits; 304 stands for "
         "that many or more."},
    {.name = "purchases", .type = OUTPUT_LONG, .doc = "Number of purchase events (lines)."},
    {.name = "spend",
     .type = OUTPUT_LONG,
     .is_nullable = true,
     .doc =
         "Price times quantity of the purchases that have a price, in millionths of the currency; "
         "null where the session has purchases in more than one currency."},
    {.name = "currency",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "ISO 4217 code of spend; null where none is known, or more than one occurred."},
    {.name = "entry_type", .type = OUTPUT_TEXT, .doc = "Type of the first event."},
    {.name = "exit_type", .type = OUTPUT_TEXT, .doc = "Type of the last event."},
    {.name = "outcome",
     .type = OUTPUT_TEXT,
     .doc = "What the session came to: purchased, abandoned_cart (has_cart, and nothing bought), "
            "bounced (one event), or browsed."},
    {.name = "has_cart",
     .type = OUTPUT_BOOL,
     .doc = "The cart was left with something in it: more add_to_cart than remove_from_cart and "
            "purchase events together."},
    {.name = "cause_topic",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "Topic of the event that changed the session last before this record; for a "
            "retraction, of the event that joined the two. Null where the input is files."},
    {.name = "cause_partition",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "Partition of that event; null where it is not known."},
    {.name = "cause_ordinal",
     .type = OUTPUT_LONG,
     .is_nullable = true,
     .doc = "Offset of that event in the topic, or its number in the file, from 0; null where it "
            "is not known."},
};

const struct output_schema session_schema = {
    .name = "session",
    .doc = "A shopper's session, written when it ends by event time, and again when late events "
           "change it.",
    .fields = session_fields,
    .field_count = FIELD_COUNT(session_fields),
};
