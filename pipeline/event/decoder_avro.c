/*
 * Avro records, straight from their bytes into the columns (canonical events) or into the mapping's
 * values, by a plan made once from the writer's schema.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/event/avro_fit.h"
#include "pipeline/event/avro_plan.h"
#include "pipeline/event/decoder_formats.h"

#define DIGITS_MAX 24

struct avro_decoder {
    struct decoder decoder;
    struct avro_schema *schema; /* Owned. NULL: an empty file. */
    struct avro_plan plan;
    bool is_strict; /* Messages: a branch that cannot become what is wanted rejects its record. */
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

/* A branch of a union that has no place in its field. */
static enum mapping_result misfit(const char *name, const struct avro_node *node,
                                  struct rejection *rejection)
{
    return decoder_reject(rejection, REJECTION_NOT_PARSED,
                          "Avro field %s: %s, which it cannot be read from", name,
                          avro_kind_name(node->kind));
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
static enum mapping_result set_slowly(bool is_strict, enum event_field field,
                                      const struct avro_node *node, struct avro_cursor *cursor,
                                      struct event_batch *batch, uint32_t row,
                                      struct rejection *rejection)
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
    if (is_strict && !avro_kind_fits(field, node)) {
        return misfit(event_fields[field].name, node, rejection);
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
            enum mapping_result result =
                set_slowly(self->is_strict, field, node, cursor, batch, row, rejection);
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
            if (self->is_strict && !avro_kind_is_plain(node->kind)) {
                return misfit(decoder->wanted->items[target], node, rejection);
            }
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
    return decoder->is_canonical ? mapping_clean_row(batch, row, ret_rejection)
                                 : decoder_map(decoder, batch, row, ret_rejection);
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

/* What is looked for in a writer's schema. */
struct wanted_fields {
    const char *canonical[EVENT_FIELD_COUNT];
    const char *const *items;
    size_t count;
    bool is_canonical;
    bool *found; /* [count] Owned. */
};

static bool is_outer(const char *name)
{
    return strncmp(name, OUTER_FIELD_PREFIX, strlen(OUTER_FIELD_PREFIX)) == 0;
}

/* Of a file every field of the mapping must be there; of messages, one of them. */
static enum status check_all_found(const struct avro_decoder *self, const char *name,
                                   const struct wanted_fields *wanted, struct error *error)
{
    const struct avro_node *root = avro_schema_root(self->schema);
    size_t found = 0;
    size_t first = wanted->count;
    for (size_t i = 0; i < wanted->count; i++) {
        bool is_needed = wanted->is_canonical ? i == FIELD_EVENT_TIME || i == FIELD_TYPE_WORD
                                              : !self->is_strict && !is_outer(wanted->items[i]);
        if (!wanted->found[i] && is_needed) {
            return check_found(name, root, wanted->items[i], error);
        }
        bool is_inner = !is_outer(wanted->items[i]);
        found += wanted->found[i] && is_inner;
        first = is_inner && first == wanted->count ? i : first;
    }
    if (found == 0 && first < wanted->count) {
        return check_found(name, root, wanted->items[first], error);
    }
    return STATUS_OK;
}

static enum status check_types(const struct avro_decoder *self, const char *name,
                               const struct wanted_fields *wanted, struct error *error)
{
    for (size_t i = 0; self->is_strict && i < self->plan.count; i++) {
        const struct avro_step *step = &self->plan.steps[i];
        if (step->target == AVRO_NOT_FOUND) {
            continue;
        }
        enum event_field field =
            wanted->is_canonical ? (enum event_field)step->target : EVENT_FIELD_COUNT;
        if (!avro_kind_fits(field, step->node)) {
            return error_set(error, STATUS_INVALID, "%s: its field \"%s\" is %s, expected %s", name,
                             wanted->items[step->target], avro_kind_name(step->node->kind),
                             avro_kind_expected(field));
        }
    }
    return STATUS_OK;
}

static enum status make_plan(struct avro_decoder *self, const struct mapping *mapping,
                             const char *path, struct error *error)
{
    const struct text_list *fields = mapping_source_fields(mapping);
    struct wanted_fields wanted = {.is_canonical = mapping_is_canonical(mapping)};
    memcpy(wanted.canonical, canonical_names, sizeof(canonical_names));
    wanted.canonical[FIELD_ATTRIBUTES] = event_fields[FIELD_ATTRIBUTES].name;
    wanted.items = wanted.is_canonical ? wanted.canonical : (const char *const *)fields->items;
    wanted.count = wanted.is_canonical ? (size_t)EVENT_FIELD_COUNT : fields->count;
    wanted.found = calloc(wanted.count + 1, sizeof(*wanted.found));
    if (!wanted.found) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    enum status status = avro_plan_make(avro_schema_root(self->schema), wanted.items, wanted.count,
                                        wanted.found, &self->plan, error);
    if (status == STATUS_OK) {
        status = check_all_found(self, path, &wanted, error);
    }
    if (status == STATUS_OK) {
        status = check_types(self, path, &wanted, error);
    }
    free(wanted.found);
    return status;
}

static enum status create_by_schema(const struct mapping *mapping, const char *name,
                                    const char *json, bool is_strict, struct decoder **ret_decoder,
                                    struct error *error)
{
    struct avro_decoder *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    self->decoder.ops = &avro_decoder_ops;
    self->is_strict = is_strict;
    enum status status = STATUS_OK;
    if (json) {
        status = avro_schema_compile(name, json, strlen(json), &self->schema, error);
        if (status == STATUS_OK) {
            status = make_plan(self, mapping, name, error);
        }
    }
    if (status != STATUS_OK) {
        destroy(&self->decoder);
        return status;
    }
    *ret_decoder = &self->decoder;
    return STATUS_OK;
}

enum status avro_decoder_create(const struct mapping *mapping, const struct source_options *options,
                                const struct source *source, struct decoder **ret_decoder,
                                struct error *error)
{
    return create_by_schema(mapping, options->path, source_avro_schema(source), false, ret_decoder,
                            error);
}

enum status avro_message_decoder_create(const struct mapping *mapping, const char *name,
                                        const char *schema, struct decoder **ret_decoder,
                                        struct error *error)
{
    return create_by_schema(mapping, name, schema, true, ret_decoder, error);
}
