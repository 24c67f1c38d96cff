/*
 * Avro records, straight from their bytes into the columns (canonical events) or into the mapping's
 * values, by a plan made once from the writer's schema.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/event/avro_plan.h"
#include "pipeline/event/decoder_formats.h"

#define DIGITS_MAX 24

struct avro_decoder {
    struct decoder decoder;
    struct avro_schema *schema; /* Owned. NULL: an empty file. */
    struct avro_plan plan;
};

enum read_result { READ_OK, READ_BROKEN, READ_NO_MEMORY };

/* Avro's floating-point numbers are little-endian, as is every machine that this runs on. */
static bool read_number(struct avro_cursor *cursor, enum avro_kind kind, double *ret_number)
{
    const unsigned char *at = cursor->next;
    if (kind == AVRO_KIND_DOUBLE) {
        if (!avro_skip_bytes(cursor, sizeof(double))) {
            return false;
        }
        memcpy(ret_number, at, sizeof(double));
        return true;
    }
    float number;
    if (!avro_skip_bytes(cursor, sizeof(number))) {
        return false;
    }
    memcpy(&number, at, sizeof(number));
    *ret_number = (double)number;
    return true;
}

/* One datum of any type but a union; what has no place in a value is passed over as missing. */
static bool read_value(struct avro_cursor *cursor, const struct avro_node *node,
                       struct field_value *value)
{
    value->kind = VALUE_MISSING;
    value->text = (struct text){NULL, 0};
    switch (node->kind) {
    case AVRO_KIND_NULL:
        return true;
    case AVRO_KIND_BOOLEAN:
        if (cursor->next == cursor->end || *cursor->next > 1) {
            return false;
        }
        value->kind = VALUE_BOOL;
        value->integer = *cursor->next++;
        value->text = text_of(value->integer ? "true" : "false");
        return true;
    case AVRO_KIND_INT:
    case AVRO_KIND_LONG:
        value->kind = VALUE_INTEGER;
        return avro_read_long(cursor, &value->integer);
    case AVRO_KIND_FLOAT:
    case AVRO_KIND_DOUBLE:
        value->kind = VALUE_NUMBER;
        return read_number(cursor, node->kind, &value->number);
    case AVRO_KIND_BYTES:
    case AVRO_KIND_STRING:
        value->kind = VALUE_TEXT;
        return avro_read_bytes(cursor, &value->text);
    case AVRO_KIND_FIXED:
        value->kind = VALUE_TEXT;
        value->text = (struct text){(const char *)cursor->next, node->count};
        return avro_skip_bytes(cursor, node->count);
    case AVRO_KIND_ENUM:
        value->kind = VALUE_TEXT;
        if (!avro_read_long(cursor, &value->integer) || value->integer < 0 ||
            value->integer >= node->count) {
            return false;
        }
        value->text = node->names[value->integer];
        return true;
    case AVRO_KIND_ARRAY:
    case AVRO_KIND_MAP:
    case AVRO_KIND_RECORD:
    case AVRO_KIND_UNION:
        return avro_skip_datum(cursor, node);
    }
    return false;
}

/* A whole number as the text of a text column. */
static enum mapping_result make_text(struct field_value *value, const char *name,
                                     struct arena *arena, struct rejection *rejection)
{
    if (value->kind == VALUE_NUMBER && value->number == floor(value->number) &&
        fabs(value->number) < 9.0e15) {
        value->kind = VALUE_INTEGER;
        value->integer = (int64_t)value->number;
    }
    if (value->kind == VALUE_NUMBER) {
        return decoder_reject(rejection, REJECTION_BAD_NUMBER, "%s: %g, expected text", name,
                              value->number);
    }
    if (value->kind == VALUE_INTEGER) {
        char *digits = arena_take(arena, DIGITS_MAX);
        if (!digits) {
            return MAPPING_FAILED;
        }
        int length = snprintf(digits, DIGITS_MAX, "%lld", (long long)value->integer);
        value->text = (struct text){digits, (uint32_t)length};
    }
    return MAPPING_EVENT;
}

