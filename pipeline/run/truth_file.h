/*
 * What is known of visits beside the events: a file of JSON lines with visit, kind, bot and fraud,
 * such as `nudge generate` writes. An event belongs to the visit that its id names before the '-'.
 */
#ifndef PIPELINE_RUN_TRUTH_FILE_H
#define PIPELINE_RUN_TRUTH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"

#define TRUTH_KINDS_MAX 64
#define TRUTH_KIND_BYTES 40

struct truth_file;

struct truth {
    uint64_t visit; /* Hash of the visit's id, never 0. */
    uint8_t kind;   /* Index of truth_file_kind(). */
    bool is_bot, is_fraud;
};

/* STATUS_INVALID names file and line: no JSON, no text `visit` or `kind`, too many kinds. */
MUST_CHECK enum status truth_file_load(const char *path, struct truth_file **ret_truth,
                                       struct error *error);
void truth_file_unload(struct truth_file *truth); /* NULL is a no-op. */

/* The visit of an event's id; false where the file has none of that name. */
bool truth_file_find(const struct truth_file *truth, struct text event_id, struct truth *ret);

/* The visit of that very name. */
bool truth_file_find_visit(const struct truth_file *truth, struct text visit, struct truth *ret);

uint32_t truth_file_kind_count(const struct truth_file *truth);
const char *truth_file_kind(const struct truth_file *truth, uint32_t kind);
/* Index of the kind of that name, or -1. */
int truth_file_kind_of(const struct truth_file *truth, const char *name);

#endif
