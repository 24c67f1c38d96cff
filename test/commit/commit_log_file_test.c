#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/commit/commit_log.h"
#include "pipeline/commit/log_segments.h"
#include "pipeline/commit/storage.h"
#include "test/fakes/note_output.h"
#include "test/fakes/storage_fake.h"

#define FIRST_SEGMENT "state/log/00000000000000000001.log"
#define ALERTS "out/alerts/p0.jsonl"

struct bench {
    struct storage_fake *fake;
    struct commit_log_file_options options;
    struct output_batch *batch;
    struct commit_log *log; /* NULL while closed. */
    struct error error;
    uint64_t visited; /* Records by the last recovery. */
};

static enum status count_record(void *context, const struct changelog_entry *entry,
                                uint64_t log_position, struct error *error)
{
    (void)entry;
    (void)log_position;
    (void)error;
    (*(uint64_t *)context)++;
    return STATUS_OK;
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench->fake = storage_fake_create();
    bench->options = (struct commit_log_file_options){
        .storage = storage_fake_storage(bench->fake),
        .output_directory = "out",
        .log_directory = "state/log",
        .partition = "p0",
        .is_synced = true,
        .segment_bytes = 1 << 20,
    };
    bench->batch = note_batch_create(OUTPUT_JSONL);
    *state = bench;
    return 0;
}

static void close_log(struct bench *bench)
{
    if (bench->log) {
        bench->log->ops->close(bench->log);
        bench->log = NULL;
    }
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    close_log(bench);
    output_batch_destroy(bench->batch);
    storage_fake_destroy(bench->fake);
    free(bench);
    return 0;
}

/* Opens the log and recovers from `from`. */
static enum status try_recover(struct bench *bench, uint64_t from, struct commit_point *ret_point)
{
    close_log(bench);
    bench->visited = 0;
    bench->error = (struct error){""};
    struct recovery_visitor visitor = {.context = &bench->visited, .record = count_record};
    enum status status = commit_log_file_open(&bench->options, &bench->log, &bench->error);
    return bench->log
               ? bench->log->ops->recover(bench->log, from, &visitor, ret_point, &bench->error)
               : status;
}

static struct commit_point must_recover(struct bench *bench, uint64_t from)
{
    struct commit_point point = {0};
    if (try_recover(bench, from, &point) != STATUS_OK) {
        fail_msg("%s", bench->error.message);
    }
    return point;
}

static void must_refuse(struct bench *bench, uint64_t from, enum status expected,
                        const char *message)
{
    struct commit_point point = {0};
    enum status status = try_recover(bench, from, &point);
    if (status != expected || !strstr(bench->error.message, message)) {
        fail_msg("status %d, \"%s\", expected \"%s\"", (int)status, bench->error.message, message);
    }
    close_log(bench);
}

/* One commit of one alert and one record of `record_bytes`. */
static enum status try_commit(struct bench *bench, uint64_t ordinal, uint32_t record_bytes)
{
    static const unsigned char value[100000];
    struct changelog_entry record = {.key.id.low = ordinal, .bytes = value, .length = record_bytes};
    assert(bench->log);
    output_batch_reset(bench->batch);
    note_write(bench->batch, TOPIC_ALERTS, (int64_t)ordinal);
    struct commit_content content = {.outputs = bench->batch,
                                     .records = &record,
                                     .record_count = 1,
                                     .position.ordinal = ordinal};
    return bench->log->ops->start(bench->log, &content, &bench->error);
}

static uint64_t must_commit(struct bench *bench, uint64_t ordinal, uint32_t record_bytes)
{
    if (try_commit(bench, ordinal, record_bytes) != STATUS_OK) {
        fail_msg("%s", bench->error.message);
    }
    assert(bench->log);
    enum commit_state commit_state = COMMIT_PENDING;
    uint64_t log_position = 0;
    assert_int_equal(bench->log->ops->poll(bench->log, &commit_state, &log_position, &bench->error),
                     STATUS_OK);
    assert_int_equal(commit_state, COMMIT_DONE);
    return log_position;
}

static void assert_content(struct bench *bench, const char *path, const char *expected)
{
    uint64_t length = 0;
    const unsigned char *bytes = storage_fake_content(bench->fake, path, &length);
    if (!expected) {
        assert_null(bytes);
        return;
    }
    assert_non_null(bytes);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(bytes, expected, length);
}

