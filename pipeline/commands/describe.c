#include <stdio.h>
#include <string.h>

#include "operators/expression.h"
#include "operators/rule_tables.h"
#include "pipeline/commands/command.h"
#include "pipeline/event/event_fields.h"
#include "pipeline/event/rejection.h"
#include "pipeline/kafka/kafka_metrics.h"
#include "pipeline/kafka/kafka_route_slot.h"
#include "pipeline/output/output_schema.h"
#include "pipeline/run/config.h"
#include "pipeline/run/eval_slices.h"
#include "pipeline/run/run_metrics.h"
#include "pipeline/run/stages.h"
#include "pipeline/run/task_progress.h"
#include "pipeline/run/train_config.h"
#include "pipeline/wire/registry_metrics.h"

static const char help[] =
    "nudge describe features|stages|settings|rules|training|metrics|events|outputs [--markdown]\n"
    "\n"
    "Prints the reference documentation from the same tables that the program runs on.\n";

static void print_row(bool markdown, FILE *out, const char *name, const char *extra,
                      const char *doc)
{
    if (markdown) {
        (void)fprintf(out, "| `%s` | %s | %s |\n", name, extra, doc);
    } else {
        (void)fprintf(out, "  %-20s %-9s %s\n", name, extra, doc);
    }
}

static void print_heading(bool markdown, FILE *out, const char *title, const char *columns)
{
    if (markdown) {
        (void)fprintf(out, "\n## %s\n\n%s\n|---|---|---|\n", title, columns);
    } else {
        (void)fprintf(out, "%s\n", title);
    }
}

static void describe_events(bool markdown, FILE *out)
{
    print_heading(markdown, out, "Fields of an event", "| field | privacy | meaning |");
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        print_row(markdown, out, event_fields[field].name,
                  output_privacy_name(event_fields[field].privacy), event_fields[field].doc);
    }
    print_heading(markdown, out, "Types of events", "| type | | meaning |");
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        print_row(markdown, out, event_types[type].name, "", event_types[type].doc);
    }
    print_heading(markdown, out, "Reasons of dead letters", "| reason | | meaning |");
    for (int reason = REJECTION_NONE + 1; reason < REJECTION_COUNT; reason++) {
        print_row(markdown, out, rejection_names[reason], "", rejection_docs[reason]);
    }
}

static void describe_metrics(bool markdown, FILE *out)
{
    print_heading(markdown, out, "Counters of the summary", "| counter | unit | meaning |");
#define PRINT_COUNTER(name, doc) print_row(markdown, out, #name, "", doc);
    TASK_COUNTERS(PRINT_COUNTER)
#undef PRINT_COUNTER
    print_row(markdown, out, "dead_letters", "", "Records that could not be taken, by reason");
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        if (topic != TOPIC_DEAD_LETTERS && topic != TOPIC_LATE_EVENTS) {
            print_row(markdown, out, output_topics[topic].name, "", "Records of that topic");
        }
    }
    print_row(markdown, out, "elapsed_seconds", "s", "Time that the run took");
    print_row(markdown, out, "cpu_seconds", "s", "CPU time of all threads of the process");
    print_row(markdown, out, "peak_memory_bytes", "bytes", "Largest resident memory");
    (void)fprintf(out, markdown ? "\n## Metrics served over HTTP\n\n"
                                  "| metric | type | labels | unit | meaning |\n"
                                  "|---|---|---|---|---|\n"
                                : "Metrics served over HTTP\n");
    metrics_describe(run_metric_infos, run_metric_count, markdown, out);
    metrics_describe(registry_metric_infos, REGISTRY_METRIC_COUNT, markdown, out);
    metrics_describe(kafka_partition_metric_infos, KAFKA_PARTITION_METRICS, markdown, out);
    metrics_describe(kafka_route_metric_infos, KAFKA_ROUTE_METRICS, markdown, out);
    metrics_describe(kafka_client_metric_infos, KAFKA_CLIENT_METRICS, markdown, out);
}

