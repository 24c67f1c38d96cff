#include "pipeline/generate/visit_scripts.h"

#include <stdio.h>

#define LEAVE (-1.0)

static double uniform(struct visit *visit, double from, double to)
{
    return from + (to - from) * random_unit(&visit->random);
}

/* Item by item, as a program does: crawlers with pauses, scrapers as fast as they are let. */
static double bot_step(const struct world *world, struct visit *visit,
                       struct generated_event *event)
{
    uint64_t number = (visit->number * 7919u + visit->step) % world->catalogue.item_count;
    struct item item = catalogue_item(&world->catalogue, number);
    bool is_page = visit->kind == VISIT_CRAWLER && visit->step % 6 == 0;
    visit_event(visit, event, is_page ? EVENT_PAGE_VIEW : EVENT_PRODUCT_VIEW);
    if (!is_page) {
        visit_event_item(event, &item, 0);
    }
    if (--visit->steps_left == 0) {
        return LEAVE;
    }
    bool is_crawler = visit->kind == VISIT_CRAWLER;
    double pace = (is_crawler ? 4.0 : 1.3) * (1.0 + world->shift);
    return pace * uniform(visit, is_crawler ? 0.5 : 0.85, is_crawler ? 1.8 : 1.15);
}

/* A dear item: the best of some draws. */
static struct item dear_item(const struct world *world, struct visit *visit)
{
    struct item best = catalogue_draw(&world->catalogue, &visit->random, UINT32_MAX);
    for (int i = 0; i < 5; i++) {
        struct item other = catalogue_draw(&world->catalogue, &visit->random, UINT32_MAX);
        best = other.price > best.price ? other : best;
    }
    return best;
}

static void add_line(struct visit *visit, const struct item *item, int64_t quantity)
{
    struct cart_line *line = &visit->cart[visit->cart_count++];
    line->item = *item;
    line->quantity = quantity;
}

static void failed_payment(struct visit *visit, struct generated_event *event, int64_t price)
{
    visit_event(visit, event, EVENT_PAYMENT_FAILED);
    visit_event_payment(visit, event);
    event->price = price;
    event->numbers_present |= 1u << (FIELD_PRICE - TEXT_FIELD_COUNT);
    (void)snprintf(event->text[FIELD_CURRENCY], GENERATED_TEXT_BYTES, "EUR");
}

enum thief_phase { GUESS, ENTER, PICK, PUT, LEAVE_FOR_TILL, TRY_CARD, TAKE };

/* Both thieves go for dear goods in few clicks; one first has to get into somebody's account. */
static double thief_step(const struct world *world, struct visit *visit,
                         struct generated_event *event)
{
    double haste = 6.0 * (1.0 + world->shift);
    switch ((enum thief_phase)visit->phase) {
    case GUESS:
        visit_event(visit, event, EVENT_LOGIN_FAILED);
        visit->phase = --visit->failures_left > 0 ? GUESS : ENTER;
        return uniform(visit, 2.0, 8.0);
    case ENTER:
        visit_event(visit, event, EVENT_LOGIN);
        visit->phase = PICK;
        return uniform(visit, 0.5, 2.0) * haste;
    case PICK:
        visit->looked_at = dear_item(world, visit);
        visit_event(visit, event, EVENT_PRODUCT_VIEW);
        visit_event_item(event, &visit->looked_at, 0);
        visit->phase = random_chance(&visit->random, 0.55) ? PUT : PICK;
        return uniform(visit, 0.5, 2.5) * haste;
    case PUT:
        add_line(visit, &visit->looked_at, 1 + (int64_t)random_below(&visit->random, 3));
        visit_event(visit, event, EVENT_ADD_TO_CART);
        visit_event_item(event, &visit->looked_at, visit->cart[visit->cart_count - 1].quantity);
        visit->reached_cart = true;
        visit->buys_without_coupon = visit->buys_with_coupon = true;
        visit->phase =
            visit->cart_count < 4 && random_chance(&visit->random, 0.5) ? PICK : LEAVE_FOR_TILL;
        return uniform(visit, 0.5, 1.5) * haste;
    case LEAVE_FOR_TILL:
        visit_event(visit, event, EVENT_CHECKOUT);
        visit->order = random_next(&visit->random);
        visit->failures_left = visit->kind == VISIT_STOLEN_CARD
                                   ? (uint32_t)random_below(&visit->random, 3)
                                   : (uint32_t)random_below(&visit->random, 2);
        visit->phase = visit->failures_left > 0 ? TRY_CARD : TAKE;
        return uniform(visit, 1.0, 3.0) * haste;
    case TRY_CARD:
        failed_payment(visit, event, visit->cart[0].item.price);
        visit->card = random_next(&visit->random);
        visit->phase = --visit->failures_left > 0 ? TRY_CARD : TAKE;
        return uniform(visit, 1.0, 3.0) * haste;
    default:
        return visit_event_purchase(visit, event) ? 0.02 : LEAVE;
    }
}

