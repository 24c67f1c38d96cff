#include "pipeline/run/stages.h"

#include <stdlib.h>

#include "models/backend_cuda.h"
#include "models/model_backend.h"
#include "models/model_device.h"
#include "operators/emit_interventions.h"
#include "operators/extract_features.h"
#include "operators/fraud_plan.h"
#include "operators/predict_intent.h"
#include "operators/score_anomaly.h"
#include "operators/score_fraud.h"
#include "operators/sessionize.h"
#include "pipeline/base/hash.h"
#include "pipeline/run/dedupe.h"

/* No timer falls due sooner than this after what set it, whatever the rules say. */
#define TIMER_FLOOR_MIN_MS 1000
#define TIMER_FLOOR_MAX_MS 3600000

#define PROFILE_BYTES 512

const struct setting_section *const stage_sections[] = {
    &dedupe_section,
    &sessionize_section,
    &extract_features_section,
    &score_fraud_section,
    &predict_intent_section,
    &score_anomaly_section,
    &emit_interventions_section,
    &model_device_section,
    NULL,
};

const struct stage_info *const stage_infos[] = {
    &dedupe_info,         &sessionize_info,    &extract_features_info,   &score_fraud_info,
    &predict_intent_info, &score_anomaly_info, &emit_interventions_info, NULL,
};

struct stage_plan {
    struct dedupe_options dedupe;
    struct sessionize_options sessionize;
    struct extract_features_options features;
    struct score_fraud_options fraud;
    struct predict_intent_options intent;
    struct score_anomaly_options anomaly;
    struct markov_pack *markov; /* Or NULL. */
    struct fraud_plan *fraud_plan;
    struct predict_intent_packs intent_packs;
    struct expression_classes classes[SCORE_KIND_COUNT]; /* Of the packs. */
    struct emit_interventions_options interventions;
    struct rule_set *rules;
    struct model_device_options device;
    struct model_device_choice device_choice;
    uint32_t partitions;
    int64_t timer_floor_ms;
    uint64_t hash;
    char numeric_profile[PROFILE_BYTES];
};

