#include "pipeline/generate/visit.h"

#include <string.h>

#include "pipeline/generate/visit_scripts.h"

#define PURPOSE_VISIT 31
#define PURPOSE_DEVICE 32
#define PURPOSE_ADDRESS 33
#define PURPOSE_CARD 34
#define PURPOSE_ABUSER 35
#define PURPOSE_GANG 36

/* One shopper in so many abuses refunds, again and again. */
#define SHOPPERS_AN_ABUSER 1000u
/* A gang works for about so many visits of the shop, then changes devices and addresses. */
#define GANG_VISITS 1600u
#define GANG_KINDS 8u /* The last kind that has gangs is below. */
#define ACCOUNT_TRIES 64

#define KIND_ROW(ENUM, kind_name, share, events, bot, fraud)                                       \
    [VISIT_##ENUM] = {.name = (kind_name),                                                         \
                      .per_thousand = (share),                                                     \
                      .events_mean = (events),                                                     \
                      .is_bot = (bot),                                                             \
                      .is_fraud = (fraud)},
const struct visit_kind_info visit_kinds[VISIT_KIND_COUNT] = {VISIT_KINDS(KIND_ROW)};

static uint64_t drawn_number(uint64_t seed, uint64_t purpose, uint64_t number)
{
    struct random random = random_for(seed, purpose, number);
    return random_next(&random);
}

/*
 * A shopper's own things: one of its devices, mostly at home, one of its cards; now and then a
 * borrowed device or a strange place, so that what is new is not wrong.
 */
static void take_own_things(const struct world *world, struct visit *visit)
{
    const struct shopper *shopper = &visit->shopper;
    struct random *random = &visit->random;
    uint64_t device = random_below(random, shopper->device_count);
    uint64_t card = random_below(random, shopper->card_count);
    bool is_at_home = random_chance(random, 0.8);
    uint64_t place = is_at_home ? 0 : 1 + random_below(random, 4);
    visit->device = drawn_number(world->seed, PURPOSE_DEVICE, shopper->number * 4 + device);
    visit->card = drawn_number(world->seed, PURPOSE_CARD, shopper->number * 4 + card);
    /* Two and two share a home, and at times a device. */
    uint64_t whose_place = is_at_home ? shopper->number / 2 * 2 : shopper->number;
    visit->address = drawn_number(world->seed, PURPOSE_ADDRESS, whose_place * 8 + place);
    if (random_chance(random, 0.02)) {
        visit->device = drawn_number(world->seed, PURPOSE_DEVICE, (shopper->number ^ 1) * 4);
    } else if (random_chance(random, 0.02)) {
        visit->device = random_next(random);
    }
    if (random_chance(random, 0.06)) {
        visit->address = random_next(random);
    }
    if (random_chance(random, 0.02)) {
        visit->card = random_next(random);
    }
}

/* Things that nobody was seen with before. */
static void take_new_things(struct visit *visit)
{
    visit->device = random_next(&visit->random);
    visit->card = random_next(&visit->random);
    visit->address = random_next(&visit->random);
}

/* Fraudsters work in gangs that share devices and addresses for a while. */
static void take_gang_things(const struct world *world, struct visit *visit)
{
    take_new_things(visit);
    uint64_t gang = visit->number / GANG_VISITS * GANG_KINDS + visit->kind;
    if (random_chance(&visit->random, 0.4)) {
        visit->device = drawn_number(world->seed, PURPOSE_GANG, gang * 2);
    }
    if (random_chance(&visit->random, 0.5)) {
        visit->address = drawn_number(world->seed, PURPOSE_GANG, gang * 2 + 1);
    }
}

static uint64_t with_account(const struct world *world, uint64_t shopper_number)
{
    for (int tries = 0;
         tries < ACCOUNT_TRIES && !shopper_has_account(world->catalogue, shopper_number); tries++) {
        shopper_number = (shopper_number + 1) % world->shopper_count;
    }
    return shopper_number;
}

