#include "operators/feature_recency.h"

#define DAY_S 86400u

static void keep_newest(uint32_t *kept_s, uint32_t second)
{
    *kept_s = second > *kept_s ? second : *kept_s;
}

void recency_observe(struct user_recency *recency, const struct feature_event *event)
{
    uint32_t second = feature_second(event->time_ms);
    if (recency->first_s == 0 || second < recency->first_s) {
        recency->first_s = second;
    }
    if (event->session_step == SESSION_STEP_OPENS) {
        recency->before_session_s = event->newest_ms < 0 ? 0 : feature_second(event->newest_ms);
    }
    if (event->type == EVENT_PURCHASE) {
        keep_newest(&recency->purchase_s, second);
    } else if (event->type == EVENT_ADD_TO_CART) {
        keep_newest(&recency->cart_add_s, second);
    } else if (feature_is_failure(event)) {
        keep_newest(&recency->failure_s, second);
    }
    uint16_t day = (uint16_t)(second / DAY_S);
    if (recency->active_days == 0 || day > recency->active_day) {
        feature_count16(&recency->active_days);
        recency->active_day = day;
    }
}

void recency_write(const struct user_recency *recency, const struct user_session *session,
                   int64_t now_ms, float *row)
{
    row[FEATURE_RFM_AGE] = feature_since(now_ms, recency->first_s);
    row[FEATURE_RFM_SINCE_PURCHASE] = feature_since(now_ms, recency->purchase_s);
    row[FEATURE_RFM_SINCE_CART_ADD] = feature_since(now_ms, recency->cart_add_s);
    row[FEATURE_RFM_SINCE_FAILURE] = feature_since(now_ms, recency->failure_s);
    if (recency->before_session_s > 0) {
        uint32_t start_s = session->start_s, before_s = recency->before_session_s;
        row[FEATURE_RFM_RETURN] = start_s > before_s ? (float)(start_s - before_s) : 0.0f;
    }
    row[FEATURE_RFM_ACTIVE_DAYS] = (float)recency->active_days;
    if (recency->first_s > 0) {
        uint32_t days = feature_second(now_ms) / DAY_S - recency->first_s / DAY_S + 1;
        row[FEATURE_RFM_ACTIVE_SHARE] = feature_ratio(recency->active_days, days);
    }
}
