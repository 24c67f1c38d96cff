/*
 * The table of features: names, families, units, definitions. The order is that of the columns.
 * What the definitions mean by activity, now, window, rate, epoch and the like stands in
 * feature_table.c and is printed with the table.
 */
#ifndef OPERATORS_FEATURE_TABLE_H
#define OPERATORS_FEATURE_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "pipeline/event/feature_set.h"

/* X(ENUM, "name", "family", "unit", "definition", "when missing") */
#define SESSION_FEATURES(X)                                                                        \
    X(SESSION_EVENTS, "session_events", "session", "events", "Events of the session so far",       \
      "no session yet")                                                                            \
    X(SESSION_DURATION, "session_duration_s", "session", "s",                                      \
      "Whole seconds from the session's start to newest", "no session yet")                        \
    X(SESSION_VIEWS, "session_product_views", "session", "events",                                 \
      "Events of type product_view in the session", "no session yet")                              \
    X(SESSION_SEARCHES, "session_searches", "session", "events",                                   \
      "Events of type search in the session", "no session yet")                                    \
    X(SESSION_CART_ADDS, "session_cart_adds", "session", "events",                                 \
      "Events of type add_to_cart in the session", "no session yet")                               \
    X(SESSION_CART_REMOVES, "session_cart_removes", "session", "events",                           \
      "Events of type remove_from_cart in the session, at most 255", "no session yet")             \
    X(SESSION_CHECKOUTS, "session_checkouts", "session", "events",                                 \
      "Events of type checkout in the session, at most 255", "no session yet")                     \
    X(SESSION_PURCHASES, "session_purchases", "session", "events",                                 \
      "Events of type purchase in the session, at most 255", "no session yet")                     \
    X(SESSION_FAILURES, "session_failures", "session", "events",                                   \
      "Failures in the session, at most 255", "no session yet")                                    \
    X(SESSION_ITEMS, "session_distinct_items", "session", "items",                                 \
      "Distinct items among the session's events, m = 64", "no session yet")                       \
    X(SESSION_CATEGORIES, "session_distinct_categories", "session", "categories",                  \
      "Distinct categories among the session's events, m = 32", "no session yet")                  \
    X(SESSION_PACE, "session_seconds_per_event", "session", "s",                                   \
      "session_duration_s divided by one less than session_events", "fewer than two events")       \
    X(SESSION_FOCUS, "session_category_repeat_share", "session", "1",                              \
      "Among the session's events with a category, but for the first, the share that has the "     \
      "category of the one before it in the session, by 16 bits of its hash",                      \
      "fewer than two events with a category")                                                     \
    X(SESSION_VIEW_PRICE, "session_view_price_mean", "session", "currency",                        \
      "Mean price over the session's product views with a price, summed in single precision",      \
      "no such view")                                                                              \
    X(SESSION_SPEND, "session_spend", "session", "currency",                                       \
      "Sum of the amounts of the session's purchases, in single precision",                        \
      "no purchase in the session")                                                                \
    X(SESSION_PAGE_SHARE, "session_page_share", "session", "1",                                    \
      "Share of pages among the session's requests: a program asks for pages and leaves the "      \
      "pictures on them alone",                                                                    \
      "no session yet")                                                                            \
    X(SESSION_DIRECT_PAGE_SHARE, "session_direct_page_share", "session", "1",                      \
      "Share of pages without a referrer among the session's requests", "no session yet")          \
    X(SESSION_REFERRER_SHARE, "session_referrer_share", "session", "1",                            \
      "Share of those with a referrer among the session's requests", "no session yet")             \
    X(SESSION_PAGE_RUN, "session_page_run", "session", "events",                                   \
      "Pages since the session's last event that is none, at most 255", "no session yet")

