#include "pipeline/kafka/kafka_slot.h"

#include <stdio.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/kafka/kafka_backoff.h"

bool kafka_slot_is_hop(const struct kafka_slot *slot)
{
    return slot->ends.hop_options != NULL;
}

const struct config *kafka_slot_config(const struct kafka_slot *slot)
{
    return kafka_slot_is_hop(slot) ? slot->shared->hop_config : slot->shared->config;
}

/* ---- opening ---- */

static void *open_slot(void *context)
{
    struct kafka_slot *slot = context;
    const struct kafka_shared *shared = slot->shared;
    struct partition_options options = {
        .config = kafka_slot_config(slot),
        .ends = &slot->ends.ends,
        .hop = kafka_slot_is_hop(slot) ? slot->hop.kind : ENTITY_USER,
        .file = slot->ends.topics->inputs[0],
        .name = slot->held.name,
        .count = shared->partition_count,
        .origin_count = shared->topics->sources ? shared->partition_count : 0,
        .state_directory = shared->state_directory,
        .budget = shared->budget,
        .cache_bytes = shared->cache_bytes,
        .output_bytes = shared->output_bytes,
    };
    slot->open_status =
        partition_open(&options, &slot->held.layout, &slot->held.task, &slot->open_error);
    atomic_store(&slot->is_ready, true);
    return NULL;
}

static void put_off(struct kafka_slot *slot)
{
    slot->retry_ns = kafka_retry_ns(slot->failures, slot->ends.partition);
}

void kafka_slot_close_metrics(struct kafka_slot *slot)
{
    kafka_partition_metrics_remove(&slot->ends.metrics);
    kafka_client_metrics_remove(&slot->ends.producer_metrics);
}

/* False: another worker of this process has not closed the partition yet. */
static bool open_metrics(struct kafka_slot *slot)
{
    struct metrics *registry = run_metrics_registry(slot->shared->metrics);
    char client[32];
    (void)snprintf(client, sizeof(client), "producer-%s", slot->held.name);
    kafka_slot_close_metrics(slot);
    struct error ignored;
    bool is_open = kafka_partition_metrics_add(registry, slot->held.name, &slot->ends.metrics,
                                               &ignored) == STATUS_OK &&
                   kafka_client_metrics_add(registry, client, &slot->ends.producer_metrics,
                                            &ignored) == STATUS_OK;
    if (!is_open) {
        kafka_slot_close_metrics(slot);
    }
    return is_open;
}

void kafka_slot_begin_opening(struct kafka_slot *slot, rd_kafka_t *member, rd_kafka_t *fetcher)
{
    slot->ends.member = member;
    slot->ends.fetcher = fetcher;
    atomic_store(&slot->ends.is_cancelled, false);
    atomic_store(&slot->is_ready, false);
    slot->held.task = NULL;
    if (!open_metrics(slot)) {
        put_off(slot);
        return;
    }
    if (pthread_create(&slot->opener, NULL, open_slot, slot) == 0) {
        slot->state = SLOT_OPENING;
    } else {
        kafka_slot_close_metrics(slot);
        slot->retry_ns = clock_monotonic_ns() + KAFKA_RETRY_MS_MIN * 1000000u;
    }
}

enum status kafka_slot_failed(struct kafka_slot *slot, enum status status, const char *doing,
                              struct error *error)
{
    log_line(LOG_WARNING, "partition_failed", "partition=%s doing=%s failures=%u message=\"%s\"",
             slot->held.name, doing, slot->failures, error->message);
    if (status == STATUS_CORRUPT) {
        status = kafka_store_found_corrupt(&slot->ends.health, clock_monotonic_ns(), error);
        slot->retry_ns = 0;
        return status == STATUS_OK ? STATUS_OK
                                   : error_prefix(error, status, "partition %s", slot->held.name);
    }
    slot->failures += status == STATUS_RETRY ? 0 : 1;
    put_off(slot);
    bool is_final = status == STATUS_INVALID || slot->failures > KAFKA_FAILURES_MAX;
    return is_final ? error_prefix(error, status, "partition %s", slot->held.name) : STATUS_OK;
}

uint64_t kafka_slot_outputs(const struct kafka_slot *slot)
{
    if (kafka_slot_is_hop(slot)) {
        return kafka_hop_sent(slot->ends.hop);
    }
    struct task_progress progress = task_progress(slot->held.task);
    uint64_t count = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        count += progress.counters.outputs[topic];
    }
    return count;
}

static void drop_task(struct kafka_slot *slot)
{
    task_destroy(slot->held.task);
    slot->held.task = NULL;
    kafka_ends_close(&slot->ends);
}

