#include "operators/feature_amount.h"

void amounts_observe(struct user_amounts *amounts, const struct feature_event *event, float *row)
{
    if (!feature_has_amount(event)) {
        return;
    }
    double amount = (double)event->amount / MILLIONTHS;
    row[FEATURE_AMOUNT_EVENT] = (float)amount;
    row[FEATURE_AMOUNT_DEVIATION] =
        amount_deviation(amount, amounts->mean, amounts->squares, amounts->payments);
    row[FEATURE_AMOUNT_TO_MAX] = feature_ratio(amount, (double)amounts->max);
    if (event->type == EVENT_PURCHASE) {
        feature_count32(&amounts->payments);
        feature_welford(&amounts->mean, &amounts->squares, amount, amounts->payments);
        amounts->spend = feature_add_saturated(amounts->spend, event->amount);
        amounts->max = (float)amount > amounts->max ? (float)amount : amounts->max;
    } else if (event->type == EVENT_REFUND) {
        amounts->refunded += (float)amount;
    }
}

void amounts_write(const struct user_amounts *amounts, float *row)
{
    double spend = (double)amounts->spend / MILLIONTHS;
    if (amounts->refunded > 0.0f) {
        row[FEATURE_AMOUNT_REFUND_SHARE] = feature_ratio((double)amounts->refunded, spend);
    }
    if (amounts->payments >= 1) {
        row[FEATURE_RFM_SPEND] = (float)spend;
        row[FEATURE_AMOUNT_MEAN] = (float)amounts->mean;
        row[FEATURE_AMOUNT_MAX] = amounts->max;
    }
    if (amounts->payments >= 2) {
        row[FEATURE_AMOUNT_SPREAD] = (float)feature_spread(amounts->squares, amounts->payments);
    }
}
