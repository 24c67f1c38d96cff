#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/backend_cuda.h"
#include "pipeline/base/log.h"
#include "pipeline/commands/command.h"
#include "pipeline/kafka/kafka_runner.h"
#include "pipeline/run/runner.h"
#include "pipeline/run/summary.h"

#define WORKERS_MAX 256
#define PATH_BYTES 4096
#define KAFKA_STOP_SECONDS_MAX 5

static const char help[] =
    "nudge run CONFIG [--input FILE...] [--output DIR] [--state DIR] [--workers N]\n"
    "          [--follow] [--summary FILE.json]\n"
    "\n"
    "Reads events, and writes alerts, promotions, sessions, decisions and what else the\n"
    "configuration asks for, until the input files end or SIGINT or SIGTERM comes. Run the\n"
    "same command again after a stop or a crash: it goes on where it was, and the outputs\n"
    "are as if nothing had happened.\n"
    "\n"
    "  --input FILE...      input files, each a partition; - is standard input\n"
    "  --output DIR         where the topics go, a folder each\n"
    "  --state DIR          where state and log go; by default DIR/.state below the output\n"
    "  --workers N          threads that share the partitions\n"
    "  --follow             go on at the end of the files as they grow, until a signal comes\n"
    "  --summary FILE.json  the closing summary as JSON\n";

struct run_arguments {
    const char *files[COMMAND_FILES_MAX];
    const char *output;
    const char *state;
    const char *workers;
    const char *summary;
    const char *config;
    size_t file_count;
    bool is_followed;
};

static enum status parse(int argc, char **argv, struct run_arguments *arguments,
                         struct error *error)
{
    struct command_option options[] = {
        {.name = "input",
         .is_repeated = true,
         .values = arguments->files,
         .value_max = COMMAND_FILES_MAX},
        {.name = "output", .values = &arguments->output, .value_max = 1},
        {.name = "state", .values = &arguments->state, .value_max = 1},
        {.name = "workers", .values = &arguments->workers, .value_max = 1},
        {.name = "summary", .values = &arguments->summary, .value_max = 1},
        {.name = "follow", .is_flag = true},
    };
    size_t positional_count;
    enum status status = command_parse(argc, argv, options, sizeof(options) / sizeof(options[0]),
                                       &arguments->config, 1, &positional_count, error);
    if (status == STATUS_OK && positional_count == 0) {
        return error_set(error, STATUS_INVALID,
                         "run: a configuration file expected; see nudge run --help");
    }
    arguments->file_count = options[0].value_count;
    arguments->is_followed = options[5].value_count > 0;
    return status;
}

/* 0: however long it takes. */
static volatile sig_atomic_t stop_seconds_max;

/* A stop that hangs, on a broker that is away, is ended as a kill would: nothing is lost by it. */
static void give_up(int number)
{
    static const char message[] = "nudge: no clean stop in time; the next start recovers\n";
    (void)number;
    (void)!write(STDERR_FILENO, message, sizeof(message) - 1);
    _exit(1);
}

static void stop_on_signal(int number)
{
    (void)number;
    runner_stop();
    (void)alarm((unsigned)stop_seconds_max);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop_on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction late = {.sa_handler = give_up};
    (void)sigemptyset(&late.sa_mask);
    (void)sigaction(SIGALRM, &late, NULL);
}

static enum status read_workers(const struct run_arguments *arguments, uint32_t *workers,
                                struct error *error)
{
    return arguments->workers
               ? command_number("workers", arguments->workers, WORKERS_MAX, workers, error)
               : STATUS_OK;
}

static enum status run_topics(const struct config *config, const struct run_arguments *arguments,
                              struct runner_result *ret_result, struct error *error)
{
    if (arguments->file_count > 0 || arguments->output) {
        return error_set(error, STATUS_INVALID,
                         "--input and --output are for files, and %s has source: kafka",
                         config->path);
    }
    struct kafka_run_options options = {
        .config = config,
        .state_directory = arguments->state          ? arguments->state
                           : config->state.directory ? config->state.directory
                                                     : "nudge-state",
        .workers = (uint32_t)config->run.workers,
        .shows_progress = true,
    };
    enum status status = read_workers(arguments, &options.workers, error);
    stop_seconds_max = KAFKA_STOP_SECONDS_MAX;
    return status == STATUS_OK ? kafka_run(&options, ret_result, error) : status;
}

