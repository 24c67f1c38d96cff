#include "operators/session_slot.h"

#include <stddef.h>
#include <string.h>

#define COUNT_BITS 12
#define COUNT_MASK UINT64_C(0xfff)
#define FLAG_SHIFT 60

/* Where a type is counted: DERIVED is what is left of the total, UNCOUNTED is in no session. */
enum { FREQUENT = 0, RARE = 16, DERIVED = 62, UNCOUNTED = 63 };

static const uint8_t places[EVENT_TYPE_COUNT] = {
    [EVENT_PAGE_VIEW] = DERIVED,
    [EVENT_PRODUCT_VIEW] = FREQUENT,
    [EVENT_IMPRESSION] = FREQUENT + 1,
    [EVENT_SEARCH] = FREQUENT + 2,
    [EVENT_ADD_TO_CART] = FREQUENT + 3,
    [EVENT_OTHER] = FREQUENT + 4,
    [EVENT_REMOVE_FROM_CART] = RARE,
    [EVENT_CHECKOUT] = RARE + 1,
    [EVENT_PURCHASE] = RARE + 2,
    [EVENT_PAYMENT_FAILED] = RARE + 3,
    [EVENT_REFUND] = RARE + 4,
    [EVENT_LOGIN] = RARE + 5,
    [EVENT_LOGIN_FAILED] = RARE + 6,
    [EVENT_REVIEW] = RARE + 7,
    [EVENT_MESSAGE] = RARE + 8,
    [EVENT_PROMOTION_SHOWN] = RARE + 9,
    [EVENT_PROMOTION_ACCEPTED] = RARE + 10,
    [EVENT_LABEL] = UNCOUNTED,
    [EVENT_IDENTITY_LINK] = UNCOUNTED,
    [EVENT_PRICE_CHANGE] = UNCOUNTED,
    [EVENT_STOCK_CHANGE] = UNCOUNTED,
    [EVENT_ERASE] = UNCOUNTED,
};
static_assert(EVENT_TYPE_COUNT == 22,
              "a new type needs a place here, and a new version of the part");

/* -64 ln(1 - k / 64), rounded; the last is what it takes on average to fill all bits. */
static const uint16_t distinct_of_bits[65] = {
    0,   1,   2,   3,   4,   5,   6,   7,   9,   10,  11,  12,  13,  15, 16, 17, 18,
    20,  21,  23,  24,  25,  27,  28,  30,  32,  33,  35,  37,  39,  40, 42, 44, 46,
    48,  51,  53,  55,  58,  60,  63,  65,  68,  71,  74,  78,  81,  85, 89, 93, 97,
    102, 107, 113, 119, 126, 133, 142, 151, 163, 177, 196, 222, 266, 303};

bool session_counts_type(uint8_t type)
{
    return type < EVENT_TYPE_COUNT && places[type] != UNCOUNTED;
}

void session_mark(struct session_slot *slot, enum session_slot_flag flag, bool is_set)
{
    uint64_t bit = (uint64_t)flag << FLAG_SHIFT;
    slot->frequent = is_set ? slot->frequent | bit : slot->frequent & ~bit;
}

static uint32_t frequent_count(const struct session_slot *slot, uint32_t place)
{
    return (uint32_t)(slot->frequent >> (COUNT_BITS * place) & COUNT_MASK);
}

