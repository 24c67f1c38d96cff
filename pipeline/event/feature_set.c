#include "pipeline/event/feature_set.h"

#include <string.h>

#include "pipeline/base/hash.h"

int32_t feature_index(const struct feature_set *set, const char *name)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (strcmp(set->features[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

uint64_t feature_set_hash(const struct feature_info *features, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++) {
        hash = hash64_combine(hash, hash64(text_of(features[i].name)));
    }
    return hash;
}
