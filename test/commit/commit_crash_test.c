/*
 * The commit protocol against a disk that crashes: whatever happens at whichever call, and again
 * while recovering from it, outputs, records and journal are those of a run without a crash, and
 * nothing that was acknowledged is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/commit/commit_log.h"
#include "pipeline/commit/storage.h"
#include "test/fakes/note_output.h"
#include "test/fakes/storage_fake.h"
#include "test/fakes/storage_reorder.h"

#define EVENTS_MAX 64u
#define KEYS 5u
#define VALUE_BYTES_MAX 900u

/* What the run is about; the same world has the same outputs however it is disturbed. */
struct world {
    uint64_t seed;
    uint64_t events;
    enum output_format format;
    bool is_synced;
    bool is_sync_ignored;
    bool is_reordered;
};

/* When it is disturbed. Each life of the process meets at most one fault. */
struct life {
    uint64_t fault_call; /* 0: it lives to the end. */
    enum storage_fault fault;
    enum storage_crash crash;
    uint64_t capacity; /* Of the disk, in bytes; 0: no end. */
};

/* How often a fault met each kind of call, over all runs. */
static uint64_t hits[STORAGE_CALL_COUNT];

/* What a store would hold: the last event that touched each key. */
struct state {
    uint64_t last_event[KEYS]; /* Plus one; 0: never touched. */
    uint64_t log_position;
    uint64_t ordinal;
};

struct run {
    struct world world;
    struct storage_fake *fake;
    struct storage_reorder *reorder;
    struct output_batch *batch;
    struct state durable; /* In the store. */
    struct state working;
    uint64_t acknowledged; /* Events. */
    uint64_t journal_next; /* Event from which on the next visited entry may come. */
    uint64_t random;
    enum storage_call last_call;
    char violation[700];
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    return hash64_combine(a, b);
}

static uint64_t draw(struct run *run, uint64_t below)
{
    run->random = mix(run->random, 1);
    return run->random % below;
}

static bool violate(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool violate(struct run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!run->violation[0]) {
        (void)vsnprintf(run->violation, sizeof(run->violation), format, arguments);
    }
    va_end(arguments);
    return false;
}

/* ---- what each event does ---- */

static bool event_writes(const struct world *world, uint64_t event, int topic)
{
    return (mix(world->seed, event) >> (4 * topic)) % 16 < 5;
}

static uint64_t event_key(const struct world *world, uint64_t event)
{
    return (mix(world->seed, event) >> 40) % KEYS;
}

static bool event_has_journal(const struct world *world, uint64_t event)
{
    return (mix(world->seed, event) >> 50) % 4 == 0;
}

static uint32_t event_value(const struct world *world, uint64_t event,
                            unsigned char value[VALUE_BYTES_MAX])
{
    uint32_t length = 8 + (uint32_t)(mix(world->seed, event) >> 20) % (VALUE_BYTES_MAX - 8);
    memset(value, (int)event, length);
    memcpy(value, &event, sizeof(event));
    return length;
}

/* ---- checks ---- */

static void output_path(const struct world *world, int topic, char path[64])
{
    (void)snprintf(path, 64, "out/%s/p0.%s", output_topics[topic].name,
                   world->format == OUTPUT_AVRO ? "avro" : "jsonl");
}

static bool check_outputs(struct run *run, uint64_t events)
{
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        char path[64];
        output_path(&run->world, topic, path);
        uint64_t length = 0;
        const unsigned char *bytes = storage_fake_content(run->fake, path, &length);
        int64_t numbers[EVENTS_MAX];
        int64_t count =
            bytes ? note_read(run->world.format, bytes, length, numbers, EVENTS_MAX) : 0;
        int64_t expected = 0;
        for (uint64_t event = 0; event < events; event++) {
            if (!event_writes(&run->world, event, topic)) {
                continue;
            }
            if (expected < count && numbers[expected] != (int64_t)event) {
                return violate(run, "%s: record %d is %d, expected %d", path, (int)expected,
                               (int)numbers[expected], (int)event);
            }
            expected++;
        }
        if (count != expected || (bytes && expected == 0)) {
            return violate(run, "%s: %d records, expected %d", path, (int)count, (int)expected);
        }
    }
    return true;
}

static bool check_state(struct run *run, uint64_t events)
{
    uint64_t expected[KEYS] = {0};
    for (uint64_t event = 0; event < events; event++) {
        expected[event_key(&run->world, event)] = event + 1;
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        if (run->working.last_event[key] != expected[key]) {
            return violate(run, "key %d: event %d, expected %d", (int)key,
                           (int)run->working.last_event[key] - 1, (int)expected[key] - 1);
        }
    }
    return true;
}

