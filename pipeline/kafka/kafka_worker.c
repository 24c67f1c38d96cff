#include "pipeline/kafka/kafka_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/kafka/kafka_backoff.h"

#define POLL_EVERY_NS UINT64_C(500000000)
/* How long commits may take before a partition is given up without. */
#define COMMIT_NS_MAX (8ull * 1000000000u)

static void pause_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&wait, NULL);
}

static bool is_hop(const struct kafka_slot *slot)
{
    return slot->ends.hop_options != NULL;
}

static const struct config *config_of(const struct kafka_slot *slot)
{
    return is_hop(slot) ? slot->shared->hop_config : slot->shared->config;
}

/* ---- opening ---- */

static void *open_slot(void *context)
{
    struct kafka_slot *slot = context;
    const struct kafka_shared *shared = slot->shared;
    struct partition_options options = {
        .config = config_of(slot),
        .ends = &slot->ends.ends,
        .hop = is_hop(slot) ? slot->hop.kind : ENTITY_USER,
        .file = slot->ends.topics->inputs[0],
        .name = slot->held.name,
        .count = shared->partition_count,
        .origin_count = shared->topics->sources ? shared->partition_count : 0,
        .state_directory = shared->state_directory,
        .budget = shared->budget,
        .cache_bytes = shared->cache_bytes,
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

static void close_metrics(struct kafka_slot *slot)
{
    kafka_partition_metrics_remove(&slot->ends.metrics);
    kafka_client_metrics_remove(&slot->ends.producer_metrics);
}

/* False: another worker of this process has not closed the partition yet. */
static bool open_metrics(const struct kafka_worker *worker, struct kafka_slot *slot)
{
    struct metrics *registry = run_metrics_registry(worker->shared->metrics);
    char client[32];
    (void)snprintf(client, sizeof(client), "producer-%s", slot->held.name);
    close_metrics(slot);
    struct error ignored;
    bool is_open = kafka_partition_metrics_add(registry, slot->held.name, &slot->ends.metrics,
                                               &ignored) == STATUS_OK &&
                   kafka_client_metrics_add(registry, client, &slot->ends.producer_metrics,
                                            &ignored) == STATUS_OK;
    if (!is_open) {
        close_metrics(slot);
    }
    return is_open;
}

static void begin_opening(struct kafka_worker *worker, struct kafka_slot *slot)
{
    slot->ends.member = worker->membership.member;
    slot->ends.fetcher = worker->fetcher;
    atomic_store(&slot->ends.is_cancelled, false);
    atomic_store(&slot->is_ready, false);
    slot->held.task = NULL;
    if (!open_metrics(worker, slot)) {
        put_off(slot);
        return;
    }
    if (pthread_create(&slot->opener, NULL, open_slot, slot) == 0) {
        slot->state = SLOT_OPENING;
    } else {
        close_metrics(slot);
        slot->retry_ns = clock_monotonic_ns() + KAFKA_RETRY_MS_MIN * 1000000u;
    }
}

/* A slot whose task failed. Fails the worker where trying again is of no use. */
static enum status handle_failure(struct kafka_slot *slot, enum status status, const char *doing,
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

static uint64_t count_outputs(const struct kafka_slot *slot)
{
    if (is_hop(slot)) {
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

static void finish_opening(struct kafka_worker *worker, struct kafka_slot *slot)
{
    (void)pthread_join(slot->opener, NULL);
    slot->state = SLOT_EMPTY;
    if (slot->open_status != STATUS_OK) {
        kafka_ends_close(&slot->ends);
    }
    if (slot->open_status == STATUS_OK && slot->is_wanted) {
        slot->open_status = partition_metrics_create(worker->shared->metrics, slot->held.name,
                                                     &slot->held.metrics, &slot->open_error);
        if (slot->open_status != STATUS_OK) {
            drop_task(slot);
        }
    }
    if (slot->open_status == STATUS_OK && slot->is_wanted) {
        slot->state = SLOT_OPEN;
        held_partition_begin(&slot->held);
        kafka_store_opened(&slot->ends.health, clock_monotonic_ns());
        slot->haste.outputs_committed = count_outputs(slot);
        kafka_partition_metrics_publish(&slot->ends.metrics, true, &slot->ends.progress);
        log_line(LOG_INFO, "partition_opened", "partition=%s worker=%u", slot->held.name,
                 worker->index);
    } else if (slot->open_status == STATUS_OK) {
        drop_task(slot);
    } else if (slot->is_wanted && worker->failure_status == STATUS_OK) {
        worker->failure_status = handle_failure(slot, slot->open_status, "open", &slot->open_error);
        worker->failure = slot->open_error;
    }
    if (slot->state == SLOT_EMPTY) {
        close_metrics(slot); /* Whoever has it next, be it another worker, has them as well. */
    }
}

/* ---- closing ---- */

static void close_slot(struct kafka_worker *worker, struct kafka_slot *slot, bool is_last)
{
    struct task_counters counters = worker->result.counters;
    if (!is_last) { /* Counters are of the partition's whole life: who has it last tells them. */
        slot->held.stage_counter_count = 0;
    }
    if (!is_hop(slot)) { /* The same events are counted where they come to their user. */
        held_partition_collect(&slot->held, &worker->result);
    }
    if (!is_last) {
        worker->result.counters = counters;
    }
    partition_metrics_destroy(slot->held.metrics);
    slot->held.metrics = NULL;
    kafka_partition_metrics_remove(&slot->ends.metrics);
    drop_task(slot);
    close_metrics(slot); /* The producer, which is gone now, wrote some. */
    slot->state = SLOT_EMPTY;
}

static bool is_running(const struct kafka_slot *slot)
{
    return slot->state == SLOT_OPEN || slot->state == SLOT_FINISHED;
}

/* Commits all tasks at the same time. Those that fail are closed as they are. */
static void commit_slots(struct kafka_worker *worker)
{
    uint32_t count = worker->slot_count;
    uint64_t begin_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < count; i++) {
        if (worker->slots[i].state == SLOT_OPEN) {
            task_request_commit(worker->slots[i].held.task);
        }
    }
    bool is_pending = true;
    while (is_pending) {
        is_pending = false;
        bool is_late = clock_monotonic_ns() - begin_ns > COMMIT_NS_MAX;
        for (uint32_t i = 0; i < count; i++) {
            struct kafka_slot *slot = &worker->slots[i];
            if (is_late) {
                kafka_route_slot_drop(&slot->route);
            }
            is_pending = !kafka_route_slot_settle(&slot->route) || is_pending;
            if (slot->state != SLOT_OPEN || task_is_committed(slot->held.task)) {
                continue;
            }
            enum task_state state;
            struct error error;
            enum status status = task_commit_step(slot->held.task, &state, &error);
            if (status != STATUS_OK || is_late) {
                log_line(LOG_WARNING, "partition_dropped", "partition=%s message=\"%s\"",
                         slot->held.name, status != STATUS_OK ? error.message : "commit too slow");
                kafka_log_disown(slot->ends.log);
                close_slot(worker, slot, false);
            } else {
                is_pending = true;
            }
        }
        if (is_pending) {
            pause_ms(1);
        }
    }
}

/* ---- the group ---- */

/* Who has a partition has it of all hops. */
static void want_partition(struct kafka_worker *worker, uint32_t partition)
{
    for (uint32_t i = partition; i < worker->slot_count; i += worker->shared->partition_count) {
        worker->slots[i].is_wanted = true;
    }
}

static void assign_slots(struct kafka_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        worker->slots[i].is_wanted = false;
    }
    for (int i = 0; i < list->cnt; i++) {
        int32_t partition = list->elems[i].partition;
        if (strcmp(list->elems[i].topic, worker->shared->topics->leader) != 0) {
            continue; /* Who has a partition of the leader has it of all. */
        }
        if (partition >= 0 && (uint32_t)partition < worker->shared->partition_count) {
            want_partition(worker, (uint32_t)partition);
        } else {
            log_line(
                LOG_ERROR, "partition_unknown",
                "partition=%d message=\"the topic has grown: create the partitions of the other "
                "topics and start again\"",
                (int)partition);
        }
    }
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        struct kafka_slot *slot = &worker->slots[i];
        if (slot->is_wanted && is_running(slot)) {
            kafka_log_rejoin(slot->ends.log);
        }
        kafka_route_slot_rejoin(&slot->route);
    }
    worker->has_assignment = true;
    log_line(LOG_INFO, "assigned", "worker=%u partitions=%d", worker->index, list->cnt);
}

/* The tasks stay open: most of them come back with the next assignment. */
static void revoke_slots(struct kafka_worker *worker)
{
    bool is_lost = rd_kafka_assignment_lost(worker->membership.member);
    log_line(LOG_INFO, "revoked", "worker=%u lost=%d", worker->index, (int)is_lost);
    kafka_membership_rearranged(&worker->membership);
    if (!is_lost) {
        commit_slots(worker);
    }
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        struct kafka_slot *slot = &worker->slots[i];
        slot->is_wanted = false;
        if (is_lost && is_running(slot)) {
            kafka_log_disown(slot->ends.log);
            close_slot(worker, slot, false);
        }
        if (is_lost) {
            kafka_route_slot_drop(&slot->route);
        }
    }
    worker->has_assignment = false;
}

static void on_rebalance(rd_kafka_t *member, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_worker *worker = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign_slots(worker, list);
        /* The group's member fetches nothing itself. */
        rd_kafka_topic_partition_list_t *nothing = rd_kafka_topic_partition_list_new(0);
        (void)rd_kafka_assign(member, nothing);
        rd_kafka_topic_partition_list_destroy(nothing);
    } else {
        revoke_slots(worker);
        (void)rd_kafka_assign(member, NULL);
    }
}

