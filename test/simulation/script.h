/*
 * What happens in one simulated shop, made from a seed: events out of order, late and twice, of few
 * users on shared devices, cards and addresses, records that are none, and ticks. The same seed
 * gives the same script, whatever disturbs the run.
 */
#ifndef TEST_SIMULATION_SCRIPT_H
#define TEST_SIMULATION_SCRIPT_H

#include "pipeline/run/input.h"
#include "pipeline/run/intake.h"

#define SCRIPT_EVENTS_MAX 300u
#define SCRIPT_TICKS_MAX 6u

struct script_event {
    enum input_result result; /* EVENT, REJECTED or SKIPPED. */
    enum rejection_reason reason;
    int64_t time_ms;
    int64_t price; /* Millionths; 0: none. */
    int64_t quantity;
    char raw[24]; /* The record's bytes; duplicates have the same. */
    char id[12];  /* Empty: none; so are those below. */
    char user[8];
    char device[8];
    char card[8];
    char terminal[8];
    char address[16];
    char item[8];
    char order[8];
    uint8_t type;
    struct input_origin origin; /* Where there are origins. */
};

/* Before record `ordinal` the input falls silent, and the partition's watermark is moved on. */
struct script_tick {
    uint64_t ordinal;
    int64_t by_ms;
};

struct script {
    uint64_t seed;
    struct script_event events[SCRIPT_EVENTS_MAX];
    uint32_t event_count;
    struct script_tick ticks[SCRIPT_TICKS_MAX];
    uint32_t tick_count;   /* None where there are origins: time goes on where these are. */
    uint32_t origin_count; /* Partitions that the records were sent on from; 0: they were not. */

    /* The settings of the world. */
    uint32_t variant; /* Which of the configurations, below `variants`. */
    int64_t allowed_lateness_ms;
    int64_t max_ahead_ms;
    int64_t retention_ms;
    double scored_events_share;
    bool diverts_late;
};

void script_make(struct script *script, uint64_t seed, uint32_t variants);

/*
 * An input that plays a script. It keeps silent at a tick until that has been made: `ticks_made` is
 * the driver's to set. `waits_in` and `fails_in` make it say nothing, or fail, at a later call.
 */
struct scripted_input {
    struct input input;
    const struct script *script; /* Borrowed. */
    uint64_t next;               /* Ordinal of the next record. */
    uint64_t ticks_made;
    uint64_t waits_in;  /* That many calls from now, 1 being the next; 0: never. */
    uint64_t fails_in;  /* Likewise. */
    bool ignores_seeks; /* A defect: after an abort it goes on where it was. */
    bool has_failed;
    bool has_waited;
    uint64_t seeks;
};

/* Never closed: close() leaves it to its owner. */
void scripted_input_init(struct scripted_input *input, const struct script *script);

/* The tick that the input waits for, or NULL. */
const struct script_tick *scripted_input_tick(const struct scripted_input *input);

#endif
