#include "operators/event_ids.h"

#include <stdbool.h>
#include <stdint.h>

#define HEX_BYTES 16u
#define HEX_DIGITS 32u
/* How the bytes of an id are to be read: a length up to EVENT_ID_BYTES_MAX, or hexadecimal digits.
 */
#define FORM_HEX 64u
#define FORM_DASHED 1u
#define FORM_UPPER 2u
#define FORM_BITS 8u

static_assert(EVENT_ID_BYTES_MAX < FORM_HEX, "a length is no form of digits");

/* ---- One id ---- */

/* Bytes of the groups of a UUID's digits: 8-4-4-4-12. */
static const uint8_t dashed_groups[] = {4, 2, 2, 2, 6};
static const uint8_t whole_groups[] = {HEX_BYTES, 0, 0, 0, 0};
#define GROUPS 5u

static uint32_t write_digits(const unsigned char bytes[HEX_BYTES], unsigned form,
                             char buffer[EVENT_ID_TEXT_MAX])
{
    const uint8_t *groups = form & FORM_DASHED ? dashed_groups : whole_groups;
    const char *digits = form & FORM_UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
    char *at = buffer;
    for (uint32_t group = 0; group < GROUPS && groups[group] > 0; group++) {
        if (group > 0) {
            *at++ = '-';
        }
        for (uint32_t i = 0; i < groups[group]; i++, bytes++) {
            *at++ = digits[*bytes >> 4];
            *at++ = digits[*bytes & 15];
        }
    }
    return (uint32_t)(at - buffer);
}

/* The value of a digit; of any other letter some value, without a branch to mispredict. */
static unsigned value_of(char c)
{
    return ((unsigned)c & 15) + 9 * ((unsigned)c >> 6 & 1);
}

/* Returns the form of an id of 32 digits of one case, with or without dashes, else 0. */
static unsigned pack_digits(struct text id, unsigned char bytes[HEX_BYTES])
{
    unsigned form = FORM_HEX | (id.length == HEX_DIGITS ? 0 : FORM_DASHED);
    const uint8_t *groups = form & FORM_DASHED ? dashed_groups : whole_groups;
    const char *at = id.data;
    unsigned char *out = bytes;
    for (uint32_t group = 0; group < GROUPS && groups[group] > 0; group++) {
        at += group > 0;
        for (uint32_t i = 0; i < groups[group]; i++, at += 2) {
            *out++ = (unsigned char)((value_of(at[0]) << 4 | value_of(at[1])) & 255);
        }
    }
    /* Written again it is the same, or it was something else. */
    char back[EVENT_ID_TEXT_MAX];
    for (unsigned upper = 0; upper <= FORM_UPPER; upper += FORM_UPPER) {
        if (write_digits(bytes, form | upper, back) == id.length &&
            memcmp(back, id.data, id.length) == 0) {
            return form | upper;
        }
    }
    return 0;
}

/* Returns the form, or 0 where the id cannot be kept; bytes that are not used are 0. */
static unsigned pack(struct text id, unsigned char bytes[EVENT_ID_BYTES_MAX])
{
    memset(bytes, 0, EVENT_ID_BYTES_MAX);
    if (!id.data || id.length == 0) {
        return 0;
    }
    if (id.length == HEX_DIGITS || id.length == EVENT_ID_TEXT_MAX) {
        unsigned form = pack_digits(id, bytes);
        if (form != 0) {
            return form;
        }
    }
    if (id.length > EVENT_ID_BYTES_MAX) {
        memset(bytes, 0, EVENT_ID_BYTES_MAX);
        return 0;
    }
    memcpy(bytes, id.data, id.length);
    return id.length;
}

static struct text unpack(const struct event_id *id, char buffer[EVENT_ID_TEXT_MAX])
{
    unsigned form = (unsigned)(id->owner & ((1u << FORM_BITS) - 1));
    if (form == 0) {
        return (struct text){NULL, 0};
    }
    return form < FORM_HEX ? (struct text){(const char *)id->bytes, form}
                           : (struct text){buffer, write_digits(id->bytes, form, buffer)};
}

/* ---- The ids of a user ---- */

#define CART_KEY 1u

/* Of a session id what there is room for; sessions of one user hardly agree in that. */
static uint64_t key_of_session(uint64_t session_id)
{
    return session_id >> FORM_BITS;
}

static bool is_owned(const struct event_id *id, uint64_t key)
{
    return id->owner != 0 && id->owner >> FORM_BITS == key;
}

static void keep(struct event_id *place, uint64_t key, struct text id)
{
    unsigned form = pack(id, place->bytes);
    place->owner = form ? key << FORM_BITS | form : 0;
}

void event_ids_keep_session(struct event_ids *ids, uint64_t session_id, struct text id)
{
    uint64_t key = key_of_session(session_id);
    struct event_id *newest = &ids->sessions[0];
    struct event_id *other = &ids->sessions[1];
    static_assert(EVENT_IDS_SESSIONS == 2, "these two");
    if (is_owned(other, key)) {
        keep(other, key, id);
        return;
    }
    if (newest->owner != 0 && !is_owned(newest, key)) {
        *other = *newest;
    }
    keep(newest, key, id);
}

void event_ids_keep_cart(struct event_ids *ids, struct text id)
{
    keep(&ids->cart, CART_KEY, id);
}

static const struct event_id *find_deadline(const struct event_ids *ids, uint64_t key)
{
    for (uint32_t i = 0; i < EVENT_IDS_DEADLINES; i++) {
        if (key == 0 ? ids->deadlines[i].owner == 0 : is_owned(&ids->deadlines[i], key)) {
            return &ids->deadlines[i];
        }
    }
    return NULL;
}

void event_ids_keep_deadline(struct event_ids *ids, uint32_t tag, struct text id)
{
    const struct event_id *place = find_deadline(ids, tag);
    place = place ? place : find_deadline(ids, 0);
    if (place) {
        keep(&ids->deadlines[place - ids->deadlines], tag, id);
    }
}

static const struct event_id *find_session(const struct event_ids *ids, uint64_t session_id)
{
    uint64_t key = key_of_session(session_id);
    for (uint32_t i = 0; i < EVENT_IDS_SESSIONS; i++) {
        if (is_owned(&ids->sessions[i], key)) {
            return &ids->sessions[i];
        }
    }
    return NULL;
}

struct text event_ids_session(const struct event_ids *ids, uint64_t session_id,
                              char buffer[EVENT_ID_TEXT_MAX])
{
    const struct event_id *id = find_session(ids, session_id);
    return id ? unpack(id, buffer) : (struct text){NULL, 0};
}

struct text event_ids_cart(const struct event_ids *ids, char buffer[EVENT_ID_TEXT_MAX])
{
    return unpack(&ids->cart, buffer);
}

struct text event_ids_deadline(const struct event_ids *ids, uint32_t tag,
                               char buffer[EVENT_ID_TEXT_MAX])
{
    const struct event_id *id = find_deadline(ids, tag);
    return id ? unpack(id, buffer) : (struct text){NULL, 0};
}

void event_ids_forget_session(struct event_ids *ids, uint64_t session_id)
{
    const struct event_id *id = find_session(ids, session_id);
    if (id) {
        ids->sessions[id - ids->sessions] = (struct event_id){0};
    }
}

void event_ids_forget_sessions(struct event_ids *ids)
{
    memset(ids->sessions, 0, sizeof(ids->sessions));
}

uint32_t event_ids_tag(const struct event_ids *ids, uint32_t place)
{
    assert(place < EVENT_IDS_DEADLINES);
    return (uint32_t)(ids->deadlines[place].owner >> FORM_BITS);
}
