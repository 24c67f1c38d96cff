#include "pipeline/generate/visit_scripts.h"

/* Length of a script: never none. */
static uint32_t draw_steps(struct visit *visit, double median, double sigma, double max)
{
    double steps = random_lognormal(&visit->random, median, sigma);
    return 1 + (uint32_t)(steps < max ? steps : max);
}

static void set_pace(struct visit *visit, double median_s, double spread, double jitter)
{
    visit->pace = random_lognormal(&visit->random, median_s, spread);
    visit->jitter = jitter;
}

/* Some programs keep to their pace more exactly than others. */
static void begin_bot(struct visit *visit, double more)
{
    struct random *random = &visit->random;
    bool is_crawler = visit->kind == VISIT_CRAWLER;
    visit->is_declared_bot = is_crawler && random_chance(random, 0.85);
    visit->steps_left =
        draw_steps(visit, (is_crawler ? 60 : 90) * more, is_crawler ? 0.9 : 1.1, 3000);
    set_pace(visit, (is_crawler ? 5.0 : 2.5) * more, 0.9, random_between(random, 0.1, 0.7));
}

static void begin_takeover(struct visit *visit, double more)
{
    struct random *random = &visit->random;
    bool guesses = random_chance(random, 0.65); /* Others have the password. */
    visit->failures_left = guesses ? draw_steps(visit, 2.0 * more, 0.7, 20) : 0;
    visit->phase = visit_thief_first_phase(true);
    set_pace(visit, 11.0 * more, 0.5, 0.7);
}

void visit_script_begin(const struct world *world, struct visit *visit)
{
    double more = 1.0 + world->shift;
    switch (visit->kind) {
    case VISIT_CRAWLER:
    case VISIT_SCRAPING:
        begin_bot(visit, more);
        break;
    case VISIT_CARD_TESTING:
        visit->steps_left = 2 + draw_steps(visit, 9 * more, 0.9, 200);
        set_pace(visit, 6.0 * more, 0.8, 0.4);
        break;
    case VISIT_COUPON_FARMING:
        visit->steps_left = 6u * draw_steps(visit, 4 * more, 0.7, 40);
        set_pace(visit, 7.0 * more, 0.4, 0.6);
        break;
    case VISIT_STOCK_HOARDING:
        visit->steps_left = 3 + draw_steps(visit, 28 * more, 0.6, 400);
        set_pace(visit, 4.0 * more, 0.6, 0.5);
        break;
    case VISIT_ACCOUNT_TAKEOVER:
        begin_takeover(visit, more);
        break;
    case VISIT_STOLEN_CARD:
        visit->phase = visit_thief_first_phase(true);
        set_pace(visit, 12.0 * more, 0.5, 0.8);
        break;
    case VISIT_REFUND_ABUSE:
        visit->phase = visit_thief_first_phase(false);
        set_pace(visit, 0.6 * visit->shopper.pace, 0.3, 0.8);
        break;
    default:
        set_pace(visit, visit->shopper.pace, 0.1, 0.82);
        break;
    }
}

double visit_script_step(const struct world *world, struct visit *visit,
                         struct generated_event *event)
{
    switch (visit->kind) {
    case VISIT_CRAWLER:
    case VISIT_SCRAPING:
        return visit_bot_step(world, visit, event);
    case VISIT_ACCOUNT_TAKEOVER:
    case VISIT_STOLEN_CARD:
    case VISIT_REFUND_ABUSE:
        return visit_thief_step(world, visit, event);
    case VISIT_CARD_TESTING:
        return visit_card_testing_step(world, visit, event);
    case VISIT_COUPON_FARMING:
        return visit_coupon_farming_step(world, visit, event);
    case VISIT_STOCK_HOARDING:
        return visit_stock_hoarding_step(world, visit, event);
    default:
        return visit_human_step(world, visit, event);
    }
}
