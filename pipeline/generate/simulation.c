#include "pipeline/generate/simulation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipeline/base/hash.h"
#include "pipeline/generate/agenda.h"
#include "pipeline/generate/rhythm.h"
#include "pipeline/generate/truth_file.h"

#define PATH_BYTES 4096
#define HOUR_MS 3600000.0

#define PURPOSE_ARRIVALS 1
#define PURPOSE_DELIVERY 2

/* How late events come, on average: the usual ones, and the tenth that come really late. */
#define LATE_MEAN_MS 4000.0
#define VERY_LATE_MEAN_MS 900000.0
#define DUPLICATE_MEAN_MS 5000.0

/* The chance that a genuine payment is disputed, and that goods go back. */
#define HUMAN_CHARGEBACKS 0.0005
#define HUMAN_REFUNDS 0.04
#define FRAUD_CHARGEBACKS 0.85
#define RETURNS 0.3

enum agenda_kind {
    NEXT_VISIT,    /* object: none */
    VISIT_STEP,    /* object: struct visit */
    REFUND_COMES,  /* object: struct visit */
    DISPUTE_COMES, /* object: struct visit */
    EVENT_COMES    /* object: struct waiting_event */
};

/* An event on its way, as it will stand in the file. */
struct waiting_event {
    int64_t event_time_ms;
    uint32_t partition;
    uint32_t length;
    unsigned char bytes[];
};

struct simulation {
    const struct simulation_options *options;
    struct world world;
    struct catalogue catalogue;
    struct zipf shopper_ranks;
    struct rhythm rhythm;
    struct random arrivals, delivery;
    uint64_t visit_number;
    struct agenda agenda;
    struct event_writer *writers[SIMULATION_PARTITIONS_MAX];
    struct truth_file *truth;
    struct generated_event event;
    struct byte_buffer encoded; /* The event. */
    struct simulation_result result;
};

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "generate: out of memory");
}

/* Takes ownership of `object`. */
static enum status plan(struct simulation *simulation, int64_t time_ms, enum agenda_kind kind,
                        void *object, struct error *error)
{
    struct agenda *agenda = &simulation->agenda;
    if (agenda->count >= SIMULATION_PENDING_MAX) {
        free(object);
        return error_set(error, STATUS_INVALID,
                         "generate: more than %u visits and events at the same time; spread the "
                         "events over more days",
                         SIMULATION_PENDING_MAX);
    }
    if (!agenda_add(agenda, time_ms, kind, object)) {
        free(object);
        return out_of_memory(error);
    }
    if (agenda->count > simulation->result.pending_max) {
        simulation->result.pending_max = agenda->count;
    }
    return STATUS_OK;
}

/* Visits in a thousand. */
static double share_of(const struct simulation_options *options, int kind)
{
    return kind == VISIT_STOCK_HOARDING ? options->hoarding
                                        : visit_kinds[kind].per_thousand * options->fraud_factor;
}

static enum visit_kind draw_kind(struct simulation *simulation)
{
    double drawn = random_unit(&simulation->arrivals) * 1000.0;
    for (int kind = VISIT_HUMAN + 1; kind < VISIT_KIND_COUNT; kind++) {
        double share = share_of(simulation->options, kind);
        if (drawn < share) {
            return (enum visit_kind)kind;
        }
        drawn -= share;
    }
    return VISIT_HUMAN;
}

static uint64_t draw_shopper(struct simulation *simulation)
{
    uint64_t rank = zipf_draw(&simulation->shopper_ranks, &simulation->arrivals);
    /* Ranks are scattered over the numbers, so that frequent shoppers are not the low ones. */
    return (rank * 2654435761u + 12345u) % simulation->options->shopper_count;
}

static enum status add_visit(struct simulation *simulation, int64_t time_ms, struct error *error)
{
    struct visit *visit = malloc(sizeof(*visit));
    if (!visit) {
        return out_of_memory(error);
    }
    enum visit_kind kind = draw_kind(simulation);
    visit_begin(&simulation->world, ++simulation->visit_number, kind, draw_shopper(simulation),
                time_ms, visit);
    return plan(simulation, time_ms, VISIT_STEP, visit, error);
}

