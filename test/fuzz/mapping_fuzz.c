/*
 * The input is a mapping, a zero byte, and the values of its source fields, each after a byte that
 * says of what kind it is. Whatever is compiled is described and applied; events come out clean.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pipeline/base/unicode_text.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/mapping.h"

#define VALUES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_line(void *context, const char *text)
{
    (void)context;
    assert(strlen(text) > 0);
}

/* Length byte, kind byte, bytes. */
static void read_values(const uint8_t *data, size_t size, size_t count, struct field_value *values)
{
    size_t at = 0;
    for (size_t i = 0; i < count && at + 2 <= size; i++) {
        size_t length = data[at];
        enum value_kind kind = (enum value_kind)(data[at + 1] % 5);
        at += 2;
        length = length < size - at ? length : size - at;
        values[i].kind = kind;
        if (kind == VALUE_TEXT) {
            values[i].text = (struct text){(const char *)data + at, (uint32_t)length};
        } else if (length >= 8) {
            memcpy(&values[i].integer, data + at, 8);
            memcpy(&values[i].number, data + at, 8);
        }
        at += length;
    }
}

/* What every event promises. */
static void check_event(struct event_batch *batch)
{
    assert(event_has(batch, 0, FIELD_EVENT_TIME) && event_has(batch, 0, FIELD_TYPE_WORD));
    assert(event_has(batch, 0, FIELD_USER_ID) || event_has(batch, 0, FIELD_DEVICE_ID) ||
           event_has(batch, 0, FIELD_IP));
    assert(batch->type[0] < EVENT_TYPE_COUNT);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        if (event_has(batch, 0, (enum event_field)field)) {
            struct text text = batch->text[field][0];
            assert(text.length > 0 && text.length <= EVENT_TEXT_BYTES_MAX && text_is_utf8(text));
        }
    }
    assert(!event_has(batch, 0, FIELD_PRICE) || batch->price[0] >= 0);
    /* Cleaning what is clean changes nothing. */
    uint64_t present = batch->present[0];
    struct rejection rejection;
    assert(mapping_clean_row(batch, 0, &rejection) == MAPPING_EVENT);
    assert(batch->present[0] == present);
}

/* mapping_compile() takes a path: the mapping goes into a file of this process. */
static enum status compile(const uint8_t *data, size_t size, struct mapping **ret_mapping)
{
    static char path[64];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof(path), "/tmp/mapping_fuzz_%ld.yaml", (long)getpid());
    }
    FILE *file = fopen(path, "wb");
    assert(file);
    (void)fwrite(data, 1, size, file);
    (void)fclose(file);
    struct error error;
    enum status status = mapping_compile(path, ret_mapping, &error);
    (void)remove(path);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_batch batch;
    static struct field_value values[VALUES_MAX];
    if (!batch.time_ms && event_batch_init(&batch, 0, NULL) != STATUS_OK) {
        abort();
    }
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    size_t yaml_bytes = zero ? (size_t)(zero - data) : size;
    struct mapping *mapping = NULL;
    if (compile(data, yaml_bytes, &mapping) != STATUS_OK) {
        return 0;
    }
    mapping_describe(mapping, ignore_line, NULL);
    memset(values, 0, sizeof(values));
    if (zero) {
        read_values(zero + 1, size - yaml_bytes - 1, mapping_source_fields(mapping)->count, values);
    }
    event_batch_reset(&batch);
    struct rejection rejection = {0};
    enum mapping_result result = mapping_apply(mapping, values, &batch, 0, &rejection);
    if (result == MAPPING_EVENT) {
        check_event(&batch);
    } else {
        assert(result != MAPPING_REJECTED ||
               (rejection.reason != REJECTION_NONE && strstr(rejection.detail, "expected")));
    }
    mapping_destroy(mapping);
    return 0;
}
