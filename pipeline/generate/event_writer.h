/* Writes canonical events to a file, as Avro container or JSON lines. */
#ifndef PIPELINE_GENERATE_EVENT_WRITER_H
#define PIPELINE_GENERATE_EVENT_WRITER_H

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/status.h"
#include "pipeline/generate/generated_event.h"

enum event_writer_format { EVENT_WRITER_AVRO, EVENT_WRITER_JSONL };

struct event_writer;

MUST_CHECK enum status event_writer_open(const char *path, enum event_writer_format format,
                                         struct event_writer **ret_writer, struct error *error);
/* Appends the event to `buffer` as it stands in a file of that format. Failures stick to the
 * buffer.
 */
void event_writer_encode(enum event_writer_format format, const struct generated_event *event,
                         struct byte_buffer *buffer);

/* One event, encoded in the writer's format. */
MUST_CHECK enum status event_writer_write(struct event_writer *writer, const void *encoded,
                                          size_t length, struct error *error);
/* Writes what is left and closes; also after a failure. NULL is a no-op. */
MUST_CHECK enum status event_writer_close(struct event_writer *writer, struct error *error);

#endif
