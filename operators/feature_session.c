#include "operators/feature_session.h"

enum session_step session_step(const struct user_session *session,
                               const struct feature_event *event)
{
    if (!event->is_activity) {
        return SESSION_STEP_NONE;
    }
    if (event->session_flags & SESSION_IS_LATE || event->session_id == 0) {
        return SESSION_STEP_OLDER; /* 0: too late to be in any session. */
    }
    bool is_same = session->id == event->session_id || event->session_flags & SESSION_BRIDGED;
    return is_same && session->events > 0 ? SESSION_STEP_SAME : SESSION_STEP_OPENS;
}

static void observe_type(struct user_session *session, const struct feature_event *event)
{
    switch (event->type) {
    case EVENT_PRODUCT_VIEW:
        feature_count16(&session->views);
        if (event->has_price) {
            feature_count16(&session->priced_views);
            session->view_price_sum += (float)((double)event->price / MILLIONTHS);
        }
        break;
    case EVENT_SEARCH:
        feature_count16(&session->searches);
        break;
    case EVENT_ADD_TO_CART:
        feature_count16(&session->cart_adds);
        break;
    case EVENT_REMOVE_FROM_CART:
        feature_count8(&session->removes);
        break;
    case EVENT_CHECKOUT:
        feature_count8(&session->checkouts);
        break;
    case EVENT_PURCHASE:
        feature_count8(&session->purchases);
        session->spend += (float)((double)event->amount / MILLIONTHS);
        break;
    case EVENT_PAYMENT_FAILED:
    case EVENT_LOGIN_FAILED:
        feature_count8(&session->failures);
        break;
    default:
        break;
    }
}

/* Halved together, the shares stay what they are and follow what a long session turns to. */
static void halve_requests(struct user_session *session)
{
    session->requests /= 2;
    session->pages /= 2;
    session->direct_pages /= 2;
    session->referred /= 2;
}

static void observe_request(struct user_session *session, const struct feature_event *event)
{
    bool is_page = event->type == EVENT_PAGE_VIEW || event->type == EVENT_PRODUCT_VIEW ||
                   event->type == EVENT_SEARCH;
    if (session->requests == UINT8_MAX) {
        halve_requests(session);
    }
    session->requests++;
    if (event->has_referrer) {
        session->referred++;
    }
    if (!is_page) {
        session->page_run = 0;
        return;
    }
    feature_count8(&session->page_run);
    session->pages++;
    if (!event->has_referrer) {
        session->direct_pages++;
    }
}

static void observe_category(struct user_session *session, uint64_t category)
{
    if (category == 0) {
        return;
    }
    uint16_t tag = (uint16_t)(category >> 48);
    if (session->categorised > 0 && session->last_category == tag) {
        feature_count16(&session->category_repeats);
    }
    feature_count16(&session->categorised);
    session->last_category = tag;
    sketch_add32(&session->categories, category);
}

void session_observe(struct user_session *session, const struct feature_event *event)
{
    if (event->session_step == SESSION_STEP_OLDER) {
        return;
    }
    if (event->session_step == SESSION_STEP_OPENS) {
        *session = (struct user_session){0};
    }
    session->id = event->session_id;
    session->start_s = feature_second(event->session_start_ms);
    session->events =
        event->session_events < UINT16_MAX ? (uint16_t)event->session_events : UINT16_MAX;
    session->events = session->events > 0 ? session->events : 1;
    observe_type(session, event);
    observe_request(session, event);
    observe_category(session, event->category);
    sketch_add64(&session->items, event->item);
}

void session_write(const struct user_session *session, int64_t newest_ms,
                   const struct sketch_table *sketches, float *row)
{
    if (session->events == 0) {
        return;
    }
    float duration_s = feature_since(newest_ms, session->start_s);
    row[FEATURE_SESSION_EVENTS] = (float)session->events;
    row[FEATURE_SESSION_DURATION] = duration_s;
    row[FEATURE_SESSION_VIEWS] = (float)session->views;
    row[FEATURE_SESSION_SEARCHES] = (float)session->searches;
    row[FEATURE_SESSION_CART_ADDS] = (float)session->cart_adds;
    row[FEATURE_SESSION_CART_REMOVES] = (float)session->removes;
    row[FEATURE_SESSION_CHECKOUTS] = (float)session->checkouts;
    row[FEATURE_SESSION_PURCHASES] = (float)session->purchases;
    row[FEATURE_SESSION_FAILURES] = (float)session->failures;
    row[FEATURE_SESSION_ITEMS] = sketch_count64(sketches, session->items);
    row[FEATURE_SESSION_CATEGORIES] = sketch_count32(sketches, session->categories);
    row[FEATURE_SESSION_PACE] = feature_ratio((double)duration_s, session->events - 1);
    if (session->categorised > 1) {
        row[FEATURE_SESSION_FOCUS] =
            feature_ratio(session->category_repeats, session->categorised - 1);
    }
    row[FEATURE_SESSION_VIEW_PRICE] =
        feature_ratio((double)session->view_price_sum, session->priced_views);
    if (session->purchases > 0) {
        row[FEATURE_SESSION_SPEND] = session->spend;
    }
    row[FEATURE_SESSION_PAGE_RUN] = (float)session->page_run;
    row[FEATURE_SESSION_PAGE_SHARE] = feature_ratio(session->pages, session->requests);
    row[FEATURE_SESSION_DIRECT_PAGE_SHARE] =
        feature_ratio(session->direct_pages, session->requests);
    row[FEATURE_SESSION_REFERRER_SHARE] = feature_ratio(session->referred, session->requests);
}
