/*
 * The rows of one poll, stored by column. Each column has exactly one writer, named beside it; a
 * stage sees another stage only through columns. Rows are events and due timers. Storage order is
 * not processing order: `order` gives that, and stages that keep state follow it.
 *
 * All columns are [BATCH_ROWS_MAX] and live as long as the batch; texts point into the source's
 * buffers or the arena and are valid until event_batch_reset().
 */
#ifndef PIPELINE_EVENT_EVENT_BATCH_H
#define PIPELINE_EVENT_EVENT_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/status.h"
#include "pipeline/base/text.h"
#include "pipeline/event/event_fields.h"
#include "pipeline/event/event_place.h"
#include "pipeline/limits.h"
#include "pipeline/state/record.h"

struct event_batch;
struct output_batch;

enum row_kind { ROW_EVENT, ROW_TIMER };

/* Why a row takes no part. A stage skips every row whose state is not ROW_LIVE. */
enum row_state {
    ROW_LIVE,
    ROW_DUPLICATE, /* written by dedupe */
    ROW_DIVERTED,  /* late, and late events are diverted; written by intake */
    ROW_VOID,      /* a timer that its owner found moved or gone */
    ROW_ERASURE,   /* an event that erases its user; written by intake, which carries it out */
};

/* Hashed words, for sketches and comparisons. Identities are hashed with the secret key. */
enum hashed_field {
    HASH_EVENT_ID, /* of event id, or of the whole content where so configured; 0: none */
    HASH_ITEM,
    HASH_CATEGORY,
    HASH_BRAND,
    HASH_ADDRESS,
    HASH_DEVICE,
    HASH_CARD,
    HASH_TERMINAL,
    HASH_QUERY,
    HASH_ORDER,
    HASH_SESSION_HINT,
    HASHED_FIELD_COUNT
};

enum score_kind { SCORE_FRAUD, SCORE_PURCHASE, SCORE_ABANDON, SCORE_ANOMALY, SCORE_KIND_COUNT };
extern const char *const score_names[SCORE_KIND_COUNT]; /* "fraud", "purchase", ... */

enum fraud_part { FRAUD_RULES, FRAUD_DEVIATION, FRAUD_MODEL, FRAUD_PART_COUNT };

enum session_flag {
    SESSION_IS_NEW = 1,  /* This event opened the session. */
    SESSION_IS_LATE = 2, /* The event belongs to an earlier session than the newest one. */
    SESSION_ENDED = 4,   /* Timer row: the session named in session_id has ended. */
    SESSION_BRIDGED = 8, /* The event joined two sessions into one. */
};

/* What a session came to; column session_outcome on rows with SESSION_ENDED, else OUTCOME_OPEN. */
enum session_outcome {
    OUTCOME_OPEN,
    OUTCOME_BOUNCED,
    OUTCOME_BROWSED,
    OUTCOME_ABANDONED_CART,
    OUTCOME_PURCHASED
};

struct attribute {
    struct text name;
    struct text value;
};

struct attribute_list {
    const struct attribute *items; /* Arena. */
    uint32_t count;
};

/* One term of a score: on the logit scale, so that terms and intercept sum to the score's logit. */
struct contribution {
    const char *name; /* Static or as long-lived as the configuration. */
    float value;      /* The feature's value, NaN where missing. */
    float logit;
};

/* Set by a scoring stage once a batch; called only for rows that something is emitted for. */
struct score_explainer {
    /*
     * Writes at most `max` terms, all terms if there is room, in no particular order, whose logits
     * sum to score_logit[row] within 1e-4. Returns their number.
     */
    uint32_t (*explain)(void *context, const struct event_batch *batch, uint32_t row,
                        struct contribution *terms, uint32_t max);
    void *context;
    const char *version; /* Pack and version that decisions quote. */
};

/* The scores of a pack with classes: of class k in values[row * count + k], NaN as the score. */
struct class_scores {
    const float *values; /* The scoring stage's, for the batch; NULL: the pack has none. */
    uint32_t count;
};

