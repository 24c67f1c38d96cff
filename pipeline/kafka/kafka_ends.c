#include "pipeline/kafka/kafka_ends.h"

#include <stdio.h>
#include <string.h>

#include "pipeline/kafka/kafka_input.h"
#include "pipeline/stage.h" /* container_of */

#define ORIGIN_BYTES 512
#define REQUEST_TIMEOUT_MS 5000

static enum status read_origin(const struct kafka_ends *self, char ret_origin[ORIGIN_BYTES],
                               struct error *error)
{
    char *cluster = rd_kafka_clusterid(self->fetcher, REQUEST_TIMEOUT_MS);
    if (!cluster) {
        return error_set(error, STATUS_RETRY, "kafka: the brokers do not answer");
    }
    (void)snprintf(ret_origin, ORIGIN_BYTES, "%s %s\n", cluster, self->topics->changelog);
    rd_kafka_mem_free(self->fetcher, cluster);
    return STATUS_OK;
}

enum wire_format kafka_ends_format(const struct config *config,
                                   const struct schema_registry *registry)
{
    return config->input.format == INPUT_JSONL ? WIRE_JSON : registry ? WIRE_CONFLUENT : WIRE_AVRO;
}

/* Store and log; a store that is not of this changelog is made anew. */
static enum status open_state(struct kafka_ends *self, const struct partition_options *options,
                              const struct kafka_log_options *log, struct task_parts *parts,
                              struct error *error)
{
    struct kafka_log_range range;
    char origin[ORIGIN_BYTES];
    struct kafka_store store = {.options = options, .origin = origin, .health = &self->health};
    enum status status = kafka_topics_still_there(self->topics, self->fetcher, error);
    if (status == STATUS_OK) {
        status = read_origin(self, origin, error);
    }
    /* Before the log: its lock keeps a second process on the same disk from shutting us out. */
    if (status == STATUS_OK) {
        status = kafka_store_open(&store, &parts->store, error);
    }
    if (status == STATUS_OK) {
        status = kafka_log_open(log, &parts->log, &range, error);
    }
    /* Before the restore, which it is good for as well. */
    if (status == STATUS_OK) {
        status = kafka_fetch_start(&self->pulse, self->fetcher, self->topics->journal,
                                   self->partition, RD_KAFKA_OFFSET_END, error);
    }
    if (status == STATUS_OK) {
        status = kafka_store_fit(&store, &range, &parts->store, error);
    }
    kafka_store_release(&store);
    return status;
}

/* What the records of its topic bring along, where hops are on the way of the input. */
static const struct carried_columns *find_carried(const struct kafka_ends *self,
                                                  struct carried_columns *columns)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < self->topics->hop_count; i++) {
        enum entity_kind kind = self->topics->hops[i].kind;
        mask |= !self->hop_options || kind < self->hop_options->kind ? 1u << kind : 0;
    }
    stage_plan_carried(mask, columns);
    return mask != 0 ? columns : NULL;
}

/* Puts the hop, which is the input's then, between input and task. */
static void attach_hop(struct kafka_ends *self, struct task_parts *parts)
{
    parts->input = kafka_hop_attach(self->hop, parts->input);
    parts->sender = kafka_hop_sender(self->hop);
}

static enum status open_ends(struct partition_ends *ends, const struct partition_options *options,
                             struct task_parts *parts, struct error *error)
{
    struct kafka_ends *self = container_of(ends, struct kafka_ends, ends);
    const struct config *config = options->config;
    self->places = (struct kafka_places){.count = self->topics->input_count};
    static const struct text_list no_traces = {0}; /* They go on with the record itself. */
    self->traces.names = self->hop_options ? &no_traces : &self->setup->options->trace_headers;
    for (uint32_t i = 0; i < self->topics->input_count; i++) {
        self->input_topics[i] = self->topics->inputs[i];
    }
    struct kafka_log_options log = {
        .setup = self->setup,
        .topics = self->topics,
        .member = self->member,
        .fetcher = self->fetcher,
        .places = &self->places,
        .traces = &self->traces,
        .progress = &self->progress,
        .client_metrics = &self->producer_metrics,
        .partition = self->partition,
        .is_cancelled = &self->is_cancelled,
    };
    struct kafka_input_options input = {
        .fetcher = self->fetcher,
        .topics = self->input_topics,
        .places = &self->places,
        .traces = &self->traces,
        .partition = self->partition,
        .format = kafka_ends_format(config, self->registry),
        .schema = self->input_schema,
        .registry = self->registry,
        .mapping = config->mapping,
        .ends = self->setup->options->ends,
        .origin_count = options->origin_count,
        .has_hops = self->topics->hop_count > 0,
        .carried = find_carried(self, &self->carried),
    };
    self->hop = NULL;
    enum status status = STATUS_OK;
    if (self->hop_options) {
        status = kafka_hop_create(self->hop_options, &self->hop, error);
        log.routed = self->hop ? kafka_hop_routed(self->hop) : NULL;
    }
    if (status == STATUS_OK) {
        status = open_state(self, options, &log, parts, error);
    }
    if (status == STATUS_OK) {
        status = kafka_input_open(&input, &parts->input, error);
    }
    if (status == STATUS_OK && self->hop) {
        attach_hop(self, parts);
    } else if (self->hop) {
        kafka_hop_destroy(self->hop);
        self->hop = NULL;
    }
    self->log = parts->log;
    return status;
}

void kafka_ends_serve(struct kafka_ends *ends)
{
    const rd_kafka_message_t *message;
    struct error ignored;
    if (ends->pulse.topic) {
        do {
            message = NULL;
        } while (kafka_fetch_next(&ends->pulse, 0, &message, &ignored) == STATUS_OK && message);
    }
}

int64_t kafka_ends_behind(const struct kafka_ends *ends)
{
    return kafka_fetch_behind(ends->fetcher, ends->input_topics, ends->places.count,
                              ends->partition, ends->places.now.offsets);
}

void kafka_ends_close(struct kafka_ends *ends)
{
    kafka_fetch_stop(&ends->pulse);
}

void kafka_ends_init(struct kafka_ends *ends)
{
    ends->ends.open = open_ends;
    atomic_init(&ends->is_cancelled, false);
}

void kafka_ends_release(struct kafka_ends *ends)
{
    kafka_traces_release(&ends->traces);
}