/* Closes everything, since all of it was opened with a handle that has ended, and joins anew. */
static enum status return_to_group(struct kafka_worker *worker, struct error *error)
{
    log_line(LOG_WARNING, "group_left", "worker=%u message=\"%s\"", worker->index, error->message);
    worker->has_assignment = false;
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        struct kafka_slot *slot = &worker->slots[i];
        slot->is_wanted = false;
        kafka_route_slot_drop(&slot->route);
        if (is_running(slot)) {
            kafka_log_disown(slot->ends.log);
            close_slot(worker, slot, false);
        } else if (slot->state == SLOT_OPENING) {
            atomic_store(&slot->ends.is_cancelled, true);
            finish_opening(worker, slot);
        }
    }
    kafka_membership_leave(&worker->membership);
    /* Where two of one name are at it, they should not be in step. */
    pause_ms(KAFKA_RETRY_MS_MIN +
             (long)(hash64_combine(clock_monotonic_ns(), worker->index) % 1000u));
    return kafka_membership_join(&worker->membership, error);
}

static enum status poll_group(struct kafka_worker *worker, struct error *error)
{
    enum status status = kafka_membership_poll(&worker->membership, error);
    return status == STATUS_RETRY ? return_to_group(worker, error) : status;
}

/* ---- running ---- */

