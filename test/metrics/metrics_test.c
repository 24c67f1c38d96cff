#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "pipeline/metrics/metrics.h"
#include "pipeline/run/run_metrics.h"
#include "test/fakes/fixture.h"
#include "test/fakes/output_of.h"

static const uint64_t bound_items[] = {10, 20, 50};
static const struct metric_bounds bounds = {bound_items, 3};
static const struct metric_info events = {.name = "test_events_total",
                                          .doc = "Events, \\ and\nlines",
                                          .labels = {"partition", "type"},
                                          .type = METRIC_COUNTER};
static const struct metric_info level = {
    .name = "test_level_seconds", .doc = "A level", .divisor = 1000, .type = METRIC_GAUGE};
static const struct metric_info waits = {.name = "test_wait_seconds",
                                         .doc = "Waits",
                                         .labels = {"partition"},
                                         .divisor = 10,
                                         .bounds = &bounds,
                                         .type = METRIC_HISTOGRAM};

struct fixture {
    char *directory;
    struct metrics *metrics;
    char *said; /* By the oracle. */
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = fixture_directory();
    assert_int_equal(metrics_create(&fixture->metrics, NULL), STATUS_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    metrics_destroy(fixture->metrics);
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture->said);
    free(fixture);
    return 0;
}

static struct metric_series *add(struct fixture *fixture, const struct metric_info *info,
                                 const char *first, const char *second, const void *owner)
{
    const char *values[METRIC_LABELS_MAX] = {first, second};
    struct metric_series *series = NULL;
    struct error error = {""};
    if (metrics_add(fixture->metrics, info, values, owner, &series, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return series;
}

/* Renders and has it read by the oracle. */
static void render(struct fixture *fixture)
{
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/metrics", fixture->directory);
    struct byte_buffer text = {0};
    metrics_render(fixture->metrics, &text);
    assert_false(text.has_failed);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.bytes, 1, text.length, file), text.length);
    assert_int_equal(fclose(file), 0);
    byte_buffer_release(&text);
    free(fixture->said);
    int code = -1;
    fixture->said = output_of(&code, "python3 test/metrics/prometheus_oracle.py %s", path);
    if (code != 0) {
        fail_msg("%s", fixture->said);
    }
}

static void expect_line(const struct fixture *fixture, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = strstr(fixture->said, line); at; at = strstr(at + 1, line)) {
        if ((at == fixture->said || at[-1] == '\n') && at[length] == '\n') {
            return;
        }
    }
    fail_msg("%s is not in\n%s", line, fixture->said);
}

static void renders_what_was_written(void **state)
{
    struct fixture *fixture = *state;
    struct metric_series *first = add(fixture, &events, "0", "view", NULL);
    struct metric_series *second = add(fixture, &events, "1", "view", NULL);
    struct metric_series *gauge = add(fixture, &level, NULL, NULL, NULL);
    metric_count(first, 3);
    metric_count(first, 4);
    metric_raise(second, 9);
    metric_raise(second, 8);
    metric_set(gauge, -1500);
    render(fixture);
    expect_line(fixture, "test_events_total{\"partition\":\"0\",\"type\":\"view\"} 7");
    expect_line(fixture, "test_events_total{\"partition\":\"1\",\"type\":\"view\"} 9");
    expect_line(fixture, "test_level_seconds{} -1.5");
    metric_set(gauge, 1570000000123);
    metric_raise(second, UINT64_MAX);
    render(fixture);
    expect_line(fixture, "test_level_seconds{} 1570000000.123");
    expect_line(fixture, "test_events_total{\"partition\":\"1\",\"type\":\"view\"} "
                         "1.8446744073709552e+19");
}

static void escapes_labels(void **state)
{
    struct fixture *fixture = *state;
    metric_count(add(fixture, &events, "a\"b\\c\nd}", "", NULL), 1);
    metric_count(add(fixture, &events, "\xc3\xa9,x=\"y\"", "\\n", NULL), 2);
    render(fixture);
    expect_line(fixture, "test_events_total{\"partition\":\"a\\\"b\\\\c\\nd}\",\"type\":\"\"} 1");
    expect_line(fixture, "test_events_total{\"partition\":\"\\u00e9,x=\\\"y\\\"\",\"type\":"
                         "\"\\\\n\"} 2");
}

static void counts_each_observation_up_to_its_bound(void **state)
{
    struct fixture *fixture = *state;
    struct metric_series *series = add(fixture, &waits, "0", NULL, NULL);
    static const uint64_t values[] = {0, 10, 11, 20, 21, 50, 51, 1000};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        metric_observe(series, values[i]);
    }
    render(fixture);
    expect_line(fixture, "test_wait_seconds_bucket{\"le\":\"1\",\"partition\":\"0\"} 2");
    expect_line(fixture, "test_wait_seconds_bucket{\"le\":\"2\",\"partition\":\"0\"} 4");
    expect_line(fixture, "test_wait_seconds_bucket{\"le\":\"5\",\"partition\":\"0\"} 6");
    expect_line(fixture, "test_wait_seconds_bucket{\"le\":\"+Inf\",\"partition\":\"0\"} 8");
    expect_line(fixture, "test_wait_seconds_sum{\"partition\":\"0\"} 116.3");
    expect_line(fixture, "test_wait_seconds_count{\"partition\":\"0\"} 8");
}

