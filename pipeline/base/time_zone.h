/*
 * Time zones: fixed offsets, and named zones as tables of transitions made once from the system's
 * time zone files (RFC 8536). Constant once made; shared by threads.
 */
#ifndef PIPELINE_BASE_TIME_ZONE_H
#define PIPELINE_BASE_TIME_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

struct time_zone;

/* UTC, Z, GMT, an offset such as +03:30, +0330 or -05, or a name such as Asia/Tehran. */
MUST_CHECK enum status time_zone_create(const char *name, struct time_zone **ret_zone,
                                        struct error *error);

/* From the bytes of a time zone file, for rules up to the year 2100. */
MUST_CHECK enum status time_zone_parse(const unsigned char *bytes, size_t length,
                                       struct time_zone **ret_zone, struct error *error);
void time_zone_destroy(struct time_zone *zone); /* NULL is a no-op. */

/*
 * Seconds east of UTC at a local time in seconds (counted as if it were UTC). Where clocks were set
 * back the earlier of the two times is meant; where they skipped an hour, the offset before it
 * holds.
 */
int32_t time_zone_offset_s(const struct time_zone *zone, int64_t local_s);

#endif
