/*
 * Which slices of an evaluation a row belongs to, as of the row's own moment: its event's channel
 * and kind of device, a new or a returning visitor, the local hour, and one attribute of the user's
 * choice. A row keeps a code a dimension; the words behind the codes stand here. One thread.
 */
#ifndef PIPELINE_RUN_ROW_SLICES_H
#define PIPELINE_RUN_ROW_SLICES_H

#include "models/key_map.h"
#include "models/row_table.h"
#include "pipeline/event/event_batch.h"

enum slice_dimension {
    SLICE_CHANNEL,
    SLICE_DEVICE,  /* device_kind.h, of the user agent. */
    SLICE_VISITOR, /* "new" in the first session that the state knows of the user, "returning". */
    SLICE_HOUR,    /* "00" to "23", at the features' utc_offset_minutes. */
    SLICE_ATTRIBUTE,
    SLICE_DIMENSION_COUNT
};
static_assert(SLICE_DIMENSION_COUNT == ROW_DIMENSIONS, "a row has a code for each");
extern const char *const slice_dimension_names[SLICE_DIMENSION_COUNT];

/* Codes; the word of code SLICE_FIRST + i is words[i]. */
#define SLICE_MISSING 0u /* The row has no value. */
#define SLICE_BEYOND 1u  /* A value that came after SLICE_WORDS_MAX others. */
#define SLICE_FIRST 2u

#define SLICE_WORDS_MAX 4096u
#define SLICE_WORD_BYTES_MAX 64u /* Longer words are told apart, but kept cut. */
#define SLICE_NAMES_MAX 64u

struct slice_words {
    char **words; /* Owned, each owned; control characters are '?'. */
    uint32_t count;
    struct key_map numbers; /* Of the words' hashes. */
};

enum slice_source { SLICE_FROM_NOTHING, SLICE_FROM_FIELD, SLICE_FROM_ENTRY, SLICE_FROM_COLUMN };

struct row_slices {
    struct slice_words words[SLICE_DIMENSION_COUNT];
    enum slice_source source; /* Of SLICE_ATTRIBUTE. */
    enum event_field field;   /* SLICE_FROM_FIELD */
    const char *entry;        /* SLICE_FROM_ENTRY: name in `attributes`. Borrowed. */
    uint32_t column;          /* SLICE_FROM_COLUMN: of the row's features. */
    int32_t visitor_column;   /* -1: new and returning are not told apart. */
    int64_t utc_offset_ms;
    struct slice_words entries; /* Names in `attributes` that the rows had, for SLICE_FROM_ENTRY. */
};

/*
 * Chooses what SLICE_ATTRIBUTE is: a field of the canonical event, "attributes.NAME", or one of the
 * rows' columns (`names` [name_count]). `has_events`: rows are events; else only columns are known.
 * STATUS_INVALID names the nearest that there is, and refuses fields that tell persons apart.
 * `attribute` must outlive `slices`.
 */
MUST_CHECK enum status row_slices_choose(struct row_slices *slices, const char *attribute,
                                         bool has_events, const char *const *names,
                                         uint32_t name_count, struct error *error);

/* ret_codes[SLICE_DIMENSION_COUNT] of an event's row; reads the batch at that row alone. */
MUST_CHECK enum status row_slices_of_event(struct row_slices *slices,
                                           const struct event_batch *batch, uint32_t row,
                                           uint16_t *ret_codes, struct error *error);

/* The same of a line of a table: hour and column. */
MUST_CHECK enum status row_slices_of_line(struct row_slices *slices, int64_t time_ms,
                                          const float *features, uint16_t *ret_codes,
                                          struct error *error);

/* The word of a code; "(missing)" and "(other)" for the two that have none. */
const char *row_slices_word(const struct row_slices *slices, enum slice_dimension dimension,
                            uint16_t code);

void row_slices_release(struct row_slices *slices);

#endif
