/* Value maps: words to words. */
#include "pipeline/event/mapping_plan.h"

#include "pipeline/base/hash.h"

enum status check_type_word(const struct yaml_node *node, const char *word, struct error *error)
{
    const char *names[EVENT_TYPE_COUNT];
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        names[type] = event_types[type].name;
        if (strcmp(word, names[type]) == 0) {
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(word, names, EVENT_TYPE_COUNT);
    return yaml_complain(node, error,
                         "\"%.64s\": expected a type of event; see `nudge describe events`%s%s%s",
                         word, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

/* The slot of the word, or the free one where it would stand. */
static struct word_entry *slot_of(const struct word_map *map, struct text word)
{
    uint32_t index = (uint32_t)hash64(word) & (map->slot_count - 1);
    while (map->slots[index].is_used && !text_equal(map->slots[index].from, word)) {
        index = (index + 1) & (map->slot_count - 1);
    }
    return &map->slots[index];
}

struct text word_map_find(const struct word_map *map, struct text word)
{
    const struct word_entry *entry = slot_of(map, word);
    if (entry->is_used) {
        return entry->to;
    }
    return map->has_fallback ? map->fallback : word;
}

/* The target of an entry: text, or null for a missing value. */
static enum status target(struct mapping *mapping, const struct yaml_node *node, enum value_use use,
                          struct text *ret_text, struct error *error)
{
    *ret_text = (struct text){0};
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, error, "expected a text or null");
    }
    if (yaml_is_null(node)) {
        return STATUS_OK;
    }
    if (use == USE_TYPE) {
        enum status status = check_type_word(node, node->scalar, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return mapping_keep(mapping, node->scalar, ret_text, error);
}

enum status word_map_compile(struct mapping *mapping, const struct yaml_node *node,
                             const struct yaml_node *fallback, enum value_use use,
                             struct word_map *ret_map, struct error *error)
{
    if (node->kind != YAML_MAPPING || node->child_count == 0 ||
        node->child_count > MAPPING_WORDS_MAX) {
        return yaml_complain(node, error, "expected words and what they are mapped to, at most %u",
                             MAPPING_WORDS_MAX);
    }
    struct word_map map = {.slot_count = 8, .count = (uint32_t)node->child_count};
    while (map.slot_count < 2 * map.count) {
        map.slot_count *= 2;
    }
    enum status status = STATUS_OK;
    map.slots = mapping_take(mapping, sizeof(*map.slots) * map.slot_count, &status, error);
    for (size_t i = 0; status == STATUS_OK && i < node->child_count; i++) {
        struct text from;
        status = mapping_keep(mapping, node->children[i].key, &from, error);
        if (status == STATUS_OK) {
            struct word_entry *entry = slot_of(&map, from);
            *entry = (struct word_entry){.from = from, .is_used = true};
            status = target(mapping, &node->children[i], use, &entry->to, error);
        }
    }
    if (status == STATUS_OK && fallback) {
        map.has_fallback = true;
        status = target(mapping, fallback, use, &map.fallback, error);
    }
    if (status == STATUS_OK) {
        *ret_map = map;
    }
    return status;
}
