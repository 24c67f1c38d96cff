/*
 * Families device, address, card and terminal: the same small state by each, over all users. Where
 * it may be kept is the configuration's business; a row without the record has the features
 * missing.
 */
#ifndef OPERATORS_FEATURE_ENTITY_H
#define OPERATORS_FEATURE_ENTITY_H

#include <assert.h>

#include "operators/feature_event.h"
#include "operators/feature_sketch.h"
#include "operators/feature_window.h"

#define ENTITY_EPOCH_MS INT64_C(604800000) /* 7 days */

/* Part PART_FEATURES_ENTITY: stored as it is. A new entity is all zeros. */
struct entity_features {
    int64_t newest_ms;    /* Of activity and bad labels; 0: nothing yet. */
    double mean, squares; /* Welford over the payments' amounts, in the currency. */
    uint32_t first_s;     /* Of the oldest activity; 0: none. */
    uint32_t payments;
    float spend_1d[WINDOW_BUCKETS];
    uint16_t purchases_1d[WINDOW_BUCKETS];
    uint8_t bad_labels_1d[WINDOW_BUCKETS], bad_labels_7d[WINDOW_BUCKETS];
    struct {
        uint16_t events;
        uint8_t payments_failed, logins_failed;
    } of_10m[WINDOW_BUCKETS], of_1h[WINDOW_BUCKETS];
    struct {
        uint16_t purchases, bad_labels;
    } of_28d[WINDOW_BUCKETS];
    struct sketch_epochs users;
    struct sketch_epochs others; /* Cards; of a card, network addresses. */
};
#define ENTITY_FEATURES_BYTES 128
static_assert(sizeof(struct entity_features) == ENTITY_FEATURES_BYTES, "stored as it is");
#define ENTITY_FEATURES_VERSION 2

#define ENTITY_COLUMNS_MAX 17u

/* The features of `kind`, in a fixed order. Returns their number. */
uint32_t entity_features_columns(enum entity_kind kind, uint16_t ret_columns[ENTITY_COLUMNS_MAX]);

/*
 * Takes the event (activity or a bad label) into the state of an entity of `kind` and writes its
 * features. Events that are neither only peek.
 */
void entity_features_observe(struct entity_features *entity, enum entity_kind kind,
                             const struct sketch_table *sketches, const struct feature_event *event,
                             float *row);

#endif
