#include "operators/feature_cart.h"

void cart_expire(struct user_cart *cart, int64_t now_ms, int64_t lifetime_ms)
{
    if (cart->pieces == 0) {
        return;
    }
    uint32_t now_s = feature_second(now_ms);
    if (now_s > cart->touched_s && (int64_t)(now_s - cart->touched_s) > lifetime_ms / 1000) {
        *cart = (struct user_cart){0};
    }
}

static void put_in(struct user_cart *cart, const struct feature_event *event)
{
    uint32_t second = feature_second(event->time_ms);
    if (cart->pieces == 0) {
        cart->started_s = second;
    }
    cart->touched_s = second > cart->touched_s ? second : cart->touched_s;
    cart->value = feature_add_saturated(cart->value, event->amount);
    uint32_t pieces = (uint32_t)cart->pieces + event->pieces;
    cart->pieces = pieces < UINT16_MAX ? (uint16_t)pieces : UINT16_MAX;
    float price = (float)((double)event->price / MILLIONTHS);
    cart->max_price = price > cart->max_price ? price : cart->max_price;
    sketch_add32(&cart->items, event->item);
    sketch_add32(&cart->categories, event->category);
}

static void take_out(struct user_cart *cart, const struct feature_event *event)
{
    if (event->pieces >= cart->pieces) {
        *cart = (struct user_cart){0};
        return;
    }
    uint32_t second = feature_second(event->time_ms);
    cart->touched_s = second > cart->touched_s ? second : cart->touched_s;
    cart->pieces = (uint16_t)(cart->pieces - event->pieces);
    cart->value = cart->value > event->amount ? cart->value - event->amount : 0;
}

void cart_observe(struct user_cart *cart, const struct feature_event *event)
{
    if (event->type == EVENT_ADD_TO_CART) {
        put_in(cart, event);
    } else if (event->type == EVENT_REMOVE_FROM_CART || event->type == EVENT_PURCHASE) {
        take_out(cart, event);
    }
}

void cart_write(const struct user_cart *cart, const struct user_amounts *amounts, int64_t now_ms,
                const struct sketch_table *sketches, float *row)
{
    double value = (double)cart->value / MILLIONTHS;
    row[FEATURE_CART_VALUE] = (float)value;
    if (cart->pieces == 0) {
        return;
    }
    row[FEATURE_CART_PIECES] = (float)cart->pieces;
    row[FEATURE_CART_ITEMS] = sketch_count32(sketches, cart->items);
    row[FEATURE_CART_CATEGORIES] = sketch_count32(sketches, cart->categories);
    row[FEATURE_CART_AGE] = feature_since(now_ms, cart->started_s);
    row[FEATURE_CART_IDLE] = feature_since(now_ms, cart->touched_s);
    row[FEATURE_CART_MEAN_PRICE] = feature_ratio(value, cart->pieces);
    float top = feature_ratio((double)cart->max_price, value);
    row[FEATURE_CART_TOP_SHARE] = top > 1.0f ? 1.0f : top;
    if (amounts->payments > 0) {
        row[FEATURE_CART_TO_MEAN] = feature_ratio(value, amounts->mean);
    }
}
