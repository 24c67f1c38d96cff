/*
 * Trace headers of the records of a transaction, kept until it is committed, so that what a record
 * causes carries them on. Written by the task's input, read by its log; not at the same time. A
 * task that has taken too many for the room keeps no more of them, and counts.
 *
 * What a timer causes has no trace: whether the record that set it is of the same transaction
 * depends on where commits fell. Its outputs name that record.
 */
#ifndef PIPELINE_KAFKA_KAFKA_TRACES_H
#define PIPELINE_KAFKA_KAFKA_TRACES_H

#include <librdkafka/rdkafka.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/config/settings.h"

#define KAFKA_TRACE_HEADERS_MAX 8u
#define KAFKA_TRACE_VALUE_BYTES_MAX 1024u /* A longer one is not passed on. */
#define KAFKA_TRACES_BYTES_MAX (8u << 20)

struct kafka_trace {
    const char *names[KAFKA_TRACE_HEADERS_MAX];
    const void *values[KAFKA_TRACE_HEADERS_MAX];
    size_t lengths[KAFKA_TRACE_HEADERS_MAX];
    uint32_t count;
};

struct kafka_traces {
    const struct text_list *names; /* Borrowed. Which headers. */
    struct byte_buffer entries;    /* Of ordinals, rising, and where their headers are. */
    struct byte_buffer bytes;
    uint64_t dropped_count; /* Headers that were too long, or for which there was no room. */
};

void kafka_traces_release(struct kafka_traces *traces);

/* Ordinals rise. */
void kafka_traces_keep(struct kafka_traces *traces, uint64_t ordinal,
                       const rd_kafka_message_t *message);
/* That record was not taken after all. */
void kafka_traces_unkeep(struct kafka_traces *traces, uint64_t ordinal);
void kafka_traces_forget(struct kafka_traces *traces);

/* Points into what is kept; count 0: there are none. */
void kafka_traces_find(const struct kafka_traces *traces, uint64_t ordinal,
                       struct kafka_trace *ret_trace);

#endif
