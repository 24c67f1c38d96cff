#include "pipeline/base/unicode_text.h"

#include <utf8proc.h>

#define HIGH_BITS 0x8080808080808080u

static uint64_t load(const char *at, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    return word;
}

static bool is_ascii(struct text text)
{
    const char *at = text.data;
    uint32_t left = text.length;
    uint64_t seen = 0;
    if (left < 8) {
        if (left >= 4) {
            seen = load(at, 4) | load(at + left - 4, 4); /* They overlap. */
        } else {
            for (; left > 0; at++, left--) {
                seen |= (unsigned char)*at;
            }
        }
        return (seen & HIGH_BITS) == 0;
    }
    for (; left >= 8; at += 8, left -= 8) {
        seen |= load(at, 8);
    }
    seen |= load(text.data + text.length - 8, 8);
    return (seen & HIGH_BITS) == 0;
}

/* Length of the well-formed sequence that begins at `at`, or 0. Table 3-7 of the Unicode standard.
 */
static uint32_t sequence_length(const unsigned char *at, uint32_t left)
{
    unsigned char lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    uint32_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || left < length) {
        return 0;
    }
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (uint32_t i = 2; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool text_is_utf8(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    for (uint32_t i = 0; i < text.length;) {
        uint32_t length = sequence_length(bytes + i, text.length - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

/* Code point of a well-formed sequence, its length known. */
static uint32_t sequence_decode(const unsigned char *at, uint32_t length)
{
    switch (length) {
    case 1:
        return at[0];
    case 2:
        return (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
    case 3:
        return (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    default:
        return (at[0] & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 |
               (at[3] & 0x3Fu);
    }
}

static inline bool is_space(uint32_t code)
{
    if (code <= 0x20) {
        return code == 0x20 || (code >= 0x09 && code <= 0x0D);
    }
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000 ||
           code == 0xFEFF;
}

struct text text_trim(struct text text)
{
    const unsigned char *begin = (const unsigned char *)text.data;
    const unsigned char *end = begin + text.length;
    while (begin < end) {
        uint32_t length = sequence_length(begin, (uint32_t)(end - begin));
        if (length == 0 || !is_space(sequence_decode(begin, length))) {
            break;
        }
        begin += length;
    }
    while (begin < end) {
        const unsigned char *last = end - 1;
        while (last > begin && (*last & 0xC0) == 0x80) {
            last--;
        }
        uint32_t length = sequence_length(last, (uint32_t)(end - last));
        if (length != (uint32_t)(end - last) || !is_space(sequence_decode(last, length))) {
            break;
        }
        end = last;
    }
    return (struct text){(const char *)begin, (uint32_t)(end - begin)};
}

/*
 * Whether a code point is its own normal form whatever stands beside it. A sufficient test: what
 * fails it takes the long way. Below U+0300 nothing changes without a mark, which fails it.
 */
static bool is_inert(uint32_t code)
{
    if (code < 0x300) {
        return true;
    }
    if (code >= 0x1100 && code <= 0x11FF) {
        return false; /* Conjoining jamo are composed by arithmetic, not by the table. */
    }
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
    bool is_stable = property->decomp_seqindex == UINT16_MAX || property->decomp_type != 0;
    bool follows_none = property->comb_index == UINT16_MAX || property->comb_index < 0x8000;
    return property->combining_class == 0 && is_stable && follows_none;
}

static bool is_normal(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    for (uint32_t i = 0; i < text.length;) {
        uint32_t length = sequence_length(bytes + i, text.length - i);
        if (!is_inert(sequence_decode(bytes + i, length))) {
            return false;
        }
        i += length;
    }
    return true;
}

static enum unicode_result normalise(struct text text, struct arena *arena, struct text *ret_text)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text.data;
    utf8proc_ssize_t room = text.length;
    utf8proc_int32_t *codes = NULL;
    utf8proc_ssize_t count = room + 1;
    /* Most texts have no more code points decomposed than they have bytes; the rest goes again. */
    while (count > room) {
        room = count;
        codes = arena_array(arena, utf8proc_int32_t, room + 1);
        if (!codes) {
            return UNICODE_NO_MEMORY;
        }
        count = utf8proc_decompose(bytes, text.length, codes, room, options);
        if (count < 0) {
            return UNICODE_INVALID;
        }
    }
    utf8proc_ssize_t length = utf8proc_reencode(codes, count, options); /* In place. */
    if (length < 0) {
        return UNICODE_INVALID;
    }
    *ret_text = (struct text){(const char *)codes, (uint32_t)length};
    return UNICODE_OK;
}

enum unicode_result text_clean(struct text text, enum unicode_form form, struct arena *arena,
                               struct text *ret_text)
{
    if (text.length == 0) {
        *ret_text = text;
        return UNICODE_OK;
    }
    if (is_ascii(text)) {
        uint32_t begin = 0;
        uint32_t end = text.length;
        while (begin < end && is_space((unsigned char)text.data[begin])) {
            begin++;
        }
        while (end > begin && is_space((unsigned char)text.data[end - 1])) {
            end--;
        }
        *ret_text = (struct text){text.data + begin, end - begin};
        return UNICODE_OK;
    }
    if (!text_is_utf8(text)) {
        return UNICODE_INVALID;
    }
    struct text trimmed = text_trim(text);
    if (form == UNICODE_AS_WRITTEN || is_normal(trimmed)) {
        *ret_text = trimmed;
        return UNICODE_OK;
    }
    return normalise(trimmed, arena, ret_text);
}
