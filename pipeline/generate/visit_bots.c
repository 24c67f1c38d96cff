/*
 * Visits that a program plays: crawlers, scrapers, testers of cards, farmers of coupons,
 * hoarders of stock.
 */
#include "pipeline/generate/visit_scripts.h"

static double wait(struct visit *visit)
{
    return random_lognormal(&visit->random, visit->pace, visit->jitter);
}

/* Item by item, through the catalogue from somewhere on. */
double visit_bot_step(const struct world *world, struct visit *visit, struct generated_event *event)
{
    uint64_t number = (visit->number * 7919u + visit->step) % world->catalogue->item_count;
    bool is_page = visit->kind == VISIT_CRAWLER && visit->step % 6 == 0;
    visit_event(visit, event, is_page ? EVENT_PAGE_VIEW : EVENT_PRODUCT_VIEW);
    if (!is_page) {
        struct item item = catalogue_item(world->catalogue, number);
        visit_event_item(event, &item, 0);
    }
    return --visit->steps_left == 0 ? LEAVE : wait(visit);
}

/* A small sum on the next card, to see whether it still works. */
static void try_card(struct visit *visit, struct generated_event *event)
{
    struct item *item = &visit->cart[0].item;
    item->price = 1000000 + (int64_t)random_below(&visit->random, 9) * 990000;
    /* Some try the same one again, to learn more of it. */
    if (random_chance(&visit->random, 0.8)) {
        visit->card = random_next(&visit->random);
    }
    visit->order = random_next(&visit->random);
    if (random_chance(&visit->random, 0.75)) {
        visit_event_payment_failed(visit, event, item->price);
    } else {
        visit->lines_paid = 0;
        (void)visit_event_purchase(visit, event);
    }
}

double visit_card_testing_step(const struct world *world, struct visit *visit,
                               struct generated_event *event)
{
    if (visit->step == 0) {
        visit->looked_at =
            catalogue_item(world->catalogue, visit->number * 31u % world->catalogue->item_count);
        visit_event(visit, event, EVENT_PRODUCT_VIEW);
        visit_event_item(event, &visit->looked_at, 0);
    } else if (visit->step == 1) {
        visit_add_line(visit, &visit->looked_at, 1);
        visit->reached_cart = true;
        visit_event(visit, event, EVENT_ADD_TO_CART);
        visit_event_item(event, &visit->looked_at, 1);
    } else {
        try_card(visit, event);
    }
    return --visit->steps_left == 0 ? LEAVE : wait(visit);
}

/* New accounts on one device, each taking the promotion for newcomers. */
double visit_coupon_farming_step(const struct world *world, struct visit *visit,
                                 struct generated_event *event)
{
    static const enum event_type round[] = {
        EVENT_LOGIN,       EVENT_PROMOTION_SHOWN, EVENT_PROMOTION_ACCEPTED,
        EVENT_ADD_TO_CART, EVENT_CHECKOUT,        EVENT_PURCHASE};
    const uint32_t round_steps = sizeof(round) / sizeof(round[0]);
    enum event_type type = round[visit->step % round_steps];
    uint32_t account = visit->step / round_steps;
    visit->user = world->shopper_count + 1 + visit->number * 64 + account;
    if (type == EVENT_PURCHASE) {
        (void)visit_event_purchase(visit, event);
    } else {
        visit_event(visit, event, type);
    }
    if (type == EVENT_ADD_TO_CART) {
        struct item item = catalogue_draw(world->catalogue, &visit->random, visit->category);
        item.price = item.price > 20000000 ? 15990000 : item.price;
        visit->cart_count = 0;
        visit->lines_paid = 0;
        visit_add_line(visit, &item, 1);
        visit->reached_cart = true;
        visit->order = random_next(&visit->random);
        visit_event_item(event, &item, 1);
    } else if (type == EVENT_CHECKOUT) {
        generated_event_set_hex(event, FIELD_ORDER_ID, "o", visit->order, 1);
    }
    return --visit->steps_left == 0 ? LEAVE : wait(visit);
}

/* Many of what sells best into carts that nobody will pay for, so that others find none left. */
double visit_stock_hoarding_step(const struct world *world, struct visit *visit,
                                 struct generated_event *event)
{
    uint32_t turn = visit->step % 3;
    if (visit->step > 8 && visit->steps_left == 1 && random_chance(&visit->random, 0.4)) {
        visit_event(visit, event, EVENT_CHECKOUT);
        generated_event_set_hex(event, FIELD_ORDER_ID, "o", random_next(&visit->random), 1);
    } else if (turn == 0) {
        visit->looked_at = catalogue_draw(world->catalogue, &visit->random, visit->category);
        visit_event(visit, event, EVENT_PRODUCT_VIEW);
        visit_event_item(event, &visit->looked_at, 0);
    } else {
        visit->reached_cart = true;
        visit_event(visit, event, EVENT_ADD_TO_CART);
        visit_event_item(event, &visit->looked_at, 2 + (int64_t)random_below(&visit->random, 4));
    }
    return --visit->steps_left == 0 ? LEAVE : wait(visit);
}
