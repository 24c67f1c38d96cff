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

/*
 * Eight hexadecimal digits are a word here, the first one lowest, so that an id takes a few
 * operations and no branch that is mispredicted.
 */
#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))
#define WORDS (HEX_DIGITS / 8)

/* Of what are no digits, any value. */
static inline uint32_t pack_word(uint64_t digits)
{
    uint64_t values = (digits & EACH_BYTE(15)) + 9 * (digits >> 6 & EACH_BYTE(1));
    values &= EACH_BYTE(15);
    uint64_t packed = (values << 4 | values >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    packed = (packed | packed >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(packed | packed >> 16);
}

static inline uint64_t unpack_word(uint32_t packed, unsigned form)
{
    uint64_t bytes = packed;
    bytes = (bytes | bytes << 16) & UINT64_C(0x0000ffff0000ffff);
    bytes = (bytes | bytes << 8) & UINT64_C(0x00ff00ff00ff00ff);
    uint64_t values = (bytes >> 4 & EACH_BYTE(15) & UINT64_C(0x00ff00ff00ff00ff)) |
                      (bytes & UINT64_C(0x000f000f000f000f)) << 8;
    uint64_t letters = (values + EACH_BYTE(6)) >> 4 & EACH_BYTE(1);
    const uint64_t letter_step = form & FORM_UPPER ? 'A' - '0' - 10 : 'a' - '0' - 10;
    return values + EACH_BYTE('0') + letters * letter_step;
}

/* The digits of a UUID, 8-4-4-4-12, without its dashes; false: these are elsewhere. */
static bool take_dashes(const char *id, char digits[HEX_DIGITS])
{
    memcpy(digits, id, 8);
    memcpy(digits + 8, id + 9, 4);
    memcpy(digits + 12, id + 14, 4);
    memcpy(digits + 16, id + 19, 4);
    memcpy(digits + 20, id + 24, 12);
    return id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-';
}

static uint32_t put_dashes(const char digits[HEX_DIGITS], char buffer[EVENT_ID_TEXT_MAX])
{
    memcpy(buffer, digits, 8);
    memcpy(buffer + 9, digits + 8, 4);
    memcpy(buffer + 14, digits + 12, 4);
    memcpy(buffer + 19, digits + 16, 4);
    memcpy(buffer + 24, digits + 20, 12);
    buffer[8] = buffer[13] = buffer[18] = buffer[23] = '-';
    return EVENT_ID_TEXT_MAX;
}

static inline bool is_written_as(const uint32_t packed[WORDS], const uint64_t words[WORDS],
                                 unsigned form)
{
    uint64_t unlike = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        unlike |= unpack_word(packed[i], form) ^ words[i];
    }
    return unlike == 0;
}

/* Returns the form of an id of 32 digits of one case, with or without dashes, else 0. */
static unsigned pack_digits(struct text id, unsigned char bytes[HEX_BYTES])
{
    uint64_t words[WORDS];
    uint32_t packed[WORDS];
    unsigned form = FORM_HEX | (id.length == HEX_DIGITS ? 0 : FORM_DASHED);
    if (!(form & FORM_DASHED)) {
        memcpy(words, id.data, HEX_DIGITS);
    } else if (!take_dashes(id.data, (char *)words)) {
        return 0;
    }
    for (uint32_t i = 0; i < WORDS; i++) {
        packed[i] = pack_word(words[i]);
    }
    memcpy(bytes, packed, HEX_BYTES);
    /* Written again it is the same, or it was something else. */
    return is_written_as(packed, words, form)                ? form
           : is_written_as(packed, words, form | FORM_UPPER) ? form | FORM_UPPER
                                                             : 0;
}

static uint32_t write_digits(const unsigned char bytes[HEX_BYTES], unsigned form,
                             char buffer[EVENT_ID_TEXT_MAX])
{
    uint32_t packed[WORDS];
    uint64_t words[WORDS];
    memcpy(packed, bytes, HEX_BYTES);
    for (uint32_t i = 0; i < WORDS; i++) {
        words[i] = unpack_word(packed[i], form);
    }
    if (form & FORM_DASHED) {
        return put_dashes((const char *)words, buffer);
    }
    memcpy(buffer, words, HEX_DIGITS);
    return HEX_DIGITS;
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
