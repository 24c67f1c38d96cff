/*
 * Paths into JSON made ready for one pass over a record: a tree of what is wanted of each object by
 * name and of each array by index or by the text of a member. Immutable once made; all of it stands
 * in the arena that it was made in.
 */
#ifndef PIPELINE_EVENT_JSON_PATHS_H
#define PIPELINE_EVENT_JSON_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pipeline/base/arena.h"

/* So many bytes are read at a name, however short it is. */
#define JSON_NAME_PADDING 8u

/* What is wanted of one value. */
struct json_target {
    int32_t value;                   /* Index of the path that ends here, or -1. */
    const struct json_names *object; /* Of its members if it is an object, or NULL ... */
    const struct json_array *array;  /* ... and of its elements if it is an array. */
};

struct json_name {
    const char *name; /* NULL: the slot is free. */
    size_t length;
    struct json_target wanted;
};

/* The names looked for in one object: a hash table that is never more than half full. */
struct json_names {
    struct json_name *slots; /* A power of two. */
    size_t mask;
    uint32_t shift;
};

/* Elements that are looked for by a member's text: [name=word]. */
struct json_choice {
    struct json_choice *next;
    const char *name; /* Terminated. */
    size_t length;
    const struct json_names *words;
};

struct json_array {
    struct json_target *places; /* By index. */
    size_t place_count;
    struct json_choice *choices; /* NULL: none. */
};

/*
 * `paths`: names joined by dots, behind each of them steps into arrays, [2] or [name=word]; what
 * has not this form is a name. Returns what is wanted of the record itself, or NULL when memory is
 * exhausted.
 */
const struct json_names *json_paths_make(struct arena *arena, const char *const *paths,
                                         size_t count);

static inline uint64_t json_name_hash(const char *name, size_t length)
{
    uint64_t word;
    memcpy(&word, name, sizeof(word));
    if (length < sizeof(word)) {
        word &= (UINT64_C(1) << (8 * length)) - 1;
    }
    return (word ^ length) * UINT64_C(0x9e3779b97f4a7c15);
}

/* What is wanted of the member of that name, or NULL. JSON_NAME_PADDING bytes may be read. */
static inline const struct json_target *json_names_find(const struct json_names *names,
                                                        const char *name, size_t length)
{
    for (size_t at = json_name_hash(name, length) >> names->shift;; at++) {
        const struct json_name *slot = &names->slots[at & names->mask];
        if (!slot->name) {
            return NULL;
        }
        if (slot->length == length && memcmp(slot->name, name, length) == 0) {
            return &slot->wanted;
        }
    }
}

#endif
