#include "pipeline/run/truth_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "pipeline/base/hash.h"
#include "pipeline/base/json_tree.h"

#define LINE_BYTES 65536

struct truth_file {
    struct key_map visits;
    struct truth *truths; /* [capacity] by number of the visit. Owned. */
    uint32_t capacity;
    char kinds[TRUTH_KINDS_MAX][TRUTH_KIND_BYTES];
    uint32_t kind_count;
};

static uint64_t visit_hash(struct text id)
{
    uint64_t hash = hash64(id);
    return hash ? hash : 1;
}

int truth_file_kind_of(const struct truth_file *truth, const char *name)
{
    for (uint32_t i = 0; i < truth->kind_count; i++) {
        if (strcmp(truth->kinds[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int add_kind(struct truth_file *truth, struct text name)
{
    char kind[TRUTH_KIND_BYTES];
    if (name.length == 0 || name.length >= sizeof(kind)) {
        return -1;
    }
    memcpy(kind, name.data, name.length);
    kind[name.length] = '\0';
    int found = truth_file_kind_of(truth, kind);
    if (found < 0 && truth->kind_count < TRUTH_KINDS_MAX) {
        memcpy(truth->kinds[truth->kind_count], kind, sizeof(kind));
        found = (int)truth->kind_count++;
    }
    return found;
}

static bool is_true(const struct json_value *line, const char *name)
{
    const struct json_value *value = json_member(line, name);
    return value && value->kind == JSON_BOOL && value->flag;
}

static enum status add_line(struct truth_file *truth, const struct json_value *line,
                            struct error *error)
{
    struct text id = json_member_text(line, "visit");
    int kind = add_kind(truth, json_member_text(line, "kind"));
    if (!id.data || kind < 0) {
        return error_set(error, STATUS_INVALID, "texts visit and kind expected, %d kinds at most",
                         TRUTH_KINDS_MAX);
    }
    uint32_t number = key_map_add(&truth->visits, visit_hash(id));
    if (number != KEY_MAP_NONE && number >= truth->capacity) {
        uint32_t capacity = truth->capacity ? truth->capacity * 2 : 1024;
        struct truth *larger = realloc(truth->truths, (size_t)capacity * sizeof(*larger));
        number = larger ? number : KEY_MAP_NONE;
        truth->truths = larger ? larger : truth->truths;
        truth->capacity = larger ? capacity : truth->capacity;
    }
    if (number == KEY_MAP_NONE) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    truth->truths[number] = (struct truth){
        .visit = visit_hash(id),
        .kind = (uint8_t)kind,
        .is_bot = is_true(line, "bot"),
        .is_fraud = is_true(line, "fraud"),
    };
    return STATUS_OK;
}

static enum status read_lines(FILE *stream, const char *path, struct truth_file *truth,
                              struct error *error)
{
    static _Thread_local char line[LINE_BYTES];
    struct arena arena;
    arena_init(&arena, 1 << 14);
    enum status status = STATUS_OK;
    unsigned long number = 0;
    while (status == STATUS_OK && fgets(line, sizeof(line), stream)) {
        number++;
        struct text json = text_of(line);
        while (json.length > 0 && (unsigned char)json.data[json.length - 1] <= ' ') {
            json.length--;
        }
        const struct json_value *value;
        if (json.length == 0) {
            continue;
        }
        status = json_tree_parse(json, &arena, &value, error);
        if (status == STATUS_OK) {
            status = add_line(truth, value, error);
        }
        if (status != STATUS_OK) {
            status = error_prefix(error, status, "%s:%lu", path, number);
        }
        arena_reset(&arena);
    }
    arena_release(&arena);
    if (status == STATUS_OK && ferror(stream)) {
        status = error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    return status;
}

enum status truth_file_load(const char *path, struct truth_file **ret_truth, struct error *error)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    struct truth_file *truth = calloc(1, sizeof(*truth));
    enum status status = truth ? read_lines(stream, path, truth, error)
                               : error_set(error, STATUS_FATAL, "%s: out of memory", path);
    (void)fclose(stream);
    if (status != STATUS_OK) {
        truth_file_unload(truth);
        return status;
    }
    *ret_truth = truth;
    return STATUS_OK;
}

void truth_file_unload(struct truth_file *truth)
{
    if (truth) {
        key_map_release(&truth->visits);
        free(truth->truths);
        free(truth);
    }
}

bool truth_file_find(const struct truth_file *truth, struct text event_id, struct truth *ret)
{
    const char *dash = event_id.length ? memchr(event_id.data, '-', event_id.length) : NULL;
    if (dash) {
        event_id.length = (uint32_t)(dash - event_id.data);
    }
    return truth_file_find_visit(truth, event_id, ret);
}

bool truth_file_find_visit(const struct truth_file *truth, struct text visit, struct truth *ret)
{
    uint32_t number = key_map_find(&truth->visits, visit_hash(visit));
    if (number == KEY_MAP_NONE) {
        return false;
    }
    *ret = truth->truths[number];
    return true;
}

uint32_t truth_file_kind_count(const struct truth_file *truth)
{
    return truth->kind_count;
}

const char *truth_file_kind(const struct truth_file *truth, uint32_t kind)
{
    return truth->kinds[kind];
}
