/*
 * One partition's events as the task takes them: a source and a decoder for files, a partition of
 * topics on Kafka, a scripted list in the simulator.
 */
#ifndef PIPELINE_RUN_INPUT_H
#define PIPELINE_RUN_INPUT_H

#include "pipeline/event/decoder.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/source/source.h"

enum input_result {
    INPUT_EVENT,    /* The row is filled. */
    INPUT_REJECTED, /* `raw` and `rejection` say what and why. */
    INPUT_SKIPPED,  /* Not an event, says the mapping. */
    INPUT_MARK,     /* No record, but word of an origin's time. */
    INPUT_WAIT,     /* Nothing at the moment. */
    INPUT_END,
};

/* Where a record stood before it was sent on to this input, and what time it was there. */
struct input_origin {
    bool is_known; /* It was sent on; else what follows is not set. */
    bool is_ahead; /* An event that is too far ahead of that time. */
    uint32_t partition;
    int64_t mark_ms;          /* See origin_clock.h. */
    uint32_t first_partition; /* Where it stood first, if it was sent on more than once ... */
    int64_t first_ms;         /* ... and what time it was there. */
};

struct input_item {
    enum input_result result;
    struct raw_record raw;      /* EVENT, REJECTED, SKIPPED: valid until release. */
    struct rejection rejection; /* REJECTED */
    /* The topic that it came from first, and its offset there; data NULL: no topic, and its place
     * is its ordinal. */
    struct text source;
    uint64_t offset;
    struct input_origin origin;
};

struct input;

/* What an input began with, to tell it from another. */
struct input_fingerprint {
    uint64_t bytes; /* So many of its first bytes; 0: not known. */
    uint64_t hash;
};

struct input_ops {
    /* Decodes the next record into row `row` of `batch`. */
    enum status (*next)(struct input *input, struct event_batch *batch, uint32_t row,
                        struct input_item *ret_item, struct error *error);
    /* The last record comes again from the next call. */
    void (*unread)(struct input *input);
    /* Where to go on after what next() gave, less an unread record. */
    struct input_position (*position)(const struct input *input);
    /* Goes on at `position`, for instance after an abort. */
    enum status (*seek)(struct input *input, const struct input_position *position,
                        struct error *error);
    /*
     * Of what is before `position`; and that of the next seek, which then refuses another input.
     * Both NULL where inputs have names that never stand for another one.
     */
    struct input_fingerprint (*fingerprint)(const struct input *input,
                                            const struct input_position *position);
    void (*expect)(struct input *input, const struct input_fingerprint *fingerprint);
    /* The bytes of all records so far may go. */
    void (*release)(struct input *input);
    /* 0 to 1; negative: not known. */
    double (*progress)(const struct input *input);
    void (*close)(struct input *input); /* NULL is a no-op. */
};

/* Embedded by each implementation. */
struct input {
    const struct input_ops *ops;
};

/*
 * A file (or standard input) of one format; the first call is to be a seek. Borrows `mapping`;
 * copies the options' texts.
 */
MUST_CHECK enum status input_file_open(const struct source_options *options,
                                       const struct mapping *mapping, struct input **ret_input,
                                       struct error *error);

#endif