static void keeps_families_together_and_removes_by_owner(void **state)
{
    struct fixture *fixture = *state;
    int one = 0;
    int two = 0;
    (void)add(fixture, &events, "0", "a", &one);
    (void)add(fixture, &waits, "0", NULL, &one);
    (void)add(fixture, &events, "1", "a", &two);
    (void)add(fixture, &events, "2", "a", &one);
    struct error error = {""};
    struct metric_series *series = NULL;
    const char *values[METRIC_LABELS_MAX] = {"1", "a"};
    assert_int_equal(metrics_add(fixture->metrics, &events, values, &two, &series, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message,
                        "metrics: test_events_total{partition=\"1\",type=\"a\"} is there already");
    render(fixture);
    metrics_remove(fixture->metrics, &one);
    render(fixture);
    assert_string_equal(fixture->said, "test_events_total{\"partition\":\"1\",\"type\":\"a\"} 0\n");
    (void)add(fixture, &events, "0", "a", &one);
    render(fixture);
    metrics_remove(fixture->metrics, &one);
    metrics_remove(fixture->metrics, &two);
    struct byte_buffer text = {0};
    metrics_render(fixture->metrics, &text);
    assert_int_equal(text.length, 0);
}

static void refuses_labels_that_are_too_long(void **state)
{
    struct fixture *fixture = *state;
    char value[METRIC_LABEL_BYTES_MAX + 1];
    memset(value, '"', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    const char *values[METRIC_LABELS_MAX] = {value, ""};
    struct metric_series *series = NULL;
    assert_int_equal(metrics_add(fixture->metrics, &events, values, NULL, &series, NULL),
                     STATUS_FATAL);
    assert_null(series);
}

static void sample(void *context)
{
    metric_count(context, 1);
}

static void samples_when_it_is_asked(void **state)
{
    struct fixture *fixture = *state;
    struct metric_series *series = add(fixture, &events, "0", "a", NULL);
    metrics_set_sampler(fixture->metrics, sample, series);
    render(fixture);
    render(fixture);
    expect_line(fixture, "test_events_total{\"partition\":\"0\",\"type\":\"a\"} 2");
    metrics_set_sampler(fixture->metrics, NULL, NULL);
}

/* Names are checked by the oracle as well; what it cannot see is whether they are documented. */
static void has_a_table_whose_names_follow_the_rules(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < run_metric_count; i++) {
        const struct metric_info *info = &run_metric_infos[i];
        print_message("metric %u: %s\n", i, info->name ? info->name : "none");
        if (!info->name || !info->doc || !info->unit) {
            fail_msg("a row of the table is not filled in");
            return;
        }
        if (*info->unit && strcmp(info->unit, "records") != 0 &&
            strcmp(info->unit, "events") != 0 && strcmp(info->unit, "parts") != 0 &&
            strcmp(info->unit, "files") != 0) {
            assert_non_null(strstr(info->name, info->unit));
        }
        for (uint32_t j = 0; j < i; j++) {
            assert_string_not_equal(info->name, run_metric_infos[j].name);
        }
        (void)add(fixture, info, "0", "a", NULL);
    }
    render(fixture);
}

/* ---- Threads ---- */

#define WRITERS 3
#define WRITES 200000u

struct writer {
    struct fixture *fixture;
    pthread_t thread;
    int number;
};

static void *write_all(void *context)
{
    struct writer *writer = context;
    char name[8];
    (void)snprintf(name, sizeof(name), "%d", writer->number);
    for (uint32_t round = 0; round < 4; round++) {
        struct metric_series *count = add(writer->fixture, &events, name, "a", writer);
        struct metric_series *wait = add(writer->fixture, &waits, name, NULL, writer);
        for (uint32_t i = 0; i < WRITES; i++) {
            metric_count(count, 1);
            metric_observe(wait, i % 64);
        }
        if (round < 3) {
            metrics_remove(writer->fixture->metrics, writer);
        }
    }
    return NULL;
}

static void is_read_while_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct writer writers[WRITERS] = {{0}};
    for (int i = 0; i < WRITERS; i++) {
        writers[i].fixture = fixture;
        writers[i].number = i;
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
    }
    (void)add(fixture, &level, NULL, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        render(fixture);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    }
    render(fixture);
    expect_line(fixture, "test_events_total{\"partition\":\"1\",\"type\":\"a\"} 200000");
    expect_line(fixture, "test_wait_seconds_count{\"partition\":\"2\"} 200000");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(renders_what_was_written),
        TEST(escapes_labels),
        TEST(counts_each_observation_up_to_its_bound),
        TEST(keeps_families_together_and_removes_by_owner),
        TEST(refuses_labels_that_are_too_long),
        TEST(samples_when_it_is_asked),
        TEST(has_a_table_whose_names_follow_the_rules),
        TEST(is_read_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
