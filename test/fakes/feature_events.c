#include "test/fakes/feature_events.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static char *bad_labels[] = {(char *)"fraud"};
static const uint32_t all_entities =
    1u << ENTITY_DEVICE | 1u << ENTITY_CARD | 1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS;

struct extract_features_options feature_options_default(void)
{
    return (struct extract_features_options){
        .cart_lifetime_ms = 14 * DAY, .bad_labels = {bad_labels, 1}, .entity_mask = all_entities};
}

#define WORDS 40
static char words[WORDS][16];

static const char *random_word(uint64_t *random, uint32_t among)
{
    uint32_t i = (uint32_t)(fixture_random(random) % (among + among / 4));
    return i < among ? words[i] : NULL;
}

struct fixture_event *feature_events_random(uint32_t count, uint64_t seed)
{
    struct fixture_event *events = calloc(count, sizeof(*events));
    assert(events);
    for (int i = 0; i < WORDS; i++) {
        (void)snprintf(words[i], sizeof(words[i]), "w%d", i);
    }
    int64_t time_ms = NOON;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *random = &seed;
        static const int64_t steps[] = {0, 400, 5000, 61000, 2000000, 30000000};
        time_ms += steps[fixture_random(random) % 6] * (int64_t)(fixture_random(random) % 3);
        int64_t late = fixture_random(random) % 8 == 0 ? steps[fixture_random(random) % 6] * 4 : 0;
        events[i] = (struct fixture_event){
            .user = words[fixture_random(random) % 12],
            .time_ms = time_ms - late,
            .type = (enum event_type)(fixture_random(random) % EVENT_TYPE_COUNT),
            .id = fixture_random(random) % 20 == 0 ? "dup-x" : NULL,
            .item = random_word(random, 40),
            .category = random_word(random, 7),
            .price = (int64_t)(fixture_random(random) % 90) * EURO,
            .quantity = (int64_t)(fixture_random(random) % 4),
            .device = random_word(random, 9),
            .card = random_word(random, 9),
            .terminal = random_word(random, 3),
            .address = random_word(random, 9),
            .query = fixture_random(random) % 2 ? "fraud" : "genuine",
        };
    }
    return events;
}
