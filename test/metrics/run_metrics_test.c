#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipeline/base/clock.h"
#include "pipeline/run/run_metrics_internal.h"
#include "pipeline/run/runner.h"
#include "test/fakes/fixture.h"
#include "test/fakes/output_of.h"

#define PARTITIONS 2u
#define EVENTS 3000u
#define DEFECTS 30u /* Of the events: each hundredth. */
#define BATCHES 30u /* Of a hundred events. */

struct fixture {
    char *directory;
    char config_path[4200];
    char files[PARTITIONS][4200];
    char output[4200];
    char state[4200];
    uint16_t port;
    int holder; /* Socket that keeps the port until it is wanted. */
    struct runner_result result;
    enum status status;
    struct error error;
};

/* A port that was free a moment ago. */
static int hold_port(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int holder = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(holder, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(holder, 1), 0);
    assert_int_equal(getsockname(holder, (struct sockaddr *)&address, &length), 0);
    *ret_port = ntohs(address.sin_port);
    return holder;
}

static void write_input(const char *path)
{
    static const char *const types[] = {"product_view", "add_to_cart", "search", "page_view"};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < (int)EVENTS; i++) {
        if (i % 100 == 99) {
            (void)fprintf(file, "no event\n");
            continue;
        }
        int same = i % 50 == 49 ? i - 1 : i; /* A duplicate now and then. */
        (void)fprintf(file,
                      "{\"event_id\":\"e%d\",\"event_time\":%lld,\"type\":\"%s\",\"user_id\":"
                      "\"u%d\",\"item\":\"i%d\"}\n",
                      same, 1570000000000LL + i * 1000LL, types[i % 4], same % 37, i % 11);
    }
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = fixture_directory();
    (void)snprintf(fixture->config_path, sizeof(fixture->config_path), "%s/shop.yaml",
                   fixture->directory);
    (void)snprintf(fixture->output, sizeof(fixture->output), "%s/out", fixture->directory);
    (void)snprintf(fixture->state, sizeof(fixture->state), "%s/state", fixture->directory);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        (void)snprintf(fixture->files[i], sizeof(fixture->files[i]), "%s/%u.jsonl",
                       fixture->directory, i);
        write_input(fixture->files[i]);
    }
    fixture->holder = hold_port(&fixture->port);
    FILE *file = fopen(fixture->config_path, "w");
    assert_non_null(file);
    (void)fprintf(file,
                  "input: {follow: true}\ncommit: {interval: 20ms, sync: false}\nrun: {batch: "
                  "100}\nmetrics: {listen: \"127.0.0.1:%u\"}\n",
                  (unsigned)fixture->port);
    assert_int_equal(fclose(file), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->holder >= 0) {
        (void)close(fixture->holder);
    }
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture);
    return 0;
}

static void *run(void *context)
{
    struct fixture *fixture = context;
    struct config config;
    const char *files[PARTITIONS];
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        files[i] = fixture->files[i];
    }
    fixture->status = config_load(fixture->config_path, PARTITIONS, &config, &fixture->error);
    if (fixture->status != STATUS_OK) {
        return NULL;
    }
    struct runner_options options = {
        .config = &config,
        .files = files,
        .file_count = PARTITIONS,
        .output_directory = fixture->output,
        .state_directory = fixture->state,
        .workers = 2,
    };
    fixture->status = runner_run(&options, &fixture->result, &fixture->error);
    config_release(&config);
    return NULL;
}

/* The sum of all samples whose line begins with `start`; -1: there is none. */
static double sum_of(const char *said, const char *start)
{
    double sum = 0;
    bool is_there = false;
    for (const char *line = said; *line;) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, start, strlen(start)) == 0) {
            const char *blank = end;
            while (*blank != ' ') {
                blank--;
            }
            sum += strtod(blank, NULL);
            is_there = true;
        }
        line = end + 1;
    }
    return is_there ? sum : -1;
}

