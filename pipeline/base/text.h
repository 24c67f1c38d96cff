/* A borrowed piece of text: bytes and a length, not terminated. */
#ifndef PIPELINE_BASE_TEXT_H
#define PIPELINE_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *data; /* Borrowed. May be NULL when length is 0. */
    uint32_t length;  /* In bytes. */
};

static inline struct text text_of(const char *terminated)
{
    return (struct text){terminated, (uint32_t)strlen(terminated)};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool text_is(struct text a, const char *terminated)
{
    return text_equal(a, text_of(terminated));
}

#endif
