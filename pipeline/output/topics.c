#include "pipeline/output/topic_schemas.h"

const struct output_topic output_topics[TOPIC_COUNT] = {
    [TOPIC_ALERTS] = {"alerts", &alert_schema},
    [TOPIC_PROMOTIONS] = {"promotions", &promotion_schema},
    [TOPIC_SESSIONS] = {"sessions", &session_schema},
    [TOPIC_DECISIONS] = {"decisions", &decision_schema},
    [TOPIC_DEAD_LETTERS] = {"dead_letters", &dead_letter_schema},
    [TOPIC_LATE_EVENTS] = {"late_events", &late_event_schema},
    [TOPIC_SCORED_EVENTS] = {"scored_events", &scored_event_schema},
};

static const struct output_field scores_fields[] = {
    {.name = "fraud",
     .type = OUTPUT_FLOAT,
     .is_nullable = true,
     .doc = "Chance that the event is fraud, from 0 to 1."},
    {.name = "purchase",
     .type = OUTPUT_FLOAT,
     .is_nullable = true,
     .doc = "Chance that the session ends in a purchase, from 0 to 1; of a pack that "
            "predicts a value (output: value), that value."},
    {.name = "abandon",
     .type = OUTPUT_FLOAT,
     .is_nullable = true,
     .doc = "Chance that the filled cart is abandoned, from 0 to 1; of a pack that predicts "
            "a value (output: value), that value."},
    {.name = "anomaly",
     .type = OUTPUT_FLOAT,
     .is_nullable = true,
     .doc = "How unusual the behaviour is, from 0 to 1."},
};

const struct output_schema scores_schema = {
    .name = "scores",
    .doc = "The scores of an event; a score that was not computed is null.",
    .fields = scores_fields,
    .field_count = FIELD_COUNT(scores_fields),
};

static const struct output_field contribution_fields[] = {
    {.name = "name",
     .type = OUTPUT_TEXT,
     .doc = "The feature, rule or other part that this term of the score comes from."},
    {.name = "value",
     .type = OUTPUT_FLOAT,
     .is_nullable = true,
     .privacy = PRIVACY_QUASI,
     .doc = "The feature's value at the event; null where it is missing."},
    {.name = "logit",
     .type = OUTPUT_FLOAT,
     .is_nullable = true,
     .doc = "What the term adds to the score on the logit scale."},
};

const struct output_schema contribution_schema = {
    .name = "contribution",
    .doc = "One term of a score; all terms and the intercept sum to the score's logit.",
    .fields = contribution_fields,
    .field_count = FIELD_COUNT(contribution_fields),
};
