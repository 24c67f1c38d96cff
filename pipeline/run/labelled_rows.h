/*
 * Makes labelled rows by running the pipeline over history: the tap behind the last stage copies
 * the features of chosen rows as they are served, and remembers what became of their sessions. A
 * row never sees what came after it; its label is filled in at the end.
 *
 * Targets:
 *   purchase_in_session   a purchase follows in the row's session. Rows at or after the session's
 *                         first purchase are left out.
 *   abandon_cart          the cart is filled and the session ends without a purchase. Rows at or
 *                         after the first purchase are left out.
 *   purchase_within       a purchase of the row's user follows within `within` of it, in this
 * session or a later one. Rows of a user count as one group. label                 a label event of
 * one of the values says so of the row's event, or, by user, such an event of the row's user
 * follows within `within` of it. truth                 the truth says fraud (or bot) of the row's
 * visit. The outcome of a row counts as known only where the data go on for `gap` after it, and of
 * targets with `within` for that long; later rows are left out, and so are events from `until` on,
 * as if they were not there.
 */
#ifndef PIPELINE_RUN_LABELLED_ROWS_H
#define PIPELINE_RUN_LABELLED_ROWS_H

#include "models/row_table.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/run/config.h"
#include "pipeline/run/row_slices.h"
#include "pipeline/run/truth_file.h"

enum row_target {
    TARGET_PURCHASE,
    TARGET_ABANDON,
    TARGET_PURCHASE_WITHIN,
    TARGET_LABEL,
    TARGET_TRUTH,
    TARGET_TABLE, /* The rows stand in files; see table_rows.h. */
    TARGET_NONE,  /* Rows without labels, for what learns without, or to look at features alone. */
    TARGET_COUNT,
};
extern const char *const row_target_names[TARGET_COUNT + 1]; /* NULL-terminated. */

/* What of an event names the visit of the truth that it belongs to. */
enum truth_join { TRUTH_BY_EVENT_ID, TRUTH_BY_USER_ID, TRUTH_BY_IP, TRUTH_JOIN_COUNT };
extern const char *const truth_join_names[TRUTH_JOIN_COUNT + 1]; /* NULL-terminated. */

#define PREFIXES_MAX 64

struct row_options {
    enum row_target target;
    uint32_t prefixes[PREFIXES_MAX]; /* Rows at these events of a session ... */
    uint32_t prefix_count;           /* ... 0: all rows. */
    bool keeps_all;                  /* Rows between these stay, but are not on schedule; of
                                        abandon_cart those before the cart, too. */
    uint64_t types;                  /* Bit per enum event_type; 0: all. */
    int64_t from_ms;                 /* Groups that began before it are left out. */
    int64_t before_ms;               /* Rows from then on are left out; what comes after still
                                        says what became of those before. */
    int64_t until_ms;                /* Events from then on are not looked at. */
    int64_t gap_ms;
    uint32_t rows_max;
    uint64_t seed;
    enum score_kind score; /* Copied to table_row.score. */
    bool truth_is_bot;     /* TARGET_TRUTH: bots instead of fraud. */
    enum truth_join truth_by;
    int64_t within_ms;       /* TARGET_PURCHASE_WITHIN, and TARGET_LABEL by user. */
    bool label_by_user;      /* TARGET_LABEL: instead of by the id that the label names. */
    uint64_t kinds_left_out; /* Bit per kind of truth. */
    const struct text_list *label_values; /* Borrowed; TARGET_LABEL. */
    const struct truth_file *truth;       /* Borrowed; NULL but for TARGET_TRUTH. */
    struct row_slices *slices;            /* Borrowed; NULL: rows are not divided. */
    /* Told now and then; may be NULL. */
    void (*progress)(uint64_t events, int64_t time_ms);
};

struct row_counts {
    uint64_t events;
    int64_t first_ms, last_ms; /* Event times seen, up to `until`. */
    uint64_t groups, positive_groups;
    uint64_t labels, labels_joined; /* TARGET_LABEL; rows that a label speaks of. */
    uint64_t truths_joined;         /* TARGET_TRUTH: events whose visit is known. */
};

/*
 * Runs `files` through the configuration's stages and fills `ret_table`, weighed and in order of
 * processing. STATUS_INVALID where the labels or the truth join nothing.
 */
MUST_CHECK enum status labelled_rows_make(const struct config *config, const char *const *files,
                                          uint32_t file_count, const struct row_options *options,
                                          struct row_table *ret_table,
                                          struct row_counts *ret_counts, struct error *error);

#endif
