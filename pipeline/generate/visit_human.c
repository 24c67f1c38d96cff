/* The way of a shopper: landing, looking, cart, checkout, payment or leaving. */
#include "pipeline/generate/visit_scripts.h"

enum human_phase { LAND, LOOK, ADD, CHECK_OUT, PAY, PAID };

/* Share of filled carts that the shop shows a coupon to, by lot: its own experiment. */
#define COUPON_SHARE 0.15

/* How long a page is looked at; now and then the telephone rings. */
static double think(struct visit *visit, double factor)
{
    double delay_s = random_lognormal(&visit->random, visit->pace * factor, visit->jitter);
    return random_chance(&visit->random, 0.005)
               ? delay_s + random_between(&visit->random, 120, 1500)
               : delay_s;
}

static int64_t cart_total(const struct visit *visit)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < visit->cart_count; i++) {
        total += visit->cart[i].item.price * visit->cart[i].quantity;
    }
    return total;
}

/*
 * Settled when the first piece goes into the cart, so that the truth does not depend on later luck:
 * who will buy does so, and who will not does not.
 */
static void decide(struct visit *visit)
{
    if (visit->reached_cart) {
        return;
    }
    visit->reached_cart = true;
    const struct shopper *shopper = &visit->shopper;
    double noise = fixed_logit(0.000001 + 0.999998 * random_unit(&visit->random));
    double dear = fixed_log((double)cart_total(visit) / 1e6 / 165.0);
    double wish = -0.55 + 0.6 * shopper->intent + visit->mood - shopper->price_sensitivity * dear;
    visit->buys_without_coupon = wish + noise > 0;
    visit->buys_with_coupon = wish + noise + shopper->coupon_effect > 0;
    visit->was_coupon_shown = random_chance(&visit->random, COUPON_SHARE);
    visit->is_coupon_due = visit->was_coupon_shown;
}

static bool will_buy(const struct visit *visit)
{
    return visit->was_coupon_shown ? visit->buys_with_coupon : visit->buys_without_coupon;
}

static double offer(struct visit *visit, struct generated_event *event)
{
    visit->is_coupon_due = false;
    visit->is_answer_due = random_chance(&visit->random, will_buy(visit) ? 0.9 : 0.15);
    visit_event(visit, event, EVENT_PROMOTION_SHOWN);
    generated_event_set(event, FIELD_EXPERIMENT_ARM, "coupon");
    return think(visit, 0.2);
}

static double answer(struct visit *visit, struct generated_event *event)
{
    visit->is_answer_due = false;
    visit_event(visit, event, EVENT_PROMOTION_ACCEPTED);
    generated_event_set(event, FIELD_EXPERIMENT_ARM, "coupon");
    return think(visit, 0.3);
}

static double view_item(const struct world *world, struct visit *visit,
                        struct generated_event *event)
{
    bool looks_again = visit->looked_at.price > 0 && random_chance(&visit->random, 0.4);
    if (!looks_again) {
        if (random_chance(&visit->random, 0.16)) {
            visit->category = catalogue_draw_category(world->catalogue, &visit->random);
        }
        visit->looked_at = catalogue_draw(world->catalogue, &visit->random, visit->category);
    }
    visit->views++;
    visit_event(visit, event, EVENT_PRODUCT_VIEW);
    visit_event_item(event, &visit->looked_at, 0);
    double wish = 0.6 * visit->shopper.intent + 0.8 * visit->mood + visit->looked_at.appeal -
                  0.3 * visit->shopper.price_sensitivity * visit->looked_at.log_price - 3.6;
    if (visit->cart_count < CART_LINES_MAX && random_chance(&visit->random, fixed_sigmoid(wish))) {
        visit->phase = ADD;
    }
    return think(visit, 1.0);
}