static char *scrape(const struct fixture *fixture)
{
    int code = -1;
    char *said = output_of(&code,
                           "python3 test/metrics/prometheus_oracle.py "
                           "http://127.0.0.1:%u/metrics 2>/dev/null",
                           (unsigned)fixture->port);
    if (code != 0 && *said) {
        fail_msg("%s", said);
    }
    return said;
}

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static char *scrape_when_all_is_read(const struct fixture *fixture)
{
    for (int i = 0; i < 300; i++) {
        char *said = scrape(fixture);
        if (sum_of(said, "nudge_events_read_total{") == PARTITIONS * EVENTS) {
            free(said);
            pause_ms(1200); /* The stages' own counters are told once a second. */
            return scrape(fixture);
        }
        free(said);
        pause_ms(50);
    }
    fail_msg("the input was not read in time");
    return NULL;
}

static void expect_answer(const struct fixture *fixture, const char *path, const char *expected)
{
    int code = -1;
    char *said = output_of(&code, "python3 test/metrics/http_get.py GET http://127.0.0.1:%u%s",
                           (unsigned)fixture->port, path);
    assert_string_equal(said, expected);
    free(said);
}

static void expect_sum(const char *said, const char *start, double expected)
{
    double sum = sum_of(said, start);
    if (sum != expected) {
        fail_msg("%s: %.17g, expected %.17g in\n%s", start, sum, expected, said);
    }
}

static void expect_counters(const char *said, const struct runner_result *result)
{
    const struct task_counters *counters = &result->counters;
#define CHECK(member, doc) expect_sum(said, "nudge_" #member "_total{", (double)counters->member);
    TASK_COUNTERS(CHECK)
#undef CHECK
    char start[128];
    for (int i = REJECTION_NONE + 1; i < REJECTION_COUNT; i++) {
        for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
            (void)snprintf(start, sizeof(start),
                           "nudge_dead_letters_total{\"partition\":\"%u\",\"reason\":\"%s\"}",
                           partition, rejection_names[i]);
            expect_sum(said, start, (double)counters->dead_letters[i] / PARTITIONS);
        }
    }
    for (int i = 0; i < TOPIC_COUNT; i++) {
        (void)snprintf(start, sizeof(start),
                       "nudge_output_records_total{\"partition\":\"1\",\"topic\":\"%s\"}",
                       output_topics[i].name);
        expect_sum(said, start, (double)counters->outputs[i] / PARTITIONS);
    }
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        (void)snprintf(start, sizeof(start),
                       "nudge_events_by_type_total{\"partition\":\"0\",\"type\":\"%s\"}",
                       event_types[i].name);
        expect_sum(said, start, (double)counters->events_by_type[i] / PARTITIONS);
    }
    for (uint32_t i = 0; i < result->stage_counter_count; i++) {
        (void)snprintf(start, sizeof(start),
                       "nudge_stage_counter_total{\"counter\":\"%s\",\"partition\":\"0\"}",
                       result->stage_counters[i].name);
        expect_sum(said, start, (double)result->stage_counters[i].value / PARTITIONS);
    }
}

