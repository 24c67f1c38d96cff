#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/base/iso_time.h"
#include "pipeline/commands/command.h"
#include "pipeline/generate/simulation.h"

static const char help[] =
    "nudge generate --output DIR [--events N] [--users N] [--seed N] [...]\n"
    "\n"
    "Simulates a shop's traffic: shoppers, bots and fraud. Writes DIR/events.avro (or .jsonl,\n"
    "or events-0, events-1 and so on, one file a partition) and DIR/truth.jsonl, which says of\n"
    "each visit what it was and what the shopper would have done with and without a coupon.\n"
    "DIR is made if it is missing. The same options give the same files.\n"
    "\n"
    "  --output DIR      where the files go\n"
    "  --events N        events to write, copies included (default 1000000)\n"
    "  --users N         shoppers (default 100000)\n"
    "  --items N         products (default 50000)\n"
    "  --days X          event time that the events spread over, about (default 1)\n"
    "  --start N         first event time in ms since 1970 (default 1 June 2026)\n"
    "  --seed N          (default 1)\n"
    "  --zipf X          how unequally often shoppers come; 0: equally (default 0.8)\n"
    "  --fraud X         factor on the shares of bots and fraud (default 1)\n"
    "  --hoarding X      visits in a thousand by programs that hoard stock in carts, a kind of\n"
    "                    fraud that is in no traffic without it (default 0)\n"
    "  --shift X         paces, lengths and counts of all kinds of visitors times 1 + X,\n"
    "                    -0.5 to 0.5 (default 0)\n"
    "  --late X          share of events that come seconds late, a tenth of them minutes\n"
    "                    (default 0.01)\n"
    "  --duplicates X    share of events that come twice (default 0.003)\n"
    "  --partitions N    files, divided by user (default 1)\n"
    "  --format F        avro or jsonl (default avro)\n"
    "\n"
    "Fields of truth.jsonl, one line a visit, those under way at the end included:\n"
    "  visit                the event ids of the visit are this, a hyphen and a number\n"
    "  kind                 human, crawler, scraping, account_takeover, card_testing,\n"
    "                       stolen_card, refund_abuse, coupon_farming, stock_hoarding\n"
    "  bot, fraud           what the kind is\n"
    "  shopper              who it is, or whose account it is in; null: neither\n"
    "  shopper_type         window, research, loyal, bargain, impulse; null with shopper\n"
    "  start                first event time in ms since 1970\n"
    "  events               events, without copies and without refunds and labels afterwards\n"
    "  complete             false: still under way when the events were written\n"
    "  reached_cart         filled a cart, came back to one, or bought at once\n"
    "  purchased            at least one purchase\n"
    "  coupon_shown         the shop gave it a coupon, by lot\n"
    "  buys_without_coupon  what a shopper that reached the cart does without a coupon,\n"
    "  buys_with_coupon     and with one; others than humans: as purchased\n";

struct generate_arguments {
    const char *output, *events, *users, *items, *days, *start, *seed, *zipf, *fraud, *shift;
    const char *late, *duplicates, *partitions, *format, *hoarding;
};

struct number_option {
    const char *name;
    const char *text;
    double min, max, fallback;
    bool is_whole;
    double value;
};

static enum status read_number(struct number_option *option, struct error *error)
{
    option->value = option->fallback;
    if (!option->text) {
        return STATUS_OK;
    }
    char *end;
    errno = 0;
    double number = strtod(option->text, &end);
    bool is_number = errno == 0 && end != option->text && *end == '\0';
    bool is_allowed = is_number && number >= option->min && number <= option->max &&
                      !(option->is_whole && floor(number) != number);
    if (!is_allowed) {
        return error_set(error, STATUS_INVALID,
                         "--%s: \"%s\": a %snumber from %.15g to %.15g expected", option->name,
                         option->text, option->is_whole ? "whole " : "", option->min, option->max);
    }
    option->value = number;
    return STATUS_OK;
}

