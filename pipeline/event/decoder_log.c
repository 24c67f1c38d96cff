#include <stdlib.h>

#include "pipeline/event/decoder_formats.h"
#include "pipeline/event/log_line.h"

enum log_field {
    LOG_VIRTUAL_HOST,
    LOG_REMOTE_ADDRESS,
    LOG_REMOTE_USER,
    LOG_TIME,
    LOG_METHOD,
    LOG_TARGET,
    LOG_PATH,
    LOG_STATUS,
    LOG_BYTES,
    LOG_REFERRER,
    LOG_USER_AGENT,
    LOG_PLAIN_COUNT,
    LOG_QUERY = LOG_PLAIN_COUNT, /* query.NAME */
    LOG_EXTRA,                   /* extra.N */
};

static const char *const log_field_names[] = {
    "virtual_host", "remote_address", "remote_user", "time",       "method",     "target", "path",
    "status",       "bytes",          "referrer",    "user_agent", "query.NAME", "extra.N"};

struct log_wish {
    enum log_field field;
    struct text name; /* Of the query's parameter; borrowed from the mapping. */
    uint32_t extra;   /* From 0. */
};

struct log_decoder {
    struct decoder decoder;
    size_t count;
    bool needs_query;
    struct log_wish *wishes; /* [count] */
};

/* A value that the server had, without its escapes. False: out of memory. */
static bool set_text(struct text text, struct arena *arena, struct field_value *value)
{
    if (text.length == 0 || (text.length == 1 && text.data[0] == '-')) {
        return true;
    }
    if (memchr(text.data, '\\', text.length)) {
        char *plain = arena_take(arena, text.length);
        if (!plain) {
            return false;
        }
        text = (struct text){plain, (uint32_t)log_unescape(text, plain)};
    }
    *value = (struct field_value){.kind = VALUE_TEXT, .text = text};
    return true;
}

static bool set_integer(struct text text, struct field_value *value)
{
    int64_t integer = 0;
    if (text.length == 0 || text.length > 18) {
        return true;
    }
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return true; /* "-": no bytes were sent. */
        }
        integer = integer * 10 + (text.data[i] - '0');
    }
    *value = (struct field_value){.kind = VALUE_INTEGER, .text = text, .integer = integer};
    return true;
}

static bool decode_percent(struct text *text, bool plus_is_space, struct arena *arena)
{
    if (text->length == 0 || (!memchr(text->data, '%', text->length) &&
                              !(plus_is_space && memchr(text->data, '+', text->length)))) {
        return true;
    }
    char *plain = arena_take(arena, text->length);
    if (!plain) {
        return false;
    }
    *text = (struct text){plain, (uint32_t)percent_decode(*text, plus_is_space, plain)};
    return true;
}

/* The target as the client sent it: percent-encoded, without the server's escapes. */
static bool set_path(struct text path, struct arena *arena, struct field_value *value)
{
    if (!set_text(path, arena, value) || !decode_percent(&value->text, false, arena)) {
        return false;
    }
    return true;
}

/* One NAME=VALUE: fills the values of that name that nothing was found for yet. */
static bool set_parameter(struct log_decoder *self, struct text name, struct text value,
                          struct arena *arena)
{
    if (!decode_percent(&name, true, arena)) {
        return false;
    }
    for (size_t i = 0; i < self->count; i++) {
        struct field_value *slot = &self->decoder.values[i];
        if (self->wishes[i].field != LOG_QUERY || slot->kind != VALUE_MISSING ||
            !text_equal(self->wishes[i].name, name) || value.length == 0) {
            continue;
        }
        struct text plain = value;
        if (!decode_percent(&plain, true, arena)) {
            return false;
        }
        *slot = (struct field_value){.kind = VALUE_TEXT, .text = plain};
    }
    return true;
}

static bool set_parameters(struct log_decoder *self, struct text query, struct arena *arena)
{
    const char *at = query.data;
    const char *end = at + query.length;
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        if (equals) {
            struct text name = {at, (uint32_t)(equals - at)};
            struct text value = {equals + 1, (uint32_t)(stop - equals - 1)};
            if (!set_parameter(self, name, value, arena)) {
                return false;
            }
        }
        at = stop + 1;
    }
    return true;
}

/* The request line's parts, split once. */
struct request {
    struct text method;
    struct text target;
    struct text path;
    struct text query;
};