static enum status read_options(struct stage_plan *plan, const struct yaml_node *root,
                                struct error *error)
{
    void *const members[] = {&plan->dedupe, &plan->sessionize, &plan->features,      &plan->fraud,
                             &plan->intent, &plan->anomaly,    &plan->interventions, &plan->device};
    for (size_t i = 0; stage_sections[i]; i++) {
        enum status status = settings_read(
            stage_sections[i], yaml_find(root, stage_sections[i]->name), members[i], error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static int64_t shortest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void settle_floor(struct stage_plan *plan)
{
    int64_t floor_ms = TIMER_FLOOR_MAX_MS;
    floor_ms = shortest(floor_ms, dedupe_timer_floor_ms(&plan->dedupe));
    floor_ms = shortest(floor_ms, sessionize_timer_floor_ms(&plan->sessionize));
    floor_ms = shortest(floor_ms, extract_features_timer_floor_ms(&plan->features));
    floor_ms = shortest(floor_ms, emit_interventions_timer_floor_ms(plan->rules));
    plan->timer_floor_ms = floor_ms > TIMER_FLOOR_MIN_MS ? floor_ms : TIMER_FLOOR_MIN_MS;
}

static uint64_t hash_words(uint64_t hash, const int64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash = hash64_combine(hash, (uint64_t)words[i]);
    }
    return hash;
}

static void settle_hash(struct stage_plan *plan)
{
    assert(plan->rules); /* Loaded before. */
    const int64_t words[] = {
        plan->dedupe.mode,
        plan->dedupe.horizon_ms,
        plan->sessionize.by_hint,
        plan->sessionize.gap_ms,
        plan->sessionize.hint_gap_ms,
        plan->sessionize.max_length_ms,
        plan->sessionize.max_events,
        plan->sessionize.late_reach_ms,
        plan->features.utc_offset_minutes,
        plan->features.cart_lifetime_ms,
    };
    uint64_t hash =
        hash_words(extract_features_set()->hash, words, sizeof(words) / sizeof(words[0]));
    hash = hash64_combine(hash, fraud_plan_hash(plan->fraud_plan));
    const struct model_pack *packs[] = {plan->intent_packs.purchase, plan->intent_packs.abandon};
    for (size_t i = 0; i < 2; i++) {
        hash = hash64_combine(hash, packs[i] ? packs[i]->hash : 0);
    }
    hash = plan->markov ? hash64_combine(hash, plan->markov->hash) : hash;
    uint64_t anomaly = score_anomaly_hash(&plan->anomaly);
    hash = anomaly ? hash64_combine(hash, anomaly) : hash;
    plan->hash = hash64_combine(hash, plan->rules->hash);
}

static void note_classes(struct stage_plan *plan)
{
    assert(plan->fraud_plan); /* Loaded before. */
    const struct model_pack *packs[SCORE_KIND_COUNT] = {
        [SCORE_FRAUD] = plan->fraud_plan->pack,
        [SCORE_PURCHASE] = plan->intent_packs.purchase,
        [SCORE_ABANDON] = plan->intent_packs.abandon,
    };
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        const struct pack_classes *classes = packs[kind] ? &packs[kind]->classes : NULL;
        plan->classes[kind] =
            classes
                ? (struct expression_classes){(const char *const *)classes->names, classes->count}
                : (struct expression_classes){0};
    }
}

static enum status load_parts(struct stage_plan *plan, const struct yaml_node *root,
                              struct error *error)
{
    enum status status = read_options(plan, root, error);
    if (status == STATUS_OK) {
        status = extract_features_load(&plan->features, &plan->markov, error);
    }
    if (status == STATUS_OK) {
        status = fraud_plan_load(&plan->fraud, extract_features_set(), &plan->fraud_plan, error);
    }
    if (status == STATUS_OK) {
        status = predict_intent_load(&plan->intent, &plan->intent_packs, error);
    }
    if (status == STATUS_OK) {
        note_classes(plan);
        status = emit_interventions_rules(
            &plan->interventions, yaml_find(root, emit_interventions_section.name),
            extract_features_set(), plan->classes, &plan->rules, error);
    }
    return status;
}

/* A session's end is scored where a rule asks for that: there are a third as many as events. */
static void settle_scoring(struct stage_plan *plan)
{
    plan->fraud_plan->spares_session_ends = !plan->rules->has_session_end;
    plan->intent_packs.spares_session_ends = !plan->rules->has_session_end;
}

/* Models that our own kernels would score go to the GPU where it was chosen. */
static enum status choose_device(struct stage_plan *plan, struct error *error)
{
    assert(plan->fraud_plan); /* Loaded before. */
    const struct model_pack *packs[] = {plan->intent_packs.purchase, plan->intent_packs.abandon,
                                        plan->fraud_plan->pack};
    enum status status = model_device_choose(&plan->device, packs, sizeof(packs) / sizeof(packs[0]),
                                             &plan->device_choice, error);
    if (status == STATUS_OK && plan->device_choice.is_cuda) {
        if (plan->intent_packs.backend == &backend_lanes) {
            plan->intent_packs.backend = &backend_cuda;
        }
        if (plan->fraud_plan->backend == &backend_lanes) {
            plan->fraud_plan->backend = &backend_cuda;
        }
    }
    return status;
}

/* Creates the stages once and throws them away: what they would refuse is refused before a run. */
static enum status try_stages(const struct stage_plan *plan, uint32_t partitions,
                              struct error *error)
{
    struct record_layout layout = {0};
    struct stage *stages[STAGES_MAX];
    uint32_t count;
    struct stage_context context = {.partition = "0", .partition_count = partitions};
    enum status status = stage_plan_create_stages(plan, &context, &layout, stages, &count, error);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        stage_destroy(stages[i]);
    }
    return status;
}

