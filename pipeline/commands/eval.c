#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/model_backend.h"
#include "models/model_pack.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/iso_time.h"
#include "pipeline/commands/command.h"
#include "pipeline/commands/eval_detection.h"
#include "pipeline/run/eval_prepare.h"
#include "pipeline/run/eval_report.h"
#include "pipeline/run/feature_report.h"
#include "pipeline/run/train_config.h"

#define FILES_MAX 1024
#define REPLICATES 500

static const char help[] =
    "nudge eval FILE.yaml --pack DIR [--input FILE...] [--truth FILE] [--after TIME]\n"
    "           [--before TIME] [--attribute NAME] [--threshold CHANCE] [--reference DIR]\n"
    "           [--json FILE] [--html FILE] [--scores FILE]\n"
    "nudge eval FILE.yaml --score NAME [the same options but for --pack]\n"
    "nudge eval PIPELINE.yaml --detection --truth FILE [--input FILE...] [--json FILE]\n"
    "nudge eval FILE.yaml --families | --correlations [--allow PAIRS.yaml] [--input FILE...]\n"
    "\n"
    "Runs the pipeline over history, makes rows and labels as the training file says, and\n"
    "measures the pack on them, at 1, 3, 5 and 10 events of a session and at its first filled\n"
    "cart, with the base rate, the best single feature and a logistic regression beside it. Then\n"
    "by slice, as it was at each row: channel, kind of device, new and returning visitors, local\n"
    "hour, and by an attribute of your choice with the gaps between its groups (fairness).\n"
    "\n"
    "The logistic regression has the pack's features and is made as nudge train makes one of the\n"
    "same file, of the rows before those that are measured: before until and --after. Where the\n"
    "input has none, the report says so; --reference names one that was trained elsewhere.\n"
    "\n"
    "With --score it measures the score that the file's pipeline gives as it stands, such as that\n"
    "of a detector that learns from the stream (score_anomaly), on the rows that have one.\n"
    "\n"
    "With --detection it serves a pipeline's configuration as it is, and says how much of each\n"
    "kind of fraud of the truth the score finds where 0.1% and 1% of the human visits score as\n"
    "high.\n"
    "\n"
    "With --families it fits anew and prints what each family of features adds to PR-AUC and\n"
    "ROC-AUC; with --correlations which pairs of features have a rank correlation above 0.995,\n"
    "and fails where PAIRS.yaml does not list one with a reason.\n"
    "\n"
    "  --pack DIR       the pack; by default the training file's output\n"
    "  --score NAME     fraud, purchase, abandon or anomaly\n"
    "  --input FILE...  history, in place of the file's input\n"
    "  --truth FILE     what is known of the visits, for target: truth\n"
    "  --after TIME     sessions that begin before it are left out; by default the training\n"
    "                   file's until\n"
    "  --before TIME    rows from this time on are left out; what comes after still says what\n"
    "                   became of those before\n"
    "  --attribute NAME a field of the event, attributes.NAME, or a feature or column; see "
    "section\n"
    "                   eval of nudge train --settings\n"
    "  --threshold P    rows whose chance is not below it are selected; by default the pack's,\n"
    "                   with --score 0.5\n"
    "  --reference DIR  a pack to stand beside the model in place of the logistic regression\n"
    "  --scores FILE    time, label, chance, slices and the reference's chance of each row as "
    "CSV,\n"
    "                   in order of processing\n"
    "  --json FILE      the figures for programs\n"
    "  --html FILE      a page with plots\n";

struct eval_arguments {
    const char *files[FILES_MAX];
    const char *pack, *truth, *after, *before, *json, *html, *scores, *allow, *score;
    const char *attribute, *threshold, *reference;
    const char *config;
    size_t file_count;
    bool is_detection, has_families, has_correlations;
};

