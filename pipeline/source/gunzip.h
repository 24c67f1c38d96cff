/* Takes a stream of gzip members apart, step by step, and finds the next member after damage. */
#ifndef PIPELINE_SOURCE_GUNZIP_H
#define PIPELINE_SOURCE_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

enum gunzip_result {
    GUNZIP_OK,
    GUNZIP_DAMAGED, /* Once for each damage; the next step looks for the next member. */
    GUNZIP_NO_MEMORY,
};

struct gunzip;

struct gunzip *gunzip_create(void);         /* NULL when memory is exhausted. */
void gunzip_destroy(struct gunzip *gunzip); /* NULL is a no-op. */

/*
 * Uses up to `length` input bytes (0: what is left inside) and writes up to `room` output bytes;
 * says how many of each. Any output comes before the damage that follows it.
 */
enum gunzip_result gunzip_step(struct gunzip *gunzip, const unsigned char *input, size_t length,
                               void *output, size_t room, size_t *ret_used, size_t *ret_written);

/* True where the input may end: before the first byte of a member. */
bool gunzip_is_between_members(const struct gunzip *gunzip);

#endif