#define USER_FEATURES(X)                                                                           \
    X(USER_EVENTS, "user_events", "user", "events", "Activity of the user so far", "never")        \
    X(USER_SESSIONS, "user_sessions", "user", "sessions",                                          \
      "Sessions opened so far, less one each time that two become one", "never")                   \
    X(USER_VIEWS, "user_product_views", "user", "events",                                          \
      "Events of type product_view so far, at most 65,535", "never")                               \
    X(USER_CART_ADDS, "user_cart_adds", "user", "events",                                          \
      "Events of type add_to_cart so far, at most 65,535", "never")                                \
    X(USER_PURCHASES, "user_purchases", "user", "events",                                          \
      "Events of type purchase so far, at most 65,535", "never")                                   \
    X(USER_REFUNDS, "user_refunds", "user", "events",                                              \
      "Events of type refund so far, at most 65,535", "never")                                     \
    X(USER_BAD_LABELS, "user_bad_labels", "user", "events",                                        \
      "Events of type label so far whose value is one of bad_labels", "never")                     \
    X(USER_PROMOTIONS, "user_promotions_shown", "user", "events",                                  \
      "Events of type promotion_shown so far, at most 65,535", "never")                            \
    X(USER_PROMOTION_SHARE, "user_promotion_accept_share", "user", "1",                            \
      "Events of type promotion_accepted so far divided by user_promotions_shown, at most 1",      \
      "no promotion shown")                                                                        \
    X(USER_SESSION_LENGTH, "user_events_per_session", "user", "events",                            \
      "user_events divided by user_sessions", "no session yet")                                    \
    X(USER_CONVERSION, "user_purchases_per_session", "user", "1",                                  \
      "user_purchases divided by user_sessions", "no session yet")                                 \
    X(USER_CART_CONVERSION, "user_purchases_per_cart_add", "user", "1",                            \
      "user_purchases divided by user_cart_adds", "nothing put into a cart yet")

#define RATE_FEATURES(X)                                                                           \
    X(RATE_EVENTS_1M, "rate_events_1m", "rate", "events", "Rate of activity, T = 60 s", "never")   \
    X(RATE_EVENTS_1H, "rate_events_1h", "rate", "events", "Rate of activity, T = 1 h", "never")    \
    X(RATE_EVENTS_1D, "rate_events_1d", "rate", "events", "Rate of activity, T = 1 day", "never")  \
    X(RATE_EVENTS_7D, "rate_events_7d", "rate", "events", "Rate of activity, T = 7 days", "never") \
    X(RATE_CART_ADDS_1D, "rate_cart_adds_1d", "rate", "events",                                    \
      "Rate of events of type add_to_cart, T = 1 day", "never")                                    \
    X(RATE_FAILURES_1H, "rate_failures_1h", "rate", "events", "Rate of failures, T = 1 h",         \
      "never")                                                                                     \
    X(RATE_BURST, "rate_burst", "rate", "1", "rate_events_1h divided by rate_events_7d",           \
      "no activity, or rate_events_7d below 1e-6")

#define WINDOW_FEATURES(X)                                                                         \
    X(WINDOW_EVENTS_1M, "window_events_1m", "window", "events", "Activity, W = 60 s", "never")     \
    X(WINDOW_EVENTS_10M, "window_events_10m", "window", "events", "Activity, W = 10 min", "never") \
    X(WINDOW_EVENTS_1H, "window_events_1h", "window", "events", "Activity, W = 1 h", "never")      \
    X(WINDOW_EVENTS_1D, "window_events_1d", "window", "events", "Activity, W = 1 day", "never")    \
    X(WINDOW_EVENTS_30D, "window_events_30d", "window", "events", "Activity, W = 30 days",         \
      "never")                                                                                     \
    X(WINDOW_VIEWS_7D, "window_product_views_7d", "window", "events",                              \
      "Events of type product_view, W = 7 days", "never")                                          \
    X(WINDOW_PAYMENT_FAILED_10M, "window_payments_failed_10m", "window", "events",                 \
      "Events of type payment_failed, W = 10 min", "never")                                        \
    X(WINDOW_PAYMENT_FAILED_1H, "window_payments_failed_1h", "window", "events",                   \
      "Events of type payment_failed, W = 1 h", "never")                                           \
    X(WINDOW_LOGIN_FAILED_10M, "window_logins_failed_10m", "window", "events",                     \
      "Events of type login_failed, W = 10 min", "never")                                          \
    X(WINDOW_LOGIN_FAILED_1H, "window_logins_failed_1h", "window", "events",                       \
      "Events of type login_failed, W = 1 h", "never")                                             \
    X(WINDOW_FAILURES_1D, "window_failures_1d", "window", "events", "Failures, W = 1 day",         \
      "never")                                                                                     \
    X(WINDOW_PURCHASES_1D, "window_purchases_1d", "window", "events",                              \
      "Events of type purchase, W = 1 day", "never")                                               \
    X(WINDOW_PURCHASES_7D, "window_purchases_7d", "window", "events",                              \
      "Events of type purchase, W = 7 days", "never")                                              \
    X(WINDOW_PURCHASES_30D, "window_purchases_30d", "window", "events",                            \
      "Events of type purchase, W = 30 days", "never")                                             \
    X(WINDOW_SPEND_1D, "window_spend_1d", "window", "currency",                                    \
      "Sum of the amounts of purchases, W = 1 day, each bucket in single precision",               \
      "no purchase in the window")                                                                 \
    X(WINDOW_SPEND_30D, "window_spend_30d", "window", "currency",                                  \
      "Sum of the amounts of purchases, W = 30 days, each bucket in single precision",             \
      "no purchase in the window")                                                                 \
    X(WINDOW_SESSIONS_7D, "window_sessions_7d", "window", "sessions",                              \
      "Sessions by the time of the event that opened them, W = 7 days", "never")                   \
    X(WINDOW_REFUNDS_30D, "window_refunds_30d", "window", "events",                                \
      "Events of type refund, W = 30 days", "never")

