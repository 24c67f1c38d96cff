/*
 * Says of most keys that a store does not have that it does not have them, from a few bits a key in
 * memory: a Bloom filter split into blocks of half a cache line (F. Putze, P. Sanders, J. Singler:
 * Cache-, hash- and space-efficient Bloom filters, 2007; the form that Apache Parquet specifies).
 * At 10 bits a key it is wrong, which costs a look, for about 1% of the keys that are not there;
 * more keys than it has room for make it wrong more often, never unsafe. One thread.
 */
#ifndef PIPELINE_STATE_KEY_FILTER_H
#define PIPELINE_STATE_KEY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/state/state_store.h"

struct key_filter;

/* Takes the whole blocks that `bytes` has room for, at least one. NULL when memory is exhausted. */
struct key_filter *key_filter_create(size_t bytes);
void key_filter_destroy(struct key_filter *filter); /* NULL is a no-op. */

void key_filter_add(struct key_filter *filter, const struct store_key *key);

/* Adds the keys of those puts that begin with `first_byte`, but for deletions. */
void key_filter_add_puts(struct key_filter *filter, const struct store_put *puts, uint32_t count,
                         unsigned char first_byte);

/* Says of each key whether it may have been added; false is certain. */
void key_filter_ask(const struct key_filter *filter, const struct store_key *keys, uint32_t count,
                    bool *ret_may_be);

#endif
