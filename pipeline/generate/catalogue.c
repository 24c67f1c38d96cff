#include "pipeline/generate/catalogue.h"

#define CATEGORIES 200u
#define BRANDS 1000u
#define PURPOSE_ITEM 11
#define PURPOSE_CATEGORY 12
#define PRICE_MIN 500000.0 /* Half a unit of the currency. */

/* Categories differ in price level as a supermarket does from a jeweller. */
static double category_median_price(const struct catalogue *catalogue, uint32_t category)
{
    struct random random = random_for(catalogue->seed, PURPOSE_CATEGORY, category);
    return random_lognormal(&random, 45e6, 1.0);
}

struct item catalogue_item(const struct catalogue *catalogue, uint64_t number)
{
    struct random random = random_for(catalogue->seed, PURPOSE_ITEM, number);
    struct item item = {.number = number};
    item.category = (uint32_t)random_zipf(&random, CATEGORIES, 0.7);
    item.brand = (uint32_t)random_zipf(&random, BRANDS, 0.9);
    double price = random_lognormal(&random, category_median_price(catalogue, item.category), 0.6);
    price = price < PRICE_MIN ? PRICE_MIN : price;
    /* Prices end in 99 hundredths more often than not. */
    int64_t units = (int64_t)(price / 1e6);
    item.price =
        random_chance(&random, 0.7) ? units * 1000000 + 990000 : (int64_t)(price / 10000.0) * 10000;
    item.appeal = 0.6 * random_normal(&random);
    return item;
}

struct item catalogue_draw(const struct catalogue *catalogue, struct random *random,
                           uint32_t category)
{
    struct item item = {0};
    /* A few tries are enough to stay in a popular category most of the time. */
    for (int tries = 0; tries < 6; tries++) {
        uint64_t rank = random_zipf(random, catalogue->item_count, catalogue->popularity_exponent);
        item = catalogue_item(catalogue, rank);
        if (category == UINT32_MAX || item.category == category) {
            break;
        }
    }
    return item;
}
