/*
 * CSV by the places of its columns: found once in the header, then looked up by number. Fields are
 * split in place. libcsv calls back for each field and copies every byte into a buffer that it
 * reuses, so that texts would have to be copied once more: its parse alone takes 2.5 times as long
 * as all of this (test/event/decoder_bench.c). The tests use it as the oracle.
 */
#include <stdlib.h>

#include "pipeline/event/decoder_formats.h"
#include "pipeline/source/csv_record.h"

#define COLUMNS_MAX 4096u
#define NO_VALUE (-1)

struct csv_decoder {
    struct decoder decoder;
    char delimiter;
    char comment;          /* 0: none. */
    bool is_ragged;        /* A record may have more fields or fewer than there are columns. */
    uint32_t column_count; /* 0: an empty file, whose columns are not known. */
    int32_t *value_of;     /* [column_count] Index of the value that a column fills, or NO_VALUE. */
};

static enum mapping_result bad_record(enum csv_result result, uint32_t column,
                                      struct rejection *ret_rejection)
{
    return decoder_reject(ret_rejection, REJECTION_NOT_PARSED, "CSV field %u: %s", column + 1,
                          result == CSV_NOT_CLOSED ? "a quote is not closed"
                                                   : "text behind the closing quote");
}

static enum mapping_result bad_count(const struct csv_decoder *self, uint32_t count, bool has_more,
                                     struct rejection *ret_rejection)
{
    return decoder_reject(ret_rejection, REJECTION_NOT_PARSED,
                          "CSV with %s%u fields, expected %u, or input.csv_ragged",
                          has_more ? "more than " : "", count, self->column_count);
}

static bool value_from(const struct csv_field *field, struct arena *arena,
                       struct field_value *ret_value)
{
    struct text text = field->text;
    if (field->has_doubled_quote) {
        char *plain = arena_take(arena, text.length);
        if (!plain) {
            return false;
        }
        text = (struct text){plain, (uint32_t)csv_unquote(text, plain)};
    }
    ret_value->kind = text.length > 0 ? VALUE_TEXT : VALUE_MISSING;
    ret_value->text = text;
    return true;
}

static enum mapping_result decode(struct decoder *decoder, struct text bytes,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection)
{
    struct csv_decoder *self = (struct csv_decoder *)decoder;
    if (self->comment && bytes.length > 0 && bytes.data[0] == self->comment) {
        return MAPPING_SKIPPED;
    }
    struct csv_cursor cursor = csv_cursor_of(bytes, self->delimiter);
    for (uint32_t column = 0; column < self->column_count; column++) {
        struct csv_field field;
        enum csv_result result = csv_next_field(&cursor, &field);
        int32_t value = self->value_of[column];
        if (result == CSV_END && self->is_ragged) {
            if (value != NO_VALUE) {
                decoder->values[value].kind = VALUE_MISSING;
            }
            continue;
        }
        if (result == CSV_END) {
            return bad_count(self, column, false, ret_rejection);
        }
        if (result != CSV_FIELD) {
            return bad_record(result, column, ret_rejection);
        }
        if (value != NO_VALUE && !value_from(&field, &batch->arena, &decoder->values[value])) {
            return MAPPING_FAILED;
        }
    }
    if (cursor.next && !self->is_ragged) {
        return bad_count(self, self->column_count, true, ret_rejection);
    }
    return decoder_map(decoder, batch, row, ret_rejection);
}

static void destroy(struct decoder *decoder)
{
    struct csv_decoder *self = (struct csv_decoder *)decoder;
    free(self->value_of);
    free(self);
}

static const struct decoder_ops csv_decoder_ops = {decode, destroy};

/* The column of that name; of two with the same name the first. */
static enum status bind(struct csv_decoder *self, const struct text_list *header, const char *name,
                        int32_t value, const char *path, struct error *error)
{
    for (size_t i = 0; i < header->count; i++) {
        if (strcmp(header->items[i], name) == 0) {
            self->value_of[i] = value;
            return STATUS_OK;
        }
    }
    const char *nearest = nearest_name(name, (const char *const *)header->items, header->count);
    return error_set(
        error, STATUS_INVALID, "%s: has no column \"%s\", which the mapping reads%s%s%s", path,
        name, nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool is_optional(const struct mapping *mapping, const char *name)
{
    return mapping_is_canonical(mapping) &&
           strcmp(name, event_fields[FIELD_EVENT_TIME].name) != 0 &&
           strcmp(name, event_fields[FIELD_TYPE_WORD].name) != 0;
}

static enum status bind_columns(struct csv_decoder *self, const struct mapping *mapping,
                                const struct source_options *options, const struct source *source,
                                struct error *error)
{
    const struct text_list *header = source_csv_header(source);
    if (!header && options->csv_has_header) {
        return STATUS_OK; /* An empty file. */
    }
    if (!header) {
        return error_set(error, STATUS_INVALID,
                         "%s: expected a header line or the names of the columns", options->path);
    }
    if (header->count > COLUMNS_MAX) {
        return error_set(error, STATUS_INVALID, "%s: has %zu columns, expected at most %u",
                         options->path, header->count, COLUMNS_MAX);
    }
    self->column_count = (uint32_t)header->count;
    self->value_of = malloc(sizeof(*self->value_of) * (header->count + 1));
    if (!self->value_of) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->path);
    }
    for (size_t i = 0; i < header->count; i++) {
        self->value_of[i] = NO_VALUE;
    }
    const struct text_list *wanted = mapping_source_fields(mapping);
    for (size_t i = 0; i < wanted->count; i++) {
        enum status status = bind(self, header, wanted->items[i], (int32_t)i, options->path, error);
        /* Of the canonical event most columns may be missing; a mapping names what it needs. */
        if (status == STATUS_INVALID && is_optional(mapping, wanted->items[i])) {
            continue;
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status csv_decoder_create(const struct mapping *mapping, const struct source_options *options,
                               const struct source *source, struct decoder **ret_decoder,
                               struct error *error)
{
    struct csv_decoder *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->path);
    }
    self->decoder.ops = &csv_decoder_ops;
    self->delimiter = ',';
    self->comment = options->csv_comment;
    self->is_ragged = options->csv_is_ragged;
    if (options->csv_delimiter) {
        self->delimiter = options->csv_delimiter;
    }
    enum status status = bind_columns(self, mapping, options, source, error);
    if (status != STATUS_OK) {
        destroy(&self->decoder);
        return status;
    }
    *ret_decoder = &self->decoder;
    return STATUS_OK;
}
