/* What cannot be written or is asked for wrongly is said clearly; memory stays bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/commands/command.h"
#include "test/fakes/fixture.h"
#include "test/fakes/generated_files.h"

static int setup(void **state)
{
    *state = fixture_directory();
    return 0;
}

static int teardown(void **state)
{
    fixture_remove(*state);
    free(*state);
    return 0;
}

static void assert_fails(const struct simulation_options *options, enum status status,
                         const char *said)
{
    struct simulation_result result;
    struct error error = {""};
    assert_int_equal(simulation_run(options, &result, &error), status);
    if (!strstr(error.message, said)) {
        fail_msg("\"%s\" expected in \"%s\"", said, error.message);
    }
}

static void directory_that_cannot_be_made_is_named(void **state)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/no/such", (const char *)*state);
    struct simulation_options options = generated_options(path, 100);
    assert_fails(&options, STATUS_INVALID, path);
    assert_fails(&options, STATUS_INVALID, "No such file or directory");
}

static void file_in_the_place_of_the_directory_is_named(void **state)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/file", (const char *)*state);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    struct simulation_options options = generated_options(path, 100);
    assert_fails(&options, STATUS_INVALID, "Not a directory");
}

static void directory_that_cannot_be_written_is_named(void **state)
{
    if (geteuid() == 0) {
        print_message("skipped: root may write anywhere\n");
        return;
    }
    assert_int_equal(chmod(*state, 0500), 0);
    struct simulation_options options = generated_options(*state, 100);
    assert_fails(&options, STATUS_INVALID, "truth.jsonl: Permission denied");
    assert_int_equal(chmod(*state, 0700), 0);
}

static void path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[5000];
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct simulation_options options = generated_options(path, 100);
    struct simulation_result result;
    struct error error = {""};
    assert_int_equal(simulation_run(&options, &result, &error), STATUS_INVALID);
    assert_true(strstr(error.message, "too long") != NULL);
}

/* Each of the files stands for itself: a link to a device that is always full. */
static void full_disk_stops_with_the_name_of_the_file(void **state)
{
    static const struct {
        const char *file;
        enum event_writer_format format;
        uint64_t events;
    } rows[] = {
        {"truth.jsonl", EVENT_WRITER_AVRO, 1},       {"truth.jsonl", EVENT_WRITER_AVRO, 1000},
        {"truth.jsonl", EVENT_WRITER_AVRO, 50000},   {"events.avro", EVENT_WRITER_AVRO, 1},
        {"events.avro", EVENT_WRITER_AVRO, 50000},   {"events.jsonl", EVENT_WRITER_JSONL, 1},
        {"events.jsonl", EVENT_WRITER_JSONL, 50000}, {"events-2.avro", EVENT_WRITER_AVRO, 1000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char directory[4000], path[4096];
        (void)snprintf(directory, sizeof(directory), "%s/%zu", (const char *)*state, i);
        (void)snprintf(path, sizeof(path), "%s/%s", directory, rows[i].file);
        assert_int_equal(mkdir(directory, 0700), 0);
        assert_int_equal(symlink("/dev/full", path), 0);
        struct simulation_options options = generated_options(directory, rows[i].events);
        options.format = rows[i].format;
        options.partitions = strchr(rows[i].file, '-') ? 3 : 1;
        assert_fails(&options, STATUS_FATAL, rows[i].file);
        assert_fails(&options, STATUS_FATAL, "No space left on device");
    }
}

static void number_of_partitions_is_checked(void **state)
{
    struct simulation_options options = generated_options(*state, 100);
    options.partitions = 0;
    assert_fails(&options, STATUS_INVALID, "partitions: 0: 1 to 256 expected");
    options.partitions = 257;
    assert_fails(&options, STATUS_INVALID, "partitions: 257: 1 to 256 expected");
}

static void bad_options_are_refused_with_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        const char *said;
    } rows[] = {
        {"--events=0", "--events: \"0\": a whole number from 1 to 1000000000000 expected"},
        {"--events=1.5", "--events: \"1.5\": a whole number"},
        {"--events=", "--events: \"\": a whole number"},
        {"--events=many", "--events: \"many\": a whole number"},
        {"--users=-3", "--users: \"-3\": a whole number from 1 to 1000000000 expected"},
        {"--seed=1x", "--seed: \"1x\": a whole number"},
        {"--seed=nan", "--seed: \"nan\": a whole number"},
        {"--zipf=4", "--zipf: \"4\": a number from 0 to 3 expected"},
        {"--zipf=inf", "--zipf: \"inf\": a number"},
        {"--shift=0.6", "--shift: \"0.6\": a number from -0.5 to 0.5 expected"},
        {"--fraud=-1", "--fraud: \"-1\": a number from 0 to 20 expected"},
        {"--late=2", "--late: \"2\": a number from 0 to 1 expected"},
        {"--partitions=257", "--partitions: \"257\": a whole number from 1 to 256 expected"},
        {"--days=0", "--days: \"0\": a number from 0.01 to 3650 expected"},
        {"--format=csv", "--format: \"csv\": avro or jsonl expected"},
        {"--event=5", "events"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char argument[64];
        (void)snprintf(argument, sizeof(argument), "%s", rows[i].argument);
        char command[] = "generate", output[] = "--output=/nonexistent/x";
        char *arguments[] = {command, output, argument, NULL};
        struct error error = {""};
        assert_int_equal(command_generate.run(3, arguments, &error), STATUS_INVALID);
        if (!strstr(error.message, rows[i].said)) {
            fail_msg("%s: \"%s\" expected in \"%s\"", rows[i].argument, rows[i].said,
                     error.message);
        }
    }
}

static void output_must_be_named(void **state)
{
    (void)state;
    char command[] = "generate";
    char *arguments[] = {command, NULL};
    struct error error = {""};
    assert_int_equal(command_generate.run(1, arguments, &error), STATUS_INVALID);
    assert_true(strstr(error.message, "--output DIR expected") != NULL);
}

static void what_is_pending_does_not_grow_with_the_number_of_events(void **state)
{
    size_t pending[2];
    for (int i = 0; i < 2; i++) {
        /* The same rate, four days against sixteen: by then refunds come as fast as they go. */
        struct simulation_options options = generated_options(*state, i == 0 ? 60000 : 240000);
        options.duration_ms = (i == 0 ? 4 : 16) * INT64_C(86400000);
        struct simulation_result result;
        struct error error = {""};
        assert_int_equal(simulation_run(&options, &result, &error), STATUS_OK);
        pending[i] = result.pending_max;
    }
    print_message("pending at most: %zu, and %zu with four times the events\n", pending[0],
                  pending[1]);
    assert_true(pending[0] > 10);
    assert_true(pending[1] < pending[0] * 3 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(directory_that_cannot_be_made_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(file_in_the_place_of_the_directory_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(directory_that_cannot_be_written_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(path_that_is_too_long_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk_stops_with_the_name_of_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(number_of_partitions_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_options_are_refused_with_what_was_expected, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(output_must_be_named, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_pending_does_not_grow_with_the_number_of_events,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
