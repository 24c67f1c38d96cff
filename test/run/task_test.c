/* What the simulator does not single out: small runs of a task, looked at closely. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/run/task.h"
#include "pipeline/state/record_codec.h"
#include "test/fakes/broker.h"
#include "test/simulation/plans.h"
#include "test/simulation/script.h"
#include "test/simulation/simulated_store.h"

#define START_MS INT64_C(1700000000000)

/* A partition that outlives its tasks. */
struct shop {
    struct script script;
    struct scripted_input input;
    struct record_layout layout;
    struct storage_fake *disk;
    struct state_store *memory;
    struct simulated_store store;
    struct broker *broker;
    struct task_options options;
    struct task *task;
};

static int open_shop(void **state)
{
    struct shop *shop = calloc(1, sizeof(*shop));
    struct error error;
    assert_non_null(shop);
    shop->disk = storage_fake_create();
    shop->broker = broker_create();
    assert_int_equal(state_store_memory_open(&shop->memory, &error), STATUS_OK);
    shop->options = (struct task_options){
        .intake = {.source_name = "script",
                   .partition = "0",
                   .allowed_lateness_ms = 1000,
                   .max_ahead_ms = 60000,
                   .timer_floor_ms = stage_plan_timer_floor_ms(plans_get(2)),
                   .entity_mask = 1,
                   .batch_events_max = 100},
        .cache = {.bytes_max = 8u << 20, .slice_records = 64},
        .timer_entries_max = 64,
        .transaction_records_max = 256,
        .feature_count = stage_plan_features(plans_get(2))->count,
        .plan_hash = 1,
        .numeric_profile = "test",
    };
    *state = shop;
    return 0;
}

static int close_shop(void **state)
{
    struct shop *shop = *state;
    task_destroy(shop->task);
    shop->memory->ops->close(shop->memory);
    broker_destroy(shop->broker);
    storage_fake_destroy(shop->disk);
    free(shop);
    return 0;
}

static struct script_event *add_event(struct shop *shop, int64_t after_ms)
{
    struct script_event *event = &shop->script.events[shop->script.event_count++];
    *event = (struct script_event){.result = INPUT_EVENT,
                                   .time_ms = START_MS + after_ms,
                                   .type = EVENT_PAGE_VIEW,
                                   .user = "u1",
                                   .raw = "record"};
    return event;
}