static enum status read_options(const struct generate_arguments *arguments,
                                struct simulation_options *options, struct error *error)
{
    struct number_option numbers[] = {
        {"events", arguments->events, 1, 1e12, 1e6, true, 0},
        {"users", arguments->users, 1, 1e9, 1e5, true, 0},
        {"items", arguments->items, 10, 1e9, 5e4, true, 0},
        {"days", arguments->days, 0.01, 3650, 1, false, 0},
        {"start", arguments->start, 946684800000.0, 4102444800000.0, 1780272000000.0, true, 0},
        {"seed", arguments->seed, 0, 9e15, 1, true, 0},
        {"zipf", arguments->zipf, 0, 3, 0.8, false, 0},
        {"fraud", arguments->fraud, 0, 20, 1, false, 0},
        {"shift", arguments->shift, -0.5, 0.5, 0, false, 0},
        {"late", arguments->late, 0, 1, 0.01, false, 0},
        {"duplicates", arguments->duplicates, 0, 1, 0.003, false, 0},
        {"partitions", arguments->partitions, 1, 256, 1, true, 0},
        {"hoarding", arguments->hoarding, 0, 100, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct number_option *number = &numbers[i];
        enum status status = read_number(number, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    bool is_jsonl = arguments->format && strcmp(arguments->format, "jsonl") == 0;
    if (arguments->format && !is_jsonl && strcmp(arguments->format, "avro") != 0) {
        return error_set(error, STATUS_INVALID, "--format: \"%s\": avro or jsonl expected",
                         arguments->format);
    }
    /* An exponent of exactly 1 has another formula; next to it nobody sees the difference. */
    double zipf = numbers[6].value == 1 ? 1.000001 : numbers[6].value;
    *options = (struct simulation_options){
        .event_count = (uint64_t)numbers[0].value,
        .shopper_count = (uint64_t)numbers[1].value,
        .item_count = (uint64_t)numbers[2].value,
        .duration_ms = (int64_t)(numbers[3].value * 86400000.0),
        .start_ms = (int64_t)numbers[4].value,
        .seed = (uint64_t)numbers[5].value,
        .shopper_exponent = zipf,
        .fraud_factor = numbers[7].value,
        .shift = numbers[8].value,
        .late_share = numbers[9].value,
        .duplicate_share = numbers[10].value,
        .partitions = (uint32_t)numbers[11].value,
        .hoarding = numbers[12].value,
        .format = is_jsonl ? EVENT_WRITER_JSONL : EVENT_WRITER_AVRO,
        .directory = arguments->output,
    };
    return STATUS_OK;
}

static void show_progress(uint64_t events, int64_t time_ms)
{
    char reached[40];
    reached[iso_time_format(time_ms, reached)] = '\0';
    (void)fprintf(stderr, "\r\033[K%llu events, at %s", (unsigned long long)events, reached);
}

static enum status generate(int argc, char **argv, struct error *error)
{
    struct generate_arguments arguments = {0};
#define OPTION(member)                                                                             \
    {                                                                                              \
        .name = #member, .values = &arguments.member, .value_max = 1                               \
    }
    struct command_option options[] = {
        OPTION(output), OPTION(events), OPTION(users),      OPTION(items),      OPTION(days),
        OPTION(start),  OPTION(seed),   OPTION(zipf),       OPTION(fraud),      OPTION(shift),
        OPTION(late),   OPTION(format), OPTION(duplicates), OPTION(partitions), OPTION(hoarding),
    };
#undef OPTION
    size_t positional_count;
    enum status status = command_parse(argc, argv, options, sizeof(options) / sizeof(options[0]),
                                       NULL, 0, &positional_count, error);
    if (status == STATUS_OK && !arguments.output) {
        return error_set(error, STATUS_INVALID,
                         "generate: --output DIR expected; see nudge generate --help");
    }
    struct simulation_options simulation;
    if (status == STATUS_OK) {
        status = read_options(&arguments, &simulation, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_terminal = isatty(STDERR_FILENO);
    simulation.progress = is_terminal ? show_progress : NULL;
    struct simulation_result result;
    status = simulation_run(&simulation, &result, error);
    if (is_terminal) {
        (void)fputc('\n', stderr);
    }
    if (status != STATUS_OK) {
        return status;
    }
    (void)printf("%llu events of %llu visits in %s\n", (unsigned long long)result.events,
                 (unsigned long long)result.visits, simulation.directory);
    for (int kind = 0; kind < VISIT_KIND_COUNT; kind++) {
        (void)printf("  %-18s %10llu\n", visit_kinds[kind].name,
                     (unsigned long long)result.visits_by_kind[kind]);
    }
    return STATUS_OK;
}

const struct command command_generate = {
    .name = "generate",
    .summary = "simulate a shop's traffic, with the truth beside it",
    .help = help,
    .run = generate,
};