static void goes_on_where_the_last_commit_ended(void **state)
{
    struct bench *bench = *state;
    struct commit_point point = must_recover(bench, 0);
    assert_true(point.is_new);
    assert_int_equal(point.log_position, 0);
    assert_int_equal(must_commit(bench, 5, 10), 1);
    assert_int_equal(must_commit(bench, 8, 10), 2);
    point = must_recover(bench, 0);
    assert_false(point.is_new);
    assert_int_equal(point.position.ordinal, 8);
    assert_int_equal(point.log_position, 2);
    assert_int_equal(bench->visited, 2);
    assert_int_equal(must_commit(bench, 9, 10), 3);
    assert_content(bench, ALERTS, "{\"n\":5}\n{\"n\":8}\n{\"n\":9}\n");
    assert_content(bench, "out/sessions/p0.jsonl", NULL);
    (void)must_recover(bench, 2);
    assert_int_equal(bench->visited, 1);
    (void)must_recover(bench, 3);
    assert_int_equal(bench->visited, 0);
}

static void commits_nothing_but_a_position(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    assert(bench->log);
    struct commit_content content = {.position = {.ordinal = 7, .bytes = 70, .skip = 2}};
    assert_int_equal(bench->log->ops->start(bench->log, &content, &bench->error), STATUS_OK);
    struct commit_point point = must_recover(bench, 0);
    assert_int_equal(point.position.bytes, 70);
    assert_int_equal(point.position.skip, 2);
    assert_content(bench, ALERTS, NULL);
}

/* Bytes of the file at `path`, copied. */
static unsigned char *copy_of(struct bench *bench, const char *path, uint64_t *ret_length)
{
    const unsigned char *bytes = storage_fake_content(bench->fake, path, ret_length);
    assert_non_null(bytes);
    unsigned char *copy = malloc((size_t)*ret_length + 1);
    assert_non_null(copy);
    memcpy(copy, bytes, (size_t)*ret_length);
    return copy;
}

static void drops_a_torn_tail_wherever_it_is_torn(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    (void)must_commit(bench, 1, 20);
    uint64_t one = 0;
    free(copy_of(bench, FIRST_SEGMENT, &one));
    (void)must_commit(bench, 2, 20);
    close_log(bench);
    uint64_t two = 0;
    unsigned char *whole = copy_of(bench, FIRST_SEGMENT, &two);
    const char *lines = "{\"n\":1}\n{\"n\":2}\n";
    for (uint64_t cut = one; cut < two; cut++) {
        storage_fake_damage(bench->fake, FIRST_SEGMENT, 0, whole, two);
        storage_fake_damage(bench->fake, ALERTS, 0, lines, strlen(lines));
        storage_fake_cut(bench->fake, FIRST_SEGMENT, cut);
        struct commit_point point = must_recover(bench, 0);
        assert_int_equal(point.log_position, 1);
        assert_int_equal(bench->visited, 1);
        assert_content(bench, ALERTS, "{\"n\":1}\n");
        uint64_t length = 0;
        (void)storage_fake_content(bench->fake, FIRST_SEGMENT, &length);
        assert_int_equal(length, one);
        close_log(bench);
    }
    free(whole);
}

static void refuses_a_log_that_is_corrupt_before_its_end(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    uint64_t begin = 0;
    free(copy_of(bench, FIRST_SEGMENT, &begin));
    (void)must_commit(bench, 1, 20);
    uint64_t one = 0;
    unsigned char *whole = copy_of(bench, FIRST_SEGMENT, &one);
    (void)must_commit(bench, 2, 70000);
    (void)must_commit(bench, 3, 20);
    char expected[100];
    (void)snprintf(expected, sizeof(expected),
                   FIRST_SEGMENT ": corrupt at offset %d: a frame is broken, and good ones follow",
                   (int)begin);
    for (uint64_t at = begin; at < one; at++) {
        unsigned char changed = whole[at] ^ 1;
        storage_fake_damage(bench->fake, FIRST_SEGMENT, at, &changed, 1);
        must_refuse(bench, 0, STATUS_FATAL, expected);
        storage_fake_damage(bench->fake, FIRST_SEGMENT, at, whole + at, 1);
    }
    (void)must_recover(bench, 0);
    free(whole);
}

