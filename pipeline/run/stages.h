/* The ordered list of stages. stages.c is the only file that names every operator. */
#ifndef PIPELINE_RUN_STAGES_H
#define PIPELINE_RUN_STAGES_H

#include <stdio.h>

#include "pipeline/config/settings.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/stage.h"
#include "pipeline/state/record.h"

#define STAGES_MAX 8

/* Everything configured: options, compiled rules, loaded packs. Constant after load, shared. */
struct stage_plan;

/*
 * Reads the stages' sections below `root`, loads their packs and compiles their rules. `partitions`
 * divides budgets.
 */
MUST_CHECK enum status stage_plan_load(const struct yaml_node *root, uint32_t partitions,
                                       struct stage_plan **ret_plan, struct error *error);
void stage_plan_destroy(struct stage_plan *plan);

/* The shortest delay after which a timer of any stage can fall due. */
int64_t stage_plan_timer_floor_ms(const struct stage_plan *plan);
/* The longest that a record must be kept after its last event for a timer to fall due. */
int64_t stage_plan_longest_delay_ms(const struct stage_plan *plan);
const struct feature_set *stage_plan_features(const struct stage_plan *plan);
const char *stage_plan_numeric_profile(const struct stage_plan *plan);
/* The device that scores, and why, for people; see model_device.h. */
const char *stage_plan_device(const struct stage_plan *plan);
bool stage_plan_deduplicates_by_content(const struct stage_plan *plan);
uint64_t stage_plan_hash(const struct stage_plan *plan);
void stage_plan_describe(const struct stage_plan *plan, FILE *out);

struct stage_context {
    const char *partition;
    uint32_t partition_count;
    uint64_t epoch_hash;
    uint32_t entity_mask;
    uint32_t carried_mask; /* Entities whose features come with the events. */
};

/*
 * Makes the stages of one task, in order, and adds their parts to `layout`. `ret_stages` has room
 * for STAGES_MAX. The plan must outlive them.
 */
MUST_CHECK enum status stage_plan_create_stages(const struct stage_plan *plan,
                                                const struct stage_context *context,
                                                struct record_layout *layout,
                                                struct stage **ret_stages, uint32_t *ret_count,
                                                struct error *error);

/* Likewise, of a task that keeps state by `kind` alone and sends on what comes of it. */
MUST_CHECK enum status stage_plan_create_hop(const struct stage_plan *plan, enum entity_kind kind,
                                             struct record_layout *layout,
                                             struct stage **ret_stages, uint32_t *ret_count,
                                             struct error *error);

/* The columns that events bring along from such tasks, those of `entity_mask`. */
void stage_plan_carried(uint32_t entity_mask, struct carried_columns *ret_columns);

/* The stages' sections; NULL ends the list. */
extern const struct setting_section *const stage_sections[];
extern const struct stage_info *const stage_infos[];

void stages_describe(bool markdown, FILE *out);
void features_describe(bool markdown, FILE *out);

#endif
