/*
 * A shop's traffic: visits arrive with the rhythm of day and week, play themselves out at the same
 * time, and their events come a little out of order and now and then twice. What nobody but the
 * simulation can know goes into a file of its own. Streaming: memory holds the visits under way.
 */
#ifndef PIPELINE_GENERATE_SIMULATION_H
#define PIPELINE_GENERATE_SIMULATION_H

#include "pipeline/generate/event_writer.h"
#include "pipeline/generate/visit.h"

struct simulation_options {
    uint64_t seed;
    uint64_t event_count; /* Stops here ... */
    int64_t start_ms;
    int64_t duration_ms; /* ... or here; 0: no end. The rate spreads the events over it. */
    uint64_t shopper_count;
    uint64_t item_count;
    double shopper_exponent; /* Zipf; 0: all shoppers come equally often. */
    double fraud_factor;     /* Of the usual shares of fraud and bots; 0: none. */
    double shift;            /* -0.5 to 0.5 */
    double late_share;       /* Of events that come seconds late; a tenth of it minutes late. */
    double duplicate_share;
    uint32_t partitions;
    enum event_writer_format format;
    const char *directory; /* events[-N].avro or .jsonl, and truth.jsonl */
    /* Told how far it is, every 100,000 events; may be NULL. */
    void (*progress)(uint64_t events, int64_t time_ms);
};

struct simulation_result {
    uint64_t events, visits, visits_by_kind[VISIT_KIND_COUNT], purchases;
    int64_t end_ms;
};

MUST_CHECK enum status simulation_run(const struct simulation_options *options,
                                      struct simulation_result *ret_result, struct error *error);

#endif
