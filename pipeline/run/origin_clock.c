#include "pipeline/run/origin_clock.h"

#include <assert.h>

const struct record_part origin_marks_part = {
    .name = "origins' time",
    .id = PART_TASK_ORIGINS,
    .version = 1,
    .kind = ENTITY_TASK,
    .bytes = sizeof(struct origin_marks),
};

/* As if `origin` had told `mark_ms`; no origin is ORIGINS_MAX. */
static int64_t earliest(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms)
{
    int64_t time_ms = ORIGIN_IDLE;
    for (uint32_t i = 0; i < clock->count; i++) {
        int64_t told_ms = i == origin ? mark_ms : clock->marks.marks[i];
        time_ms = told_ms < time_ms ? told_ms : time_ms;
    }
    /* Unknown or all idle: nobody tells a time. */
    return time_ms == ORIGIN_UNKNOWN || time_ms == ORIGIN_IDLE ? ORIGIN_TIME_MIN : time_ms;
}

void origin_clock_set(struct origin_clock *clock, const struct origin_marks *marks)
{
    clock->marks = *marks;
    clock->time_ms = earliest(clock, ORIGINS_MAX, ORIGIN_IDLE);
}

int64_t origin_clock_after(const struct origin_clock *clock, uint32_t origin, int64_t mark_ms)
{
    assert(origin < clock->count);
    int64_t before_ms = clock->marks.marks[origin];
    /* Most records leave the earliest mark as it is, since it is another origin's. */
    bool is_other =
        before_ms > clock->time_ms && mark_ms > clock->time_ms && clock->time_ms > ORIGIN_TIME_MIN;
    return mark_ms == before_ms || is_other ? clock->time_ms : earliest(clock, origin, mark_ms);
}

void origin_clock_tell(struct origin_clock *clock, uint32_t origin, int64_t mark_ms)
{
    int64_t time_ms = origin_clock_after(clock, origin, mark_ms);
    clock->marks.marks[origin] = mark_ms;
    clock->time_ms = time_ms;
}

bool origin_clock_is_idle(const struct origin_clock *clock)
{
    for (uint32_t i = 0; i < clock->count; i++) {
        if (clock->marks.marks[i] != ORIGIN_IDLE) {
            return false;
        }
    }
    return true;
}
