/*
 * Keeps each user's history in 440 bytes, and that of cards, devices, network addresses and
 * terminals in 128, and writes a row of features for every live row: for an event as of just after
 * it, for a timer as of its time. The features, their definitions and how late events count stand
 * in feature_table.c; `nudge describe features` prints them.
 *
 * The state depends on the live rows in their order alone, not on how they were cut into batches.
 * Rows that are no activity (timers, labels, price changes...) change no user's state, but for the
 * count of bad labels. It sets no timer.
 */
#ifndef OPERATORS_EXTRACT_FEATURES_H
#define OPERATORS_EXTRACT_FEATURES_H

#include <stdbool.h>
#include <stdio.h>

#include "models/markov_pack.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/stage.h"
#include "pipeline/state/record.h"

struct extract_features_options {
    int64_t utc_offset_minutes;
    int64_t cart_lifetime_ms;
    struct text_list bad_labels;
    char *markov;          /* Path of a Markov table; NULL: a common shop's. */
    uint32_t entity_mask;  /* Bit per enum entity_kind that the task keeps state by; no setting. Of
                              user and item nothing more is kept than without. */
    uint32_t carried_mask; /* Of those whose features come with the event; no setting. */
};

extern const struct setting_section extract_features_section;
extern const struct stage_info extract_features_info;

/* The Markov table of the options, or NULL where they name none; errors as markov_pack_load(). */
MUST_CHECK enum status extract_features_load(const struct extract_features_options *options,
                                             struct markov_pack **ret_markov, struct error *error);

/*
 * Adds its parts to the layout: the user's, and that of each entity in the mask. `markov` is the
 * table that was loaded, NULL: a common shop's; neither it nor `options` is needed after the call.
 * STATUS_INVALID for options out of range or a table that is not one of chances. Release with
 * stage_destroy().
 */
MUST_CHECK enum status extract_features_create(const struct extract_features_options *options,
                                               const struct markov *markov,
                                               struct record_layout *layout,
                                               struct stage **ret_stage, struct error *error);

/*
 * The share of one kind of entity, for a task that keeps state by that alone: it writes the columns
 * of its features, and no others, on rows that have its record. Else as above.
 */
MUST_CHECK enum status
extract_features_create_entity(const struct extract_features_options *options,
                               enum entity_kind kind, struct record_layout *layout,
                               struct stage **ret_stage, struct error *error);

/* Those of the entities in `mask`, in the order of their kinds. */
void extract_features_carried(uint32_t mask, struct carried_columns *ret_columns);

/* The columns, constant for the program. */
const struct feature_set *extract_features_set(void);

/* INT64_MAX: it sets no timer. */
int64_t extract_features_timer_floor_ms(const struct extract_features_options *options);

/* Prints the table of features as text or Markdown. */
void extract_features_describe(bool is_markdown, FILE *out);

#endif