static uint32_t partition_of(const struct simulation *simulation,
                             const struct generated_event *event)
{
    uint32_t partitions = simulation->options->partitions;
    struct text key = event->text[FIELD_USER_ID].length > 0 ? event->text[FIELD_USER_ID]
                                                            : event->text[FIELD_DEVICE_ID];
    return partitions == 1 ? 0 : (uint32_t)(hash64(key) % partitions);
}

static enum status write_event(struct simulation *simulation, uint32_t partition,
                               int64_t event_time_ms, const void *bytes, size_t length,
                               struct error *error)
{
    struct simulation_result *result = &simulation->result;
    result->events++;
    result->end_ms = event_time_ms > result->end_ms ? event_time_ms : result->end_ms;
    if (simulation->options->progress && result->events % 100000 == 0) {
        simulation->options->progress(result->events, result->end_ms);
    }
    return event_writer_write(simulation->writers[partition], bytes, length, error);
}

/* The event arrives `delay_ms` after it happened. */
static enum status send_later(struct simulation *simulation, uint32_t partition, double delay_ms,
                              struct error *error)
{
    const struct byte_buffer *encoded = &simulation->encoded;
    struct waiting_event *waiting = malloc(sizeof(*waiting) + encoded->length);
    if (!waiting) {
        return out_of_memory(error);
    }
    waiting->event_time_ms = simulation->event.time_ms;
    waiting->partition = partition;
    waiting->length = (uint32_t)encoded->length;
    memcpy(waiting->bytes, encoded->bytes, encoded->length);
    return plan(simulation, waiting->event_time_ms + (int64_t)delay_ms, EVENT_COMES, waiting,
                error);
}