#define GAP_FEATURES(X)                                                                            \
    X(GAP_LAST, "gap_last_s", "gap", "s", "Seconds from newest before this row to now",            \
      "no activity before, or activity that is not forward")                                       \
    X(GAP_LOG_MEAN, "gap_log_mean", "gap", "1",                                                    \
      "Mean of ln(1 + gap in seconds) over the gaps between each forward event and newest before " \
      "it; from the 65,535th on a new gap weighs 1/65,535",                                        \
      "no gap yet")                                                                                \
    X(GAP_LOG_SPREAD, "gap_log_spread", "gap", "1", "Standard deviation of the same logarithms",   \
      "fewer than two gaps")                                                                       \
    X(GAP_DEVIATION, "gap_deviation", "gap", "1",                                                  \
      "ln(1 + gap_last_s) less the mean of those before, divided by the greater of their "         \
      "standard deviation and 0.1",                                                                \
      "gap_last_s is missing, or fewer than two gaps before")                                      \
    X(GAP_REGULAR_SHARE, "gap_regular_share", "gap", "1",                                          \
      "Among the session's gaps between forward events, but for the first, the share that "        \
      "differs "                                                                                   \
      "from the one before by a tenth of that at most: robots are regular",                        \
      "fewer than two gaps in the session")                                                        \
    X(GAP_FAST_SHARE, "gap_fast_share", "gap", "1",                                                \
      "Share of the session's gaps between forward events below one second",                       \
      "no gap in the session")

#define AMOUNT_FEATURES(X)                                                                         \
    X(AMOUNT_EVENT, "amount_event", "amount", "currency", "Amount of this event",                  \
      "the row is no purchase, payment_failed, checkout or refund with a price")                   \
    X(AMOUNT_MEAN, "amount_mean", "amount", "currency", "Mean amount of the payments so far",      \
      "no payment yet")                                                                            \
    X(AMOUNT_SPREAD, "amount_spread", "amount", "currency",                                        \
      "Standard deviation of the amounts of the payments so far", "fewer than two payments")       \
    X(AMOUNT_MAX, "amount_max", "amount", "currency", "Greatest amount of a payment so far",       \
      "no payment yet")                                                                            \
    X(AMOUNT_DEVIATION, "amount_deviation", "amount", "1",                                         \
      "amount_event less the mean of the payments before this row, divided by the greater of "     \
      "their standard deviation and a hundredth of the mean",                                      \
      "amount_event is missing, fewer than two payments before, or their mean is 0")               \
    X(AMOUNT_TO_MAX, "amount_to_max", "amount", "1",                                               \
      "amount_event divided by the greatest payment before this row",                              \
      "amount_event is missing, or no payment above 0 before")                                     \
    X(AMOUNT_REFUND_SHARE, "amount_refund_share", "amount", "1",                                   \
      "Sum of the amounts of refunds, in single precision, divided by rfm_spend",                  \
      "nothing spent or nothing refunded yet")