static uint64_t next_journal_event(const struct run *run, uint64_t event)
{
    while (event < run->world.events && !event_has_journal(&run->world, event)) {
        event++;
    }
    return event;
}

static enum status visit_record(void *context, const struct changelog_entry *entry,
                                uint64_t log_position, struct error *error)
{
    struct run *run = context;
    uint64_t event = 0;
    unsigned char expected[VALUE_BYTES_MAX];
    memcpy(&event, entry->bytes, sizeof(event));
    uint32_t length = event_value(&run->world, event, expected);
    if (entry->length != length || memcmp(entry->bytes, expected, length) != 0 ||
        entry->key.id.low >= KEYS || log_position <= run->durable.log_position) {
        (void)violate(run, "a wrong record was visited");
        return error_set(error, STATUS_FATAL, "wrong record");
    }
    run->working.last_event[entry->key.id.low] = event + 1;
    return STATUS_OK;
}

static enum status visit_journal(void *context, const struct journal_entry *entry,
                                 struct error *error)
{
    struct run *run = context;
    uint64_t expected = next_journal_event(run, run->journal_next);
    if (entry->ordinal != expected || entry->value != -(int64_t)expected ||
        entry->kind != JOURNAL_TICK || !text_is(entry->payload, "tick")) {
        (void)violate(run, "journal entry of event %d, expected %d", (int)entry->ordinal,
                      (int)expected);
        return error_set(error, STATUS_FATAL, "wrong journal entry");
    }
    run->journal_next = expected + 1;
    return STATUS_OK;
}

/* ---- one life of the process ---- */

static enum status open_log(struct run *run, struct commit_log **ret_log, struct error *error)
{
    struct commit_log_file_options options = {
        .storage =
            run->reorder ? storage_reorder_storage(run->reorder) : storage_fake_storage(run->fake),
        .output_directory = "out",
        .log_directory = "state/log",
        .partition = "p0",
        .format = run->world.format,
        .is_synced = run->world.is_synced,
        .segment_bytes = 4096,
    };
    return commit_log_file_open(&options, ret_log, error);
}

static bool recover(struct run *run, struct commit_log *log, struct commit_point *ret_point)
{
    struct error error = {""};
    run->working = run->durable;
    run->journal_next = run->durable.ordinal;
    struct recovery_visitor visitor = {
        .context = run, .record = visit_record, .journal = visit_journal};
    enum status status =
        log->ops->recover(log, run->durable.log_position, &visitor, ret_point, &error);
    if (status != STATUS_OK) {
        bool is_expected = storage_fake_is_down(run->fake) ||
                           strstr(error.message, "Input/output error") ||
                           strstr(error.message, "No space left on device");
        return is_expected ? false : violate(run, "refused: %s", error.message);
    }
    uint64_t ordinal = ret_point->position.ordinal;
    run->working.log_position = ret_point->log_position;
    run->working.ordinal = ordinal;
    if (ordinal < run->acknowledged) {
        return violate(run, "%d events were acknowledged, %d are there", (int)run->acknowledged,
                       (int)ordinal);
    }
    if (next_journal_event(run, run->journal_next) < ordinal) {
        return violate(run, "journal entries are missing before event %d", (int)ordinal);
    }
    if (ret_point->position.bytes != 10 * ordinal || ret_point->position.skip != ordinal % 3 ||
        ret_point->is_new != (ret_point->log_position == 0)) {
        return violate(run, "wrong position");
    }
    return check_state(run, ordinal) && check_outputs(run, ordinal);
}

/* Commits the events from `first` up to `end`. */
static enum status commit(struct run *run, struct commit_log *log, uint64_t first, uint64_t end,
                          struct error *error)
{
    static unsigned char values[EVENTS_MAX][VALUE_BYTES_MAX];
    struct changelog_entry records[EVENTS_MAX];
    struct journal_entry journal[EVENTS_MAX];
    struct commit_content content = {
        .outputs = run->batch,
        .records = records,
        .journal = journal,
        .position = {.ordinal = end, .bytes = 10 * end, .skip = end % 3},
    };
    output_batch_reset(run->batch);
    for (uint64_t event = first; event < end; event++) {
        for (int topic = 0; topic < TOPIC_COUNT; topic++) {
            if (event_writes(&run->world, event, topic)) {
                note_write(run->batch, (enum topic)topic, (int64_t)event);
            }
        }
        uint64_t key = event_key(&run->world, event);
        uint32_t at = content.record_count++;
        records[at] =
            (struct changelog_entry){.key = {.id = {.high = 7, .low = key}},
                                     .bytes = values[at],
                                     .length = event_value(&run->world, event, values[at])};
        run->working.last_event[key] = event + 1;
        if (event_has_journal(&run->world, event)) {
            journal[content.journal_count++] = (struct journal_entry){.ordinal = event,
                                                                      .value = -(int64_t)event,
                                                                      .kind = JOURNAL_TICK,
                                                                      .payload = text_of("tick")};
        }
    }
    enum status status = log->ops->start(log, &content, error);
    enum commit_state state = COMMIT_PENDING;
    uint64_t log_position = 0;
    if (status == STATUS_OK) {
        status = log->ops->poll(log, &state, &log_position, error);
    }
    if (status == STATUS_OK) {
        assert_int_equal(state, COMMIT_DONE);
        assert_int_equal(log_position, run->working.log_position + 1);
        run->working.log_position = log_position;
        run->working.ordinal = end;
        run->acknowledged = end;
    }
    return status;
}

