#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "models/time_split.h"
#include "operators/feature_funnel.h"
#include "pipeline/base/clock.h"
#include "pipeline/base/iso_time.h"
#include "pipeline/commands/command.h"
#include "pipeline/run/cross_validation.h"
#include "pipeline/run/fit.h"
#include "pipeline/run/fit_network.h"
#include "pipeline/run/step_counts.h"
#include "pipeline/run/time_left.h"
#include "pipeline/run/train_config.h"

#define FILES_MAX 1024
#define WARNINGS_SHOWN 40
#define MARKOV_PRIOR_EVENTS 10.0

static const char help[] =
    "nudge train FILE.yaml [--input FILE...] [--truth FILE] [--output DIR] [--from TIME]\n"
    "            [--until TIME]\n"
    "nudge train FILE.yaml --markov FILE [--input FILE...] [--until TIME]\n"
    "nudge train --settings\n"
    "\n"
    "Runs the pipeline over history, so that each row is as it was at that moment, fits a\n"
    "logistic regression, boosted trees, a neural network or an isolation forest to the rows\n"
    "before the held-out time, chooses on those after how strong or how long, and calibrates\n"
    "it there, and writes a pack: the folder appears whole or not at all. The same files,\n"
    "settings and seed give the same pack, bit by bit. Trees are fitted by libxgboost\n"
    "(Debian: libxgboost-dev).\n"
    "\n"
    "  --input FILE...  history, in place of the file's input\n"
    "  --truth FILE     what is known of the visits, for target: truth\n"
    "  --output DIR     the pack, in place of the file's output\n"
    "  --from TIME      sessions that begin before it are left out\n"
    "  --until TIME     no event from this time on is looked at\n"
    "  --markov FILE    counts the steps of sessions instead, and writes their Markov table\n"
    "                   for the setting markov of extract_features\n"
    "  --settings       print what FILE.yaml may say\n";

struct train_arguments {
    const char *files[FILES_MAX];
    const char *truth, *output, *from, *until, *markov, *settings;
    const char *config;
    size_t file_count;
};

static enum status parse(int argc, char **argv, struct train_arguments *arguments,
                         struct error *error)
{
    struct command_option options[] = {
        {.name = "input", .is_repeated = true, .values = arguments->files, .value_max = FILES_MAX},
        {.name = "truth", .values = &arguments->truth, .value_max = 1},
        {.name = "output", .values = &arguments->output, .value_max = 1},
        {.name = "from", .values = &arguments->from, .value_max = 1},
        {.name = "until", .values = &arguments->until, .value_max = 1},
        {.name = "settings", .is_flag = true},
        {.name = "markov", .values = &arguments->markov, .value_max = 1},
    };
    size_t count;
    enum status status = command_parse(argc, argv, options, sizeof(options) / sizeof(options[0]),
                                       &arguments->config, 1, &count, error);
    arguments->file_count = options[0].value_count;
    arguments->settings = options[5].value_count ? "yes" : NULL;
    if (status == STATUS_OK && count == 0 && !arguments->settings) {
        return error_set(error, STATUS_INVALID,
                         "train: a training file expected; see nudge train --help");
    }
    return status;
}

struct training_run {
    const struct train_config *config;
    struct row_table table;
    struct row_counts counts;
    uint8_t *parts; /* [table.count] */
    int64_t held_from_ms;
    struct fit fit;
    struct time_left left;
    uint32_t warnings;
    bool is_terminal;
};

static void show_events(uint64_t events, int64_t time_ms)
{
    char reached[ISO_TIME_BYTES_MAX + 1];
    reached[iso_time_format(time_ms, reached)] = '\0';
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r\033[K%" PRIu64 " events, at %s", events, reached);
    }
}

/* Steps of a stage, at most. */
static double steps_max(const struct train_config *config)
{
    int kind = config->settings.kind;
    return train_kind_is_network(kind) ? fit_network_steps()
           : kind == TRAIN_TREES       ? (double)config->trees.rounds
                                       : (double)config->settings.iterations;
}

