#include "pipeline/event/json_paths.h"

#include <stdlib.h>

#include "pipeline/base/text.h"

#define INDEX_DIGITS_MAX 4u
#define SLOT_BITS_MIN 4u

/* One path, of which the steps up to here are taken off. */
struct entry {
    struct text path;
    int32_t value;
    struct entry *next;
};

struct entries {
    struct entry *first;
    struct entry **end; /* Where the next one is put. */
};

/* Entries that began with the same step. */
struct group {
    struct text step;
    struct entries entries;
    struct group *next;
};

struct groups {
    struct group *first;
    size_t count;
};

static void entries_add(struct entries *entries, struct entry *entry)
{
    if (!entries->first) {
        entries->end = &entries->first;
    }
    entry->next = NULL;
    *entries->end = entry;
    entries->end = &entry->next;
}

static struct text behind(struct text path, size_t length)
{
    return (struct text){path.data + length, path.length - (uint32_t)length};
}

/* An index of an array, or `name=word`: what may stand between brackets. */
static bool is_element_step(struct text step)
{
    bool is_index = step.length > 0 && step.length <= INDEX_DIGITS_MAX;
    for (uint32_t i = 0; i < step.length; i++) {
        is_index = is_index && step.data[i] >= '0' && step.data[i] <= '9';
    }
    return is_index ||
           (step.length > 0 && step.data[0] != '=' && memchr(step.data, '=', step.length));
}

/* Length of the brackets at the beginning of `path` that go into an array; 0: there are none. */
static size_t brackets_length(struct text path)
{
    const char *close =
        path.length > 0 && path.data[0] == '[' ? memchr(path.data, ']', path.length) : NULL;
    if (!close) {
        return 0;
    }
    size_t length = (size_t)(close - path.data) + 1;
    struct text rest = behind(path, length);
    bool ends = rest.length == 0 || rest.data[0] == '.' || brackets_length(rest) > 0;
    struct text step = {path.data + 1, (uint32_t)length - 2};
    return ends && is_element_step(step) ? length : 0;
}

static size_t name_length(struct text path)
{
    size_t length = 0;
    while (length < path.length && path.data[length] != '.' &&
           (length == 0 || brackets_length(behind(path, length)) == 0)) {
        length++;
    }
    return length;
}

/*
 * Puts `entry`, whose path begins with `length` bytes of a step, to others with the same step.
 * False when memory is exhausted.
 */
static bool groups_add(struct arena *arena, struct groups *groups, struct entry *entry,
                       struct text step, size_t length)
{
    struct group **at = &groups->first;
    while (*at && !text_equal((*at)->step, step)) {
        at = &(*at)->next;
    }
    if (!*at) {
        *at = arena_take(arena, sizeof(**at));
        if (!*at) {
            return false;
        }
        **at = (struct group){.step = step};
        groups->count++;
    }
    entry->path = behind(entry->path, length);
    entries_add(&(*at)->entries, entry);
    return true;
}

/* A terminated copy with padding, or NULL. */
static char *copy_name(struct arena *arena, struct text name)
{
    char *copy = arena_take(arena, name.length + JSON_NAME_PADDING);
    if (copy) {
        memset(copy, 0, name.length + JSON_NAME_PADDING);
        memcpy(copy, name.data, name.length);
    }
    return copy;
}

static bool make_target(struct arena *arena, struct entry *entries, struct json_target *target);

static bool names_add(struct arena *arena, struct json_names *names, const struct group *group)
{
    struct json_name made = {.name = copy_name(arena, group->step), .length = group->step.length};
    if (!made.name || !make_target(arena, group->entries.first, &made.wanted)) {
        return false;
    }
    size_t at = json_name_hash(made.name, made.length) >> names->shift;
    while (names->slots[at & names->mask].name) {
        at++;
    }
    names->slots[at & names->mask] = made;
    return true;
}

static const struct json_names *make_names(struct arena *arena, const struct groups *groups)
{
    uint32_t bits = SLOT_BITS_MIN;
    while (((size_t)1 << bits) < 2 * groups->count + 2) {
        bits++;
    }
    size_t slots = (size_t)1 << bits;
    struct json_names *names = arena_take(arena, sizeof(*names));
    struct json_name *taken = arena_array(arena, struct json_name, slots);
    if (!names || !taken) {
        return NULL;
    }
    memset(taken, 0, slots * sizeof(*taken));
    *names = (struct json_names){.slots = taken, .mask = slots - 1, .shift = 64 - bits};
    for (const struct group *group = groups->first; group; group = group->next) {
        if (!names_add(arena, names, group)) {
            return NULL;
        }
    }
    return names;
}

