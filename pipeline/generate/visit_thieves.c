/*
 * Goods for nothing: with somebody's account, with somebody's card, or with one's own money back.
 * All go for dear goods in few clicks, and each does what an honest shopper might do, too.
 */
#include "pipeline/generate/visit_scripts.h"

enum thief_phase { ENTER, LOOK_AROUND, PICK, PUT, GO_TO_TILL, TRY_CARD, TAKE };

#define THIEF_LINES_MAX 4u

uint32_t visit_thief_first_phase(bool is_outside)
{
    return is_outside ? ENTER : PICK;
}

static double wait(struct visit *visit, double factor)
{
    return random_lognormal(&visit->random, visit->pace * factor, visit->jitter);
}

/* The dearest of some draws; who abuses refunds is choosy, thieves take what sells. */
static struct item dear_item(const struct world *world, struct visit *visit)
{
    int draws = 2 + (int)(4.0 * random_unit(&visit->random) * (1.0 + world->shift));
    struct item best = catalogue_draw(world->catalogue, &visit->random, visit->category);
    for (int i = 1; i < draws; i++) {
        uint32_t category = visit->kind == VISIT_REFUND_ABUSE
                                ? visit->category
                                : catalogue_draw_category(world->catalogue, &visit->random);
        struct item other = catalogue_draw(world->catalogue, &visit->random, category);
        best = other.price > best.price ? other : best;
    }
    return best;
}

static double enter(struct visit *visit, struct generated_event *event)
{
    if (visit->failures_left > 0) {
        visit->failures_left--;
        visit_event(visit, event, EVENT_LOGIN_FAILED);
        return wait(visit, 0.5);
    }
    visit_event(visit, event, EVENT_LOGIN);
    visit->phase = random_chance(&visit->random, 0.5) ? LOOK_AROUND : PICK;
    return wait(visit, 0.6);
}

static double look_around(struct visit *visit, struct generated_event *event)
{
    visit_event(visit, event, EVENT_PAGE_VIEW);
    bool is_takeover = visit->kind == VISIT_ACCOUNT_TAKEOVER;
    generated_event_set(event, FIELD_URL, is_takeover ? "/account" : "/");
    visit->phase = PICK;
    return wait(visit, 1.0);
}

static double pick(const struct world *world, struct visit *visit, struct generated_event *event)
{
    visit->looked_at = dear_item(world, visit);
    visit_event(visit, event, EVENT_PRODUCT_VIEW);
    visit_event_item(event, &visit->looked_at, 0);
    visit->phase = random_chance(&visit->random, 0.5) ? PUT : PICK;
    return wait(visit, 1.0);
}

static double put(struct visit *visit, struct generated_event *event)
{
    int64_t quantity = random_chance(&visit->random, 0.3) ? 2 : 1;
    visit_add_line(visit, &visit->looked_at, quantity);
    visit_event(visit, event, EVENT_ADD_TO_CART);
    visit_event_item(event, &visit->looked_at, quantity);
    visit->reached_cart = true;
    bool takes_more = visit->cart_count < THIEF_LINES_MAX && random_chance(&visit->random, 0.4);
    visit->phase = takes_more ? PICK : GO_TO_TILL;
    return wait(visit, 0.8);
}

static double go_to_till(const struct world *world, struct visit *visit,
                         struct generated_event *event)
{
    visit_event(visit, event, EVENT_CHECKOUT);
    visit->order = random_next(&visit->random);
    generated_event_set_hex(event, FIELD_ORDER_ID, "o", visit->order, 1);
    double fails = visit->kind == VISIT_STOLEN_CARD        ? 0.45
                   : visit->kind == VISIT_ACCOUNT_TAKEOVER ? 0.2
                                                           : 0.05;
    while (visit->failures_left < 5 &&
           random_chance(&visit->random, fails * (1.0 + world->shift))) {
        visit->failures_left++;
    }
    visit->phase = visit->failures_left > 0 ? TRY_CARD : TAKE;
    return wait(visit, 1.2);
}

static double try_card(struct visit *visit, struct generated_event *event)
{
    visit_event_payment_failed(visit, event, visit->cart[0].item.price);
    if (visit->kind != VISIT_REFUND_ABUSE) {
        visit->card = random_next(&visit->random);
        if (random_chance(&visit->random, 0.15)) {
            return LEAVE; /* No card works. */
        }
    }
    visit->phase = --visit->failures_left > 0 ? TRY_CARD : TAKE;
    return wait(visit, 1.0);
}

double visit_thief_step(const struct world *world, struct visit *visit,
                        struct generated_event *event)
{
    switch ((enum thief_phase)visit->phase) {
    case ENTER:
        return enter(visit, event);
    case LOOK_AROUND:
        return look_around(visit, event);
    case PICK:
        return pick(world, visit, event);
    case PUT:
        return put(visit, event);
    case GO_TO_TILL:
        return go_to_till(world, visit, event);
    case TRY_CARD:
        return try_card(visit, event);
    default:
        return visit_event_purchase(visit, event) ? NEXT_LINE : LEAVE;
    }
}
