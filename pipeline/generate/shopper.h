/* A shopper: what kind of person it is and what it shops with, drawn from its number. */
#ifndef PIPELINE_GENERATE_SHOPPER_H
#define PIPELINE_GENERATE_SHOPPER_H

#include "pipeline/generate/catalogue.h"

enum shopper_type {
    SHOPPER_WINDOW,   /* Looks, hardly ever buys. */
    SHOPPER_RESEARCH, /* Compares much, buys late. */
    SHOPPER_LOYAL,    /* Comes often, buys easily; a coupon changes little. */
    SHOPPER_BARGAIN,  /* Buys when the price is right; a coupon changes much. */
    SHOPPER_IMPULSE,  /* Few clicks, quick to buy. */
    SHOPPER_TYPE_COUNT
};

struct shopper {
    uint64_t number;
    enum shopper_type type;
    double intent; /* On the logit scale. */
    double price_sensitivity;
    double coupon_effect; /* What a coupon adds to the wish to buy: the hidden uplift. */
    double pace;          /* Median seconds that a page is looked at. */
    uint32_t favourite_category;
    uint32_t device_count, card_count;
    bool has_account;
};

/* `shift` moves how it behaves, see visit.h, not who it is. */
struct shopper shopper_of(const struct catalogue *catalogue, uint64_t number, double shift);

/* Without drawing the rest. */
bool shopper_has_account(const struct catalogue *catalogue, uint64_t number);

#endif