/* Of entries that begin with a name. */
static const struct json_names *make_object(struct arena *arena, struct entry *entries)
{
    struct groups groups = {0};
    while (entries) {
        struct entry *entry = entries;
        entries = entry->next;
        size_t length = name_length(entry->path);
        struct text name = {entry->path.data, (uint32_t)length};
        if (!groups_add(arena, &groups, entry, name, length)) {
            return NULL;
        }
    }
    return make_names(arena, &groups);
}

static bool make_places(struct arena *arena, const struct groups *groups, struct json_array *array)
{
    for (const struct group *group = groups->first; group; group = group->next) {
        size_t place = strtoul(group->step.data, NULL, 10);
        array->place_count = place < array->place_count ? array->place_count : place + 1;
    }
    array->places = arena_array(arena, struct json_target, array->place_count);
    if (!array->places) {
        return false;
    }
    for (size_t i = 0; i < array->place_count; i++) {
        array->places[i] = (struct json_target){.value = -1};
    }
    for (const struct group *group = groups->first; group; group = group->next) {
        size_t place = strtoul(group->step.data, NULL, 10);
        if (!make_target(arena, group->entries.first, &array->places[place])) {
            return false;
        }
    }
    return true;
}

/* The words of one member's name stand in front of what is left of the paths, and a bracket. */
static struct json_choice *make_choice(struct arena *arena, const struct group *choice)
{
    struct groups words = {0};
    struct entry *entries = choice->entries.first;
    while (entries) {
        struct entry *entry = entries;
        entries = entry->next;
        const char *close = memchr(entry->path.data, ']', entry->path.length);
        struct text word = {entry->path.data, (uint32_t)(close - entry->path.data)};
        if (!groups_add(arena, &words, entry, word, (size_t)word.length + 1)) {
            return NULL;
        }
    }
    struct json_choice *made = arena_take(arena, sizeof(*made));
    if (!made) {
        return NULL;
    }
    *made = (struct json_choice){.name = copy_name(arena, choice->step),
                                 .length = choice->step.length,
                                 .words = make_names(arena, &words)};
    return made->name && made->words ? made : NULL;
}

static bool make_choices(struct arena *arena, const struct groups *groups, struct json_array *array)
{
    struct json_choice **end = &array->choices;
    for (const struct group *group = groups->first; group; group = group->next) {
        *end = make_choice(arena, group);
        if (!*end) {
            return false;
        }
        end = &(*end)->next;
    }
    return true;
}

/* Of entries that begin with brackets. */
static const struct json_array *make_array(struct arena *arena, struct entry *entries)
{
    struct groups places = {0};
    struct groups choices = {0};
    while (entries) {
        struct entry *entry = entries;
        entries = entry->next;
        size_t length = brackets_length(entry->path);
        struct text step = {entry->path.data + 1, (uint32_t)length - 2};
        const char *equals = memchr(step.data, '=', step.length);
        struct text name = {step.data, equals ? (uint32_t)(equals - step.data) : 0};
        bool is_added = equals ? groups_add(arena, &choices, entry, name, (size_t)name.length + 2)
                               : groups_add(arena, &places, entry, step, length);
        if (!is_added) {
            return NULL;
        }
    }
    struct json_array *array = arena_take(arena, sizeof(*array));
    if (!array) {
        return NULL;
    }
    *array = (struct json_array){0};
    return make_places(arena, &places, array) && make_choices(arena, &choices, array) ? array
                                                                                      : NULL;
}

/* What is wanted where all of the entries' steps so far have led. */
static bool make_target(struct arena *arena, struct entry *entries, struct json_target *target)
{
    struct entries members = {0};
    struct entries elements = {0};
    *target = (struct json_target){.value = -1};
    while (entries) {
        struct entry *entry = entries;
        entries = entry->next;
        if (entry->path.length > 0 && entry->path.data[0] == '.') {
            entry->path = behind(entry->path, 1);
        }
        if (entry->path.length == 0) {
            target->value = entry->value;
        } else {
            entries_add(brackets_length(entry->path) > 0 ? &elements : &members, entry);
        }
    }
    if (members.first) {
        target->object = make_object(arena, members.first);
    }
    if (elements.first) {
        target->array = make_array(arena, elements.first);
    }
    return (!members.first || target->object) && (!elements.first || target->array);
}

const struct json_names *json_paths_make(struct arena *arena, const char *const *paths,
                                         size_t count)
{
    struct entries entries = {0};
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = arena_take(arena, sizeof(*entry));
        char *copy = entry ? copy_name(arena, text_of(paths[i])) : NULL;
        if (!copy) {
            return NULL;
        }
        *entry = (struct entry){.path = text_of(copy), .value = (int32_t)i};
        entries_add(&entries, entry);
    }
    return make_object(arena, entries.first);
}