#define DISTINCT_FEATURES(X)                                                                       \
    X(DISTINCT_ITEMS, "distinct_items", "distinct", "items",                                       \
      "Distinct items of the user's activity so far, m = 128", "never")                            \
    X(DISTINCT_CATEGORIES, "distinct_categories", "distinct", "categories",                        \
      "Distinct categories of the user's activity so far, m = 64", "never")                        \
    X(DISTINCT_DEVICES, "distinct_devices", "distinct", "devices",                                 \
      "Distinct devices of the user's activity, by epoch, m = 32", "never")                        \
    X(DISTINCT_ADDRESSES, "distinct_addresses", "distinct", "addresses",                           \
      "Distinct network addresses of the user's activity, by epoch, m = 32", "never")              \
    X(DISTINCT_CARDS, "distinct_cards", "distinct", "cards",                                       \
      "Distinct payment instruments of the user's activity, by epoch, m = 32", "never")            \
    X(DISTINCT_NEW_DEVICE, "distinct_new_device", "distinct", "1",                                 \
      "1 where the bit of this event's device was not set before, else 0",                         \
      "the row is no activity or has no device")                                                   \
    X(DISTINCT_NEW_ADDRESS, "distinct_new_address", "distinct", "1",                               \
      "1 where the bit of this event's network address was not set before, else 0",                \
      "the row is no activity or has no network address")                                          \
    X(DISTINCT_NEW_CARD, "distinct_new_card", "distinct", "1",                                     \
      "1 where the bit of this event's payment instrument was not set before, else 0",             \
      "the row is no activity or has no payment instrument")

#define CART_FEATURES(X)                                                                           \
    X(CART_VALUE, "cart_value", "cart", "currency", "Amounts in the cart", "never")                \
    X(CART_PIECES, "cart_pieces", "cart", "pieces", "Pieces in the cart, at most 65,535",          \
      "the cart is empty")                                                                         \
    X(CART_AGE, "cart_age_s", "cart", "s",                                                         \
      "Whole seconds from the event that put the first piece into the empty cart to now",          \
      "the cart is empty")                                                                         \
    X(CART_IDLE, "cart_idle_s", "cart", "s",                                                       \
      "Whole seconds from the newest add_to_cart, remove_from_cart or purchase to now",            \
      "the cart is empty")                                                                         \
    X(CART_MEAN_PRICE, "cart_mean_price", "cart", "currency", "cart_value divided by cart_pieces", \
      "the cart is empty")                                                                         \
    X(CART_TOP_SHARE, "cart_top_share", "cart", "1",                                               \
      "Highest price put into the cart divided by cart_value, at most 1", "cart_value is 0")       \
    X(CART_ITEMS, "cart_distinct_items", "cart", "items",                                          \
      "Distinct items put into the cart since it was empty, m = 32", "the cart is empty")          \
    X(CART_CATEGORIES, "cart_distinct_categories", "cart", "categories",                           \
      "Distinct categories put into the cart since it was empty, m = 32", "the cart is empty")     \
    X(CART_TO_MEAN, "cart_value_to_payment", "cart", "1", "cart_value divided by amount_mean",     \
      "amount_mean is missing or 0, or the cart is empty")

