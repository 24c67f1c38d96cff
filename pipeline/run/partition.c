#include "pipeline/run/partition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/commit/commit_log_null.h"
#include "pipeline/commit/storage.h"
#include "pipeline/limits.h"
#include "pipeline/state/record_codec.h"

#define TIMER_ENTRIES_MAX 262144u
#define PATH_BYTES 4096
#define TRANSACTION_RECORDS_MAX 1000000u
#define BATCH_BYTES_LEAST ((size_t)1 << 19) /* So that a model has rows enough at a time. */
/* The larger a slice, the less is merged later; but the longer it takes until it is durable. */
#define STREAM_SLICE_RECORDS 16384u
#define FILE_SLICE_RECORDS 32768u
/* A commit to brokers costs, a commit to files hardly: what is left of the cache holds records. */
#define STREAM_TRANSACTION_SHARE 7u
#define FILE_TRANSACTION_SHARE 10u
/* Of a cache, so that what a slice needs, 500 bytes a record with its copy, is a sixth of it. */
#define SLICE_BYTES_A_RECORD 3200u

/* A tap is borrowed: this stands in its place and lets destroy pass by. */
struct borrowed_stage {
    struct stage stage;
    struct stage *target;
};

static enum status borrowed_process(struct stage *stage, struct event_batch *batch,
                                    struct error *error)
{
    struct stage *target = container_of(stage, struct borrowed_stage, stage)->target;
    return target->ops->process(target, batch, error);
}

static void borrowed_destroy(struct stage *stage)
{
    free(container_of(stage, struct borrowed_stage, stage));
}

static const struct stage_info borrowed_info = {.name = "tap", .doc = "Reads the rows as served"};
static const struct stage_ops borrowed_ops = {
    .info = &borrowed_info,
    .process = borrowed_process,
    .destroy = borrowed_destroy,
};

static enum status add_tap(struct task_parts *parts, struct stage *tap, struct error *error)
{
    struct borrowed_stage *borrowed = calloc(1, sizeof(*borrowed));
    if (!borrowed) {
        return error_set(error, STATUS_FATAL, "partition: out of memory");
    }
    borrowed->stage.ops = &borrowed_ops;
    borrowed->target = tap;
    parts->stages[parts->stage_count++] = &borrowed->stage;
    return STATUS_OK;
}

static enum status open_input(const struct partition_options *options, struct task_parts *parts,
                              struct error *error)
{
    const struct input_options *input = &options->config->input;
    struct source_options source = {
        .path = options->file,
        .format = (enum input_format)input->format,
        .is_followed = input->is_followed,
        .csv_delimiter =
            (char)(strcmp(input->csv_delimiter, "\\t") == 0 ? '\t' : input->csv_delimiter[0]),
        .csv_comment = (char)(input->csv_comment ? input->csv_comment[0] : '\0'),
        .csv_has_header = input->csv_has_header,
        .csv_is_ragged = input->csv_is_ragged,
        .csv_columns = input->csv_columns.count > 0 ? &input->csv_columns : NULL,
    };
    return input_file_open(&source, options->config->mapping, &parts->input, error);
}

static enum status open_store_and_log(const struct partition_options *options,
                                      struct task_parts *parts, struct error *error)
{
    if (!options->output_directory) {
        enum status status = state_store_memory_open(&parts->store, error);
        return status == STATUS_OK ? commit_log_null_open(&parts->log, error) : status;
    }
    char log_directory[PATH_BYTES];
    char store_directory[PATH_BYTES];
    int log_length = snprintf(log_directory, sizeof(log_directory), "%s/%s/log",
                              options->state_directory, options->name);
    int store_length = snprintf(store_directory, sizeof(store_directory), "%s/%s/store",
                                options->state_directory, options->name);
    if (log_length >= PATH_BYTES || store_length >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%s: path too long", options->state_directory);
    }
    const struct config *config = options->config;
    struct commit_log_file_options log = {
        .storage = storage_posix(),
        .output_directory = options->output_directory,
        .log_directory = log_directory,
        .partition = options->name,
        .format = (enum output_format)config->output.format,
        .is_synced = config->commit.is_synced,
        .segment_bytes = (uint64_t)config->commit.segment_bytes,
    };
    /* The log first: its lock keeps a second process away from outputs and store alike. */
    enum status status = commit_log_file_open(&log, &parts->log, error);
    if (status == STATUS_OK) {
        status = state_store_rocksdb_open(store_directory, options->budget,
                                          config->state.retention_ms, &parts->store, error);
    }
    return status;
}

static enum status build_parts(const struct partition_options *options,
                               struct record_layout *layout, struct task_parts *parts,
                               struct error *error)
{
    const struct config *config = options->config;
    enum status status =
        record_layout_add(layout, &task_progress_part, &parts->progress_offset, error);
    if (status == STATUS_OK && options->origin_count > 0) {
        parts->origin_count = options->origin_count;
        status = record_layout_add(layout, &origin_marks_part, &parts->origins_offset, error);
    }
    if (status == STATUS_OK && !options->ends) {
        status = open_input(options, parts, error);
    }
    if (status == STATUS_OK) {
        status =
            output_batch_create((enum output_format)config->output.format, &parts->outputs, error);
    }
    struct stage_context context = {
        .partition = options->name,
        .partition_count = options->count,
        .epoch_hash = config_hash(config),
        .entity_mask = config->entity_mask & ~config->hop_mask,
        .carried_mask = config->hop_mask,
    };
    if (status == STATUS_OK && options->hop != ENTITY_USER) {
        status = stage_plan_create_hop(config->plan, options->hop, layout, parts->stages,
                                       &parts->stage_count, error);
    } else if (status == STATUS_OK) {
        status = stage_plan_create_stages(config->plan, &context, layout, parts->stages,
                                          &parts->stage_count, error);
    }
    if (status == STATUS_OK && options->tap) {
        status = add_tap(parts, options->tap, error);
    }
    if (status == STATUS_OK) {
        status = options->ends ? options->ends->open(options->ends, options, parts, error)
                               : open_store_and_log(options, parts, error);
    }
    return status;
}