static void start(struct shop *shop)
{
    struct task_parts parts = {.layout = &shop->layout};
    struct error error = {0};
    struct stage_context context = {.partition = "0", .partition_count = 1, .entity_mask = 1};
    task_destroy(shop->task);
    shop->task = NULL;
    shop->layout = (struct record_layout){0};
    scripted_input_init(&shop->input, &shop->script);
    simulated_store_init(&shop->store, shop->memory, shop->disk);
    parts.input = &shop->input.input;
    parts.store = &shop->store.store;
    parts.log = broker_log_open(shop->broker);
    assert_int_equal(output_batch_create(OUTPUT_JSONL, &parts.outputs, &error), STATUS_OK);
    assert_int_equal(
        record_layout_add(&shop->layout, &task_progress_part, &parts.progress_offset, &error),
        STATUS_OK);
    assert_int_equal(stage_plan_create_stages(plans_get(2), &context, &shop->layout, parts.stages,
                                              &parts.stage_count, &error),
                     STATUS_OK);
    if (task_create(&shop->options, &parts, &shop->task, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

static void step(struct shop *shop, uint32_t steps)
{
    enum task_state task_state;
    struct error error;
    for (uint32_t i = 0; i < steps; i++) {
        if (task_step(shop->task, &task_state, &error) != STATUS_OK) {
            fail_msg("%s", error.message);
        }
    }
}

static void commit(struct shop *shop)
{
    task_request_commit(shop->task);
    step(shop, 6);
    assert_true(task_is_committed(shop->task));
}

static uint64_t lines_of(const struct shop *shop, enum topic topic)
{
    uint64_t bytes = 0;
    uint64_t lines = 0;
    const unsigned char *text = broker_output(shop->broker, topic, &bytes);
    for (uint64_t i = 0; i < bytes; i++) {
        lines += text[i] == '\n';
    }
    return lines;
}

static void an_event_too_far_ahead_is_a_dead_letter_and_moves_nothing(void **state)
{
    struct shop *shop = *state;
    add_event(shop, -1);
    add_event(shop, 0);
    add_event(shop, 60001);
    add_event(shop, 60000);
    start(shop);
    step(shop, 3);
    commit(shop);
    struct task_progress progress = task_progress(shop->task);
    assert_int_equal(progress.counters.dead_letters[REJECTION_TIME_AHEAD], 1);
    assert_int_equal(progress.counters.events_accepted, 3);
    assert_int_equal(progress.time_max_ms, START_MS + 60000);
    assert_int_equal(lines_of(shop, TOPIC_DEAD_LETTERS), 1);
}

/* However the input is cut, and whichever way the first clock is wrong. */
static void a_first_event_of_another_year_does_not_set_the_time(void **state)
{
    struct shop *shop = *state;
    static const int64_t years_off[] = {-20, 20};
    for (uint32_t run = 0; run < 8; run++) {
        shop->script = (struct script){0};
        (void)strcpy(add_event(shop, years_off[run & 1] * INT64_C(31557600000))->user, "lost");
        add_event(shop, 0);
        add_event(shop, 1000);
        add_event(shop, 60000000); /* Too far ahead, and the time is known by now. */
        add_event(shop, 5000);
        add_event(shop, 3999);
        broker_destroy(shop->broker);
        shop->broker = broker_create();
        shop->memory->ops->close(shop->memory);
        struct error error;
        assert_int_equal(state_store_memory_open(&shop->memory, &error), STATUS_OK);
        shop->options.intake.batch_events_max = 1 + run / 2;
        start(shop);
        step(shop, 12);
        commit(shop);
        struct task_progress progress = task_progress(shop->task);
        assert_int_equal(progress.time_max_ms, START_MS + 5000);
        assert_int_equal(progress.counters.events_accepted, 5);
        assert_int_equal(progress.counters.late_events, 1);
        assert_int_equal(progress.counters.dead_letters[REJECTION_TIME_AHEAD], 1);
    }
}

static void late_events_are_diverted_where_so_configured(void **state)
{
    struct shop *shop = *state;
    add_event(shop, 5000);
    add_event(shop, 3999);
    add_event(shop, 4000);
    shop->options.intake.diverts_late = true;
    start(shop);
    step(shop, 3);
    commit(shop);
    struct task_progress progress = task_progress(shop->task);
    assert_int_equal(progress.counters.late_events, 1);
    assert_int_equal(progress.counters.late_diverted, 1);
    assert_int_equal(progress.counters.events_accepted, 2);
    assert_int_equal(lines_of(shop, TOPIC_LATE_EVENTS), 1);
}

static void a_late_duplicate_is_a_duplicate_and_not_late(void **state)
{
    struct shop *shop = *state;
    (void)strcpy(add_event(shop, 0)->id, "a");
    (void)strcpy(add_event(shop, 5000)->id, "b");
    (void)strcpy(add_event(shop, 0)->id, "a");
    (void)strcpy(add_event(shop, 1000)->id, "c");
    start(shop);
    step(shop, 3);
    commit(shop);
    struct task_counters counters = task_progress(shop->task).counters;
    assert_int_equal(counters.events_read, 4);
    assert_int_equal(counters.events_accepted, 3);
    assert_int_equal(counters.duplicates, 1);
    assert_int_equal(counters.late_events, 1);
    assert_int_equal(lines_of(shop, TOPIC_LATE_EVENTS), 1);
}

/* A user's record as it is stored, header first; NULL: there is none. */
static const unsigned char *stored_user(struct shop *shop, const char *user, uint32_t *ret_length)
{
    struct error error;
    struct record_key key = {
        .id = pseudonym_make(&shop->options.intake.key, ENTITY_USER, text_of(user)),
        .kind = ENTITY_USER,
    };
    struct store_key stored = store_key_of_record(key);
    struct store_value value = {0};
    assert_int_equal(task_flush(shop->task, &error), STATUS_OK);
    assert_int_equal(shop->memory->ops->get_many(shop->memory, &stored, 1, &value, &error),
                     STATUS_OK);
    *ret_length = value.length;
    return value.bytes;
}

/* Whether the topic has those words behind its first `from` bytes. */
static bool says(const struct shop *shop, enum topic topic, uint64_t from, const char *words)
{
    uint64_t bytes = 0;
    const unsigned char *text = broker_output(shop->broker, topic, &bytes);
    size_t length = strlen(words);
    for (uint64_t at = from; at + length <= bytes; at++) {
        if (memcmp(text + at, words, length) == 0) {
            return true;
        }
    }
    return false;
}

static void who_is_erased_is_a_stranger_afterwards(void **state)
{
    struct shop *shop = *state;
    shop->options.scored_events_share = 1;
    add_event(shop, 0)->type = EVENT_ADD_TO_CART;
    add_event(shop, 1000)->type = EVENT_ADD_TO_CART;
    (void)strcpy(add_event(shop, 1500)->user, "u2");
    add_event(shop, 2000)->type = EVENT_ERASE;
    start(shop);
    step(shop, 1);
    commit(shop);
    assert_int_equal(lines_of(shop, TOPIC_SCORED_EVENTS), 3); /* The erasure itself is not. */
    assert_true(says(shop, TOPIC_SCORED_EVENTS, 0, "\"features\":[2,"));

    uint32_t length = 0;
    const unsigned char *erased = stored_user(shop, "u1", &length);
    assert_non_null(erased);
    assert_int_equal(length, RECORD_TIMER_MASK_AT + 1); /* No timers and no parts. */
    assert_int_equal(erased[RECORD_TIMER_MASK_AT], 0);
    assert_non_null(stored_user(shop, "u2", &length));
    assert_true(length > 100);

    add_event(shop, 3000);
    uint64_t before = 0;
    (void)broker_output(shop->broker, TOPIC_SCORED_EVENTS, &before);
    shop->options.is_finite = true;
    start(shop);
    enum task_state task_state = TASK_BUSY;
    struct error error;
    while (task_state != TASK_FINISHED) {
        assert_int_equal(task_step(shop->task, &task_state, &error), STATUS_OK);
    }
    assert_true(says(shop, TOPIC_SCORED_EVENTS, before, "\"features\":[1,"));
    assert_false(says(shop, TOPIC_SCORED_EVENTS, before, "\"features\":[2,"));
    struct task_counters counters = task_progress(shop->task).counters;
    assert_int_equal(counters.users_erased, 1);
    assert_int_equal(counters.events_accepted, 5);
    assert_int_equal(counters.events_by_type[EVENT_ERASE], 1);
    /* The session that was open when its user was erased ends without a record. */
    assert_int_equal(lines_of(shop, TOPIC_SESSIONS), 2);
}

static void an_erasure_is_carried_out_however_late(void **state)
{
    struct shop *shop = *state;
    shop->options.intake.diverts_late = true;
    add_event(shop, 50000);
    add_event(shop, 0)->type = EVENT_ERASE;
    start(shop);
    step(shop, 2);
    commit(shop);
    uint32_t length = 0;
    assert_non_null(stored_user(shop, "u1", &length));
    assert_int_equal(length, RECORD_TIMER_MASK_AT + 1);
    struct task_counters counters = task_progress(shop->task).counters;
    assert_int_equal(counters.users_erased, 1);
    assert_int_equal(counters.late_diverted, 0);
    assert_int_equal(lines_of(shop, TOPIC_LATE_EVENTS), 0);
}

static const char foreign_bytes[] = "foreign bytes!!!";
static const char changed_bytes[] = "changed bytes!!!";

/* What a later version of the program might have left: parts of its own, and one of ours that means
 * something else there. */
static void store_foreign_record(struct shop *shop, const char *user)
{
    struct record_layout layout = {0};
    const struct record_part foreign = {
        .name = "foreign", .id = 977, .version = 3, .kind = ENTITY_USER, .bytes = 16};
    const struct record_part changed = {.name = "changed",
                                        .id = PART_FEATURES_USER,
                                        .version = 1,
                                        .kind = ENTITY_USER,
                                        .bytes = 16,
                                        .writer_hash = 5};
    uint32_t offsets[2];
    struct error error;
    assert_int_equal(record_layout_add(&layout, &foreign, &offsets[0], &error), STATUS_OK);
    assert_int_equal(record_layout_add(&layout, &changed, &offsets[1], &error), STATUS_OK);
    struct record *record = calloc(1, sizeof(*record) + layout.bytes[ENTITY_USER]);
    assert_non_null(record);
    struct record_key key = {
        .id = pseudonym_make(&shop->options.intake.key, ENTITY_USER, text_of(user)),
        .kind = ENTITY_USER,
    };
    record_init(&layout, key, record);
    memcpy(record_part_at(record, offsets[0]), foreign_bytes, foreign.bytes);
    memcpy(record_part_at(record, offsets[1]), changed_bytes, changed.bytes);
    unsigned char bytes[256];
    assert_true(record_encoded_bytes_max(&layout, ENTITY_USER, 0) <= sizeof(bytes));
    struct store_put put = {.key = store_key_of_record(key), .bytes = bytes};
    put.length = (uint32_t)record_encode(&layout, record, bytes);
    assert_int_equal(shop->memory->ops->write(shop->memory, &put, 1, 0, &error), STATUS_OK);
    free(record);
}

static bool has_bytes(const unsigned char *bytes, uint32_t length, const char *words)
{
    size_t wanted = strlen(words);
    for (size_t at = 0; at + wanted <= length; at++) {
        if (memcmp(bytes + at, words, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static void unknown_parts_are_carried_along_and_foreign_ones_start_cold(void **state)
{
    struct shop *shop = *state;
    store_foreign_record(shop, "u1");
    shop->options.scored_events_share = 1;
    add_event(shop, 0);
    add_event(shop, 1000);
    start(shop);
    step(shop, 1);
    commit(shop);
    struct record_cache_stats stats = task_cache_stats(shop->task);
    assert_int_equal(stats.decode.parts_unknown, 1);
    assert_int_equal(stats.decode.parts_cold, 1);
    assert_true(says(shop, TOPIC_SCORED_EVENTS, 0, "\"features\":[2,"));
    uint32_t length = 0;
    const unsigned char *bytes = stored_user(shop, "u1", &length);
    assert_non_null(bytes);
    assert_true(has_bytes(bytes, length, foreign_bytes));
    assert_false(has_bytes(bytes, length, changed_bytes));
    /* Again from the store, by another task; an erasure then leaves nothing of them either. */
    start(shop);
    add_event(shop, 2000);
    step(shop, 2);
    commit(shop);
    bytes = stored_user(shop, "u1", &length);
    assert_true(has_bytes(bytes, length, foreign_bytes));
    add_event(shop, 3000)->type = EVENT_ERASE;
    step(shop, 2);
    commit(shop);
    bytes = stored_user(shop, "u1", &length);
    assert_false(has_bytes(bytes, length, foreign_bytes));
}

static void counters_of_an_earlier_version_are_taken_over(void **state)
{
    (void)state;
    struct task_progress before = {.time_max_ms = 7, .epoch = 3};
    before.counters.events_read = 11;
    before.counters.events_by_type[EVENT_PURCHASE] = 5;
    struct task_progress after = {0};
    const uint32_t bytes = offsetof(struct task_progress, counters.users_erased);
    assert_true(task_progress_part.upgrade(1, &before, bytes, &after));
    assert_memory_equal(&before, &after, sizeof(before));
    assert_false(task_progress_part.upgrade(1, &before, bytes - 8, &after));
    const uint32_t bytes_2 = offsetof(struct task_progress, topics);
    before.is_provisional = 1;
    before.input = (struct input_fingerprint){7, 8};
    assert_true(task_progress_part.upgrade(2, &before, bytes_2, &after));
    assert_memory_equal(&before, &after, sizeof(before));
    assert_false(task_progress_part.upgrade(2, &before, bytes, &after));
    assert_false(task_progress_part.upgrade(1, &before, bytes_2, &after));
    assert_false(task_progress_part.upgrade(3, &before, sizeof(before), &after));
}

static void records_that_are_all_rejected_are_committed(void **state)
{
    struct shop *shop = *state;
    add_event(shop, 0)->result = INPUT_REJECTED;
    add_event(shop, 0)->result = INPUT_SKIPPED;
    shop->script.events[0].reason = REJECTION_NOT_PARSED;
    start(shop);
    step(shop, 3);
    commit(shop);
    assert_int_equal(lines_of(shop, TOPIC_DEAD_LETTERS), 1);
    start(shop);
    struct task_progress progress = task_progress(shop->task);
    assert_int_equal(progress.counters.events_read, 2);
    assert_int_equal(progress.counters.events_skipped, 1);
    assert_int_equal(progress.counters.dead_letters[REJECTION_NOT_PARSED], 1);
    step(shop, 3);
    assert_int_equal(task_progress(shop->task).counters.events_read, 2);
}

static void a_changed_configuration_begins_an_epoch_once(void **state)
{
    struct shop *shop = *state;
    add_event(shop, 0);
    start(shop);
    step(shop, 3);
    commit(shop);
    assert_int_equal(task_progress(shop->task).epoch, 1);
    start(shop);
    assert_true(task_is_committed(shop->task));
    shop->options.plan_hash = 2;
    start(shop);
    assert_false(task_is_committed(shop->task));
    commit(shop);
    assert_int_equal(task_progress(shop->task).epoch, 2);
    start(shop);
    assert_int_equal(task_progress(shop->task).epoch, 2);
    assert_true(task_is_committed(shop->task));
}

static void more_ticks_than_the_journal_holds_wait_for_a_commit(void **state)
{
    struct shop *shop = *state;
    add_event(shop, 0);
    start(shop);
    step(shop, 2);
    for (int64_t tick = 1; tick <= 40; tick++) {
        task_tick(shop->task, START_MS + tick * 1000);
        step(shop, 4);
    }
    commit(shop);
    assert_int_equal(task_watermark_ms(shop->task), START_MS + 40000);
    assert_int_equal(task_progress(shop->task).counters.ticks, 40);
}

static void a_tick_ends_the_session_of_a_silent_partition(void **state)
{
    struct shop *shop = *state;
    add_event(shop, 0);
    start(shop);
    step(shop, 2);
    commit(shop);
    assert_int_equal(lines_of(shop, TOPIC_SESSIONS), 0);
    task_tick(shop->task, START_MS + 3600000);
    step(shop, 4);
    commit(shop);
    assert_int_equal(lines_of(shop, TOPIC_SESSIONS), 1);
}

static void a_finite_input_is_drained_once(void **state)
{
    struct shop *shop = *state;
    add_event(shop, 0);
    shop->options.is_finite = true;
    for (int run = 0; run < 2; run++) {
        start(shop);
        enum task_state task_state = TASK_BUSY;
        struct error error;
        while (task_state != TASK_FINISHED) {
            assert_int_equal(task_step(shop->task, &task_state, &error), STATUS_OK);
        }
        assert_int_equal(task_commits(shop->task), run == 0 ? 1 : 0);
        assert_int_equal(task_flush(shop->task, &error), STATUS_OK);
        assert_int_equal(lines_of(shop, TOPIC_SESSIONS), 1);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_shop, close_shop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_too_far_ahead_is_a_dead_letter_and_moves_nothing),
        TEST(a_first_event_of_another_year_does_not_set_the_time),
        TEST(late_events_are_diverted_where_so_configured),
        TEST(a_late_duplicate_is_a_duplicate_and_not_late),
        TEST(who_is_erased_is_a_stranger_afterwards),
        TEST(an_erasure_is_carried_out_however_late),
        TEST(unknown_parts_are_carried_along_and_foreign_ones_start_cold),
        cmocka_unit_test(counters_of_an_earlier_version_are_taken_over),
        TEST(records_that_are_all_rejected_are_committed),
        TEST(a_changed_configuration_begins_an_epoch_once),
        TEST(more_ticks_than_the_journal_holds_wait_for_a_commit),
        TEST(a_tick_ends_the_session_of_a_silent_partition),
        TEST(a_finite_input_is_drained_once),
    };
    int failed = cmocka_run_group_tests_name("task", tests, NULL, NULL);
    plans_release();
    return failed;
}