#define RFM_FEATURES(X)                                                                            \
    X(RFM_AGE, "rfm_age_s", "rfm", "s", "Whole seconds from the user's oldest activity to now",    \
      "no activity yet")                                                                           \
    X(RFM_RETURN, "rfm_return_s", "rfm", "s",                                                      \
      "Whole seconds from newest before the session's first event to the session's start, at "     \
      "least 0",                                                                                   \
      "first session")                                                                             \
    X(RFM_SINCE_PURCHASE, "rfm_since_purchase_s", "rfm", "s",                                      \
      "Whole seconds from the newest purchase to now", "no purchase yet")                          \
    X(RFM_SINCE_CART_ADD, "rfm_since_cart_add_s", "rfm", "s",                                      \
      "Whole seconds from the newest add_to_cart to now", "nothing put into a cart yet")           \
    X(RFM_SINCE_FAILURE, "rfm_since_failure_s", "rfm", "s",                                        \
      "Whole seconds from the newest failure to now", "no failure yet")                            \
    X(RFM_ACTIVE_DAYS, "rfm_active_days", "rfm", "days",                                           \
      "Times that a forward event fell on a later day (UTC) than any forward event before",        \
      "never")                                                                                     \
    X(RFM_ACTIVE_SHARE, "rfm_active_day_share", "rfm", "1",                                        \
      "rfm_active_days divided by the days from the oldest activity's to now's, both counted",     \
      "no activity yet")                                                                           \
    X(RFM_SPEND, "rfm_spend", "rfm", "currency", "Sum of the amounts of the user's purchases",     \
      "no payment yet")

#define CALENDAR_FEATURES(X)                                                                       \
    X(DAY_SIN, "calendar_day_sin", "calendar", "1",                                                \
      "Sine of the row's minute of the day, 1,440 to the circle, at utc_offset_minutes", "never")  \
    X(DAY_COS, "calendar_day_cos", "calendar", "1", "Cosine of the same angle", "never")           \
    X(WEEK_SIN, "calendar_week_sin", "calendar", "1",                                              \
      "Sine of the row's hour of the week from Monday, 168 to the circle, at utc_offset_minutes",  \
      "never")                                                                                     \
    X(WEEK_COS, "calendar_week_cos", "calendar", "1", "Cosine of the same angle", "never")         \
    X(USUAL_HOURS, "calendar_usual_share", "calendar", "1",                                        \
      "Share of the user's activity, by its own time, in the row's eighth of the day; an "         \
      "eighth that stands at 255 halves all (rounded down) before it counts another",              \
      "no activity yet")

#define FUNNEL_FEATURES(X)                                                                         \
    X(FUNNEL_STAGE, "funnel_stage", "funnel", "1",                                                 \
      "Furthest of the session: 4 purchase, 3 checkout, 2 add_to_cart, 1 product_view, "           \
      "impression "                                                                                \
      "or search, else 0",                                                                         \
      "no session yet")                                                                            \
    X(FUNNEL_BUY, "funnel_buy_chance", "funnel", "1",                                              \
      "Chance by the Markov chain that a purchase comes before the session is left, from the "     \
      "types of the session's last forward events, as many as the chain's order",                  \
      "no session yet")                                                                            \
    X(FUNNEL_LEAVE, "funnel_leave_chance", "funnel", "1",                                          \
      "Chance by the Markov chain that the session is left at the next step", "no session yet")    \
    X(FUNNEL_SURPRISE, "funnel_surprise", "funnel", "1",                                           \
      "-ln of the chance by the Markov chain of this step from the session's last forward events", \
      "the row is no forward event, or the first of its session")                                  \
    X(FUNNEL_SURPRISE_MEAN, "funnel_surprise_mean", "funnel", "1",                                 \
      "Mean funnel_surprise over the session's forward events, summed in single precision",        \
      "fewer than two such events")

/* By entity: missing as well where no state is kept by it. */
#define NO_ENTITY "no such entity on the row"
#define DEVICE_FEATURES(X)                                                                         \
    X(DEVICE_EVENTS_1H, "device_events_1h", "device", "events", "Activity of the device, W = 1 h", \
      NO_ENTITY)                                                                                   \
    X(DEVICE_PAYMENT_FAILED_1H, "device_payments_failed_1h", "device", "events",                   \
      "Events of type payment_failed on the device, W = 1 h", NO_ENTITY)                           \
    X(DEVICE_LOGIN_FAILED_1H, "device_logins_failed_1h", "device", "events",                       \
      "Events of type login_failed on the device, W = 1 h", NO_ENTITY)                             \
    X(DEVICE_USERS, "device_distinct_users", "device", "users",                                    \
      "Distinct users on the device, by epoch, m = 32", NO_ENTITY)                                 \
    X(DEVICE_CARDS, "device_distinct_cards", "device", "cards",                                    \
      "Distinct payment instruments on the device, by epoch, m = 32", NO_ENTITY)                   \
    X(DEVICE_AGE, "device_age_s", "device", "s",                                                   \
      "Whole seconds from the device's oldest activity to now", NO_ENTITY ", or no activity yet")