static enum mapping_result broken(const char *name, struct rejection *rejection)
{
    return decoder_reject(rejection, REJECTION_NOT_PARSED,
                          "Avro field %s: its bytes do not fit the schema", name);
}

/* Reads the members of a map; texts of numbers are made in the arena. */
static enum mapping_result read_attributes(struct avro_cursor *cursor,
                                           const struct avro_node *values, struct arena *arena,
                                           struct attribute_list *ret_attributes,
                                           struct rejection *rejection)
{
    const char *field = event_fields[FIELD_ATTRIBUTES].name;
    struct attribute items[EVENT_ATTRIBUTES_MAX];
    uint32_t used = 0;
    for (;;) {
        int64_t count = 0;
        int64_t bytes = 0;
        if (!avro_read_long(cursor, &count) || count == INT64_MIN ||
            (count < 0 && !avro_read_long(cursor, &bytes))) {
            return broken(field, rejection);
        }
        if (count == 0) {
            break;
        }
        for (int64_t i = count < 0 ? -count : count; i > 0; i--) {
            struct avro_step step = {.node = values};
            struct field_value value;
            struct text name;
            const struct avro_node *node = NULL;
            if (!avro_read_bytes(cursor, &name) || !(node = avro_step_branch(&step, cursor)) ||
                !read_value(cursor, node, &value)) {
                return broken(field, rejection);
            }
            if (value.kind == VALUE_MISSING) {
                continue;
            }
            if (used == EVENT_ATTRIBUTES_MAX) {
                return decoder_reject(rejection, REJECTION_OUT_OF_RANGE, "%s: more than %u members",
                                      field, EVENT_ATTRIBUTES_MAX);
            }
            enum mapping_result result = make_text(&value, field, arena, rejection);
            if (result != MAPPING_EVENT) {
                return result;
            }
            items[used++] = (struct attribute){name, value.text};
        }
    }
    struct attribute *kept = used > 0 ? arena_array(arena, struct attribute, used) : NULL;
    if (used > 0) {
        if (!kept) {
            return MAPPING_FAILED;
        }
        memcpy(kept, items, sizeof(*kept) * used);
    }
    *ret_attributes = (struct attribute_list){kept, used};
    return MAPPING_EVENT;
}

/* One number column's value. */
static enum mapping_result set_number(enum event_field field, const struct avro_node *node,
                                      struct field_value *value, struct event_batch *batch,
                                      uint32_t row, struct rejection *rejection)
{
    if (value->kind == VALUE_INTEGER && field == FIELD_EVENT_TIME &&
        node->logical == AVRO_TIMESTAMP_MICROS) {
        int64_t ms = value->integer / 1000;
        value->integer = ms - (value->integer % 1000 < 0);
    }
    return canonical_set_number(field, value, batch, row, rejection);
}

/* The fields that are neither plain text nor a plain integer, or null. */
static enum mapping_result set_slowly(enum event_field field, const struct avro_node *node,
                                      struct avro_cursor *cursor, struct event_batch *batch,
                                      uint32_t row, struct rejection *rejection)
{
    struct field_value value;
    if (field == FIELD_ATTRIBUTES && node->kind == AVRO_KIND_MAP) {
        enum mapping_result result = read_attributes(cursor, node->nodes[0], &batch->arena,
                                                     &batch->attributes[row], rejection);
        if (result == MAPPING_EVENT && batch->attributes[row].count > 0) {
            batch->present[row] |= UINT64_C(1) << field;
        }
        return result;
    }
    if (!read_value(cursor, node, &value)) {
        return broken(event_fields[field].name, rejection);
    }
    if (value.kind == VALUE_MISSING || field == FIELD_ATTRIBUTES) {
        return MAPPING_EVENT;
    }
    if (field < TEXT_FIELD_COUNT) {
        enum mapping_result result =
            make_text(&value, event_fields[field].name, &batch->arena, rejection);
        if (result != MAPPING_EVENT) {
            return result;
        }
        batch->text[field][row] = value.text;
    } else if (set_number(field, node, &value, batch, row, rejection) != MAPPING_EVENT) {
        return MAPPING_REJECTED;
    }
    batch->present[row] |= UINT64_C(1) << field;
    return MAPPING_EVENT;
}