/* Most come by a link to a product, the others to the front page or their account. */
static double land(const struct world *world, struct visit *visit, struct generated_event *event)
{
    struct random *random = &visit->random;
    if (visit->failures_left > 0) { /* A password mistyped, or forgotten. */
        visit->failures_left--;
        visit_event(visit, event, EVENT_LOGIN_FAILED);
        return think(visit, 0.4);
    }
    visit->phase = LOOK;
    if (visit->user && (visit->step > 0 || random_chance(random, 0.1))) {
        if (visit->step == 0 && random_chance(random, 0.12)) {
            visit->failures_left = (uint32_t)random_below(random, 3);
            visit->phase = LAND;
            visit_event(visit, event, EVENT_LOGIN_FAILED);
            return think(visit, 0.4);
        }
        visit_event(visit, event, EVENT_LOGIN);
        return think(visit, 0.4);
    }
    if (random_chance(random, 0.3)) {
        visit_event(visit, event, EVENT_PAGE_VIEW);
        generated_event_set(event, FIELD_URL, "/");
        return random_chance(random, 0.3) ? LEAVE : think(visit, 0.6);
    }
    double delay_s = view_item(world, visit, event);
    bool leaves = random_chance(random, fixed_sigmoid(-0.1 - 0.5 * visit->mood));
    return visit->phase == LOOK && visit->cart_count == 0 && leaves ? LEAVE : delay_s;
}

static double search(const struct world *world, struct visit *visit, struct generated_event *event)
{
    struct item wanted = catalogue_draw(world->catalogue, &visit->random, visit->category);
    visit_event(visit, event, EVENT_SEARCH);
    generated_event_set_decimal(event, FIELD_TEXT, "category ", wanted.category);
    generated_event_append(event, FIELD_TEXT, " brand ");
    generated_event_append_decimal(event, FIELD_TEXT, wanted.brand);
    return think(visit, 0.4);
}

static double show_item(const struct world *world, struct visit *visit,
                        struct generated_event *event)
{
    uint32_t category = catalogue_draw_category(world->catalogue, &visit->random);
    struct item shown = catalogue_draw(world->catalogue, &visit->random, category);
    visit_event(visit, event, EVENT_IMPRESSION);
    visit_event_item(event, &shown, 0);
    return think(visit, 0.2);
}

static double remove_line(struct visit *visit, struct generated_event *event)
{
    const struct cart_line *line = &visit->cart[--visit->cart_count];
    visit_event(visit, event, EVENT_REMOVE_FROM_CART);
    visit_event_item(event, &line->item, line->quantity);
    return think(visit, 0.6);
}

static double ask(struct visit *visit, struct generated_event *event)
{
    visit_event(visit, event, EVENT_MESSAGE);
    generated_event_set(event, FIELD_TEXT, "when will this be in stock again?");
    generated_event_set(event, FIELD_LANGUAGE, "en");
    return think(visit, 1.5);
}

static double look_at_something(const struct world *world, struct visit *visit,
                                struct generated_event *event)
{
    double drawn = random_unit(&visit->random);
    if (drawn < 0.06) {
        return search(world, visit, event);
    }
    if (drawn < 0.11) {
        return show_item(world, visit, event);
    }
    if (drawn < 0.17) {
        visit_event(visit, event, EVENT_PAGE_VIEW);
        return think(visit, 0.5);
    }
    if (drawn < 0.174) {
        return ask(visit, event);
    }
    /* Who will buy keeps something to pay for. */
    if (drawn < 0.24 && visit->cart_count > (will_buy(visit) ? 1u : 0u)) {
        return remove_line(visit, event);
    }
    return view_item(world, visit, event);
}

static double look(const struct world *world, struct visit *visit, struct generated_event *event)
{
    if (visit->cart_count > 0) {
        decide(visit); /* Of a cart that was left earlier. */
    }
    double delay_s = look_at_something(world, visit, event);
    if (visit->phase != LOOK || visit->is_coupon_due) {
        return delay_s;
    }
    bool has_cart = visit->cart_count > 0;
    if (has_cart && will_buy(visit)) {
        visit->phase = random_chance(&visit->random, 0.5) ? CHECK_OUT : LOOK;
        return delay_s;
    }
    bool is_first = visit->views <= 1;
    double leaves = has_cart ? 0.3 : fixed_sigmoid((is_first ? -0.45 : -0.8) - 0.6 * visit->mood);
    if (random_chance(&visit->random, leaves)) {
        return LEAVE;
    }
    if (has_cart && random_chance(&visit->random, 0.12)) {
        visit->phase = CHECK_OUT;
    }
    return delay_s;
}