/* One of the abusers, some of whom abuse more than others. */
static uint64_t draw_abuser(const struct world *world, struct random *random)
{
    uint64_t count = world->shopper_count / SHOPPERS_AN_ABUSER + 1;
    double drawn = random_unit(random);
    uint64_t abuser = (uint64_t)(drawn * drawn * (double)count);
    uint64_t number = drawn_number(world->seed, PURPOSE_ABUSER, abuser) % world->shopper_count;
    return with_account(world, number);
}

static void take_victims_place(const struct world *world, struct visit *visit)
{
    take_own_things(world, visit);
    uint64_t victims_card = visit->card;
    take_gang_things(world, visit);
    if (random_chance(&visit->random, 0.7)) {
        visit->card = victims_card;
    }
    visit->user = visit->shopper.number + 1;
}

void visit_begin(const struct world *world, uint64_t number, enum visit_kind kind,
                 uint64_t shopper_number, int64_t time_ms, struct visit *ret_visit)
{
    struct visit *visit = ret_visit;
    *visit = (struct visit){
        .number = number,
        .kind = kind,
        .random = random_for(world->seed, PURPOSE_VISIT, number),
        .start_ms = time_ms,
        .time_ms = time_ms,
    };
    if (kind == VISIT_REFUND_ABUSE) {
        shopper_number = draw_abuser(world, &visit->random);
    } else if (kind == VISIT_ACCOUNT_TAKEOVER) {
        shopper_number = with_account(world, shopper_number);
    }
    visit->shopper = shopper_of(world->catalogue, shopper_number, world->shift);
    visit->mood = 0.8 * random_normal(&visit->random);
    visit->category = random_chance(&visit->random, 0.7)
                          ? visit->shopper.favourite_category
                          : catalogue_draw_category(world->catalogue, &visit->random);
    switch (kind) {
    case VISIT_HUMAN:
    case VISIT_REFUND_ABUSE:
        take_own_things(world, visit);
        visit->user = visit->shopper.has_account ? shopper_number + 1 : 0;
        break;
    case VISIT_ACCOUNT_TAKEOVER:
        take_victims_place(world, visit);
        break;
    case VISIT_STOLEN_CARD:
        take_gang_things(world, visit);
        /* Accounts made for the purpose stand beyond all shoppers. */
        visit->user = world->shopper_count + 1 + number * 64;
        break;
    default:
        take_new_things(visit);
        break;
    }
    visit_script_begin(world, visit);
}

static const char *user_agent(const struct visit *visit)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1) Safari/604.1",
        "Mozilla/5.0 (Linux; Android 13; SM-G991B) Chrome/119.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) Safari/605.1",
    };
    return visit->is_declared_bot ? "Mozilla/5.0 (compatible; searchbot/2.1)"
                                  : agents[visit->device % 4];
}

static void set_event_id(struct generated_event *event, enum event_field field, uint64_t number,
                         uint32_t step)
{
    generated_event_set_hex(event, field, "v", number, 1);
    generated_event_append(event, field, "-");
    generated_event_append_decimal(event, field, step);
}

static void set_address(struct generated_event *event, uint64_t address)
{
    /* The private range is wide enough for sixteen million homes. */
    generated_event_set_decimal(event, FIELD_IP, "10.", address >> 16 & 255);
    generated_event_append(event, FIELD_IP, ".");
    generated_event_append_decimal(event, FIELD_IP, address >> 8 & 255);
    generated_event_append(event, FIELD_IP, ".");
    generated_event_append_decimal(event, FIELD_IP, address & 255);
}

/* Who it is of, when and what. */
static void begin_event(const struct visit *visit, struct generated_event *event,
                        enum event_type type)
{
    generated_event_reset(event);
    event->time_ms = visit->time_ms;
    generated_event_set(event, FIELD_TYPE_WORD, event_types[type].name);
    generated_event_set(event, FIELD_SHOP, "main");
    set_event_id(event, FIELD_EVENT_ID, visit->number, visit->step);
    if (visit->user) {
        generated_event_set_decimal(event, FIELD_USER_ID, "u", visit->user);
    }
    generated_event_set_hex(event, FIELD_DEVICE_ID, "d", visit->device, 16);
}

