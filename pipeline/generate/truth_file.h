/*
 * What nobody but the simulation can know, for measuring: one JSON line a visit, written when the
 * visit ends, and for visits under way when the simulation stops. The pipeline never reads it.
 *
 *   visit                text: the event ids of the visit are this, a hyphen and the step
 *   kind                 text: human, crawler, scraping, account_takeover, card_testing,
 *                        stolen_card, refund_abuse, coupon_farming, stock_hoarding
 *   bot, fraud           true or false: what the kind is
 *   shopper              number of the shopper that it is, or whose account it is in; null where it
 *                        is neither
 *   shopper_type         text, null with shopper: window, research, loyal, bargain, impulse
 *   start                ms since 1970 of its first event
 *   events               number of its events, without copies of them and without what follows the
 *                        visit (refund, label)
 *   complete             false: the simulation stopped before the visit's end
 *   reached_cart         something was put into a cart, was in it already or was bought at once;
 *                        shoppers made up their minds there
 *   purchased            at least one purchase event
 *   coupon_shown         the shop's own lot gave it a coupon
 *   buys_without_coupon  what a shopper that reached the cart does without a coupon (hidden), and
 *   buys_with_coupon     with one; the two differ where a coupon changes minds. A complete human
 *                        visit has purchased exactly if the one of the two that coupon_shown names
 *                        is true. Others than humans: as purchased.
 */
#ifndef PIPELINE_GENERATE_TRUTH_FILE_H
#define PIPELINE_GENERATE_TRUTH_FILE_H

#include "pipeline/base/status.h"
#include "pipeline/generate/visit.h"

struct truth_file;

MUST_CHECK enum status truth_file_open(const char *path, struct truth_file **ret_file,
                                       struct error *error);
MUST_CHECK enum status truth_file_write(struct truth_file *file, const struct visit *visit,
                                        bool is_complete, struct error *error);
/* Also after a failure. NULL is a no-op. */
MUST_CHECK enum status truth_file_close(struct truth_file *file, struct error *error);

#endif