enum status stage_plan_load(const struct yaml_node *root, uint32_t partitions,
                            struct stage_plan **ret_plan, struct error *error)
{
    struct stage_plan *plan = calloc(1, sizeof(*plan));
    if (!plan) {
        return error_set(error, STATUS_FATAL, "stages: out of memory");
    }
    plan->partitions = partitions;
    enum status status = load_parts(plan, root, error);
    if (status == STATUS_OK) {
        status = choose_device(plan, error);
    }
    if (status == STATUS_OK) {
        settle_floor(plan);
        settle_hash(plan);
        settle_scoring(plan);
        const char *intent = model_backends[plan->intent.backend]->profile();
        const char *fraud = model_backends[plan->fraud.backend]->profile();
        (void)snprintf(plan->numeric_profile, sizeof(plan->numeric_profile), "%s%s%s", intent,
                       intent != fraud ? "; fraud " : "", intent != fraud ? fraud : "");
        status = try_stages(plan, partitions, error);
    }
    if (status != STATUS_OK) {
        stage_plan_destroy(plan);
        return status;
    }
    *ret_plan = plan;
    return STATUS_OK;
}

void stage_plan_destroy(struct stage_plan *plan)
{
    if (!plan) {
        return;
    }
    markov_pack_unload(plan->markov);
    fraud_plan_unload(plan->fraud_plan);
    predict_intent_unload(&plan->intent_packs);
    rule_set_destroy(plan->rules);
    settings_release(&dedupe_section, &plan->dedupe);
    settings_release(&sessionize_section, &plan->sessionize);
    settings_release(&extract_features_section, &plan->features);
    settings_release(&score_fraud_section, &plan->fraud);
    settings_release(&predict_intent_section, &plan->intent);
    settings_release(&score_anomaly_section, &plan->anomaly);
    settings_release(&emit_interventions_section, &plan->interventions);
    settings_release(&model_device_section, &plan->device);
    free(plan);
}

int64_t stage_plan_timer_floor_ms(const struct stage_plan *plan)
{
    return plan->timer_floor_ms;
}

int64_t stage_plan_longest_delay_ms(const struct stage_plan *plan)
{
    int64_t longest_ms = plan->sessionize.hint_gap_ms > plan->sessionize.gap_ms
                             ? plan->sessionize.hint_gap_ms
                             : plan->sessionize.gap_ms;
    for (uint32_t i = 0; i < plan->rules->count; i++) {
        int64_t delay_ms = plan->rules->rules[i].delay_ms;
        longest_ms = delay_ms > longest_ms ? delay_ms : longest_ms;
    }
    return longest_ms;
}

const struct feature_set *stage_plan_features(const struct stage_plan *plan)
{
    (void)plan; /* One set for the program, so far. */
    return extract_features_set();
}

const char *stage_plan_numeric_profile(const struct stage_plan *plan)
{
    return plan->numeric_profile;
}

const char *stage_plan_device(const struct stage_plan *plan)
{
    return plan->device_choice.why;
}

uint64_t stage_plan_hash(const struct stage_plan *plan)
{
    return plan->hash;
}

bool stage_plan_deduplicates_by_content(const struct stage_plan *plan)
{
    return plan->dedupe.mode == DEDUPE_CONTENT;
}

static void print_rule_line(void *context, const char *text)
{
    (void)fprintf(context, "  %s\n", text);
}

/* As rules name them. */
static void print_classes(const struct stage_plan *plan, FILE *out)
{
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        const struct expression_classes *classes = &plan->classes[kind];
        if (classes->count > 0) {
            (void)fprintf(out, "classes of the %s model:", score_names[kind]);
        }
        for (uint32_t k = 0; k < classes->count; k++) {
            (void)fprintf(out, "%s %s_score[\"%s\"]", k > 0 ? "," : "", score_names[kind],
                          classes->names[k]);
        }
        (void)fputs(classes->count > 0 ? "\n" : "", out);
    }
}

