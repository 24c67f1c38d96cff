#include "pipeline/commands/explain.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operators/extract_features.h"
#include "pipeline/commands/command.h"
#include "pipeline/commands/explain_page.h"
#include "pipeline/output/output_reader.h"

#define ID_DIGITS 32u
#define ID_DIGITS_MIN 6u

static const char help[] =
    "nudge explain DECISION_ID --output DIR [--html FILE]\n"
    "\n"
    "Prints why a rule matched, what became of it, and what the scores were made of. The id "
    "stands\n"
    "in each record of alerts, promotions and decisions; its first six digits or more will do.\n"
    "\n"
    "  --output DIR   the output folder of the run\n"
    "  --html FILE    writes the page to a file that a browser shows\n";

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

static enum status print_html(const struct yaml_node *decision, const struct yaml_node *emitted,
                              const char *path, struct error *error)
{
    char *page = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&page, &length);
    FILE *file = memory ? fopen(path, "w") : NULL;
    if (!file) {
        enum status status =
            error_set(error, STATUS_FATAL, "explain: %s: %s", path, strerror(errno));
        if (memory) {
            (void)fclose(memory);
        }
        free(page);
        return status;
    }
    explain_page_print(decision, emitted, extract_features_set(), memory);
    (void)fclose(memory);
    (void)fputs("<!doctype html>\n<meta charset=\"utf-8\">\n<title>Decision</title>\n"
                "<style>body{margin:2em;background:#fff;color:#111}pre{font:14px/1.4 monospace}"
                "</style>\n<pre>\n",
                file);
    for (size_t i = 0; i < length; i++) {
        const char *escape = page[i] == '<'   ? "&lt;"
                             : page[i] == '>' ? "&gt;"
                             : page[i] == '&' ? "&amp;"
                                              : NULL;
        if (escape) {
            (void)fputs(escape, file);
        } else {
            (void)fputc(page[i], file);
        }
    }
    (void)fputs("</pre>\n", file);
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    free(page);
    return failed ? error_set(error, STATUS_FATAL, "explain: %s: cannot be written", path)
                  : STATUS_OK;
}

enum status explain_decision(const char *id, const char *directory, const char *html_path,
                             FILE *out, struct error *error)
{
    size_t length = strlen(id);
    if (length < ID_DIGITS_MIN || length > ID_DIGITS || strspn(id, "0123456789abcdef") != length) {
        return error_set(error, STATUS_INVALID,
                         "explain: \"%.64s\": expected a decision's id, %u to %u of the digits 0-9 "
                         "and a-f",
                         id, ID_DIGITS_MIN, ID_DIGITS);
    }
    struct yaml_document *decision = NULL;
    struct yaml_document *emitted = NULL;
    enum status status = search_topic(directory, TOPIC_DECISIONS, id, &decision, error);
    if (status == STATUS_OK && !decision) {
        status = error_set(error, STATUS_INVALID, "explain: no decision %s in %s/decisions", id,
                           directory);
    }
    if (status == STATUS_OK) {
        const struct yaml_node *whole = yaml_find(yaml_root(decision), "decision_id");
        const struct yaml_node *action = yaml_find(yaml_root(decision), "action");
        bool is_alert = action && strcmp(action->scalar, "alert") == 0;
        status = search_topic(directory, is_alert ? TOPIC_ALERTS : TOPIC_PROMOTIONS, whole->scalar,
                              &emitted, error);
    }
    if (status == STATUS_OK) {
        const struct yaml_node *node = emitted ? yaml_root(emitted) : NULL;
        explain_page_print(yaml_root(decision), node, extract_features_set(), out);
        status = html_path ? print_html(yaml_root(decision), node, html_path, error) : STATUS_OK;
    }
    yaml_unload(decision);
    yaml_unload(emitted);
    return status;
}

static enum status run_explain(int argc, char **argv, struct error *error)
{
    const char *id = NULL;
    const char *directory = NULL;
    const char *html_path = NULL;
    struct command_option options[] = {
        {.name = "output", .values = &directory, .value_max = 1},
        {.name = "html", .values = &html_path, .value_max = 1},
    };
    size_t count = 0;
    enum status status = command_parse(argc, argv, options, 2, &id, 1, &count, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (count == 0 || !directory) {
        return error_set(error, STATUS_INVALID,
                         "explain: a decision's id and --output DIR expected; see nudge explain "
                         "--help");
    }
    return explain_decision(id, directory, html_path, stdout, error);
}

const struct command command_explain = {
    .name = "explain",
    .summary = "say why an alert or promotion was made, or was not",
    .help = help,
    .run = run_explain,
};
