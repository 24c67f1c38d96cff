/* Writes the records of one decision; used by emit_interventions.c alone. */
#ifndef OPERATORS_EMIT_INTERVENTIONS_RECORDS_H
#define OPERATORS_EMIT_INTERVENTIONS_RECORDS_H

#include "operators/emit_interventions.h"

/* What is the same for all decisions of a stage. */
struct decision_source {
    struct emit_interventions_context context;
    const struct rule_set *set;
    const struct feature_set *features;
    uint64_t fields;         /* Bit per enum event_field that is carried along. */
    uint64_t partition_hash; /* Of the partition's name. */
};

struct decision {
    const struct rule *rule;
    uint32_t row;
    enum suppression suppression;
    bool is_held_out;
    struct rule_cause cause; /* The event, or the one that a timer goes back to. */
};

/* Writes the decision, and the alert or promotion where it was carried out. */
void decision_write(const struct decision_source *source, struct event_batch *batch,
                    const struct decision *decision);

#endif
