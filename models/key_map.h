/* A table from 64-bit keys to small numbers that are given in order: 0, 1, 2 ... One thread. */
#ifndef MODELS_KEY_MAP_H
#define MODELS_KEY_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct key_map {
    uint64_t *keys;    /* Owned; 0: free. */
    uint32_t *numbers; /* Owned. */
    uint32_t capacity; /* A power of two. */
    uint32_t count;
};

#define KEY_MAP_NONE UINT32_MAX

/* The number of `key`, which is not 0; KEY_MAP_NONE where it has none. */
uint32_t key_map_find(const struct key_map *map, uint64_t key);

/* The same; a new key gets the next number. KEY_MAP_NONE when memory is exhausted. */
uint32_t key_map_add(struct key_map *map, uint64_t key);

void key_map_release(struct key_map *map);

#endif
