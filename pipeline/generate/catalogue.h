/*
 * The shop's goods. Nothing is stored: an item's properties are drawn from its number, so that a
 * catalogue of any size costs no memory.
 */
#ifndef PIPELINE_GENERATE_CATALOGUE_H
#define PIPELINE_GENERATE_CATALOGUE_H

#include "pipeline/generate/random.h"

struct catalogue {
    uint64_t seed;
    uint64_t item_count;
    double popularity_exponent; /* Zipf. */
};

struct item {
    uint64_t number;
    uint32_t category; /* 0 to 199 */
    uint32_t brand;    /* 0 to 999 */
    int64_t price;     /* Millionths. */
    double appeal;     /* On the logit scale: how it raises the wish to buy. */
};

struct item catalogue_item(const struct catalogue *catalogue, uint64_t number);

/* Draws an item: popular ones more often, and mostly of `category` where it is not UINT32_MAX. */
struct item catalogue_draw(const struct catalogue *catalogue, struct random *random,
                           uint32_t category);

#endif
