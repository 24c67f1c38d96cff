#include "operators/feature_counts.h"

static void count_sessions(struct user_totals *totals, const struct feature_event *event)
{
    if (event->session_flags & SESSION_IS_NEW) {
        feature_count16(&totals->sessions);
    }
    if (event->session_flags & SESSION_BRIDGED && totals->sessions > 1) {
        totals->sessions--;
    }
}

void totals_observe(struct user_totals *totals, const struct feature_event *event)
{
    feature_count32(&totals->events);
    count_sessions(totals, event);
    switch (event->type) {
    case EVENT_PRODUCT_VIEW:
        feature_count16(&totals->views);
        break;
    case EVENT_ADD_TO_CART:
        feature_count16(&totals->cart_adds);
        break;
    case EVENT_PURCHASE:
        feature_count16(&totals->purchases);
        break;
    case EVENT_REFUND:
        feature_count16(&totals->refunds);
        break;
    case EVENT_PROMOTION_SHOWN:
        feature_count16(&totals->promotions_shown);
        break;
    case EVENT_PROMOTION_ACCEPTED:
        feature_count16(&totals->promotions_accepted);
        break;
    default:
        break;
    }
}

void totals_write(const struct user_totals *totals, float *row)
{
    row[FEATURE_USER_EVENTS] = (float)totals->events;
    row[FEATURE_USER_SESSIONS] = (float)totals->sessions;
    row[FEATURE_USER_VIEWS] = (float)totals->views;
    row[FEATURE_USER_CART_ADDS] = (float)totals->cart_adds;
    row[FEATURE_USER_PURCHASES] = (float)totals->purchases;
    row[FEATURE_USER_REFUNDS] = (float)totals->refunds;
    row[FEATURE_USER_BAD_LABELS] = (float)totals->bad_labels;
    row[FEATURE_USER_PROMOTIONS] = (float)totals->promotions_shown;
    float accepted = feature_ratio(totals->promotions_accepted, totals->promotions_shown);
    row[FEATURE_USER_PROMOTION_SHARE] = accepted > 1.0f ? 1.0f : accepted;
    row[FEATURE_USER_SESSION_LENGTH] = feature_ratio(totals->events, totals->sessions);
    row[FEATURE_USER_CONVERSION] = feature_ratio(totals->purchases, totals->sessions);
    row[FEATURE_USER_CART_CONVERSION] = feature_ratio(totals->purchases, totals->cart_adds);
}
