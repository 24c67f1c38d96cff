#include "operators/emit_interventions_records.h"

#include <math.h>
#include <string.h>

#include "pipeline/output/topic_records.h"

#define TERMS_MAX (FEATURES_MAX + 64u)

/*
 * From the partition, the event's ordinal and the rule; of a timer from the user, the time it fell
 * due, its session and the rule. So it is the same however often the input is read.
 */
static struct key128 decision_id(const struct decision_source *source,
                                 const struct event_batch *batch, const struct decision *decision)
{
    uint32_t row = decision->row;
    uint64_t cause;
    if (batch->kind[row] == ROW_EVENT) {
        cause = batch->ordinal[row];
    } else {
        cause = hash64_combine(batch->user_key[row].high, batch->user_key[row].low);
        cause = hash64_combine(cause, (uint64_t)batch->time_ms[row]);
        cause = hash64_combine(cause, batch->session_id[row] + batch->timer_slot[row]);
    }
    uint64_t where = hash64_combine(source->partition_hash, batch->kind[row]);
    return (struct key128){
        .high = hash64_combine(hash64_combine(where, cause), decision->rule->hash),
        .low = hash64_combine(decision->rule->hash, hash64_combine(cause, where)),
    };
}

/* ---- Pieces that the topics share ---- */

static void write_nullable_text(struct output_writer *writer, struct text value)
{
    if (value.data) {
        output_text(writer, value);
    } else {
        output_null(writer);
    }
}

static void write_nullable_float(struct output_writer *writer, float value)
{
    if (isnan(value)) {
        output_null(writer);
    } else {
        output_float(writer, value);
    }
}

/* decision_id .. rule: what caused it, where and when. */
static void write_cause(const struct decision_source *source, const struct event_batch *batch,
                        const struct decision *decision, struct output_writer *writer)
{
    uint32_t row = decision->row;
    bool is_event = batch->kind[row] == ROW_EVENT;
    output_set_cause(writer, is_event ? batch->ordinal[row] : OUTPUT_CAUSE_NONE);
    output_key(writer, decision_id(source, batch, decision));
    output_text(writer, text_of(rule_trigger_names[decision->rule->trigger]));
    write_nullable_text(writer, decision->cause.id);
    place_write(writer, &batch->places, decision->cause.place);
    output_time(writer, decision->cause.time_ms);
    output_key(writer, batch->user_key[row]);
    output_time(writer, batch->time_ms[row]);
    output_text(writer, text_of(decision->rule->name));
}

static void write_session(const struct event_batch *batch, uint32_t row,
                          struct output_writer *writer)
{
    if (batch->session_id[row]) {
        output_id(writer, batch->session_id[row]);
    } else {
        output_null(writer);
    }
}

static void write_scores(const struct event_batch *batch, uint32_t row,
                         struct output_writer *writer)
{
    output_record_begin(writer);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        write_nullable_float(writer, batch->score[kind][row]);
    }
    output_record_end(writer);
    output_record_begin(writer);
    for (int part = 0; part < FRAUD_PART_COUNT; part++) {
        write_nullable_float(writer, batch->fraud_logit[part][row]);
    }
    output_record_end(writer);
}

/* ---- Why: the terms that moved the score most ---- */

struct explanation {
    struct contribution terms[TERMS_MAX];
    uint32_t count;
    float intercept; /* NaN: the score has none of its own. */
};

