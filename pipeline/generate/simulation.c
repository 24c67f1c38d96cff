#include "pipeline/generate/simulation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipeline/base/hash.h"
#include "pipeline/base/json_text.h"
#include "pipeline/generate/agenda.h"

#define PARTITIONS_MAX 256
#define EVENTS_A_VISIT 7.0 /* On average, bots included: turns events into a rate of visits. */
#define HOUR_MS 3600000
#define DAY_MS 86400000

enum agenda_kind { NEXT_VISIT, VISIT_STEP, EVENT_COMES };

/* How busy the shop is, by hour of day (UTC) and by day of week from Thursday, 1 January 1970. */
static const double hour_weights[24] = {0.45, 0.30, 0.22, 0.18, 0.20, 0.30, 0.50, 0.75,
                                        0.95, 1.05, 1.10, 1.15, 1.20, 1.15, 1.10, 1.10,
                                        1.15, 1.25, 1.45, 1.65, 1.75, 1.60, 1.20, 0.80};
static const double day_weights[7] = {1.0, 0.95, 0.9, 1.1, 1.05, 1.0, 1.0};
#define WEIGHT_MAX (1.75 * 1.1)

struct simulation {
    const struct simulation_options *options;
    struct world world;
    struct random random;
    struct agenda agenda;
    struct event_writer *writers[PARTITIONS_MAX];
    FILE *truth;
    char truth_path[4096];
    struct byte_buffer line;
    struct simulation_result result;
    double visits_a_ms; /* At weight 1. */
};

static double weight_at(int64_t time_ms)
{
    int64_t hour = time_ms / HOUR_MS % 24;
    int64_t day = time_ms / DAY_MS % 7;
    return hour_weights[hour] * day_weights[day];
}

/* Poisson arrivals whose rate follows the weights, by thinning (Lewis and Shedler 1979). */
static int64_t next_arrival(struct simulation *simulation, int64_t time_ms)
{
    double at_ms = (double)time_ms;
    double mean_ms = 1.0 / (simulation->visits_a_ms * WEIGHT_MAX);
    do {
        at_ms += random_exponential(&simulation->random, mean_ms);
    } while (!random_chance(&simulation->random, weight_at((int64_t)at_ms) / WEIGHT_MAX));
    return (int64_t)at_ms;
}

static enum visit_kind draw_kind(struct simulation *simulation)
{
    double drawn = random_unit(&simulation->random) * 1000.0;
    for (int kind = VISIT_HUMAN + 1; kind < VISIT_KIND_COUNT; kind++) {
        double share = visit_kinds[kind].per_thousand * simulation->options->fraud_factor;
        if (drawn < share) {
            return (enum visit_kind)kind;
        }
        drawn -= share;
    }
    return VISIT_HUMAN;
}

static uint64_t draw_shopper(struct simulation *simulation)
{
    const struct simulation_options *options = simulation->options;
    uint64_t rank =
        options->shopper_exponent > 0
            ? random_zipf(&simulation->random, options->shopper_count, options->shopper_exponent)
            : random_below(&simulation->random, options->shopper_count);
    /* Ranks are scattered over the numbers, so that frequent shoppers are not the low ones. */
    return (rank * 2654435761u + 12345u) % options->shopper_count;
}

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "generate: out of memory");
}

static enum status add_visit(struct simulation *simulation, int64_t time_ms, struct error *error)
{
    struct visit *visit = malloc(sizeof(*visit));
    if (!visit) {
        return out_of_memory(error);
    }
    visit_begin(&simulation->world, ++simulation->result.visits, draw_kind(simulation),
                draw_shopper(simulation), time_ms, visit);
    simulation->result.visits_by_kind[visit->kind]++;
    if (!agenda_add(&simulation->agenda, time_ms, VISIT_STEP, visit)) {
        free(visit);
        return out_of_memory(error);
    }
    return STATUS_OK;
}

