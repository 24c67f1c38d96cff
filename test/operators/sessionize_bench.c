/* What dedupe and sessionize cost an event, records in memory. By hand: sessionize_bench [EVENTS]
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "operators/sessionize.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/output/output.h"
#include "pipeline/run/dedupe.h"
#include "test/fakes/stage_fixture.h"

#define USERS 65536u
#define ROWS 1024u

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Views with a cart now and then, five events a millisecond. */
static void fill_batch(struct event_batch *batch, struct record **users, uint64_t *random,
                       int64_t *now_ms, uint64_t *ordinal)
{
    event_batch_reset(batch);
    output_batch_reset(batch->outputs);
    for (uint32_t row = 0; row < ROWS; row++) {
        uint64_t number = fixture_random(random);
        /* Half of the events come from a sixteenth of the users. */
        uint32_t user = (uint32_t)(number % (number >> 63 ? USERS : USERS / 16));
        *now_ms += (number >> 20) % 5 == 0;
        batch->order[row] = row;
        batch->time_ms[row] = *now_ms;
        batch->watermark_ms[row] = *now_ms - 5000;
        batch->type[row] = (number >> 30) % 16 ? EVENT_PRODUCT_VIEW : EVENT_ADD_TO_CART;
        batch->kind[row] = ROW_EVENT;
        batch->state[row] = ROW_LIVE;
        batch->place[row] = place_make(PLACE_TOPIC_OTHER, *ordinal);
        batch->ordinal[row] = (*ordinal)++;
        batch->user_key[row] = users[user]->key.id;
        batch->record[ENTITY_USER][row] = users[user];
        batch->hash[HASH_EVENT_ID][row] = number;
        batch->hash[HASH_ITEM][row] = number * 31;
    }
    batch->row_count = batch->event_count = ROWS;
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000000;
    struct sessionize_options session_options;
    struct dedupe_options dedupe_options;
    struct record_layout layout = {0};
    struct stage *stages[2];
    struct event_batch batch;
    if (settings_read(&sessionize_section, NULL, &session_options, NULL) != STATUS_OK ||
        settings_read(&dedupe_section, NULL, &dedupe_options, NULL) != STATUS_OK ||
        dedupe_create(&dedupe_options, &layout, &stages[0], NULL) != STATUS_OK ||
        sessionize_create(&session_options, &layout, &stages[1], NULL) != STATUS_OK ||
        event_batch_init(&batch, 0, NULL) != STATUS_OK ||
        output_batch_create(OUTPUT_JSONL, &batch.outputs, NULL) != STATUS_OK) {
        return 1;
    }
    static struct record *users[USERS];
    size_t bytes = (sizeof(struct record) + layout.bytes[ENTITY_USER] + 15) / 16 * 16;
    for (uint32_t i = 0; i < USERS; i++) {
        users[i] = calloc(1, bytes);
        assert(users[i]);
        users[i]->key.id = (struct key128){hash64_combine(i, 1), hash64_combine(i, 2)};
        for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
            users[i]->timer_ms[slot] = TIMER_NONE;
        }
    }
    struct record *task = calloc(1, sizeof(struct record) + layout.bytes[ENTITY_TASK]);
    assert(task);
    batch.record[ENTITY_TASK][0] = task;
    batch.timer_floor_ms = 60000;
    uint64_t random = 42, ordinal = 0;
    int64_t now_ms = 1000000;
    double spent[2] = {0};
    while (ordinal < wanted) {
        fill_batch(&batch, users, &random, &now_ms, &ordinal);
        for (int i = 0; i < 2; i++) {
            double before = seconds_now();
            if (stages[i]->ops->process(stages[i], &batch, NULL) != STATUS_OK) {
                return 1;
            }
            spent[i] += seconds_now() - before;
        }
    }
    printf("dedupe %.0f ns, sessionize %.0f ns an event; %" PRIu64 " sessions of %" PRIu64
           " events\n",
           1e9 * spent[0] / (double)ordinal, 1e9 * spent[1] / (double)ordinal,
           sessionize_counters(stages[1], task)->opened, ordinal);
    for (uint32_t i = 0; i < USERS; i++) {
        free(users[i]);
    }
    free(task);
    output_batch_destroy(batch.outputs);
    event_batch_release(&batch);
    stage_destroy(stages[0]);
    stage_destroy(stages[1]);
    return 0;
}