static void finds_good_frames_behind_a_broken_one_of_any_size(void **state)
{
    struct bench *bench = *state;
    /* So that the good one begins everywhere around the edge of what is searched at once. */
    for (uint32_t record_bytes = 65400; record_bytes < 65560; record_bytes++) {
        storage_fake_destroy(bench->fake);
        bench->fake = storage_fake_create();
        bench->options.storage = storage_fake_storage(bench->fake);
        (void)must_recover(bench, 0);
        uint64_t begin = 0;
        (void)storage_fake_content(bench->fake, FIRST_SEGMENT, &begin);
        (void)must_commit(bench, 1, record_bytes);
        (void)must_commit(bench, 2, 20);
        storage_fake_damage(bench->fake, FIRST_SEGMENT, begin, "x", 1);
        must_refuse(bench, 0, STATUS_FATAL, "good ones follow");
    }
}

static void refuses_a_broken_header_and_other_logs(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    uint64_t begin = 0;
    free(copy_of(bench, FIRST_SEGMENT, &begin));
    (void)must_commit(bench, 1, 20);
    uint64_t length = 0;
    unsigned char *whole = copy_of(bench, FIRST_SEGMENT, &length);
    for (uint64_t at = 0; at < begin; at++) {
        unsigned char changed = whole[at] ^ 0x80;
        storage_fake_damage(bench->fake, FIRST_SEGMENT, at, &changed, 1);
        must_refuse(bench, 0, STATUS_FATAL, FIRST_SEGMENT);
        storage_fake_damage(bench->fake, FIRST_SEGMENT, at, whole + at, 1);
    }
    storage_fake_damage(bench->fake, FIRST_SEGMENT, 8, "\x07", 1);
    must_refuse(bench, 0, STATUS_FATAL, "written by a newer version (log version 7, this one");
    storage_fake_damage(bench->fake, FIRST_SEGMENT, 0, whole, length);
    bench->options.format = OUTPUT_AVRO;
    must_refuse(bench, 0, STATUS_INVALID, "outputs so far are jsonl, the configuration says avro");
    bench->options.format = OUTPUT_JSONL;
    bench->options.partition = "p1";
    must_refuse(bench, 0, STATUS_INVALID, "the log of partition \"p0\", not of \"p1\"");
    free(whole);
}

static void refuses_outputs_that_are_missing_or_not_its_own(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    (void)must_commit(bench, 1, 20);
    close_log(bench);
    storage_fake_cut(bench->fake, ALERTS, 3);
    must_refuse(bench, 0, STATUS_FATAL,
                ALERTS ": committed output is missing: 8 bytes were committed, 3 there");
    bench->options.output_directory = "elsewhere";
    must_refuse(bench, 0, STATUS_FATAL,
                "elsewhere/alerts/p0.jsonl: committed output is missing: 8 bytes were committed, "
                "no file, 0 there");
    bench->options.output_directory = "out";
    bench->options.log_directory = "state2/log";
    must_refuse(bench, 0, STATUS_FATAL, ALERTS ": holds 3 bytes of another run");
    assert_content(bench, ALERTS, "{\"n");
}

static void refuses_a_store_that_does_not_belong_to_the_log(void **state)
{
    struct bench *bench = *state;
    must_refuse(bench, 4, STATUS_FATAL, "no log here, but the state is as of commit 4");
    (void)must_recover(bench, 0);
    must_refuse(bench, 1, STATUS_FATAL, "the state is as of commit 1, but the log ends at 0");
    (void)must_recover(bench, 0);
    (void)must_commit(bench, 1, 20);
    must_refuse(bench, 2, STATUS_FATAL, "the state is as of commit 2, but the log ends at 1");
}

static uint32_t count_segments(struct bench *bench)
{
    uint32_t count = 0;
    for (unsigned first = 1; first < 100; first++) {
        char path[64];
        uint64_t length = 0;
        (void)snprintf(path, sizeof(path), "state/log/%020u.log", first);
        count += storage_fake_content(bench->fake, path, &length) != NULL;
    }
    return count;
}

