/* The truth joins the events, and what happens follows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/base/hash.h"
#include "test/fakes/fixture.h"
#include "test/fakes/generated_files.h"

#define EVENTS 150000

/* One simulation for all tests: nothing late and nothing twice, so that counts are exact. */
struct world_seen {
    char *directory;
    struct simulation_options options;
    struct simulation_result result;
    struct seen_events events;
    struct seen_visits visits;
};

static int setup(void **state)
{
    struct world_seen *seen = calloc(1, sizeof(*seen));
    struct error error = {""};
    seen->directory = fixture_directory();
    seen->options = generated_options(seen->directory, EVENTS);
    seen->options.late_share = seen->options.duplicate_share = 0;
    seen->options.fraud_factor = 3;
    if (simulation_run(&seen->options, &seen->result, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    seen->events = generated_events_read(&seen->options);
    seen->visits = generated_truth_read(&seen->options);
    generated_visits_sort(&seen->visits);
    *state = seen;
    return 0;
}

static int teardown(void **state)
{
    struct world_seen *seen = *state;
    fixture_remove(seen->directory);
    free(seen->directory);
    free(seen->events.items);
    free(seen->visits.items);
    free(seen);
    return 0;
}

static const struct seen_visit *visit_of(const struct world_seen *seen,
                                         const struct seen_event *event)
{
    const struct seen_visit *visit = generated_visit_find(&seen->visits, event->visit);
    if (!visit) {
        fail_msg("event v%llx-%u: no such visit in the truth", (unsigned long long)event->visit,
                 event->step);
    }
    return visit;
}

static void every_event_has_its_visit_and_every_visit_its_events(void **state)
{
    const struct world_seen *seen = *state;
    uint32_t *counts = calloc(seen->visits.count, sizeof(*counts));
    uint32_t *purchases = calloc(seen->visits.count, sizeof(*purchases));
    for (size_t i = 0; i < seen->events.count; i++) {
        const struct seen_event *event = &seen->events.items[i];
        const struct seen_visit *visit = visit_of(seen, event);
        size_t index = (size_t)(visit - seen->visits.items);
        bool is_afterwards = event->type == EVENT_REFUND || event->type == EVENT_LABEL;
        assert_true(is_afterwards ? event->step >= visit->events : event->step < visit->events);
        assert_true(event->step > 0 || event->time_ms == visit->start_ms);
        counts[index] += !is_afterwards;
        purchases[index] += event->type == EVENT_PURCHASE;
    }
    size_t under_way = 0;
    for (size_t i = 0; i < seen->visits.count; i++) {
        const struct seen_visit *visit = &seen->visits.items[i];
        assert_int_equal(counts[i], visit->events);
        assert_int_equal(purchases[i] > 0, visit->purchased);
        assert_true(i == 0 || visit->number != visit[-1].number);
        under_way += !visit->is_complete;
    }
    assert_true(under_way > 0);
    assert_int_equal(seen->visits.count, seen->result.visits);
    free(counts);
    free(purchases);
}

static void kinds_come_in_their_shares(void **state)
{
    const struct world_seen *seen = *state;
    size_t counts[VISIT_KIND_COUNT] = {0};
    for (size_t i = 0; i < seen->visits.count; i++) {
        const struct seen_visit *visit = &seen->visits.items[i];
        counts[visit->kind]++;
        assert_int_equal(visit->is_bot, visit_kinds[visit->kind].is_bot);
        assert_int_equal(visit->is_fraud, visit_kinds[visit->kind].is_fraud);
    }
    for (int kind = VISIT_HUMAN + 1; kind < VISIT_KIND_COUNT; kind++) {
        double expected = (double)seen->visits.count * visit_kinds[kind].per_thousand * 3 / 1000;
        double difference = (double)counts[kind] - expected;
        /* Five deviations of a Poisson count; returning shoppers thin the others a little. */
        if (difference * difference > 25 * expected) {
            fail_msg("%s: %zu visits, about %.0f expected", visit_kinds[kind].name, counts[kind],
                     expected);
        }
        assert_int_equal(seen->result.visits_by_kind[kind], counts[kind]);
    }
}

static void shoppers_do_what_the_truth_says_and_few_buy(void **state)
{
    const struct world_seen *seen = *state;
    size_t humans = 0, carts = 0, buyers = 0, shown = 0, without = 0, with = 0;
    for (size_t i = 0; i < seen->visits.count; i++) {
        const struct seen_visit *visit = &seen->visits.items[i];
        if (visit->kind != VISIT_HUMAN) {
            assert_int_equal(visit->buys_without_coupon, visit->purchased);
            assert_int_equal(visit->buys_with_coupon, visit->purchased);
            continue;
        }
        if (!visit->is_complete) {
            continue;
        }
        bool buys = visit->coupon_shown ? visit->buys_with_coupon : visit->buys_without_coupon;
        assert_int_equal(visit->purchased, buys);
        assert_true(visit->reached_cart || !(visit->buys_with_coupon || visit->coupon_shown));
        /* A coupon never puts a shopper off. */
        assert_true(visit->buys_with_coupon || !visit->buys_without_coupon);
        humans++;
        carts += visit->reached_cart;
        buyers += visit->purchased;
        shown += visit->coupon_shown;
        without += visit->buys_without_coupon;
        with += visit->buys_with_coupon;
    }
    print_message("%zu humans: %zu carts, %zu buy; without a coupon %zu, with %zu\n", humans, carts,
                  buyers, without, with);
    assert_in_range(carts, humans * 6 / 100, humans * 12 / 100);
    assert_in_range(buyers, humans * 35 / 1000, humans * 55 / 1000);
    assert_in_range(shown, carts * 12 / 100, carts * 18 / 100);
    assert_true(with > without + without / 10 && with < 2 * without);
}

static void coupons_are_shown_to_those_of_the_truth_alone(void **state)
{
    const struct world_seen *seen = *state;
    size_t shown = 0;
    for (size_t i = 0; i < seen->events.count; i++) {
        const struct seen_event *event = &seen->events.items[i];
        const struct seen_visit *visit = visit_of(seen, event);
        if (event->type == EVENT_PROMOTION_SHOWN && visit->kind == VISIT_HUMAN) {
            assert_true(visit->coupon_shown);
            shown++;
        }
    }
    assert_true(shown > 100);
}

static void disputes_follow_stolen_payments_and_refunds_follow_abuse(void **state)
{
    const struct world_seen *seen = *state;
    size_t refunds[VISIT_KIND_COUNT] = {0}, labels[VISIT_KIND_COUNT] = {0};
    for (size_t i = 0; i < seen->events.count; i++) {
        const struct seen_event *event = &seen->events.items[i];
        const struct seen_visit *visit = visit_of(seen, event);
        refunds[visit->kind] += event->type == EVENT_REFUND;
        labels[visit->kind] += event->type == EVENT_LABEL;
        if (event->type == EVENT_REFUND || event->type == EVENT_LABEL) {
            assert_true(visit->purchased);
            assert_int_equal(event->label_for != 0, event->type == EVENT_LABEL);
        }
    }
    for (int kind = 0; kind < VISIT_KIND_COUNT; kind++) {
        bool is_theft = kind == VISIT_STOLEN_CARD || kind == VISIT_ACCOUNT_TAKEOVER ||
                        kind == VISIT_CARD_TESTING;
        bool may_refund = kind == VISIT_HUMAN || kind == VISIT_REFUND_ABUSE;
        assert_int_equal(refunds[kind] > 0, may_refund);
        assert_true(kind == VISIT_HUMAN || (labels[kind] > 0) == is_theft);
    }
    assert_true(labels[VISIT_HUMAN] < labels[VISIT_STOLEN_CARD]);
}

static void labels_speak_of_a_purchase_that_happened(void **state)
{
    const struct world_seen *seen = *state;
    for (size_t i = 0; i < seen->events.count; i++) {
        const struct seen_event *label = &seen->events.items[i];
        if (label->type != EVENT_LABEL) {
            continue;
        }
        bool is_found = false;
        for (size_t k = 0; k < i && !is_found; k++) {
            const struct seen_event *event = &seen->events.items[k];
            char id[64];
            if (event->visit == label->visit && event->type == EVENT_PURCHASE) {
                (void)snprintf(id, sizeof(id), "v%llx-%u", (unsigned long long)event->visit,
                               event->step);
                is_found = hash64(text_of(id)) == label->label_for;
            }
        }
        assert_true(is_found);
    }
}

static void refund_abusers_are_few_and_come_again(void **state)
{
    const struct world_seen *seen = *state;
    size_t visits = 0, distinct = 0;
    uint8_t *is_abuser = calloc(seen->options.shopper_count, 1);
    for (size_t i = 0; i < seen->visits.count; i++) {
        const struct seen_visit *visit = &seen->visits.items[i];
        if (visit->kind == VISIT_REFUND_ABUSE) {
            visits++;
            assert_in_range(visit->shopper, 0, seen->options.shopper_count - 1);
            distinct += !is_abuser[visit->shopper];
            is_abuser[visit->shopper] = 1;
        }
    }
    size_t honest_visits = 0;
    for (size_t i = 0; i < seen->visits.count; i++) {
        const struct seen_visit *visit = &seen->visits.items[i];
        honest_visits += visit->kind == VISIT_HUMAN && is_abuser[visit->shopper];
    }
    assert_in_range(distinct, 1, seen->options.shopper_count / 1000 + 1);
    assert_true(visits > 10 * distinct);
    assert_true(honest_visits > 0);
    free(is_abuser);
}

static void no_fraud_where_none_is_asked_for(void **state)
{
    const struct world_seen *seen = *state;
    struct simulation_options options = generated_options(seen->directory, 20000);
    options.fraud_factor = 0;
    struct simulation_result result;
    struct error error = {""};
    assert_int_equal(simulation_run(&options, &result, &error), STATUS_OK);
    assert_int_equal(result.visits_by_kind[VISIT_HUMAN], result.visits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_has_its_visit_and_every_visit_its_events),
        cmocka_unit_test(kinds_come_in_their_shares),
        cmocka_unit_test(shoppers_do_what_the_truth_says_and_few_buy),
        cmocka_unit_test(coupons_are_shown_to_those_of_the_truth_alone),
        cmocka_unit_test(disputes_follow_stolen_payments_and_refunds_follow_abuse),
        cmocka_unit_test(labels_speak_of_a_purchase_that_happened),
        cmocka_unit_test(refund_abusers_are_few_and_come_again),
        cmocka_unit_test(no_fraud_where_none_is_asked_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