/* False when the life ended before the input did. */
static bool live(struct run *run)
{
    struct error error = {""};
    struct commit_log *log = NULL;
    struct commit_point point = {0};
    bool is_alive = open_log(run, &log, &error) == STATUS_OK && recover(run, log, &point);
    while (is_alive && run->working.ordinal < run->world.events) {
        uint64_t left = run->world.events - run->working.ordinal;
        uint64_t count = 1 + draw(run, 5);
        uint64_t first = run->working.ordinal;
        is_alive =
            commit(run, log, first, first + (count < left ? count : left), &error) == STATUS_OK;
        if (is_alive && draw(run, 3) == 0) {
            run->durable = run->working;
            is_alive = log->ops->trim(log, run->durable.log_position, &error) == STATUS_OK;
        }
    }
    if (log) {
        log->ops->close(log);
    }
    return is_alive;
}

static void note_call(void *context, enum storage_call call, const char *path)
{
    (void)path;
    ((struct run *)context)->last_call = call;
}

/* Runs the world through its lives; "" or what went wrong. */
static void run_lives(struct run *run, const struct world *world, const struct life *lives,
                      uint32_t life_count)
{
    memset(run, 0, sizeof(*run));
    run->world = *world;
    run->random = world->seed;
    run->fake = storage_fake_create();
    run->batch = note_batch_create(world->format);
    storage_fake_ignore_sync(run->fake, world->is_sync_ignored);
    storage_fake_set_hook(run->fake, note_call, run);
    bool is_finished = false;
    for (uint32_t i = 0; !is_finished && !run->violation[0]; i++) {
        struct life life = i < life_count ? lives[i] : (struct life){0};
        if (world->is_reordered) {
            run->reorder = storage_reorder_create(storage_fake_storage(run->fake), "out/");
        }
        storage_fake_fault_at(run->fake, life.fault_call, life.fault);
        storage_fake_set_capacity(run->fake, life.capacity ? life.capacity : UINT64_MAX);
        is_finished = live(run);
        storage_reorder_destroy(run->reorder);
        run->reorder = NULL;
        if (!is_finished && i >= life_count) {
            (void)violate(run, "did not finish without a fault");
        }
        if (!is_finished) {
            hits[run->last_call]++;
            storage_fake_crash(run->fake, life.crash, mix(world->seed, i));
        }
    }
    if (!run->violation[0]) {
        (void)(check_outputs(run, world->events) && check_state(run, world->events));
    }
    output_batch_destroy(run->batch);
}

static uint64_t calls_without_a_crash(const struct world *world)
{
    static struct run run;
    run_lives(&run, world, NULL, 0);
    uint64_t calls = storage_fake_calls(run.fake);
    storage_fake_destroy(run.fake);
    assert_string_equal(run.violation, "");
    return calls;
}

static void must_hold(const struct world *world, const struct life *lives, uint32_t life_count)
{
    static struct run run;
    run_lives(&run, world, lives, life_count);
    storage_fake_destroy(run.fake);
    if (run.violation[0]) {
        print_error("seed %llu\n", (unsigned long long)world->seed);
        for (uint32_t i = 0; i < life_count; i++) {
            print_error("life %u: call %llu, fault %d, crash %d, capacity %llu\n", i,
                        (unsigned long long)lives[i].fault_call, (int)lives[i].fault,
                        (int)lives[i].crash, (unsigned long long)lives[i].capacity);
        }
        fail_msg("%s", run.violation);
    }
}

/* ---- tests ---- */

static void survives_a_crash_at_every_call(void **state)
{
    (void)state;
    for (int format = OUTPUT_JSONL; format <= OUTPUT_AVRO; format++) {
        struct world world = {
            .seed = 3, .events = 40, .format = (enum output_format)format, .is_synced = true};
        uint64_t calls = calls_without_a_crash(&world);
        assert_true(calls > 100);
        for (uint64_t call = 1; call <= calls; call++) {
            for (int fault = 0; fault < STORAGE_FAULT_COUNT; fault++) {
                struct life kill = {call, (enum storage_fault)fault, STORAGE_KILL, 0};
                struct life power = {call, (enum storage_fault)fault, STORAGE_POWER, 0};
                must_hold(&world, &kill, 1);
                must_hold(&world, &power, 1);
            }
        }
    }
}

