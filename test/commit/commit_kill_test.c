/* A real process on a real disk, killed at random moments: what it had committed is there. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/base/hash.h"
#include "pipeline/commit/commit_log.h"
#include "pipeline/commit/storage.h"
#include "test/fakes/fixture.h"
#include "test/fakes/note_output.h"

#define KILLS 40u
#define NUMBERS_MAX 4000000

struct place {
    char output_directory[4200];
    char log_directory[4200];
    char alerts[4300];
};

static enum status visit_nothing(void *context, const struct changelog_entry *entry,
                                 uint64_t log_position, struct error *error)
{
    (void)context;
    (void)entry;
    (void)log_position;
    (void)error;
    return STATUS_OK;
}

static struct commit_log *must_recover(const struct place *place, struct commit_point *ret_point)
{
    struct commit_log_file_options options = {.storage = storage_posix(),
                                              .output_directory = place->output_directory,
                                              .log_directory = place->log_directory,
                                              .partition = "0",
                                              .segment_bytes = 20000};
    struct commit_log *log = NULL;
    struct error error = {""};
    struct recovery_visitor visitor = {.record = visit_nothing};
    if (commit_log_file_open(&options, &log, &error) != STATUS_OK ||
        log->ops->recover(log, 0, &visitor, ret_point, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        _exit(1);
    }
    return log;
}

/* Commits until it is killed, telling each acknowledged number to the parent. */
static void commit_for_ever(const struct place *place, int pipe_end)
{
    struct commit_point point = {0};
    struct commit_log *log = must_recover(place, &point);
    struct output_batch *batch = note_batch_create(OUTPUT_JSONL);
    static const unsigned char value[700];
    uint64_t ordinal = point.position.ordinal;
    for (;;) {
        output_batch_reset(batch);
        uint64_t end = ordinal + 1 + ordinal % 7;
        for (; ordinal < end; ordinal++) {
            note_write(batch, TOPIC_ALERTS, (int64_t)ordinal);
        }
        struct changelog_entry record = {.bytes = value, .length = 1 + (uint32_t)(ordinal % 700)};
        struct commit_content content = {
            .outputs = batch, .records = &record, .record_count = 1, .position.ordinal = ordinal};
        if (log->ops->start(log, &content, NULL) != STATUS_OK ||
            write(pipe_end, &ordinal, sizeof(ordinal)) != sizeof(ordinal)) {
            _exit(1);
        }
    }
}

/* The last number that the child told. */
static uint64_t run_and_kill(const struct place *place, uint64_t life_us)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        commit_for_ever(place, ends[1]);
    }
    (void)close(ends[1]);
    uint64_t acknowledged = 0;
    uint64_t number = 0;
    /* From the first commit on, so that the kill falls among commits and not before them. */
    assert_int_equal(read(ends[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)(life_us * 1000)}, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    while (read(ends[0], &number, sizeof(number)) == sizeof(number)) {
        acknowledged = number;
    }
    (void)close(ends[0]);
    return acknowledged;
}

static void check_alerts(const struct place *place, uint64_t expected)
{
    FILE *file = fopen(place->alerts, "rb");
    assert_non_null(file);
    static unsigned char bytes[64 << 20];
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    static int64_t numbers[NUMBERS_MAX];
    int64_t count = note_read(OUTPUT_JSONL, bytes, length, numbers, NUMBERS_MAX);
    assert_int_equal(count, expected);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(numbers[i], i);
    }
}

static void keeps_what_was_committed_when_killed(void **state)
{
    (void)state;
    char *folder = fixture_directory();
    struct place place;
    (void)snprintf(place.output_directory, sizeof(place.output_directory), "%s/out", folder);
    (void)snprintf(place.log_directory, sizeof(place.log_directory), "%s/log", folder);
    (void)snprintf(place.alerts, sizeof(place.alerts), "%s/alerts/0.jsonl", place.output_directory);
    for (uint64_t i = 0; i < KILLS; i++) {
        uint64_t acknowledged = run_and_kill(&place, hash64_combine(i, 1) % 5000);
        struct commit_point point = {0};
        struct commit_log *log = must_recover(&place, &point);
        assert_true(point.position.ordinal >= acknowledged);
        log->ops->close(log);
        check_alerts(&place, point.position.ordinal);
    }
    fixture_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_what_was_committed_when_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
