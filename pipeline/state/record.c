#include "pipeline/state/record.h"

#include "pipeline/limits.h"

const char *const entity_names[ENTITY_KIND_COUNT] = {"user",    "device", "card", "terminal",
                                                     "address", "item",   "task"};

static uint32_t record_budget(const struct record_part *part)
{
    switch (part->kind) {
    case ENTITY_USER:
        return part->is_model ? USER_MODEL_BYTES_MAX : USER_CORE_BYTES_MAX;
    case ENTITY_TASK:
        return TASK_BYTES_MAX;
    default:
        return ENTITY_BYTES_MAX;
    }
}

enum status record_layout_add(struct record_layout *layout, const struct record_part *part,
                              uint32_t *ret_offset, struct error *error)
{
    if (layout->part_count == RECORD_PARTS_MAX) {
        return error_set(error, STATUS_INVALID, "state part %s: more than %d parts", part->name,
                         RECORD_PARTS_MAX);
    }
    uint32_t used_bytes = part->bytes;
    for (uint32_t i = 0; i < layout->part_count; i++) {
        const struct record_part *other = &layout->parts[i];
        if (other->kind != part->kind) {
            continue;
        }
        if (other->id == part->id) {
            return error_set(error, STATUS_INVALID, "state part %s: id %u is taken by %s",
                             part->name, part->id, other->name);
        }
        used_bytes += other->is_model == part->is_model ? other->bytes : 0;
    }
    if (part->bytes == 0 || part->bytes % 8 != 0 || used_bytes > record_budget(part)) {
        return error_set(error, STATUS_INVALID,
                         "state part %s: %u bytes make %u of a %s's %s parts, at most %u and a "
                         "multiple of 8 expected",
                         part->name, part->bytes, used_bytes, entity_names[part->kind],
                         part->is_model ? "model" : "core", record_budget(part));
    }
    uint32_t offset = layout->bytes[part->kind];
    layout->parts[layout->part_count] = *part;
    layout->offsets[layout->part_count] = offset;
    layout->part_count++;
    layout->bytes[part->kind] = offset + part->bytes;
    *ret_offset = offset;
    return STATUS_OK;
}