/* One card after the other with small amounts, to see which still work. */
static double card_testing_step(const struct world *world, struct visit *visit,
                                struct generated_event *event)
{
    int64_t price = 1000000 + (int64_t)random_below(&visit->random, 4) * 1000000;
    visit->card = random_next(&visit->random);
    visit->order = random_next(&visit->random);
    if (random_chance(&visit->random, 0.8)) {
        failed_payment(visit, event, price);
    } else {
        struct item item = catalogue_item(&world->catalogue, visit->order % 1000);
        item.price = price;
        visit->cart_count = 0;
        visit->lines_paid = 0;
        add_line(visit, &item, 1);
        (void)visit_event_purchase(visit, event);
    }
    if (--visit->steps_left == 0) {
        return LEAVE;
    }
    return uniform(visit, 2.0, 6.0) * (1.0 + world->shift);
}

/* Buys as others do, only quicker; the refund follows later and is the simulation's to send. */
static double refund_abuse_step(const struct world *world, struct visit *visit,
                                struct generated_event *event)
{
    if (visit->phase == GUESS) {
        visit->phase = PICK;
    }
    return thief_step(world, visit, event);
}

/* New accounts on one device, each taking the promotion for newcomers. */
static double coupon_farming_step(const struct world *world, struct visit *visit,
                                  struct generated_event *event)
{
    static const enum event_type round[] = {
        EVENT_LOGIN,       EVENT_PROMOTION_SHOWN, EVENT_PROMOTION_ACCEPTED,
        EVENT_ADD_TO_CART, EVENT_CHECKOUT,        EVENT_PURCHASE};
    const uint32_t round_steps = sizeof(round) / sizeof(round[0]);
    enum event_type type = round[visit->step % round_steps];
    visit->user = world->shopper_count + 1 + (visit->number << 4) + visit->step / round_steps;
    if (type == EVENT_ADD_TO_CART) {
        struct item item = catalogue_draw(&world->catalogue, &visit->random, UINT32_MAX);
        item.price = item.price > 20000000 ? 15990000 : item.price;
        visit->cart_count = 0;
        visit->lines_paid = 0;
        add_line(visit, &item, 1);
        visit->order = random_next(&visit->random);
    }
    if (type == EVENT_PURCHASE) {
        (void)visit_event_purchase(visit, event);
    } else {
        visit_event(visit, event, type);
        if (type == EVENT_ADD_TO_CART) {
            visit_event_item(event, &visit->cart[0].item, 1);
        }
    }
    if (--visit->steps_left == 0) {
        return LEAVE;
    }
    return uniform(visit, 2.0, 15.0) * (1.0 + world->shift);
}

void visit_script_begin(const struct world *world, struct visit *visit)
{
    double more = 1.0 + world->shift;
    switch (visit->kind) {
    case VISIT_CRAWLER:
        visit->steps_left = (uint32_t)(uniform(visit, 40, 240) * more) + 1;
        break;
    case VISIT_SCRAPING:
        visit->steps_left = (uint32_t)(uniform(visit, 100, 600) * more) + 1;
        break;
    case VISIT_CARD_TESTING:
        visit->steps_left = (uint32_t)(uniform(visit, 8, 60) * more) + 1;
        break;
    case VISIT_COUPON_FARMING:
        visit->steps_left = 6u * ((uint32_t)(uniform(visit, 4, 12) * more) + 1);
        break;
    case VISIT_ACCOUNT_TAKEOVER:
        visit->failures_left = 1 + (uint32_t)random_below(&visit->random, 8);
        break;
    case VISIT_STOLEN_CARD:
        visit->phase = ENTER;
        break;
    default:
        break;
    }
}

double visit_script_step(const struct world *world, struct visit *visit,
                         struct generated_event *event)
{
    switch (visit->kind) {
    case VISIT_CRAWLER:
    case VISIT_SCRAPING:
        return bot_step(world, visit, event);
    case VISIT_ACCOUNT_TAKEOVER:
    case VISIT_STOLEN_CARD:
        return thief_step(world, visit, event);
    case VISIT_CARD_TESTING:
        return card_testing_step(world, visit, event);
    case VISIT_REFUND_ABUSE:
        return refund_abuse_step(world, visit, event);
    case VISIT_COUPON_FARMING:
        return coupon_farming_step(world, visit, event);
    default:
        return visit_human_step(world, visit, event);
    }
}
