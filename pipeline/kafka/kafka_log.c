#include "pipeline/kafka/kafka_log.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/base/hash.h"
#include "pipeline/base/log.h"
#include "pipeline/kafka/kafka_producer.h"
#include "pipeline/kafka/kafka_recovery.h"
#include "pipeline/kafka/kafka_restore.h"
#include "pipeline/stage.h" /* container_of */

#define REQUEST_TIMEOUT_MS 10000
#define PAUSE_MS_MIN 50
#define PAUSE_MS_MAX 2000
/* The task's own entries, and the interleaving. */
#define JOURNAL_MAX 16u

enum log_step { STEP_IDLE, STEP_REQUESTED, STEP_DONE, STEP_ABORTED, STEP_FAILED };

struct kafka_log {
    struct commit_log log;
    struct kafka_log_options options;
    struct kafka_log_range range; /* As of the opening. */

    /* Of the committing thread, once it runs. */
    struct kafka_producer producer;
    rd_kafka_consumer_group_metadata_t *metadata;
    struct commit_content content;
    struct kafka_place place;   /* Of content.position. */
    struct partition_time time; /* A route's, there. */
    struct journal_entry journal[JOURNAL_MAX];
    unsigned char interleaving[KAFKA_INTERLEAVING_BYTES_MAX];
    char names[KAFKA_INPUTS_MAX * KAFKA_TOPIC_BYTES]; /* Of the input's topics, a line each. */
    bool is_named;                                    /* They are in the journal. */
    uint64_t number;                                  /* Of the last commit. */
    uint64_t last_position;                           /* Of the last commit. */
    int pause_ms;                                     /* After the next failure. */

    pthread_t thread;
    bool is_started;
    pthread_mutex_t lock; /* Guards what follows. */
    pthread_cond_t wake;
    enum log_step step;
    bool is_closing;
    bool must_rejoin;
    bool is_disowned;
    struct error failure;
};

static struct kafka_log *self_of(struct commit_log *log)
{
    return container_of(log, struct kafka_log, log);
}

static bool is_route(const struct kafka_log *self)
{
    return self->options.setup->is_route;
}

/* ---- the committing thread ---- */

/* Ends early when the log is closed. */
static void pause_after_failure(struct kafka_log *self)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    self->pause_ms = self->pause_ms * 2 < PAUSE_MS_MAX ? self->pause_ms * 2 : PAUSE_MS_MAX;
    /* Not all partitions at once. */
    uint64_t jitter_ns =
        hash64_combine((uint64_t)until.tv_nsec, (uint64_t)self->options.partition) %
        ((uint64_t)self->pause_ms * 500000u);
    int64_t ns = until.tv_nsec + (int64_t)self->pause_ms * 1000000 + (int64_t)jitter_ns;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->is_closing && pthread_cond_timedwait(&self->wake, &self->lock, &until) == 0) {
    }
    (void)pthread_mutex_unlock(&self->lock);
}

static bool may_go_on(struct kafka_log *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool may = !self->is_closing && !self->is_disowned;
    (void)pthread_mutex_unlock(&self->lock);
    return may;
}

/* The group's generation as of the last assignment. */
static void refresh_metadata(struct kafka_log *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool is_stale = self->must_rejoin || !self->metadata;
    self->must_rejoin = false;
    (void)pthread_mutex_unlock(&self->lock);
    if (is_stale) {
        if (self->metadata) {
            rd_kafka_consumer_group_metadata_destroy(self->metadata);
        }
        self->metadata = rd_kafka_consumer_group_metadata(self->options.member);
    }
}

/*
 * Shuts out what is still on its way from the old producer, then looks which commit is the last.
 * Goes on trying for as long as the partition is ours.
 */