/* Called while the task waits. True: a commit was asked for, and the next step makes it. */
static bool hasten_commit(const struct kafka_worker *worker, struct kafka_slot *slot)
{
    const struct kafka_haste_view view = {
        .is_committing = task_is_committing(slot->held.task),
        .is_committed = task_is_committed(slot->held.task),
        .outputs = count_outputs(slot),
        .now_ns = clock_monotonic_ns(),
        .task_count = worker->open_count,
        .behind = kafka_ends_behind(&slot->ends),
    };
    bool asks = kafka_haste_asks(&slot->haste, &view);
    if (asks) {
        task_request_commit(slot->held.task);
    }
    return asks;
}

static enum status step_slot(struct kafka_worker *worker, struct kafka_slot *slot, bool *ret_waits,
                             struct error *error)
{
    uint64_t commits = task_commits(slot->held.task);
    enum status status = held_partition_step(config_of(slot), &slot->held, ret_waits, error);
    if (status != STATUS_OK) {
        close_slot(worker, slot, false);
        return handle_failure(slot, status, "run", error);
    }
    if (task_commits(slot->held.task) > commits) {
        slot->failures = 0;
        kafka_haste_committed(&slot->haste, count_outputs(slot), clock_monotonic_ns());
    } else if (is_hop(slot) && kafka_hop_is_full(slot->ends.hop) &&
               !task_is_committing(slot->held.task)) {
        task_request_commit(slot->held.task);
    } else if (*ret_waits) {
        *ret_waits = !hasten_commit(worker, slot);
        kafka_ends_serve(&slot->ends);
    }
    kafka_partition_metrics_publish_lag(&slot->ends.metrics, worker->fetcher,
                                        slot->ends.input_topics, &slot->ends.places,
                                        slot->ends.partition);
    kafka_partition_metrics_publish_traces(&slot->ends.metrics, &slot->ends.traces);
    if (slot->held.is_finished) {
        slot->state = SLOT_FINISHED;
    }
    return STATUS_OK;
}

