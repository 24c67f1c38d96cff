/* A writer's schema, a line end, and a framed message: both may be anything. */
#include "pipeline/wire/wire_decoder.h"
#include "test/fuzz/decoder_fuzz.h"

static const char *schema_at_hand;

/* In place of the registry: id 1 is not known, id 2 never comes, all others are the schema. */
enum registry_answer schema_registry_find(struct schema_registry *registry, uint32_t id,
                                          const char **ret_schema, char *ret_detail)
{
    (void)registry;
    (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "%150s", "because");
    *ret_schema = schema_at_hand;
    return id == 1 ? REGISTRY_UNKNOWN : id == 2 ? REGISTRY_PENDING : REGISTRY_FOUND;
}

static void decode_with(struct mapping *mapping, enum wire_format format, const char *schema,
                        struct text payload)
{
    struct wire_decoder *decoder = NULL;
    struct wire_decoder_options options = {
        .format = format,
        .name = "fuzz",
        .schema = schema,
        .registry = (struct schema_registry *)(uintptr_t)&schema_at_hand,
    };
    if (wire_decoder_create(mapping, &options, &decoder, NULL) != STATUS_OK) {
        assert(format == WIRE_AVRO);
        return;
    }
    struct wire_message message = {.payload = payload, .key = {"k", 1}, .timestamp_ms = 1};
    for (int round = 0; round < 2; round++) {
        struct rejection rejection = {.reason = REJECTION_NONE};
        struct event_batch *batch = fuzz_batch();
        enum wire_result result = wire_decoder_decode(decoder, &message, batch, 0, &rejection);
        assert(result != WIRE_FAILED && result != WIRE_SKIPPED);
        assert(result != WIRE_REJECTED || rejection.reason != REJECTION_NONE);
        assert(memchr(rejection.detail, '\0', sizeof(rejection.detail)));
        if (result == WIRE_EVENT) {
            fuzz_touch(batch, mapping);
        }
    }
    wire_decoder_destroy(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char a[] = "a", nested[] = "b.c", key[] = "kafka.key";
    static char *names[] = {a, nested, key};
    static struct mapping canonical = {.is_canonical = true};
    static struct mapping mapping = {.wanted = {names, 3}};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    if (!end) {
        return 0;
    }
    size_t schema_length = (size_t)(end - data);
    size_t length = size - schema_length - 1;
    char *schema = calloc(1, schema_length + 1);
    char *payload = malloc(length + 1); /* Exactly as long as told: Avro needs no padding. */
    assert(schema && payload);
    memcpy(schema, data, schema_length);
    memcpy(payload, end + 1, length);
    schema_at_hand = schema;
    struct text text = {payload, (uint32_t)length};
    decode_with(&canonical, WIRE_CONFLUENT, NULL, text);
    decode_with(&mapping, WIRE_CONFLUENT, NULL, text);
    decode_with(&canonical, WIRE_AVRO, schema, text);
    decode_with(&mapping, WIRE_AVRO, schema, text);
    free(schema);
    free(payload);
    return 0;
}