#define ADDRESS_FEATURES(X)                                                                        \
    X(ADDRESS_EVENTS_10M, "address_events_10m", "address", "events",                               \
      "Activity of the network address, W = 10 min", NO_ENTITY)                                    \
    X(ADDRESS_EVENTS_1H, "address_events_1h", "address", "events",                                 \
      "Activity of the network address, W = 1 h", NO_ENTITY)                                       \
    X(ADDRESS_PAYMENT_FAILED_10M, "address_payments_failed_10m", "address", "events",              \
      "Events of type payment_failed from the network address, W = 10 min", NO_ENTITY)             \
    X(ADDRESS_LOGIN_FAILED_10M, "address_logins_failed_10m", "address", "events",                  \
      "Events of type login_failed from the network address, W = 10 min", NO_ENTITY)               \
    X(ADDRESS_USERS, "address_distinct_users", "address", "users",                                 \
      "Distinct users at the network address, by epoch, m = 32", NO_ENTITY)                        \
    X(ADDRESS_CARDS, "address_distinct_cards", "address", "cards",                                 \
      "Distinct payment instruments at the network address, by epoch, m = 32", NO_ENTITY)

#define CARD_FEATURES(X)                                                                           \
    X(CARD_PAYMENT_FAILED_10M, "card_payments_failed_10m", "card", "events",                       \
      "Events of type payment_failed with the card, W = 10 min", NO_ENTITY)                        \
    X(CARD_PAYMENT_FAILED_1H, "card_payments_failed_1h", "card", "events",                         \
      "Events of type payment_failed with the card, W = 1 h", NO_ENTITY)                           \
    X(CARD_PURCHASES_1D, "card_purchases_1d", "card", "events",                                    \
      "Events of type purchase with the card, W = 1 day", NO_ENTITY)                               \
    X(CARD_SPEND_1D, "card_spend_1d", "card", "currency",                                          \
      "Sum of the amounts of the card's purchases, W = 1 day, each bucket in single precision",    \
      NO_ENTITY ", or no purchase in the window")                                                  \
    X(CARD_DEVIATION, "card_amount_deviation", "card", "1",                                        \
      "amount_event against the card's payments before, as in amount_deviation",                   \
      NO_ENTITY ", amount_event is missing, or fewer than two payments before")                    \
    X(CARD_USERS, "card_distinct_users", "card", "users",                                          \
      "Distinct users of the card, by epoch, m = 32", NO_ENTITY)                                   \
    X(CARD_ADDRESSES, "card_distinct_addresses", "card", "addresses",                              \
      "Distinct network addresses of the card's events, by epoch, m = 32", NO_ENTITY)              \
    X(CARD_BAD_LABELS, "card_bad_labels_28d", "card", "events",                                    \
      "Events of type label for the card whose value is one of bad_labels, W = 28 days",           \
      NO_ENTITY)                                                                                   \
    X(CARD_AGE, "card_age_s", "card", "s", "Whole seconds from the card's oldest activity to now", \
      NO_ENTITY ", or no activity yet")                                                            \
    X(CARD_IDLE, "card_idle_s", "card", "s", "Seconds from the card's now before this row to now", \
      NO_ENTITY ", or nothing before")

