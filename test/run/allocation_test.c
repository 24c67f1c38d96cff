/*
 * Memory that runs out at each allocation in turn, from the making of a task to its end: a clean
 * failure each time, nothing lost, and the next run comes to the right outputs. Likewise for what
 * comes before: configurations with their mappings, rules and packs, and the decoding of each
 * format, where what is left behind is for the address sanitizer to find. The allocation
 * functions of the program are replaced at link time; those of shared libraries are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/commit/storage.h"
#include "pipeline/run/config.h"
#include "pipeline/run/task.h"
#include "test/fakes/fixture.h"
#include "test/fakes/generated_files.h"
#include "test/simulation/plans.h"
#include "test/simulation/small_task.h"

static uint64_t allocations;
static uint64_t fails_at; /* 0: none. */

static bool fails(void)
{
    allocations++;
    return allocations == fails_at;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* ---- a small run with real files ---- */

struct shop {
    struct script script;
    struct small_task small;
    char output[256];
    char log[256];
};

static enum status build(struct shop *shop, struct task_parts *parts, struct error *error)
{
    struct commit_log_file_options log = {.storage = storage_posix(),
                                          .output_directory = shop->output,
                                          .log_directory = shop->log,
                                          .segment_bytes = 1u << 16};
    enum status status = small_task_build(&shop->small, &shop->script, &log, parts, error);
    return status == STATUS_OK ? state_store_memory_open(&parts->store, error) : status;
}

static enum status run_shop(struct shop *shop, struct error *error)
{
    struct task_parts parts = {0};
    enum status status = build(shop, &parts, error);
    if (status != STATUS_OK) {
        task_parts_release(&parts);
        return status;
    }
    struct task_options options = small_task_options();
    options.intake.batch_events_max = 20;
    options.cache.slice_records = 8;
    options.cache.records_max = 32;
    options.timer_entries_max = 64;
    options.transaction_records_max = 32;
    struct task *task = NULL;
    enum task_state state = TASK_BUSY;
    status = task_create(&options, &parts, &task, error);
    while (status == STATUS_OK && state != TASK_FINISHED) {
        status = task_step(task, &state, error);
    }
    task_destroy(task);
    return status;
}

/* Of all output files. */
static uint64_t hash_outputs(const struct shop *shop)
{
    static char bytes[1u << 22];
    uint64_t hash = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s/0.jsonl", shop->output,
                       output_topics[topic].name);
        FILE *file = fopen(path, "rb");
        size_t length = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
        assert_true(length < sizeof(bytes));
        if (file) {
            (void)fclose(file);
        }
        hash = hash64_combine(hash, hash64((struct text){bytes, (uint32_t)length}));
    }
    return hash;
}

static struct shop *open_shop(char **ret_directory)
{
    struct shop *shop = calloc(1, sizeof(*shop));
    assert_non_null(shop);
    small_script_make(&shop->script, 5);
    *ret_directory = fixture_directory();
    (void)snprintf(shop->output, sizeof(shop->output), "%s/out", *ret_directory);
    (void)snprintf(shop->log, sizeof(shop->log), "%s/log", *ret_directory);
    return shop;
}

static void close_shop(struct shop *shop, char *directory)
{
    fixture_remove(directory);
    free(directory);
    free(shop);
}

/* One allocation fails; then the same run again, without. Returns whether it was reached. */
static bool fail_at(uint64_t nth, uint64_t expected_hash)
{
    char *directory = NULL;
    struct shop *shop = open_shop(&directory);
    struct error error = {0};
    allocations = 0;
    fails_at = nth;
    enum status status = run_shop(shop, &error);
    bool was_reached = allocations >= nth;
    fails_at = 0;
    if (was_reached && status != STATUS_OK && !strstr(error.message, "memory")) {
        fail_msg("allocation %llu: %s", (unsigned long long)nth, error.message);
    }
    status = run_shop(shop, &error);
    if (status != STATUS_OK || hash_outputs(shop) != expected_hash) {
        fail_msg("allocation %llu: the run after it: %s", (unsigned long long)nth,
                 status == STATUS_OK ? "other outputs" : error.message);
    }
    close_shop(shop, directory);
    return was_reached;
}

static void each_allocation_can_fail(void **state)
{
    (void)state;
    char *directory = NULL;
    struct error error = {0};
    (void)plans_get(0);
    struct shop *shop = open_shop(&directory);
    assert_int_equal(run_shop(shop, &error), STATUS_OK);
    uint64_t expected_hash = hash_outputs(shop);
    close_shop(shop, directory);
    uint64_t nth = 1;
    while (fail_at(nth, expected_hash)) {
        nth++;
    }
    printf("%llu allocations, each failed once\n", (unsigned long long)nth - 1);
    assert_true(nth > 100);
    plans_release();
}

/* ---- what is loaded before a run ---- */

