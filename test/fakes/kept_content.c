#include "test/fakes/kept_content.h"

#include <assert.h>
#include <stdlib.h>

static void *must_have(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    assert(memory);
    return memory;
}

static void keep_outputs(struct kept_content *kept, const struct output_batch *outputs)
{
    for (int topic = 0; outputs && topic < TOPIC_COUNT; topic++) {
        uint64_t count = output_batch_count(outputs, (enum topic)topic);
        uint64_t bytes = 0;
        for (uint64_t i = 0; i < count; i++) {
            bytes += output_batch_get(outputs, (enum topic)topic, i).length + 1;
        }
        unsigned char *next = kept->lines[topic] = must_have(bytes);
        for (uint64_t i = 0; i < count; i++) {
            struct output_record record = output_batch_get(outputs, (enum topic)topic, i);
            memcpy(next, record.bytes, record.length);
            next += record.length;
            *next++ = '\n';
        }
        kept->line_bytes[topic] = bytes;
        kept->line_count[topic] = count;
    }
}

void kept_content_take(struct kept_content *kept, const struct commit_content *content)
{
    kept_content_release(kept);
    size_t bytes = 0;
    for (uint32_t i = 0; i < content->record_count; i++) {
        bytes += content->records[i].length;
    }
    for (uint32_t i = 0; i < content->journal_count; i++) {
        bytes += content->journal[i].payload.length;
    }
    kept->bytes = must_have(bytes);
    kept->records = must_have(content->record_count * sizeof(*kept->records));
    kept->journal = must_have(content->journal_count * sizeof(*kept->journal));
    unsigned char *next = kept->bytes;
    for (uint32_t i = 0; i < content->record_count; i++) {
        kept->records[i] = content->records[i];
        kept->records[i].bytes = next;
        memcpy(next, content->records[i].bytes, content->records[i].length);
        next += content->records[i].length;
    }
    for (uint32_t i = 0; i < content->journal_count; i++) {
        struct text payload = content->journal[i].payload;
        kept->journal[i] = content->journal[i];
        kept->journal[i].payload.data = (const char *)next;
        if (payload.length > 0) {
            memcpy(next, payload.data, payload.length);
        }
        next += payload.length;
    }
    keep_outputs(kept, content->outputs);
    kept->content = *content;
    kept->content.outputs = NULL;
    kept->content.records = kept->records;
    kept->content.journal = kept->journal;
    kept->is_held = true;
}

void kept_content_release(struct kept_content *kept)
{
    free(kept->bytes);
    free(kept->records);
    free(kept->journal);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        free(kept->lines[topic]);
    }
    *kept = (struct kept_content){0};
}