/* What a task does at once, so that all of it fits into the cache. */
struct portion {
    uint32_t batch_events;
    size_t transaction_bytes; /* Encoded, before the last batch of a transaction. */
};

/*
 * The more records a transaction holds, the fewer are written twice. All that it changes, encoded,
 * must fit into the share of the cache that is set aside for that: what it has, one batch more, and
 * the timers that fall due with that batch.
 */
static struct portion plan_portion(const struct record_layout *layout, size_t cache_bytes,
                                   uint32_t transaction_share, uint32_t batch_events_max)
{
    const size_t least = 16;
    size_t user_bytes = record_encoded_bytes_max(layout, ENTITY_USER, 0);
    size_t event_bytes = 0;
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        event_bytes +=
            layout->bytes[kind] > 0 ? record_encoded_bytes_max(layout, (uint8_t)kind, 0) : 0;
    }
    size_t set_aside =
        user_bytes * (BATCH_ROWS_MAX - BATCH_EVENTS_MAX) / TIMER_SLOT_COUNT + TASK_BYTES_MAX;
    size_t share = cache_bytes / transaction_share;
    size_t room = share > set_aside ? share - set_aside : 0;
    size_t events = room / 2 / event_bytes;
    events = events < batch_events_max ? events : batch_events_max;
    return (struct portion){
        .batch_events = (uint32_t)(events > least             ? events
                                   : least < batch_events_max ? least
                                                              : batch_events_max),
        .transaction_bytes = room > events * event_bytes ? room - events * event_bytes : 1,
    };
}

/* The entities that some stage keeps state by. */
static uint32_t kept_entities(const struct record_layout *layout)
{
    uint32_t mask = 0;
    for (int kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        mask |= layout->bytes[kind] > 0 ? 1u << kind : 0;
    }
    return mask;
}

/* A batch may be dead letters alone, which are not to pass the bound on outputs by much. */
static size_t batch_bytes(size_t output_bytes)
{
    size_t half = output_bytes / 2;
    return half > 0 && half < BATCH_BYTES_LEAST ? BATCH_BYTES_LEAST : half;
}

static uint32_t slice_records(const struct partition_options *options)
{
    size_t most = options->ends ? STREAM_SLICE_RECORDS : FILE_SLICE_RECORDS;
    size_t room = options->cache_bytes / SLICE_BYTES_A_RECORD;
    return (uint32_t)(room < most ? room : most);
}

enum status partition_open(const struct partition_options *options, struct record_layout *layout,
                           struct task **ret_task, struct error *error)
{
    const struct config *config = options->config;
    *layout = (struct record_layout){0};
    struct task_parts parts = {.layout = layout};
    enum status status = build_parts(options, layout, &parts, error);
    if (status != STATUS_OK) {
        task_parts_release(&parts);
        return status;
    }
    uint32_t share = options->ends ? STREAM_TRANSACTION_SHARE : FILE_TRANSACTION_SHARE;
    struct portion portion =
        plan_portion(layout, options->cache_bytes, share, (uint32_t)config->run.batch_events);
    struct task_options task = {
        .intake =
            {
                .source_name = options->file,
                .partition = options->name,
                .allowed_lateness_ms = config->input.allowed_lateness_ms,
                .max_ahead_ms = config->input.max_ahead_ms,
                .retention_ms = config->state.retention_ms,
                .timer_floor_ms = stage_plan_timer_floor_ms(config->plan),
                .entity_mask = kept_entities(layout),
                .batch_events_max = portion.batch_events,
                .batch_bytes_max = batch_bytes(options->output_bytes),
                .keeps_rejected_bytes = config->output.keeps_rejected_bytes,
                .sends_on = options->hop != ENTITY_USER,
                /* Which events are late is said where they come to their user. */
                .diverts_late = config->input.late_events == 1 && options->hop == ENTITY_USER,
                .deduplicates_by_content = stage_plan_deduplicates_by_content(config->plan),
                .key = config->key,
            },
        .cache = {.bytes_max = options->cache_bytes,
                  .slice_records = slice_records(options),
                  .transaction_share = share,
                  .is_preallocated = config->state.is_preallocated},
        .transaction_records_max = TRANSACTION_RECORDS_MAX,
        .transaction_bytes_max = portion.transaction_bytes,
        .output_bytes_max = options->output_bytes,
        .timer_entries_max = TIMER_ENTRIES_MAX,
        .feature_count = stage_plan_features(config->plan)->count,
        .feature_set_hash = stage_plan_features(config->plan)->hash,
        .plan_hash = config_hash(config),
        .numeric_profile = stage_plan_numeric_profile(config->plan),
        .scored_events_share = config->output.scored_events_share,
        .reached = options->state_directory ? state_store_rocksdb_watermark : NULL,
        .expire_after_ms = options->ends ? config->state.retention_ms : 0,
        .is_finite = options->ends ? options->ends->is_finite : !config->input.is_followed,
    };
    return task_create(&task, &parts, ret_task, error);
}
