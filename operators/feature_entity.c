#include "operators/feature_entity.h"

#include "operators/feature_amount.h"

enum quantity {
    EVENTS_10M,
    EVENTS_1H,
    PAYMENT_FAILED_10M,
    PAYMENT_FAILED_1H,
    LOGIN_FAILED_10M,
    LOGIN_FAILED_1H,
    PURCHASES_1D,
    SPEND_1D,
    USERS,
    OTHERS,
    BAD_LABELS_1D,
    BAD_LABELS_7D,
    BAD_LABELS,
    BAD_SHARE,
    AGE,
    DEVIATION,
    IDLE,
    QUANTITY_COUNT
};

/* The column of each quantity by kind, plus one; 0: the kind has no such feature. */
static const uint16_t columns[ENTITY_KIND_COUNT][QUANTITY_COUNT] = {
    [ENTITY_DEVICE] =
        {
            [EVENTS_1H] = FEATURE_DEVICE_EVENTS_1H + 1,
            [PAYMENT_FAILED_1H] = FEATURE_DEVICE_PAYMENT_FAILED_1H + 1,
            [LOGIN_FAILED_1H] = FEATURE_DEVICE_LOGIN_FAILED_1H + 1,
            [USERS] = FEATURE_DEVICE_USERS + 1,
            [OTHERS] = FEATURE_DEVICE_CARDS + 1,
            [AGE] = FEATURE_DEVICE_AGE + 1,
        },
    [ENTITY_ADDRESS] =
        {
            [EVENTS_10M] = FEATURE_ADDRESS_EVENTS_10M + 1,
            [EVENTS_1H] = FEATURE_ADDRESS_EVENTS_1H + 1,
            [PAYMENT_FAILED_10M] = FEATURE_ADDRESS_PAYMENT_FAILED_10M + 1,
            [LOGIN_FAILED_10M] = FEATURE_ADDRESS_LOGIN_FAILED_10M + 1,
            [USERS] = FEATURE_ADDRESS_USERS + 1,
            [OTHERS] = FEATURE_ADDRESS_CARDS + 1,
        },
    [ENTITY_CARD] =
        {
            [PAYMENT_FAILED_10M] = FEATURE_CARD_PAYMENT_FAILED_10M + 1,
            [PAYMENT_FAILED_1H] = FEATURE_CARD_PAYMENT_FAILED_1H + 1,
            [PURCHASES_1D] = FEATURE_CARD_PURCHASES_1D + 1,
            [SPEND_1D] = FEATURE_CARD_SPEND_1D + 1,
            [USERS] = FEATURE_CARD_USERS + 1,
            [OTHERS] = FEATURE_CARD_ADDRESSES + 1,
            [BAD_LABELS] = FEATURE_CARD_BAD_LABELS + 1,
            [AGE] = FEATURE_CARD_AGE + 1,
            [DEVIATION] = FEATURE_CARD_DEVIATION + 1,
            [IDLE] = FEATURE_CARD_IDLE + 1,
        },
    [ENTITY_TERMINAL] =
        {
            [EVENTS_1H] = FEATURE_TERMINAL_EVENTS_1H + 1,
            [PAYMENT_FAILED_1H] = FEATURE_TERMINAL_PAYMENT_FAILED_1H + 1,
            [PURCHASES_1D] = FEATURE_TERMINAL_PURCHASES_1D + 1,
            [SPEND_1D] = FEATURE_TERMINAL_SPEND_1D + 1,
            [USERS] = FEATURE_TERMINAL_USERS + 1,
            [BAD_LABELS_1D] = FEATURE_TERMINAL_BAD_LABELS_1D + 1,
            [BAD_LABELS_7D] = FEATURE_TERMINAL_BAD_LABELS_7D + 1,
            [BAD_LABELS] = FEATURE_TERMINAL_BAD_LABELS + 1,
            [BAD_SHARE] = FEATURE_TERMINAL_BAD_SHARE + 1,
            [AGE] = FEATURE_TERMINAL_AGE + 1,
            [DEVIATION] = FEATURE_TERMINAL_DEVIATION + 1,
        },
};

static_assert(QUANTITY_COUNT <= ENTITY_COLUMNS_MAX, "there is room for all of them");

