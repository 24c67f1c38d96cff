#include "pipeline/generate/shopper.h"

#define PURPOSE_SHOPPER 21
#define ACCOUNT_SHARE 0.75

struct type_traits {
    double share; /* Of all shoppers. */
    double intent, price_sensitivity, coupon_effect, pace;
};

static const struct type_traits traits[SHOPPER_TYPE_COUNT] = {
    [SHOPPER_WINDOW] = {0.42, -1.4, 0.3, 0.15, 27},
    [SHOPPER_RESEARCH] = {0.22, -0.5, 0.5, 0.45, 36},
    [SHOPPER_LOYAL] = {0.14, 1.0, 0.2, 0.10, 29},
    [SHOPPER_BARGAIN] = {0.14, -0.4, 0.9, 1.60, 30},
    [SHOPPER_IMPULSE] = {0.08, 1.1, 0.4, 0.50, 21},
};

bool shopper_has_account(const struct catalogue *catalogue, uint64_t number)
{
    struct random random = random_for(catalogue->seed, PURPOSE_SHOPPER, number);
    return random_chance(&random, ACCOUNT_SHARE);
}

struct shopper shopper_of(const struct catalogue *catalogue, uint64_t number, double shift)
{
    struct random random = random_for(catalogue->seed, PURPOSE_SHOPPER, number);
    struct shopper shopper = {.number = number};
    shopper.has_account = random_chance(&random, ACCOUNT_SHARE);
    double drawn = random_unit(&random);
    int type = 0;
    while (type < SHOPPER_TYPE_COUNT - 1 && drawn >= traits[type].share) {
        drawn -= traits[type].share;
        type++;
    }
    const struct type_traits *trait = &traits[type];
    shopper.type = (enum shopper_type)type;
    shopper.intent = trait->intent + 0.5 * random_normal(&random) + 0.4 * shift;
    shopper.price_sensitivity = trait->price_sensitivity * (1.0 + shift);
    shopper.coupon_effect = trait->coupon_effect * (0.6 + 0.8 * random_unit(&random));
    shopper.pace = random_lognormal(&random, trait->pace * (1.0 + shift), 0.35);
    shopper.favourite_category = catalogue_draw_category(catalogue, &random);
    shopper.device_count = random_chance(&random, 0.35) ? 2 : random_chance(&random, 0.1) ? 3 : 1;
    shopper.card_count = random_chance(&random, 0.2) ? 2 : 1;
    return shopper;
}