static uint32_t partition_of(const struct simulation *simulation,
                             const struct generated_event *event)
{
    const char *key =
        event->text[FIELD_USER_ID][0] ? event->text[FIELD_USER_ID] : event->text[FIELD_DEVICE_ID];
    return (uint32_t)(hash64(text_of(key)) % simulation->options->partitions);
}

static enum status write_event(struct simulation *simulation, const struct generated_event *event,
                               struct error *error)
{
    struct simulation_result *result = &simulation->result;
    result->events++;
    result->end_ms = event->time_ms > result->end_ms ? event->time_ms : result->end_ms;
    if (simulation->options->progress && result->events % 100000 == 0) {
        simulation->options->progress(result->events, result->end_ms);
    }
    return event_writer_write(simulation->writers[partition_of(simulation, event)], event, error);
}

/* The event arrives at `time_ms`, later than it happened. */
static enum status send_later(struct simulation *simulation, const struct generated_event *event,
                              int64_t time_ms, struct error *error)
{
    struct generated_event *copy = malloc(sizeof(*copy));
    if (!copy) {
        return out_of_memory(error);
    }
    *copy = *event;
    if (!agenda_add(&simulation->agenda, time_ms, EVENT_COMES, copy)) {
        free(copy);
        return out_of_memory(error);
    }
    return STATUS_OK;
}