static bool set_wish(const struct log_wish *wish, const struct log_line *line,
                     const struct request *request, struct arena *arena, struct field_value *value)
{
    *value = (struct field_value){.kind = VALUE_MISSING};
    switch (wish->field) {
    case LOG_VIRTUAL_HOST:
        return set_text(line->virtual_host, arena, value);
    case LOG_REMOTE_ADDRESS:
        return set_text(line->address, arena, value);
    case LOG_REMOTE_USER:
        return set_text(line->user, arena, value);
    case LOG_TIME:
        return set_text(line->time, arena, value);
    case LOG_METHOD:
        return set_text(request->method, arena, value);
    case LOG_TARGET:
        return set_text(request->target, arena, value);
    case LOG_PATH:
        return set_path(request->path, arena, value);
    case LOG_STATUS:
        return set_integer(line->status, value);
    case LOG_BYTES:
        return set_integer(line->bytes, value);
    case LOG_REFERRER:
        return set_text(line->referrer, arena, value);
    case LOG_USER_AGENT:
        return set_text(line->user_agent, arena, value);
    case LOG_EXTRA:
        return wish->extra >= line->extra_count ||
               set_text(line->extras[wish->extra], arena, value);
    case LOG_QUERY:
        return true; /* Set by set_parameters(). */
    }
    return true;
}

static bool set_values(struct log_decoder *self, const struct log_line *line, struct arena *arena)
{
    struct request request;
    log_request_split(line->request, &request.method, &request.target);
    log_target_split(request.target, &request.path, &request.query);
    for (size_t i = 0; i < self->count; i++) {
        if (!set_wish(&self->wishes[i], line, &request, arena, &self->decoder.values[i])) {
            return false;
        }
    }
    if (!self->needs_query || request.query.length == 0) {
        return true;
    }
    struct field_value plain = {.kind = VALUE_MISSING};
    return set_text(request.query, arena, &plain) &&
           (plain.kind == VALUE_MISSING || set_parameters(self, plain.text, arena));
}

static enum mapping_result decode(struct decoder *decoder, struct text bytes,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection)
{
    struct log_decoder *self = (struct log_decoder *)decoder;
    struct log_line line;
    const char *expected = NULL;
    size_t offset = 0;
    if (!log_line_parse(bytes, &line, &expected, &offset)) {
        return decoder_reject(ret_rejection, REJECTION_NOT_PARSED,
                              "log line at byte %zu: expected %s", offset, expected);
    }
    if (!set_values(self, &line, &batch->arena)) {
        return MAPPING_FAILED;
    }
    return decoder_map(decoder, batch, row, ret_rejection);
}

static void destroy(struct decoder *decoder)
{
    struct log_decoder *self = (struct log_decoder *)decoder;
    free(self->wishes);
    free(self);
}

static const struct decoder_ops log_decoder_ops = {decode, destroy};

/* Reads "extra.3" or "query.name". */
static bool read_wish(const char *name, struct log_wish *wish)
{
    for (int field = 0; field < LOG_PLAIN_COUNT; field++) {
        if (strcmp(name, log_field_names[field]) == 0) {
            wish->field = (enum log_field)field;
            return true;
        }
    }
    if (strncmp(name, "query.", 6) == 0 && name[6] != '\0') {
        wish->field = LOG_QUERY;
        wish->name = text_of(name + 6);
        return true;
    }
    char *end = NULL;
    long number = strncmp(name, "extra.", 6) == 0 ? strtol(name + 6, &end, 10) : 0;
    if (!end || *end != '\0' || number < 1 || number > (long)LOG_EXTRAS_MAX) {
        return false;
    }
    wish->field = LOG_EXTRA;
    wish->extra = (uint32_t)number - 1;
    return true;
}

enum status log_decoder_create(const struct mapping *mapping, const struct source_options *options,
                               struct decoder **ret_decoder, struct error *error)
{
    const struct text_list *wanted = mapping_source_fields(mapping);
    struct log_decoder *self = calloc(1, sizeof(*self));
    struct log_wish *wishes = calloc(wanted->count + 1, sizeof(*wishes));
    if (!self || !wishes) {
        free(self);
        free(wishes);
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->path);
    }
    self->decoder.ops = &log_decoder_ops;
    self->wishes = wishes;
    self->count = wanted->count;
    for (size_t i = 0; i < wanted->count; i++) {
        const char *name = wanted->items[i];
        if (!read_wish(name, &wishes[i])) {
            size_t count = sizeof(log_field_names) / sizeof(log_field_names[0]);
            const char *nearest = nearest_name(name, log_field_names, count);
            destroy(&self->decoder);
            return error_set(error, STATUS_INVALID,
                             "%s: an access log has no field \"%s\", which the mapping reads%s%s%s",
                             options->path, name, nearest ? "; did you mean \"" : "",
                             nearest ? nearest : "", nearest ? "\"?" : "");
        }
        self->needs_query = self->needs_query || wishes[i].field == LOG_QUERY;
    }
    *ret_decoder = &self->decoder;
    return STATUS_OK;
}