static double check_out(struct visit *visit, struct generated_event *event)
{
    visit_event(visit, event, EVENT_CHECKOUT);
    visit->order = random_next(&visit->random);
    generated_event_set_hex(event, FIELD_ORDER_ID, "o", visit->order, 1);
    bool fails = random_chance(&visit->random, 0.12);
    visit->failures_left = fails ? 1 + (uint32_t)random_below(&visit->random, 2) : 0;
    if (!will_buy(visit) && !fails) {
        return LEAVE;
    }
    visit->phase = PAY;
    return think(visit, 1.3);
}

static double add(struct visit *visit, struct generated_event *event)
{
    visit_add_line(visit, &visit->looked_at, random_chance(&visit->random, 0.12) ? 2 : 1);
    bool is_first = !visit->reached_cart;
    decide(visit);
    /* Who knows what he wants buys at once, without a cart. */
    if (is_first && visit->buys_without_coupon && !visit->is_coupon_due &&
        random_chance(&visit->random, 0.45)) {
        return check_out(visit, event);
    }
    const struct cart_line *line = &visit->cart[visit->cart_count - 1];
    visit_event(visit, event, EVENT_ADD_TO_CART);
    visit_event_item(event, &line->item, line->quantity);
    visit->phase = will_buy(visit) && random_chance(&visit->random, 0.5) ? CHECK_OUT : LOOK;
    return think(visit, 0.9);
}

static double pay(struct visit *visit, struct generated_event *event)
{
    if (visit->failures_left > 0) {
        visit->failures_left--;
        visit_event_payment_failed(visit, event, cart_total(visit));
        if (random_chance(&visit->random, 0.5)) {
            visit->card = random_next(&visit->random); /* Another card, or another's. */
        }
        bool gives_up = visit->failures_left == 0 && !will_buy(visit);
        return gives_up ? LEAVE : think(visit, 0.8);
    }
    if (visit_event_purchase(visit, event)) {
        return NEXT_LINE;
    }
    visit->cart_count = 0;
    visit->phase = PAID;
    return random_chance(&visit->random, 0.45) ? LEAVE : think(visit, 0.9);
}

static double paid(const struct world *world, struct visit *visit, struct generated_event *event)
{
    double drawn = random_unit(&visit->random);
    if (drawn < 0.06) {
        visit_event(visit, event, EVENT_REVIEW);
        generated_event_set(event, FIELD_TEXT, "came in time, as described");
        generated_event_set(event, FIELD_LANGUAGE, "en");
    } else if (drawn < 0.3) {
        visit_event(visit, event, EVENT_PAGE_VIEW);
        generated_event_set(event, FIELD_URL, "/account/orders");
    } else {
        struct item *item = &visit->looked_at;
        if (random_chance(&visit->random, 0.4)) {
            *item = catalogue_draw(world->catalogue, &visit->random, visit->category);
        }
        visit_event(visit, event, EVENT_PRODUCT_VIEW);
        visit_event_item(event, item, 0);
    }
    return random_chance(&visit->random, 0.6) ? LEAVE : think(visit, 1.0);
}

double visit_human_step(const struct world *world, struct visit *visit,
                        struct generated_event *event)
{
    if (visit->is_coupon_due) {
        return offer(visit, event);
    }
    if (visit->is_answer_due) {
        return answer(visit, event);
    }
    switch ((enum human_phase)visit->phase) {
    case LAND:
        return land(world, visit, event);
    case LOOK:
        return look(world, visit, event);
    case ADD:
        return add(visit, event);
    case CHECK_OUT:
        return check_out(visit, event);
    case PAY:
        return pay(visit, event);
    default:
        return paid(world, visit, event);
    }
}
