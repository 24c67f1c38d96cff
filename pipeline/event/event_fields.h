/*
 * The canonical event: one table of fields and one of types. The batch's columns, the decoders, the
 * mapping, the rule language, `nudge describe events` and the check of schemas/click_event.avsc are
 * all made from these tables.
 */
#ifndef PIPELINE_EVENT_EVENT_FIELDS_H
#define PIPELINE_EVENT_EVENT_FIELDS_H

#include <stdint.h>

#include "pipeline/base/text.h"

/* Class of privacy of a field; identity and content enter neither state nor outputs unless listed.
 */
enum privacy_class { PRIVACY_NONE, PRIVACY_QUASI, PRIVACY_IDENTITY, PRIVACY_CONTENT };

/* X(ENUM, "name", "class", description). Text fields come first: enum value = text column. */
#define EVENT_TEXT_FIELDS(X)                                                                       \
    X(EVENT_ID, "event_id", PRIVACY_NONE,                                                          \
      "Id given by the sender; events with the same id are duplicates")                            \
    X(SHOP, "shop", PRIVACY_NONE, "Shop or site that the event comes from")                        \
    X(USER_ID, "user_id", PRIVACY_IDENTITY, "Id of the shopper's account or of its cookie")        \
    X(DEVICE_ID, "device_id", PRIVACY_IDENTITY, "Id of the device or browser")                     \
    X(SESSION_HINT, "session_hint", PRIVACY_QUASI,                                                 \
      "The sender's own session id, trusted only where the mapping says so")                       \
    X(CHANNEL, "channel", PRIVACY_NONE, "Way in: web, app, store, email, ads and the like")        \
    X(TYPE_WORD, "type", PRIVACY_NONE,                                                             \
      "Type of the event; a word outside of the known list is kept and counts as other")           \
    X(ORDER_ID, "order_id", PRIVACY_QUASI, "Order that a checkout, purchase or refund belongs to") \
    X(ITEM, "item", PRIVACY_NONE, "Product id")                                                    \
    X(CATEGORY, "category", PRIVACY_NONE, "Category of the product")                               \
    X(BRAND, "brand", PRIVACY_NONE, "Brand of the product")                                        \
    X(CURRENCY, "currency", PRIVACY_NONE, "ISO 4217 code of the price's currency")                 \
    X(TEXT, "text", PRIVACY_CONTENT, "Search query, review or message")                            \
    X(LANGUAGE, "language", PRIVACY_NONE, "BCP 47 tag of the text's language")                     \
    X(URL, "url", PRIVACY_QUASI, "Address of the page")                                            \
    X(REFERRER, "referrer", PRIVACY_QUASI, "Address of the page before")                           \
    X(IP, "ip", PRIVACY_IDENTITY, "Network address of the client")                                 \
    X(USER_AGENT, "user_agent", PRIVACY_QUASI, "User agent as the client gave it")                 \
    X(INSTRUMENT, "payment_instrument", PRIVACY_IDENTITY,                                          \
      "Payment instrument, already hashed by the sender")                                          \
    X(MERCHANT, "merchant", PRIVACY_NONE, "Merchant or payment terminal")                          \
    X(EXPERIMENT_ARM, "experiment_arm", PRIVACY_NONE,                                              \
      "Arm of an experiment that the shopper is in")                                               \
    X(CONSENT, "consent", PRIVACY_NONE,                                                            \
      "What the shopper agreed to: none, functional, analytics, marketing")                        \
    X(LABEL_FOR, "label_for", PRIVACY_QUASI, "Event id that a label speaks of")                    \
    X(LABEL_VALUE, "label_value", PRIVACY_NONE,                                                    \
      "What the label says, such as chargeback or genuine")

