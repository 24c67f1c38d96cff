/* What each kind of visitor does; used by visit.c alone. */
#ifndef PIPELINE_GENERATE_VISIT_SCRIPTS_H
#define PIPELINE_GENERATE_VISIT_SCRIPTS_H

#include "pipeline/generate/visit.h"

/* Returned by a script in place of a delay: that was the last event. */
#define LEAVE (-1.0)
/* Seconds between the lines of one order. */
#define NEXT_LINE 0.02

/* Draws what the script needs beforehand, such as the number of steps. */
void visit_script_begin(const struct world *world, struct visit *visit);

/* Fills the next event; returns the seconds until the one after it, or LEAVE. */
double visit_script_step(const struct world *world, struct visit *visit,
                         struct generated_event *event);

/* Pieces of an event, from visit.c. */
void visit_event(struct visit *visit, struct generated_event *event, enum event_type type);
void visit_event_item(struct generated_event *event, const struct item *item, int64_t quantity);
/* A payment of that sum, in millionths, was refused. */
void visit_event_payment_failed(struct visit *visit, struct generated_event *event, int64_t sum);
/* A line of the cart is paid for, the next one at each call. False: it was the last. */
bool visit_event_purchase(struct visit *visit, struct generated_event *event);

void visit_add_line(struct visit *visit, const struct item *item, int64_t quantity);

/* The scripts: visit_human.c, visit_bots.c, visit_thieves.c. */
double visit_human_step(const struct world *world, struct visit *visit,
                        struct generated_event *event);
double visit_bot_step(const struct world *world, struct visit *visit,
                      struct generated_event *event);
double visit_card_testing_step(const struct world *world, struct visit *visit,
                               struct generated_event *event);
double visit_coupon_farming_step(const struct world *world, struct visit *visit,
                                 struct generated_event *event);
double visit_stock_hoarding_step(const struct world *world, struct visit *visit,
                                 struct generated_event *event);
double visit_thief_step(const struct world *world, struct visit *visit,
                        struct generated_event *event);
/* The phase that a thief begins with: outside of an account, or in it. */
uint32_t visit_thief_first_phase(bool is_outside);

#endif