uint32_t entity_features_columns(enum entity_kind kind, uint16_t ret_columns[ENTITY_COLUMNS_MAX])
{
    uint32_t count = 0;
    for (int quantity = 0; quantity < QUANTITY_COUNT; quantity++) {
        if (columns[kind][quantity] > 0) {
            ret_columns[count++] = (uint16_t)(columns[kind][quantity] - 1);
        }
    }
    return count;
}

static void put(float *row, uint16_t column, float value)
{
    if (column > 0) {
        row[column - 1] = value;
    }
}

#define ADVANCE(ring, width_ms)                                                                    \
    window_advance(ring, sizeof((ring)[0]), from_ms / (width_ms), to_ms / (width_ms))

static void advance(struct entity_features *entity, int64_t to_ms)
{
    int64_t from_ms = entity->newest_ms;
    if (to_ms <= from_ms) {
        return;
    }
    entity->newest_ms = to_ms;
    if (from_ms / WINDOW_10M_MS == to_ms / WINDOW_10M_MS) {
        return; /* Every other bucket and epoch ends where one of these does. */
    }
    ADVANCE(entity->of_10m, WINDOW_10M_MS);
    ADVANCE(entity->of_1h, WINDOW_1H_MS);
    ADVANCE(entity->spend_1d, WINDOW_1D_MS);
    ADVANCE(entity->purchases_1d, WINDOW_1D_MS);
    ADVANCE(entity->bad_labels_1d, WINDOW_1D_MS);
    ADVANCE(entity->bad_labels_7d, WINDOW_7D_MS);
    ADVANCE(entity->of_28d, WINDOW_28D_MS);
    int64_t from = from_ms / ENTITY_EPOCH_MS, to = to_ms / ENTITY_EPOCH_MS;
    sketch_epochs_advance(&entity->users, from, to);
    sketch_epochs_advance(&entity->others, from, to);
}

static void count_short(struct entity_features *entity, const struct feature_event *event)
{
    int place = window_place(event->time_ms, entity->newest_ms, WINDOW_10M_MS);
    if (place >= 0) {
        feature_count16(&entity->of_10m[place].events);
        if (event->type == EVENT_PAYMENT_FAILED) {
            feature_count8(&entity->of_10m[place].payments_failed);
        } else if (event->type == EVENT_LOGIN_FAILED) {
            feature_count8(&entity->of_10m[place].logins_failed);
        }
    }
    place = window_place(event->time_ms, entity->newest_ms, WINDOW_1H_MS);
    if (place >= 0) {
        feature_count16(&entity->of_1h[place].events);
        if (event->type == EVENT_PAYMENT_FAILED) {
            feature_count8(&entity->of_1h[place].payments_failed);
        } else if (event->type == EVENT_LOGIN_FAILED) {
            feature_count8(&entity->of_1h[place].logins_failed);
        }
    }
}

static void count_purchase(struct entity_features *entity, const struct feature_event *event)
{
    double amount = (double)event->amount / MILLIONTHS;
    int place = window_place(event->time_ms, entity->newest_ms, WINDOW_1D_MS);
    if (place >= 0) {
        feature_count16(&entity->purchases_1d[place]);
        entity->spend_1d[place] += (float)amount;
    }
    place = window_place(event->time_ms, entity->newest_ms, WINDOW_28D_MS);
    if (place >= 0) {
        feature_count16(&entity->of_28d[place].purchases);
    }
    if (event->has_price) {
        feature_count32(&entity->payments);
        feature_welford(&entity->mean, &entity->squares, amount, entity->payments);
    }
}

static void count_activity(struct entity_features *entity, enum entity_kind kind,
                           const struct feature_event *event)
{
    uint32_t second = feature_second(event->time_ms);
    if (entity->first_s == 0 || second < entity->first_s) {
        entity->first_s = second;
    }
    count_short(entity, event);
    if (event->type == EVENT_PURCHASE) {
        count_purchase(entity, event);
    }
    int64_t epoch = event->time_ms / ENTITY_EPOCH_MS;
    int64_t newest = entity->newest_ms / ENTITY_EPOCH_MS;
    (void)sketch_epochs_add(&entity->users, event->user, epoch, newest);
    uint64_t other = kind == ENTITY_CARD ? event->address : event->card;
    (void)sketch_epochs_add(&entity->others, other, epoch, newest);
}

