/* What each kind of visitor does; used by visit.c alone. */
#ifndef PIPELINE_GENERATE_VISIT_SCRIPTS_H
#define PIPELINE_GENERATE_VISIT_SCRIPTS_H

#include "pipeline/generate/visit.h"

/* Draws what the script needs beforehand, such as the number of steps. */
void visit_script_begin(const struct world *world, struct visit *visit);

/* Fills the next event; returns the seconds until the one after it, negative: there is none. */
double visit_script_step(const struct world *world, struct visit *visit,
                         struct generated_event *event);

/* Pieces of an event, from visit.c. */
void visit_event(struct visit *visit, struct generated_event *event, enum event_type type);
void visit_event_item(struct generated_event *event, const struct item *item, int64_t quantity);
void visit_event_payment(struct visit *visit, struct generated_event *event);
/* A line of the cart is paid for, the next one at each call. False: it was the last. */
bool visit_event_purchase(struct visit *visit, struct generated_event *event);

/* The human script, in visit_human.c. */
double visit_human_step(const struct world *world, struct visit *visit,
                        struct generated_event *event);

#endif
