#include "models/key_map.h"

#include <stdlib.h>

#include "pipeline/base/hash.h"

static uint32_t place_of(const struct key_map *map, uint64_t key)
{
    uint32_t mask = map->capacity - 1;
    uint32_t place = (uint32_t)hash64_combine(key, 1) & mask;
    while (map->keys[place] != 0 && map->keys[place] != key) {
        place = (place + 1) & mask;
    }
    return place;
}

uint32_t key_map_find(const struct key_map *map, uint64_t key)
{
    if (map->capacity == 0) {
        return KEY_MAP_NONE;
    }
    uint32_t place = place_of(map, key);
    return map->keys[place] == key ? map->numbers[place] : KEY_MAP_NONE;
}

static bool grow(struct key_map *map)
{
    const uint32_t capacity = map->capacity ? map->capacity * 2 : 1024;
    uint64_t *keys = calloc(capacity, sizeof(*keys));
    uint32_t *numbers = calloc(capacity, sizeof(*numbers));
    if (!keys || !numbers) {
        free(keys);
        free(numbers);
        return false;
    }
    struct key_map larger = {
        .capacity = capacity, .count = map->count, .keys = keys, .numbers = numbers};
    for (uint32_t i = 0; i < map->capacity; i++) {
        if (map->keys[i] != 0) {
            uint32_t place = place_of(&larger, map->keys[i]);
            keys[place] = map->keys[i];
            numbers[place] = map->numbers[i];
        }
    }
    free(map->keys);
    free(map->numbers);
    map->keys = keys;
    map->numbers = numbers;
    map->capacity = capacity;
    return true;
}

uint32_t key_map_add(struct key_map *map, uint64_t key)
{
    if (map->count * 2 >= map->capacity && !grow(map)) {
        return KEY_MAP_NONE;
    }
    uint32_t place = place_of(map, key);
    if (map->keys[place] != key) {
        map->keys[place] = key;
        map->numbers[place] = map->count++;
    }
    return map->numbers[place];
}

void key_map_release(struct key_map *map)
{
    free(map->keys);
    free(map->numbers);
    *map = (struct key_map){0};
}
