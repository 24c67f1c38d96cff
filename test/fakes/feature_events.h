/* What tests of features share: options, times, and random events. */
#ifndef TEST_FAKES_FEATURE_EVENTS_H
#define TEST_FAKES_FEATURE_EVENTS_H

#include "operators/extract_features.h"
#include "test/fakes/stage_fixture.h"

#define NOON INT64_C(1700049600000) /* 15 November 2023, 12:00 UTC, a Wednesday. */
#define SECOND INT64_C(1000)
#define MINUTE INT64_C(60000)
#define HOUR INT64_C(3600000)
#define DAY INT64_C(86400000)
#define EURO INT64_C(1000000)

/* All entities, and a label "fraud". */
struct extract_features_options feature_options_default(void);

/*
 * `count` events of twelve users, all types and entities, some late, some with one id. Caller
 * frees; their texts stay.
 */
struct fixture_event *feature_events_random(uint32_t count, uint64_t seed);

#endif
