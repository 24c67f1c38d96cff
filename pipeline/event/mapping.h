/*
 * From the fields of foreign data to the columns of an event, by rules in YAML. The mapping names
 * the source fields it needs; a decoder looks those up in a record and hands over their values.
 * The language is described in schemas/mappings/README.md. In short: each field of the event has a
 * value (`fields`), made of one origin (a source field, a constant, the first or the joining of
 * several values) and steps in a fixed order; rules in order give logs their types; `let` names
 * values in between. All of it is compiled once; applying it allocates from the batch's arena only.
 */
#ifndef PIPELINE_EVENT_MAPPING_H
#define PIPELINE_EVENT_MAPPING_H

#include "pipeline/config/yaml.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/event/field_value.h"
#include "pipeline/event/rejection.h"

struct mapping; /* Constant after compile; shared by threads. */

/*
 * Compiles a mapping file; NULL path: the canonical event, field for field, attributes included.
 * Unknown keys, fields and formats are refused with file, line and the nearest right name.
 */
MUST_CHECK enum status mapping_compile(const char *path, struct mapping **ret_mapping,
                                       struct error *error);
void mapping_destroy(struct mapping *mapping);

/*
 * The source fields that the mapping reads, in the order in which apply() wants their values. A
 * dot in a name goes into nested JSON objects. Combined logs have the fields remote_address,
 * remote_user, time, method, target (as requested), path (of target, decoded),
 * query.NAME (decoded), status, bytes, referrer, user_agent, extra.N (from 1).
 */
const struct text_list *mapping_source_fields(const struct mapping *mapping);

/* True where the events are canonical, so that a decoder may fill the columns itself. */
bool mapping_is_canonical(const struct mapping *mapping);

/* What the mapping says of the input, for check and the task. */
struct mapping_traits {
    bool is_session_hint_trusted;
    bool drops_rows;              /* Has patterns whose records are no events at all. */
    enum event_field route_field; /* Identity that the input is partitioned by. */
    enum event_field user_field;  /* Best of the mapped identities: whom state is kept by. */
};
struct mapping_traits mapping_traits(const struct mapping *mapping);

enum mapping_result {
    MAPPING_EVENT,
    MAPPING_REJECTED, /* `ret_rejection` says why. */
    MAPPING_SKIPPED,  /* The mapping says that such records are none of its events (images, staff).
                       */
    MAPPING_FAILED,   /* Memory is exhausted: the batch cannot go on. Nothing about the record. */
};

/*
 * Writes row `row`: time_ms, type, present, texts, numbers, attributes. Texts are trimmed, valid
 * UTF-8 and, where they are compared, in normal form C; they point into `values` or the batch's
 * arena. Numbers are checked against their ranges.
 */
enum mapping_result mapping_apply(const struct mapping *mapping, const struct field_value *values,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection);

/* The same checks and cleaning for a row that a decoder filled with canonical fields. */
enum mapping_result mapping_clean_row(struct event_batch *batch, uint32_t row,
                                      struct rejection *ret_rejection);

/* Prints what the mapping does, for `nudge check`. */
void mapping_describe(const struct mapping *mapping, void (*line)(void *context, const char *text),
                      void *context);

#endif