/*
 * The node of a step that something is wanted of; *ret_next is the step after it. NULL: nothing is
 * wanted, and the datum is behind us, or the data are broken.
 */
static const struct avro_node *enter_step(const struct avro_step *step, struct avro_cursor *cursor,
                                          const struct avro_step **ret_next, bool *ret_is_broken)
{
    *ret_next = step + 1;
    *ret_is_broken = false;
    const struct avro_node *node = avro_step_branch(step, cursor);
    if (!node) {
        *ret_is_broken = true;
        return NULL;
    }
    if (step->target != AVRO_NOT_FOUND) {
        return node;
    }
    if (step->inside_count > 0 && node->kind == AVRO_KIND_RECORD) {
        return NULL; /* Its fields are the steps that follow. */
    }
    *ret_next = step + 1 + step->inside_count;
    *ret_is_broken = !avro_skip_datum(cursor, node);
    return NULL;
}

static enum mapping_result fill_columns(struct avro_decoder *self, struct avro_cursor *cursor,
                                        struct event_batch *batch, uint32_t row,
                                        struct rejection *rejection)
{
    const struct avro_step *end = self->plan.steps + self->plan.count;
    uint64_t present = 0;
    batch->present[row] = 0;
    for (const struct avro_step *step = self->plan.steps; step < end;) {
        bool is_broken = false;
        if (step->node->quick == AVRO_QUICK_NULL_OR_BYTES &&
            (uint32_t)step->target < TEXT_FIELD_COUNT) {
            /* Most of an event. */
            uint32_t column = (uint32_t)step->target;
            bool is_there = false;
            if (!avro_read_is_there(cursor, step->node->null_branch, &is_there) ||
                (is_there && !avro_read_bytes(cursor, &batch->text[column][row]))) {
                return broken(event_fields[column].name, rejection);
            }
            present |= (uint64_t)is_there << column;
            step++;
            continue;
        }
        const struct avro_node *node = enter_step(step, cursor, &step, &is_broken);
        if (is_broken) {
            return broken("that was not asked for", rejection);
        }
        if (!node || node->kind == AVRO_KIND_NULL) {
            continue;
        }
        enum event_field field = (enum event_field)step[-1].target;
        if (node->kind == AVRO_KIND_STRING && field < TEXT_FIELD_COUNT) {
            if (!avro_read_bytes(cursor, &batch->text[field][row])) {
                return broken(event_fields[field].name, rejection);
            }
            batch->present[row] |= UINT64_C(1) << field;
        } else {
            enum mapping_result result = set_slowly(field, node, cursor, batch, row, rejection);
            if (result != MAPPING_EVENT) {
                return result;
            }
        }
    }
    batch->present[row] |= present;
    return MAPPING_EVENT;
}

static enum mapping_result fill_values(struct avro_decoder *self, struct avro_cursor *cursor,
                                       struct rejection *rejection)
{
    struct decoder *decoder = &self->decoder;
    const struct avro_step *end = self->plan.steps + self->plan.count;
    memset(decoder->values, 0, sizeof(*decoder->values) * decoder->wanted->count);
    for (const struct avro_step *step = self->plan.steps; step < end;) {
        bool is_broken = false;
        const struct avro_node *node = enter_step(step, cursor, &step, &is_broken);
        if (is_broken) {
            return broken("that was not asked for", rejection);
        }
        if (node) {
            int32_t target = step[-1].target;
            if (!read_value(cursor, node, &decoder->values[target])) {
                return broken(decoder->wanted->items[target], rejection);
            }
        }
    }
    return MAPPING_EVENT;
}