/* simulation->event, in the way that it comes to the shop's log. */
static enum status send(struct simulation *simulation, struct error *error)
{
    const struct simulation_options *options = simulation->options;
    const struct generated_event *event = &simulation->event;
    struct random *random = &simulation->delivery;
    struct byte_buffer *encoded = &simulation->encoded;
    encoded->length = 0;
    event_writer_encode(options->format, event, encoded);
    if (encoded->has_failed) {
        return out_of_memory(error);
    }
    uint32_t partition = partition_of(simulation, event);
    if (random_chance(random, options->duplicate_share)) {
        simulation->result.duplicates++;
        double delay_ms = random_exponential(random, DUPLICATE_MEAN_MS);
        enum status status = send_later(simulation, partition, delay_ms, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    double drawn = random_unit(random);
    if (drawn < options->late_share) {
        bool is_very_late = drawn < 0.1 * options->late_share;
        simulation->result.late_events++;
        return send_later(
            simulation, partition,
            random_exponential(random, is_very_late ? VERY_LATE_MEAN_MS : LATE_MEAN_MS), error);
    }
    return write_event(simulation, partition, event->time_ms, encoded->bytes, encoded->length,
                       error);
}

/* Somebody who left a cart may come back to it, hours later. Takes ownership of the visit. */
static enum status maybe_return(struct simulation *simulation, struct visit *visit,
                                struct error *error)
{
    bool returns = visit->kind == VISIT_HUMAN && visit->cart_count > 0 &&
                   random_chance(&visit->random, RETURNS);
    if (!returns) {
        free(visit);
        return STATUS_OK;
    }
    double hours = random_lognormal(&visit->random, 7.0, 0.9);
    int64_t time_ms = visit->time_ms + (int64_t)(hours * HOUR_MS);
    visit_return(&simulation->world, ++simulation->visit_number, time_ms, visit);
    return plan(simulation, time_ms, VISIT_STEP, visit, error);
}

/*
 * What happens after a purchase: refunds, and the banks' word on payments that were not genuine.
 * Takes ownership of the visit.
 */
static enum status follow_up(struct simulation *simulation, struct visit *visit,
                             struct error *error)
{
    struct random *random = &visit->random;
    bool is_human = visit->kind == VISIT_HUMAN;
    bool is_abuse = visit->kind == VISIT_REFUND_ABUSE;
    bool is_theft = visit->kind == VISIT_STOLEN_CARD || visit->kind == VISIT_ACCOUNT_TAKEOVER ||
                    visit->kind == VISIT_CARD_TESTING;
    double refunds = is_abuse ? 1.0 : is_human ? HUMAN_REFUNDS : 0.0;
    double disputes = is_theft ? FRAUD_CHARGEBACKS : is_human ? HUMAN_CHARGEBACKS : 0.0;
    double hours;
    enum agenda_kind kind;
    if (random_chance(random, refunds)) {
        kind = REFUND_COMES;
        hours = is_abuse ? random_lognormal(random, 8.0 * (1.0 + simulation->world.shift), 0.7)
                         : random_lognormal(random, 40.0, 0.8);
    } else if (random_chance(random, disputes)) {
        kind = DISPUTE_COMES;
        hours = random_lognormal(random, 20.0, 1.0);
    } else {
        free(visit);
        return STATUS_OK;
    }
    visit->time_ms += (int64_t)(hours * HOUR_MS);
    return plan(simulation, visit->time_ms, kind, visit, error);
}

/* Takes ownership of the visit. */
static enum status end_visit(struct simulation *simulation, struct visit *visit,
                             struct error *error)
{
    enum status status = truth_file_write(simulation->truth, visit, true, error);
    if (status != STATUS_OK) {
        free(visit);
        return status;
    }
    if (visit->has_purchased) {
        simulation->result.purchases++;
        return follow_up(simulation, visit, error);
    }
    return maybe_return(simulation, visit, error);
}

/* Takes ownership of the visit. */
static enum status step_visit(struct simulation *simulation, struct visit *visit,
                              struct error *error)
{
    if (visit->step == 0) {
        simulation->result.visits++;
        simulation->result.visits_by_kind[visit->kind]++;
    }
    bool goes_on = visit_step(&simulation->world, visit, &simulation->event);
    enum status status = send(simulation, error);
    if (status != STATUS_OK) {
        free(visit);
        return status;
    }
    return goes_on ? plan(simulation, visit->time_ms, VISIT_STEP, visit, error)
                   : end_visit(simulation, visit, error);
}

/* Takes ownership of the item's object. */
static enum status play_item(struct simulation *simulation, const struct agenda_item *item,
                             struct error *error)
{
    enum status status;
    switch ((enum agenda_kind)item->kind) {
    case NEXT_VISIT: {
        status = add_visit(simulation, item->time_ms, error);
        int64_t next_ms = rhythm_next(&simulation->rhythm, &simulation->arrivals, item->time_ms);
        return status == STATUS_OK ? plan(simulation, next_ms, NEXT_VISIT, NULL, error) : status;
    }
    case VISIT_STEP:
        return step_visit(simulation, item->object, error);
    case EVENT_COMES: {
        struct waiting_event *waiting = item->object;
        status = write_event(simulation, waiting->partition, waiting->event_time_ms, waiting->bytes,
                             waiting->length, error);
        break;
    }
    case REFUND_COMES:
        visit_step_refund(item->object, &simulation->event);
        status = send(simulation, error);
        break;
    default:
        visit_step_chargeback(item->object, &simulation->event);
        status = send(simulation, error);
        break;
    }
    free(item->object);
    return status;
}

static enum status play(struct simulation *simulation, struct error *error)
{
    int64_t first_ms =
        rhythm_next(&simulation->rhythm, &simulation->arrivals, simulation->options->start_ms);
    enum status status = plan(simulation, first_ms, NEXT_VISIT, NULL, error);
    struct agenda_item item;
    while (status == STATUS_OK && simulation->result.events < simulation->options->event_count &&
           agenda_take(&simulation->agenda, &item)) {
        status = play_item(simulation, &item, error);
    }
    /* Visits under way at the end are in the truth as far as they came. */
    while (agenda_take(&simulation->agenda, &item)) {
        const struct visit *visit = item.object;
        if (item.kind == VISIT_STEP && status == STATUS_OK && visit->step > 0) {
            status = truth_file_write(simulation->truth, visit, false, error);
        }
        free(item.object);
    }
    return status;
}

/* `number` below 0: the name has none. */
static enum status make_path(const struct simulation_options *options, const char *name, int number,
                             const char *extension, char path[PATH_BYTES], struct error *error)
{
    char suffix[16] = "";
    if (number >= 0) {
        (void)snprintf(suffix, sizeof(suffix), "-%d", number);
    }
    int length =
        snprintf(path, PATH_BYTES, "%s/%s%s.%s", options->directory, name, suffix, extension);
    return length < PATH_BYTES
               ? STATUS_OK
               : error_set(error, STATUS_INVALID, "%.64s...: path too long", options->directory);
}

static enum status open_files(struct simulation *simulation, struct error *error)
{
    const struct simulation_options *options = simulation->options;
    const char *extension = options->format == EVENT_WRITER_AVRO ? "avro" : "jsonl";
    char path[PATH_BYTES];
    if (mkdir(options->directory, 0777) != 0 && errno != EEXIST) {
        /* Cut, so that the reason is not, however long the name is. */
        return error_set(error, STATUS_INVALID, "%.256s: %s", options->directory, strerror(errno));
    }
    enum status status = make_path(options, "truth", -1, "jsonl", path, error);
    if (status == STATUS_OK) {
        status = truth_file_open(path, &simulation->truth, error);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < options->partitions; i++) {
        int number = options->partitions == 1 ? -1 : (int)i;
        status = make_path(options, "events", number, extension, path, error);
        if (status == STATUS_OK) {
            status = event_writer_open(path, options->format, &simulation->writers[i], error);
        }
    }
    return status;
}

static enum status close_files(struct simulation *simulation, enum status status,
                               struct error *error)
{
    for (uint32_t i = 0; i < simulation->options->partitions; i++) {
        enum status closed =
            event_writer_close(simulation->writers[i], status == STATUS_OK ? error : NULL);
        status = status == STATUS_OK ? closed : status;
    }
    enum status closed = truth_file_close(simulation->truth, status == STATUS_OK ? error : NULL);
    return status == STATUS_OK ? closed : status;
}

/* How many visits give so many events. */
static double expected_visits(const struct simulation_options *options)
{
    double humans = 1000.0, events = 0;
    for (int kind = VISIT_HUMAN + 1; kind < VISIT_KIND_COUNT; kind++) {
        double share = share_of(options, kind);
        humans -= share;
        events += share * visit_kinds[kind].events_mean * (1.0 + options->shift);
    }
    humans = humans < 0 ? 0 : humans;
    events += humans * visit_kinds[VISIT_HUMAN].events_mean;
    return (double)options->event_count / (events / 1000.0 * (1.0 + options->duplicate_share));
}

static void begin(struct simulation *simulation, const struct simulation_options *options)
{
    simulation->options = options;
    catalogue_init(&simulation->catalogue, options->seed, options->item_count);
    simulation->world = (struct world){
        .seed = options->seed,
        .catalogue = &simulation->catalogue,
        .shopper_count = options->shopper_count,
        .shift = options->shift,
    };
    simulation->shopper_ranks = zipf_make(options->shopper_count, options->shopper_exponent);
    simulation->rhythm =
        rhythm_make(expected_visits(options), options->start_ms, options->duration_ms);
    simulation->arrivals = random_for(options->seed, PURPOSE_ARRIVALS, 0);
    simulation->delivery = random_for(options->seed, PURPOSE_DELIVERY, 0);
}

enum status simulation_run(const struct simulation_options *options,
                           struct simulation_result *ret_result, struct error *error)
{
    if (options->partitions < 1 || options->partitions > SIMULATION_PARTITIONS_MAX) {
        return error_set(error, STATUS_INVALID, "partitions: %u: 1 to %d expected",
                         options->partitions, SIMULATION_PARTITIONS_MAX);
    }
    struct simulation *simulation = calloc(1, sizeof(*simulation));
    if (!simulation) {
        return out_of_memory(error);
    }
    begin(simulation, options);
    enum status status = open_files(simulation, error);
    if (status == STATUS_OK) {
        status = play(simulation, error);
    }
    status = close_files(simulation, status, error);
    *ret_result = simulation->result;
    agenda_release(&simulation->agenda);
    byte_buffer_release(&simulation->encoded);
    free(simulation);
    return status;
}
