/* The table of each topic's record, one file a topic, and the nested records that topics share. */
#ifndef PIPELINE_OUTPUT_TOPIC_SCHEMAS_H
#define PIPELINE_OUTPUT_TOPIC_SCHEMAS_H

#include "pipeline/output/output.h"

extern const struct output_schema alert_schema;
extern const struct output_schema promotion_schema;
extern const struct output_schema session_schema;
extern const struct output_schema decision_schema;
extern const struct output_schema dead_letter_schema;
extern const struct output_schema late_event_schema;
extern const struct output_schema scored_event_schema;

/* One float field a score kind, in the order of enum score_kind, null where it was not scored. */
extern const struct output_schema scores_schema;

/* Parts of the fraud score in the order of enum fraud_part, likewise. */
extern const struct output_schema fraud_parts_schema;

/* One term of a score: name, value, logit. */
extern const struct output_schema contribution_schema;

#define FIELD_COUNT(fields) ((uint32_t)(sizeof(fields) / sizeof((fields)[0])))

#endif
