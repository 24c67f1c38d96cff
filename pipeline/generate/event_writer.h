/* Writes canonical events to a file, as Avro container or JSON lines. */
#ifndef PIPELINE_GENERATE_EVENT_WRITER_H
#define PIPELINE_GENERATE_EVENT_WRITER_H

#include "pipeline/base/status.h"
#include "pipeline/event/event_fields.h"

/* One event; texts are terminated and empty where the field is null. */
#define GENERATED_TEXT_BYTES 96
struct generated_event {
    char text[TEXT_FIELD_COUNT][GENERATED_TEXT_BYTES];
    int64_t time_ms;
    int64_t order_line, price, quantity, stock;
    uint32_t numbers_present; /* Bit per enum event_field less TEXT_FIELD_COUNT. */
};

enum event_writer_format { EVENT_WRITER_AVRO, EVENT_WRITER_JSONL };

struct event_writer;

MUST_CHECK enum status event_writer_open(const char *path, enum event_writer_format format,
                                         struct event_writer **ret_writer, struct error *error);
MUST_CHECK enum status event_writer_write(struct event_writer *writer,
                                          const struct generated_event *event, struct error *error);
/* Writes what is left and closes; also after a failure. NULL is a no-op. */
MUST_CHECK enum status event_writer_close(struct event_writer *writer, struct error *error);

#endif
