#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "operators/rule_limits.h"

struct printer {
    void (*line)(void *context, const char *text);
    void *context;
};

static void print(const struct printer *printer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print(const struct printer *printer, const char *format, ...)
{
    char text[EXPRESSION_BYTES_MAX + 512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    printer->line(printer->context, text);
}

/* As it would be written in YAML. */
static const char *duration(int64_t ms, char buffer[32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    for (int i = 0; i < 5; i++) {
        if (ms % units[i].ms == 0) {
            (void)snprintf(buffer, 32, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
            return buffer;
        }
    }
    return "";
}

static void describe_trigger(const struct printer *printer, const struct rule *rule)
{
    char buffer[32];
    char types[512] = "";
    size_t length = 0;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (rule->event_types >> type & 1) {
            length += (size_t)snprintf(types + length, sizeof(types) - length, "%s%s",
                                       length ? ", " : "", event_types[type].name);
        }
    }
    bool any = rule->event_types == (1u << EVENT_TYPE_COUNT) - 1;
    switch (rule->trigger) {
    case RULE_ON_EVENT:
        print(printer, "  on %s", any ? "any event" : types);
        break;
    case RULE_ON_SESSION_END:
        print(printer, "  on the end of a session");
        break;
    case RULE_ON_IDLE_CART:
        print(printer, "  when a filled cart was not touched for %s",
              duration(rule->delay_ms, buffer));
        break;
    default:
        print(printer, "  %s after %s %s", duration(rule->delay_ms, buffer),
              rule->is_from_first ? "the first" : "the latest", types);
        break;
    }
}

static void describe_action(const struct printer *printer, const struct rule *rule)
{
    char buffer[32];
    if (rule->is_alert) {
        print(printer, "  alert of severity %s, suggested step: %s",
              rule_severities[rule->severity], rule_steps[rule->step]);
    } else if (rule->value > 0) {
        print(printer, "  promotion: %s of %g %s, valid for %s", rule_offers[rule->offer],
              rule->value, rule->currency, duration(rule->valid_for_ms, buffer));
    } else if (rule->percent > 0) {
        print(printer, "  promotion: %s of %g%%, valid for %s", rule_offers[rule->offer],
              rule->percent, duration(rule->valid_for_ms, buffer));
    } else {
        print(printer, "  promotion: %s, valid for %s", rule_offers[rule->offer],
              duration(rule->valid_for_ms, buffer));
    }
}

static void describe_budget(const struct printer *printer, const struct rule *rule,
                            uint32_t partition_count)
{
    int64_t share = rule_budget_share(rule, partition_count);
    const char *per = rule->is_budget_daily ? "a day" : "in total";
    const char *warning =
        share == 0 ? "; the partitions get nothing: the budget is too small for so many" : "";
    if (rule->budget_kind == BUDGET_AMOUNT) {
        print(printer, "  budget: %.2f %s %s, %.2f for each of %u partitions%s",
              (double)rule->budget / 1e6, rule->currency, per, (double)share / 1e6, partition_count,
              warning);
    } else if (rule->budget_kind == BUDGET_COUNT) {
        print(printer, "  budget: %" PRId64 " times %s, %" PRId64 " for each of %u partitions%s",
              rule->budget, per, share, partition_count, warning);
    }
}

static void describe_limits(const struct printer *printer, const struct rule *rule,
                            uint32_t partition_count)
{
    char buffer[32];
    if (rule->cooldown_ms > 0) {
        print(printer, "  cool-down: %s for each user", duration(rule->cooldown_ms, buffer));
    }
    if (rule->cap_count > 0) {
        print(printer, "  cap: %u for each user in %s", rule->cap_count,
              duration(rule->cap_window_ms, buffer));
    }
    describe_budget(printer, rule, partition_count);
    if (rule->holdout_share > 0) {
        print(printer, "  hold-out: %g%% of users, salt \"%s\"", rule->holdout_share * 100,
              rule->holdout_salt_text);
    }
}

void rule_set_describe(const struct rule_set *set, uint32_t partition_count,
                       void (*line)(void *context, const char *text), void *context)
{
    struct printer printer = {line, context};
    uint32_t places = 0;
    partition_count = partition_count ? partition_count : 1;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct rule *rule = &set->rules[i];
        print(&printer, "%s (priority %" PRId64 ")", rule->name, rule->priority);
        describe_trigger(&printer, rule);
        if (rule->condition) {
            print(&printer, "  if %s", rule->condition);
        }
        describe_action(&printer, rule);
        describe_limits(&printer, rule, partition_count);
        print(&printer,
              "  explained by the terms of the %s score, or of the next best that was computed",
              score_names[rule->score]);
        places += (rule->limit_tag != 0 ? 1u : 0u) + (rule->deadline_tag != 0 ? 1u : 0u);
    }
    print(&printer, "%u rule%s, hash %016" PRIx64 ", %u steps a row", set->count,
          set->count == 1 ? "" : "s", set->hash, expression_program_steps(set->program));
    if (places > LIMIT_PLACES) {
        print(&printer,
              "%u limits and deadlines share %d places for each user: a rule that finds none free "
              "is suppressed as limits_full",
              places, LIMIT_PLACES);
    }
}
