#include "pipeline/generate/truth_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/json_text.h"

#define BLOCK_BYTES 65536

struct truth_file {
    FILE *file;
    char *path;
    struct byte_buffer block; /* Lines not yet written. */
};

enum status truth_file_open(const char *path, struct truth_file **ret_file, struct error *error)
{
    struct truth_file *file = calloc(1, sizeof(*file));
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    file->path = copy;
    file->file = fopen(path, "wb");
    if (!file->file) {
        enum status status = error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
        free(copy);
        free(file);
        return status;
    }
    *ret_file = file;
    return STATUS_OK;
}

static void append_flag(struct byte_buffer *json, const char *name, bool value)
{
    json_append_name(json, name);
    json_append_bool(json, value);
}

static void append_shopper(struct byte_buffer *json, const struct visit *visit)
{
    static const char *const types[SHOPPER_TYPE_COUNT] = {"window", "research", "loyal", "bargain",
                                                          "impulse"};
    bool is_somebody = visit->kind == VISIT_HUMAN || visit->kind == VISIT_REFUND_ABUSE ||
                       visit->kind == VISIT_ACCOUNT_TAKEOVER;
    json_append_name(json, "shopper");
    if (is_somebody) {
        json_append_long(json, (int64_t)visit->shopper.number);
    } else {
        json_append_null(json);
    }
    json_append_name(json, "shopper_type");
    if (is_somebody) {
        json_append_text(json, text_of(types[visit->shopper.type]));
    } else {
        json_append_null(json);
    }
}

static void append_visit(struct byte_buffer *json, const struct visit *visit, bool is_complete)
{
    const struct visit_kind_info *kind = &visit_kinds[visit->kind];
    bool is_human = visit->kind == VISIT_HUMAN;
    char id[32];
    (void)snprintf(id, sizeof(id), "v%llx", (unsigned long long)visit->number);
    json_append_raw(json, "{");
    json_append_name(json, "visit");
    json_append_text(json, text_of(id));
    json_append_name(json, "kind");
    json_append_text(json, text_of(kind->name));
    append_flag(json, "bot", kind->is_bot);
    append_flag(json, "fraud", kind->is_fraud);
    append_shopper(json, visit);
    json_append_name(json, "start");
    json_append_long(json, visit->start_ms);
    json_append_name(json, "events");
    json_append_long(json, visit->step);
    append_flag(json, "complete", is_complete);
    append_flag(json, "reached_cart", visit->reached_cart);
    append_flag(json, "purchased", visit->has_purchased);
    append_flag(json, "coupon_shown", visit->was_coupon_shown);
    append_flag(json, "buys_without_coupon",
                is_human ? visit->buys_without_coupon : visit->has_purchased);
    append_flag(json, "buys_with_coupon",
                is_human ? visit->buys_with_coupon : visit->has_purchased);
    json_append_raw(json, "}\n");
}

static enum status write_block(struct truth_file *file, struct error *error)
{
    struct byte_buffer *block = &file->block;
    if (block->has_failed) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", file->path);
    }
    if (block->length > 0 && fwrite(block->bytes, 1, block->length, file->file) != block->length) {
        return error_set(error, STATUS_FATAL, "%s: %s", file->path, strerror(errno));
    }
    block->length = 0;
    return STATUS_OK;
}

enum status truth_file_write(struct truth_file *file, const struct visit *visit, bool is_complete,
                             struct error *error)
{
    append_visit(&file->block, visit, is_complete);
    bool is_due = file->block.length >= BLOCK_BYTES || file->block.has_failed;
    return is_due ? write_block(file, error) : STATUS_OK;
}

enum status truth_file_close(struct truth_file *file, struct error *error)
{
    if (!file) {
        return STATUS_OK;
    }
    enum status status = write_block(file, error);
    if (fclose(file->file) != 0 && status == STATUS_OK) {
        status = error_set(error, STATUS_FATAL, "%s: %s", file->path, strerror(errno));
    }
    byte_buffer_release(&file->block);
    free(file->path);
    free(file);
    return status;
}
