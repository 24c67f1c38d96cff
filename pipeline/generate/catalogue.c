#include "pipeline/generate/catalogue.h"

#include <string.h>

#define POPULAR_CATEGORIES 5
#define BRANDS 1000u
#define PURPOSE_ITEM 11
#define PURPOSE_CATEGORY 12
#define PRICE_REFERENCE 165.0 /* In units of the currency: a median article. */
#define PRICE_MIN 0.5

/* How unequal the sizes of categories are, the interest in them, and that in the items of one. */
#define CATEGORY_SIZE_EXPONENT 0.7
#define CATEGORY_INTEREST_EXPONENT 1.25
#define BRAND_EXPONENT 0.9
#define ITEM_EXPONENT 1.03

_Static_assert(CATALOGUE_CATEGORIES <= 256, "a category fits into a byte");

/* Cumulative, so that the places add up to a block exactly. */
static uint32_t places_up_to(uint32_t category)
{
    double power = 1.0 - CATEGORY_SIZE_EXPONENT;
    double part = fixed_exp(power * fixed_log((category + 1.0) / CATALOGUE_CATEGORIES));
    uint32_t places = (uint32_t)(part * (CATALOGUE_BLOCK_ITEMS - CATALOGUE_CATEGORIES) + 0.5);
    return places + category + 1; /* None is left without a place. */
}

static uint64_t category_items(const struct catalogue *catalogue,
                               const struct catalogue_category *category)
{
    uint64_t rest = catalogue->item_count % CATALOGUE_BLOCK_ITEMS;
    uint64_t in_rest = rest > category->first_place ? rest - category->first_place : 0;
    in_rest = in_rest < category->places ? in_rest : category->places;
    return catalogue->item_count / CATALOGUE_BLOCK_ITEMS * category->places + in_rest;
}

void catalogue_init(struct catalogue *catalogue, uint64_t seed, uint64_t item_count)
{
    memset(catalogue, 0, sizeof(*catalogue));
    catalogue->seed = seed;
    catalogue->item_count = item_count;
    catalogue->category_interest = zipf_make(CATALOGUE_CATEGORIES, CATEGORY_INTEREST_EXPONENT);
    catalogue->brand_size = zipf_make(BRANDS, BRAND_EXPONENT);
    uint32_t place = 0;
    for (uint32_t i = 0; i < CATALOGUE_CATEGORIES; i++) {
        struct catalogue_category *category = &catalogue->categories[i];
        category->first_place = place;
        category->places = places_up_to(i) - place;
        for (; place < category->first_place + category->places; place++) {
            catalogue->category_of_place[place] = (uint8_t)i;
        }
        /* Categories differ in price as a supermarket does from a jeweller; the few that all are
         * after less so, or a shop's price level would be a matter of the seed. */
        struct random random = random_for(seed, PURPOSE_CATEGORY, i);
        category->log_median_price =
            0.1 + (i < POPULAR_CATEGORIES ? 0.25 : 0.9) * random_normal(&random);
        uint64_t items = category_items(catalogue, category);
        if (items > 0) {
            category->popularity = zipf_make(items, ITEM_EXPONENT);
        }
    }
}

static struct item make_item(const struct catalogue *catalogue, uint64_t number)
{
    struct random random = random_for(catalogue->seed, PURPOSE_ITEM, number);
    struct item item = {.number = number};
    item.category = catalogue->category_of_place[number % CATALOGUE_BLOCK_ITEMS];
    item.brand = (uint32_t)zipf_draw(&catalogue->brand_size, &random);
    item.log_price =
        catalogue->categories[item.category].log_median_price + 0.85 * random_normal(&random);
    double price = PRICE_REFERENCE * fixed_exp(item.log_price);
    price = price < PRICE_MIN ? PRICE_MIN : price;
    /* Prices end in 99 hundredths more often than not. */
    int64_t hundredths = (int64_t)(price * 100.0);
    item.price =
        random_chance(&random, 0.7) ? hundredths / 100 * 1000000 + 990000 : hundredths * 10000;
    item.appeal = 0.6 * random_normal(&random);
    return item;
}

struct item catalogue_item(struct catalogue *catalogue, uint64_t number)
{
    struct item *cached = &catalogue->cache[number % CATALOGUE_CACHE_ITEMS];
    if (cached->price == 0 || cached->number != number) {
        *cached = make_item(catalogue, number);
    }
    return *cached;
}

uint32_t catalogue_draw_category(const struct catalogue *catalogue, struct random *random)
{
    return (uint32_t)zipf_draw(&catalogue->category_interest, random);
}

struct item catalogue_draw(struct catalogue *catalogue, struct random *random, uint32_t category)
{
    const struct catalogue_category *wanted = &catalogue->categories[category];
    if (wanted->popularity.count == 0) {
        return catalogue_item(catalogue, random_below(random, catalogue->item_count));
    }
    uint64_t rank = zipf_draw(&wanted->popularity, random);
    uint64_t number =
        rank / wanted->places * CATALOGUE_BLOCK_ITEMS + wanted->first_place + rank % wanted->places;
    return catalogue_item(catalogue, number);
}