static bool show_loss(void *context, uint32_t stage, uint32_t stages, uint32_t iteration,
                      double loss)
{
    struct training_run *run = context;
    double share = ((double)stage + (double)iteration / steps_max(run->config)) / (double)stages;
    double left_s = time_left_s(&run->left, share, clock_monotonic_ns());
    if (run->is_terminal) {
        (void)fprintf(stderr, "\r\033[Kfit %u of %u, step %u", stage + 1, stages, iteration);
        if (!isnan(loss)) { /* There is none where no rows are held out. */
            (void)fprintf(stderr, ", loss %.6f", loss);
        }
        if (!isnan(left_s)) {
            (void)fprintf(stderr, ", at most %.0f s left", left_s);
        }
    }
    return true;
}

static void warn(void *context, const char *message)
{
    struct training_run *run = context;
    if (run->warnings++ < WARNINGS_SHOWN) {
        (void)fprintf(stderr, "%swarning: %s\n", run->is_terminal ? "\r\033[K" : "", message);
    }
}

static enum status make_rows(struct training_run *run, struct error *error)
{
    const struct train_config *config = run->config;
    struct row_options rows = config->rows;
    rows.progress = show_events;
    enum status status = train_config_rows(config, &rows, &run->table, &run->counts, error);
    if (run->is_terminal) {
        (void)fprintf(stderr, "\r\033[K");
    }
    if (status == STATUS_OK && run->table.count == 0) {
        status = error_set(error, STATUS_INVALID,
                           "training: none of %" PRIu64 " events is a row; see prefixes, "
                           "event_types, from, until and gap",
                           run->counts.events);
    }
    return status;
}

static enum status fit_rows(struct training_run *run, struct error *error)
{
    struct row_table *table = &run->table;
    run->parts = calloc((size_t)table->count + 1, 1);
    if (!run->parts) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    enum status status =
        time_split(table, run->config->settings.held_share, run->config->settings.held_gap_ms,
                   run->parts, &run->held_from_ms, error);
    const struct fit_listener listener = {show_loss, warn, run};
    if (status == STATUS_OK) {
        status = fit_make(run->config, table, run->parts, &listener, &run->fit, error);
    }
    if (run->is_terminal) {
        (void)fprintf(stderr, "\r\033[K");
    }
    return status;
}

static enum status write_pack(const struct training_run *run, struct error *error)
{
    const struct train_settings *settings = &run->config->settings;
    char from[ISO_TIME_BYTES_MAX + 1];
    char to[ISO_TIME_BYTES_MAX + 1];
    char hash[32];
    char seed[32];
    char training[512];
    from[iso_time_format(run->counts.first_ms, from)] = '\0';
    to[iso_time_format(run->counts.last_ms, to)] = '\0';
    (void)snprintf(hash, sizeof(hash), "%016" PRIx64, row_table_hash(&run->table));
    (void)snprintf(seed, sizeof(seed), "%" PRId64, settings->seed);
    (void)snprintf(training, sizeof(training),
                   "  rows_max: %" PRId64 "\n  gap: %" PRId64 "ms\n  held_share: %g\n"
                   "  l1: %g\n  positive_weight: %g\n  iterations: %" PRId64 "\n",
                   settings->rows_max, settings->gap_ms, settings->held_share, settings->l1,
                   settings->positive_weight, settings->iterations);
    struct pack_text text = {
        .name = settings->name,
        .version = settings->version,
        .target = row_target_names[settings->target],
        .trained_from = from,
        .trained_to = to,
        .data_hash = hash,
        .seed = seed,
        .training = training,
    };
    return fit_write(&run->fit, run->config, &run->table, run->config->output, &text, error);
}

static void print_result(const struct training_run *run)
{
    uint32_t positives = 0;
    for (uint32_t i = 0; i < run->table.count; i++) {
        positives += run->table.rows[i].label;
    }
    char from[ISO_TIME_BYTES_MAX + 1];
    (void)printf("%" PRIu64 " events, %" PRIu64 " sessions or visits; %u rows, %u positive\n",
                 run->counts.events, run->counts.groups, run->table.count, positives);
    from[iso_time_format(run->held_from_ms, from)] = '\0';
    fit_print(&run->fit, run->config, from, stdout);
}

