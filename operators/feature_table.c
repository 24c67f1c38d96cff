#include "operators/feature_table.h"

#include <assert.h>
#include <string.h>

#include "pipeline/limits.h"

static_assert((int)FEATURE_COUNT <= (int)FEATURES_MAX, "every feature has its column");

#define FEATURE_ROW(ENUM, name, family, unit, doc, missing) {name, family, unit, doc, missing},
const struct feature_info feature_table[FEATURE_COUNT] = {FEATURES(FEATURE_ROW)};

/* What the definitions mean by their words. Linear counting: see feature_sketch.h. */
static const char *const words[][2] = {
    {"activity", "a live event whose type is none of label, identity_link, price_change, stock, "
                 "erase; duplicates are never live"},
    {"newest", "the newest event time among the user's activity so far, this row included"},
    {"now", "newest, or the row's own time where that is newer (timers, labels); all ages, windows "
            "and rates stand as of now"},
    {"forward", "activity that is not older than any activity of the user before it"},
    {"amount", "price times quantity (1 where missing), in the currency; 0 where the price is "
               "missing"},
    {"payment", "a purchase with a price; one line of an order each"},
    {"failure", "payment_failed or login_failed"},
    {"session", "the user's session of the last activity that belonged to none older; what joins "
                "an older one does not count in it. When two sessions become one, counting goes on "
                "with what the newer had; when an earlier one is resumed, with nothing but "
                "session_events"},
    {"requests", "a session's events, counted in one byte each with its pages, pages without a "
                 "referrer and events with one: before it counts another at 255, all four are "
                 "halved (rounded down). A page is a page_view, product_view or search"},
    {"window", "W is cut into buckets of W/4 from 1970 on; a window counts what lies in the bucket "
               "of now and the three before, so in the last 3/4 W to W. A late event counts in the "
               "bucket of its own time. A bucket stops at 65,535 activities (W = 60 s: 255), "
               "product views of W = 7 "
               "days and counts by entity but failures, at 255 of all else"},
    {"rate", "the sum of exp(-age / T) over the activity, so about how many in the last T"},
    {"distinct", "linear counting over m bits, one chosen by the hash of each value: -m ln(z / m), "
                 "z the zero bits, at least 1/2. Standard error below 9% for m = 128 and 13% for "
                 "m = 64 up to 1.5 m values, below 16% for m = 32 up to 32 values"},
    {"epoch", "of 30 days (by entity: 7 days), counted from 1970; distinct values of the epoch of "
              "now and of the one before, so of the last one to two epochs"},
    {"by entity", "activity, now, windows and payments are those of the events that name the "
                  "entity, by whichever user; its bad labels move its now as well"},
    {"cart", "add_to_cart adds the quantity (1 where missing) and the amount; remove_from_cart and "
             "purchase take theirs off, never below 0. It is empty when no piece is left, and when "
             "now is more than cart_lifetime after it was touched last"},
};
#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

#define ONE_CARD                                                                                   \
    "most shoppers have one card of their own; a stolen or a shared one tells them apart"
#define ONE_VISIT                                                                                  \
    "most sessions lie within the window; bots and those who come back tell them apart"
const struct similar_features similar_features[] = {
    {"session_events", "window_events_1h", ONE_VISIT},
    {"session_purchases", "window_purchases_1d", ONE_VISIT},
    {"session_spend", "window_spend_1d", ONE_VISIT},
    {"window_purchases_1d", "card_purchases_1d", ONE_CARD},
    {"window_spend_1d", "card_spend_1d", ONE_CARD},
    {"window_payments_failed_10m", "card_payments_failed_10m", ONE_CARD},
    {"window_payments_failed_1h", "card_payments_failed_1h", ONE_CARD},
    {"amount_deviation", "card_amount_deviation", ONE_CARD},
};
const uint32_t similar_feature_count = sizeof(similar_features) / sizeof(similar_features[0]);

static void describe_similar(FILE *out)
{
    (void)fprintf(out, "\nAlike on most data, both kept:\n\n");
    for (uint32_t i = 0; i < similar_feature_count; i++) {
        (void)fprintf(out, "- %s, %s: %s.\n", similar_features[i].first, similar_features[i].second,
                      similar_features[i].reason);
    }
}

static void describe_markdown(FILE *out)
{
    (void)fprintf(out, "%d features. Words used below:\n\n", FEATURE_COUNT);
    for (size_t i = 0; i < WORD_COUNT; i++) {
        (void)fprintf(out, "- **%s**: %s.\n", words[i][0], words[i][1]);
    }
    const char *family = "";
    for (int i = 0; i < FEATURE_COUNT; i++) {
        const struct feature_info *info = &feature_table[i];
        if (strcmp(info->family, family) != 0) {
            family = info->family;
            (void)fprintf(out,
                          "\n## %s\n\n| feature | unit | definition | missing |\n"
                          "|---|---|---|---|\n",
                          family);
        }
        (void)fprintf(out, "| `%s` | %s | %s | %s |\n", info->name, info->unit, info->doc,
                      info->missing);
    }
}

void feature_table_describe(bool is_markdown, FILE *out)
{
    if (is_markdown) {
        describe_markdown(out);
        describe_similar(out);
        return;
    }
    (void)fprintf(out, "%d features. Words used below:\n", FEATURE_COUNT);
    for (size_t i = 0; i < WORD_COUNT; i++) {
        (void)fprintf(out, "  %s: %s\n", words[i][0], words[i][1]);
    }
    for (int i = 0; i < FEATURE_COUNT; i++) {
        const struct feature_info *info = &feature_table[i];
        (void)fprintf(out, "%s (%s, in %s)\n    %s.\n    Missing: %s.\n", info->name, info->family,
                      info->unit, info->doc, info->missing);
    }
    describe_similar(out);
}
