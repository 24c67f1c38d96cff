/* Times as ISO 8601 text in UTC. */
#ifndef PIPELINE_BASE_ISO_TIME_H
#define PIPELINE_BASE_ISO_TIME_H

#include <stddef.h>
#include <stdint.h>

#define ISO_TIME_BYTES_MAX 40

/*
 * Writes milliseconds since 1970 as "2019-10-01T00:00:00.000Z", without a terminator, and returns
 * the length. Years outside of 0000 to 9999 get a sign and at least six digits, as ISO 8601 asks.
 */
size_t iso_time_format(int64_t time_ms, char *text);

#endif