struct event_batch {
    uint32_t row_count;   /* Events first, then timers. */
    uint32_t event_count; /* Rows [0, event_count) are events. */
    uint32_t *order;      /* [row_count] rows in processing order. Written by the task. */

    /* Written by the decoder, for events. */
    int64_t *time_ms;  /* Event time; for a timer, when it fell due (task). */
    uint8_t *type;     /* enum event_type; EVENT_NONE for timers */
    uint64_t *present; /* Bit per enum event_field; a column without its bit is undefined. */
    struct text *text[TEXT_FIELD_COUNT];
    int64_t *price; /* Millionths. */
    int64_t *quantity;
    int64_t *stock;
    int64_t *order_line;
    struct attribute_list *attributes;
    uint64_t *ordinal; /* Number of the record in its partition, from 0; for a timer, undefined. */
    /* Events of an input that hops have sent on, else undefined: features that they have computed,
     * see extract_features_carried(); valid as texts are. NULL: none. */
    const float **carried;

    /* Written by intake (task), before the stages. */
    uint64_t *place;       /* Where its record stands, see event_place.h; timers: PLACE_UNKNOWN */
    uint8_t *kind;         /* enum row_kind */
    uint8_t *state;        /* enum row_state; the owner of a timer may set ROW_VOID */
    uint8_t *timer_slot;   /* Timer rows: whose timer. */
    uint8_t *is_late;      /* The event is older than the watermark at its row. */
    int64_t *watermark_ms; /* After this row; never falls along `order`. */
    struct key128 *user_key;
    struct record **record[ENTITY_KIND_COUNT]; /* NULL where the row has no such entity or no state
                                                  is kept by it. ENTITY_USER is never NULL on a
                                                  live row. record[ENTITY_TASK] has one element
                                                  for the whole batch: record[ENTITY_TASK][0]. */
    uint64_t *hash[HASHED_FIELD_COUNT];        /* 0: missing. */
    int64_t timer_floor_ms;                    /* For record_set_timer. */
    struct event_places places;                /* What the numbers in places stand for (task). */

    /* Written by sessionize. */
    uint64_t *session_id;          /* 0: none (a timer row of a user without a session). */
    uint8_t *session_flags;        /* enum session_flag */
    int64_t *session_start_ms;     /* Of the row's session, after the row. */
    uint32_t *session_event_count; /* Events in it, this one included. */
    uint8_t *session_outcome;      /* enum session_outcome */
    /* Place of the event of the session that was read last, after the row: the row's own place
     * where the event counts for the session. */
    uint64_t *session_cause;
    /* On rows with SESSION_ENDED, else undefined: the time of the session's last event (not that of
     * session_cause where a late one came). */
    int64_t *session_last_ms;

    /* Written by extract_features: row-major [row_count][feature_stride]; NaN: missing. */
    float *features;
    uint32_t feature_count;
    uint32_t feature_stride;

    /* Written by score_fraud (SCORE_FRAUD, fraud_logit), score_anomaly (SCORE_ANOMALY; NaN where no
     * detector is chosen) and predict_intent (the others). */
    /* 0 to 1, or what a pack whose output is a value predicts; NaN: not scored. */
    float *score[SCORE_KIND_COUNT];
    float *score_logit[SCORE_KIND_COUNT];
    struct class_scores classes[SCORE_KIND_COUNT]; /* Written with the score. */
    float *fraud_logit[FRAUD_PART_COUNT];          /* Parts of score_logit[SCORE_FRAUD]. */
    struct score_explainer explainer[SCORE_KIND_COUNT];

    struct output_batch *outputs; /* Borrowed. Where stages put their records. */
    struct arena arena;           /* Scratch of this batch. */
};

static inline int event_has(const struct event_batch *batch, uint32_t row, enum event_field field)
{
    return (int)((batch->present[row] >> field) & 1);
}

/* Allocates every column; features take `feature_count` columns. All memory is the batch's own. */
MUST_CHECK enum status event_batch_init(struct event_batch *batch, uint32_t feature_count,
                                        struct error *error);
void event_batch_reset(struct event_batch *batch);
void event_batch_release(struct event_batch *batch);

#endif