/* Brings what a slot is closer to what it is to be. */
static void steer_slot(struct kafka_worker *worker, struct kafka_slot *slot)
{
    if (slot->state == SLOT_OPENING) {
        kafka_partition_metrics_publish(&slot->ends.metrics, false, &slot->ends.progress);
    }
    if (slot->state == SLOT_OPENING && !slot->is_wanted && worker->has_assignment) {
        atomic_store(&slot->ends.is_cancelled, true);
    }
    if (slot->state == SLOT_OPENING && atomic_load(&slot->is_ready) && worker->has_assignment) {
        finish_opening(worker, slot);
    }
    if (is_running(slot) && !slot->is_wanted && worker->has_assignment) {
        log_line(LOG_INFO, "partition_closed", "partition=%s worker=%u", slot->held.name,
                 worker->index);
        close_slot(worker, slot, false);
    }
    if (slot->state == SLOT_EMPTY && slot->is_wanted && clock_monotonic_ns() >= slot->retry_ns) {
        begin_opening(worker, slot);
    }
}

/* What the partition of the input has is sent on, and what came of that is deleted. */
static enum status run_route(struct kafka_worker *worker, struct kafka_slot *slot, bool *ret_waits,
                             struct error *error)
{
    const struct kafka_topics *topics = worker->shared->topics;
    *ret_waits = true;
    if (!topics->sources) {
        return STATUS_OK;
    }
    if (slot->state == SLOT_OPEN) {
        kafka_purge_run(&slot->purge, worker->fetcher, slot->ends.topics->inputs[0],
                        slot->ends.partition, slot->ends.places.committed.offsets[0],
                        worker->shared->setup->options->repartition_purge_ms);
    }
    if (is_hop(slot)) {
        return STATUS_OK;
    }
    if (slot->route.state == ROUTE_CLOSED) {
        slot->route.options.member = worker->membership.member;
        slot->route.options.fetcher = worker->fetcher;
    }
    return kafka_route_slot_run(&slot->route, slot->is_wanted,
                                KAFKA_HASTE_NS * (worker->open_count + 1), ret_waits, error);
}

static void serve_statistics(struct kafka_worker *worker)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (worker->fetcher_metrics.registry && now_ns - worker->polled_ns > POLL_EVERY_NS) {
        worker->polled_ns = now_ns;
        (void)rd_kafka_poll(worker->fetcher, 0);
    }
}

bool kafka_worker_is_ready(const struct kafka_worker *worker)
{
    bool is_ready = worker->has_assignment;
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        const struct kafka_slot *slot = &worker->slots[i];
        bool has_route = worker->shared->topics->sources && !is_hop(slot);
        bool is_open = is_running(slot) && (!has_route || kafka_route_slot_is_open(&slot->route));
        is_ready = is_ready && (!slot->is_wanted || is_open);
    }
    return is_ready;
}

