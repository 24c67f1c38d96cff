/*
 * The time of a task whose records were sent on to it from several partitions, its origins. Each
 * record says what time it is where it comes from; the task's time is the earliest of those, so
 * that an origin which is behind makes none of its events late. An origin of which nothing was
 * heard holds the time back as well, and one that is idle does not. When all are idle it is the
 * latest that any of them has told, as in a partition that nothing was sent on to: what was waiting
 * for the slower ones waits no longer.
 */
#ifndef PIPELINE_RUN_ORIGIN_CLOCK_H
#define PIPELINE_RUN_ORIGIN_CLOCK_H

#include <stdbool.h>

#include "pipeline/state/record.h"

#define ORIGINS_MAX 256u
/* Marks: the newest event time of an origin, or one of these. */
#define ORIGIN_UNKNOWN INT64_C(0) /* It cannot tell yet; nor can one that was not heard of. */
#define ORIGIN_IDLE INT64_MAX     /* It has nothing, or nothing more. */
/* Of a task whose origins have not all told their time: before any event (2000-01-01). */
#define ORIGIN_TIME_MIN INT64_C(946684800000)

/* Part PART_TASK_ORIGINS of the task's record. */
struct origin_marks {
    int64_t marks[ORIGINS_MAX];
    int64_t reached_ms; /* The latest time told; 0: none was. Since version 2. */
};

extern const struct record_part origin_marks_part;

struct origin_clock {
    struct origin_marks marks;
    uint32_t count;  /* Of origins, at most ORIGINS_MAX. */
    int64_t time_ms; /* What origin_clock_set() makes of them; so is this: */
    bool is_idle;    /* All of them are. */
};

/* Takes over what was committed. */
void origin_clock_set(struct origin_clock *clock, const struct origin_marks *marks);

/* What time it is once `origin` has told `mark_ms`. It can be earlier than what it was before. */
int64_t origin_clock_after(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms);
void origin_clock_tell(struct origin_clock *clock, uint32_t origin, int64_t mark_ms);

/* No origin has anything: time moves on by ticks only. */
bool origin_clock_is_idle(const struct origin_clock *clock);

#endif