static void tells_what_the_summary_tells(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    (void)close(fixture->holder);
    fixture->holder = -1;
    assert_int_equal(pthread_create(&thread, NULL, run, fixture), 0);
    char *said = scrape_when_all_is_read(fixture);
    expect_answer(fixture, "/healthz", "200 text/plain; charset=utf-8 ok\n");
    expect_answer(fixture, "/readyz", "200 text/plain; charset=utf-8 ready\n");
    runner_stop();
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (fixture->status != STATUS_OK) {
        fail_msg("%s", fixture->error.message);
    }
    const struct runner_result *result = &fixture->result;
    assert_int_equal(result->counters.events_read, (uint64_t)PARTITIONS * EVENTS);
    assert_true(result->counters.duplicates > 0);
    assert_int_equal(result->counters.outputs[TOPIC_DEAD_LETTERS], (uint64_t)PARTITIONS * DEFECTS);
    assert_true(result->stage_counter_count > 0);
    expect_counters(said, result);
    expect_sum(said, "nudge_commits_total{", (double)result->commits);
    expect_sum(said, "nudge_commit_seconds_count{", (double)result->commits);
    expect_sum(said, "nudge_output_latency_seconds_count{", (double)result->commits);
    expect_sum(said, "nudge_commit_aborts_total{", 0);
    expect_sum(said, "nudge_watermark_seconds{\"partition\":\"0\"}",
               (double)result->watermark_ms / 1000);
    expect_sum(said, "nudge_cache_new_records_total{", (double)result->cache.new_records);
    expect_sum(said, "nudge_stage_events_total{\"partition\":\"0\",\"stage\":\"sessionize\"}",
               (double)result->counters.events_accepted / PARTITIONS);
    expect_sum(said, "nudge_memory_limit_bytes{", 536870912);
    assert_true(sum_of(said, "process_resident_memory_bytes{") > 1e6);
    assert_true(sum_of(said, "process_cpu_seconds_total{") > 0);
    assert_true(sum_of(said, "process_open_fds{") > 3);
    assert_true(sum_of(said, "nudge_stage_batch_seconds_count{\"partition\":\"0\",\"stage\":"
                             "\"sessionize\"}") >= BATCHES);
    free(said);
}

static void ends_the_run_when_its_port_is_taken(void **state)
{
    struct fixture *fixture = *state;
    (void)run(fixture);
    assert_int_equal(fixture->status, STATUS_INVALID);
    char expected[128];
    (void)snprintf(expected, sizeof(expected),
                   "metrics.listen: 127.0.0.1:%u: Address already in use", (unsigned)fixture->port);
    assert_string_equal(fixture->error.message, expected);
    assert_int_not_equal(access(fixture->output, F_OK), 0);
}

static void answers_503_while_it_is_not_ready_or_has_failed(void **state)
{
    struct fixture *fixture = *state;
    struct run_metrics_options options = {.listen = "127.0.0.1:0", .memory_bytes = 1};
    struct run_metrics *metrics = NULL;
    struct partition_metrics *partition = NULL;
    assert_int_equal(run_metrics_start(&options, &metrics, NULL), STATUS_OK);
    assert_int_equal(partition_metrics_create(metrics, "7", &partition, NULL), STATUS_OK);
    fixture->port = run_metrics_port(metrics);
    expect_answer(fixture, "/healthz", "200 text/plain; charset=utf-8 ok\n");
    expect_answer(fixture, "/readyz", "503 text/plain; charset=utf-8 not ready\n");
    run_metrics_set_ready(metrics, true);
    expect_answer(fixture, "/readyz", "200 text/plain; charset=utf-8 ready\n");
    atomic_store(&partition->begun_ns, clock_monotonic_ns() - STUCK_AFTER_NS - 1);
    expect_answer(fixture, "/healthz",
                  "503 text/plain; charset=utf-8 partition 7 has not moved for a minute\n");
    atomic_store(&partition->begun_ns, clock_monotonic_ns() - STUCK_AFTER_NS / 2);
    expect_answer(fixture, "/healthz", "200 text/plain; charset=utf-8 ok\n");
    run_metrics_set_failed(metrics);
    expect_answer(fixture, "/healthz", "503 text/plain; charset=utf-8 failed\n");
    expect_answer(fixture, "/readyz", "503 text/plain; charset=utf-8 not ready\n");
    char *said = scrape(fixture);
    expect_sum(said, "nudge_events_read_total{\"partition\":\"7\"}", 0);
    free(said);
    partition_metrics_destroy(partition);
    said = scrape(fixture);
    expect_sum(said, "nudge_events_read_total", -1);
    free(said);
    run_metrics_stop(metrics);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ends_the_run_when_its_port_is_taken),
        TEST(answers_503_while_it_is_not_ready_or_has_failed),
        TEST(tells_what_the_summary_tells), /* Last: a process is stopped but once. */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
