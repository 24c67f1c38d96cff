#include "operators/feature_user.h"

static void place_in_time(const struct user_features *user, struct feature_event *event)
{
    event->newest_ms = user->totals.events > 0 ? user->newest_ms : -1;
    event->now_ms = event->time_ms > event->newest_ms ? event->time_ms : event->newest_ms;
    event->is_forward = event->is_activity && event->time_ms >= event->newest_ms;
}

static void advance(struct user_features *user, const struct feature_tables *tables, int64_t now_ms)
{
    if (now_ms != user->newest_ms) {
        rates_advance(&user->rates, now_ms - user->newest_ms);
        windows_advance(&user->windows, user->newest_ms, now_ms);
        distinct_advance(&user->distinct, user->newest_ms, now_ms);
        user->newest_ms = now_ms;
    }
    cart_expire(&user->cart, now_ms, tables->cart_lifetime_ms);
}

static void write(const struct user_features *user, const struct feature_tables *tables,
                  const struct feature_event *event, int64_t newest_ms, float *row)
{
    session_write(&user->session, newest_ms, &tables->sketches, row);
    totals_write(&user->totals, row);
    rates_write(&user->rates, row);
    windows_write(&user->windows, row);
    gaps_write(&user->gaps, &user->session, row);
    amounts_write(&user->amounts, row);
    distinct_write(&user->distinct, &tables->sketches, row);
    cart_write(&user->cart, &user->amounts, event->now_ms, &tables->sketches, row);
    recency_write(&user->recency, &user->session, event->now_ms, row);
    calendar_write(&user->calendar, &tables->calendar, event->time_ms, row);
    funnel_write(&user->session, &tables->funnel, row);
}

bool user_features_upgrade(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    struct user_features *user = part;
    if (version != 2 || length != sizeof(*user)) {
        return false;
    }
    memcpy(user, bytes, sizeof(*user));
    /* They stand where padding was. */
    memset(user->session.earlier_types, 0, sizeof(user->session.earlier_types));
    user->session.unused = 0;
    return true;
}

void user_features_observe(struct user_features *user, const struct feature_tables *tables,
                           struct feature_event *event, float *row)
{
    place_in_time(user, event);
    event->session_step = session_step(&user->session, event);
    advance(user, tables, event->now_ms);

    session_observe(&user->session, event);
    if (event->session_step != SESSION_STEP_OLDER) {
        funnel_observe(&user->session, &tables->funnel, event, row);
    }
    if (event->is_forward) {
        gaps_observe(&user->gaps, &user->session, event, row);
    }
    totals_observe(&user->totals, event);
    rates_observe(&user->rates, event);
    windows_observe(&user->windows, event);
    amounts_observe(&user->amounts, event, row);
    distinct_observe(&user->distinct, event, row);
    cart_observe(&user->cart, event);
    cart_expire(&user->cart, event->now_ms, tables->cart_lifetime_ms); /* A late event's. */
    recency_observe(&user->recency, event);
    calendar_observe(&user->calendar, &tables->calendar, event);

    write(user, tables, event, event->now_ms, row);
}

void user_features_peek(const struct user_features *user, const struct feature_tables *tables,
                        struct feature_event *event, float *row)
{
    place_in_time(user, event);
    event->session_step = SESSION_STEP_NONE;
    struct user_features copy = *user;
    advance(&copy, tables, event->now_ms);
    gaps_peek(&copy.gaps, event, row);
    write(&copy, tables, event, event->newest_ms, row);
}
