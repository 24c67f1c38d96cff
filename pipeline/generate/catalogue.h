/*
 * The shop's goods. An item's properties are drawn from its number, so that a catalogue of any size
 * costs no memory but that of a cache. Numbers are laid out in blocks: in each block the same
 * places belong to the same category, so that the nth most popular item of a category is found by
 * arithmetic. Not thread-safe.
 */
#ifndef PIPELINE_GENERATE_CATALOGUE_H
#define PIPELINE_GENERATE_CATALOGUE_H

#include "pipeline/generate/random.h"

#define CATALOGUE_CATEGORIES 200u
#define CATALOGUE_BLOCK_ITEMS 2048u
#define CATALOGUE_CACHE_ITEMS 16384u

struct item {
    uint64_t number;
    uint32_t category; /* 0 to CATALOGUE_CATEGORIES - 1, the larger ones first. */
    uint32_t brand;    /* 0 to 999 */
    int64_t price;     /* Millionths. */
    double log_price;  /* Of the price in units: its natural logarithm less that of 165. */
    double appeal;     /* On the logit scale: how it raises the wish to buy. */
};

struct catalogue_category {
    uint32_t first_place, places; /* In each block. */
    double log_median_price;      /* As log_price. */
    struct zipf popularity;       /* Over the category's items. */
};

struct catalogue {
    uint64_t seed;
    uint64_t item_count;
    struct zipf category_interest, brand_size;
    struct catalogue_category categories[CATALOGUE_CATEGORIES];
    uint8_t category_of_place[CATALOGUE_BLOCK_ITEMS];
    struct item cache[CATALOGUE_CACHE_ITEMS]; /* By number modulo the size; price 0: empty. */
};

/* item_count from 1. */
void catalogue_init(struct catalogue *catalogue, uint64_t seed, uint64_t item_count);

struct item catalogue_item(struct catalogue *catalogue, uint64_t number);

/* A category: how often people are after it. */
uint32_t catalogue_draw_category(const struct catalogue *catalogue, struct random *random);

/* An item of the category, the popular ones more often; of any where the shop has none of it. */
struct item catalogue_draw(struct catalogue *catalogue, struct random *random, uint32_t category);

#endif