/* Numeric fields follow the text fields in the same enumeration. */
#define EVENT_NUMBER_FIELDS(X)                                                                     \
    X(EVENT_TIME, "event_time", PRIVACY_NONE, "When it happened: milliseconds since 1970, UTC")    \
    X(ORDER_LINE, "order_line", PRIVACY_NONE, "Line of the order, from 1")                         \
    X(PRICE, "price", PRIVACY_NONE, "Price of one piece in millionths of the currency")            \
    X(QUANTITY, "quantity", PRIVACY_NONE, "Number of pieces")                                      \
    X(STOCK, "stock", PRIVACY_NONE, "Pieces in stock after the event")

#define EVENT_FIELD_ENUM(ENUM, name, privacy, doc) FIELD_##ENUM,
enum event_field {
    EVENT_TEXT_FIELDS(EVENT_FIELD_ENUM) TEXT_FIELD_COUNT,
    FIELD_FIRST_NUMBER = TEXT_FIELD_COUNT - 1, /* So that the numbers go on where the texts end. */
    EVENT_NUMBER_FIELDS(EVENT_FIELD_ENUM) FIELD_ATTRIBUTES,
    EVENT_FIELD_COUNT
};
#undef EVENT_FIELD_ENUM

/* X(ENUM, "name", description) */
#define EVENT_TYPES(X)                                                                             \
    X(PAGE_VIEW, "page_view", "A page that is none of the others")                                 \
    X(PRODUCT_VIEW, "product_view", "The page of one product")                                     \
    X(IMPRESSION, "impression", "A product shown in a list or an advertisement")                   \
    X(SEARCH, "search", "A search; the query stands in text")                                      \
    X(ADD_TO_CART, "add_to_cart", "Pieces of a product put into the cart")                         \
    X(REMOVE_FROM_CART, "remove_from_cart", "Pieces of a product taken out of the cart")           \
    X(CHECKOUT, "checkout", "The checkout begins or goes a step on")                               \
    X(PURCHASE, "purchase", "One line of an order that was paid for")                              \
    X(PAYMENT_FAILED, "payment_failed", "A payment that was refused")                              \
    X(REFUND, "refund", "Money given back for an order")                                           \
    X(LOGIN, "login", "A login that succeeded")                                                    \
    X(LOGIN_FAILED, "login_failed", "A login that failed")                                         \
    X(REVIEW, "review", "A product review; its words stand in text")                               \
    X(MESSAGE, "message", "A message to the shop; its words stand in text")                        \
    X(PROMOTION_SHOWN, "promotion_shown", "A promotion reached the shopper")                       \
    X(PROMOTION_ACCEPTED, "promotion_accepted", "The shopper took a promotion up")                 \
    X(LABEL, "label", "What became known later of an earlier event, such as a chargeback")         \
    X(IDENTITY_LINK, "identity_link", "Two identities belong to one shopper")                      \
    X(PRICE_CHANGE, "price_change", "The price of a product changed")                              \
    X(STOCK_CHANGE, "stock", "The stock of a product changed")                                     \
    X(ERASE, "erase", "The shopper's data are to be erased")                                       \
    X(OTHER, "other", "Any word that is not in this list; the word itself is kept")

#define EVENT_TYPE_ENUM(ENUM, name, doc) EVENT_##ENUM,
enum event_type {
    EVENT_TYPES(EVENT_TYPE_ENUM) EVENT_TYPE_COUNT,
    EVENT_NONE = EVENT_TYPE_COUNT /* The type of a timer's row. */
};
#undef EVENT_TYPE_ENUM

struct event_field_info {
    const char *name;
    const char *doc;
    enum privacy_class privacy;
};

struct event_type_info {
    const char *name;
    const char *doc;
};

extern const struct event_field_info event_fields[EVENT_FIELD_COUNT];
extern const struct event_type_info event_types[EVENT_TYPE_COUNT];

/* The known type that a word names, else EVENT_OTHER. Exact: the mapping has trimmed and folded it.
 */
enum event_type event_type_of(struct text word);

/* The field of that name, or EVENT_FIELD_COUNT. */
enum event_field event_field_of(struct text name);

/* Brought into normal form C. Addresses and the like are not, but kept as they were sent. */
bool event_field_is_compared(enum event_field field);

#endif