static enum status send(struct simulation *simulation, const struct generated_event *event,
                        struct error *error)
{
    const struct simulation_options *options = simulation->options;
    enum status status = STATUS_OK;
    if (random_chance(&simulation->random, options->duplicate_share)) {
        int64_t delay_ms = (int64_t)random_exponential(&simulation->random, 5000.0);
        status = send_later(simulation, event, event->time_ms + delay_ms, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    double drawn = random_unit(&simulation->random);
    if (drawn < options->late_share) {
        double mean_ms = drawn < 0.1 * options->late_share ? 900000.0 : 4000.0;
        int64_t delay_ms = (int64_t)random_exponential(&simulation->random, mean_ms);
        return send_later(simulation, event, event->time_ms + delay_ms, error);
    }
    return write_event(simulation, event, error);
}

/* What happens after a visit: refunds, and the banks' word on payments that were not genuine. */
static enum status follow_up(struct simulation *simulation, struct visit *visit,
                             struct error *error)
{
    if (!visit->has_purchased) {
        return STATUS_OK;
    }
    simulation->result.purchases++;
    bool is_abuse = visit->kind == VISIT_REFUND_ABUSE;
    struct generated_event event = {0};
    bool is_refunded =
        is_abuse || (visit->kind == VISIT_HUMAN && random_chance(&visit->random, 0.03));
    bool is_charged_back = visit->kind == VISIT_STOLEN_CARD ||
                           visit->kind == VISIT_ACCOUNT_TAKEOVER ||
                           visit->kind == VISIT_CARD_TESTING;
    if (is_refunded) {
        double hours = is_abuse ? random_lognormal(&visit->random, 3.0, 0.5)
                                : random_lognormal(&visit->random, 60.0, 0.8);
        visit->time_ms += (int64_t)(hours * HOUR_MS);
        visit_step_refund(visit, &event);
        return send_later(simulation, &event, event.time_ms, error);
    }
    if (is_charged_back) {
        double hours = random_lognormal(&visit->random, 20.0, 1.0);
        visit->time_ms += (int64_t)(hours * HOUR_MS);
        visit_step_chargeback(visit, &event);
        return send_later(simulation, &event, event.time_ms, error);
    }
    return STATUS_OK;
}

static void append_flag(struct byte_buffer *json, const char *name, bool value)
{
    json_append_name(json, name);
    json_append_bool(json, value);
}

static enum status write_truth(struct simulation *simulation, const struct visit *visit,
                               struct error *error)
{
    static const char *const types[SHOPPER_TYPE_COUNT] = {"window", "research", "loyal", "bargain",
                                                          "impulse"};
    const struct visit_kind_info *kind = &visit_kinds[visit->kind];
    struct byte_buffer *json = &simulation->line;
    char id[32];
    (void)snprintf(id, sizeof(id), "v%llx", (unsigned long long)visit->number);
    json->length = 0;
    json_append_raw(json, "{");
    json_append_name(json, "visit");
    json_append_text(json, text_of(id));
    json_append_name(json, "kind");
    json_append_text(json, text_of(kind->name));
    append_flag(json, "bot", kind->is_bot);
    append_flag(json, "fraud", kind->is_fraud);
    json_append_name(json, "shopper_type");
    json_append_text(json, text_of(types[visit->shopper.type]));
    json_append_name(json, "start");
    json_append_long(json, visit->start_ms);
    json_append_name(json, "events");
    json_append_long(json, visit->step);
    append_flag(json, "reached_cart", visit->reached_cart);
    append_flag(json, "purchased", visit->has_purchased);
    append_flag(json, "buys_without_coupon", visit->buys_without_coupon);
    append_flag(json, "buys_with_coupon", visit->buys_with_coupon);
    json_append_raw(json, "}\n");
    if (json->has_failed) {
        return out_of_memory(error);
    }
    if (fwrite(json->bytes, 1, json->length, simulation->truth) != json->length) {
        return error_set(error, STATUS_FATAL, "%s: %s", simulation->truth_path, strerror(errno));
    }
    return STATUS_OK;
}

/* Somebody who left a cart may come back to it, hours later. */
static enum status maybe_return(struct simulation *simulation, struct visit *visit,
                                bool *ret_returns, struct error *error)
{
    *ret_returns = visit->kind == VISIT_HUMAN && visit->cart_count > 0 && !visit->has_purchased &&
                   random_chance(&visit->random, 0.3);
    if (!*ret_returns) {
        return STATUS_OK;
    }
    double hours = random_lognormal(&visit->random, 7.0, 0.9);
    int64_t time_ms = visit->time_ms + (int64_t)(hours * HOUR_MS);
    visit_return(&simulation->world, ++simulation->result.visits, time_ms, visit);
    simulation->result.visits_by_kind[visit->kind]++;
    return agenda_add(&simulation->agenda, time_ms, VISIT_STEP, visit) ? STATUS_OK
                                                                       : out_of_memory(error);
}

/* Takes ownership of the visit. */
static enum status step_visit(struct simulation *simulation, struct visit *visit,
                              struct error *error)
{
    struct generated_event event;
    bool goes_on = visit_step(&simulation->world, visit, &event);
    enum status status = send(simulation, &event, error);
    if (status == STATUS_OK && goes_on) {
        if (agenda_add(&simulation->agenda, visit->time_ms, VISIT_STEP, visit)) {
            return STATUS_OK;
        }
        status = out_of_memory(error);
    }
    bool returns = false;
    if (status == STATUS_OK) {
        status = write_truth(simulation, visit, error);
    }
    if (status == STATUS_OK) {
        status = follow_up(simulation, visit, error);
    }
    if (status == STATUS_OK) {
        status = maybe_return(simulation, visit, &returns, error);
    }
    if (!returns || status != STATUS_OK) {
        free(visit);
    }
    return status;
}

static bool is_over(const struct simulation *simulation, int64_t time_ms)
{
    const struct simulation_options *options = simulation->options;
    return simulation->result.events >= options->event_count ||
           (options->duration_ms > 0 && time_ms >= options->start_ms + options->duration_ms);
}

static enum status play(struct simulation *simulation, struct error *error)
{
    int64_t first_ms = next_arrival(simulation, simulation->options->start_ms);
    if (!agenda_add(&simulation->agenda, first_ms, NEXT_VISIT, NULL)) {
        return out_of_memory(error);
    }
    struct agenda_item item;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && agenda_take(&simulation->agenda, &item)) {
        if (is_over(simulation, item.time_ms)) {
            free(item.object);
            break;
        }
        if (item.kind == NEXT_VISIT) {
            status = add_visit(simulation, item.time_ms, error);
            int64_t next_ms = next_arrival(simulation, item.time_ms);
            if (status == STATUS_OK &&
                !agenda_add(&simulation->agenda, next_ms, NEXT_VISIT, NULL)) {
                status = out_of_memory(error);
            }
        } else if (item.kind == VISIT_STEP) {
            status = step_visit(simulation, item.object, error);
        } else {
            status = write_event(simulation, item.object, error);
            free(item.object);
        }
    }
    /* Visits under way at the end are in the truth as far as they came. */
    while (agenda_take(&simulation->agenda, &item)) {
        if (item.kind == VISIT_STEP && status == STATUS_OK &&
            ((struct visit *)item.object)->step > 0) {
            status = write_truth(simulation, item.object, error);
        }
        free(item.object);
    }
    return status;
}

static enum status open_files(struct simulation *simulation, struct error *error)
{
    const struct simulation_options *options = simulation->options;
    const char *extension = options->format == EVENT_WRITER_AVRO ? "avro" : "jsonl";
    if (mkdir(options->directory, 0777) != 0 && errno != EEXIST) {
        return error_set(error, STATUS_INVALID, "%s: %s", options->directory, strerror(errno));
    }
    for (uint32_t i = 0; i < options->partitions; i++) {
        char path[4096];
        int length =
            options->partitions == 1
                ? snprintf(path, sizeof(path), "%s/events.%s", options->directory, extension)
                : snprintf(path, sizeof(path), "%s/events-%u.%s", options->directory, i, extension);
        if (length < 0 || (size_t)length >= sizeof(path)) {
            return error_set(error, STATUS_INVALID, "%s: path too long", options->directory);
        }
        enum status status =
            event_writer_open(path, options->format, &simulation->writers[i], error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    (void)snprintf(simulation->truth_path, sizeof(simulation->truth_path), "%s/truth.jsonl",
                   options->directory);
    simulation->truth = fopen(simulation->truth_path, "wb");
    return simulation->truth ? STATUS_OK
                             : error_set(error, STATUS_INVALID, "%s: %s", simulation->truth_path,
                                         strerror(errno));
}

static enum status close_files(struct simulation *simulation, enum status status,
                               struct error *error)
{
    for (uint32_t i = 0; i < simulation->options->partitions; i++) {
        enum status closed =
            event_writer_close(simulation->writers[i], status == STATUS_OK ? error : NULL);
        status = status == STATUS_OK ? closed : status;
    }
    if (simulation->truth && fclose(simulation->truth) != 0 && status == STATUS_OK) {
        status = error_set(error, STATUS_FATAL, "%s: %s", simulation->truth_path, strerror(errno));
    }
    return status;
}

enum status simulation_run(const struct simulation_options *options,
                           struct simulation_result *ret_result, struct error *error)
{
    if (options->partitions < 1 || options->partitions > PARTITIONS_MAX) {
        return error_set(error, STATUS_INVALID, "partitions: %u: 1 to %d expected",
                         options->partitions, PARTITIONS_MAX);
    }
    struct simulation *simulation = calloc(1, sizeof(*simulation));
    if (!simulation) {
        return out_of_memory(error);
    }
    int64_t span_ms = options->duration_ms > 0 ? options->duration_ms : DAY_MS;
    simulation->options = options;
    simulation->world = (struct world){
        .seed = options->seed,
        .catalogue = {.seed = options->seed,
                      .item_count = options->item_count,
                      .popularity_exponent = 0.9},
        .shopper_count = options->shopper_count,
        .shift = options->shift,
    };
    simulation->random = random_for(options->seed, 1, 0);
    simulation->visits_a_ms = (double)options->event_count / EVENTS_A_VISIT / (double)span_ms;
    enum status status = open_files(simulation, error);
    if (status == STATUS_OK) {
        status = play(simulation, error);
    }
    status = close_files(simulation, status, error);
    *ret_result = simulation->result;
    agenda_release(&simulation->agenda);
    byte_buffer_release(&simulation->line);
    free(simulation);
    return status;
}
