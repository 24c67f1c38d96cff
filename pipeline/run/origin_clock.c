#include "pipeline/run/origin_clock.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Version 1 had the marks only. */
static bool upgrade(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    const size_t bytes_1 = offsetof(struct origin_marks, reached_ms);
    if (version != 1 || length != bytes_1) {
        return false;
    }
    memcpy(part, bytes, bytes_1);
    return true;
}

const struct record_part origin_marks_part = {
    .name = "origins' time",
    .id = PART_TASK_ORIGINS,
    .version = 2,
    .kind = ENTITY_TASK,
    .bytes = sizeof(struct origin_marks),
    .upgrade = upgrade,
};

static bool is_time(int64_t mark_ms)
{
    return mark_ms != ORIGIN_UNKNOWN && mark_ms != ORIGIN_IDLE;
}

static int64_t latest(const struct origin_clock *clock, int64_t mark_ms)
{
    int64_t reached_ms = clock->marks.reached_ms;
    return is_time(mark_ms) && mark_ms > reached_ms ? mark_ms : reached_ms;
}

/* As if `origin` had told `mark_ms`; no origin is ORIGINS_MAX. */
static int64_t earliest(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms,
                        bool *ret_is_idle)
{
    int64_t time_ms = ORIGIN_IDLE;
    for (uint32_t i = 0; i < clock->count; i++) {
        int64_t told_ms = i == origin ? mark_ms : clock->marks.marks[i];
        time_ms = told_ms < time_ms ? told_ms : time_ms;
    }
    *ret_is_idle = time_ms == ORIGIN_IDLE;
    time_ms = *ret_is_idle ? latest(clock, mark_ms) : time_ms;
    return time_ms == ORIGIN_UNKNOWN ? ORIGIN_TIME_MIN : time_ms;
}

void origin_clock_set(struct origin_clock *clock, const struct origin_marks *marks)
{
    clock->marks = *marks;
    clock->time_ms = earliest(clock, ORIGINS_MAX, ORIGIN_IDLE, &clock->is_idle);
}

/* Most records leave the earliest mark as it is, since it is another origin's. */
static bool is_behind_another(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms)
{
    return !clock->is_idle && clock->marks.marks[origin] > clock->time_ms &&
           mark_ms > clock->time_ms && clock->time_ms > ORIGIN_TIME_MIN;
}

static int64_t time_after(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms,
                          bool *ret_is_idle)
{
    assert(origin < clock->count);
    *ret_is_idle = clock->is_idle;
    return mark_ms == clock->marks.marks[origin] || is_behind_another(clock, origin, mark_ms)
               ? clock->time_ms
               : earliest(clock, origin, mark_ms, ret_is_idle);
}

int64_t origin_clock_after(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms)
{
    bool ignored;
    return time_after(clock, origin, mark_ms, &ignored);
}

void origin_clock_tell(struct origin_clock *clock, uint32_t origin, int64_t mark_ms)
{
    clock->time_ms = time_after(clock, origin, mark_ms, &clock->is_idle);
    clock->marks.marks[origin] = mark_ms;
    clock->marks.reached_ms = latest(clock, mark_ms);
}

bool origin_clock_is_idle(const struct origin_clock *clock)
{
    return clock->is_idle;
}
