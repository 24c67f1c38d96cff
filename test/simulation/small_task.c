#include "test/simulation/small_task.h"

#include "test/simulation/plans.h"

void small_script_make(struct script *script, uint64_t seed)
{
    script_make(script, seed, 1);
    script->event_count = 60;
    script->tick_count = 0;
}

enum status small_task_build(struct small_task *small, const struct script *script,
                             struct commit_log_file_options *log, struct task_parts *parts,
                             struct error *error)
{
    struct stage_context context = {.partition = "0", .partition_count = 1, .entity_mask = 1};
    small->layout = (struct record_layout){0};
    parts->layout = &small->layout;
    scripted_input_init(&small->input, script);
    parts->input = &small->input.input;
    log->partition = "0";
    log->format = OUTPUT_JSONL;
    enum status status =
        record_layout_add(&small->layout, &task_progress_part, &parts->progress_offset, error);
    if (status == STATUS_OK) {
        status = output_batch_create(OUTPUT_JSONL, &parts->outputs, error);
    }
    if (status == STATUS_OK) {
        status = stage_plan_create_stages(plans_get(0), &context, &small->layout, parts->stages,
                                          &parts->stage_count, error);
    }
    return status == STATUS_OK ? commit_log_file_open(log, &parts->log, error) : status;
}

struct task_options small_task_options(void)
{
    return (struct task_options){
        .intake = {.source_name = "script",
                   .partition = "0",
                   .allowed_lateness_ms = 5000,
                   .max_ahead_ms = INT64_C(864000000),
                   .timer_floor_ms = stage_plan_timer_floor_ms(plans_get(0)),
                   .entity_mask = 1},
        .cache = {.bytes_max = 8u << 20},
        .feature_count = stage_plan_features(plans_get(0))->count,
        .plan_hash = 7,
        .numeric_profile = "test",
        .scored_events_share = 0.2,
        .is_finite = true,
    };
}
