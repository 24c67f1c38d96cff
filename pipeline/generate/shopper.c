#include "pipeline/generate/shopper.h"

#define PURPOSE_SHOPPER 21

struct type_traits {
    double share; /* Of all shoppers. */
    double intent, price_sensitivity, coupon_effect, pace;
};

static const struct type_traits traits[SHOPPER_TYPE_COUNT] = {
    [SHOPPER_WINDOW] = {0.42, -2.6, 0.5, 0.15, 22},
    [SHOPPER_RESEARCH] = {0.22, -1.2, 0.8, 0.45, 38},
    [SHOPPER_LOYAL] = {0.14, 0.7, 0.3, 0.10, 26},
    [SHOPPER_BARGAIN] = {0.14, -0.9, 1.6, 1.60, 30},
    [SHOPPER_IMPULSE] = {0.08, 0.9, 0.6, 0.50, 14},
};

struct shopper shopper_of(uint64_t seed, uint64_t number, double shift)
{
    struct random random = random_for(seed, PURPOSE_SHOPPER, number);
    double drawn = random_unit(&random);
    int type = 0;
    while (type < SHOPPER_TYPE_COUNT - 1 && drawn >= traits[type].share) {
        drawn -= traits[type].share;
        type++;
    }
    const struct type_traits *trait = &traits[type];
    struct shopper shopper = {.number = number, .type = (enum shopper_type)type};
    shopper.intent = trait->intent + 0.5 * random_normal(&random) + 0.4 * shift;
    shopper.price_sensitivity = trait->price_sensitivity * (1.0 + 0.5 * shift);
    shopper.coupon_effect = trait->coupon_effect * (0.6 + 0.8 * random_unit(&random));
    shopper.pace = random_lognormal(&random, trait->pace * (1.0 + 0.5 * shift), 0.3);
    shopper.favourite_category = (uint32_t)random_zipf(&random, 200, 0.7);
    shopper.device_count = random_chance(&random, 0.35) ? 2 : random_chance(&random, 0.1) ? 3 : 1;
    shopper.card_count = random_chance(&random, 0.2) ? 2 : 1;
    shopper.country = (uint32_t)random_zipf(&random, 30, 1.3);
    shopper.has_account = random_chance(&random, 0.75);
    return shopper;
}