static void survives_crashes_at_every_call_of_a_recovery(void **state)
{
    (void)state;
    struct world world = {.seed = 5, .events = 40, .is_synced = true};
    uint64_t calls = calls_without_a_crash(&world);
    /* The calls of a recovery are the first ones of the second life. */
    for (uint64_t call = 1; call <= 30; call++) {
        for (uint64_t first = calls / 8; first < calls; first += calls / 8) {
            for (int i = 0; i < 8; i++) {
                struct life lives[] = {
                    {first + (uint64_t)i, STORAGE_CRASH_DURING,
                     i % 2 ? STORAGE_KILL : STORAGE_POWER, 0},
                    {call, (enum storage_fault)(i % STORAGE_FAULT_COUNT),
                     i / 4 ? STORAGE_KILL : STORAGE_POWER, 0},
                };
                must_hold(&world, lives, 2);
            }
        }
    }
}

static struct life random_life(uint64_t seed, uint64_t calls, bool is_power_safe)
{
    uint64_t random = mix(seed, 99);
    return (struct life){
        .fault_call = 1 + random % calls,
        .fault = (enum storage_fault)((random >> 32) % STORAGE_FAULT_COUNT),
        .crash = (random >> 40) % 2 && is_power_safe ? STORAGE_POWER : STORAGE_KILL,
        .capacity = (random >> 48) % 8 == 0 ? 1000 + (random >> 52) * 8 : 0,
    };
}

static struct world random_world(uint64_t seed)
{
    return (struct world){.seed = seed,
                          .events = 1 + mix(seed, 7) % EVENTS_MAX,
                          .format = mix(seed, 8) % 2 ? OUTPUT_AVRO : OUTPUT_JSONL,
                          .is_synced = true};
}

#define LIVES 5u

static void run_random(uint64_t seed, bool is_synced)
{
    struct world world = random_world(seed);
    world.is_synced = is_synced;
    struct life lives[LIVES];
    for (uint32_t i = 0; i < LIVES; i++) {
        lives[i] = random_life(mix(seed, i), i % 2 ? 60 : 250, is_synced);
    }
    must_hold(&world, lives, LIVES);
}

/* More than the default where somebody has the time. */
static uint64_t seed_count(uint64_t fallback)
{
    const char *text = getenv("NUDGE_SEEDS");
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void survives_many_crashes_in_a_row(void **state)
{
    (void)state;
    memset(hits, 0, sizeof(hits));
    uint64_t seeds = seed_count(2000);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_random(seed, true);
    }
    for (int call = 0; call < STORAGE_CALL_COUNT && seeds >= 2000; call++) {
        if (hits[call] == 0) {
            fail_msg("no life ended at %s", storage_call_names[call]);
        }
    }
}

static void survives_kills_without_syncing(void **state)
{
    (void)state;
    uint64_t seeds = seed_count(1000);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_random(seed, false);
    }
}

/* How many of the seeds show a violation. */
static int count_violations(bool is_sync_ignored, bool is_reordered, enum storage_crash crash)
{
    static struct run run;
    int violations = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world world = random_world(seed);
        world.is_sync_ignored = is_sync_ignored;
        world.is_reordered = is_reordered;
        struct life life = random_life(seed, 150, true);
        life.crash = crash;
        life.fault = STORAGE_CRASH_AFTER;
        run_lives(&run, &world, &life, 1);
        storage_fake_destroy(run.fake);
        violations += run.violation[0] != '\0';
    }
    return violations;
}

static void would_notice_a_disk_that_does_not_sync(void **state)
{
    (void)state;
    assert_int_equal(count_violations(false, false, STORAGE_POWER), 0);
    assert_true(count_violations(true, false, STORAGE_POWER) > 20);
}

static void would_notice_outputs_that_are_written_after_their_frame(void **state)
{
    (void)state;
    assert_int_equal(count_violations(false, false, STORAGE_KILL), 0);
    assert_true(count_violations(false, true, STORAGE_KILL) > 5);
    assert_true(count_violations(false, true, STORAGE_POWER) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_a_crash_at_every_call),
        cmocka_unit_test(survives_crashes_at_every_call_of_a_recovery),
        cmocka_unit_test(survives_many_crashes_in_a_row),
        cmocka_unit_test(survives_kills_without_syncing),
        cmocka_unit_test(would_notice_a_disk_that_does_not_sync),
        cmocka_unit_test(would_notice_outputs_that_are_written_after_their_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
