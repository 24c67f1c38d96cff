/* Family calendar: the time of day and of week on circles, and whether it is the user's usual. */
#ifndef OPERATORS_FEATURE_CALENDAR_H
#define OPERATORS_FEATURE_CALENDAR_H

#include "operators/feature_event.h"

#define DAY_MINUTES 1440
#define WEEK_HOURS 168
#define DAY_PARTS 8

struct user_calendar {
    uint8_t parts[DAY_PARTS]; /* Activity by eighth of the day. */
};

/* Sines by minute of the day and hour of the week. Built once, then constant. */
struct calendar_table {
    float day[DAY_MINUTES];
    float week[WEEK_HOURS];
    int64_t offset_minutes; /* Of the shop's clock, east of UTC positive. */
};

void calendar_table_init(struct calendar_table *table, int64_t offset_minutes);

void calendar_observe(struct user_calendar *calendar, const struct calendar_table *table,
                      const struct feature_event *event);
void calendar_write(const struct user_calendar *calendar, const struct calendar_table *table,
                    int64_t time_ms, float *row);

#endif
