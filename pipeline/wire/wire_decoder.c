#include "pipeline/wire/wire_decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/wire/confluent.h"

#define PLAN_SLOTS_MIN 16u
#define KAFKA_HEADER_PREFIX OUTER_FIELD_PREFIX "header."

/* What was made of one schema id. */
struct schema_plan {
    uint32_t id;
    bool is_used;
    struct decoder *decoder; /* NULL: the schema does not resolve, `reason` says why. */
    char *reason;
};

enum outer_kind { OUTER_KEY, OUTER_TOPIC, OUTER_PARTITION, OUTER_TIMESTAMP, OUTER_HEADER };

/* A field that the mapping wants from beside the payload. */
struct outer_source {
    enum outer_kind kind;
    const char *header; /* OUTER_HEADER: its name. Borrowed from the mapping. */
};

struct wire_decoder {
    const struct mapping *mapping; /* Borrowed. */
    enum wire_format format;
    char *name;
    struct schema_registry *registry; /* Borrowed. */
    struct decoder *decoder;          /* JSON and WIRE_AVRO. */

    struct schema_plan *plans; /* Open addressing by id. */
    uint32_t slot_count;       /* A power of two. */
    struct schema_plan *last;  /* Messages come in runs of one id. */

    struct outer_source *outer_sources;
    struct outer_field *outer; /* [outer_count] */
    uint32_t outer_count;
    struct wire_decoder_stats stats;
};

static const char *const outer_names[] = {
    [OUTER_KEY] = OUTER_FIELD_PREFIX "key",
    [OUTER_TOPIC] = OUTER_FIELD_PREFIX "topic",
    [OUTER_PARTITION] = OUTER_FIELD_PREFIX "partition",
    [OUTER_TIMESTAMP] = OUTER_FIELD_PREFIX "timestamp",
    [OUTER_HEADER] = KAFKA_HEADER_PREFIX "NAME",
};
#define OUTER_NAMES (sizeof(outer_names) / sizeof(outer_names[0]))

/* ---- Creating ---- */

