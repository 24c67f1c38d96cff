/* The way of a shopper: landing, looking, cart, checkout, payment or leaving. */
#include <stdio.h>

#include "pipeline/generate/visit_scripts.h"

enum human_phase { LAND, LOOK, ADD, CHECK_OUT, PAY, PAID };

#define LEAVE (-1.0)

static double think(struct visit *visit, double factor)
{
    return random_lognormal(&visit->random, visit->shopper.pace * factor, 1.1);
}

static double cart_total(const struct visit *visit)
{
    double total = 0;
    for (uint32_t i = 0; i < visit->cart_count; i++) {
        total += (double)visit->cart[i].item.price * (double)visit->cart[i].quantity / 1e6;
    }
    return total;
}

/* Settled when the first piece goes into the cart, so that the truth does not depend on later luck.
 */
static void decide(struct visit *visit)
{
    if (visit->reached_cart) {
        return;
    }
    visit->reached_cart = true;
    const struct shopper *shopper = &visit->shopper;
    double noise = fixed_logit(0.000001 + 0.999998 * random_unit(&visit->random));
    double dear = fixed_log((cart_total(visit) + 10.0) / 60.0);
    double wish = 0.9 + 0.5 * shopper->intent + visit->mood - shopper->price_sensitivity * dear;
    visit->buys_without_coupon = wish + noise > 0;
    visit->buys_with_coupon = wish + noise + shopper->coupon_effect > 0;
}

static double land(struct visit *visit, struct generated_event *event)
{
    visit->phase = LOOK;
    if (visit->user && random_chance(&visit->random, 0.15)) {
        visit_event(visit, event, EVENT_LOGIN);
        return think(visit, 0.4);
    }
    visit_event(visit, event, EVENT_PAGE_VIEW);
    (void)snprintf(event->text[FIELD_URL], GENERATED_TEXT_BYTES, "/");
    return random_chance(&visit->random, 0.22) ? LEAVE : think(visit, 0.6);
}

static double search(const struct world *world, struct visit *visit, struct generated_event *event)
{
    struct item wanted =
        catalogue_draw(&world->catalogue, &visit->random, visit->shopper.favourite_category);
    visit_event(visit, event, EVENT_SEARCH);
    (void)snprintf(event->text[FIELD_TEXT], GENERATED_TEXT_BYTES, "category %u brand %u",
                   wanted.category, wanted.brand);
    return think(visit, 0.6);
}

static double view_item(const struct world *world, struct visit *visit,
                        struct generated_event *event)
{
    bool looks_again = visit->looked_at.price > 0 && random_chance(&visit->random, 0.2);
    bool is_favourite = random_chance(&visit->random, 0.6);
    if (!looks_again) {
        visit->looked_at =
            catalogue_draw(&world->catalogue, &visit->random,
                           is_favourite ? visit->shopper.favourite_category : UINT32_MAX);
    }
    visit_event(visit, event, EVENT_PRODUCT_VIEW);
    visit_event_item(event, &visit->looked_at, 0);
    double dear = fixed_log((double)visit->looked_at.price / 45e6);
    double wish = 0.55 * visit->shopper.intent + visit->mood + visit->looked_at.appeal -
                  0.3 * visit->shopper.price_sensitivity * dear - 1.7;
    if (visit->cart_count < CART_LINES_MAX && random_chance(&visit->random, fixed_sigmoid(wish))) {
        visit->phase = ADD;
    }
    return think(visit, 1.0);
}

/* Of a cart that was left earlier. */
static void decide_again(struct visit *visit)
{
    if (visit->cart_count > 0) {
        decide(visit);
    }
}