static enum status validate(const struct training_run *run, struct error *error)
{
    return run->config->settings.folds > 0 ? cross_validate(run->config, &run->table, stdout, error)
                                           : STATUS_OK;
}

static enum status train_all(struct training_run *run, struct error *error)
{
    if (!run->config->output) {
        return error_set(error, STATUS_INVALID,
                         "train: output: a folder expected, in the file or "
                         "as --output");
    }
    enum status status = pack_write_check(run->config->output, error); /* Before hours of work. */
    if (status == STATUS_OK) {
        status = make_rows(run, error);
    }
    if (status == STATUS_OK) {
        status = fit_rows(run, error);
    }
    if (status == STATUS_OK) {
        status = write_pack(run, error);
    }
    if (status == STATUS_OK) {
        print_result(run);
        status = validate(run, error);
    }
    if (status == STATUS_OK) {
        (void)printf("pack: %s\n", run->config->output);
    }
    return status;
}

/* The prior is a common shop's, so that states that hardly ever came up make sense, too. */
static enum status write_markov(const struct train_config *config, const char *path,
                                struct error *error)
{
    struct markov_counts counts;
    struct step_totals totals;
    enum status status =
        step_counts_make(&config->config, (const char *const *)config->files, config->file_count,
                         config->rows.until_ms, config->settings.gap_ms, &counts, &totals, error);
    if (status != STATUS_OK) {
        return status;
    }
    const char *states[EVENT_TYPE_COUNT];
    char from[ISO_TIME_BYTES_MAX + 1];
    char to[ISO_TIME_BYTES_MAX + 1];
    char hash[32];
    struct markov prior;
    struct markov table;
    uint32_t order = (uint32_t)config->settings.markov_order;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        states[type] = event_types[type].name;
    }
    funnel_default_markov(&prior);
    bool is_fitted = markov_fit(&counts, &prior, MARKOV_PRIOR_EVENTS, order, &table);
    uint64_t data_hash = markov_counts_hash(&counts);
    markov_counts_release(&counts);
    if (!is_fitted) {
        return error_set(error, STATUS_FATAL, "train: out of memory");
    }
    from[iso_time_format(totals.first_ms, from)] = '\0';
    to[iso_time_format(totals.last_ms, to)] = '\0';
    (void)snprintf(hash, sizeof(hash), "%016" PRIx64, data_hash);
    const struct markov_text text = {.name = config->settings.name,
                                     .version = config->settings.version,
                                     .trained_from = from,
                                     .trained_to = to,
                                     .data_hash = hash};
    status = markov_pack_write(path, &table, states, &text, error);
    if (status == STATUS_OK) {
        (void)printf("%" PRIu64 " events, %" PRIu64
                     " sessions\nMarkov table: %s: order %u, %u contexts "
                     "of more than one event\n",
                     totals.events, totals.sessions, path, order, table.context_count);
    }
    return status;
}

static enum status train(int argc, char **argv, struct error *error)
{
    struct train_arguments arguments = {0};
    enum status status = parse(argc, argv, &arguments, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (arguments.settings) {
        settings_describe(&train_section, false, stdout);
        settings_describe(&train_trees_section, false, stdout);
        settings_describe(&train_descent_section, false, stdout);
        settings_describe(&eval_section, false, stdout);
        return STATUS_OK;
    }
    struct train_overrides overrides = {
        .files = arguments.files,
        .file_count = arguments.file_count,
        .truth = arguments.truth,
        .output = arguments.output,
        .from = arguments.from,
        .until = arguments.until,
    };
    struct train_config config;
    status = train_config_load(arguments.config, &overrides, &config, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (arguments.markov) {
        status = config.settings.pipeline
                     ? write_markov(&config, arguments.markov, error)
                     : error_set(error, STATUS_INVALID, "train: --markov: a pipeline expected");
        train_config_release(&config);
        return status;
    }
    struct training_run run = {.config = &config, .is_terminal = isatty(STDERR_FILENO)};
    status = train_all(&run, error);
    row_table_release(&run.table);
    free(run.parts);
    fit_release(&run.fit);
    train_config_release(&config);
    return status;
}

const struct command command_train = {
    .name = "train",
    .summary = "fit a model to history and write a pack",
    .help = help,
    .run = train,
};