#define TERMINAL_FEATURES(X)                                                                       \
    X(TERMINAL_EVENTS_1H, "terminal_events_1h", "terminal", "events",                              \
      "Activity at the terminal, W = 1 h", NO_ENTITY)                                              \
    X(TERMINAL_PAYMENT_FAILED_1H, "terminal_payments_failed_1h", "terminal", "events",             \
      "Events of type payment_failed at the terminal, W = 1 h", NO_ENTITY)                         \
    X(TERMINAL_PURCHASES_1D, "terminal_purchases_1d", "terminal", "events",                        \
      "Events of type purchase at the terminal, W = 1 day", NO_ENTITY)                             \
    X(TERMINAL_SPEND_1D, "terminal_spend_1d", "terminal", "currency",                              \
      "Sum of the amounts of purchases at the terminal, W = 1 day, each bucket in single "         \
      "precision",                                                                                 \
      NO_ENTITY ", or no purchase in the window")                                                  \
    X(TERMINAL_DEVIATION, "terminal_amount_deviation", "terminal", "1",                            \
      "amount_event against the terminal's payments before, as in amount_deviation",               \
      NO_ENTITY ", amount_event is missing, or fewer than two payments before")                    \
    X(TERMINAL_USERS, "terminal_distinct_users", "terminal", "users",                              \
      "Distinct users at the terminal, by epoch, m = 32", NO_ENTITY)                               \
    X(TERMINAL_BAD_LABELS_1D, "terminal_bad_labels_1d", "terminal", "events",                      \
      "Events of type label for the terminal whose value is one of bad_labels, W = 1 day, at "     \
      "most 255 a bucket",                                                                         \
      NO_ENTITY)                                                                                   \
    X(TERMINAL_BAD_LABELS_7D, "terminal_bad_labels_7d", "terminal", "events",                      \
      "Events of type label for the terminal whose value is one of bad_labels, W = 7 days, at "    \
      "most 255 a bucket",                                                                         \
      NO_ENTITY)                                                                                   \
    X(TERMINAL_BAD_LABELS, "terminal_bad_labels_28d", "terminal", "events",                        \
      "Events of type label for the terminal whose value is one of bad_labels, W = 28 days",       \
      NO_ENTITY)                                                                                   \
    X(TERMINAL_BAD_SHARE, "terminal_bad_share_28d", "terminal", "1",                               \
      "terminal_bad_labels_28d divided by the terminal's purchases in the same buckets, at most "  \
      "1",                                                                                         \
      NO_ENTITY ", or no such purchase")                                                           \
    X(TERMINAL_AGE, "terminal_age_s", "terminal", "s",                                             \
      "Whole seconds from the terminal's oldest activity to now",                                  \
      NO_ENTITY ", or no activity yet")

/* What the row itself says. An id is a number that stands for a name; it is for embeddings. */
#define EVENT_FEATURES(X)                                                                          \
    X(EVENT_TYPE, "event_type", "event", "id",                                                     \
      "Place of the event's type in the list of types, from 0", "the row is a timer")              \
    X(EVENT_CATEGORY, "event_category_bucket", "event", "id",                                      \
      "One of 64 buckets, from 0, chosen by the hash of the event's category", "no category")      \
    X(EVENT_PRICE, "event_price", "event", "currency", "The event's price", "no price")

#define FEATURES(X)                                                                                \
    SESSION_FEATURES(X)                                                                            \
    USER_FEATURES(X)                                                                               \
    RATE_FEATURES(X)                                                                               \
    WINDOW_FEATURES(X)                                                                             \
    GAP_FEATURES(X)                                                                                \
    AMOUNT_FEATURES(X)                                                                             \
    DISTINCT_FEATURES(X)                                                                           \
    CART_FEATURES(X)                                                                               \
    RFM_FEATURES(X)                                                                                \
    CALENDAR_FEATURES(X)                                                                           \
    FUNNEL_FEATURES(X)                                                                             \
    DEVICE_FEATURES(X)                                                                             \
    ADDRESS_FEATURES(X)                                                                            \
    CARD_FEATURES(X)                                                                               \
    TERMINAL_FEATURES(X)                                                                           \
    EVENT_FEATURES(X)

#define FEATURE_ENUM(ENUM, name, family, unit, doc, missing) FEATURE_##ENUM,
enum feature { FEATURES(FEATURE_ENUM) FEATURE_COUNT };
#undef FEATURE_ENUM

/* Constant; may be read by any thread. */
extern const struct feature_info feature_table[FEATURE_COUNT];

/*
 * Pairs that are so alike on most data that their ranks correlate above 0.995, and why both stay.
 */
struct similar_features {
    const char *first, *second;
    const char *reason;
};
extern const struct similar_features similar_features[];
extern const uint32_t similar_feature_count;

/* Prints the table, the words that its definitions use, and the pairs that are alike. */
void feature_table_describe(bool is_markdown, FILE *out);

#endif
