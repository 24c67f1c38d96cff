#define _POSIX_C_SOURCE 200809L
#include "test/fakes/session_runner.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "pipeline/output/output.h"

struct sessionize_options session_options_default(void)
{
    struct sessionize_options options;
    enum status status = settings_read(&sessionize_section, NULL, &options, NULL);
    assert(status == STATUS_OK);
    return options;
}

static struct session_row row_of(const struct event_batch *batch, uint32_t row)
{
    bool is_timer = batch->kind[row] == ROW_TIMER;
    return (struct session_row){.time_ms = batch->time_ms[row],
                                .ordinal = is_timer ? UINT64_MAX : batch->ordinal[row],
                                .session_id = batch->session_id[row],
                                .start_ms = batch->session_start_ms[row],
                                .event_count = batch->session_event_count[row],
                                .flags = batch->session_flags[row],
                                .outcome = batch->session_outcome[row],
                                .is_timer = is_timer};
}

static void keep_batch(void *context, const struct event_batch *batch)
{
    struct session_run *run = context;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue; /* Which timers are void depends on the cut, and does not matter. */
        }
        if (run->row_count == run->row_capacity) {
            run->row_capacity = run->row_capacity ? 2 * run->row_capacity : 256;
            run->rows = realloc(run->rows, run->row_capacity * sizeof(*run->rows));
            assert(run->rows);
        }
        run->rows[run->row_count++] = row_of(batch, row);
    }
    for (uint64_t i = 0; i < output_batch_count(batch->outputs, TOPIC_SESSIONS); i++) {
        struct output_record record = output_batch_get(batch->outputs, TOPIC_SESSIONS, i);
        (void)fprintf(run->stream, "%.*s\n", (int)record.length, (const char *)record.bytes);
    }
}

struct session_run session_run_events(const struct sessionize_options *options, int64_t lateness_ms,
                                      int64_t floor_ms, uint64_t cut_seed,
                                      const struct fixture_event *events, uint32_t event_count)
{
    struct session_run run = {0};
    run.stream = open_memstream(&run.records, &run.records_bytes);
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    struct error error = {{0}};
    enum status status = sessionize_create(options, &layout, &stage, &error);
    assert(run.stream && status == STATUS_OK);
    struct stage_fixture *fixture =
        stage_fixture_create(&(struct stage_fixture_options){.layout = &layout,
                                                             .stages = {stage},
                                                             .lateness_ms = lateness_ms,
                                                             .floor_ms = floor_ms,
                                                             .cut_seed = cut_seed,
                                                             .visit = keep_batch,
                                                             .context = &run});
    stage_fixture_run(fixture, events, event_count);
    stage_fixture_drain(fixture);
    run.counters = *sessionize_counters(stage, stage_fixture_task_record(fixture));
    run.state_hash = stage_fixture_state_hash(fixture);
    run.batches = stage_fixture_batches(fixture);
    stage_fixture_destroy(fixture);
    stage_destroy(stage);
    (void)fclose(run.stream);
    run.stream = NULL;
    return run;
}

void session_run_release(struct session_run *run)
{
    free(run->rows);
    free(run->records);
    *run = (struct session_run){0};
}

const struct session_row *session_run_event(const struct session_run *run, uint64_t ordinal)
{
    for (uint32_t i = 0; i < run->row_count; i++) {
        if (run->rows[i].ordinal == ordinal) {
            return &run->rows[i];
        }
    }
    return NULL;
}

static void write_options(FILE *file, const struct sessionize_options *options, int64_t lateness_ms)
{
    (void)fprintf(file,
                  "{\"options\": {\"by_hint\": %s, \"gap_ms\": %" PRId64
                  ", \"hint_gap_ms\": %" PRId64 ", \"max_length_ms\": %" PRId64
                  ", \"max_events\": %" PRId64 ", \"late_reach_ms\": %" PRId64
                  ", \"lateness_ms\": %" PRId64 "}}\n",
                  options->by_hint ? "true" : "false", options->gap_ms, options->hint_gap_ms,
                  options->max_length_ms, options->max_events, options->late_reach_ms, lateness_ms);
}

static void write_event(FILE *file, const struct fixture_event *event)
{
    char user[33];
    key128_format(stage_fixture_key(ENTITY_USER, event->user), user);
    (void)fprintf(file, "{\"user\": \"%s\", \"time\": %" PRId64 ", \"type\": \"%s\"", user,
                  event->time_ms, event_types[event->type].name);
    if (event->item) {
        (void)fprintf(file, ", \"item\": %" PRIu64, stage_fixture_hash(event->item));
    }
    if (event->hint) {
        (void)fprintf(file, ", \"hint\": \"%s\"", event->hint);
    }
    if (event->price != 0) {
        (void)fprintf(file, ", \"price\": %" PRId64, event->price);
    }
    if (event->quantity != 0) {
        (void)fprintf(file, ", \"quantity\": %" PRId64, event->quantity);
    }
    if (event->currency) {
        (void)fprintf(file, ", \"currency\": \"%s\"", event->currency);
    }
    (void)fprintf(file, "}\n");
}

void session_write_events(const char *path, const struct sessionize_options *options,
                          int64_t lateness_ms, const struct fixture_event *events,
                          uint32_t event_count)
{
    FILE *file = fopen(path, "w");
    assert(file);
    write_options(file, options, lateness_ms);
    for (uint32_t i = 0; i < event_count; i++) {
        write_event(file, &events[i]);
    }
    int failed = fclose(file);
    assert(failed == 0);
}

void session_write_records(const char *path, const struct session_run *run)
{
    FILE *file = fopen(path, "w");
    assert(file);
    (void)fputs(run->records, file);
    int failed = fclose(file);
    assert(failed == 0);
}
