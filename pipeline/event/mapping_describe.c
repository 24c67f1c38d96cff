/* Says in words what a mapping does. */
#include "pipeline/event/mapping_plan.h"

#include <stdarg.h>
#include <stdio.h>

/* One line as it grows; what does not fit is cut. */
struct line {
    char text[512];
    size_t length;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    size_t room = sizeof(line->text) - line->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (length > 0) {
        line->length += (size_t)length < room ? (size_t)length : room - 1;
    }
}

static void add_steps(struct line *line, const struct value_plan *plan)
{
    static const char *const parts[] = {"host", "path", "query", "cookie"};
    if (plan->has_url_part) {
        add(line, ", %s%s%s", parts[plan->url_part], plan->url_name.length ? " " : "",
            plan->url_name.length ? plan->url_name.data : "");
    }
    if (plan->extract_count > 0) {
        add(line, ", extracted");
    }
    if (plan->split.length > 0) {
        add(line, ", piece %d by \"%s\"", (int)plan->take, plan->split.data);
    }
    if (plan->decodes_url) {
        add(line, ", decoded");
    }
    if (plan->letter_case != CASE_KEPT) {
        add(line, ", in %s case", plan->letter_case == CASE_LOWER ? "lower" : "upper");
    }
    if (plan->words) {
        add(line, ", by a map of %u words%s", plan->words->count,
            plan->words->has_fallback ? " with a default" : "");
    }
    if (plan->is_hashed) {
        add(line, ", hashed");
    }
}

static void add_value(struct line *line, const struct mapping *mapping,
                      const struct capture_names *captures, const struct value_plan *plan)
{
    switch (plan->origin) {
    case ORIGIN_SOURCE:
        add(line, "%s", mapping->sources.items[plan->index]);
        break;
    case ORIGIN_LET:
        add(line, "%s", mapping->lets[plan->index].name.data);
        break;
    case ORIGIN_CAPTURE:
        add(line, "{%s}", captures ? captures->names[plan->index] : "");
        break;
    case ORIGIN_CONSTANT:
        add(line, "\"%s\"", plan->constant.data);
        break;
    default:
        add(line, "%s", plan->origin == ORIGIN_FIRST ? "first of (" : "join of (");
        for (uint32_t i = 0; i < plan->part_count; i++) {
            add(line, "%s", i > 0 ? "; " : "");
            add_value(line, mapping, captures, &plan->parts[i]);
        }
        add(line, ")");
        break;
    }
    add_steps(line, plan);
}

struct printer {
    void (*line)(void *context, const char *text);
    void *context;
};

static void print_fields(const struct mapping *mapping, const struct capture_names *captures,
                         const struct field_plans *fields, const char *indent,
                         const struct printer *printer)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field_plan *field = &fields->items[i];
        struct line line = {.length = 0};
        bool is_attribute = field->field == FIELD_ATTRIBUTES;
        add(&line, "%s%s%s <- ", indent, is_attribute ? "attributes." : "",
            is_attribute ? field->name.data : event_fields[field->field].name);
        add_value(&line, mapping, captures, &field->value);
        printer->line(printer->context, line.text);
    }
}

static void print_rule(const struct mapping *mapping, const struct rule_plan *rule,
                       const struct printer *printer)
{
    struct line line = {.length = 0};
    add(&line, "  rule at line %u, on", rule->line);
    for (uint32_t i = 0; i < rule->condition_count; i++) {
        add(&line, "%s %s", i > 0 ? "," : "", rule->conditions[i].name.data);
    }
    add(&line, "%s:%s", rule->condition_count == 0 ? " everything left" : "",
        rule->is_skip ? " skipped, counted" : "");
    printer->line(printer->context, line.text);
    print_fields(mapping, &rule->captures, &rule->fields, "    ", printer);
}

void mapping_describe(const struct mapping *mapping, void (*line)(void *context, const char *text),
                      void *context)
{
    struct printer printer = {line, context};
    struct line first = {.length = 0};
    if (mapping->is_canonical) {
        line(context, "mapping: none, the events are canonical");
        return;
    }
    add(&first, "mapping: routed by %s, session hint %s",
        event_fields[mapping->traits.route_field].name,
        mapping->traits.is_session_hint_trusted ? "trusted" : "not trusted");
    line(context, first.text);
    for (uint32_t i = 0; i < mapping->let_count; i++) {
        struct line let = {.length = 0};
        add(&let, "  let %s <- ", mapping->lets[i].name.data);
        add_value(&let, mapping, NULL, &mapping->lets[i].value);
        line(context, let.text);
    }
    for (uint32_t i = 0; i < mapping->rule_count; i++) {
        print_rule(mapping, &mapping->rules[i], &printer);
    }
    print_fields(mapping, NULL, &mapping->fields, "  ", &printer);
}
