/* What a commit costs: the log's share of the time an event takes, with and without syncing. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pipeline/commit/commit_log.h"
#include "pipeline/commit/storage.h"
#include "test/fakes/fixture.h"
#include "test/fakes/note_output.h"

#define RECORDS 1000u
#define RECORD_BYTES 500u
#define OUTPUTS 200u

static double now_us(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static enum status visit_nothing(void *context, const struct changelog_entry *entry,
                                 uint64_t log_position, struct error *error)
{
    (void)entry;
    (void)log_position;
    (void)error;
    (*(uint64_t *)context)++;
    return STATUS_OK;
}

static int run(const char *folder, bool is_synced, uint64_t commits)
{
    char output_directory[4200];
    char log_directory[4200];
    (void)snprintf(output_directory, sizeof(output_directory), "%s/out%d", folder, is_synced);
    (void)snprintf(log_directory, sizeof(log_directory), "%s/log%d", folder, is_synced);
    struct commit_log_file_options options = {.storage = storage_posix(),
                                              .output_directory = output_directory,
                                              .log_directory = log_directory,
                                              .partition = "0",
                                              .is_synced = is_synced,
                                              .segment_bytes = 16 << 20};
    static unsigned char value[RECORD_BYTES];
    static struct changelog_entry records[RECORDS];
    struct output_batch *batch = note_batch_create(OUTPUT_JSONL);
    for (uint32_t i = 0; i < RECORDS; i++) {
        records[i] =
            (struct changelog_entry){.key.id.low = i, .bytes = value, .length = RECORD_BYTES};
    }
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        note_write(batch, (enum topic)(i % 4), i);
    }
    struct commit_content content = {.outputs = batch, .records = records, .record_count = RECORDS};
    uint64_t visited = 0;
    struct recovery_visitor visitor = {.context = &visited, .record = visit_nothing};
    struct commit_log *log = NULL;
    struct commit_point point;
    struct error error = {""};
    enum status status = commit_log_file_open(&options, &log, &error);
    if (status == STATUS_OK) {
        status = log->ops->recover(log, 0, &visitor, &point, &error);
    }
    double began = now_us(CLOCK_MONOTONIC);
    double cpu_began = now_us(CLOCK_PROCESS_CPUTIME_ID);
    for (uint64_t i = 0; i < commits && status == STATUS_OK; i++) {
        status = log->ops->start(log, &content, &error);
        if (status == STATUS_OK) {
            status = log->ops->trim(log, i, &error);
        }
    }
    double each_us = (now_us(CLOCK_MONOTONIC) - began) / (double)commits;
    double cpu_us = (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_began) / (double)commits;
    if (log) {
        log->ops->close(log);
        log = NULL;
    }
    began = now_us(CLOCK_MONOTONIC);
    if (status == STATUS_OK) {
        status = commit_log_file_open(&options, &log, &error);
    }
    if (log) {
        status = log->ops->recover(log, commits - 1, &visitor, &point, &error);
        log->ops->close(log);
    }
    double recovery_us = now_us(CLOCK_MONOTONIC) - began;
    output_batch_destroy(batch);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    (void)printf("synced=%d commit_us=%.0f cpu_us=%.0f cpu_per_record_ns=%.0f recovery_us=%.0f\n",
                 is_synced, each_us, cpu_us, 1000 * cpu_us / RECORDS, recovery_us);
    return 0;
}

int main(void)
{
    char *folder = fixture_directory();
    int code = run(folder, false, 300);
    code = code == 0 ? run(folder, true, 50) : code;
    fixture_remove(folder);
    free(folder);
    return code;
}