static void count_type(struct session_slot *slot, uint8_t type)
{
    uint8_t place = places[type];
    if (place < RARE) {
        slot->frequent += UINT64_C(1) << (COUNT_BITS * place);
    } else if (place < DERIVED) {
        slot->rare[place - RARE]++;
    }
    slot->event_count++;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void add_spend(struct session_slot *slot, int64_t spend, uint16_t currency)
{
    if (session_is(slot, SLOT_PRICED) && slot->currency != currency) {
        session_mark(slot, SLOT_MIXED, true);
    } else {
        slot->currency = currency;
    }
    session_mark(slot, SLOT_PRICED, true);
    slot->spend = add_saturated(slot->spend, spend);
}

static void set_cause(struct session_slot *slot, uint64_t place)
{
    slot->cause_low = (uint32_t)place;
    slot->cause_middle = (uint16_t)(place >> 32);
    slot->cause_high = (uint32_t)(place >> 48);
}

static void add_content(struct session_slot *slot, const struct session_event *event)
{
    count_type(slot, event->type);
    if (event->item != 0) {
        slot->items |= UINT64_C(1) << (event->item >> 58);
    }
    if (event->is_priced) {
        add_spend(slot, event->spend, event->currency);
    }
    set_cause(slot, event->place);
}

void session_open(struct session_slot *slot, uint64_t id, const struct session_event *event)
{
    assert(session_counts_type(event->type));
    *slot = (struct session_slot){.id = id,
                                  .start_ms = event->time_ms,
                                  .hint = event->hint,
                                  .entry_type = event->type,
                                  .exit_type = event->type};
    add_content(slot, event);
}

/* Makes the session reach from `start_ms` to `last_ms`. */
static void set_span(struct session_slot *slot, int64_t start_ms, int64_t last_ms)
{
    slot->start_ms = start_ms;
    slot->duration_ms = (uint32_t)(last_ms - start_ms);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool session_fits(const struct session_slot *slot, const struct session_event *event,
                  const struct session_limits *limits)
{
    uint8_t place = places[event->type];
    bool is_full = place >= RARE && place < DERIVED && slot->rare[place - RARE] == SESSION_RARE_MAX;
    int64_t length_ms =
        larger(session_last_ms(slot), event->time_ms) - smaller(slot->start_ms, event->time_ms);
    return !is_full && slot->event_count < limits->event_count_max &&
           length_ms <= limits->length_ms_max;
}

void session_add(struct session_slot *slot, const struct session_event *event)
{
    int64_t last_ms = session_last_ms(slot);
    if (event->time_ms < slot->start_ms) {
        slot->entry_type = event->type;
    }
    if (event->time_ms >= last_ms) {
        slot->exit_type = event->type;
    }
    set_span(slot, smaller(slot->start_ms, event->time_ms), larger(last_ms, event->time_ms));
    add_content(slot, event);
}

bool session_fits_session(const struct session_slot *into, const struct session_slot *from,
                          const struct session_limits *limits)
{
    int64_t length_ms = larger(session_last_ms(into), session_last_ms(from)) -
                        smaller(into->start_ms, from->start_ms);
    if (length_ms > limits->length_ms_max ||
        (uint32_t)into->event_count + from->event_count > limits->event_count_max) {
        return false;
    }
    for (int i = 0; i < SESSION_RARE_TYPES; i++) {
        if (into->rare[i] + from->rare[i] > SESSION_RARE_MAX) {
            return false;
        }
    }
    return true;
}

void session_merge(struct session_slot *into, const struct session_slot *from, uint64_t cause)
{
    int64_t into_last_ms = session_last_ms(into);
    int64_t from_last_ms = session_last_ms(from);
    if (from->start_ms < into->start_ms) {
        into->entry_type = from->entry_type;
    }
    if (from_last_ms >= into_last_ms) {
        into->exit_type = from->exit_type;
    }
    set_span(into, smaller(into->start_ms, from->start_ms), larger(into_last_ms, from_last_ms));
    /* No count overflows into the next: the events of both are at most SESSION_EVENTS_MAX. */
    into->frequent += from->frequent & ((UINT64_C(1) << FLAG_SHIFT) - 1);
    for (int i = 0; i < SESSION_RARE_TYPES; i++) {
        into->rare[i] = (uint8_t)(into->rare[i] + from->rare[i]);
    }
    into->event_count = (uint16_t)(into->event_count + from->event_count);
    into->items |= from->items;
    if (session_is(from, SLOT_PRICED)) {
        add_spend(into, from->spend, from->currency);
    }
    if (session_is(from, SLOT_MIXED)) {
        session_mark(into, SLOT_MIXED, true);
    }
    set_cause(into, cause);
}

int64_t session_distance_ms(const struct session_slot *slot, int64_t time_ms)
{
    return larger(0, larger(slot->start_ms - time_ms, time_ms - session_last_ms(slot)));
}

uint32_t session_count_of(const struct session_slot *slot, enum event_type type)
{
    uint8_t place = places[type];
    if (place < RARE) {
        return frequent_count(slot, place);
    }
    if (place < DERIVED) {
        return slot->rare[place - RARE];
    }
    if (place == UNCOUNTED) {
        return 0;
    }
    uint32_t counted = 0;
    for (uint32_t i = 0; i < FLAG_SHIFT / COUNT_BITS; i++) {
        counted += frequent_count(slot, i);
    }
    for (int i = 0; i < SESSION_RARE_TYPES; i++) {
        counted += slot->rare[i];
    }
    return slot->event_count - counted;
}

uint64_t session_cause_place(const struct session_slot *slot)
{
    return (uint64_t)slot->cause_high << 48 | (uint64_t)slot->cause_middle << 32 | slot->cause_low;
}

void session_slot_upgrade(const void *bytes, struct session_slot *ret_slot)
{
    static_assert(offsetof(struct session_slot, cause_high) == SESSION_SLOT_BYTES_1,
                  "the rest stands where it stood");
    *ret_slot = (struct session_slot){0};
    memcpy(ret_slot, bytes, SESSION_SLOT_BYTES_1);
    set_cause(ret_slot, PLACE_UNKNOWN);
}

uint32_t session_distinct_items(const struct session_slot *slot)
{
    return distinct_of_bits[__builtin_popcountll(slot->items)];
}

bool session_has_cart(const struct session_slot *slot)
{
    return session_count_of(slot, EVENT_ADD_TO_CART) >
           session_count_of(slot, EVENT_REMOVE_FROM_CART) + session_count_of(slot, EVENT_PURCHASE);
}

enum session_outcome session_outcome_of(const struct session_slot *slot)
{
    if (session_count_of(slot, EVENT_PURCHASE) > 0) {
        return OUTCOME_PURCHASED;
    }
    if (session_has_cart(slot)) {
        return OUTCOME_ABANDONED_CART;
    }
    return slot->event_count == 1 ? OUTCOME_BOUNCED : OUTCOME_BROWSED;
}

uint16_t session_currency_pack(struct text code)
{
    uint32_t packed = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (code.length != 3 || code.data[i] < 'A' || code.data[i] > 'Z') {
            return 0;
        }
        packed = packed << 5 | (uint32_t)(code.data[i] - 'A' + 1);
    }
    return (uint16_t)packed;
}

bool session_currency_unpack(uint16_t packed, char ret_code[3])
{
    for (int i = 0; i < 3; i++) {
        ret_code[i] = (char)('A' - 1 + (packed >> (5 * (2 - i)) & 31));
    }
    return packed != 0;
}
