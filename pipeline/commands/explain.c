#include "pipeline/commands/explain.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "operators/extract_features.h"
#include "pipeline/commands/command.h"
#include "pipeline/commands/explain_page.h"
#include "pipeline/output/output_reader.h"

#define ID_DIGITS 32u
#define ID_DIGITS_MIN 6u

static const char help[] =
    "nudge explain DECISION_ID --output DIR [--all] [--html FILE]\n"
    "\n"
    "Prints why a rule matched, what became of it, and what the scores were made of. The id "
    "stands\n"
    "in each record of alerts, promotions and decisions; its first six digits or more will do.\n"
    "\n"
    "  --output DIR   the output folder of the run\n"
    "  --all          features that are missing, too\n"
    "  --html FILE    writes the page as HTML, too; it needs nothing beside itself\n";

/* Whether a record, as JSON, is of the id, which may be cut. */
static bool is_of_id(struct text json, const char *id)
{
    static const char start[] = "{\"decision_id\":\"";
    size_t length = strlen(id);
    return json.length > sizeof(start) - 1 + length &&
           memcmp(json.data, start, sizeof(start) - 1) == 0 &&
           memcmp(json.data + sizeof(start) - 1, id, length) == 0;
}

static enum status search_file(const char *path, enum topic topic, const char *id,
                               struct yaml_document **ret_document, struct error *error)
{
    struct output_reader *reader = NULL;
    struct text json = {NULL, 0};
    enum status status = output_reader_open(path, output_topics[topic].schema, &reader, error);
    if (status != STATUS_OK) {
        return status;
    }
    while ((status = output_reader_next(reader, &json, error)) == STATUS_OK && json.data) {
        if (is_of_id(json, id)) {
            status = yaml_parse(path, json.data, json.length, ret_document, error);
            break;
        }
    }
    output_reader_close(reader);
    return status;
}

static bool is_output_file(const char *name)
{
    size_t length = strlen(name);
    return (length > 6 && strcmp(name + length - 6, ".jsonl") == 0) ||
           (length > 5 && strcmp(name + length - 5, ".avro") == 0);
}

/* The record of `id` in a topic's files; *ret_document stays NULL where there is none. */
static enum status search_topic(const char *directory, enum topic topic, const char *id,
                                struct yaml_document **ret_document, struct error *error)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, output_topics[topic].name);
    DIR *folder = opendir(path);
    if (!folder) {
        /* Nothing was ever emitted, or this is no output folder: decisions must be there. */
        return topic == TOPIC_DECISIONS ? error_set(error, STATUS_INVALID,
                                                    "explain: %s: %s; expected the output folder "
                                                    "of a run",
                                                    path, strerror(errno))
                                        : STATUS_OK;
    }
    enum status status = STATUS_OK;
    for (struct dirent *file; status == STATUS_OK && !*ret_document && (file = readdir(folder));) {
        if (is_output_file(file->d_name)) {
            int length = snprintf(path, sizeof(path), "%s/%s/%s", directory,
                                  output_topics[topic].name, file->d_name);
            status = length < (int)sizeof(path)
                         ? search_file(path, topic, id, ret_document, error)
                         : error_set(error, STATUS_INVALID, "explain: the path is too long");
        }
    }
    (void)closedir(folder);
    return status;
}

static enum status print_html(const struct explain_facts *facts, const char *path,
                              struct error *error)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        return error_set(error, STATUS_FATAL, "explain: %s: %s", path, strerror(errno));
    }
    explain_html_print(facts, file);
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    return failed ? error_set(error, STATUS_FATAL, "explain: %s: cannot be written", path)
                  : STATUS_OK;
}

/* The alert or promotion of a decision; *ret_emitted stays NULL where nothing was emitted. */
static enum status search_emitted(const struct yaml_node *decision, const char *directory,
                                  struct yaml_document **ret_emitted, struct error *error)
{
    const char *id = explain_text(decision, "decision_id");
    const char *action = explain_text(decision, "action");
    bool is_alert = action && strcmp(action, "alert") == 0;
    return id ? search_topic(directory, is_alert ? TOPIC_ALERTS : TOPIC_PROMOTIONS, id, ret_emitted,
                             error)
              : STATUS_OK;
}

enum status explain_decision(const struct explain_options *options, FILE *out, struct error *error)
{
    const char *id = options->id;
    size_t length = strlen(id);
    if (length < ID_DIGITS_MIN || length > ID_DIGITS || strspn(id, "0123456789abcdef") != length) {
        return error_set(error, STATUS_INVALID,
                         "explain: \"%.64s\": expected a decision's id, %u to %u of the digits 0-9 "
                         "and a-f",
                         id, ID_DIGITS_MIN, ID_DIGITS);
    }
    struct yaml_document *decision = NULL;
    struct yaml_document *emitted = NULL;
    enum status status = search_topic(options->directory, TOPIC_DECISIONS, id, &decision, error);
    if (status == STATUS_OK && !decision) {
        status = error_set(error, STATUS_INVALID, "explain: no decision %s in %s/decisions", id,
                           options->directory);
    }
    if (status == STATUS_OK) {
        status = search_emitted(yaml_root(decision), options->directory, &emitted, error);
    }
    if (status == STATUS_OK) {
        struct explain_facts facts = {.decision = yaml_root(decision),
                                      .emitted = emitted ? yaml_root(emitted) : NULL,
                                      .features = extract_features_set(),
                                      .show_all = options->show_all};
        status = options->html_path ? print_html(&facts, options->html_path, error) : STATUS_OK;
        explain_page_print(&facts, out);
    }
    yaml_unload(decision);
    yaml_unload(emitted);
    return status;
}

static enum status run_explain(int argc, char **argv, struct error *error)
{
    struct explain_options chosen = {0};
    struct command_option options[] = {
        {.name = "output", .values = &chosen.directory, .value_max = 1},
        {.name = "html", .values = &chosen.html_path, .value_max = 1},
        {.name = "all", .is_flag = true},
    };
    size_t count = 0;
    enum status status = command_parse(argc, argv, options, 3, &chosen.id, 1, &count, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (count == 0 || !chosen.directory) {
        return error_set(error, STATUS_INVALID,
                         "explain: a decision's id and --output DIR expected; see nudge explain "
                         "--help");
    }
    chosen.show_all = options[2].value_count > 0;
    return explain_decision(&chosen, stdout, error);
}

const struct command command_explain = {
    .name = "explain",
    .summary = "say why an alert or promotion was made, or was not",
    .help = help,
    .run = run_explain,
};