static void begin_running(struct kafka_slot *slot)
{
    slot->open_status = partition_metrics_create(slot->shared->metrics, slot->held.name,
                                                 &slot->held.metrics, &slot->open_error);
    if (slot->open_status != STATUS_OK) {
        drop_task(slot);
        return;
    }
    slot->state = SLOT_OPEN;
    held_partition_begin(&slot->held);
    kafka_store_opened(&slot->ends.health, clock_monotonic_ns());
    slot->haste.outputs_committed = kafka_slot_outputs(slot);
    kafka_partition_metrics_publish(&slot->ends.metrics, true, &slot->ends.progress);
}

enum status kafka_slot_finish_opening(struct kafka_slot *slot, struct error *error)
{
    (void)pthread_join(slot->opener, NULL);
    slot->state = SLOT_EMPTY;
    if (slot->open_status != STATUS_OK) {
        kafka_ends_close(&slot->ends);
    } else if (slot->is_wanted) {
        begin_running(slot);
    } else {
        drop_task(slot);
    }
    if (slot->state == SLOT_EMPTY) {
        /* Whoever has it next, be it another worker, has them as well. */
        kafka_slot_close_metrics(slot);
    }
    if (slot->open_status == STATUS_OK || !slot->is_wanted) {
        return STATUS_OK;
    }
    *error = slot->open_error;
    return kafka_slot_failed(slot, slot->open_status, "open", error);
}

void kafka_slot_cancel_opening(struct kafka_slot *slot)
{
    atomic_store(&slot->ends.is_cancelled, true);
    (void)pthread_join(slot->opener, NULL);
    drop_task(slot);
    kafka_slot_close_metrics(slot);
    slot->state = SLOT_EMPTY;
}

/* ---- closing ---- */

void kafka_slot_close(struct kafka_slot *slot, struct runner_result *result, bool is_last)
{
    struct task_counters counters = result->counters;
    if (!is_last) { /* Counters are of the partition's whole life: who has it last tells them. */
        slot->held.stage_counter_count = 0;
    }
    if (!kafka_slot_is_hop(slot)) { /* The same events are counted where they come to their user. */
        held_partition_collect(&slot->held, result);
    }
    if (!is_last) {
        result->counters = counters;
    }
    partition_metrics_destroy(slot->held.metrics);
    slot->held.metrics = NULL;
    kafka_partition_metrics_remove(&slot->ends.metrics);
    drop_task(slot);
    kafka_slot_close_metrics(slot); /* The producer, which is gone now, wrote some. */
    slot->state = SLOT_EMPTY;
}

bool kafka_slot_is_running(const struct kafka_slot *slot)
{
    return slot->state == SLOT_OPEN || slot->state == SLOT_FINISHED;
}

static void init_route(struct kafka_slot *slot)
{
    const struct kafka_shared *shared = slot->shared;
    slot->route.registry = run_metrics_registry(shared->metrics);
    slot->route.options = (struct kafka_route_options){
        .setup = shared->route_setup,
        .topics = shared->topics->sources,
        .format = kafka_ends_format(shared->config, shared->registry),
        .schema = shared->input_schema,
        .registry = shared->registry,
        .mapping = shared->config->mapping,
        .partition = slot->ends.partition,
        .partition_count = shared->partition_count,
        .target = shared->hop_count > 0 ? shared->hops[0].options.kind : ENTITY_USER,
        .max_ahead_ms = shared->config->input.max_ahead_ms,
        .commit_interval_ms = shared->config->commit.interval_ms,
    };
}

void kafka_slot_init(struct kafka_slot *slot, const struct kafka_shared *shared, uint32_t index)
{
    uint32_t partition = index % shared->partition_count;
    uint32_t hop = index / shared->partition_count; /* One more than its number. */
    slot->shared = shared;
    slot->ends.setup = hop > 0 ? &shared->hops[hop - 1].setup : shared->setup;
    slot->ends.topics = hop > 0 ? &shared->hops[hop - 1].topics : shared->topics;
    slot->ends.input_schema = shared->input_schema;
    slot->ends.registry = shared->registry;
    slot->ends.partition = (int32_t)partition;
    slot->ends.ends.is_finite = shared->setup->options->ends && hop == 0;
    slot->held.source = slot->ends.topics->inputs[0];
    kafka_ends_init(&slot->ends);
    if (hop > 0) {
        slot->hop = shared->hops[hop - 1].options;
        slot->hop.partition = (int32_t)partition;
        slot->ends.hop_options = &slot->hop;
        (void)snprintf(slot->held.name, sizeof(slot->held.name), "%s-%u",
                       entity_names[slot->hop.kind], partition);
    } else {
        (void)snprintf(slot->held.name, sizeof(slot->held.name), "%u", partition);
        init_route(slot);
    }
}
