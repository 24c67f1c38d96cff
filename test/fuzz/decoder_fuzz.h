/* What the decoders' fuzz targets share: a mapping that takes everything, and a file for the input.
 */
#ifndef TEST_FUZZ_DECODER_FUZZ_H
#define TEST_FUZZ_DECODER_FUZZ_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pipeline/event/decoder.h"
#include "test/event/mapping_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct event_batch *fuzz_batch(void)
{
    static struct event_batch batch;
    if (!batch.time_ms) {
        enum status status = event_batch_init(&batch, 0, NULL);
        assert(status == STATUS_OK);
        (void)status;
    }
    event_batch_reset(&batch);
    return &batch;
}

/* Reads every byte of the texts, so that a sanitizer sees one that points astray. */
static inline void fuzz_touch(const struct event_batch *batch, const struct mapping *mapping)
{
    static volatile unsigned sink;
    (void)sink;
    for (int field = 0; mapping->is_canonical && field < TEXT_FIELD_COUNT; field++) {
        struct text text = event_has(batch, 0, (enum event_field)field) ? batch->text[field][0]
                                                                        : (struct text){NULL, 0};
        for (uint32_t i = 0; i < text.length; i++) {
            sink += (unsigned char)text.data[i];
        }
    }
    for (size_t value = 0; value < mapping->wanted.count; value++) {
        struct text text = mapping->values[value].text;
        for (uint32_t i = 0; i < text.length; i++) {
            sink += (unsigned char)text.data[i];
        }
    }
}

static inline void fuzz_decode(struct decoder *decoder, const struct mapping *mapping,
                               const struct raw_record *record)
{
    struct event_batch *batch = fuzz_batch();
    struct rejection rejection = {.reason = REJECTION_NONE};
    enum mapping_result result = decoder_decode(decoder, record, batch, 0, &rejection);
    assert(result != MAPPING_FAILED);
    if (result == MAPPING_EVENT) {
        fuzz_touch(batch, mapping);
    } else {
        assert(rejection.reason > REJECTION_NONE && rejection.reason < REJECTION_COUNT);
    }
}

/* Avro C loses some bytes of a schema that it refuses, once a schema: theirs, and bounded. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libavro.so";
}

/* Decodes `data` as one record of a format that needs no file. */
static inline void fuzz_record(struct decoder *decoder, const struct mapping *mapping,
                               const uint8_t *data, size_t size)
{
    /* The padding is not part of the record: what is read of it must not matter. */
    char *copy = malloc(size + RAW_RECORD_PADDING);
    assert(copy);
    memcpy(copy, data, size);
    memset(copy + size, '"', RAW_RECORD_PADDING);
    struct raw_record record = {.bytes = {copy, (uint32_t)size}};
    fuzz_decode(decoder, mapping, &record);
    free(copy);
}

/* Runs `data` as a file through source and decoder, and again from the place of each record. */
static inline void fuzz_file(struct mapping *mapping, struct source_options options,
                             const uint8_t *data, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/nudge-fuzz-%ld", (long)getpid());
    FILE *file = fopen(path, "wb");
    assert(file && fwrite(data, 1, size, file) == size);
    (void)fclose(file);
    options.path = path;
    struct input_position start = {0};
    struct source *source = NULL;
    struct decoder *decoder = NULL;
    if (source_open(&options, &start, &source, NULL) != STATUS_OK) {
        return;
    }
    enum source_result result = SOURCE_RECORD;
    if (decoder_create(mapping, &options, source, &decoder, NULL) != STATUS_OK) {
        source_close(source);
        return;
    }
    uint64_t ordinal = 0;
    while (result == SOURCE_RECORD) {
        struct raw_record record;
        source_release(source);
        enum status status = source_next(source, &record, &result, NULL);
        if (status == STATUS_INVALID && ordinal == 0 && options.format != INPUT_AVRO) {
            break; /* An Avro container, which is refused as text. */
        }
        assert(status == STATUS_OK && result != SOURCE_WAIT);
        if (result == SOURCE_RECORD) {
            assert(record.position.ordinal == ordinal);
            ordinal++;
            fuzz_decode(decoder, mapping, &record);
        }
    }
    if (result == SOURCE_END) {
        struct input_position middle = source_position(source);
        source_close(source);
        source = NULL;
        enum status status = source_open(&options, &middle, &source, NULL);
        assert(status == STATUS_OK);
        struct raw_record record;
        status = source_next(source, &record, &result, NULL);
        assert(status == STATUS_OK && result == SOURCE_END);
    }
    decoder_destroy(decoder);
    source_close(source);
}

#endif