static void count_label(struct entity_features *entity, const struct feature_event *event)
{
    int place = window_place(event->time_ms, entity->newest_ms, WINDOW_1D_MS);
    if (place >= 0) {
        feature_count8(&entity->bad_labels_1d[place]);
    }
    place = window_place(event->time_ms, entity->newest_ms, WINDOW_7D_MS);
    if (place >= 0) {
        feature_count8(&entity->bad_labels_7d[place]);
    }
    place = window_place(event->time_ms, entity->newest_ms, WINDOW_28D_MS);
    if (place >= 0) {
        feature_count16(&entity->of_28d[place].bad_labels);
    }
}

/* What compares the row with the state before it. */
static void write_before(const struct entity_features *entity, const uint16_t *column,
                         const struct feature_event *event, float *row)
{
    if (feature_has_amount(event)) {
        put(row, column[DEVIATION],
            amount_deviation((double)event->amount / MILLIONTHS, entity->mean, entity->squares,
                             entity->payments));
    }
    if (entity->newest_ms > 0) {
        int64_t idle_ms = event->time_ms - entity->newest_ms;
        put(row, column[IDLE], idle_ms > 0 ? (float)((double)idle_ms / 1000.0) : 0.0f);
    }
}

#define SUM(ring, member)                                                                          \
    ((ring)[0].member + (ring)[1].member + (ring)[2].member + (ring)[3].member)
#define SUM_OF(ring) ((ring)[0] + (ring)[1] + (ring)[2] + (ring)[3])

static void write_after(const struct entity_features *entity, const uint16_t *column,
                        const struct sketch_table *sketches, float *row)
{
    put(row, column[EVENTS_10M], (float)SUM(entity->of_10m, events));
    put(row, column[EVENTS_1H], (float)SUM(entity->of_1h, events));
    put(row, column[PAYMENT_FAILED_10M], (float)SUM(entity->of_10m, payments_failed));
    put(row, column[PAYMENT_FAILED_1H], (float)SUM(entity->of_1h, payments_failed));
    put(row, column[LOGIN_FAILED_10M], (float)SUM(entity->of_10m, logins_failed));
    put(row, column[LOGIN_FAILED_1H], (float)SUM(entity->of_1h, logins_failed));
    int purchases = SUM_OF(entity->purchases_1d);
    put(row, column[PURCHASES_1D], (float)purchases);
    double spend = ((double)entity->spend_1d[0] + (double)entity->spend_1d[1]) +
                   ((double)entity->spend_1d[2] + (double)entity->spend_1d[3]);
    put(row, column[SPEND_1D], purchases > 0 ? (float)spend : NAN);
    put(row, column[USERS], sketch_epochs_count(sketches, &entity->users));
    put(row, column[OTHERS], sketch_epochs_count(sketches, &entity->others));
    put(row, column[BAD_LABELS_1D], (float)SUM_OF(entity->bad_labels_1d));
    put(row, column[BAD_LABELS_7D], (float)SUM_OF(entity->bad_labels_7d));
    int bad_labels = SUM(entity->of_28d, bad_labels);
    float share = feature_ratio(bad_labels, SUM(entity->of_28d, purchases));
    put(row, column[BAD_LABELS], (float)bad_labels);
    put(row, column[BAD_SHARE], share > 1.0f ? 1.0f : share);
    put(row, column[AGE], feature_since(entity->newest_ms, entity->first_s));
}

/* The features as of the row's time; the state stays as it is. */
static void peek(const struct entity_features *entity, enum entity_kind kind,
                 const struct sketch_table *sketches, const struct feature_event *event, float *row)
{
    struct entity_features copy = *entity;
    write_before(&copy, columns[kind], event, row);
    advance(&copy, event->time_ms);
    write_after(&copy, columns[kind], sketches, row);
}

void entity_features_observe(struct entity_features *entity, enum entity_kind kind,
                             const struct sketch_table *sketches, const struct feature_event *event,
                             float *row)
{
    if (!event->is_activity && !event->is_bad_label) {
        peek(entity, kind, sketches, event, row);
        return;
    }
    write_before(entity, columns[kind], event, row);
    advance(entity, event->time_ms);
    if (event->is_activity) {
        count_activity(entity, kind, event);
    } else {
        count_label(entity, event);
    }
    write_after(entity, columns[kind], sketches, row);
}
