#include "pipeline/output/topic_schemas.h"

static const struct output_field scored_event_fields[] = {
    EVENT_FIELDS,
    {.name = "type", .type = OUTPUT_TEXT, .doc = "Type of the event."},
    {.name = "session_id",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "Session of the event, 16 hexadecimal digits; null where there is none."},
    {.name = "feature_set",
     .type = OUTPUT_TEXT,
     .doc = "Hash of the names and order of the features, 16 hexadecimal digits."},
    {.name = "features",
     .type = OUTPUT_FLOAT_ARRAY,
     .privacy = PRIVACY_QUASI,
     .doc = "The feature vector in the order of the feature set; a missing value is null in JSON "
            "and NaN in Avro."},
    {.name = "scores",
     .type = OUTPUT_RECORD,
     .doc = "The scores at the event.",
     .record = &scores_schema},
    {.name = "configuration_epoch",
     .type = OUTPUT_LONG,
     .doc = "Number of the configuration that scored."},
    {.name = "numeric_profile",
     .type = OUTPUT_TEXT,
     .doc = "Backend, kernels and packs that computed the scores."},
    {.name = "sampling_rate",
     .type = OUTPUT_DOUBLE,
     .doc = "Share of all events that this topic keeps, from 0 to 1."},
};

const struct output_schema scored_event_schema = {
    .name = "scored_event",
    .doc = "A sampled event with its features and scores, whether or not a rule matched: an "
           "unbiased basis for training and drift.",
    .fields = scored_event_fields,
    .field_count = FIELD_COUNT(scored_event_fields),
};