static void describe_settings(bool markdown, FILE *out)
{
    for (const struct setting_section *const *section = config_sections(); *section; section++) {
        settings_describe(*section, markdown, out);
    }
}

static const char rule_language[] =
    "A condition reads the row that the rule is looked at on: fields of the event, features\n"
    "(nudge describe features), scores, the session. It is true or false.\n"
    "Loosest first: or; and; not; == != < <= > >= in; + and -; * and /; unary minus.\n"
    "Texts stand in quotes, lists in brackets: channel not in [\"app\", \"web\"].\n"
    "What is missing makes a sum missing and every comparison false; present(v) and missing(v)\n"
    "ask. In a reason text {price * quantity:.2} shows a value, here with two decimals.\n";

struct row_printer {
    bool markdown;
    FILE *out;
};

static void print_name(void *context, const char *name, const char *doc)
{
    const struct row_printer *printer = context;
    print_row(printer->markdown, printer->out, name, "", doc);
}

static void describe_rules(bool markdown, FILE *out)
{
    static const struct setting_section *const sections[] = {
        &rule_section,     &rule_after_section,  &rule_alert_section,   &rule_promotion_section,
        &rule_cap_section, &rule_budget_section, &rule_holdout_section,
    };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        settings_describe(sections[i], markdown, out);
    }
    (void)fprintf(out, markdown ? "## The rule language\n\n%s" : "The rule language\n%s",
                  rule_language);
    print_heading(markdown, out, "Names and functions of the rule language",
                  "| name | | meaning |");
    struct row_printer printer = {markdown, out};
    expression_describe(print_name, &printer);
}

static const char network_shape[] =
    "network:                  # of kinds mlp, gru and lstm\n"
    "  hidden: 32              # units of the cell; gru and lstm only\n"
    "  embeddings:             # features that choose a row of a table; the others are numbers\n"
    "    - {feature: event_price, rows: 12, width: 3, first: 2, missing: 0, unknown: 1,\n"
    "       bins: [2, 5, 10]}  # row first + value, or first + number of bins that are <= it\n"
    "  layers:                 # the last has size 1 and gives the logit\n"
    "    - {size: 16, activation: relu, norm: true}\n"
    "    - {size: 1}\n";

static void describe_training(bool markdown, FILE *out)
{
    static const struct setting_section *const sections[] = {&train_section, &train_trees_section,
                                                             &train_descent_section, &eval_section};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        settings_describe(sections[i], markdown, out);
    }
    (void)fprintf(out, markdown ? "## network\n\n```yaml\n%s```\n" : "%s", network_shape);
}

struct subject {
    const char *name;
    void (*describe)(bool markdown, FILE *out);
};

static const struct subject subjects[] = {
    {"features", features_describe}, {"stages", stages_describe},
    {"settings", describe_settings}, {"rules", describe_rules},
    {"training", describe_training}, {"metrics", describe_metrics},
    {"events", describe_events},     {"outputs", output_topics_describe},
};

#define SUBJECT_COUNT (sizeof(subjects) / sizeof(subjects[0]))

static enum status describe(int argc, char **argv, struct error *error)
{
    struct command_option options[] = {{.name = "markdown", .is_flag = true}};
    const char *subject = NULL;
    size_t positional_count;
    enum status status =
        command_parse(argc, argv, options, 1, &subject, 1, &positional_count, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (positional_count == 0) {
        return error_set(error, STATUS_INVALID,
                         "describe: features, stages, settings, rules, training, metrics, "
                         "events or outputs expected");
    }
    const char *names[SUBJECT_COUNT];
    for (size_t i = 0; i < SUBJECT_COUNT; i++) {
        names[i] = subjects[i].name;
        if (strcmp(subject, subjects[i].name) == 0) {
            subjects[i].describe(options[0].value_count > 0, stdout);
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(subject, names, SUBJECT_COUNT);
    return error_set(error, STATUS_INVALID, "describe: %s: no such subject%s%s%s", subject,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

const struct command command_describe = {
    .name = "describe",
    .summary = "reference documentation from the program's own tables",
    .help = help,
    .run = describe,
};
