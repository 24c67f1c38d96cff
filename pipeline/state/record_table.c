#include "pipeline/state/record_table.h"

#include <assert.h>

static_assert(sizeof(struct cache_entry) == 64, "an entry is a cache line");

uint32_t record_table_hash(struct record_key key)
{
    /* Ids are hashes already; this mixes their halves and the kind (Stafford's variant 13). */
    uint64_t word = key.id.high ^ (key.id.low << 32 | key.id.low >> 32);
    word += (key.kind + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(word ^ word >> 31);
}

static int is_key(const struct cache_entry *entry, struct record_key key)
{
    return entry->id.low == key.id.low && entry->id.high == key.id.high && entry->kind == key.kind;
}

uint32_t record_table_find(const struct record_table *table, struct record_key key, uint32_t hash)
{
    for (uint32_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        struct table_slot slot = table->slots[at];
        if (slot.entry == 0) {
            return CACHE_NO_ENTRY;
        }
        if (slot.hash == hash && is_key(&table->entries[slot.entry - 1], key)) {
            return slot.entry - 1;
        }
    }
}

void record_table_insert(struct record_table *table, uint32_t entry, uint32_t hash)
{
    uint32_t at = hash & table->mask;
    while (table->slots[at].entry != 0) {
        at = (at + 1) & table->mask;
    }
    table->slots[at] = (struct table_slot){hash, entry + 1};
}

void record_table_remove(struct record_table *table, uint32_t entry)
{
    uint32_t hole = record_table_hash(cache_entry_key(&table->entries[entry])) & table->mask;
    while (table->slots[hole].entry != entry + 1) {
        assert(table->slots[hole].entry != 0);
        hole = (hole + 1) & table->mask;
    }
    for (uint32_t at = (hole + 1) & table->mask; table->slots[at].entry != 0;
         at = (at + 1) & table->mask) {
        /* May stay where it is only if its own place lies behind the hole. */
        uint32_t distance = (at - table->slots[at].hash) & table->mask;
        if (distance >= ((at - hole) & table->mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].entry = 0;
}
