#include "pipeline/commands/explain_entries.h"

#include <math.h>
#include <string.h>

void explain_place(const struct explain_facts *facts, explain_entry *entry, FILE *out)
{
    const struct yaml_node *decision = facts->decision;
    const struct yaml_node *fields = yaml_find(facts->emitted, "fields");
    entry(out, "when", explain_text(decision, "time"));
    entry(out, "shopper", explain_text(decision, "user"));
    entry(out, "session", explain_text(decision, "session_id"));
    entry(out, "cause", explain_text(decision, "cause"));
    if (explain_is_timer(facts)) {
        entry(out, "goes back to", explain_text(decision, "cause_time"));
    }
    entry(out, "event id", explain_text(decision, "event_id"));
    const char *topic = explain_text(decision, "topic");
    entry(out, "topic", topic);
    entry(out, "partition", explain_text(decision, "partition"));
    entry(out, topic ? "offset" : "record", explain_text(decision, "ordinal"));
    for (size_t i = 0; fields && i < fields->child_count; i++) {
        entry(out, fields->children[i].key, fields->children[i].scalar);
    }
}

void explain_suggestion(const struct yaml_node *emitted, explain_entry *entry, FILE *out)
{
    if (explain_text(emitted, "severity")) {
        const char *step = explain_text(emitted, "step");
        entry(out, "severity", explain_text(emitted, "severity"));
        entry(out, "step", step ? step : "none");
    } else {
        entry(out, "offer", explain_text(emitted, "action"));
        entry(out, "value", explain_text(emitted, "value"));
        entry(out, "currency", explain_text(emitted, "currency"));
        entry(out, "percent", explain_text(emitted, "percent"));
        entry(out, "valid until", explain_text(emitted, "valid_until"));
    }
    entry(out, "reason", explain_text(emitted, "reason"));
}

/* ---- Limits ---- */

#define ENTRY_BYTES 160

/* As it would be written in a configuration. */
static void format_duration(double ms, char buffer[32])
{
    static const struct {
        double ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (fmod(ms, units[i].ms) == 0) {
            (void)snprintf(buffer, 32, "%.0f%s", ms / units[i].ms, units[i].unit);
            return;
        }
    }
    (void)snprintf(buffer, 32, "%g ms", ms);
}

static void print_duration(double ms, const char *name, const char *meaning, explain_entry *entry,
                           FILE *out)
{
    if (!isnan(ms)) {
        char buffer[32];
        char text[ENTRY_BYTES];
        format_duration(ms, buffer);
        (void)snprintf(text, sizeof(text), "%s %s", buffer, meaning);
        entry(out, name, text);
    }
}

static void print_cap(const struct yaml_node *limits, explain_entry *entry, FILE *out)
{
    const char *times = explain_text(limits, "cap_count");
    if (times) {
        char buffer[32];
        char text[ENTRY_BYTES];
        format_duration(explain_number(limits, "cap_window_ms"), buffer);
        (void)snprintf(text, sizeof(text), "%.20s for each shopper in %s", times, buffer);
        entry(out, "cap", text);
    }
}

static void print_budget(const struct yaml_node *limits, explain_entry *entry, FILE *out)
{
    const char *amount = explain_text(limits, "budget_amount");
    const char *times = explain_text(limits, "budget_count");
    const char *currency = explain_text(limits, "budget_currency");
    const char *per = explain_text(limits, "budget_per");
    if (amount || times) {
        bool is_daily = per && strcmp(per, "day") == 0;
        char text[ENTRY_BYTES];
        (void)snprintf(text, sizeof(text), "%.40s %.10s %s for all shoppers together",
                       amount ? amount : times,
                       !amount    ? "times"
                       : currency ? currency
                                  : "",
                       is_daily ? "a day" : "in total");
        entry(out, "budget", text);
    }
}

static void print_share(double share, const char *name, const char *meaning, explain_entry *entry,
                        FILE *out)
{
    if (!isnan(share)) {
        char text[ENTRY_BYTES];
        (void)snprintf(text, sizeof(text), "%.2f%% of shoppers %s", share * 100, meaning);
        entry(out, name, text);
    }
}

void explain_limits(const struct yaml_node *decision, explain_entry *entry, FILE *out)
{
    const struct yaml_node *limits = yaml_find(decision, "limits");
    const char *reason = explain_text(decision, "suppressed_by");
    entry(out, "emitted", reason ? "no" : "yes");
    entry(out, "suppressed by", reason);
    print_duration(explain_number(limits, "delay_ms"), "delay",
                   "after the event that it goes back to", entry, out);
    print_duration(explain_number(limits, "cooldown_ms"), "cool-down", "for each shopper", entry,
                   out);
    print_cap(limits, entry, out);
    print_budget(limits, entry, out);
    print_share(explain_number(limits, "holdout_share"), "control group", "are left alone", entry,
                out);
    entry(out, "arm", explain_text(decision, "arm"));
    print_share(explain_number(decision, "propensity"), "propensity", "are in this arm", entry,
                out);
}

void explain_versions(const struct explain_facts *facts, explain_entry *entry, FILE *out)
{
    entry(out, "model", explain_text(facts->emitted, "model"));
    entry(out, "rule set", explain_text(facts->decision, "rule_set"));
    entry(out, "feature set", explain_text(facts->decision, "feature_set"));
    entry(out, "configuration", explain_text(facts->decision, "configuration"));
    entry(out, "numeric profile", explain_text(facts->decision, "numeric_profile"));
}