static enum mapping_result decode(struct decoder *decoder, struct text bytes,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection)
{
    struct avro_decoder *self = (struct avro_decoder *)decoder;
    const unsigned char *data = (const unsigned char *)(bytes.length ? bytes.data : "");
    struct avro_cursor cursor = {data, data + bytes.length};
    enum mapping_result result = decoder->is_canonical
                                     ? fill_columns(self, &cursor, batch, row, ret_rejection)
                                     : fill_values(self, &cursor, ret_rejection);
    if (result != MAPPING_EVENT) {
        return result;
    }
    if (cursor.next != cursor.end) {
        return decoder_reject(ret_rejection, REJECTION_NOT_PARSED,
                              "Avro record of %u bytes: %u bytes are left over", bytes.length,
                              (unsigned)(cursor.end - cursor.next));
    }
    return decoder->is_canonical
               ? mapping_clean_row(batch, row, ret_rejection)
               : mapping_apply(decoder->mapping, decoder->values, batch, row, ret_rejection);
}

static void destroy(struct decoder *decoder)
{
    struct avro_decoder *self = (struct avro_decoder *)decoder;
    avro_plan_release(&self->plan);
    avro_schema_release(self->schema);
    free(self);
}

static const struct decoder_ops avro_decoder_ops = {decode, destroy};

static enum status check_found(const char *path, const struct avro_node *root, const char *name,
                               struct error *error)
{
    const char *names[256];
    size_t count = root->count < 256 ? root->count : 256;
    for (size_t i = 0; i < count; i++) {
        names[i] = root->names[i].data;
    }
    const char *nearest = nearest_name(name, names, count);
    return error_set(error, STATUS_INVALID,
                     "%s: its Avro schema has no field \"%s\", which the mapping reads%s%s%s", path,
                     name, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                     nearest ? "\"?" : "");
}

static bool is_needed(bool is_canonical, size_t wanted)
{
    return !is_canonical || wanted == FIELD_EVENT_TIME || wanted == FIELD_TYPE_WORD;
}

static enum status make_plan(struct avro_decoder *self, const struct mapping *mapping,
                             const char *path, struct error *error)
{
    const struct text_list *fields = mapping_source_fields(mapping);
    bool is_canonical = mapping_is_canonical(mapping);
    const char *canonical[EVENT_FIELD_COUNT];
    memcpy(canonical, canonical_names, sizeof(canonical_names));
    canonical[FIELD_ATTRIBUTES] = event_fields[FIELD_ATTRIBUTES].name;
    const char *const *wanted = is_canonical ? canonical : (const char *const *)fields->items;
    size_t count = is_canonical ? (size_t)EVENT_FIELD_COUNT : fields->count;
    const struct avro_node *root = avro_schema_root(self->schema);

    bool *found = calloc(count + 1, sizeof(*found));
    if (!found) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    enum status status = avro_plan_make(root, wanted, count, found, &self->plan, error);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (!found[i] && is_needed(is_canonical, i)) {
            status = check_found(path, root, wanted[i], error);
        }
    }
    free(found);
    return status;
}

enum status avro_decoder_create(const struct mapping *mapping, const struct source_options *options,
                                const char *schema, struct decoder **ret_decoder,
                                struct error *error)
{
    struct avro_decoder *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->path);
    }
    self->decoder.ops = &avro_decoder_ops;
    enum status status = STATUS_OK;
    if (schema) {
        status = avro_schema_compile(options->path, schema, strlen(schema), &self->schema, error);
        if (status == STATUS_OK) {
            status = make_plan(self, mapping, options->path, error);
        }
    }
    if (status != STATUS_OK) {
        destroy(&self->decoder);
        return status;
    }
    *ret_decoder = &self->decoder;
    return STATUS_OK;
}
