#include "pipeline/generate/visit.h"

#include <stdio.h>
#include <string.h>

#include "pipeline/generate/visit_scripts.h"

#define PURPOSE_VISIT 31
#define PURPOSE_DEVICE 32
#define PURPOSE_ADDRESS 33
#define PURPOSE_CARD 34

#define KIND_ROW(ENUM, kind_name, share, bot, fraud)                                               \
    [VISIT_##ENUM] = {.name = kind_name, .per_thousand = share, .is_bot = bot, .is_fraud = fraud},
const struct visit_kind_info visit_kinds[VISIT_KIND_COUNT] = {VISIT_KINDS(KIND_ROW)};

static uint64_t drawn_number(uint64_t seed, uint64_t purpose, uint64_t number)
{
    struct random random = random_for(seed, purpose, number);
    return random_next(&random);
}

/* A shopper's own things: one of its devices, mostly at home, one of its cards. */
static void take_own_things(const struct world *world, struct visit *visit)
{
    const struct shopper *shopper = &visit->shopper;
    uint64_t device = random_below(&visit->random, shopper->device_count);
    uint64_t card = random_below(&visit->random, shopper->card_count);
    bool is_at_home = random_chance(&visit->random, 0.8);
    uint64_t place = is_at_home ? 0 : 1 + random_below(&visit->random, 4);
    visit->device = drawn_number(world->seed, PURPOSE_DEVICE, shopper->number * 4 + device);
    visit->card = drawn_number(world->seed, PURPOSE_CARD, shopper->number * 4 + card);
    visit->address = drawn_number(world->seed, PURPOSE_ADDRESS, shopper->number * 8 + place);
}

/* Things that nobody was seen with before. */
static void take_new_things(struct visit *visit)
{
    visit->device = random_next(&visit->random);
    visit->card = random_next(&visit->random);
    visit->address = random_next(&visit->random);
}

void visit_begin(const struct world *world, uint64_t number, enum visit_kind kind,
                 uint64_t shopper_number, int64_t time_ms, struct visit *ret_visit)
{
    *ret_visit = (struct visit){
        .number = number,
        .kind = kind,
        .shopper = shopper_of(world->seed, shopper_number, world->shift),
        .random = random_for(world->seed, PURPOSE_VISIT, number),
        .start_ms = time_ms,
        .time_ms = time_ms,
    };
    struct visit *visit = ret_visit;
    visit->mood = 0.8 * random_normal(&visit->random);
    switch (kind) {
    case VISIT_HUMAN:
    case VISIT_REFUND_ABUSE:
        take_own_things(world, visit);
        visit->user = visit->shopper.has_account || kind != VISIT_HUMAN ? shopper_number + 1 : 0;
        break;
    case VISIT_ACCOUNT_TAKEOVER: {
        take_own_things(world, visit);
        uint64_t victims_card = visit->card;
        take_new_things(visit);
        visit->card = random_chance(&visit->random, 0.7) ? victims_card : visit->card;
        visit->user = shopper_number + 1;
        break;
    }
    default:
        take_new_things(visit);
        /* Accounts made for the purpose stand beyond all shoppers. */
        visit->user = kind == VISIT_STOLEN_CARD || kind == VISIT_COUPON_FARMING
                          ? world->shopper_count + 1 + number
                          : 0;
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
    if (visit->kind == VISIT_CRAWLER) {
        return "Mozilla/5.0 (compatible; searchbot/2.1)";
    }
    return agents[visit->device % 4];
}

static void fill_identity(const struct visit *visit, struct generated_event *event)
{
    char(*text)[GENERATED_TEXT_BYTES] = event->text;
    (void)snprintf(text[FIELD_EVENT_ID], GENERATED_TEXT_BYTES, "v%llx-%u",
                   (unsigned long long)visit->number, visit->step);
    (void)snprintf(text[FIELD_SHOP], GENERATED_TEXT_BYTES, "main");
    if (visit->user) {
        (void)snprintf(text[FIELD_USER_ID], GENERATED_TEXT_BYTES, "u%llu",
                       (unsigned long long)visit->user);
    }
    (void)snprintf(text[FIELD_DEVICE_ID], GENERATED_TEXT_BYTES, "d%016llx",
                   (unsigned long long)visit->device);
    /* Documentation and private ranges, wide enough for a million homes. */
    (void)snprintf(text[FIELD_IP], GENERATED_TEXT_BYTES, "10.%u.%u.%u",
                   (unsigned)(visit->address >> 16 & 255), (unsigned)(visit->address >> 8 & 255),
                   (unsigned)(visit->address & 255));
    (void)snprintf(text[FIELD_USER_AGENT], GENERATED_TEXT_BYTES, "%s", user_agent(visit));
    (void)snprintf(text[FIELD_CHANNEL], GENERATED_TEXT_BYTES, "%s",
                   visit->device % 4 == 1 || visit->device % 4 == 2 ? "app" : "web");
    (void)snprintf(text[FIELD_SESSION_HINT], GENERATED_TEXT_BYTES, "s%llx",
                   (unsigned long long)visit->number);
}

void visit_event(struct visit *visit, struct generated_event *event, enum event_type type)
{
    fill_identity(visit, event);
    event->time_ms = visit->time_ms;
    (void)snprintf(event->text[FIELD_TYPE_WORD], GENERATED_TEXT_BYTES, "%s",
                   event_types[type].name);
}

void visit_event_item(struct generated_event *event, const struct item *item, int64_t quantity)
{
    char(*text)[GENERATED_TEXT_BYTES] = event->text;
    (void)snprintf(text[FIELD_ITEM], GENERATED_TEXT_BYTES, "i%llu",
                   (unsigned long long)item->number);
    (void)snprintf(text[FIELD_CATEGORY], GENERATED_TEXT_BYTES, "c%u", item->category);
    (void)snprintf(text[FIELD_BRAND], GENERATED_TEXT_BYTES, "b%u", item->brand);
    (void)snprintf(text[FIELD_CURRENCY], GENERATED_TEXT_BYTES, "EUR");
    event->price = item->price;
    event->numbers_present |= 1u << (FIELD_PRICE - TEXT_FIELD_COUNT);
    if (quantity > 0) {
        event->quantity = quantity;
        event->numbers_present |= 1u << (FIELD_QUANTITY - TEXT_FIELD_COUNT);
    }
}

void visit_event_payment(struct visit *visit, struct generated_event *event)
{
    char(*text)[GENERATED_TEXT_BYTES] = event->text;
    (void)snprintf(text[FIELD_ORDER_ID], GENERATED_TEXT_BYTES, "o%llx",
                   (unsigned long long)visit->order);
    (void)snprintf(text[FIELD_INSTRUMENT], GENERATED_TEXT_BYTES, "k%016llx",
                   (unsigned long long)visit->card);
    (void)snprintf(text[FIELD_MERCHANT], GENERATED_TEXT_BYTES, "t%llu",
                   (unsigned long long)(visit->order % 50));
}

bool visit_event_purchase(struct visit *visit, struct generated_event *event)
{
    const struct cart_line *line = &visit->cart[visit->lines_paid++];
    visit_event(visit, event, EVENT_PURCHASE);
    visit_event_item(event, &line->item, line->quantity);
    visit_event_payment(visit, event);
    event->order_line = visit->lines_paid;
    event->numbers_present |= 1u << (FIELD_ORDER_LINE - TEXT_FIELD_COUNT);
    if (!visit->has_purchased) {
        visit->has_purchased = true;
        (void)snprintf(visit->first_purchase_id, GENERATED_TEXT_BYTES, "%s",
                       event->text[FIELD_EVENT_ID]);
    }
    return visit->lines_paid < visit->cart_count;
}

bool visit_step(const struct world *world, struct visit *visit, struct generated_event *event)
{
    memset(event, 0, sizeof(*event));
    double delay_s = visit_script_step(world, visit, event);
    visit->step++;
    visit->time_ms += (int64_t)(delay_s * 1000.0) + 1;
    return delay_s >= 0;
}

void visit_return(const struct world *world, uint64_t number, int64_t time_ms, struct visit *visit)
{
    struct visit next;
    visit_begin(world, number, visit->kind, visit->shopper.number, time_ms, &next);
    memcpy(next.cart, visit->cart, sizeof(next.cart));
    next.cart_count = visit->cart_count;
    next.mood += 0.4; /* Who comes back means it a little more. */
    *visit = next;
}

void visit_step_refund(struct visit *visit, struct generated_event *event)
{
    visit_event(visit, event, EVENT_REFUND);
    visit_event_payment(visit, event);
    visit_event_item(event, &visit->cart[0].item, 1);
    visit->step++;
}

void visit_step_chargeback(struct visit *visit, struct generated_event *event)
{
    visit_event(visit, event, EVENT_LABEL);
    visit_event_payment(visit, event);
    (void)snprintf(event->text[FIELD_LABEL_FOR], GENERATED_TEXT_BYTES, "%s",
                   visit->first_purchase_id);
    (void)snprintf(event->text[FIELD_LABEL_VALUE], GENERATED_TEXT_BYTES, "chargeback");
    visit->step++;
}