static enum status run_files(const struct config *config, const struct run_arguments *arguments,
                             struct runner_result *ret_result, struct error *error)
{
    const char *output = arguments->output ? arguments->output : config->output.directory;
    const char *state = arguments->state ? arguments->state : config->state.directory;
    char default_state[PATH_BYTES];
    if (!state) {
        int length = snprintf(default_state, sizeof(default_state), "%s/.state", output);
        if (length >= PATH_BYTES) {
            return error_set(error, STATUS_INVALID, "%s: path too long", output);
        }
        state = default_state;
    }
    bool has_files = arguments->file_count > 0;
    struct runner_options options = {
        .config = config,
        .files = has_files ? arguments->files : (const char *const *)config->input.files.items,
        .file_count = (uint32_t)(has_files ? arguments->file_count : config->input.files.count),
        .output_directory = output,
        .state_directory = state,
        .workers = (uint32_t)config->run.workers,
        .shows_progress = true,
    };
    if (options.file_count == 0) {
        return error_set(error, STATUS_INVALID, "no input: give --input FILE, or input.files in %s",
                         config->path);
    }
    uint32_t streams = 0;
    for (uint32_t i = 0; i < options.file_count; i++) {
        streams += strcmp(options.files[i], "-") == 0;
    }
    if (streams > 1) {
        return error_set(error, STATUS_INVALID,
                         "input: standard input (-) is given %u times, expected once", streams);
    }
    enum status status = read_workers(arguments, &options.workers, error);
    return status == STATUS_OK ? runner_run(&options, ret_result, error) : status;
}

/* A summary that has no place is better refused now than after hours. */
static enum status check_summary(const struct run_arguments *arguments, struct error *error)
{
    struct stat found;
    bool is_folder =
        arguments->summary && stat(arguments->summary, &found) == 0 && S_ISDIR(found.st_mode);
    return is_folder ? error_set(error, STATUS_INVALID,
                                 "--summary: \"%s\": is a folder, expected the name of a file",
                                 arguments->summary)
                     : STATUS_OK;
}

/* The results are the same; that the GPU is gone is for whoever pays for it. */
static void tell_device_failures(void)
{
    struct cuda_facts facts;
    backend_cuda_facts(&facts);
    if (facts.failures > 0) {
        log_line(LOG_WARNING, "device_failed", "models=%llu rows_before=%llu message=\"%s\"",
                 (unsigned long long)facts.failures, (unsigned long long)facts.rows, facts.failure);
    }
}

static enum status run_config(const struct config *config, const struct run_arguments *arguments,
                              struct error *error)
{
    if (!config->has_own_key) {
        log_line(LOG_WARNING, "public_key",
                 "message=\"pseudonyms are made with the built-in key; set privacy.key_file\"");
    }
    log_line(LOG_INFO, "device", "message=\"%s\"", stage_plan_device(config->plan));
    struct runner_result result = {0};
    enum status status = config->input.source == SOURCE_KAFKA
                             ? run_topics(config, arguments, &result, error)
                             : run_files(config, arguments, &result, error);
    tell_device_failures();
    if (status != STATUS_OK) {
        return status;
    }
    summary_print(&result, config, stdout);
    return arguments->summary ? summary_write(&result, config, arguments->summary, error)
                              : STATUS_OK;
}

/* Budgets are shared out among partitions, whose number the brokers know. */
static enum status load(const struct run_arguments *arguments, struct config *ret_config,
                        struct error *error)
{
    enum status status =
        config_load(arguments->config, (uint32_t)arguments->file_count, ret_config, error);
    if (status != STATUS_OK || ret_config->input.source != SOURCE_KAFKA) {
        return status;
    }
    uint32_t partitions = 0;
    status = kafka_run_partitions(ret_config, &partitions, error);
    config_release(ret_config);
    return status == STATUS_OK ? config_load(arguments->config, partitions, ret_config, error)
                               : status;
}

static enum status run(int argc, char **argv, struct error *error)
{
    catch_signals(); /* Before anything that takes time, so that no stop is an abrupt end. */
    struct run_arguments arguments = {0};
    enum status status = parse(argc, argv, &arguments, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct config config;
    status = check_summary(&arguments, error);
    if (status == STATUS_OK) {
        status = load(&arguments, &config, error);
    }
    if (status != STATUS_OK) {
        /* Nothing has begun: a stop that came while brokers were waited for is a clean one. */
        return runner_is_stopping() ? STATUS_OK : status;
    }
    config.input.is_followed = config.input.is_followed || arguments.is_followed;
    status = run_config(&config, &arguments, error);
    config_release(&config);
    return status;
}

const struct command command_run = {
    .name = "run",
    .summary = "read events and act on them",
    .help = help,
    .run = run,
};