void stage_plan_describe(const struct stage_plan *plan, FILE *out)
{
    (void)fprintf(out, "sessions: %s, gap %lld ms\n",
                  plan->sessionize.by_hint ? "by the session hint" : "by inactivity",
                  (long long)plan->sessionize.gap_ms);
    (void)fprintf(out, "features: %u, set %016llx\n", extract_features_set()->count,
                  (unsigned long long)extract_features_set()->hash);
    (void)fprintf(out, "Markov table: %s\n",
                  plan->markov ? plan->markov->label : "a common shop's");
    (void)fprintf(out, "purchase model: %s\n",
                  plan->intent_packs.purchase ? plan->intent_packs.purchase->label : "none");
    (void)fprintf(out, "abandon model: %s\n",
                  plan->intent_packs.abandon ? plan->intent_packs.abandon->label : "none");
    print_classes(plan, out);
    (void)fprintf(out, "numeric profile: %s\n", plan->numeric_profile);
    (void)fprintf(out, "device: %s\n", plan->device_choice.why);
    (void)fprintf(out, "rules: %u\n", plan->rules->count);
    rule_set_describe(plan->rules, plan->partitions, print_rule_line, out);
}

enum status stage_plan_create_stages(const struct stage_plan *plan,
                                     const struct stage_context *context,
                                     struct record_layout *layout, struct stage **ret_stages,
                                     uint32_t *ret_count, struct error *error)
{
    const struct feature_set *set = extract_features_set();
    /* State by an entity is a matter of the whole task; features are kept for those that it has. */
    struct extract_features_options features = plan->features;
    features.entity_mask = context->entity_mask;
    features.carried_mask = context->carried_mask;
    uint32_t count = 0;
    enum status status = dedupe_create(&plan->dedupe, layout, &ret_stages[count], error);
    count += status == STATUS_OK;
    if (status == STATUS_OK) {
        status = sessionize_create(&plan->sessionize, layout, &ret_stages[count], error);
        count += status == STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = extract_features_create(&features, plan->markov ? &plan->markov->table : NULL,
                                         layout, &ret_stages[count], error);
        count += status == STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = score_fraud_create(plan->fraud_plan, set, &ret_stages[count], error);
        count += status == STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = predict_intent_create(&plan->intent_packs, set, layout, &ret_stages[count], error);
        count += status == STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = score_anomaly_create(&plan->anomaly, set, layout, &ret_stages[count], error);
        count += status == STATUS_OK;
    }
    struct emit_interventions_context interventions = {
        .partition = context->partition,
        .partition_count = context->partition_count,
        .configuration = context->epoch_hash,
        .numeric_profile = plan->numeric_profile,
    };
    if (status == STATUS_OK) {
        status = emit_interventions_create(&plan->interventions, plan->rules, set, &interventions,
                                           layout, &ret_stages[count], error);
        count += status == STATUS_OK;
    }
    if (status != STATUS_OK) {
        while (count > 0) {
            stage_destroy(ret_stages[--count]);
        }
        return status;
    }
    *ret_count = count;
    return STATUS_OK;
}

enum status stage_plan_create_hop(const struct stage_plan *plan, enum entity_kind kind,
                                  struct record_layout *layout, struct stage **ret_stages,
                                  uint32_t *ret_count, struct error *error)
{
    enum status status = dedupe_create_entity(&plan->dedupe, kind, layout, &ret_stages[0], error);
    if (status != STATUS_OK) {
        return status;
    }
    status = extract_features_create_entity(&plan->features, kind, layout, &ret_stages[1], error);
    if (status != STATUS_OK) {
        stage_destroy(ret_stages[0]);
        return status;
    }
    *ret_count = 2;
    return STATUS_OK;
}

void stage_plan_carried(uint32_t entity_mask, struct carried_columns *ret_columns)
{
    extract_features_carried(entity_mask, ret_columns);
}

void stages_describe(bool markdown, FILE *out)
{
    for (size_t i = 0; stage_infos[i]; i++) {
        const struct stage_info *info = stage_infos[i];
        if (markdown) {
            (void)fprintf(out, "## %s\n\n%s\n\n- Reads: %s\n- Writes: %s\n\n", info->name,
                          info->doc, info->reads, info->writes);
        } else {
            (void)fprintf(out, "%s: %s\n  reads %s\n  writes %s\n", info->name, info->doc,
                          info->reads, info->writes);
        }
    }
}

void features_describe(bool markdown, FILE *out)
{
    extract_features_describe(markdown, out);
}
