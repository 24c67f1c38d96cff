/*
 * A visit: one session of a shopper, a bot or a fraudster, played step by step. Each step gives one
 * event and the time until the next.
 */
#ifndef PIPELINE_GENERATE_VISIT_H
#define PIPELINE_GENERATE_VISIT_H

#include "pipeline/generate/catalogue.h"
#include "pipeline/generate/generated_event.h"
#include "pipeline/generate/shopper.h"

/* X(ENUM, "name", visits in a thousand, events a visit on average, is bot, is fraud) */
#define VISIT_KINDS(X)                                                                             \
    X(HUMAN, "human", 0.0, 3.25, 0, 0)                                                             \
    X(CRAWLER, "crawler", 8.0, 90.0, 1, 0)                                                         \
    X(SCRAPING, "scraping", 2.0, 160.0, 1, 1)                                                      \
    X(ACCOUNT_TAKEOVER, "account_takeover", 1.5, 11.0, 0, 1)                                       \
    X(CARD_TESTING, "card_testing", 0.7, 16.5, 1, 1)                                               \
    X(STOLEN_CARD, "stolen_card", 2.5, 9.5, 0, 1)                                                  \
    X(REFUND_ABUSE, "refund_abuse", 1.5, 8.5, 0, 1)                                                \
    X(COUPON_FARMING, "coupon_farming", 0.8, 33.0, 0, 1)                                           \
    X(STOCK_HOARDING, "stock_hoarding", 0.0, 37.0, 1, 1)

#define VISIT_KIND_ENUM(ENUM, name, share, events, bot, fraud) VISIT_##ENUM,
enum visit_kind { VISIT_KINDS(VISIT_KIND_ENUM) VISIT_KIND_COUNT };
#undef VISIT_KIND_ENUM

struct visit_kind_info {
    const char *name;
    double per_thousand; /* Visits; humans are the rest. 0: only where they are asked for. */
    double events_mean;  /* Turns a number of events into a rate of visits. */
    bool is_bot, is_fraud;
};

extern const struct visit_kind_info visit_kinds[VISIT_KIND_COUNT];

#define CART_LINES_MAX 8

struct cart_line {
    struct item item;
    int64_t quantity;
};

struct world {
    uint64_t seed;
    struct catalogue *catalogue; /* Borrowed. */
    uint64_t shopper_count;
    /*
     * -0.5 to 0.5: paces, lengths and counts of each kind are multiplied by 1 + shift, and shoppers
     * want more or less: for tests of robustness. Shares of the kinds stay.
     */
    double shift;
};

struct visit {
    uint64_t number;
    enum visit_kind kind;
    struct shopper shopper;
    struct random random;
    int64_t start_ms, time_ms;
    uint32_t step;  /* Events so far. */
    uint32_t phase; /* Of the kind's own script. */
    uint32_t steps_left;
    uint32_t views; /* Products looked at, by shoppers. */

    uint64_t user; /* 0: not logged in. */
    uint64_t device, address, card;
    bool is_declared_bot; /* Says so in its user agent. */
    struct cart_line cart[CART_LINES_MAX];
    uint32_t cart_count;
    uint32_t lines_paid;
    uint32_t category; /* What it is after today. */
    struct item looked_at;
    uint64_t order;
    uint32_t failures_left;
    double mood;
    double pace, jitter; /* Seconds between clicks: median and, on the log scale, spread. */
    bool is_coupon_due, is_answer_due; /* The next events are to be these. */

    /* The truth; see truth_file.h. */
    bool reached_cart, has_purchased, was_coupon_shown;
    bool buys_without_coupon, buys_with_coupon; /* Meaningful once reached_cart. */
    uint32_t first_purchase_step;
};

/*
 * A new visit of that kind. `shopper_number` matters to humans and to the victims of takeovers, who
 * are the next shopper with an account. Refund abusers are always the same few shoppers, and those
 * visit as humans, too.
 */
void visit_begin(const struct world *world, uint64_t number, enum visit_kind kind,
                 uint64_t shopper_number, int64_t time_ms, struct visit *ret_visit);

/*
 * Fills `event` with the visit's next event at visit->time_ms, and moves time_ms on. False: that
 * was the last.
 */
bool visit_step(const struct world *world, struct visit *visit, struct generated_event *event);

/* The same shopper comes back to the cart that it left. */
void visit_return(const struct world *world, uint64_t number, int64_t time_ms, struct visit *visit);

/*
 * Events after the visit, at visit->time_ms: the money goes back; the bank disputes the payment.
 * The shop's back office sends them: they have no address, user agent or session.
 */
void visit_step_refund(struct visit *visit, struct generated_event *event);
void visit_step_chargeback(struct visit *visit, struct generated_event *event);

#endif
