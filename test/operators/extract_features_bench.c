/* What a row of features costs, by user alone and with all entities. Run by hand. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "operators/extract_features.h"
#include "operators/feature_table.h"
#include "pipeline/event/event_batch.h"
#include "test/fakes/stage_fixture.h"

#define USERS_MAX 100000
#define BATCHES 200
#define WARM_BATCHES 20

struct load {
    struct record_layout layout;
    struct record *records[ENTITY_KIND_COUNT][USERS_MAX];
    struct event_batch batch;
    struct stage *stage;
    uint64_t users; /* And as many of each entity. */
    uint64_t random;
    int64_t time_ms;
};

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static struct record *pick(struct load *load, enum entity_kind kind, uint64_t *ret_hash)
{
    uint64_t a = fixture_random(&load->random) % load->users;
    uint64_t b = fixture_random(&load->random) % load->users;
    uint64_t i = a * b / load->users; /* Some are met more often. */
    *ret_hash = (i + 1) * 0x9E3779B97F4A7C15u;
    if (!load->records[kind][i]) {
        size_t bytes = sizeof(struct record) + load->layout.bytes[kind];
        load->records[kind][i] = aligned_alloc(64, (bytes + 63) / 64 * 64);
        memset(load->records[kind][i], 0, bytes);
    }
    return load->records[kind][i];
}

static void fill(struct load *load, bool with_entities)
{
    struct event_batch *batch = &load->batch;
    static const uint8_t types[] = {EVENT_PRODUCT_VIEW, EVENT_PRODUCT_VIEW, EVENT_PRODUCT_VIEW,
                                    EVENT_PAGE_VIEW,    EVENT_SEARCH,       EVENT_ADD_TO_CART,
                                    EVENT_PURCHASE,     EVENT_LOGIN_FAILED};
    batch->row_count = batch->event_count = BATCH_EVENTS_MAX;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        uint64_t hash = 0;
        batch->order[row] = row;
        load->time_ms += (int64_t)(fixture_random(&load->random) % 50);
        batch->time_ms[row] = load->time_ms;
        batch->type[row] = types[fixture_random(&load->random) % sizeof(types)];
        batch->present[row] = UINT64_C(1) << FIELD_PRICE;
        batch->price[row] = (int64_t)(fixture_random(&load->random) % 100) * 1000000;
        batch->record[ENTITY_USER][row] = pick(load, ENTITY_USER, &hash);
        batch->user_key[row].low = hash;
        batch->session_id[row] = hash ^ (uint64_t)(load->time_ms / 1800000);
        batch->session_start_ms[row] = load->time_ms / 1800000 * 1800000;
        batch->session_event_count[row] = 5;
        batch->hash[HASH_ITEM][row] = fixture_random(&load->random) % 5000 + 1;
        batch->hash[HASH_CATEGORY][row] = fixture_random(&load->random) % 50 + 1;
        if (with_entities) {
            batch->record[ENTITY_DEVICE][row] =
                pick(load, ENTITY_DEVICE, &batch->hash[HASH_DEVICE][row]);
            batch->record[ENTITY_ADDRESS][row] =
                pick(load, ENTITY_ADDRESS, &batch->hash[HASH_ADDRESS][row]);
            batch->record[ENTITY_CARD][row] = pick(load, ENTITY_CARD, &batch->hash[HASH_CARD][row]);
            batch->record[ENTITY_TERMINAL][row] =
                pick(load, ENTITY_TERMINAL, &batch->hash[HASH_TERMINAL][row]);
        }
    }
}

static double measure(uint64_t users, bool with_entities)
{
    const uint32_t entities =
        1u << ENTITY_DEVICE | 1u << ENTITY_CARD | 1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS;
    struct load *load = calloc(1, sizeof(*load));
    load->random = 1;
    load->users = users;
    load->time_ms = INT64_C(1700000000000);
    struct extract_features_options options = {.cart_lifetime_ms = INT64_C(1209600000),
                                               .entity_mask = with_entities ? entities : 0};
    struct error error;
    if (extract_features_create(&options, NULL, &load->layout, &load->stage, &error) != STATUS_OK ||
        event_batch_init(&load->batch, FEATURE_COUNT, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    double spent_s = 0;
    for (int i = 0; i < BATCHES; i++) {
        fill(load, with_entities);
        double start_s = now_s();
        if (load->stage->ops->process(load->stage, &load->batch, &error) != STATUS_OK) {
            exit(1);
        }
        spent_s += i < WARM_BATCHES ? 0 : now_s() - start_s;
    }
    stage_destroy(load->stage);
    event_batch_release(&load->batch);
    for (int kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        for (int i = 0; i < USERS_MAX; i++) {
            free(load->records[kind][i]);
        }
    }
    free(load);
    return spent_s * 1e9 / ((BATCHES - WARM_BATCHES) * (double)BATCH_EVENTS_MAX);
}

int main(void)
{
    static const uint64_t users[] = {2000, USERS_MAX};
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        double user_ns = measure(users[i], false);
        double all_ns = measure(users[i], true);
        (void)printf("%d features, %6d users: %.0f ns an event, %.0f ns with four entities\n",
                     FEATURE_COUNT, (int)users[i], user_ns, all_ns);
    }
    return 0;
}