static void trims_whole_segments_but_never_the_last_commit(void **state)
{
    struct bench *bench = *state;
    bench->options.segment_bytes = 4096;
    (void)must_recover(bench, 0);
    for (uint64_t i = 1; i <= 9; i++) {
        (void)must_commit(bench, i, 1500); /* Three to a segment. */
    }
    assert_int_equal(count_segments(bench), 3);
    const struct {
        uint64_t durable;
        uint32_t segments;
    } rows[] = {{0, 3}, {2, 3}, {3, 2}, {5, 2}, {6, 1}, {9, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(bench->log->ops->trim(bench->log, rows[i].durable, &bench->error),
                         STATUS_OK);
        assert_int_equal(count_segments(bench), rows[i].segments);
    }
    struct commit_point point = must_recover(bench, 9);
    assert_int_equal(point.log_position, 9);
    assert_int_equal(point.position.ordinal, 9);
    must_refuse(bench, 3, STATUS_FATAL, "the log only reaches back to 7");
    (void)must_recover(bench, 6);
    assert_int_equal(bench->visited, 3);
}

static void uses_a_trimmed_segment_again(void **state)
{
    struct bench *bench = *state;
    bench->options.segment_bytes = 4096;
    (void)must_recover(bench, 0);
    for (uint64_t i = 1; i <= 6; i++) {
        (void)must_commit(bench, i, 1500);
    }
    assert(bench->log);
    assert_int_equal(bench->log->ops->trim(bench->log, 6, &bench->error), STATUS_OK);
    uint64_t length = 0;
    assert_non_null(storage_fake_content(bench->fake, "state/log/spare", &length));
    (void)must_commit(bench, 7, 100);
    assert_null(storage_fake_content(bench->fake, "state/log/spare", &length));
    /* What the segment held before is still behind the new frame, and means nothing. */
    const char *path = "state/log/00000000000000000007.log";
    (void)storage_fake_content(bench->fake, path, &length);
    assert_true(length > 4096);
    struct commit_point point = must_recover(bench, 6);
    assert_int_equal(point.log_position, 7);
    assert_int_equal(bench->visited, 1);
    (void)storage_fake_content(bench->fake, path, &length);
    assert_true(length < 400);
    assert_int_equal(must_commit(bench, 8, 100), 8);
    (void)must_recover(bench, 6);
    assert_int_equal(bench->visited, 2);
    storage_fake_damage(bench->fake, path, 60, "damage", 6);
    must_refuse(bench, 6, STATUS_FATAL, "good ones follow");
}

static void refuses_a_log_with_a_segment_missing(void **state)
{
    struct bench *bench = *state;
    bench->options.segment_bytes = 4096;
    (void)must_recover(bench, 0);
    for (uint64_t i = 1; i <= 9; i++) {
        (void)must_commit(bench, i, 1500);
    }
    close_log(bench);
    assert_int_equal(bench->options.storage->ops->remove(
                         bench->options.storage, "state/log/00000000000000000004.log", NULL),
                     STATUS_OK);
    must_refuse(bench, 0, STATUS_FATAL, "breaks off at commit 3, and goes on at 7");
    must_refuse(bench, 5, STATUS_FATAL, "breaks off at commit 3, and goes on at 7");
    struct commit_point point = must_recover(bench, 6);
    assert_int_equal(point.log_position, 9);
}

static bool has_frames(struct bench *bench)
{
    bool has = false;
    assert_int_equal(log_segments_have_frames(bench->options.storage, bench->options.log_directory,
                                              &has, &bench->error),
                     STATUS_OK);
    return has;
}

static void finds_the_last_commit_behind_which_a_segment_was_begun(void **state)
{
    struct bench *bench = *state;
    bench->options.segment_bytes = 4096;
    (void)must_recover(bench, 0);
    (void)must_commit(bench, 1, 5000);
    uint64_t calls = storage_fake_calls_of(bench->fake, STORAGE_WRITE);
    /* The next commit writes the header of a segment, then dies at its first output. */
    storage_fake_fault_at(bench->fake, 5, STORAGE_CRASH_BEFORE);
    assert_int_equal(try_commit(bench, 2, 10), STATUS_FATAL);
    assert_int_equal(storage_fake_calls_of(bench->fake, STORAGE_WRITE), calls + 2);
    storage_fake_crash(bench->fake, STORAGE_KILL, 1);
    assert_int_equal(count_segments(bench), 2);
    assert_true(has_frames(bench));
    struct commit_point point = must_recover(bench, 1);
    assert_int_equal(point.log_position, 1);
    assert_int_equal(point.position.ordinal, 1);
    assert(bench->log);
    assert_int_equal(bench->log->ops->trim(bench->log, 1, &bench->error), STATUS_OK);
    assert_int_equal(count_segments(bench), 2);
    assert_int_equal(must_commit(bench, 2, 10), 2);
    (void)must_recover(bench, 0);
    assert_int_equal(bench->visited, 2);
}

static void knows_without_opening_a_log_whether_anything_was_committed(void **state)
{
    struct bench *bench = *state;
    assert_false(has_frames(bench)); /* There is no folder. */
    bench->options.segment_bytes = 4096;
    (void)must_recover(bench, 0);
    assert_false(has_frames(bench)); /* There is a header. */
    (void)must_commit(bench, 1, 5000);
    assert_true(has_frames(bench));
    (void)must_commit(bench, 2, 5000);
    (void)must_commit(bench, 3, 10);
    assert_true(has_frames(bench)); /* In several segments. */
    assert_int_equal(bench->log->ops->trim(bench->log, 3, &bench->error), STATUS_OK);
    assert_int_equal(count_segments(bench), 1);
    assert_true(has_frames(bench)); /* In one that is not the first. */
}

static void says_what_a_full_disk_did_not_acknowledge(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    (void)must_commit(bench, 10, 20);
    storage_fake_set_capacity(bench->fake, 1000);
    assert_int_equal(try_commit(bench, 30, 2000), STATUS_FATAL);
    assert_string_equal(
        bench->error.message,
        "commit 2 failed, records 10 to 30 of the input are not acknowledged: " FIRST_SEGMENT
        ": cannot be written: No space left on device");
    assert_int_equal(try_commit(bench, 30, 20), STATUS_FATAL);
    assert_non_null(strstr(bench->error.message, "start again"));
    storage_fake_set_capacity(bench->fake, UINT64_MAX);
    struct commit_point point = must_recover(bench, 0);
    assert_int_equal(point.position.ordinal, 10);
    assert_content(bench, ALERTS, "{\"n\":10}\n");
    assert_int_equal(must_commit(bench, 30, 2000), 2);
    assert_content(bench, ALERTS, "{\"n\":10}\n{\"n\":30}\n");
}

static void names_the_path_whichever_call_fails(void **state)
{
    struct bench *bench = *state;
    bool has_failed = true;
    for (uint64_t call = 1; has_failed; call++) {
        storage_fake_destroy(bench->fake);
        bench->fake = storage_fake_create();
        bench->options.storage = storage_fake_storage(bench->fake);
        storage_fake_fault_at(bench->fake, call, STORAGE_FAIL);
        struct commit_point point = {0};
        has_failed = try_recover(bench, 0, &point) != STATUS_OK ||
                     try_commit(bench, 1, 10) != STATUS_OK || try_commit(bench, 2, 10) != STATUS_OK;
        if (has_failed && (!strstr(bench->error.message, "Input/output error") ||
                           (!strstr(bench->error.message, "out/") &&
                            !strstr(bench->error.message, "state/log")))) {
            fail_msg("call %d: %s", (int)call, bench->error.message);
        }
        close_log(bench);
    }
}

static void is_for_one_process_at_a_time(void **state)
{
    struct bench *bench = *state;
    (void)must_recover(bench, 0);
    struct commit_log_file_options other = bench->options;
    struct commit_log *second = NULL;
    assert_int_equal(commit_log_file_open(&other, &second, &bench->error), STATUS_FATAL);
    assert_non_null(strstr(bench->error.message, "state/log/lock: locked"));
    other.log_directory = "state2/log";
    assert_int_equal(commit_log_file_open(&other, &second, &bench->error), STATUS_FATAL);
    assert_non_null(strstr(bench->error.message, "out/.lock-p0: locked"));
    other.partition = "p1";
    assert_int_equal(commit_log_file_open(&other, &second, &bench->error), STATUS_OK);
    second->ops->close(second);
    close_log(bench);
    other = bench->options;
    assert_int_equal(commit_log_file_open(&other, &second, &bench->error), STATUS_OK);
    const struct commit_log_ops *ops = second->ops;
    ops->close(second);
    ops->close(NULL);
}

static void refuses_partitions_that_are_no_file_names(void **state)
{
    struct bench *bench = *state;
    char name[300];
    memset(name, 'n', sizeof(name));
    name[299] = '\0';
    const char *names[] = {"", ".", "..", ".x", "a/b", name};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bench->options.partition = names[i];
        assert_int_equal(commit_log_file_open(&bench->options, &bench->log, &bench->error),
                         STATUS_INVALID);
        assert_non_null(strstr(bench->error.message, "expected a name"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_on_where_the_last_commit_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commits_nothing_but_a_position, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops_a_torn_tail_wherever_it_is_torn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_log_that_is_corrupt_before_its_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(finds_good_frames_behind_a_broken_one_of_any_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(uses_a_trimmed_segment_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_broken_header_and_other_logs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_outputs_that_are_missing_or_not_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_store_that_does_not_belong_to_the_log, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(trims_whole_segments_but_never_the_last_commit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_log_with_a_segment_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_the_last_commit_behind_which_a_segment_was_begun,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_without_opening_a_log_whether_anything_was_committed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_a_full_disk_did_not_acknowledge, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_the_path_whichever_call_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_for_one_process_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_partitions_that_are_no_file_names, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
