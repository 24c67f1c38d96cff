/* Family cart: what stands in the user's cart, across sessions. */
#ifndef OPERATORS_FEATURE_CART_H
#define OPERATORS_FEATURE_CART_H

#include "operators/feature_amount.h"
#include "operators/feature_sketch.h"

struct user_cart {
    int64_t value; /* Millionths. */
    uint32_t started_s;
    uint32_t touched_s;
    uint32_t items, categories; /* Sketches. */
    float max_price;
    uint16_t pieces; /* 0: empty, and so is all else. */
    uint16_t reserved;
};

/* Empties a cart that nobody touched for longer than `lifetime_ms`. */
void cart_expire(struct user_cart *cart, int64_t now_ms, int64_t lifetime_ms);
void cart_observe(struct user_cart *cart, const struct feature_event *event);
void cart_write(const struct user_cart *cart, const struct user_amounts *amounts, int64_t now_ms,
                const struct sketch_table *sketches, float *row);

#endif
