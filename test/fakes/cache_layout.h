/* Records of several kinds, for tests of their cache. */
#ifndef TEST_FAKES_CACHE_LAYOUT_H
#define TEST_FAKES_CACHE_LAYOUT_H

#include "pipeline/state/record_cache.h"

/* Adds parts of users, items and the task to an empty layout. */
void cache_test_layout(struct record_layout *layout);

/* What commits when nobody logs the changes. */
void cache_commit_at(struct record_cache *cache, uint64_t position);

#endif
