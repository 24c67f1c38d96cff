#include "operators/feature_calendar.h"

#include "pipeline/base/fixed_math.h"

#define TURN 6.283185307179586
#define MINUTE_MS 60000
#define PART_MINUTES (DAY_MINUTES / DAY_PARTS)
#define FIRST_MONDAY_DAY 3 /* 1970 began on a Thursday, so day 0 is 3 days after a Monday. */

void calendar_table_init(struct calendar_table *table, int64_t offset_minutes)
{
    for (int i = 0; i < DAY_MINUTES; i++) {
        table->day[i] = (float)fixed_sin(TURN * (double)i / DAY_MINUTES);
    }
    for (int i = 0; i < WEEK_HOURS; i++) {
        table->week[i] = (float)fixed_sin(TURN * (double)i / WEEK_HOURS);
    }
    table->offset_minutes = offset_minutes;
}

/* Minutes from the Monday before 1970 to a time; made positive for any offset of the clock. */
static int64_t minutes_of(const struct calendar_table *table, int64_t time_ms)
{
    int64_t week = (int64_t)WEEK_HOURS * 60;
    return time_ms / MINUTE_MS + table->offset_minutes + (int64_t)FIRST_MONDAY_DAY * DAY_MINUTES +
           week;
}

void calendar_observe(struct user_calendar *calendar, const struct calendar_table *table,
                      const struct feature_event *event)
{
    int64_t minute = minutes_of(table, event->time_ms) % DAY_MINUTES;
    uint8_t *part = &calendar->parts[minute / PART_MINUTES];
    if (*part == UINT8_MAX) {
        for (int i = 0; i < DAY_PARTS; i++) {
            calendar->parts[i] >>= 1;
        }
    }
    (*part)++;
}

void calendar_write(const struct user_calendar *calendar, const struct calendar_table *table,
                    int64_t time_ms, float *row)
{
    int64_t minutes = minutes_of(table, time_ms);
    int64_t minute = minutes % DAY_MINUTES;
    int64_t hour = minutes / 60 % WEEK_HOURS;
    row[FEATURE_DAY_SIN] = table->day[minute];
    row[FEATURE_DAY_COS] = table->day[(minute + DAY_MINUTES / 4) % DAY_MINUTES];
    row[FEATURE_WEEK_SIN] = table->week[hour];
    row[FEATURE_WEEK_COS] = table->week[(hour + WEEK_HOURS / 4) % WEEK_HOURS];
    uint32_t sum = 0;
    for (int i = 0; i < DAY_PARTS; i++) {
        sum += calendar->parts[i];
    }
    int64_t part = minute / PART_MINUTES;
    row[FEATURE_USUAL_HOURS] = feature_ratio(calendar->parts[part], sum);
}