static enum status read_outer_name(const struct wire_decoder *self, const char *name,
                                   struct outer_source *ret_source, struct error *error)
{
    size_t prefix = strlen(KAFKA_HEADER_PREFIX);
    if (strncmp(name, KAFKA_HEADER_PREFIX, prefix) == 0 && name[prefix] != '\0') {
        *ret_source = (struct outer_source){OUTER_HEADER, name + prefix};
        return STATUS_OK;
    }
    for (int kind = 0; kind < OUTER_HEADER; kind++) {
        if (strcmp(name, outer_names[kind]) == 0) {
            *ret_source = (struct outer_source){(enum outer_kind)kind, NULL};
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(name, outer_names, OUTER_NAMES);
    return error_set(
        error, STATUS_INVALID, "%s: the mapping reads \"%s\", which a message does not have%s%s%s",
        self->name, name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum status find_outer(struct wire_decoder *self, struct error *error)
{
    const struct text_list *fields = mapping_source_fields(self->mapping);
    if (mapping_is_canonical(self->mapping)) {
        return STATUS_OK;
    }
    self->outer_sources = calloc(fields->count + 1, sizeof(*self->outer_sources));
    self->outer = calloc(fields->count + 1, sizeof(*self->outer));
    if (!self->outer_sources || !self->outer) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", self->name);
    }
    for (size_t i = 0; i < fields->count; i++) {
        const char *name = fields->items[i];
        if (strncmp(name, OUTER_FIELD_PREFIX, strlen(OUTER_FIELD_PREFIX)) != 0) {
            continue;
        }
        enum status status =
            read_outer_name(self, name, &self->outer_sources[self->outer_count], error);
        if (status != STATUS_OK) {
            return status;
        }
        self->outer[self->outer_count++].index = (uint32_t)i;
    }
    return STATUS_OK;
}

enum status wire_decoder_create(const struct mapping *mapping,
                                const struct wire_decoder_options *options,
                                struct wire_decoder **ret_decoder, struct error *error)
{
    assert(options->format != WIRE_CONFLUENT || options->registry);
    assert(options->format != WIRE_AVRO || options->schema);
    struct wire_decoder *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->name);
    }
    self->mapping = mapping;
    self->format = options->format;
    self->registry = options->registry;
    self->name = strdup(options->name);
    self->slot_count = PLAN_SLOTS_MIN;
    self->plans = calloc(self->slot_count, sizeof(*self->plans));
    enum status status = self->name && self->plans
                             ? find_outer(self, error)
                             : error_set(error, STATUS_FATAL, "%s: out of memory", options->name);
    if (status == STATUS_OK && self->format != WIRE_CONFLUENT) {
        enum input_format format = self->format == WIRE_AVRO ? INPUT_AVRO : INPUT_JSONL;
        status = decoder_create_for_messages(mapping, self->name, format, options->schema,
                                             &self->decoder, error);
    }
    if (status != STATUS_OK) {
        wire_decoder_destroy(self);
        return status;
    }
    *ret_decoder = self;
    return STATUS_OK;
}

void wire_decoder_destroy(struct wire_decoder *decoder)
{
    if (!decoder) {
        return;
    }
    for (uint32_t i = 0; decoder->plans && i < decoder->slot_count; i++) {
        decoder_destroy(decoder->plans[i].decoder);
        free(decoder->plans[i].reason);
    }
    free(decoder->plans);
    decoder_destroy(decoder->decoder);
    free(decoder->outer_sources);
    free(decoder->outer);
    free(decoder->name);
    free(decoder);
}

/* ---- Plans by schema id ---- */

static struct schema_plan *slot_of(struct schema_plan *plans, uint32_t slot_count, uint32_t id)
{
    /* Fibonacci hashing (Knuth, 6.4): ids are small and follow each other. */
    uint32_t slot = (id * UINT32_C(2654435769)) & (slot_count - 1);
    while (plans[slot].is_used && plans[slot].id != id) {
        slot = (slot + 1) & (slot_count - 1);
    }
    return &plans[slot];
}

static bool grow_plans(struct wire_decoder *self)
{
    if (2 * (self->stats.schemas + 1) <= self->slot_count) {
        return true;
    }
    uint32_t slot_count = 2 * self->slot_count;
    struct schema_plan *plans = calloc(slot_count, sizeof(*plans));
    if (!plans) {
        return false;
    }
    for (uint32_t i = 0; i < self->slot_count; i++) {
        if (self->plans[i].is_used) {
            *slot_of(plans, slot_count, self->plans[i].id) = self->plans[i];
        }
    }
    free(self->plans);
    self->plans = plans;
    self->slot_count = slot_count;
    self->last = NULL;
    return true;
}

/* Makes the plan of a schema that has come; NULL: out of memory. */
static struct schema_plan *make_plan(struct wire_decoder *self, uint32_t id, const char *schema)
{
    char name[256];
    (void)snprintf(name, sizeof(name), "schema %u", (unsigned)id);
    struct decoder *decoder = NULL;
    char *reason = NULL;
    struct error error;
    enum status status =
        decoder_create_for_messages(self->mapping, name, INPUT_AVRO, schema, &decoder, &error);
    if (status == STATUS_FATAL || !grow_plans(self)) {
        decoder_destroy(decoder);
        return NULL;
    }
    if (status != STATUS_OK) {
        reason = strdup(error.message);
        if (!reason) {
            return NULL;
        }
        self->stats.unresolved++;
    }
    self->stats.schemas++;
    struct schema_plan *plan = slot_of(self->plans, self->slot_count, id);
    *plan = (struct schema_plan){.id = id, .is_used = true, .decoder = decoder, .reason = reason};
    return plan;
}

static enum wire_result reject(struct rejection *rejection, enum rejection_reason reason,
                               uint32_t id, const char *why)
{
    rejection->reason = reason;
    (void)snprintf(rejection->detail, sizeof(rejection->detail), "schema %u: %.140s", (unsigned)id,
                   why);
    return WIRE_REJECTED;
}

/* Sets *ret_plan (WIRE_EVENT), or says why there is none. */
static enum wire_result find_plan(struct wire_decoder *self, uint32_t id,
                                  struct schema_plan **ret_plan, struct rejection *rejection)
{
    struct schema_plan *plan = self->last;
    if (!plan || plan->id != id) {
        plan = slot_of(self->plans, self->slot_count, id);
    }
    if (!plan->is_used) {
        const char *schema = NULL;
        char detail[REGISTRY_DETAIL_BYTES];
        enum registry_answer answer = schema_registry_find(self->registry, id, &schema, detail);
        if (answer == REGISTRY_PENDING) {
            (void)reject(rejection, REJECTION_NONE, id, detail);
            self->stats.waits++;
            return WIRE_WAIT;
        }
        if (answer != REGISTRY_FOUND) {
            return reject(rejection, REJECTION_NO_SCHEMA, id, detail);
        }
        plan = make_plan(self, id, schema);
        if (!plan) {
            return WIRE_FAILED;
        }
    }
    self->last = plan;
    *ret_plan = plan;
    return WIRE_EVENT;
}

/* ---- Decoding ---- */

static struct field_value text_value(struct text text)
{
    return (struct field_value){.kind = text.data ? VALUE_TEXT : VALUE_MISSING, .text = text};
}

static struct field_value integer_value(int64_t integer)
{
    return (struct field_value){.kind = integer >= 0 ? VALUE_INTEGER : VALUE_MISSING,
                                .integer = integer};
}

static struct field_value outer_value(const struct outer_source *source,
                                      const struct wire_message *message)
{
    switch (source->kind) {
    case OUTER_KEY:
        return text_value(message->key);
    case OUTER_TOPIC:
        return text_value(message->topic);
    case OUTER_PARTITION:
        return integer_value(message->partition);
    case OUTER_TIMESTAMP:
        return integer_value(message->timestamp_ms);
    case OUTER_HEADER:
        break;
    }
    for (uint32_t i = message->header_count; i-- > 0;) {
        if (text_is(message->headers[i].name, source->header)) {
            return text_value(message->headers[i].value);
        }
    }
    return text_value((struct text){NULL, 0});
}

static enum wire_result result_of(enum mapping_result result)
{
    switch (result) {
    case MAPPING_EVENT:
        return WIRE_EVENT;
    case MAPPING_REJECTED:
        return WIRE_REJECTED;
    case MAPPING_SKIPPED:
        return WIRE_SKIPPED;
    case MAPPING_FAILED:
        break;
    }
    return WIRE_FAILED;
}

/* Which decoder reads the message, and what of it. */
static enum wire_result choose(struct wire_decoder *self, const struct wire_message *message,
                               struct decoder **ret_decoder, struct text *ret_datum,
                               struct rejection *rejection)
{
    *ret_decoder = self->decoder;
    *ret_datum = message->payload;
    if (self->format != WIRE_CONFLUENT) {
        return WIRE_EVENT;
    }
    uint32_t id = 0;
    if (!confluent_split(message->payload, &id, ret_datum)) {
        rejection->reason = REJECTION_NOT_PARSED;
        (void)snprintf(rejection->detail, sizeof(rejection->detail),
                       "%u bytes, expected a zero byte, four bytes of a schema's id and Avro",
                       (unsigned)message->payload.length);
        return WIRE_REJECTED;
    }
    struct schema_plan *plan = NULL;
    enum wire_result result = find_plan(self, id, &plan, rejection);
    if (result == WIRE_EVENT && !plan->decoder) {
        rejection->reason = REJECTION_NO_SCHEMA;
        (void)snprintf(rejection->detail, sizeof(rejection->detail), "%.155s", plan->reason);
        return WIRE_REJECTED;
    }
    *ret_decoder = result == WIRE_EVENT ? plan->decoder : NULL;
    return result;
}

enum wire_result wire_decoder_decode(struct wire_decoder *decoder,
                                     const struct wire_message *message, struct event_batch *batch,
                                     uint32_t row, struct rejection *ret_rejection)
{
    if (!message->payload.data) {
        ret_rejection->reason = REJECTION_NOT_PARSED;
        (void)snprintf(ret_rejection->detail, sizeof(ret_rejection->detail),
                       "a message without a value, expected an event");
        return WIRE_REJECTED;
    }
    if (message->payload.length > RAW_RECORD_BYTES_MAX) {
        ret_rejection->reason = REJECTION_TOO_LONG;
        (void)snprintf(ret_rejection->detail, sizeof(ret_rejection->detail),
                       "%u bytes, at most %u expected", (unsigned)message->payload.length,
                       RAW_RECORD_BYTES_MAX);
        return WIRE_REJECTED;
    }
    struct decoder *inner = NULL;
    struct raw_record raw = {.defect = REJECTION_NONE};
    enum wire_result result = choose(decoder, message, &inner, &raw.bytes, ret_rejection);
    if (result != WIRE_EVENT) {
        return result;
    }
    for (uint32_t i = 0; i < decoder->outer_count; i++) {
        decoder->outer[i].value = outer_value(&decoder->outer_sources[i], message);
    }
    decoder_set_outer(inner, decoder->outer, decoder->outer_count);
    return result_of(decoder_decode(inner, &raw, batch, row, ret_rejection));
}

struct wire_decoder_stats wire_decoder_stats(const struct wire_decoder *decoder)
{
    return decoder->stats;
}
