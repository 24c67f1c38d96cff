/*
 * Raw records of one partition, in order, with their places. Files and standard input here; a
 * Kafka partition later. A source splits bytes into records and knows nothing of events.
 */
#ifndef PIPELINE_SOURCE_SOURCE_H
#define PIPELINE_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/digest.h"
#include "pipeline/base/status.h"
#include "pipeline/base/text.h"
#include "pipeline/commit/commit_log.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/rejection.h"

enum input_format { INPUT_AVRO, INPUT_JSONL, INPUT_CSV, INPUT_COMBINED_LOG };

enum source_result {
    SOURCE_RECORD,
    SOURCE_WAIT, /* Nothing at the moment (followed file, pipe): ask again later. */
    SOURCE_END,
};

/* What may be read, though not used, behind the bytes of every record: SIMD parsers do. */
#define RAW_RECORD_PADDING 64u

struct raw_record {
    struct text bytes;              /* Valid until source_release(); RAW_RECORD_PADDING bytes behind
                                       them may be read. */
    struct input_position position; /* Of this record. */
    enum rejection_reason defect;   /* REJECTION_NONE, or why it cannot be read as a record at
                                       all; `bytes` is then what there is of it. */
    const struct digest *whole;     /* Of the record where `bytes` is only its beginning, which is
                                       so for long ones with a defect; else NULL. Valid until the
                                       next source_next(). */
};

struct source;

struct source_options {
    const char *path; /* "-" is standard input. gzip is recognised by its first bytes. */
    enum input_format format;
    bool is_followed;   /* Goes on at the end of the file as it grows, like tail -F. */
    char csv_delimiter; /* 0: a comma. */
    char csv_comment;   /* Lines that begin with it are no records; 0: all are. */
    bool csv_has_header;
    bool csv_is_ragged; /* Records may have more fields or fewer than there are columns. */
    const struct text_list *csv_columns; /* Names where there is no header, or in its place.
                                            Borrowed for the life of the source; may be NULL. */
};

/*
 * Opens `options->path` and skips to `start`. STATUS_INVALID for a missing or unreadable file or a
 * directory, naming it. A followed file that is shorter than `start` was replaced and is read from
 * its beginning; one that was replaced by a longer one is told by its fingerprint alone. For a gzip
 * file or standard input, getting to `start` reads what is before.
 */
MUST_CHECK enum status source_open(const struct source_options *options,
                                   const struct input_position *start, struct source **ret_source,
                                   struct error *error);
void source_close(struct source *source); /* NULL is a no-op. */

/*
 * The next record. SOURCE_WAIT also where the records not yet released hold too much memory (64
 * MiB); it comes before that only for input that is not there yet. Damage is data, not failure: a
 * line over RAW_RECORD_BYTES_MAX, a bad Avro block, a gzip or file that ends in the middle come as
 * records with a defect, and reading goes on where that is possible. Where it is the header that
 * is damaged, so is every line of a CSV file whose columns nothing else names. CSV records may span
 * lines inside quotes. Failure means the disk failed.
 */
MUST_CHECK enum status source_next(struct source *source, struct raw_record *ret_record,
                                   enum source_result *ret_result, struct error *error);

/* The last record will come again from the next source_next(). Once a record. */
void source_unread(struct source *source);

/* Where to go on after the records returned so far (less an unread one). */
struct input_position source_position(const struct source *source);

/* Bytes of all records so far may be reused, except those of an unread one. */
void source_release(struct source *source);

/* How much of the file is read, 0 to 1; negative where that is not known. For progress. */
double source_progress(const struct source *source);

/*
 * A hash of the first bytes, as many as `bytes` at most, all of which are before the source's
 * position; to tell a file from another. *ret_bytes is how many; 0: none.
 */
uint64_t source_fingerprint(const struct source *source, uint64_t bytes, uint64_t *ret_bytes);

/* CSV: the column names (given, or the header's), or NULL. Avro: the writer's schema as JSON, or
 * NULL. */
const struct text_list *source_csv_header(const struct source *source);
const char *source_avro_schema(const struct source *source);

#endif
