#include "test/fakes/cache_layout.h"

#include "test/fakes/must.h"

void cache_test_layout(struct record_layout *layout)
{
    static const struct record_part parts[] = {
        {.name = "core", .id = 1, .kind = ENTITY_USER, .bytes = 1024},
        {.name = "model", .id = 2, .kind = ENTITY_USER, .bytes = 512, .is_model = 1},
        {.name = "item", .id = 1, .kind = ENTITY_ITEM, .bytes = 192},
        {.name = "task", .id = 1, .kind = ENTITY_TASK, .bytes = 8192},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint32_t offset;
        struct error error;
        must(record_layout_add(layout, &parts[i], &offset, &error), &error);
    }
}

void cache_commit_at(struct record_cache *cache, uint64_t position)
{
    const struct changelog_entry *entries;
    assert_int_equal(record_cache_encode_changes(cache, &entries), record_cache_taken(cache));
    record_cache_commit(cache, position);
}