static enum log_step resolve_doubt(struct kafka_log *self, struct error *error)
{
    kafka_producer_close(&self->producer);
    while (may_go_on(self)) {
        struct kafka_committed committed = {0};
        enum status status = STATUS_OK;
        if (!self->producer.client) {
            status = kafka_producer_open(&self->producer, error);
        }
        if (status == STATUS_OK) {
            status = kafka_read_committed(self->options.member, self->options.topics,
                                          self->options.partition, &committed, error);
        }
        if (status == STATUS_OK) {
            bool is_known =
                committed.number == self->number || committed.number + 1 == self->number;
            if (!is_known) {
                (void)error_set(error, STATUS_FATAL,
                                "kafka: partition %d: commit %llu was made by somebody else",
                                (int)self->options.partition, (unsigned long long)committed.number);
                return STEP_FAILED;
            }
            bool is_committed = committed.number == self->number;
            log_line(LOG_INFO, "commit_resolved", "partition=%d commit=%llu result=%s",
                     (int)self->options.partition, (unsigned long long)self->number,
                     is_committed ? "committed" : "aborted");
            return is_committed ? STEP_DONE : STEP_ABORTED;
        }
        if (status != STATUS_RETRY) {
            return STEP_FAILED;
        }
        pause_after_failure(self);
    }
    (void)error_set(error, STATUS_FATAL, "kafka: partition %d: lost while a commit was in doubt",
                    (int)self->options.partition);
    return STEP_FAILED;
}

static enum log_step step_of(struct kafka_log *self, enum kafka_outcome outcome,
                             struct error *error)
{
    switch (outcome) {
    case KAFKA_COMMITTED:
        return STEP_DONE;
    case KAFKA_ABORTED:
        return STEP_ABORTED;
    case KAFKA_IN_DOUBT:
        return resolve_doubt(self, error);
    case KAFKA_FENCED:
        return STEP_FAILED;
    }
    return STEP_FAILED;
}

/* Without transactions the position follows by itself. */
static enum kafka_outcome commit_offsets(struct kafka_log *self,
                                         const rd_kafka_topic_partition_list_t *list,
                                         struct error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_commit(self->options.member, list, 0);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return KAFKA_COMMITTED;
    }
    (void)error_set(error, STATUS_FATAL, "kafka: committing the position: %s",
                    rd_kafka_err2str(code));
    return KAFKA_FENCED;
}