enum status kafka_worker_round(struct kafka_worker *worker, bool *ret_waits, bool *ret_ended,
                               struct error *error)
{
    *ret_waits = true;
    *ret_ended = false;
    enum status status = poll_group(worker, error);
    serve_statistics(worker);
    bool has_ended = worker->has_assignment;
    uint64_t open_count = 0;
    worker->finished_count = 0;
    for (uint32_t i = 0; i < worker->slot_count && status == STATUS_OK; i++) {
        struct kafka_slot *slot = &worker->slots[i];
        bool waits = true;
        steer_slot(worker, slot);
        if (worker->has_assignment) {
            status = run_route(worker, slot, &waits, error);
            *ret_waits = *ret_waits && waits;
        }
        if (status == STATUS_OK && slot->state == SLOT_OPEN && worker->has_assignment) {
            open_count++;
            status = step_slot(worker, slot, &waits, error);
            *ret_waits = *ret_waits && waits;
        }
        has_ended = has_ended && (!slot->is_wanted || is_hop(slot) || slot->state == SLOT_FINISHED);
        worker->finished_count += slot->state == SLOT_FINISHED;
    }
    worker->open_count = open_count;
    if (status == STATUS_OK && worker->failure_status != STATUS_OK) {
        status = worker->failure_status;
        *error = worker->failure;
    }
    *ret_ended = has_ended && worker->shared->setup->options->ends;
    return status;
}

enum status kafka_worker_stop(struct kafka_worker *worker, struct error *error)
{
    enum status result = STATUS_OK;
    commit_slots(worker);
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        struct kafka_slot *slot = &worker->slots[i];
        kafka_route_slot_drop(&slot->route);
        if (slot->state == SLOT_OPENING) {
            atomic_store(&slot->ends.is_cancelled, true);
            (void)pthread_join(slot->opener, NULL);
            drop_task(slot);
            slot->state = SLOT_EMPTY;
        } else if (is_running(slot)) {
            enum status status =
                held_partition_stop(&slot->held, result == STATUS_OK ? error : NULL);
            result = result == STATUS_OK ? status : result;
            close_slot(worker, slot, true);
        }
    }
    return result;
}

static enum status open_fetcher(struct kafka_worker *worker, struct error *error)
{
    char client[32];
    (void)snprintf(client, sizeof(client), "fetcher-%u", worker->index);
    enum status status = kafka_client_metrics_add(run_metrics_registry(worker->shared->metrics),
                                                  client, &worker->fetcher_metrics, error);
    return status == STATUS_OK
               ? kafka_fetcher_create(worker->shared->setup, worker->shared->queue_bytes,
                                      &worker->fetcher_metrics, &worker->fetcher, error)
               : status;
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

static void init_slot(const struct kafka_shared *shared, uint32_t index, struct kafka_slot *slot)
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

enum status kafka_worker_init(struct kafka_worker *worker, const struct kafka_shared *shared,
                              uint32_t index, struct error *error)
{
    *worker = (struct kafka_worker){.shared = shared, .index = index};
    worker->result.watermark_ms = INT64_MIN;
    worker->slot_count = shared->partition_count * (1 + shared->hop_count);
    worker->slots = calloc(worker->slot_count, sizeof(*worker->slots));
    if (!worker->slots) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        init_slot(shared, i, &worker->slots[i]);
    }
    worker->membership = (struct kafka_membership){.setup = shared->setup,
                                                   .topics = shared->topics,
                                                   .index = index,
                                                   .on_rebalance = on_rebalance,
                                                   .opaque = worker};
    enum status status = open_fetcher(worker, error);
    if (status == STATUS_OK) {
        status = kafka_membership_join(&worker->membership, error);
    }
    if (status != STATUS_OK) {
        kafka_worker_release(worker);
    }
    return status;
}

void kafka_worker_release(struct kafka_worker *worker)
{
    kafka_membership_leave(&worker->membership);
    for (uint32_t i = 0; worker->slots && i < worker->slot_count; i++) {
        kafka_purge_release(&worker->slots[i].purge);
    }
    if (worker->fetcher) {
        rd_kafka_destroy(worker->fetcher);
    }
    kafka_client_metrics_remove(&worker->fetcher_metrics);
    for (uint32_t i = 0; worker->slots && i < worker->slot_count; i++) {
        close_metrics(&worker->slots[i]);
        kafka_ends_release(&worker->slots[i].ends);
    }
    free(worker->slots);
    worker->fetcher = NULL;
    worker->slots = NULL;
}
