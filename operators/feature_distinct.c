#include "operators/feature_distinct.h"

void distinct_advance(struct user_distinct *distinct, int64_t from_ms, int64_t to_ms)
{
    int64_t from = from_ms / DISTINCT_EPOCH_MS;
    int64_t to = to_ms / DISTINCT_EPOCH_MS;
    sketch_epochs_advance(&distinct->devices, from, to);
    sketch_epochs_advance(&distinct->addresses, from, to);
    sketch_epochs_advance(&distinct->cards, from, to);
}

void distinct_observe(struct user_distinct *distinct, const struct feature_event *event, float *row)
{
    int64_t epoch = event->time_ms / DISTINCT_EPOCH_MS;
    int64_t newest = event->now_ms / DISTINCT_EPOCH_MS;
    sketch_add128(distinct->items, event->item);
    sketch_add64(&distinct->categories, event->category);
    if (event->device) {
        bool is_new = sketch_epochs_add(&distinct->devices, event->device, epoch, newest);
        row[FEATURE_DISTINCT_NEW_DEVICE] = is_new ? 1.0f : 0.0f;
    }
    if (event->address) {
        bool is_new = sketch_epochs_add(&distinct->addresses, event->address, epoch, newest);
        row[FEATURE_DISTINCT_NEW_ADDRESS] = is_new ? 1.0f : 0.0f;
    }
    if (event->card) {
        bool is_new = sketch_epochs_add(&distinct->cards, event->card, epoch, newest);
        row[FEATURE_DISTINCT_NEW_CARD] = is_new ? 1.0f : 0.0f;
    }
}

void distinct_write(const struct user_distinct *distinct, const struct sketch_table *sketches,
                    float *row)
{
    row[FEATURE_DISTINCT_ITEMS] = sketch_count128(sketches, distinct->items);
    row[FEATURE_DISTINCT_CATEGORIES] = sketch_count64(sketches, distinct->categories);
    row[FEATURE_DISTINCT_DEVICES] = sketch_epochs_count(sketches, &distinct->devices);
    row[FEATURE_DISTINCT_ADDRESSES] = sketch_epochs_count(sketches, &distinct->addresses);
    row[FEATURE_DISTINCT_CARDS] = sketch_epochs_count(sketches, &distinct->cards);
}