/* Fails each allocation of `load`, which must then say so; without failure it must succeed. */
static void fail_each(enum status (*load)(const void *context, struct error *error),
                      const void *context, const char *what)
{
    struct error error = {0};
    fails_at = 0;
    if (load(context, &error) != STATUS_OK) {
        fail_msg("%s: %s", what, error.message);
    }
    for (uint64_t nth = 1;; nth++) {
        error = (struct error){0};
        allocations = 0;
        fails_at = nth;
        enum status status = load(context, &error);
        bool was_reached = allocations >= nth;
        fails_at = 0;
        if (!was_reached) {
            printf("%s: %llu allocations, each failed once\n", what, (unsigned long long)nth - 1);
            assert_true(nth > 1);
            return;
        }
        /* It may be done without, such as a buffer that a library wanted; but never wrong input. */
        if (status != STATUS_OK && (status != STATUS_FATAL || !strstr(error.message, "memory"))) {
            fail_msg("%s: allocation %llu: %s", what, (unsigned long long)nth, error.message);
        }
    }
}

static enum status load_config(const void *context, struct error *error)
{
    struct config config;
    enum status status = config_load(context, 1, &config, error);
    if (status == STATUS_OK) {
        config_release(&config);
    }
    return status;
}

static void each_allocation_of_a_configuration_can_fail(void **state)
{
    (void)state;
    static const char *const paths[] = {"pipeline/examples/shop.yaml",
                                        "pipeline/examples/zanbil.yaml",
                                        "pipeline/examples/rees46.yaml"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        fail_each(load_config, paths[i], paths[i]);
    }
}

struct decoding {
    const struct mapping *mapping;
    struct source_options options;
};

static enum status decode_all(const void *context, struct error *error)
{
    const struct decoding *decoding = context;
    struct event_batch batch;
    enum status status = event_batch_init(&batch, 1, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct input *input = NULL;
    status = input_file_open(&decoding->options, decoding->mapping, &input, error);
    if (status == STATUS_OK) {
        status = input->ops->seek(input, &(struct input_position){0}, error);
    }
    struct input_item item = {.result = INPUT_EVENT};
    for (uint32_t row = 0; status == STATUS_OK && item.result != INPUT_END; row++) {
        item.rejection.reason = REJECTION_NONE;
        status = input->ops->next(input, &batch, row, &item, error);
    }
    if (input) {
        input->ops->close(input);
    }
    event_batch_release(&batch);
    return status;
}

static const char json_lines[] =
    "{\"event_time\": 1780272000000, \"type\": \"Purchase\", \"user_id\": \" u\\u00e9 \", "
    "\"price\": "
    "5500000, \"attributes\": {\"a\": \"b\", \"c\": \"d\"}, \"text\": \"A\\u030a b\"}\n"
    "{\"event_time\": \"2026-06-01T00:00:00Z\", \"type\": \"search\", \"user_id\": \"u\"}\n"
    "{broken\n";
static const char log_lines[] =
    "10.0.0.1 - - [01/Jun/2026:00:00:01 +0330] \"GET /basket/add/12 HTTP/1.1\" 200 5 \"-\" "
    "\"agent\" \"-\"\n"
    "10.0.0.1 - - [01/Jun/2026:00:00:02 +0330] \"GET /search?phrase=%D8%A7&model=3 HTTP/1.1\" 200 "
    "5 "
    "\"-\" \"agent\" \"-\"\n";
static const char csv_lines[] =
    "event_time,type,user_id,text\n1780272000000,page_view,u,\"a \"\"quoted\"\" word\"\n";

static void each_allocation_of_a_decoder_can_fail(void **state)
{
    (void)state;
    static const struct {
        enum input_format format;
        const char *mapping, *content;
    } cases[] = {{INPUT_JSONL, NULL, json_lines},
                 {INPUT_CSV, NULL, csv_lines},
                 {INPUT_COMBINED_LOG, "schemas/mappings/zanbil.yaml", log_lines}};
    char *directory = fixture_directory();
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/input", directory);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mapping *mapping = NULL;
        struct error error;
        assert_int_equal(mapping_compile(cases[i].mapping, &mapping, &error), STATUS_OK);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_not_equal(fputs(cases[i].content, file), EOF);
        assert_int_equal(fclose(file), 0);
        struct decoding decoding = {mapping,
                                    {.path = path,
                                     .format = cases[i].format,
                                     .csv_delimiter = ',',
                                     .csv_has_header = true}};
        fail_each(decode_all, &decoding, cases[i].mapping ? cases[i].mapping : "canonical");
        mapping_destroy(mapping);
    }
    fixture_remove(directory);
    free(directory);
}

static void each_allocation_of_an_avro_decoder_can_fail(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    struct simulation_options options = generated_options(directory, 200);
    struct simulation_result result;
    struct error error;
    options.format = EVENT_WRITER_AVRO;
    if (simulation_run(&options, &result, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/events.avro", directory);
    struct mapping *mapping = NULL;
    assert_int_equal(mapping_compile(NULL, &mapping, &error), STATUS_OK);
    struct decoding decoding = {mapping, {.path = path, .format = INPUT_AVRO}};
    fail_each(decode_all, &decoding, "Avro");
    mapping_destroy(mapping);
    fixture_remove(directory);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_can_fail),
        cmocka_unit_test(each_allocation_of_a_configuration_can_fail),
        cmocka_unit_test(each_allocation_of_a_decoder_can_fail),
        cmocka_unit_test(each_allocation_of_an_avro_decoder_can_fail),
    };
    return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