static enum status parse(int argc, char **argv, struct eval_arguments *arguments,
                         struct error *error)
{
    struct command_option options[] = {
        {.name = "input", .is_repeated = true, .values = arguments->files, .value_max = FILES_MAX},
        {.name = "pack", .values = &arguments->pack, .value_max = 1},
        {.name = "truth", .values = &arguments->truth, .value_max = 1},
        {.name = "after", .values = &arguments->after, .value_max = 1},
        {.name = "before", .values = &arguments->before, .value_max = 1},
        {.name = "json", .values = &arguments->json, .value_max = 1},
        {.name = "html", .values = &arguments->html, .value_max = 1},
        {.name = "allow", .values = &arguments->allow, .value_max = 1},
        {.name = "detection", .is_flag = true},
        {.name = "families", .is_flag = true},
        {.name = "correlations", .is_flag = true},
        {.name = "scores", .values = &arguments->scores, .value_max = 1},
        {.name = "score", .values = &arguments->score, .value_max = 1},
        {.name = "attribute", .values = &arguments->attribute, .value_max = 1},
        {.name = "threshold", .values = &arguments->threshold, .value_max = 1},
        {.name = "reference", .values = &arguments->reference, .value_max = 1},
    };
    size_t count;
    enum status status = command_parse(argc, argv, options, sizeof(options) / sizeof(options[0]),
                                       &arguments->config, 1, &count, error);
    arguments->file_count = options[0].value_count;
    arguments->is_detection = options[8].value_count > 0;
    arguments->has_families = options[9].value_count > 0;
    arguments->has_correlations = options[10].value_count > 0;
    if (status == STATUS_OK && count == 0) {
        return error_set(error, STATUS_INVALID,
                         "eval: a training file expected; see nudge eval --help");
    }
    return status;
}

struct evaluation {
    struct train_config *config;
    const struct eval_arguments *arguments;
    struct model_pack *pack;
    struct model *model;
    uint32_t columns[PACK_FEATURES_MAX]; /* Where the pack's features stand in the rows. */
    struct row_table table;
    struct row_counts counts;
    int64_t measured_ms; /* The measured sessions begin at or after it; INT64_MIN: any. */
    struct row_slices slices;
    bool is_divided; /* By `slices`. */
    float *chances;  /* [table.count] */
    struct eval_report report;
    char after[ISO_TIME_BYTES_MAX + 1];
    char scored[64];
};

static const uint32_t prefixes[] = {1, 3, 5, 10};
#define PREFIX_COUNT (sizeof(prefixes) / sizeof(prefixes[0]))

/* The rows of the file, those at the prefixes that are always reported, from `after` on. */
static enum status choose_rows(struct evaluation *evaluation, struct row_options *rows,
                               struct error *error)
{
    *rows = evaluation->config->rows;
    rows->from_ms = rows->until_ms == INT64_MAX ? INT64_MIN : rows->until_ms;
    rows->until_ms = INT64_MAX;
    const char *const texts[] = {evaluation->arguments->after, evaluation->arguments->before};
    int64_t *const times[] = {&rows->from_ms, &rows->before_ms};
    for (size_t i = 0; i < 2; i++) {
        if (texts[i] && !train_time_parse(texts[i], times[i])) {
            return error_set(error, STATUS_INVALID,
                             "--%s: \"%s\": a time such as 2026-06-01T12:00:00Z expected",
                             i ? "before" : "after", texts[i]);
        }
    }
    for (size_t i = 0; rows->prefix_count > 0 && i < PREFIX_COUNT; i++) {
        uint32_t j = 0;
        while (j < rows->prefix_count && rows->prefixes[j] != prefixes[i]) {
            j++;
        }
        if (j == rows->prefix_count && j < PREFIXES_MAX) {
            rows->prefixes[rows->prefix_count++] = prefixes[i];
        }
    }
    if (rows->before_ms <= rows->from_ms) {
        return error_set(error, STATUS_INVALID,
                         "--before: \"%s\": a time after %s expected, from which rows are measured",
                         texts[1], texts[0] ? texts[0] : evaluation->config->settings.until);
    }
    evaluation->measured_ms = rows->from_ms;
    if (rows->from_ms != INT64_MIN) {
        evaluation->after[iso_time_format(rows->from_ms, evaluation->after)] = '\0';
    }
    return STATUS_OK;
}