static enum kafka_outcome commit_once(struct kafka_log *self, struct error *error)
{
    refresh_metadata(self);
    if (!self->metadata) {
        (void)error_set(error, STATUS_FATAL, "kafka: partition %d: not a member of the group",
                        (int)self->options.partition);
        return KAFKA_FENCED;
    }
    struct kafka_committed committed = {
        .number = self->number,
        .is_counting = self->options.places->is_counting,
        .is_routed = is_route(self),
        .hop_mask = kafka_topics_hop_mask(self->options.topics),
        .ordinal = self->place.ordinal,
        .time = self->time,
    };
    memcpy(committed.offsets, self->place.offsets, sizeof(committed.offsets));
    rd_kafka_topic_partition_list_t *list =
        kafka_committed_list(self->options.topics, self->options.partition, &committed);
    struct kafka_offsets offsets = {.list = list, .metadata = self->metadata};
    enum kafka_outcome outcome =
        kafka_producer_commit(&self->producer, &self->content, &offsets, error);
    if (outcome == KAFKA_COMMITTED && !self->options.setup->options->is_exactly_once) {
        outcome = commit_offsets(self, list, error);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return outcome;
}

/*
 * The position of a commit is one more than the offset of its first record, so that one less is a
 * place to go on from when only a part of the commit is in the store. Where that offset is not
 * known, one more than the last position is before it too.
 */
static void finish_done(struct kafka_log *self)
{
    const struct kafka_producer_events *events = &self->producer.events;
    bool is_known = events->changelog_first >= 0 && events->unplaced_count == 0;
    uint64_t position = is_known ? (uint64_t)events->changelog_first + 1 : 0;
    self->last_position = position > self->last_position ? position : self->last_position + 1;
    self->pause_ms = PAUSE_MS_MIN;
}

static enum log_step carry_out(struct kafka_log *self, struct error *error)
{
    self->number++;
    enum log_step step = step_of(self, commit_once(self, error), error);
    if (step == STEP_DONE) {
        finish_done(self);
        return STEP_DONE;
    }
    self->number--;
    if (step == STEP_ABORTED) {
        log_line(LOG_WARNING, "commit_aborted", "partition=%d message=\"%s\"",
                 (int)self->options.partition, error->message);
        /* The reason, such as a rebalance, is not over at once. */
        pause_after_failure(self);
    }
    return step;
}

/* With the lock. Meanwhile the library's statistics come, where somebody wants them. */
static void wait_for_request(struct kafka_log *self)
{
    struct timespec until;
    if (!self->options.setup->has_metrics) {
        (void)pthread_cond_wait(&self->wake, &self->lock);
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    if (pthread_cond_timedwait(&self->wake, &self->lock, &until) != 0 && self->producer.client) {
        (void)pthread_mutex_unlock(&self->lock);
        (void)rd_kafka_poll(self->producer.client, 0);
        (void)pthread_mutex_lock(&self->lock);
    }
}

static void *commit_thread(void *context)
{
    struct kafka_log *self = context;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->is_closing) {
        if (self->step != STEP_REQUESTED) {
            wait_for_request(self);
            continue;
        }
        (void)pthread_mutex_unlock(&self->lock);
        struct error error = {{0}};
        enum log_step step = carry_out(self, &error);
        (void)pthread_mutex_lock(&self->lock);
        self->step = step;
        self->failure = error;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- the worker's side ---- */

static enum status read_range(struct kafka_log *self, struct error *error)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(self->options.fetcher, self->options.topics->changelog,
                                         self->options.partition, &low, &high, REQUEST_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: offsets of %s %d: %s",
                         self->options.topics->changelog, (int)self->options.partition,
                         rd_kafka_err2str(code));
    }
    self->range = (struct kafka_log_range){(uint64_t)low, (uint64_t)high};
    return STATUS_OK;
}

static enum status kafka_recover(struct commit_log *log, uint64_t from,
                                 const struct recovery_visitor *visitor,
                                 struct commit_point *ret_point, struct error *error)
{
    struct kafka_log *self = self_of(log);
    struct kafka_committed committed;
    const struct kafka_recovery recovery = {
        .options = &self->options,
        .range = self->range,
        .from = from,
        .visitor = visitor,
    };
    enum status status = kafka_recovery_run(&recovery, &committed, error);
    if (status == STATUS_OK) {
        struct commit_point point = {
            .is_new = committed.is_new,
            .position.ordinal = self->options.places->committed.ordinal,
            .log_position = self->range.last,
        };
        self->number = committed.number;
        self->last_position = self->range.last;
        *ret_point = point;
    }
    return status;
}

/* With the order in which the topics' records were taken, where there are several. */
static void take_content(struct kafka_log *self, const struct commit_content *content)
{
    const struct kafka_places *places = self->options.places;
    assert(content->position.ordinal == places->now.ordinal);
    self->content = *content;
    self->place = places->now;
    if (is_route(self)) {
        self->time = self->options.routed->time;
        return; /* The order in which records were sent on is that of the repartition topic. */
    }
    size_t length = kafka_places_write(places, self->interleaving);
    if (length > 0) {
        assert(content->journal_count + 2 <= JOURNAL_MAX);
        memcpy(self->journal, content->journal, content->journal_count * sizeof(self->journal[0]));
        if (!self->is_named) {
            self->journal[self->content.journal_count++] = (struct journal_entry){
                .kind = JOURNAL_INTERLEAVING,
                .ordinal = places->committed.ordinal,
                .value = -1,
                .payload = text_of(self->names),
            };
        }
        self->journal[self->content.journal_count++] = (struct journal_entry){
            .kind = JOURNAL_INTERLEAVING,
            .ordinal = places->committed.ordinal,
            .value = places->taken,
            .payload = {(const char *)self->interleaving, (uint32_t)length},
        };
        self->content.journal = self->journal;
    }
}

static enum status kafka_start(struct commit_log *log, const struct commit_content *content,
                               struct error *error)
{
    struct kafka_log *self = self_of(log);
    (void)pthread_mutex_lock(&self->lock);
    assert(self->step != STEP_REQUESTED);
    enum status status = STATUS_OK;
    if (self->step == STEP_FAILED || self->is_disowned) {
        status = error_set(error, STATUS_FATAL, "kafka: partition %d is not ours any more",
                           (int)self->options.partition);
    } else {
        take_content(self, content);
        self->step = STEP_REQUESTED;
        (void)pthread_cond_signal(&self->wake);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

static enum status kafka_poll(struct commit_log *log, enum commit_state *ret_state,
                              uint64_t *ret_log_position, struct error *error)
{
    struct kafka_log *self = self_of(log);
    (void)pthread_mutex_lock(&self->lock);
    enum log_step step = self->step;
    if (step == STEP_FAILED) {
        (void)error_set(error, STATUS_FATAL, "%s", self->failure.message);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (step == STEP_DONE) {
        self->is_named = true;
        kafka_places_commit(self->options.places);
        kafka_traces_forget(self->options.traces);
        if (self->options.setup->hop) {
            kafka_route_batch_reset(self->options.routed);
        }
    }
    *ret_state = step == STEP_DONE      ? COMMIT_DONE
                 : step == STEP_ABORTED ? COMMIT_ABORTED
                                        : COMMIT_PENDING;
    *ret_log_position = self->last_position;
    return step == STEP_FAILED ? STATUS_FATAL : STATUS_OK;
}

/* Compaction of the topic forgets what is superseded. */
static enum status kafka_trim(struct commit_log *log, uint64_t log_position, struct error *error)
{
    (void)log;
    (void)log_position;
    (void)error;
    return STATUS_OK;
}

static void kafka_close(struct commit_log *log)
{
    if (!log) {
        return;
    }
    struct kafka_log *self = self_of(log);
    if (self->is_started) {
        (void)pthread_mutex_lock(&self->lock);
        self->is_closing = true;
        (void)pthread_cond_signal(&self->wake);
        (void)pthread_mutex_unlock(&self->lock);
        (void)pthread_join(self->thread, NULL);
    }
    kafka_producer_close(&self->producer);
    byte_buffer_release(&self->producer.frame);
    if (self->metadata) {
        rd_kafka_consumer_group_metadata_destroy(self->metadata);
    }
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct commit_log_ops kafka_log_ops = {
    .name = "kafka",
    .recover = kafka_recover,
    .start = kafka_start,
    .poll = kafka_poll,
    .trim = kafka_trim,
    .close = kafka_close,
};

static void write_names(struct kafka_log *self)
{
    size_t used = 0;
    for (uint32_t i = 0; i < self->options.topics->input_count; i++) {
        used += (size_t)snprintf(self->names + used, sizeof(self->names) - used, "%s%s",
                                 i > 0 ? "\n" : "", self->options.topics->inputs[i]);
    }
}

enum status kafka_log_open(const struct kafka_log_options *options, struct commit_log **ret_log,
                           struct kafka_log_range *ret_range, struct error *error)
{
    struct kafka_log *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    self->log.ops = &kafka_log_ops;
    self->options = *options;
    self->pause_ms = PAUSE_MS_MIN;
    write_names(self);
    self->producer.setup = options->setup;
    self->producer.topics = options->topics;
    self->producer.partition = options->partition;
    self->producer.traces = options->traces;
    self->producer.routed = options->routed;
    self->producer.events.metrics = options->client_metrics;
    (void)pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    /* A clock that is set back must not make a pause longer. */
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    enum status status = kafka_producer_open(&self->producer, error);
    if (status == STATUS_OK && !is_route(self)) {
        status = read_range(self, error);
    }
    if (status == STATUS_OK) {
        self->is_started = pthread_create(&self->thread, NULL, commit_thread, self) == 0;
        if (!self->is_started) {
            status = error_set(error, STATUS_FATAL, "kafka: cannot start a thread");
        }
    }
    if (status != STATUS_OK) {
        kafka_close(&self->log);
        return status;
    }
    *ret_range = self->range;
    *ret_log = &self->log;
    return STATUS_OK;
}

void kafka_log_rejoin(struct commit_log *log)
{
    struct kafka_log *self = self_of(log);
    (void)pthread_mutex_lock(&self->lock);
    self->must_rejoin = true;
    (void)pthread_mutex_unlock(&self->lock);
}

void kafka_log_disown(struct commit_log *log)
{
    struct kafka_log *self = self_of(log);
    (void)pthread_mutex_lock(&self->lock);
    self->is_disowned = true;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
}
