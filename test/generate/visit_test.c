/* Visits played by themselves: what sets a kind apart, and what --shift does to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/generate/visit.h"

#define VISITS 1500
#define STEPS_MAX 20000

/* What one visit shows to somebody who only sees its events. */
enum trait {
    TRAIT_EVENTS,
    TRAIT_MEDIAN_GAP_S, /* Negative, so that more is worse in all traits; 0: no gap. */
    TRAIT_LOGIN_FAILURES,
    TRAIT_PAYMENT_FAILURES,
    TRAIT_DEAREST,
    TRAIT_PURCHASES,
    TRAIT_CARDS,
    TRAIT_COUNT
};
static const char *const trait_names[TRAIT_COUNT] = {
    "events", "haste", "failed logins", "failed payments", "dearest piece", "purchases", "cards"};

struct fixture {
    struct catalogue catalogue;
    struct world world;
    double traits[VISIT_KIND_COUNT][TRAIT_COUNT][VISITS];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    catalogue_init(&fixture->catalogue, 3, 20000);
    fixture->world =
        (struct world){.seed = 3, .catalogue = &fixture->catalogue, .shopper_count = 50000};
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[count / 2];
}

/* Plays a visit to its end; its gaps are appended to `gaps`. */
static void play(const struct world *world, enum visit_kind kind, uint64_t number,
                 double traits[TRAIT_COUNT], double *gaps, size_t *gap_count)
{
    struct visit visit;
    struct generated_event event;
    static double own[STEPS_MAX];
    struct text card = {0};
    char card_text[32];
    size_t own_count = 0;
    for (int i = 0; i < TRAIT_COUNT; i++) {
        traits[i] = 0;
    }
    visit_begin(world, number, kind, number * 31 % world->shopper_count, 1780272000000, &visit);
    bool goes_on = true;
    while (goes_on) {
        int64_t time_ms = visit.time_ms;
        goes_on = visit_step(world, &visit, &event);
        assert_int_equal(event.time_ms, time_ms);
        assert_true(visit.time_ms > time_ms && visit.step < STEPS_MAX);
        double gap_s = (double)(visit.time_ms - time_ms) / 1000;
        if (goes_on && gap_s > 0.1) { /* The lines of an order come together. */
            own[own_count++] = gap_s;
        }
        traits[TRAIT_EVENTS]++;
        traits[TRAIT_LOGIN_FAILURES] += text_is(event.text[FIELD_TYPE_WORD], "login_failed");
        traits[TRAIT_PAYMENT_FAILURES] += text_is(event.text[FIELD_TYPE_WORD], "payment_failed");
        traits[TRAIT_PURCHASES] += text_is(event.text[FIELD_TYPE_WORD], "purchase");
        if ((double)event.price > traits[TRAIT_DEAREST]) {
            traits[TRAIT_DEAREST] = (double)event.price;
        }
        struct text used = event.text[FIELD_INSTRUMENT];
        if (used.length > 0 && !text_equal(used, card)) {
            traits[TRAIT_CARDS]++;
            memcpy(card_text, used.data, used.length);
            card = (struct text){card_text, used.length};
        }
    }
    for (size_t i = 0; gaps && i < own_count && *gap_count < STEPS_MAX; i++) {
        gaps[(*gap_count)++] = own[i];
    }
    traits[TRAIT_MEDIAN_GAP_S] = own_count > 2 ? -median(own, own_count) : -1e9;
}

static void shift_moves_the_pace_of_every_kind_by_half(void **state)
{
    struct fixture *fixture = *state;
    static double gaps[2][STEPS_MAX];
    for (int kind = 0; kind < VISIT_KIND_COUNT; kind++) {
        double medians[2], traits[TRAIT_COUNT];
        for (int i = 0; i < 2; i++) {
            size_t count = 0;
            fixture->world.shift = i == 0 ? -0.5 : 0.5;
            for (uint64_t number = 1; number <= VISITS; number++) {
                play(&fixture->world, (enum visit_kind)kind, number, traits, gaps[i], &count);
            }
            medians[i] = median(gaps[i], count);
        }
        /* 1.5 / 0.5, but for the spread of a sample and clicks that are not of the kind's pace. */
        double ratio = medians[1] / medians[0];
        if (ratio < 2.4 || ratio > 3.6) {
            fail_msg("%s: gaps %g s and %g s, ratio %g", visit_kinds[kind].name, medians[0],
                     medians[1], ratio);
        }
    }
    fixture->world.shift = 0;
}

static void shift_moves_lengths_and_counts(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        enum visit_kind kind;
        enum trait trait;
        double ratio_min;
    } rows[] = {
        {VISIT_CRAWLER, TRAIT_EVENTS, 2.4},
        {VISIT_SCRAPING, TRAIT_EVENTS, 2.4},
        {VISIT_CARD_TESTING, TRAIT_EVENTS, 2.0},
        {VISIT_COUPON_FARMING, TRAIT_EVENTS, 1.7},
        {VISIT_STOCK_HOARDING, TRAIT_EVENTS, 2.0},
        {VISIT_ACCOUNT_TAKEOVER, TRAIT_LOGIN_FAILURES, 1.5},
        {VISIT_STOLEN_CARD, TRAIT_PAYMENT_FAILURES, 2.0},
        {VISIT_REFUND_ABUSE, TRAIT_DEAREST, 1.1},
        {VISIT_HUMAN, TRAIT_PURCHASES, 1.1},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        double sums[2] = {0, 0}, traits[TRAIT_COUNT];
        for (int i = 0; i < 2; i++) {
            fixture->world.shift = i == 0 ? -0.5 : 0.5;
            for (uint64_t number = 1; number <= UINT64_C(2) * VISITS; number++) {
                play(&fixture->world, rows[row].kind, number, traits, NULL, NULL);
                sums[i] += traits[rows[row].trait];
            }
        }
        double ratio = sums[1] / sums[0];
        if (!(ratio > rows[row].ratio_min)) {
            fail_msg("%s, %s: %g and %g, ratio %g", visit_kinds[rows[row].kind].name,
                     trait_names[rows[row].trait], sums[0], sums[1], ratio);
        }
    }
    fixture->world.shift = 0;
}