/* The larger one first; equal ones by name. */
static int compare_terms(const struct contribution *a, const struct contribution *b)
{
    float size_a = fabsf(a->logit);
    float size_b = fabsf(b->logit);
    if (size_a != size_b) {
        return size_a > size_b ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

/* What a score starts from, whatever the row: a model's intercept, or the rate of fraud. */
static bool is_start(const char *name)
{
    return strcmp(name, "intercept") == 0 || strcmp(name, "base rate") == 0;
}

static bool is_explained(const struct event_batch *batch, uint32_t row, enum score_kind kind)
{
    return batch->explainer[kind].explain && !isnan(batch->score_logit[kind][row]);
}

/* The rule's own score, else the next best one that was computed; the rule's own where none was. */
static enum score_kind explained_score(const struct event_batch *batch,
                                       const struct decision *decision)
{
    enum score_kind own = decision->rule->score;
    const enum score_kind *ranks = rule_score_ranks[decision->rule->is_alert];
    for (int i = 0; !is_explained(batch, decision->row, own) && i < SCORE_KIND_COUNT; i++) {
        if (is_explained(batch, decision->row, ranks[i])) {
            return ranks[i];
        }
    }
    return own;
}

/* Makes the largest of the starts the intercept. */
static void take_start(struct explanation *explanation)
{
    struct contribution *terms = explanation->terms;
    struct contribution *start = NULL;
    for (uint32_t i = 0; i < explanation->count; i++) {
        if (is_start(terms[i].name) && (!start || compare_terms(&terms[i], start) < 0)) {
            start = &terms[i];
        }
    }
    if (start) {
        explanation->intercept = start->logit;
        explanation->count--;
        memmove(start, start + 1,
                (size_t)(terms + explanation->count - start) * sizeof(*explanation->terms));
    }
}

/* Brings those that are shown to the front; the order of the others does not matter. */
static void rank_terms(struct explanation *explanation)
{
    struct contribution *terms = explanation->terms;
    for (uint32_t place = 0; place < REASON_TERMS && place < explanation->count; place++) {
        uint32_t best = place;
        for (uint32_t i = place + 1; i < explanation->count; i++) {
            best = compare_terms(&terms[i], &terms[best]) < 0 ? i : best;
        }
        struct contribution first = terms[best];
        terms[best] = terms[place];
        terms[place] = first;
    }
}

static void explain(const struct event_batch *batch, uint32_t row, enum score_kind kind,
                    struct explanation *explanation)
{
    const struct score_explainer *explainer = &batch->explainer[kind];
    explanation->count = 0;
    explanation->intercept = NAN;
    if (!is_explained(batch, row, kind)) {
        return;
    }
    explanation->count =
        explainer->explain(explainer->context, batch, row, explanation->terms, TERMS_MAX);
    take_start(explanation);
    rank_terms(explanation);
}

static void write_terms(const struct explanation *explanation, uint32_t count,
                        struct output_writer *writer)
{
    output_array_begin(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        output_record_begin(writer);
        output_text(writer, text_of(explanation->terms[i].name));
        write_nullable_float(writer, explanation->terms[i].value);
        write_nullable_float(writer, explanation->terms[i].logit);
        output_record_end(writer);
    }
    output_array_end(writer);
}

/* score, logit, intercept, terms, others, model: the first and last of them sum to the logit. */
static void write_reasons(const struct event_batch *batch, const struct decision *decision,
                          struct output_writer *writer)
{
    enum score_kind kind = explained_score(batch, decision);
    struct explanation explanation;
    explain(batch, decision->row, kind, &explanation);
    float logit = batch->score_logit[kind][decision->row];
    uint32_t shown = explanation.count < REASON_TERMS ? explanation.count : REASON_TERMS;
    /* The rest is what is missing to the logit, so that the sum is right by construction. */
    double rest =
        (double)logit - (isnan(explanation.intercept) ? 0 : (double)explanation.intercept);
    for (uint32_t i = 0; i < shown; i++) {
        rest -= (double)explanation.terms[i].logit;
    }
    bool has_terms = explanation.count > 0 || !isnan(explanation.intercept);
    output_text(writer, text_of(score_names[kind]));
    write_nullable_float(writer, logit);
    write_nullable_float(writer, explanation.intercept);
    write_terms(&explanation, shown, writer);
    write_nullable_float(writer, has_terms ? (float)rest : NAN);
    const char *version = batch->explainer[kind].version;
    write_nullable_text(writer, version ? text_of(version) : (struct text){NULL, 0});
}

/* ---- Fields that the configuration lists ---- */

static bool field_is_carried(const struct decision_source *source, const struct event_batch *batch,
                             uint32_t row, int field)
{
    return field < TEXT_FIELD_COUNT && (source->fields >> field & 1) &&
           batch->kind[row] == ROW_EVENT && event_has(batch, row, (enum event_field)field);
}

static void write_fields(const struct decision_source *source, const struct event_batch *batch,
                         uint32_t row, struct output_writer *writer)
{
    uint32_t count = 0;
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        count += field_is_carried(source, batch, row, field);
    }
    output_map_begin(writer, count);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        if (field_is_carried(source, batch, row, field)) {
            output_map_name(writer, text_of(event_fields[field].name));
            output_text(writer, batch->text[field][row]);
        }
    }
    output_map_end(writer);
}

/* rule_set, feature_set, configuration */
static void write_versions(const struct decision_source *source, struct output_writer *writer)
{
    output_id(writer, source->set->hash);
    output_id(writer, source->features->hash);
    output_id(writer, source->context.configuration);
}

/* ---- The topics ---- */

static struct text render_reason(const struct decision_source *source, struct event_batch *batch,
                                 const struct decision *decision)
{
    return decision->rule->reason_source
               ? rule_template_render(&decision->rule->reason, source->set->program, batch,
                                      decision->row, &batch->arena)
               : (struct text){NULL, 0};
}

/* session_id .. fields: what alerts and promotions have behind what is their own. */
static void write_circumstances(const struct decision_source *source, struct event_batch *batch,
                                const struct decision *decision, struct output_writer *writer)
{
    write_session(batch, decision->row, writer);
    write_scores(batch, decision->row, writer);
    write_reasons(batch, decision, writer);
    write_versions(source, writer);
    write_fields(source, batch, decision->row, writer);
}

