/*
 * A shop's traffic: visits arrive with the rhythm of day and week, play themselves out at the same
 * time, and their events come a little out of order and now and then twice. Streaming: memory holds
 * the visits under way, those that will come back, and events on their way.
 *
 * The same options give the same bytes on every machine. The events do not depend on the number of
 * files: a user's events (without a user: a device's) are in one of them.
 */
#ifndef PIPELINE_GENERATE_SIMULATION_H
#define PIPELINE_GENERATE_SIMULATION_H

#include "pipeline/generate/event_writer.h"
#include "pipeline/generate/visit.h"

#define SIMULATION_PARTITIONS_MAX 256
/* Visits under way and events on their way: a denser simulation is refused when it gets there. */
#define SIMULATION_PENDING_MAX (1u << 24)

struct simulation_options {
    uint64_t seed;
    uint64_t event_count; /* Written, copies included; exact. */
    int64_t start_ms;
    int64_t duration_ms; /* From 1: what the events spread over, within a few per cent. */
    uint64_t shopper_count;
    uint64_t item_count;
    double shopper_exponent; /* Zipf, not 1; 0: all shoppers come equally often. */
    double fraud_factor;     /* Of the usual shares of fraud and bots; 0: none. */
    double hoarding;         /* Visits in a thousand by hoarders of stock; at most 100. */
    double shift;            /* -0.5 to 0.5, see visit.h */
    double late_share;       /* Of events that come seconds late; a tenth of it minutes late. */
    double duplicate_share;
    uint32_t partitions;
    enum event_writer_format format;
    const char *directory; /* events[-N].avro or .jsonl, and truth.jsonl */
    /* Told how far it is, every 100,000 events; may be NULL. */
    void (*progress)(uint64_t events, int64_t time_ms);
};

struct simulation_result {
    uint64_t events;
    uint64_t visits, visits_by_kind[VISIT_KIND_COUNT]; /* That had an event. */
    uint64_t purchases;                                /* Complete visits with a purchase. */
    uint64_t late_events, duplicates;
    size_t pending_max; /* Most that was under way at a time. */
    int64_t end_ms;     /* Newest event time. */
};

/*
 * STATUS_INVALID: an option or the directory; STATUS_FATAL: disk or memory. On failure
 * ret_result is how far it came.
 */
MUST_CHECK enum status simulation_run(const struct simulation_options *options,
                                      struct simulation_result *ret_result, struct error *error);

#endif