/* The share of the kind's visits above what 0.2% of the human ones reach. */
static double recall(const struct fixture *fixture, enum visit_kind kind, enum trait trait)
{
    double humans[VISITS];
    memcpy(humans, fixture->traits[VISIT_HUMAN][trait], sizeof(humans));
    qsort(humans, VISITS, sizeof(*humans), by_value);
    double threshold = humans[VISITS - VISITS / 500 - 1];
    size_t above = 0;
    for (size_t i = 0; i < VISITS; i++) {
        above += fixture->traits[kind][trait][i] > threshold;
    }
    return (double)above / VISITS;
}

/* By medians: where the kind's median stands among the humans. */
static double overlap(const struct fixture *fixture, enum visit_kind kind, enum trait trait)
{
    double values[VISITS];
    memcpy(values, fixture->traits[kind][trait], sizeof(values));
    double middle = median(values, VISITS);
    size_t below = 0;
    for (size_t i = 0; i < VISITS; i++) {
        below += fixture->traits[VISIT_HUMAN][trait][i] < middle;
    }
    return (double)below / VISITS;
}

static void frauds_stand_out_but_no_single_trait_finds_them_all(void **state)
{
    struct fixture *fixture = *state;
    for (int kind = 0; kind < VISIT_KIND_COUNT; kind++) {
        for (uint64_t i = 0; i < VISITS; i++) {
            double traits[TRAIT_COUNT];
            play(&fixture->world, (enum visit_kind)kind, i + 1, traits, NULL, NULL);
            for (int trait = 0; trait < TRAIT_COUNT; trait++) {
                fixture->traits[kind][trait][i] = traits[trait];
            }
        }
    }
    for (int kind = VISIT_HUMAN + 1; kind < VISIT_KIND_COUNT; kind++) {
        double best_recall = 0, best_overlap = 0;
        int best = 0;
        for (int trait = 0; trait < TRAIT_COUNT; trait++) {
            double found = recall(fixture, (enum visit_kind)kind, (enum trait)trait);
            double place = overlap(fixture, (enum visit_kind)kind, (enum trait)trait);
            best = found > best_recall ? trait : best;
            best_recall = found > best_recall ? found : best_recall;
            best_overlap = place > best_overlap ? place : best_overlap;
        }
        print_message("%-17s best alone: %s, recall %.2f; median above %.3f of humans\n",
                      visit_kinds[kind].name, trait_names[best], best_recall, best_overlap);
        assert_true(best_recall < 0.97);
        assert_true(best_overlap > 0.85);
    }
}

static void crawlers_mostly_declare_themselves_and_others_never(void **state)
{
    struct fixture *fixture = *state;
    for (int kind = 0; kind < VISIT_KIND_COUNT; kind++) {
        size_t declared = 0;
        for (uint64_t number = 1; number <= VISITS; number++) {
            struct visit visit;
            visit_begin(&fixture->world, number, (enum visit_kind)kind, 5, 1780272000000, &visit);
            declared += visit.is_declared_bot;
        }
        assert_in_range(declared, kind == VISIT_CRAWLER ? VISITS * 8 / 10 : 0,
                        kind == VISIT_CRAWLER ? VISITS * 9 / 10 : 0);
    }
}

static void victims_and_abusers_have_accounts(void **state)
{
    struct fixture *fixture = *state;
    static const enum visit_kind kinds[] = {VISIT_ACCOUNT_TAKEOVER, VISIT_REFUND_ABUSE};
    for (int i = 0; i < 2; i++) {
        for (uint64_t number = 1; number <= VISITS; number++) {
            struct visit visit;
            visit_begin(&fixture->world, number, kinds[i], number, 1780272000000, &visit);
            assert_true(visit.shopper.has_account);
            assert_int_equal(visit.user, visit.shopper.number + 1);
        }
    }
}

static void who_comes_back_has_the_cart_that_was_left(void **state)
{
    struct fixture *fixture = *state;
    size_t returned = 0;
    for (uint64_t number = 1; number <= UINT64_C(2) * VISITS; number++) {
        struct visit visit;
        struct generated_event event;
        visit_begin(&fixture->world, number, VISIT_HUMAN, number, 1780272000000, &visit);
        while (visit_step(&fixture->world, &visit, &event)) {
        }
        if (visit.has_purchased || visit.cart_count == 0) {
            continue;
        }
        uint32_t lines = visit.cart_count;
        uint64_t shopper = visit.shopper.number, item = visit.cart[0].item.number;
        visit_return(&fixture->world, number + 100000, 1780300000000, &visit);
        assert_int_equal(visit.shopper.number, shopper);
        assert_int_equal(visit.cart_count, lines);
        assert_int_equal(visit.cart[0].item.number, item);
        assert_int_equal(visit.step, 0);
        assert_false(visit.reached_cart);
        returned++;
    }
    assert_true(returned > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shift_moves_the_pace_of_every_kind_by_half),
        cmocka_unit_test(shift_moves_lengths_and_counts),
        cmocka_unit_test(frauds_stand_out_but_no_single_trait_finds_them_all),
        cmocka_unit_test(crawlers_mostly_declare_themselves_and_others_never),
        cmocka_unit_test(victims_and_abusers_have_accounts),
        cmocka_unit_test(who_comes_back_has_the_cart_that_was_left),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