static void write_alert(const struct decision_source *source, struct event_batch *batch,
                        const struct decision *decision)
{
    const struct rule *rule = decision->rule;
    uint32_t row = decision->row;
    struct output_writer *writer =
        output_begin(batch->outputs, TOPIC_ALERTS, batch->user_key[row], batch->time_ms[row]);
    write_cause(source, batch, decision, writer);
    output_text(writer, text_of(rule_severities[rule->severity]));
    output_text(writer, render_reason(source, batch, decision));
    write_nullable_text(writer, rule->step == STEP_NONE ? (struct text){NULL, 0}
                                                        : text_of(rule_steps[rule->step]));
    write_circumstances(source, batch, decision, writer);
    output_end(writer);
}

static void write_nullable_double(struct output_writer *writer, double value)
{
    if (value > 0) {
        output_double(writer, value);
    } else {
        output_null(writer);
    }
}

static void write_promotion(const struct decision_source *source, struct event_batch *batch,
                            const struct decision *decision)
{
    const struct rule *rule = decision->rule;
    uint32_t row = decision->row;
    struct output_writer *writer =
        output_begin(batch->outputs, TOPIC_PROMOTIONS, batch->user_key[row], batch->time_ms[row]);
    write_cause(source, batch, decision, writer);
    output_text(writer, text_of(rule_offers[rule->offer]));
    write_nullable_double(writer, rule->value);
    write_nullable_text(writer,
                        rule->currency[0] ? text_of(rule->currency) : (struct text){NULL, 0});
    write_nullable_double(writer, rule->percent);
    output_time(writer, batch->time_ms[row] + rule->valid_for_ms);
    write_nullable_text(writer, render_reason(source, batch, decision));
    write_circumstances(source, batch, decision, writer);
    output_end(writer);
}

static void write_nullable_long(struct output_writer *writer, int64_t value)
{
    if (value > 0) {
        output_long(writer, value);
    } else {
        output_null(writer);
    }
}

/* Zero stands for a limit that the rule does not have. */
static void write_limits(const struct rule *rule, struct output_writer *writer)
{
    const struct text none = {NULL, 0};
    bool is_amount = rule->budget_kind == BUDGET_AMOUNT;
    output_record_begin(writer);
    write_nullable_long(writer, rule->delay_ms);
    write_nullable_long(writer, rule->cooldown_ms);
    write_nullable_long(writer, rule->cap_count);
    write_nullable_long(writer, rule->cap_window_ms);
    write_nullable_long(writer, rule->budget_kind == BUDGET_COUNT ? rule->budget : 0);
    write_nullable_double(writer, is_amount ? (double)rule->budget / 1e6 : 0);
    write_nullable_text(writer, is_amount ? text_of(rule->currency) : none);
    write_nullable_text(writer, rule->budget_kind == BUDGET_NONE
                                    ? none
                                    : text_of(rule->is_budget_daily ? "day" : "total"));
    write_nullable_double(writer, rule->holdout_share);
    output_record_end(writer);
}

static void write_decision(const struct decision_source *source, struct event_batch *batch,
                           const struct decision *decision)
{
    const struct rule *rule = decision->rule;
    uint32_t row = decision->row;
    struct output_writer *writer =
        output_begin(batch->outputs, TOPIC_DECISIONS, batch->user_key[row], batch->time_ms[row]);
    write_cause(source, batch, decision, writer);
    output_long(writer, rule->priority);
    write_nullable_text(writer,
                        rule->condition ? text_of(rule->condition) : (struct text){NULL, 0});
    output_text(writer, text_of(rule->is_alert ? "alert" : "promotion"));
    output_bool(writer, decision->suppression == SUPPRESSED_NOT);
    write_nullable_text(writer, decision->suppression == SUPPRESSED_NOT
                                    ? (struct text){NULL, 0}
                                    : text_of(suppression_names[decision->suppression]));
    output_text(writer, text_of(decision->is_held_out ? "held_out" : "treated"));
    output_double(writer, decision->is_held_out ? rule->holdout_share : 1 - rule->holdout_share);
    write_limits(rule, writer);
    write_session(batch, row, writer);
    write_scores(batch, row, writer);
    write_versions(source, writer);
    output_float_array(writer, batch->features + (size_t)row * batch->feature_stride,
                       batch->feature_count);
    output_text(writer, text_of(source->context.numeric_profile));
    output_end(writer);
}

void decision_write(const struct decision_source *source, struct event_batch *batch,
                    const struct decision *decision)
{
    write_decision(source, batch, decision);
    if (decision->suppression == SUPPRESSED_NOT && decision->rule->is_alert) {
        write_alert(source, batch, decision);
    } else if (decision->suppression == SUPPRESSED_NOT) {
        write_promotion(source, batch, decision);
    }
}
