#include "pipeline/output/topic_schemas.h"

static const struct output_field alert_fields[] = {
    {.name = "decision_id",
     .type = OUTPUT_TEXT,
     .doc = "Id of the decision that this alert carries out, 32 hexadecimal digits."},
    CAUSE_FIELDS,
    {.name = "severity",
     .type = OUTPUT_TEXT,
     .doc = "Severity that the rule gives the alert: info, low, medium, high or critical."},
    {.name = "reason",
     .type = OUTPUT_TEXT,
     .privacy = PRIVACY_QUASI,
     .doc = "What the rule says about why this matters."},
    {.name = "step",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .doc = "Step that the rule suggests: pause_transaction, step_up, notify_user or review; null "
            "where it suggests none."},
    SCORE_FIELDS,
    EXPLANATION_FIELDS,
    CONFIGURATION_FIELDS,
    {.name = "fields",
     .type = OUTPUT_TEXT_MAP,
     .privacy = PRIVACY_QUASI,
     .doc = "Fields of the event that the configuration lists to be carried along."},
};

const struct output_schema alert_schema = {
    .name = "alert",
    .doc = "Something that a person or system should look at.",
    .fields = alert_fields,
    .field_count = FIELD_COUNT(alert_fields),
};