static double look(const struct world *world, struct visit *visit, struct generated_event *event)
{
    decide_again(visit);
    double drawn = random_unit(&visit->random);
    double delay_s;
    if (drawn < 0.10) {
        delay_s = search(world, visit, event);
    } else if (drawn < 0.20) {
        struct item shown = catalogue_draw(&world->catalogue, &visit->random, UINT32_MAX);
        visit_event(visit, event, EVENT_IMPRESSION);
        visit_event_item(event, &shown, 0);
        delay_s = think(visit, 0.4);
    } else if (drawn < 0.30) {
        visit_event(visit, event, EVENT_PAGE_VIEW);
        delay_s = think(visit, 0.8);
    } else if (drawn < 0.34 && visit->cart_count > 1) {
        visit->cart_count--;
        const struct cart_line *line = &visit->cart[visit->cart_count];
        visit_event(visit, event, EVENT_REMOVE_FROM_CART);
        visit_event_item(event, &line->item, line->quantity);
        delay_s = think(visit, 0.6);
    } else {
        delay_s = view_item(world, visit, event);
    }
    if (visit->phase != LOOK) {
        return delay_s;
    }
    bool has_cart = visit->cart_count > 0;
    double leaves = has_cart ? (visit->buys_without_coupon ? 0.03 : 0.16)
                             : fixed_sigmoid(-1.5 - 0.25 * visit->mood);
    if (random_chance(&visit->random, leaves)) {
        return LEAVE;
    }
    if (has_cart && random_chance(&visit->random, visit->buys_without_coupon ? 0.4 : 0.1)) {
        visit->phase = CHECK_OUT;
    }
    return delay_s;
}

static double add(struct visit *visit, struct generated_event *event)
{
    struct cart_line *line = &visit->cart[visit->cart_count++];
    line->item = visit->looked_at;
    line->quantity = random_chance(&visit->random, 0.12) ? 2 : 1;
    visit_event(visit, event, EVENT_ADD_TO_CART);
    visit_event_item(event, &line->item, line->quantity);
    decide(visit);
    visit->phase =
        visit->buys_without_coupon && random_chance(&visit->random, 0.3) ? CHECK_OUT : LOOK;
    return think(visit, 0.7);
}

static double check_out(struct visit *visit, struct generated_event *event)
{
    visit_event(visit, event, EVENT_CHECKOUT);
    visit->order = random_next(&visit->random);
    (void)snprintf(event->text[FIELD_ORDER_ID], GENERATED_TEXT_BYTES, "o%llx",
                   (unsigned long long)visit->order);
    if (!visit->buys_without_coupon) {
        return LEAVE;
    }
    visit->failures_left = random_chance(&visit->random, 0.04) ? 1 : 0;
    visit->phase = PAY;
    return think(visit, 1.5);
}

static double pay(struct visit *visit, struct generated_event *event)
{
    if (visit->failures_left > 0) {
        visit->failures_left--;
        visit_event(visit, event, EVENT_PAYMENT_FAILED);
        visit_event_payment(visit, event);
        event->price = (int64_t)(cart_total(visit) * 1e6);
        event->numbers_present |= 1u << (FIELD_PRICE - TEXT_FIELD_COUNT);
        return think(visit, 0.8);
    }
    if (visit_event_purchase(visit, event)) {
        return 0.02; /* The lines of one order come together. */
    }
    visit->cart_count = 0;
    visit->phase = PAID;
    return random_chance(&visit->random, 0.5) ? LEAVE : think(visit, 0.6);
}

static double paid(struct visit *visit, struct generated_event *event)
{
    bool writes = random_chance(&visit->random, 0.1);
    visit_event(visit, event, writes ? EVENT_REVIEW : EVENT_PAGE_VIEW);
    if (writes) {
        (void)snprintf(event->text[FIELD_TEXT], GENERATED_TEXT_BYTES, "came in time, as described");
        (void)snprintf(event->text[FIELD_LANGUAGE], GENERATED_TEXT_BYTES, "en");
    }
    return random_chance(&visit->random, 0.7) ? LEAVE : think(visit, 1.0);
}

double visit_human_step(const struct world *world, struct visit *visit,
                        struct generated_event *event)
{
    switch ((enum human_phase)visit->phase) {
    case LAND:
        return land(visit, event);
    case LOOK:
        return look(world, visit, event);
    case ADD:
        return add(visit, event);
    case CHECK_OUT:
        return check_out(visit, event);
    case PAY:
        return pay(visit, event);
    default:
        return paid(visit, event);
    }
}
