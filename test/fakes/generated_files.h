/* Reads back what the simulation wrote: events through the real decoders, and the truth. */
#ifndef TEST_FAKES_GENERATED_FILES_H
#define TEST_FAKES_GENERATED_FILES_H

#include "pipeline/generate/simulation.h"

struct seen_event {
    uint64_t visit; /* From the event id. */
    uint32_t step;  /* Likewise. */
    uint32_t file;  /* Which of the partitions. */
    enum event_type type;
    int64_t time_ms, price;
    uint64_t fingerprint;                   /* Of all columns. */
    uint64_t key;                           /* Hash of the user, else of the device. */
    uint64_t user, device, card, label_for; /* Hashes; 0: none. */
};

struct seen_events {
    struct seen_event *items; /* In the order of the files, one after the other. */
    size_t count;
    size_t rejected; /* The first one's reason is printed. */
};

struct seen_visit {
    uint64_t number;
    enum visit_kind kind;
    bool is_bot, is_fraud, is_complete, reached_cart, purchased, coupon_shown;
    bool buys_without_coupon, buys_with_coupon;
    int64_t shopper; /* -1: null. */
    int64_t start_ms;
    uint32_t events;
};

struct seen_visits {
    struct seen_visit *items;
    size_t count;
};

/* Free items. Anything that cannot be read fails the test. */
struct seen_events generated_events_read(const struct simulation_options *options);
struct seen_visits generated_truth_read(const struct simulation_options *options);

/* The visit of that number, or NULL; `visits` sorted by generated_visits_sort. */
void generated_visits_sort(struct seen_visits *visits);
const struct seen_visit *generated_visit_find(const struct seen_visits *visits, uint64_t number);

/* A day of moderate traffic in `directory`, to be changed as a test wants it. */
struct simulation_options generated_options(const char *directory, uint64_t event_count);

#endif