void visit_event(struct visit *visit, struct generated_event *event, enum event_type type)
{
    begin_event(visit, event, type);
    set_address(event, visit->address);
    generated_event_set(event, FIELD_USER_AGENT, user_agent(visit));
    bool is_mobile = visit->device % 4 == 1 || visit->device % 4 == 2;
    generated_event_set(event, FIELD_CHANNEL, is_mobile ? "app" : "web");
    generated_event_set_hex(event, FIELD_SESSION_HINT, "s", visit->number, 1);
}

static void set_price(struct generated_event *event, int64_t price)
{
    generated_event_set(event, FIELD_CURRENCY, "EUR");
    event->price = price;
    generated_event_mark_number(event, FIELD_PRICE);
}

void visit_event_item(struct generated_event *event, const struct item *item, int64_t quantity)
{
    generated_event_set_decimal(event, FIELD_ITEM, "i", item->number);
    generated_event_set_decimal(event, FIELD_CATEGORY, "c", item->category);
    generated_event_set_decimal(event, FIELD_BRAND, "b", item->brand);
    set_price(event, item->price);
    if (quantity > 0) {
        event->quantity = quantity;
        generated_event_mark_number(event, FIELD_QUANTITY);
    }
}

static void set_payment(struct visit *visit, struct generated_event *event)
{
    generated_event_set_hex(event, FIELD_ORDER_ID, "o", visit->order, 1);
    generated_event_set_hex(event, FIELD_INSTRUMENT, "k", visit->card, 16);
    generated_event_set_decimal(event, FIELD_MERCHANT, "t", visit->order % 50);
}

void visit_event_payment_failed(struct visit *visit, struct generated_event *event, int64_t sum)
{
    visit_event(visit, event, EVENT_PAYMENT_FAILED);
    set_payment(visit, event);
    set_price(event, sum);
}

bool visit_event_purchase(struct visit *visit, struct generated_event *event)
{
    const struct cart_line *line = &visit->cart[visit->lines_paid++];
    visit_event(visit, event, EVENT_PURCHASE);
    visit_event_item(event, &line->item, line->quantity);
    set_payment(visit, event);
    event->order_line = visit->lines_paid;
    generated_event_mark_number(event, FIELD_ORDER_LINE);
    if (!visit->has_purchased) {
        visit->has_purchased = true;
        visit->first_purchase_step = visit->step;
    }
    return visit->lines_paid < visit->cart_count;
}

void visit_add_line(struct visit *visit, const struct item *item, int64_t quantity)
{
    visit->cart[visit->cart_count++] = (struct cart_line){*item, quantity};
}

bool visit_step(const struct world *world, struct visit *visit, struct generated_event *event)
{
    double delay_s = visit_script_step(world, visit, event);
    visit->step++;
    visit->time_ms += delay_s > 0 ? (int64_t)(delay_s * 1000.0) + 1 : 1;
    return delay_s >= 0;
}

void visit_return(const struct world *world, uint64_t number, int64_t time_ms, struct visit *visit)
{
    struct visit next;
    visit_begin(world, number, visit->kind, visit->shopper.number, time_ms, &next);
    memcpy(next.cart, visit->cart, sizeof(next.cart));
    next.cart_count = visit->cart_count;
    next.category = visit->category;
    next.mood += 0.4; /* Who comes back means it a little more. */
    *visit = next;
}

void visit_step_refund(struct visit *visit, struct generated_event *event)
{
    begin_event(visit, event, EVENT_REFUND);
    set_payment(visit, event);
    visit_event_item(event, &visit->cart[0].item, visit->cart[0].quantity);
    visit->step++;
}

void visit_step_chargeback(struct visit *visit, struct generated_event *event)
{
    begin_event(visit, event, EVENT_LABEL);
    set_payment(visit, event);
    set_event_id(event, FIELD_LABEL_FOR, visit->number, visit->first_purchase_step);
    generated_event_set(event, FIELD_LABEL_VALUE, "chargeback");
    visit->step++;
}