static enum status prepare_slices(struct evaluation *evaluation, struct error *error)
{
    const struct eval_overrides overrides = {evaluation->arguments->attribute,
                                             evaluation->arguments->threshold};
    evaluation->is_divided = true;
    return eval_prepare_slices(evaluation->config, &overrides, evaluation->pack, REPLICATES,
                               &evaluation->slices, &evaluation->report.by_slice, error);
}

static enum status make_rows(struct evaluation *evaluation, struct error *error)
{
    const struct train_config *config = evaluation->config;
    struct row_options rows;
    enum status status = choose_rows(evaluation, &rows, error);
    rows.slices = evaluation->is_divided ? &evaluation->slices : NULL;
    if (status == STATUS_OK) {
        status = train_config_rows(config, &rows, &evaluation->table, &evaluation->counts, error);
    }
    if (status == STATUS_OK && evaluation->table.count == 0) {
        status = error_set(error, STATUS_INVALID, "eval: none of %" PRIu64 " events is a row",
                           evaluation->counts.events);
    }
    return status;
}

/* Before the rows are made: a model with a state needs all rows of a session. */
static enum status open_model(struct evaluation *evaluation, struct error *error)
{
    const struct model_pack *pack = evaluation->pack;
    uint32_t *columns = evaluation->columns;
    uint32_t width = evaluation->config->name_count;
    enum status status = model_pack_match(pack, evaluation->config->names, width, columns, error);
    if (status == STATUS_OK && pack->output != PACK_OUTPUT_CHANCE) {
        status =
            error_set(error, STATUS_INVALID,
                      "pack %s: it predicts a value; of a label that is true or false a chance "
                      "expected (a calibration in the manifest makes one)",
                      pack->name);
    }
    if (status == STATUS_OK) {
        status = model_load(&backend_lanes, pack, columns, width, &evaluation->model, error);
    }
    if (status == STATUS_OK) {
        evaluation->config->rows.keeps_all = evaluation->model->state_bytes > 0;
    }
    return status;
}

