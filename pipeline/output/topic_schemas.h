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

/*
 * Runs of fields that several topics have, for their tables. Not formatted by clang-format, which
 * takes the braces for blocks.
 */
/* clang-format off */

/* What an alert, a promotion or a decision was made for, when, and about whom. */
#define CAUSE_FIELDS                                                                               \
    {.name = "cause",                                                                              \
     .type = OUTPUT_TEXT,                                                                          \
     .doc = "What the rule was looked at for: event, session_end, idle_cart or after."},           \
    {.name = "event_id",                                                                           \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Id that the sender gave the event that caused it; for a timer the event that set "    \
            "it: the last one that touched the cart, the one waited from, or the one of the "      \
            "session that was read last. Null where the sender gave none. State keeps it as long " \
            "as the timer is awaited: what is no UUID and longer than 32 bytes it does not keep, " \
            "nor those of more than two open sessions and two of after for each shopper."},        \
    {.name = "topic",                                                                              \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Topic that this event came from, before it was sent on; null where the input is "     \
            "files."},                                                                             \
    {.name = "partition",                                                                          \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Partition of that topic, or number of the file; null where it is not known."},        \
    {.name = "ordinal",                                                                            \
     .type = OUTPUT_LONG,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Offset of that event in its partition, or number in the file, from 0; null where it " \
            "is not known, as of what was awaited when a version before this one had the state."}, \
    {.name = "cause_time",                                                                         \
     .type = OUTPUT_TIME,                                                                          \
     .doc = "Event time of that event; for the end of a session that of its last event."},         \
    {.name = "user",                                                                               \
     .type = OUTPUT_TEXT,                                                                          \
     .privacy = PRIVACY_QUASI,                                                                     \
     .doc = "Pseudonym of the shopper, 32 hexadecimal digits."},                                   \
    {.name = "time",                                                                               \
     .type = OUTPUT_TIME,                                                                          \
     .doc = "Event time of the decision: the event's, or when the timer fell due."},               \
    {.name = "rule", .type = OUTPUT_TEXT, .doc = "Name of the rule that matched."}

/* What was known then. */
#define SCORE_FIELDS                                                                               \
    {.name = "session_id",                                                                         \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Session of the cause, 16 hexadecimal digits; null where there is none."},             \
    {.name = "scores",                                                                             \
     .type = OUTPUT_RECORD,                                                                        \
     .doc = "The scores at the cause.",                                                            \
     .record = &scores_schema},                                                                    \
    {.name = "fraud_parts",                                                                        \
     .type = OUTPUT_RECORD,                                                                        \
     .doc = "Parts of the fraud score, on the logit scale.",                                       \
     .record = &fraud_parts_schema}

/* Why the score is what it is. */
#define EXPLANATION_FIELDS                                                                         \
    {.name = "score",                                                                              \
     .type = OUTPUT_TEXT,                                                                          \
     .doc = "The score that the terms explain: fraud, purchase, abandon or anomaly. It is the "    \
            "one that the rule's condition uses or that is nearest to what the rule does; where "  \
            "that was not computed, the next best one that was."},                                 \
    {.name = "logit",                                                                              \
     .type = OUTPUT_FLOAT,                                                                         \
     .is_nullable = true,                                                                          \
     .doc = "That score on the logit scale, which intercept, terms and others sum to."},           \
    {.name = "intercept",                                                                          \
     .type = OUTPUT_FLOAT,                                                                         \
     .is_nullable = true,                                                                          \
     .doc = "What the score starts from; null where the score has none of its own."},              \
    {.name = "terms",                                                                              \
     .type = OUTPUT_RECORD_ARRAY,                                                                  \
     .privacy = PRIVACY_QUASI,                                                                     \
     .doc = "The five terms that moved the score most, the largest first.",                        \
     .record = &contribution_schema},                                                              \
    {.name = "others",                                                                             \
     .type = OUTPUT_FLOAT,                                                                         \
     .is_nullable = true,                                                                          \
     .doc = "Sum of all other terms; null where the score was not explained."},                    \
    {.name = "model",                                                                              \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Pack and version that the score came from; null where there was none."}

/* By what it was decided. */
#define CONFIGURATION_FIELDS                                                                       \
    {.name = "rule_set",                                                                           \
     .type = OUTPUT_TEXT,                                                                          \
     .doc = "Hash of what all rules say, 16 hexadecimal digits."},                                 \
    {.name = "feature_set",                                                                        \
     .type = OUTPUT_TEXT,                                                                          \
     .doc = "Hash of the names and order of the features, 16 hexadecimal digits."},                \
    {.name = "configuration",                                                                      \
     .type = OUTPUT_TEXT,                                                                          \
     .doc = "Hash of the configuration that decided, 16 hexadecimal digits."}

/* Which event a record is of. */
#define EVENT_FIELDS                                                                               \
    {.name = "event_id",                                                                           \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Id that the sender gave the event; null where it gave none."},                        \
    {.name = "topic",                                                                              \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Topic that it came from, before it was sent on; null where the input is files."},     \
    {.name = "partition",                                                                          \
     .type = OUTPUT_TEXT,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Partition of that topic, or number of the file."},                                    \
    {.name = "ordinal",                                                                            \
     .type = OUTPUT_LONG,                                                                          \
     .is_nullable = true,                                                                          \
     .doc = "Offset of the event in its partition, or number in the file, from 0."},               \
    {.name = "user",                                                                               \
     .type = OUTPUT_TEXT,                                                                          \
     .privacy = PRIVACY_QUASI,                                                                     \
     .doc = "Pseudonym of the shopper, 32 hexadecimal digits."},                                   \
    {.name = "time", .type = OUTPUT_TIME, .doc = "Event time of the event."}
/* clang-format on */

#endif
