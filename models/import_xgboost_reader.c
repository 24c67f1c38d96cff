#include "models/import_xgboost_reader.h"

void document_complain(struct document_reader *reader, const char *expected)
{
    reader->status =
        error_set(reader->error, STATUS_INVALID, "%s: %s: %s expected at byte %zu", reader->name,
                  reader->format, expected, (size_t)(reader->next - reader->start));
}

void *document_take(struct document_reader *reader, size_t bytes)
{
    void *piece = arena_take(reader->arena, bytes);
    if (!piece) {
        reader->status = error_set(reader->error, STATUS_FATAL, "%s: out of memory", reader->name);
    }
    return piece;
}

struct document_value *document_make_value(struct document_reader *reader)
{
    struct document_value *value = document_take(reader, sizeof(*value));
    if (value) {
        *value = (struct document_value){0};
    }
    return value;
}

bool document_count_value(struct document_reader *reader, uint32_t depth)
{
    if (depth > DOCUMENT_DEPTH_MAX) {
        return document_fail(reader, "less nesting");
    }
    if (++reader->value_count > DOCUMENT_VALUES_MAX) {
        return document_fail(reader, "fewer values");
    }
    return true;
}

enum status document_read(struct document_reader *reader,
                          bool (*read_root)(struct document_reader *reader,
                                            struct document_value *value),
                          const struct document_value **ret_value)
{
    struct document_value *value = document_make_value(reader);
    if (!value || !read_root(reader, value)) {
        return reader->status;
    }
    if (reader->next != reader->end) {
        document_complain(reader, "nothing more");
        return reader->status;
    }
    *ret_value = value;
    return STATUS_OK;
}

const struct document_value *document_member(const struct document_value *value, const char *name)
{
    if (!value || value->kind != DOCUMENT_OBJECT) {
        return NULL;
    }
    for (const struct document_value *member = value->first; member; member = member->next) {
        if (text_is(member->name, name)) {
            return member;
        }
    }
    return NULL;
}