static enum status score_rows(struct evaluation *evaluation, struct error *error)
{
    const struct row_table *table = &evaluation->table;
    evaluation->chances = calloc(table->count, sizeof(float));
    if (!evaluation->chances) {
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    evaluation->report.names = evaluation->config->names;
    enum status status = eval_report_score(&evaluation->report, evaluation->model, table,
                                           evaluation->columns, evaluation->chances, error);
    for (uint32_t i = 0; status == STATUS_OK && i < table->count; i++) {
        evaluation->chances[i] = fixed_sigmoidf(evaluation->chances[i]);
    }
    return status;
}

/* ---- The score of the pipeline itself ---- */

static enum status choose_score(struct evaluation *evaluation, struct error *error)
{
    const char *name = evaluation->arguments->score;
    if (evaluation->arguments->pack) {
        return error_set(error, STATUS_INVALID, "eval: either --pack or --score expected");
    }
    if (!evaluation->config->settings.pipeline) {
        return error_set(error, STATUS_INVALID,
                         "eval: --score: a training file with a pipeline expected");
    }
    int kind = 0;
    while (kind < SCORE_KIND_COUNT && strcmp(name, score_names[kind]) != 0) {
        kind++;
    }
    if (kind == SCORE_KIND_COUNT) {
        return error_set(error, STATUS_INVALID,
                         "eval: --score: \"%s\": fraud, purchase, abandon or anomaly expected",
                         name);
    }
    evaluation->config->rows.score = (enum score_kind)kind;
    return STATUS_OK;
}

static bool is_scored(void *context, const struct table_row *row)
{
    (void)context;
    return !isnan(row->score);
}

static enum status take_scores(struct evaluation *evaluation, struct error *error)
{
    struct row_table *table = &evaluation->table;
    uint32_t made = table->count;
    row_table_filter(table, is_scored, NULL);
    if (table->count == 0) {
        return error_set(error, STATUS_INVALID,
                         "eval: --score: none of %" PRIu32
                         " rows has a score %s: is it chosen in the pipeline?",
                         made, evaluation->arguments->score);
    }
    if (table->count < made) {
        (void)printf("%" PRIu32 " of %" PRIu32 " rows have no score %s and are left out\n",
                     made - table->count, made, evaluation->arguments->score);
    }
    evaluation->chances = calloc(table->count, sizeof(float));
    if (!evaluation->chances) {
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    for (uint32_t i = 0; i < table->count; i++) {
        evaluation->chances[i] = table->rows[i].score;
    }
    return STATUS_OK;
}

/* `columns` [count]: the features that it may see. */
static enum status make_reference(struct evaluation *evaluation, const uint32_t *columns,
                                  uint32_t count, struct error *error)
{
    const char *folder = evaluation->arguments->reference;
    struct eval_reference_model *reference = &evaluation->report.reference;
    return folder ? eval_reference_load(evaluation->config, folder, &evaluation->table, reference,
                                        error)
                  : eval_reference_fit(evaluation->config, evaluation->measured_ms, columns, count,
                                       &evaluation->table, reference, error);
}

static bool is_in_slice(const struct table_row *row, size_t slice)
{
    if (slice == 0) {
        return row->is_on_schedule;
    }
    return slice <= PREFIX_COUNT ? row->is_on_schedule && row->prefix == prefixes[slice - 1]
                                 : row->is_first_cart;
}

static enum status measure(struct evaluation *evaluation, struct error *error)
{
    static const char *const names[] = {"all rows", "1 event",   "3 events",
                                        "5 events", "10 events", "first cart"};
    const struct row_table *table = &evaluation->table;
    uint32_t *chosen = calloc(table->count, sizeof(*chosen));
    if (!chosen) {
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    struct eval_report *report = &evaluation->report;
    struct eval_options options = {.replicates = REPLICATES,
                                   .seed = (uint64_t)evaluation->config->settings.seed};
    enum status status = STATUS_OK;
    for (size_t slice = 0; status == STATUS_OK && slice < PREFIX_COUNT + 2; slice++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < table->count; i++) {
            if (is_in_slice(&table->rows[i], slice)) {
                chosen[count++] = i;
            }
        }
        if (count > 0) {
            status = evaluate_slice(table, chosen, count, evaluation->chances,
                                    report->reference.chances, &options, names[slice],
                                    &report->slices[report->slice_count++], error);
        }
    }
    free(chosen);
    return status == STATUS_OK
               ? eval_slices_measure(table, evaluation->chances, &evaluation->slices,
                                     &evaluation->config->eval, &report->by_slice, error)
               : status;
}

static enum status write_reports(struct evaluation *evaluation, struct error *error)
{
    struct eval_report *report = &evaluation->report;
    (void)snprintf(evaluation->scored, sizeof(evaluation->scored), "the pipeline's score %s",
                   evaluation->arguments->score ? evaluation->arguments->score : "");
    report->pack = evaluation->pack ? evaluation->pack->label : evaluation->scored;
    report->target = row_target_names[evaluation->config->settings.target];
    report->names = evaluation->config->names;
    report->after = evaluation->after;
    eval_report_print(report, stdout);
    enum status status = STATUS_OK;
    if (evaluation->arguments->json) {
        status = eval_report_write_json(report, evaluation->arguments->json, error);
    }
    if (status == STATUS_OK && evaluation->arguments->scores) {
        status = eval_write_scores(&evaluation->table, evaluation->chances, &evaluation->slices,
                                   report->by_slice.attribute != NULL, report->reference.chances,
                                   evaluation->arguments->scores, error);
    }
    if (status == STATUS_OK && evaluation->arguments->html) {
        status = eval_report_write_html(report, evaluation->arguments->html, error);
    }
    return status;
}

/* Fits and comparisons anew: fewer rows will do. */
#define FAMILY_ROWS 40000
#define CORRELATION_ROWS 20000

static enum status report_features(struct evaluation *evaluation, struct error *error)
{
    const struct eval_arguments *arguments = evaluation->arguments;
    if (!evaluation->config->settings.pipeline) {
        return error_set(error, STATUS_INVALID,
                         "eval: --families and --correlations: a training file with a pipeline "
                         "expected");
    }
    uint32_t most = arguments->has_families ? FAMILY_ROWS : CORRELATION_ROWS;
    struct row_options *rows = &evaluation->config->rows;
    rows->rows_max = rows->rows_max < most ? rows->rows_max : most;
    if (arguments->has_correlations) { /* Of all rows, whatever becomes of them. */
        rows->target = TARGET_NONE;
        rows->truth = NULL;
        rows->prefix_count = 0;
    }
    enum status status = make_rows(evaluation, error);
    if (status == STATUS_OK && arguments->has_families) {
        return family_report(evaluation->config, &evaluation->table, stdout, error);
    }
    return status == STATUS_OK ? correlation_report(evaluation->config, &evaluation->table,
                                                    arguments->allow, stdout, error)
                               : status;
}

static enum status evaluate_score(struct evaluation *evaluation, struct error *error)
{
    enum status status = choose_score(evaluation, error);
    if (status == STATUS_OK) {
        status = prepare_slices(evaluation, error);
    }
    if (status == STATUS_OK) {
        status = make_rows(evaluation, error);
    }
    if (status == STATUS_OK) {
        status = take_scores(evaluation, error);
    }
    if (status == STATUS_OK) {
        status = make_reference(evaluation, evaluation->config->columns,
                                evaluation->config->column_count, error);
    }
    if (status == STATUS_OK) {
        status = measure(evaluation, error);
    }
    return status == STATUS_OK ? write_reports(evaluation, error) : status;
}

static enum status evaluate(struct evaluation *evaluation, struct error *error)
{
    if (evaluation->arguments->has_families || evaluation->arguments->has_correlations) {
        return report_features(evaluation, error);
    }
    if (evaluation->arguments->score) {
        return evaluate_score(evaluation, error);
    }
    const char *folder =
        evaluation->arguments->pack ? evaluation->arguments->pack : evaluation->config->output;
    if (!folder) {
        return error_set(error, STATUS_INVALID, "eval: --pack DIR expected");
    }
    enum status status = model_pack_load(folder, &evaluation->pack, error);
    if (status == STATUS_OK) {
        status = open_model(evaluation, error);
    }
    if (status == STATUS_OK) {
        status = prepare_slices(evaluation, error);
    }
    if (status == STATUS_OK) {
        status = make_rows(evaluation, error);
    }
    if (status == STATUS_OK) {
        eval_report_note_trained(&evaluation->report, evaluation->pack, &evaluation->table);
        status = score_rows(evaluation, error);
    }
    if (status == STATUS_OK) {
        status =
            make_reference(evaluation, evaluation->columns, evaluation->pack->feature_count, error);
    }
    if (status == STATUS_OK) {
        status = measure(evaluation, error);
    }
    return status == STATUS_OK ? write_reports(evaluation, error) : status;
}

static enum status eval(int argc, char **argv, struct error *error)
{
    struct eval_arguments arguments = {0};
    enum status status = parse(argc, argv, &arguments, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (arguments.is_detection) {
        const struct eval_detection_arguments detection = {arguments.config, arguments.truth,
                                                           arguments.json, arguments.files,
                                                           arguments.file_count};
        return eval_detection(&detection, error);
    }
    struct train_overrides overrides = {
        .files = arguments.files, .file_count = arguments.file_count, .truth = arguments.truth};
    struct train_config config;
    status = train_config_load(arguments.config, &overrides, &config, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct evaluation *evaluation = calloc(1, sizeof(*evaluation));
    if (!evaluation) {
        train_config_release(&config);
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    evaluation->config = &config;
    evaluation->arguments = &arguments;
    status = evaluate(evaluation, error);
    model_unload(evaluation->model);
    model_pack_unload(evaluation->pack);
    row_table_release(&evaluation->table);
    row_slices_release(&evaluation->slices);
    eval_reference_release(&evaluation->report.reference);
    free(evaluation->chances);
    free(evaluation);
    train_config_release(&config);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "measure a pack on labelled history",
    .help = help,
    .run = eval,
};
