/* Family amount: money against what the same user pays usually. */
#ifndef OPERATORS_FEATURE_AMOUNT_H
#define OPERATORS_FEATURE_AMOUNT_H

#include "operators/feature_event.h"

struct user_amounts {
    double mean, squares; /* Welford over the payments' amounts, in the currency. */
    int64_t spend;        /* Of all purchases, in millionths. */
    float max;
    float refunded;
    uint32_t payments;
};

/* How far `amount` lies from what `payments` values had as mean and squares; NaN below two. */
static inline float amount_deviation(double amount, double mean, double squares, uint32_t payments)
{
    if (payments < 2 || mean <= 0.0) {
        return NAN;
    }
    double spread = feature_spread(squares, payments);
    double least = mean * 0.01; /* Always the same price: a cent more is no deviation. */
    return (float)((amount - mean) / (spread > least ? spread : least));
}

/* Writes what compares the event with what was before it. */
void amounts_observe(struct user_amounts *amounts, const struct feature_event *event, float *row);
void amounts_write(const struct user_amounts *amounts, float *row);

#endif
